package widget_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/browsertest"
	"github.com/parley-chat/parley/middleware"
)

// stream is an answer that comes in pieces.
type stream struct {
	http.ResponseWriter
}

// newStream begins an answer to a request, whose body it reads.
func newStream(w http.ResponseWriter, r *http.Request) stream {
	io.Copy(io.Discard, r.Body) // only then does the server notice that the client leaves
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	return stream{w}
}

// send sends bytes as they are, at once.
func (s stream) send(chunks ...string) {
	for _, chunk := range chunks {
		io.WriteString(s, chunk)
		http.NewResponseController(s.ResponseWriter).Flush()
	}
}

// await waits until the test goes on, or the client has left.
func await(r *http.Request, goOn <-chan struct{}) {
	select {
	case <-goOn:
	case <-r.Context().Done():
	}
}

// delta is the event for text that comes after so many bytes of a turn's reply.
func delta(seq, before int, text string) string {
	data, _ := json.Marshal(map[string]string{"text": text})
	return fmt.Sprintf("id: %d-%d\nevent: delta\ndata: %s\n\n", seq, before+len(text), data)
}

// final is the event with the whole reply.
func final(text string) string {
	data, _ := json.Marshal(map[string]string{"output": text})
	return fmt.Sprintf("event: reply\ndata: %s\n\n", data)
}

// only answers requests to a path by themselves, the nth by the nth function and
// every later one by the last.
func (s *site) only(path string, answers ...func(w http.ResponseWriter, r *http.Request)) {
	var n atomic.Int32
	s.on(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != path {
			return false
		}
		answers[min(int(n.Add(1)), len(answers))-1](w, r)
		return true
	})
}

// streamer is a bot that hands out text early.
type streamer func(ctx context.Context, emit func(text string)) (parley.Reply, error)

func (f streamer) Reply(ctx context.Context, _ *parley.Turn, emit func(text string)) (parley.Reply, error) {
	return f(ctx, emit)
}

// last is the text of the newest reply.
const last = `text(".bot > .bubble").at(-1)`

