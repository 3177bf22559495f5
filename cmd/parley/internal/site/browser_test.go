package site_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	neturl "net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/cmd/parley/internal/site"
	"github.com/parley-chat/parley/internal/browsertest"
)

// replies are what the bot of these tests answers to each prompt.
var replies = map[string]parley.Reply{
	"Hello":       parley.Text("Good day!\nHow can I help?"),
	"<b>bold</b>": parley.Text(`<img src="x" onerror="document.title = 'hacked'"><script>document.title = 'hacked'</script>`),
	"articles": {Text: "Two pages:", Content: &parley.Articles{
		{Title: "Help centre", Description: "Answers to what most people ask.", Link: "/sample/help"},
		{Title: "Getting started", Description: "In four steps.", Link: "/sample/getting-started"},
	}},
	"card": {Text: "Have a look:", Content: &parley.Cards{Title: "Our plans", Cards: []parley.Card{{
		Title: "Premium plan", Description: "Everything we make, for you and your team.",
		Image: "/sample/plan.svg", ImageAlt: "Hills", Badge: "Sample", Price: "$29 a month", Link: "/sample/plan", LinkText: "See the plan",
	}}}},
	"form": {Text: "Tell us:", Content: &parley.Form{
		Title: "Contact us", Description: "We write back.", SubmitLabel: "Send it", SubmitURL: "/contact-form",
		Fields: parley.ContactForm().Fields,
	}},
	"survey": {Text: "A few questions:", Content: &parley.Form{SubmitURL: "/forms/survey", Fields: survey.Fields}},
	"quick replies": {Text: "Choose:", Content: &parley.QuickReplies{Title: "Next", Responses: []parley.QuickReply{
		{ID: "hello", Text: "Say hello", Value: "Hello"},
		{ID: "card", Text: "card"},
	}}},
	"unknown kind": {Text: "Only words.", Content: &parley.Other{Type: "hologram"}},
}

// survey has a field of every type.
var survey = parley.Form{Fields: []parley.Field{
	{ID: "name", Type: "text", Label: "Name", Placeholder: "Ada"},
	{ID: "mail", Type: "email", Label: "E-mail"},
	{ID: "phone", Type: "tel", Label: "Phone", Validation: &parley.Validation{Pattern: "^[0-9 +]*$", Message: "Digits only, please"}},
	{ID: "story", Type: "textarea", Label: "Story"},
	{ID: "size", Type: "select", Label: "Size", Options: []parley.Option{{Value: "s", Label: "Small"}, {Value: "l", Label: "Large"}}},
	{ID: "colour", Type: "radio", Label: "Colour", Options: []parley.Option{{Value: "r", Label: "Red"}, {Value: "b", Label: "Blue"}}},
	{ID: "extras", Type: "checkbox", Label: "Extras", Options: []parley.Option{{Value: "lid", Label: "Lid"}, {Value: "bag", Label: "Bag"}}},
	{ID: "agree", Type: "checkbox", Label: "I agree"},
}}

// replying is a bot that answers from replies.
func replying(_ context.Context, turn *parley.Turn) (parley.Reply, error) {
	if reply, ok := replies[turn.Prompt]; ok {
		return reply, nil
	}
	return parley.Text("No answer to: " + turn.Prompt), nil
}

// serve runs a chat with the pages around it, and returns its address and its store.
func serve(t *testing.T, bot parley.Bot, options site.Options) (url string, store *parley.Memory) {
	t.Helper()
	store = parley.NewMemory()
	chat, err := parley.New(parley.Config{Bot: bot, Store: store, Forms: map[string]parley.Form{"survey": survey}})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", chat.Handler())
	mux.Handle("/{$}", site.Page(options))
	mux.Handle("/site/", site.Page(options))
	mux.Handle("/sample/", site.Sample())
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL, store
}

// say types a prompt and waits until as many answers stand in the conversation.
func say(prompt string, answers int) chromedp.Action[chromedp.Void] {
	return chromedp.Steps(
		chromedp.SendKeys(chromedp.ID("prompt"), prompt+"\n"),
		answered(answers),
	)
}

