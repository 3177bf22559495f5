package widget_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/browsertest"
)

// TestTroubleStaysWhereItIs meets the widget with what goes wrong, and looks at
// what does not.
func TestTroubleStaysWhereItIs(t *testing.T) {
	browser := browsertest.Start(t)

	t.Run("a reply of any size is shown", func(t *testing.T) {
		s := newSite(t)
		s.show("/", script)
		p := visit(t, browser, s.URL+"/")
		p.run(`await chat.open(); await chat.send("huge")`)
		is(p, `$$("strong").length`, 40000)
		p.do(chromedp.Reload())
		p.wait(`$$("strong").length === 40000`)
		p.run(`await chat.send("Hello")`)
		is(p, last, "You said: Hello")
	})

	t.Run("a turn that cannot be shown as it should be is shown as text", func(t *testing.T) {
		s := newSite(t)
		s.only("/history", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, `{"more":false,"turns":[
				{"seq":1,"prompt":"a","time":"2026-03-14T09:26:00Z","reply":{"output":"**good**"}},
				{"seq":2,"prompt":"b","time":"2026-03-14T09:26:00Z","reply":{"output":42}},
				{"seq":3,"prompt":"c","time":"soon","reply":{"output":"*no* time"}},
				{"seq":4,"prompt":"d","time":"2026-03-14T09:26:00Z","reply":{"content":"no cards","content_type":"card","content_attributes":{}}}]}`)
		})
		s.show("/", s.remembers(t)+script)
		p := visit(t, browser, s.URL+"/")
		p.run(`await chat.open(); await chat.send("Hello")`)
		is(p, `text(".turn .bot > .bubble")`, []string{"good", "42", "*no* time", "no cards", "You said: Hello"})
		is(p, `text(".me").length`, 5)
	})

	t.Run("problems of fields with the names of JavaScript's own are theirs", func(t *testing.T) {
		s := newSite(t)
		form := parley.Form{SubmitURL: "/forms/feedback", Fields: []parley.Field{
			{ID: "constructor", Type: "text", Label: "Who built it"}, {ID: "name", Type: "text", Label: "Name"},
		}}
		var refusal atomic.Value
		s.on(func(w http.ResponseWriter, r *http.Request) bool {
			switch r.URL.Path {
			case "/chat":
				w.Write(reply(parley.Reply{Text: "Tell us:", Content: &form}))
			case "/forms/feedback":
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprint(w, refusal.Load())
			default:
				return false
			}
			return true
		})
		s.show("/", script)
		p := visit(t, browser, s.URL+"/")
		refusal.Store(`{"error":"name is taken","errors":{"name":"Somebody has this name."}}`)
		p.run(`await chat.open(); await chat.send("form"); $(".submit").click()`)
		p.wait(`text(".problem")[1] === "Somebody has this name."`)
		is(p, `text(".problem")[0]`, "")
		refusal.Store(`{"error":"Not today.","errors":null}`)
		p.run(`$(".submit").click()`)
		p.wait(`$(".trouble").innerText === "Not today."`)
		is(p, `$(".submit").ariaDisabled`, any(nil))
	})

	for _, url := range []string{"http://", "localhost:3001/chat"} {
		t.Run("a webhookUrl that is none is named: "+url, func(t *testing.T) {
			s := newSite(t)
			s.show("/", fmt.Sprintf(`<script>window.said = []; addEventListener("error", (e) => said.push(e.message))</script>
				<script src="/widget.js" data-webhook-url="%s" data-open-by-default></script>`, url))
			p := visit(expecting{t, "webhookUrl"}, browser, s.URL+"/")
			if said := eval[[]string](p, `said`); len(said) == 0 || !strings.Contains(said[0], "webhookUrl") || !strings.Contains(said[0], url) {
				t.Errorf("the console says %q; want an error that names webhookUrl and %s", said, url)
			}
			is(p, `[$(".launcher").checkVisibility(), $(".badge").textContent]`, []any{true, "!"})
			p.run(`await chat.open()`)
			is(p, `[$(".launcher").title, $$("dialog").length]`, []any{"The chat could not be loaded.", 0})
			p.run(`chat.configure({webhookUrl: "/chat"}); await chat.open(); await chat.send("Hello")`)
			is(p, `[$(".badge").textContent, `+last+`]`, []string{"", "You said: Hello"})
		})
	}

	t.Run("what no answer came to is sent when the line is back", func(t *testing.T) {
		s := newSite(t)
		var down atomic.Bool
		down.Store(true)
		s.on(func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/chat" || !down.Load() {
				return false
			}
			panic(http.ErrAbortHandler)
		})
		s.show("/", script)
		p := visit(t, browser, s.URL+"/")
		p.run(`await chat.open(); await chat.send("Hi"); await chat.send("Hello")`)
		is(p, `$$(".failed").length`, 2)
		before := len(s.requests("/chat"))
		down.Store(false)
		p.run(`dispatchEvent(new Event("online"))`)
		p.wait(last + ` === "You said: Hello"`)
		if n := len(s.requests("/chat")) - before; n != 2 {
			t.Errorf("%d messages were sent when the line was back; want the 2 that had no answer", n)
		}
		is(p, `$$(".failed").length`, 0)
		p.run(`await chat.send("x".repeat(1001)); dispatchEvent(new Event("online")); await new Promise((r) => setTimeout(r, 200))`)
		if n := len(s.requests("/chat")) - before; n != 3 {
			t.Errorf("%d messages were sent by the time the line was back again; want 3, as what was refused is not sent anew", n)
		}
		is(p, `text(".failed")`, []string{"Prompt too long Edit"})
	})
}
