package widget_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/browsertest"
)

var (
	gallery = flag.String("gallery", "", "write a picture of each state of the widget to this `folder`")
	axePath = flag.String("axe", "../tools/node/node_modules/axe-core/axe.min.js", "check each state with the axe-core in this `file`")
)

// state is something that the widget can look like.
type state struct {
	name     string
	settings string // attributes of the script tag
	turns    []turn // said before
	act      string // what happens then, in JavaScript; root is the widget's shadow root
	closed   bool   // the chat is not opened
	html     string // the page, where it is not an ordinary one
}

func reply(r parley.Reply) json.RawMessage {
	data, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	return data
}

func said(prompt string, r parley.Reply) turn { return turn{Prompt: prompt, Reply: reply(r)} }

var everyField = parley.Form{
	Title:       "Book a table",
	Description: "We confirm by e-mail.",
	SubmitLabel: "Book",
	SubmitURL:   "/forms/feedback",
	Fields: []parley.Field{
		{ID: "name", Type: "text", Label: "Your name", Placeholder: "Ada Lovelace", Required: true},
		{ID: "email", Type: "email", Label: "E-mail address", Required: true},
		{ID: "phone", Type: "tel", Label: "Phone", Placeholder: "+44 20 7946 0000"},
		{ID: "when", Type: "select", Label: "When", Required: true, Options: []parley.Option{{Value: "12", Label: "Noon"}, {Value: "19", Label: "Seven in the evening"}}},
		{ID: "where", Type: "radio", Label: "Where", Required: true, Options: []parley.Option{{Value: "in", Label: "Inside"}, {Value: "out", Label: "On the terrace"}}},
		{ID: "diet", Type: "checkbox", Label: "We eat", Options: []parley.Option{{Value: "fish", Label: "Fish"}, {Value: "meat", Label: "Meat"}}},
		{ID: "message", Type: "textarea", Label: "Anything else?", Placeholder: "A birthday, a wheelchair, a dog…"},
		{ID: "terms", Type: "checkbox", Label: "I have read the terms", Required: true},
	},
}

const markdownSample = "Yes, **two ways** to do it:\n\n1. Open *Settings* and choose `Export`\n2. Or ask the [help centre](https://help.example.com):\n   - by mail\n   - by phone, +44 20 7946 0000\n\n```\nparley export --since 2026-01-01\n```\nMore at https://example.com/docs."