// answered waits for a number of answers, the greeting not counted.
func answered(answers int) chromedp.Action[chromedp.Void] {
	return chromedp.Query(chromedp.CSSAll(".bot:not(.waiting)"), chromedp.AtLeast(answers+1))
}

// lastAnswer returns what the last message says.
func lastAnswer() chromedp.Action[string] {
	return chromedp.Evaluate[string](`document.querySelector("#log > :last-child").innerText`)
}

// run runs actions and ends the test where one fails.
func run(t *testing.T, tab context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(tab, steps...); err != nil {
		t.Fatal(err)
	}
}

// get returns what an action returns and ends the test where it fails.
func get[T any](t *testing.T, tab context.Context, action chromedp.Action[T]) T {
	t.Helper()
	value, err := chromedp.Run(tab, action)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestPageInABrowser(t *testing.T) {
	browser := browsertest.Start(t)
	url, store := serve(t, parley.BotFunc(replying), site.Options{})

	t.Run("answers what is typed", func(t *testing.T) {
		tab := browser.Tab(t)
		run(t, tab, chromedp.Navigate(url), say("Hello", 1))
		if text := get(t, tab, lastAnswer()); !strings.Contains(text, "Good day!\nHow can I help?") {
			t.Errorf("the answer to Hello shows as %q; want both its lines", text)
		}
		if value := get(t, tab, chromedp.Value(chromedp.ID("prompt"))); value != "" {
			t.Errorf("after sending, %q still stands in the box; want nothing", value)
		}
	})

	t.Run("shows the address at which the browser reached it", func(t *testing.T) {
		target, err := neturl.Parse(url)
		if err != nil {
			t.Fatal(err)
		}
		proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }} // names the server by its own address
		front := httptest.NewServer(http.StripPrefix("/talk", proxy))
		t.Cleanup(front.Close)
		tab := browser.Tab(t)
		run(t, tab, chromedp.Navigate(front.URL+"/talk/"), say("Hello", 1))
		if text := get(t, tab, lastAnswer()); !strings.Contains(text, "Good day!") {
			t.Errorf("below a path of a proxy, the answer to Hello shows as %q; want the bot's", text)
		}
		if text := get(t, tab, chromedp.Text(chromedp.CSS(".more"))); !strings.Contains(text, "curl "+front.URL+"/talk/chat") {
			t.Errorf("the page says %q; want a curl line for %s/talk/chat", text, front.URL)
		}
	})

	t.Run("shows the public address where there is one", func(t *testing.T) {
		url, _ := serve(t, parley.BotFunc(replying), site.Options{BaseURL: "https://chat.example.com"})
		tab := browser.Tab(t)
		run(t, tab, chromedp.Navigate(url), say("Hello", 1))
		if text := get(t, tab, chromedp.Text(chromedp.CSS(".more"))); !strings.Contains(text, "curl https://chat.example.com/chat") {
			t.Errorf("the page says %q; want a curl line for the public address", text)
		}
	})

	t.Run("shows markup as text", func(t *testing.T) {
		tab := browser.Tab(t)
		run(t, tab, chromedp.Navigate(url), say("<b>bold</b>", 1))
		if text := get(t, tab, lastAnswer()); !strings.Contains(text, "<script>") {
			t.Errorf("an answer with markup shows as %q; want it as it is", text)
		}
		if title := get(t, tab, chromedp.Title()); title != "Parley is running" {
			t.Errorf("the title became %q: markup in an answer ran", title)
		}
	})

	t.Run("offers prompts to the sample rules", func(t *testing.T) {
		tab := browser.Tab(t)
		run(t, tab, chromedp.Navigate(url), chromedp.Click(chromedp.CSS("#hints button")), answered(1))
		if text := get(t, tab, lastAnswer()); !strings.Contains(text, "No answer to: I need help") {
			t.Errorf("the first hint was answered %q; want the answer to its own text", text)
		}
	})

	t.Run("shows articles as links", func(t *testing.T) {
		tab := browser.Tab(t)
		run(t, tab, chromedp.Navigate(url), say("articles", 1))
		links := get(t, tab, chromedp.Evaluate[[]string](`[...document.querySelectorAll("#log a")].map((a) => a.innerText + " " + a.href)`))
		want := []string{
			"Help centre\nAnswers to what most people ask. " + url + "/sample/help",
			"Getting started\nIn four steps. " + url + "/sample/getting-started",
		}
		if !slices.Equal(links, want) {
			t.Errorf("the links are %q; want %q", links, want)
		}
	})

	t.Run("shows a card", func(t *testing.T) {
		tab := browser.Tab(t)
		run(t, tab, chromedp.Navigate(url), say("card", 1))
		text := get(t, tab, lastAnswer())
		for _, want := range []string{"Have a look:", "Our plans", "Premium plan", "Everything we make", "Sample", "$29 a month", "See the plan"} {
			if !strings.Contains(text, want) {
				t.Errorf("the card shows %q; want %q in it", text, want)
			}
		}
		get(t, tab, chromedp.Poll[bool](`document.querySelector("#log img[alt=Hills]").naturalWidth > 0`))
		if href := get(t, tab, chromedp.Evaluate[string](`document.querySelector("#log a").href`)); href != url+"/sample/plan" {
			t.Errorf("the card leads to %s; want %s/sample/plan", href, url)
		}
	})

	t.Run("sends a form", func(t *testing.T) {
		tab := browser.Tab(t)
		run(t, tab, chromedp.Navigate(url), say("form", 1),
			chromedp.SendKeys(chromedp.CSS("#log input[type=text]"), "Ada"),
			chromedp.SendKeys(chromedp.CSS("#log input[type=email]"), "ada@example"),
			chromedp.SendKeys(chromedp.CSS("#log textarea"), "Hello!"),
			chromedp.Click(chromedp.CSS("#log button[type=submit]")),
			chromedp.WaitVisible(chromedp.CSS("#log .error:not(:empty)")))
		if text := get(t, tab, lastAnswer()); !strings.Contains(text, "Invalid email format") {
			t.Errorf("after sending a bad address the form shows %q; want the server's complaint", text)
		}
		if focus := get(t, tab, chromedp.Evaluate[string]("document.activeElement.type")); focus != "email" {
			t.Errorf("the focus is on a field of type %q; want the one that is wrong", focus)
		}
		run(t, tab,
			chromedp.SendKeys(chromedp.CSS("#log input[type=email]"), ".com"),
			chromedp.Click(chromedp.CSS("#log button[type=submit]")),
			chromedp.WaitNotPresent(chromedp.CSS("#log form")))
		if text := get(t, tab, lastAnswer()); !strings.Contains(text, "We received your message") {
			t.Errorf("after sending, the form shows %q; want the server's thanks", text)
		}
		expectSubmission(t, store, parley.ContactFormID, parley.Values{"name": "Ada", "email": "ada@example.com", "message": "Hello!"})
	})

	t.Run("sends a field of every type", func(t *testing.T) {
		tab := browser.Tab(t)
		run(t, tab, chromedp.Navigate(url), say("survey", 1),
			chromedp.SendKeys(chromedp.CSS("#log input[type=tel]"), "+49 30"),
			chromedp.SetValue(chromedp.CSS("#log select"), "l"),
			chromedp.Click(chromedp.CSS("#log input[value=b]")),
			chromedp.Click(chromedp.CSS("#log input[value=lid]")),
			chromedp.Click(chromedp.CSS("#log input[value=bag]")),
			chromedp.Click(chromedp.CSS("#log div > label > input[type=checkbox]")),
			chromedp.Click(chromedp.CSS("#log button[type=submit]")),
			chromedp.WaitNotPresent(chromedp.CSS("#log form")))
		expectSubmission(t, store, "survey", parley.Values{
			"phone": "+49 30", "size": "l", "colour": "b", "extras": []string{"lid", "bag"}, "agree": true,
		})
	})

	t.Run("sends a quick reply", func(t *testing.T) {
		tab := browser.Tab(t)
		run(t, tab, chromedp.Navigate(url), say("quick replies", 1),
			chromedp.Click(chromedp.CSS("#log .choices button")), answered(2))
		text := get(t, tab, chromedp.Text(chromedp.ID("log")))
		if !strings.Contains(text, "Say hello") || !strings.Contains(text, "Good day!") {
			t.Errorf("after the click the conversation is %q; want the button's text and the answer to its value", text)
		}
		if left := get(t, tab, chromedp.Evaluate[int](`document.querySelectorAll("#log .choices button:enabled").length`)); left != 0 {
			t.Errorf("%d buttons can still be clicked; want none after the choice", left)
		}
	})

	t.Run("shows the text of a kind it does not know", func(t *testing.T) {
		tab := browser.Tab(t)
		run(t, tab, chromedp.Navigate(url), say("unknown kind", 1))
		if text := get(t, tab, lastAnswer()); !strings.Contains(text, "Only words.") {
			t.Errorf("the answer shows as %q; want its text", text)
		}
	})

	t.Run("says that it needs JavaScript where that is off", func(t *testing.T) {
		tab := browser.Tab(t)
		if _, err := chromedp.Call(tab, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
			t.Fatal(err)
		}
		run(t, tab, chromedp.Navigate(url), chromedp.WaitVisible(chromedp.CSS("noscript p")), chromedp.WaitNotVisible(chromedp.ID("composer")))
		browsertest.Screenshot(t, tab, "no-script")
	})

	t.Run("shows what the server refuses", func(t *testing.T) {
		tab := browser.Tab(t)
		run(t, tab, chromedp.Navigate(url),
			chromedp.SetValue(chromedp.ID("prompt"), strings.Repeat("long ", 250)),
			say("", 1))
		if text := get(t, tab, lastAnswer()); !strings.Contains(text, "Prompt too long") {
			t.Errorf("the answer shows as %q; want the server's reason", text)
		}
	})
}