func TestStream(t *testing.T) {
	browser := browsertest.Start(t)
	start := func(t *testing.T) (*site, *tab) {
		t.Helper()
		s := newSite(t)
		s.show("/", script)
		return s, visit(t, browser, s.URL+"/")
	}

	t.Run("a reply grows as it comes, and is announced once", func(t *testing.T) {
		s, p := start(t)
		more, end := make(chan struct{}), make(chan struct{})
		s.only("/chat", func(w http.ResponseWriter, r *http.Request) {
			out := newStream(w, r)
			// Chunks end within an event, a line end and a character.
			first := strings.NewReplacer("\n", "\r\n", `\u2028`, "\u2028").Replace(": hello\n\n" + delta(1, 0, "Hello **Zoë** and\u2028Li"))
			cut := strings.Index(first, "ë") + 1
			out.send(first[:20], first[20:cut], first[cut:len(first)-3], first[len(first)-3:])
			await(r, more)
			out.send(": still here\n\n", "id: 1-30\nevent: delta\ndata: {\"text\":\ndata:\"sa\"}\n\n")
			await(r, end)
			out.send(final("Hello **Zoë** and Lisa"))
		})
		p.run(`window.heard = []; chat.on("reply", (e) => heard.push(e.detail.reply)); window.read = [];
			await chat.open(); chat.send("Hi");
			new MutationObserver(() => read.push($("[role=status]").textContent)).observe($("[role=status]"), {childList: true, characterData: true, subtree: true})`)
		p.wait(`$(".bot:not(.typing) strong")?.textContent === "Zoë"`)
		is(p, last, "Hello Zoë and\u2028Li")
		p.wait(`$(".bot i").parentElement === $(".bot:not(.typing) strong").parentElement`) // where the text goes on
		is(p, `[$(".turn").ariaBusy, $$(".typing").length, $(".log").ariaLive, heard.length]`, []any{"true", 0, "off", 0})
		close(more)
		p.wait(last + `.endsWith("Lisa")`)
		close(end)
		p.wait(`heard.length`)
		is(p, last, "Hello Zoë and Lisa")
		is(p, `heard`, []map[string]string{{"output": "Hello **Zoë** and Lisa"}})
		is(p, `[$(".turn").ariaBusy, read.filter((said) => !/typing/.test(said))]`, []any{nil, []string{"Assistant: Hello Zoë and Lisa"}})
		if got := s.requests("/chat")[0].Header.Get("Accept"); got != "text/event-stream, application/json" {
			t.Errorf("Accept is %q; want text/event-stream, application/json", got)
		}
	})

	t.Run("a stream moves only readers at its end", func(t *testing.T) {
		s, p := start(t)
		more, end := make(chan struct{}), make(chan struct{})
		line := "A line of a long answer.\n\n"
		s.only("/chat", func(w http.ResponseWriter, r *http.Request) {
			out := newStream(w, r)
			out.send(delta(1, 0, strings.Repeat(line, 40)))
			await(r, more)
			out.send(delta(1, 40*len(line), strings.Repeat(line, 40)))
			await(r, end)
			out.send(final(strings.Repeat(line, 80)))
		})
		p.run(`await chat.open(); chat.send("Hi")`)
		p.wait(`$$(".bot p").length > 40 && $(".log").scrollTop > 500 && $(".log").scrollHeight - $(".log").scrollTop - $(".log").clientHeight < 2`)
		p.run(`$(".log").scrollTop = 300; await new Promise((r) => setTimeout(r, 100))`)
		close(more)
		p.wait(`$$(".bot p").length > 80`)
		is(p, `$(".log").scrollTop`, 300)
		close(end)
		p.wait(`!$(".jump").hidden`)
		is(p, `$(".log").scrollTop`, 300)
	})

	t.Run("the end of a long stream leaves its readers at the end", func(t *testing.T) {
		s, p := start(t)
		end := make(chan struct{})
		text := strings.Repeat("A line of a long answer.\n\n", 60)
		s.only("/chat", func(w http.ResponseWriter, r *http.Request) {
			out := newStream(w, r)
			out.send(delta(1, 0, text))
			await(r, end)
			out.send(final(text + "The end."))
		})
		p.run(`await chat.open(); window.answered = chat.send("Hi")`)
		p.wait(`$$(".bot p").length > 50`)
		close(end)
		p.run(`await answered; await new Promise((r) => setTimeout(r, 100))`)
		is(p, `$(".log").scrollHeight - $(".log").scrollTop - $(".log").clientHeight < 2`, true)
	})

	t.Run("a stream that breaks off goes on where it was", func(t *testing.T) {
		s, p := start(t)
		again := make(chan struct{})
		s.only("/chat", func(w http.ResponseWriter, r *http.Request) {
			newStream(w, r).send(delta(1, 0, "Hello wö"), "id: 1-99\nevent: delta\ndata: {\"te")
		}, func(w http.ResponseWriter, r *http.Request) {
			out := newStream(w, r)
			out.send(delta(1, 9, "rld"))
			await(r, again)
			out.send(final("Hello wörld!"))
		})
		p.run(`await chat.open(); chat.send("Hi")`)
		p.wait(last + ` === "Hello wörld"`)
		close(again)
		p.wait(last + ` === "Hello wörld!"`)
		sent := s.requests("/chat")
		if len(sent) != 2 || sent[0].Header.Get("Idempotency-Key") != sent[1].Header.Get("Idempotency-Key") || sent[0].Header.Get("Idempotency-Key") == "" {
			t.Fatalf("%d messages were sent; want 2 with the same Idempotency-Key", len(sent))
		}
		if first, second := sent[0].Header.Values("Last-Event-ID"), sent[1].Header.Get("Last-Event-ID"); len(first) != 0 || second != "1-9" {
			t.Errorf("Last-Event-ID was %q and then %q; want none and 1-9", first, second)
		}
	})

	t.Run("a stream that begins anew takes the place of what was there", func(t *testing.T) {
		for name, id := range map[string]string{"the same turn": "id: 1-", "another turn": "id: 2-", "no ids": ": "} {
			t.Run(name, func(t *testing.T) {
				s, p := start(t)
				end := make(chan struct{})
				s.only("/chat", func(w http.ResponseWriter, r *http.Request) {
					newStream(w, r).send(delta(1, 0, "Hello wor"))
				}, func(w http.ResponseWriter, r *http.Request) {
					out := newStream(w, r)
					out.send(id+"4\nevent: delta\ndata: {\"text\":\"Good\"}\n\n", id+"8\nevent: delta\ndata: {\"text\":\" day\"}\n\n")
					await(r, end)
					out.send(final("Good day"))
				})
				p.run(`await chat.open(); chat.send("Hi")`)
				p.wait(last + ` === "Good day"`)
				close(end)
			})
		}
	})

	t.Run("an error ends a stream", func(t *testing.T) {
		s, p := start(t)
		s.only("/chat", func(w http.ResponseWriter, r *http.Request) {
			newStream(w, r).send(delta(1, 0, "Hello"), "event: error\ndata: {\"error\":\"No more today.\",\"status\":403}\n\n", final("never"))
		}, func(w http.ResponseWriter, r *http.Request) {
			newStream(w, r).send(final("Hello again"))
		})
		p.run(`window.heard = []; chat.on("error", (e) => heard.push(e.detail.status)); await chat.open(); await chat.send("Hi")`)
		is(p, `text(".failed")`, []string{"No more today. Edit"})
		is(p, `[heard, $$(".bot").length, $(".turn").ariaBusy]`, []any{[]int{403}, 1, nil}) // the one bot is the greeting
		p.run(`await chat.send("Hi again")`)
		is(p, last, "Hello again")
	})

	t.Run("an error that may pass is tried again", func(t *testing.T) {
		s, p := start(t)
		s.only("/chat", func(w http.ResponseWriter, r *http.Request) {
			newStream(w, r).send("event: error\ndata: {\"output\":\"Trouble.\",\"status\":503}\n\n")
		}, func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, `{"output":"Here I am"}`)
		})
		p.run(`await chat.open(); await chat.send("Hi")`)
		is(p, last, "Here I am")
	})

	t.Run("a reload in the middle of a stream joins it", func(t *testing.T) {
		s, p := start(t)
		end := make(chan struct{})
		s.only("/chat", func(w http.ResponseWriter, r *http.Request) {
			newStream(w, r).send(delta(1, 0, "Hello"))
			<-r.Context().Done() // the page leaves
		}, func(w http.ResponseWriter, r *http.Request) {
			out := newStream(w, r)
			out.send(delta(1, 0, "Hello wor"))
			await(r, end)
			out.send(final("Hello world"))
		})
		p.run(`await chat.open(); chat.send("Hi")`)
		p.wait(last + ` === "Hello"`)
		p.do(chromedp.Reload())
		p.wait(last + ` === "Hello wor"`)
		is(p, `text(".me")`, []string{"You:\nHi"})
		close(end)
		p.wait(last + ` === "Hello world"`)
		sent := s.requests("/chat")
		if len(sent) != 2 || sent[0].Header.Get("Idempotency-Key") != sent[1].Header.Get("Idempotency-Key") {
			t.Errorf("%d messages were sent; want 2 with the same Idempotency-Key", len(sent))
		}
	})

	t.Run("a page in the browser's cache has nothing answered, and goes on when it is back", func(t *testing.T) {
		ended, back := make(chan struct{}), make(chan struct{})
		var asked atomic.Int32
		s := newSiteOf(t, newBotWith(t, parley.Config{Bot: streamer(func(ctx context.Context, emit func(string)) (parley.Reply, error) {
			switch asked.Add(1) {
			case 1:
				emit("Hel")
				<-ctx.Done()
				close(ended)
				return parley.Reply{}, ctx.Err()
			case 2:
				close(back)
			}
			return parley.Text("Hello world"), nil
		})}))
		s.show("/", script)
		s.show("/other", "<h1>Another page</h1>")
		p := visit(t, browser, s.URL+"/")
		p.run(`window.heard = []; chat.on("reply", (e) => heard.push(e.detail.reply)); await chat.open(); chat.send("Hi")`)
		p.wait(last + ` === "Hel"`)
		p.run(`$("textarea").value = "half a sent"`)
		p.do(chromedp.Navigate(s.URL + "/other"))
		select {
		case <-ended:
		case <-time.After(3 * time.Second):
			t.Error("3 seconds after the page was left, the bot is still at work; want it told to stop after one")
		}
		p.run(`history.back()`)
		select {
		case <-back:
		case <-time.After(10 * time.Second):
			t.Fatal("10 seconds after the page came back, the bot was not asked again; want the answer that was given up")
		}
		// A poll would look for the page as it was before.
		p.run(`while (` + last + ` !== "Hello world") await new Promise((r) => setTimeout(r, 20))`)
		is(p, `heard`, []map[string]string{{"output": "Hello world"}}) // what the page remembers shows that it is the same
		is(p, `[text(".me"), $$(".turn").length, $$(".failed").length, $("textarea").value]`, []any{[]string{"You:\nHi"}, 1, 0, "half a sent"})
		p.run(`await chat.send("Again")`)
		is(p, `[$$(".turn").length, heard.length]`, []int{2, 2})
		if n := asked.Load(); n != 3 {
			t.Errorf("the bot was asked %d times; want 3: before, after, and again", n)
		}
	})

	t.Run("another tab joins a stream", func(t *testing.T) {
		s := newSite(t)
		end := make(chan struct{})
		s.only("/stream", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Parley-Session") == "" {
				t.Error("GET /stream has no X-Parley-Session; want the token")
			}
			out := newStream(w, r)
			out.send("event: prompt\ndata: {\"seq\":3,\"prompt\":\"Hi\",\"time\":\"2026-03-14T09:26:00Z\"}\n\n", delta(3, 0, "Hello"))
			await(r, end)
			out.send(delta(3, 5, " world"), final("Hello world!"))
		})
		s.show("/", s.remembers(t)+script)
		p := visit(t, browser, s.URL+"/")
		p.run(`await chat.open()`)
		p.wait(last + ` === "Hello"`)
		is(p, `text(".me")`, []string{"You:\nHi"})
		p.run(`chat.send("And then?")`)
		if n := len(s.requests("/chat")); n != 0 {
			t.Errorf("%d messages were sent while another one was answered; want 0", n)
		}
		close(end)
		p.wait(last + ` === "You said: And then?"`)
		is(p, `[text(".bot > .bubble")[1], $$(".turn").length]`, []any{"Hello world!", 2})
	})

	t.Run("a stream of another tab that breaks off is in the history", func(t *testing.T) {
		s := newSite(t)
		var asked, ended atomic.Bool
		s.on(func(w http.ResponseWriter, r *http.Request) bool {
			switch {
			case r.URL.Path == "/stream" && !asked.Swap(true):
				newStream(w, r).send("event: prompt\ndata: {\"seq\":1,\"prompt\":\"Hi\",\"time\":\"2026-03-14T09:26:00Z\"}\n\n", delta(1, 0, "Hel"))
				ended.Store(true)
			case r.URL.Path == "/stream":
				w.WriteHeader(http.StatusNoContent)
			case r.URL.Path == "/history" && ended.Load():
				serveHistory(w, r, []turn{said("Hi", parley.Text("Hello"))})
			default:
				return false
			}
			return true
		})
		s.show("/", s.remembers(t)+script)
		p := visit(t, browser, s.URL+"/")
		p.run(`await chat.open()`)
		p.wait(last + ` === "Hello"`)
		is(p, `[$$(".turn").length, $$(".failed").length]`, []int{1, 0})
	})

	for name, answer := range map[string]http.HandlerFunc{
		"is not there":      http.NotFound,
		"has nothing":       func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"does not work":     func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"is something else": func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{"message":"Welcome"}`) },
	} {
		t.Run("a stream to join that "+name+" is let be", func(t *testing.T) {
			s := newSite(t)
			s.only("/stream", answer)
			s.show("/", s.remembers(t)+script)
			p := visit(t, browser, s.URL+"/")
			p.run(`await chat.open(); await chat.send("Hello")`)
			is(p, `[$$(".turn").length, $$(".failed, .notice").length]`, []int{1, 0})
			if n := len(s.requests("/stream")); n != 1 {
				t.Errorf("GET /stream was asked %d times; want once", n)
			}
		})
	}
}

// remembers is what a page has that was left by a visitor of a session.
func (s *site) remembers(t testing.TB) string {
	return fmt.Sprintf(`<script>if (!localStorage.length) localStorage.setItem("parley " + location.origin + "/chat", '{"epoch":"","token":"%s"}')</script>`, s.token(t))
}

func TestSentFormsStaySent(t *testing.T) {
	browser := browsertest.Start(t)
	s := newSite(t)
	s.show("/", script)
	p := visit(t, browser, s.URL+"/")
	const fill = `$$("[name=name]").at(-1).value = "Ada"; $$(".submit").at(-1).click();`
	p.run(`await chat.open(); await chat.send("form"); await chat.send("Hello"); await chat.send("form");` + fill)
	p.wait(`$(".sent")`)
	for range 2 {
		p.do(chromedp.Reload())
		p.wait(`$$(".turn").length === 3`)
		is(p, `$$(".form").map((form) => form.matches(".sent"))`, []bool{false, true})
		is(p, `text(".sent")`, []string{"Thank you! We received your message and will respond soon."})
	}
	p.run(`await chat.send("form")`)
	p.run(fill)
	p.wait(`$$(".sent").length === 2`)
	p.do(chromedp.Reload())
	p.wait(`$$(".turn").length === 4`)
	is(p, `$$(".form").map((form) => form.matches(".sent"))`, []bool{false, true, true})
	p.run(`chat.logout()`)
	p.wait(`$$(".turn").length === 0`)
	is(p, `JSON.stringify({...sessionStorage}).includes("Thank")`, false)
}

// TestTokensAreSent lets the widget talk to a server that refuses what comes
// without a session or a CSRF token.
func TestTokensAreSent(t *testing.T) {
	browser := browsertest.Start(t)
	csrf, err := middleware.NewCSRF(true, strings.Repeat("secret", 4))
	if err != nil {
		t.Fatal(err)
	}
	s := newSiteOf(t, newBotWith(t, parley.Config{RequireSession: true, Middleware: []func(http.Handler) http.Handler{csrf.Check}}))
	token, _ := csrf.Token()
	s.show("/", fmt.Sprintf(`<script src="/widget.js" data-csrf-token="%s"></script>`, token))
	s.show("/without", script)
	p := visit(t, browser, s.URL+"/")
	p.run(`await chat.open(); await chat.send("Hello"); await chat.send("form"); $("[name=name]").value = "Ada"; $(".submit").click()`)
	p.wait(`$(".sent")`)
	p.do(chromedp.Reload())
	p.wait(`$$(".turn").length === 2`)
	is(p, `text(".bot > .bubble")[1]`, "You said: Hello")
	for _, path := range []string{"/session", "/chat", "/chat", "/history", "/forms/feedback"} {
		for _, r := range s.requests(path) {
			if got := r.Header.Get("X-CSRFToken"); got != token {
				t.Errorf("%s %s has the X-CSRFToken %q; want the page's", r.Method, path, got)
			}
		}
		if len(s.requests(path)) == 0 {
			t.Errorf("there was no request to %s", path)
		}
	}

	p = visit(t, browser, s.URL+"/without")
	p.run(`await chat.open(); await chat.send("Hello")`)
	is(p, `text(".failed")`, []string{"Invalid CSRF token Edit"})
}

// TestFormTokensStayHome posts a form to another server than the chat's.
func TestFormTokensStayHome(t *testing.T) {
	browser := browsertest.Start(t)
	s, other := newSite(t), newSite(t)
	form := feedback
	form.SubmitURL = other.URL + "/forms/feedback"
	s.only("/chat", func(w http.ResponseWriter, r *http.Request) {
		w.Write(reply(parley.Reply{Text: "Tell us:", Content: &form}))
	})
	s.show("/", `<script src="/widget.js" data-csrf-token="t1"></script>`)
	p := visit(t, browser, s.URL+"/")
	p.run(`await chat.open(); await chat.send("form"); $("[name=name]").value = "Ada"; $(".submit").click()`)
	p.wait(`$(".sent")`)
	posted := other.requests("/forms/feedback")
	if len(posted) != 1 {
		t.Fatalf("the form was posted %d times; want once", len(posted))
	}
	for _, r := range posted {
		for _, name := range []string{"X-CSRFToken", "X-Parley-Session"} {
			if got := r.Header.Get(name); got != "" {
				t.Errorf("another server got the %s %q; want none", name, got)
			}
		}
	}
	if got := s.requests("/chat")[0].Header.Get("X-CSRFToken"); got != "t1" {
		t.Errorf("X-CSRFToken is %q on /chat; want t1", got)
	}
}

func TestMarkdown(t *testing.T) {
	browser := browsertest.Start(t)
	s := newSite(t)
	s.show("/", `<script src="/widget.js" data-initial-message=""></script>`)
	p := visit(t, browser, s.URL+"/")
	p.run(`await chat.open(); window.tree = (n) => n.nodeType === 3 ? n.data : n.localName + "(" + [...n.childNodes].map(tree).join("") + ")"`)
	for _, test := range []struct{ name, text, want string }{
		{"paragraphs", "one\ntwo\r\n\r\nthree", "p(one\ntwo)p(three)"},
		{"bold, italic and code", "a **b *c* d** _e_ `**f**`", "p(a strong(b em(c) d) em(e) code(**f**))"},
		{"bold over two lines", "**a\nb**", "p(strong(a\nb))"},
		{"underscores within words", "snake_case_name 2*3*4", "p(snake_case_name 2em(3)4)"},
		{"escapes", `\*a\* 1\. b`, "p(*a* 1. b)"},
		{"a heading", "## Title\ntext", "p(strong(Title))p(text)"},
		{"code that is fenced", "text\n```go\na *b*\n\n- c\n```\nend", "p(text)pre(a *b*\n\n- c)p(end)"},
		{"code without an end", "```\na", "pre(a)"},
		{"a list", "- a\n- **b**\n\ntext", "ul(li(p(a))li(p(strong(b))))p(text)"},
		{"a loose list", "1. a\n\n2. b", "ol(li(p(a))li(p(b)))"},
		{"a list within a list", "1. a\n   - b\n   - c\n2. d", "ol(li(p(a)ul(li(p(b))li(p(c))))li(p(d)))"},
		{"more of an item", "- a\n  b\n\n  c\n- d", "ul(li(p(a\nb)p(c))li(p(d)))"},
		{"code within an item", "- a\n  ```\n  b\n  ```", "ul(li(p(a)pre(b)))"},
		{"two kinds of lists", "- a\n1. b", "ul(li(p(a)))ol(li(p(b)))"},
		{"what only looks like a list", "-a 1.b", "p(-a 1.b)"},
		{"links", "[a *b*](/c) https://example.com/d(e). <x>", "p(a(a em(b)) a(https://example.com/d(e)). <x>)"},
		{"html", "<b>a</b>&amp;", "p(<b>a</b>&amp;)"},
	} {
		data, _ := json.Marshal(test.text)
		s.only("/chat", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, `{"output":%s}`, data) })
		p.run(`await chat.send("go")`)
		if got := eval[string](p, `[...$$(".bot > .bubble").at(-1).childNodes].map(tree).join("")`); got != test.want {
			t.Errorf("%s: %q shows as %s; want %s", test.name, test.text, got, test.want)
		}
	}
	p.run(`chat.reset()`)
	p.wait(`$$(".turn").length === 0`)
	s.only("/chat", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{"output":"3. c\n4. d"}`) })
	p.run(`await chat.send("go")`)
	is(p, `$("ol").start`, 3)
}