var states = []state{
	{name: "closed", closed: true},
	{name: "closed-text", closed: true, settings: `data-launcher-text="Ask us" data-color="#0f766e"`},
	{name: "closed-unread", closed: true, act: `chat.unread = 2`},
	{name: "empty", settings: `data-agent-name="Ada" data-title="Support" data-suggestions="What does it cost?|Where is my order?|Talk to a person"`},
	{name: "conversation", settings: `data-agent-name="Ada" data-title="Support" data-color="#4f46e5"`, turns: []turn{
		said("Hi! Can I export my data?", parley.Text(markdownSample)),
		said("Great, thank you", parley.Text("You are welcome. Is there anything else?")),
	}},
	{name: "typing", settings: `data-agent-name="Ada"`, turns: []turn{said("Hello", parley.Text("Hello! How can I help?"))}, act: `chat.send("wait")`},
	{name: "streaming", settings: `data-agent-name="Ada"`, turns: []turn{said("Hello", parley.Text("Hello! How can I help?"))}, act: `
		chat.send("Can I export my data?"); await until(() => root.querySelector("ol"))`},
	{name: "article", turns: []turn{said("help", parley.Reply{Text: "I found some pages for you:", Content: &articles})}},
	{name: "card", settings: `data-color="#b45309"`, turns: []turn{said("houses", parley.Reply{Text: "There are a few:", Content: &cards})}},
	{name: "card-one", turns: []turn{said("houses", parley.Reply{Text: "There is one:", Content: &parley.Cards{Cards: cards.Cards[:1]}})}},
	{name: "form", settings: `data-color="#2563eb"`, turns: []turn{said("contact", parley.Reply{Text: "I'd be happy to help you get in touch:", Content: &feedback})}},
	{name: "form-fields", settings: `data-color="#2563eb"`, turns: []turn{said("table", parley.Reply{Text: "With pleasure.", Content: &everyField})}, act: `root.querySelector(".log").scrollTop = 150`},
	{name: "form-errors", turns: []turn{said("contact", parley.Reply{Text: "Tell us:", Content: &feedback})}, act: `
		root.querySelector("[name=code]").value = "12";
		root.querySelector(".submit").click()`},
	{name: "form-sent", turns: []turn{said("contact", parley.Reply{Text: "Tell us:", Content: &feedback})}, act: `
		root.querySelector("[name=name]").value = "Ada";
		root.querySelector("[name=code]").value = "1234";
		root.querySelector(".submit").click();
		await until(() => root.querySelector(".sent"))`},
	{name: "quick-reply", settings: `data-color="#be185d"`, turns: []turn{said("hi", parley.Reply{Text: "How can we help?", Content: &choices})}},
	{name: "quick-reply-chosen", settings: `data-color="#be185d"`, turns: []turn{
		said("hi", parley.Reply{Text: "How can we help?", Content: &choices}),
		said("Get help", parley.Text("With what?")),
	}},
	{name: "failed", act: `chat.send("broken"); await until(() => root.querySelector(".failed"))`},
	{name: "refused", act: `chat.send("refused"); await until(() => root.querySelector(".failed"))`},
	{name: "history-lost", act: `await until(() => root.querySelector(".notice .link"))`, turns: []turn{said("broken history", parley.Text("?"))}},
	{name: "days", settings: `data-agent-name="Ada"`, turns: []turn{
		{Prompt: "Are you open on Sunday?", Reply: reply(parley.Text("From ten to four.")), Time: time.Date(2026, 3, 14, 9, 26, 0, 0, time.UTC)},
		said("And today?", parley.Text("From nine to six.")),
	}},
	{name: "long", turns: []turn{said(strings.Repeat("Donaudampfschifffahrtsgesellschaft", 6), parley.Text("https://example.com/"+strings.Repeat("deeper/", 30)+"\n\n"+strings.Repeat("A sentence that goes on for a while. ", 20)))}},
	{name: "news-below", turns: []turn{said("long", parley.Text(strings.Repeat("Words to read slowly. ", 150)))}, act: `
		root.querySelector(".log").scrollTop = 100; await new Promise((r) => setTimeout(r, 100));
		chat.send("slow"); await until(() => root.querySelectorAll(".turn").length > 1); root.querySelector(".log").scrollTop = 0;
		await until(() => !root.querySelector(".jump").hidden)`},
	{name: "rtl", settings: `data-locale="ar" data-title="الدعم" data-agent-name="آدا" data-placeholder="اكتب رسالة…" data-initial-message="مرحبا! كيف يمكنني مساعدتك؟" data-color="#0f766e"`, turns: []turn{
		said("متى تفتحون؟", parley.Reply{Text: "كل يوم من التاسعة إلى السادسة. Details in English:", Content: &parley.Articles{{Title: "ساعات العمل", Description: "أيام العطل وساعات الدوام.", Link: "/hours"}}}),
	}},
	{name: "yellow", settings: `data-color="#fde047" data-agent-name="Sun"`, turns: []turn{said("hi", parley.Reply{Text: "A [light](/x) color:", Content: &choices})}},
	{name: "inline", settings: `data-target="#here"`, html: `<main><h1>Ask us</h1></main><div id="here"></div>`, turns: []turn{said("Hello", parley.Text("Hello! How can I help?"))}},
}

const ordinary = `<main><h1>A quiet place for your weekends</h1><p>Houses in the hills, an hour from the city. Stay for two nights or for the summer.</p><p>Every house has a stove, a good bed and no television.</p></main>`