// expectSubmission checks the newest submission of a form.
func expectSubmission(t *testing.T, store parley.Store, form string, want parley.Values) {
	t.Helper()
	submissions, err := store.Submissions(t.Context(), form, 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(submissions) != 1 {
		t.Fatalf("%d submissions of %s were kept; want 1", len(submissions), form)
	}
	if got := submissions[0].Values; !reflect.DeepEqual(got, want) {
		t.Errorf("the form sent %v; want %v", got, want)
	}
}

// TestPageFits checks that nothing is wider than the screen, in the sizes and
// colours that visitors have, and leaves a picture of each.
func TestPageFits(t *testing.T) {
	browser := browsertest.Start(t)
	url, _ := serve(t, parley.BotFunc(replying), site.Options{Version: "1.2.3"})
	for _, screen := range []struct {
		name          string
		width, height int64
	}{{"desktop", 1280, 800}, {"phone", 390, 844}} {
		for _, scheme := range []string{"light", "dark"} {
			t.Run(screen.name+" "+scheme, func(t *testing.T) {
				tab := browser.Tab(t)
				run(t, tab, browsertest.ColorScheme(scheme), chromedp.EmulateViewport(screen.width, screen.height))
				for _, path := range []string{"/", "/sample/help", "/sample/getting-started", "/sample/plan"} {
					run(t, tab, chromedp.Navigate(url+path))
					browsertest.Screenshot(t, tab, "page"+strings.ReplaceAll(path, "/", "-"))
					expectFits(t, tab, path)
				}
				run(t, tab, chromedp.Navigate(url))
				height := get(t, tab, pageHeight)
				for i, prompt := range []string{"Hello", "articles", "card", "form", "survey", "quick replies"} {
					run(t, tab, say(prompt, i+1))
					browsertest.Screenshot(t, tab, prompt)
					expectFits(t, tab, prompt)
				}
				if grown := get(t, tab, pageHeight); grown > height {
					t.Errorf("the conversation made the page %d pixels high, from %d; want it to scroll in its box", grown, height)
				}
			})
		}
	}
}

var pageHeight = chromedp.Evaluate[int]("document.documentElement.scrollHeight")

// expectFits checks that neither the page nor the conversation scrolls sideways.
func expectFits(t *testing.T, tab context.Context, what string) {
	t.Helper()
	const wide = `[document.documentElement, ...document.querySelectorAll("#log")].some((n) => n.scrollWidth > n.clientWidth)`
	if get(t, tab, chromedp.Evaluate[bool](wide)) {
		t.Errorf("%s is wider than the screen", what)
	}
}
