package site_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	neturl "net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/cmd/parley/internal/site"
	"github.com/parley-chat/parley/internal/browsertest"
	"github.com/parley-chat/parley/widget"
)

// echo is a bot that says back what it hears.
func echo(_ context.Context, turn *parley.Turn) (parley.Reply, error) {
	return parley.Text("You said: " + turn.Prompt), nil
}

// serve runs a chat with the pages and the widget around it, and returns its address.
func serve(t *testing.T, bot parley.Bot, options site.Options) string {
	t.Helper()
	chat, err := parley.New(parley.Config{Bot: bot})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", chat.Handler())
	mux.Handle("/{$}", site.Page(options))
	mux.Handle("/site/", site.Page(options))
	mux.Handle("/sample/", site.Sample())
	mux.Handle("/widget.js", widget.Handler())
	mux.Handle("/widget/", widget.Handler())
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// inChat is the path of something in the widget.
func inChat(selector string) chromedp.JSPath {
	return chromedp.JSPath(`document.querySelector("parley-chat").shadowRoot?.querySelector("` + selector + `")`)
}

// open opens a page and waits until its chat can be typed into.
func open(url string) chromedp.Action[chromedp.Void] {
	return chromedp.Steps(chromedp.Navigate(url), chromedp.WaitVisible(inChat(".composer textarea")))
}

// shows waits until the conversation has a text.
func shows(t *testing.T, tab context.Context, text string) {
	t.Helper()
	if ok := get(t, tab, chromedp.Poll[bool](`document.querySelector("parley-chat").shadowRoot.querySelector("dialog, .window").innerText.includes("`+text+`")`)); !ok {
		t.Errorf("the chat does not show %q", text)
	}
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
	url := serve(t, parley.BotFunc(echo), site.Options{})
	sayHello := chromedp.SendKeys(inChat(".composer textarea"), "Hello\r")

	t.Run("answers what is typed", func(t *testing.T) {
		tab := browser.Tab(t)
		run(t, tab, open(url), sayHello)
		shows(t, tab, "You said: Hello")
	})

	t.Run("offers prompts to the sample rules", func(t *testing.T) {
		tab := browser.Tab(t)
		run(t, tab, open(url), chromedp.Click(inChat(".suggestion, .choice")))
		shows(t, tab, "You said: I need help")
	})

	t.Run("works below a path, and shows the address at which the browser reached it", func(t *testing.T) {
		target, err := neturl.Parse(url)
		if err != nil {
			t.Fatal(err)
		}
		proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }} // names the server by its own address
		front := httptest.NewServer(http.StripPrefix("/talk", proxy))
		t.Cleanup(front.Close)
		tab := browser.Tab(t)
		run(t, tab, open(front.URL+"/talk/"), sayHello)
		shows(t, tab, "You said: Hello")
		text := get(t, tab, chromedp.Text(chromedp.CSS(".more")))
		for _, want := range []string{"curl " + front.URL + "/talk/chat", `src="` + front.URL + `/talk/widget.js"`} {
			if !strings.Contains(text, want) {
				t.Errorf("the page says %q; want %s", text, want)
			}
		}
	})

	t.Run("shows the public address where there is one", func(t *testing.T) {
		tab := browser.Tab(t)
		run(t, tab, open(serve(t, parley.BotFunc(echo), site.Options{BaseURL: "https://chat.example.com"})))
		if text := get(t, tab, chromedp.Text(chromedp.CSS(".more"))); !strings.Contains(text, "curl https://chat.example.com/chat") {
			t.Errorf("the page says %q; want a curl line for the public address", text)
		}
	})

	t.Run("says that it needs JavaScript where that is off", func(t *testing.T) {
		tab := browser.Tab(t)
		if _, err := chromedp.Call(tab, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
			t.Fatal(err)
		}
		run(t, tab, chromedp.Navigate(url), chromedp.WaitVisible(chromedp.CSS("noscript p")))
		browsertest.Screenshot(t, tab, "no-script")
	})
}

// TestPageFits checks that nothing is wider than the screen, in the sizes and
// colours that visitors have, and leaves a picture of each.
func TestPageFits(t *testing.T) {
	browser := browsertest.Start(t)
	url := serve(t, parley.BotFunc(echo), site.Options{Version: "1.2.3"})
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
			})
		}
	}
}

// expectFits checks that the page does not scroll sideways.
func expectFits(t *testing.T, tab context.Context, what string) {
	t.Helper()
	const wide = `document.documentElement.scrollWidth > document.documentElement.clientWidth`
	if get(t, tab, chromedp.Evaluate[bool](wide)) {
		t.Errorf("%s is wider than the screen", what)
	}
}