// newGallery returns a site with a page for each state, and one with all of them.
func newGallery(t testing.TB) *site {
	s := newSite(t)
	past := map[string][]turn{}
	s.on(func(w http.ResponseWriter, r *http.Request) bool {
		name, endpoint, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		turns, ok := past[name]
		if !ok {
			return false // a form
		}
		switch {
		case name == "history-lost", name == "failed" && endpoint == "chat":
			w.WriteHeader(http.StatusBadGateway)
		case name == "refused" && endpoint == "chat":
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error":"Prompt too long"}`)
		case name == "streaming" && endpoint == "chat":
			newStream(w, r).send(delta(1, 0, markdownSample[:len(markdownSample)*2/3]))
			<-r.Context().Done()
		case endpoint == "history":
			serveHistory(w, r, turns)
		default:
			r.URL.Path = "/" + endpoint
			return false
		}
		return true
	})
	var all strings.Builder
	for _, st := range states {
		token := s.token(t)
		past[st.name] = []turn{}
		for i, turn := range st.turns {
			turn.Seq = i + 1
			if turn.Time.IsZero() {
				turn.Time = time.Now().Add(-3 * time.Minute)
			}
			past[st.name] = append(past[st.name], turn)
		}
		body := st.html
		if body == "" {
			body = ordinary
		}
		act := st.act
		if !st.closed {
			shown := len(st.turns)
			if st.name == "history-lost" {
				shown = 0
			}
			act = fmt.Sprintf("await chat.open(); await until(() => root.querySelector('.top > div') && root.querySelectorAll('.turn').length >= %d);", shown) + act
		}
		s.show("/"+st.name, fmt.Sprintf(`%s<script>
			localStorage.setItem("parley " + location.origin + "/%[2]s/chat", JSON.stringify({epoch: "", token: "%[3]s"}));
			const until = async (f) => { while (!f()) await new Promise((r) => setTimeout(r, 20)) };
			addEventListener("load", async () => {
				await until(() => document.querySelector("parley-chat"));
				const chat = document.querySelector("parley-chat"), root = chat.shadowRoot;
				%[4]s;
				window.done = true;
			});
			</script><script src="/widget.js" data-webhook-url="/%[2]s/chat" %[5]s></script>`, body, st.name, token, act, st.settings))
		fmt.Fprintf(&all, `<figure><figcaption>%[1]s</figcaption><iframe src="/%[1]s" title="%[1]s"></iframe></figure>`, st.name)
	}
	s.show("/", `<div class="all">`+all.String()+`</div>`)
	return s
}

// TestEveryState opens every state on a desktop in the light and on a phone in
// the dark, and has axe look for what keeps people out. Where pictures are asked
// for, it takes them, and does the same the other way round.
func TestEveryState(t *testing.T) {
	browser := browsertest.Start(t)
	s := newGallery(t)
	axe, err := os.ReadFile(*axePath)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("needs axe-core: %v; run npm ci in tools/node", err)
		}
		t.Logf("NOT CHECKED for accessibility: %v; run npm ci in tools/node", err)
	}
	type view struct {
		name          string
		width, height int64
		scheme        string
		options       []chromedp.EmulateViewportOption
	}
	phone := []chromedp.EmulateViewportOption{chromedp.EmulateMobile, chromedp.EmulateTouch, chromedp.EmulateScale(2)}
	views := []view{
		{"desktop-light", 1000, 820, "light", nil},
		{"phone-dark", 390, 844, "dark", phone},
	}
	if *gallery != "" {
		views = append(views, view{"desktop-dark", 1000, 820, "dark", nil}, view{"phone-light", 390, 844, "light", phone})
	}
	for _, v := range views {
		t.Run(v.name, func(t *testing.T) {
			for _, st := range states {
				t.Run(st.name, func(t *testing.T) {
					tab := browser.Tab(t)
					if err := chromedp.Do(tab,
						chromedp.EmulateViewport(v.width, v.height, v.options...),
						browsertest.ColorScheme(v.scheme),
						chromedp.Navigate(s.URL+"/"+st.name),
					); err != nil {
						t.Fatal(err)
					}
					if _, err := chromedp.Run(tab, chromedp.Poll[bool]("window.done", chromedp.WithPollingTimeout(8*time.Second))); err != nil {
						t.Fatalf("the state never came: %v", err)
					}
					// What moves comes to rest.
					if err := chromedp.Do(tab, chromedp.Evaluate[chromedp.Void](`new Promise((r) => setTimeout(r, 450))`, chromedp.EvalAwaitPromise)); err != nil {
						t.Fatal(err)
					}
					if *gallery != "" {
						png, err := chromedp.Run(tab, chromedp.CaptureScreenshot())
						if err != nil {
							t.Fatal(err)
						}
						if err := os.WriteFile(filepath.Join(*gallery, st.name+"-"+v.name+".png"), png, 0o644); err != nil {
							t.Fatal(err)
						}
					}
					if len(axe) > 0 {
						checkAxe(t, tab, string(axe))
					}
				})
			}
		})
	}
}
