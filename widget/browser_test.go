package widget_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/parley-chat/parley/internal/browsertest"
)

// tab is a page of a site in a browser.
type tab struct {
	testing.TB
	ctx context.Context
}

// visit opens a page in a tab of its own.
func visit(t testing.TB, b *browsertest.Browser, url string, before ...chromedp.Action[chromedp.Void]) *tab {
	t.Helper()
	p := &tab{t, b.Tab(t)}
	p.do(before...)
	p.do(chromedp.Navigate(url))
	p.wait("chat")
	return p
}

func (p *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	p.Helper()
	if err := chromedp.Do(p.ctx, actions...); err != nil {
		p.Fatal(err)
	}
}

// prelude names what the tests talk about.
const prelude = `const chat = document.querySelector("parley-chat"), root = chat?.shadowRoot,
	$ = (s) => root.querySelector(s), $$ = (s) => [...root.querySelectorAll(s)], text = (s) => $$(s).map((n) => n.innerText.trim());`

// run runs statements in the page.
func (p *tab) run(script string) {
	p.Helper()
	p.do(chromedp.Evaluate[chromedp.Void]("(async () => {"+prelude+script+"})()", chromedp.EvalAwaitPromise))
}

// wait waits until an expression is true.
func (p *tab) wait(expression string) {
	p.Helper()
	poll := chromedp.PollFunction[bool]("() => {"+prelude+"try { return !!("+expression+") } catch { return false } }", chromedp.WithPollingTimeout(10*time.Second))
	if _, err := chromedp.Run(p.ctx, poll); err != nil {
		p.Fatalf("never came true: %s (%v); the chat shows %q", expression, err, eval[string](p, `$(".window")?.innerText ?? ""`))
	}
}

// eval returns the value of an expression.
func eval[T any](p *tab, expression string) T {
	p.Helper()
	value, err := chromedp.Run(p.ctx, chromedp.Evaluate[T]("(async () => {"+prelude+"return ("+expression+")})()", chromedp.EvalAwaitPromise))
	if err != nil {
		p.Fatalf("%s: %v", expression, err)
	}
	return value
}

// is fails the test unless an expression has a value.
func is[T any](p *tab, expression string, want T) {
	p.Helper()
	got, _ := json.Marshal(eval[T](p, expression))
	if want, _ := json.Marshal(want); string(got) != string(want) {
		p.Errorf("%s is %s; want %s", expression, got, want)
	}
}

// say types a message and sends it with Enter, as a visitor does.
func (p *tab) say(text string) {
	p.Helper()
	p.do(chromedp.SendKeys(chromedp.JSPath(`document.querySelector("parley-chat").shadowRoot.querySelector(".composer textarea")`), text+"\r"))
}

func (p *tab) click(selector string) {
	p.Helper()
	p.do(chromedp.Click(chromedp.JSPath(`document.querySelector("parley-chat").shadowRoot.querySelector("` + selector + `")`)))
}

const script = `<h1>A page</h1><script src="/widget.js" async></script>`

func TestWidget(t *testing.T) {
	browser := browsertest.Start(t)
	start := func(t *testing.T, page string, before ...chromedp.Action[chromedp.Void]) (*site, *tab) {
		t.Helper()
		s := newSite(t)
		s.show("/", page)
		return s, visit(t, browser, s.URL+"/", before...)
	}

	t.Run("loads the chat when it is opened, and gives the focus back", func(t *testing.T) {
		_, p := start(t, script)
		is(p, `performance.getEntriesByType("resource").filter((e) => /widget/.test(e.name)).length`, 1)
		is(p, `$(".launcher").ariaLabel`, "Open chat. ")
		p.click(".launcher")
		p.wait(`$("dialog").open && root.activeElement === $(".composer textarea")`)
		is(p, `$(".launcher").ariaExpanded`, "true")
		is(p, `text(".bubble")`, []string{"Hello! How can I help you today?"})
		p.do(chromedp.KeyEvent("\u001b"))
		p.wait(`!$("dialog").open`)
		is(p, `root.activeElement === $(".launcher")`, true)
	})

	t.Run("shows each kind of reply", func(t *testing.T) {
		_, p := start(t, script)
		p.run(`await chat.open()`)
		p.say("articles")
		p.wait(`$$(".article").length === 3`)
		is(p, `$(".article").innerText`, "Getting started\nSet up your account and send the first message in five minutes.")
		is(p, `$$(".article").map((a) => [a.href.replace(location.origin, ""), a.rel, a.target])`, [][]string{
			{"https://help.example.com/start", "noreferrer nofollow", "_blank"},
			{"/help/billing", "noreferrer nofollow", "_blank"},
			{"mailto:help@example.com", "noreferrer nofollow", ""},
		})
		p.say("cards")
		p.wait(`$$(".card").length === 3`)
		is(p, `$$(".card")[0].innerText`, "New\nPine Lodge\nTwo rooms, a stove and a view over the valley.\n€120 a night\nSee dates")
		is(p, `$$(".card")[1].querySelector(".more").innerText`, "Learn More")
		is(p, `$$(".card img").map((i) => [i.loading, i.alt])[0]`, []string{"lazy", "Hills under a blue sky"})
		p.run(`$(".row").scrollLeft = 600`)
		p.wait(`$$(".card")[2].querySelector(".none")`) // its picture is missing
		is(p, `$(".row").tabIndex`, 0)
		p.say("form")
		p.wait(`$(".form input")`)
		is(p, `text(".form label")`, []string{"Name *", "Code"})
		p.say("choices")
		p.wait(`$$(".choice").length === 3`)
		is(p, `text(".said.bot > .bubble").slice(1)`, []string{"These may help:", "Have a look:", "Tell us:", "How can we help?"})
	})

	t.Run("a form shows what is wrong, keeps what was typed, and is sent once", func(t *testing.T) {
		s, p := start(t, script)
		p.run(`window.heard = []; document.addEventListener("formSubmitted", (e) => heard.push(e.detail));
			chat.on("formSubmitted", (e) => heard.push("on")); await chat.open(); await chat.send("form")`)
		p.run(`$("[name=code]").value = "12"; $(".submit").click()`)
		is(p, `text(".problem")`, []string{"This is required.", "Four digits, please."})
		is(p, `root.activeElement.name`, "name")
		is(p, `$$("[aria-invalid=true]").map((n) => [n.name, $("#" + n.getAttribute("aria-describedby")).innerText])`, [][]string{
			{"name", "This is required."}, {"code", "Four digits, please."}})
		is(p, `$("[name=code]").value`, "12")
		if n := len(s.requests("/forms/feedback")); n != 0 {
			t.Errorf("the form was posted %d times before it was right; want 0", n)
		}
		p.run(`$("[name=code]").value = "1234"; $("[name=code]").dispatchEvent(new Event("input"))`)
		is(p, `text(".problem")`, []string{"This is required.", ""})

		refuse := true
		s.on(func(w http.ResponseWriter, r *http.Request) bool {
			if !refuse || r.URL.Path != "/forms/feedback" {
				return false
			}
			refuse = false
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error":"name is taken","errors":{"name":"Somebody has this name."}}`)
			return true
		})
		p.run(`$("[name=name]").value = "Ada"; $(".submit").click(); $(".submit").click()`)
		p.wait(`text(".problem")[0] === "Somebody has this name."`)
		is(p, `[$("[name=name]").value, $("[name=code]").value]`, []string{"Ada", "1234"})
		p.run(`$(".submit").click(); $(".submit").click(); $(".submit").click()`)
		p.wait(`$(".sent")`)
		is(p, `$(".sent").innerText`, "Thank you! We received your message and will respond soon.")
		is(p, `heard`, []any{"on", map[string]string{"name": "Ada", "code": "1234"}})
		if n := len(s.requests("/forms/feedback")); n != 2 {
			t.Errorf("the form was posted %d times; want 2: refused and accepted", n)
		}
	})

	t.Run("a quick reply becomes one message", func(t *testing.T) {
		s, p := start(t, script)
		p.run(`window.heard = []; document.addEventListener("cannedResponseSelected", (e) => heard.push(e.detail));
			await chat.open(); await chat.send("choices"); $(".choice").click(); $(".choice").click()`)
		p.wait(`text(".bot > .bubble").at(-1) === "You said: I want to talk to sales"`)
		is(p, `text(".me")`, []string{"You:\nchoices", "You:\nI want to talk to sales"})
		is(p, `heard`, []map[string]string{{"id": "sales", "text": "Talk to sales", "value": "I want to talk to sales"}})
		is(p, `$$(".choice").map((b) => [b.disabled, b.classList.contains("chosen")])`, [][]bool{{true, true}, {true, false}, {true, false}})
		if n := len(s.requests("/chat")); n != 2 {
			t.Errorf("%d messages were sent; want 2", n)
		}
	})

	t.Run("a conversation survives a reload", func(t *testing.T) {
		s, p := start(t, script)
		p.run(`await chat.open(); await chat.send("Hello"); await chat.send("choices"); await chat.send("Get help")`)
		p.do(chromedp.SendKeys(chromedp.JSPath(`document.querySelector("parley-chat").shadowRoot.querySelector(".composer textarea")`), "half a sent"))
		before := eval[[]string](p, `text(".bubble")`)
		p.do(chromedp.Reload())
		p.wait(`$$(".turn").length === 3`) // open, because it was
		is(p, `text(".bubble")`, before)
		is(p, `$("textarea").value`, "half a sent")
		is(p, `root.activeElement === null`, true) // nobody asked for the focus
		is(p, `$$(".choice.chosen").map((b) => b.innerText)`, []string{"Get help"})
		if n := len(s.requests("/session")); n != 1 {
			t.Errorf("%d sessions were opened; want 1", n)
		}
	})

	t.Run("a message in flight survives a reload", func(t *testing.T) {
		s, p := start(t, script)
		var gone atomic.Bool
		s.on(func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/chat" || gone.Swap(true) {
				return false
			}
			io.Copy(io.Discard, r.Body)
			<-r.Context().Done() // the page leaves before its answer
			return true
		})
		p.run(`await chat.open(); chat.send("Hello")`)
		p.wait(`$(".typing")`)
		for len(s.requests("/chat")) == 0 {
			p.run(`await new Promise((r) => setTimeout(r, 20))`)
		}
		p.do(chromedp.Reload())
		p.wait(`text(".bot > .bubble").at(-1) === "You said: Hello"`)
		is(p, `$$(".turn").length`, 1)
		sent := s.requests("/chat")
		if len(sent) != 2 || sent[0].Header.Get("Idempotency-Key") != sent[1].Header.Get("Idempotency-Key") || sent[0].Header.Get("Idempotency-Key") == "" {
			t.Errorf("%d messages were sent; want 2 with the same Idempotency-Key", len(sent))
		}
	})

	t.Run("another visitor never sees the one before", func(t *testing.T) {
		_, p := start(t, script)
		p.run(`await chat.open(); await chat.send("I am somebody"); $("textarea").value = "secret"; chat.identify("carl")`)
		p.do(chromedp.Reload())
		p.wait(`$$(".turn").length === 1`) // whom we know by name now
		is(p, `text(".me")`, []string{"You:\nI am somebody"})
		p.run(`chat.identify("ada")`)
		p.wait(`$$(".turn").length === 0`)
		is(p, `$("textarea").value`, "")
		p.run(`await chat.send("I am Ada")`)
		p.do(chromedp.Reload())
		p.wait(`$$(".turn").length === 1`)
		p.run(`chat.identify({id: "ada"})`) // as on every page of hers
		is(p, `text(".me")`, []string{"You:\nI am Ada"})
		p.run(`chat.logout(); await chat.send("I am Bob")`)
		is(p, `text(".me")`, []string{"You:\nI am Bob"})
		p.do(chromedp.Reload())
		p.wait(`$$(".turn").length === 1`)
		is(p, `text(".me")`, []string{"You:\nI am Bob"})
		is(p, `JSON.stringify({...localStorage, ...sessionStorage}).match(/somebody|carl|Ada|secret/)`, any(nil))
		p.run(`chat.reset()`)
		p.wait(`$$(".turn").length === 0`)
	})

	t.Run("an answer to the visitor before is dropped", func(t *testing.T) {
		_, p := start(t, script)
		p.run(`await chat.open(); chat.send("slow"); await new Promise((r) => setTimeout(r, 150)); chat.logout();
			await chat.send("Hello"); await new Promise((r) => setTimeout(r, 600))`)
		is(p, `text(".bubble")`, []string{"Hello! How can I help you today?", "Hello", "You said: Hello"})
	})

	t.Run("another tab follows", func(t *testing.T) {
		s := newSite(t)
		s.show("/", script+`<iframe id="other" src="/other"></iframe>`)
		s.show("/other", script)
		p := visit(t, browser, s.URL+"/")
		p.run(`await chat.open(); await chat.send("I am nobody")`)
		p.wait(`document.querySelector("#other").contentWindow.Parley?.isConnected`)
		p.run(`document.querySelector("#other").contentWindow.Parley.logout()`)
		p.wait(`$$(".turn").length === 0`)
	})

	t.Run("what may pass is tried again as the same message", func(t *testing.T) {
		s, p := start(t, script)
		fail := []string{"500", "nonsense", ""}
		s.on(func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/chat" || len(fail) == 0 {
				return false
			}
			how := fail[0]
			fail = fail[1:]
			switch how {
			case "500":
				w.WriteHeader(http.StatusInternalServerError)
			case "nonsense":
				fmt.Fprint(w, "<html>")
			default:
				return false
			}
			return true
		})
		p.run(`await chat.open(); await chat.send("Hello")`)
		is(p, `text(".bot > .bubble").at(-1)`, "You said: Hello")
		keys := map[string]int{}
		for _, r := range s.requests("/chat") {
			keys[r.Header.Get("Idempotency-Key")]++
		}
		if len(keys) != 1 || keys[""] > 0 {
			t.Errorf("the tries had the keys %v; want one for all three", keys)
		}
	})

	t.Run("what failed can be sent again", func(t *testing.T) {
		s, p := start(t, script)
		var broken atomic.Bool
		broken.Store(true)
		s.on(func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/chat" && broken.Load() {
				w.Header().Set("Retry-After", "60")
				w.WriteHeader(http.StatusTooManyRequests)
				fmt.Fprint(w, `{"error":"Too many chat requests, please try again later."}`)
				return true
			}
			return false
		})
		p.run(`window.heard = []; chat.on("error", (e) => heard.push(e.detail.status)); await chat.open(); await chat.send("Hello")`)
		is(p, `text(".failed")`, []string{"Too many chat requests, please try again later. Try again"})
		is(p, `heard`, []int{429})
		if n := len(s.requests("/chat")); n != 1 {
			t.Errorf("%d requests although the server asked for a minute's rest; want 1", n)
		}
		p.do(chromedp.Reload())
		p.wait(`$(".failed")`) // nothing typed is lost
		broken.Store(false)
		p.click(".failed button")
		p.wait(`text(".bot > .bubble").at(-1) === "You said: Hello"`)
		is(p, `$$(".failed").length`, 0)
	})

	t.Run("what was refused can be mended", func(t *testing.T) {
		_, p := start(t, script)
		p.run(`await chat.open(); await chat.send("x".repeat(1001))`)
		is(p, `text(".failed")`, []string{"Prompt too long Edit"})
		p.click(".failed button")
		p.wait(`$$(".turn").length === 0`)
		is(p, `$("textarea").value.length`, 1001)
	})

	t.Run("a session that is not valid any more begins anew", func(t *testing.T) {
		s, p := start(t, script)
		const spoil = `const key = "parley " + location.origin + "/chat"; localStorage[key] = JSON.stringify({...JSON.parse(localStorage[key]), token: "v1.spoilt"});`
		p.run(`await chat.open(); await chat.send("Hello");` + spoil + `await chat.send("Again")`)
		is(p, `text(".bot > .bubble").at(-1)`, "You said: Again")
		p.run(spoil)
		p.do(chromedp.Reload())
		p.wait(`$(".bubble")`)
		is(p, `$$(".turn").length`, 0)
		p.run(`await new Promise((r) => setTimeout(r, 200))`)
		if n := len(s.requests("/session")); n != 2 {
			t.Errorf("%d sessions were opened; want 2, as nothing was sent in a third", n)
		}
	})

	t.Run("Enter sends, but not while an input method composes", func(t *testing.T) {
		s, p := start(t, script)
		p.run(`await chat.open(); const field = $("textarea"); field.value = "にほん";
			const press = (init) => field.dispatchEvent(new KeyboardEvent("keydown", {key: "Enter", bubbles: true, cancelable: true, ...init}));
			press({isComposing: true}); press({keyCode: 229}); press({shiftKey: true})`)
		is(p, `$$(".turn").length`, 0)
		p.run(`$("textarea").value = "  "; $(".send").click()`)
		is(p, `$$(".turn").length`, 0)
		p.run(`$("textarea").value = "Hello"; $(".send").click(); $(".send").click()`)
		p.wait(`text(".bot > .bubble").at(-1) === "You said: Hello"`)
		is(p, `$$(".turn").length`, 1)
		if n := len(s.requests("/chat")); n != 1 {
			t.Errorf("%d messages were sent; want 1", n)
		}
	})

	t.Run("scrolling leaves readers where they read", func(t *testing.T) {
		_, p := start(t, script)
		p.run(`await chat.open(); await chat.send("Hello"); await chat.send("long")`)
		// A long answer is read from its beginning.
		p.wait(`Math.abs($$(".bot > .bubble").at(-1).getBoundingClientRect().top - $(".log").getBoundingClientRect().top) < 80`)
		p.run(`chat.send("slow"); await new Promise((r) => setTimeout(r, 150)); $(".log").scrollTop = 40`)
		p.wait(`text(".bot > .bubble").at(-1) === "You said: slow"`)
		is(p, `[$(".log").scrollTop, $(".jump").hidden]`, []any{40, false})
		p.click(".jump")
		p.wait(`$(".jump").hidden && $(".log").scrollHeight - $(".log").scrollTop - $(".log").clientHeight < 2`)
	})

	t.Run("replies that nobody saw are counted", func(t *testing.T) {
		_, p := start(t, script)
		p.run(`await chat.open(); const answered = chat.send("slow"); chat.close(); await answered; await chat.send("Hello")`)
		is(p, `[$(".badge").textContent, $(".launcher").ariaLabel]`, []string{"2", "Open chat. New messages: 2"})
		p.do(chromedp.Reload())
		p.wait(`$(".badge")?.textContent === "2"`)
		p.run(`await chat.open()`)
		is(p, `$(".badge").textContent`, "")
	})

	t.Run("a page can stop what is about to happen", func(t *testing.T) {
		_, p := start(t, script)
		p.run(`window.heard = []; const stop = (e) => e.preventDefault();
			for (const type of ["open", "message", "reply", "close"]) chat.on(type, (e) => heard.push(e.type));
			chat.on("beforeopen", stop); await chat.open(); chat.off("beforeopen", stop);
			await chat.open(); chat.on("beforemessage", stop); await chat.send("no"); chat.off("beforemessage", stop); await chat.send("yes");
			chat.on("beforeclose", stop); chat.close(); chat.off("beforeclose", stop); await chat.toggle()`)
		is(p, `heard`, []string{"open", "message", "reply", "close"})
		is(p, `text(".me")`, []string{"You: yes"})
	})

	t.Run("fills a phone", func(t *testing.T) {
		_, p := start(t, `<script src="/widget.js" data-open-by-default async></script>`,
			chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile, chromedp.EmulateTouch))
		is(p, `!!$("dialog")`, false) // not by itself over the whole screen
		p.run(`await chat.open()`)
		is(p, `(({offsetLeft, offsetTop, offsetWidth, offsetHeight}) => [offsetLeft, offsetTop, offsetWidth, offsetHeight])($("dialog"))`, []int{0, 0, 390, 844})
		is(p, `[$("dialog").matches(":modal"), getComputedStyle($("textarea")).fontSize, root.activeElement === $("dialog")]`, []any{true, "16px", true})
		is(p, `document.documentElement.scrollWidth`, 390)
		p.do(chromedp.EmulateViewport(390, 420, chromedp.EmulateMobile, chromedp.EmulateTouch)) // a keyboard comes up
		p.wait(`$(".composer").getBoundingClientRect().bottom <= 420`)
		p.do(chromedp.EmulateViewport(1000, 800))
		p.wait(`!$("dialog").matches(":modal") && $("dialog").open`)
		p.run(`chat.close()`)
		is(p, `$("dialog").open`, false)
	})

	t.Run("fills an element", func(t *testing.T) {
		s := newSite(t)
		s.show("/", `<div id="here"></div><script src="/widget.js" data-target="#here" data-title="Ask"></script>`)
		s.show("/element", `<div id="here"><parley-chat inline agent-name="Ada" suggestions="One|Two"></parley-chat></div><script src="/widget.js"></script>`)
		for _, path := range []string{"/", "/element"} {
			p := visit(t, browser, s.URL+path)
			p.wait(`$("section.window")`)
			is(p, `[document.querySelectorAll("parley-chat").length, getComputedStyle($(".launcher")).display]`, []any{1, "none"})
			is(p, `["width", "height"].map((side) => $(".window").getBoundingClientRect()[side] - document.querySelector("#here").getBoundingClientRect()[side])`, []int{0, 0})
			p.run(`chat.close(); await chat.send("Hello")`)
			is(p, `text(".bot > .bubble").at(-1)`, "You said: Hello")
		}
	})

	t.Run("takes its settings from everywhere", func(t *testing.T) {
		s := newSite(t)
		s.show("/", `<parley-chat title="Element" webhookUrl="/chat" class="mine" launcher-text="Ask"></parley-chat><script src="/widget.js" data-title="Script" data-agent-name="Ada" data-placeholder="Write" async></script>`)
		p := visit(t, browser, s.URL+"/")
		p.run(`await chat.open()`)
		is(p, `[$("h2").innerText, $("header p").innerText, $("textarea").placeholder, chat.title, $(".launcher").ariaLabel, Parley === chat]`,
			[]any{"Element", "Ada", "Write", "", "Close chat. ", true})
		p.run(`Parley.init({title: "Script", agentName: "Bob", position: "left", className: "theirs", initialMessage: "", strings: {send: "Senden"}}); chat.setAttribute("placeholder", "Schreib")`)
		is(p, `[$("h2").innerText, $("header p").innerText, $("textarea").placeholder, chat.className, $(".send").ariaLabel]`, []string{"Script", "Bob", "Schreib", "theirs", "Senden"})
		is(p, `[$$(".bubble").length, $("dialog").offsetLeft, $(".launcher").offsetLeft]`, []int{0, 20, 20})
	})

	t.Run("text can be read on any color", func(t *testing.T) {
		_, p := start(t, script)
		p.run(`await chat.open(); await chat.send("[a link](/x)"); await chat.send("choices"); window.ratios = {};
			const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
			const y = (color) => { for (canvas.fillStyle of [getComputedStyle($(".window")).backgroundColor, color]) canvas.fillRect(0, 0, 1, 1);
				const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b };
			const ratio = (a, b) => (Math.max(y(a), y(b)) + 0.05) / (Math.min(y(a), y(b)) + 0.05);
			for (const theme of ["light", "dark"]) for (const color of ["#242424", "#fff", "#000", "#ff0", "#f00", "#00f", "#0f0", "#f0f", "#777", "#e4572e", "#4f46e5", "teal", "hsl(300 90% 40%)", "oklch(0.6 0.25 30)", "no color"]) {
				chat.configure({color, theme});
				await new Promise((r) => setTimeout(r, 350)); // transitions
				const style = (s) => getComputedStyle($(s)), ground = style(".window").backgroundColor;
				ratios[theme + " " + color] = Math.min(
					ratio(style(".me .bubble").color, style(".me .bubble").backgroundColor),
					ratio(style(".launcher").color, style(".launcher").backgroundColor),
					ratio(style(".bubble a").color, style(".bot .bubble").backgroundColor),
					ratio(style(".choice").color, ground), ratio(style(".meta").color, ground));
			}`)
		for color, ratio := range eval[map[string]float64](p, "ratios") {
			if ratio < 4.5 {
				t.Errorf("%s: a contrast of %.2f; want 4.5 or more", color, ratio)
			}
		}
	})

	t.Run("unsafe links are no links", func(t *testing.T) {
		s, p := start(t, script)
		s.on(func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/chat" {
				return false
			}
			fmt.Fprint(w, `{"content":"[a](javascript:alert(1)) [b](data:text/html,x) <img src=x onerror=alert(1)> [c](//example.com/c)","content_type":"article",
				"content_attributes":{"items":[{"title":"<b>t</b>","description":"d","link":" JavaScript:alert(1)"},{"title":"u","description":"d","link":"vbscript:x"}]}}`)
			return true
		})
		p.run(`await chat.open(); await chat.send("hi")`)
		is(p, `$$(".turn a").map((a) => a.href)`, []string{"http://example.com/c"})
		is(p, `$$(".turn :is(img, b)").length`, 0)
		is(p, `$(".article").innerText`, "<b>t</b>\nd")
		s.only("/chat", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, `{"content":"Two:","content_type":"card","content_attributes":{"cards":{"cards":[
				{"title":"a","description":"d","image":"data:,","link":"javascript:alert(1)"},{"title":"b","description":"d","image":"data:,","link":"/b"}]}}}`)
		})
		p.run(`await chat.send("cards")`)
		is(p, `$$(".card").map((card) => [...card.querySelectorAll(".more")].map((n) => n.localName))`, [][]string{{}, {"a"}})
	})

	t.Run("long histories come in pieces", func(t *testing.T) {
		s := newSite(t)
		var past []turn
		for i := range 500 {
			past = append(past, turn{i + 1, fmt.Sprint("Question ", i+1), json.RawMessage(`{"output":"Answer"}`), time.Now()})
		}
		s.on(func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/history" {
				return false
			}
			if r.URL.Query().Has("before") {
				<-time.After(200 * time.Millisecond) // while the page comes to rest
			}
			serveHistory(w, r, past)
			return true
		})
		s.show("/", fmt.Sprintf(`<script>localStorage.setItem("parley " + location.origin + "/chat", '{"epoch":"","token":"%s"}')</script>`, s.token(t))+script)
		p := visit(t, browser, s.URL+"/")
		p.run(`await chat.open()`)
		p.wait(`$$(".turn").length === 50`)
		is(p, `$$(".top .bubble").length`, 0) // the greeting stands before the first message
		for n := 100; n <= 500; n += 50 {
			p.run(`$(".log").scrollTop = 150; window.top50 = $(".turn"); await new Promise((r) => requestAnimationFrame(() => setTimeout(r, 50)));
				window.at = top50.getBoundingClientRect().top`)
			p.wait(fmt.Sprintf(`$$(".turn").length === %d`, n))
			p.run(`await new Promise((r) => requestAnimationFrame(() => setTimeout(r)))`)
			if moved := eval[float64](p, `Math.abs(top50.getBoundingClientRect().top - at)`); moved > 20 {
				t.Errorf("the first message moved by %.0f pixels when earlier ones came; want it to stay", moved)
			}
		}
		p.wait(`$(".top .bubble")`)
		is(p, `[$$(".me")[0].textContent, $$(".me").at(-1).textContent]`, []string{"You: Question 1", "You: Question 500"})
		if took := eval[float64](p, `await (async () => { const began = performance.now(); await chat.send("Hello"); return performance.now() - began })()`); took > 2000 {
			t.Errorf("a message took %.0f ms among 500; want less than 2000", took)
		}
	})

	t.Run("long texts stay quick", func(t *testing.T) {
		s, p := start(t, script)
		texts := []string{
			strings.Repeat("**a *b `c [d](e ", 20000), strings.Repeat("*", 200000), strings.Repeat("`", 200000), strings.Repeat("[", 200000),
			strings.Repeat("- a\n  - b\n    - c\n", 3000), strings.Repeat("word ", 100000), strings.Repeat("x", 300000), strings.Repeat("_a ", 100000),
		}
		var next atomic.Int32
		s.on(func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/chat" {
				return false
			}
			json.NewEncoder(w).Encode(map[string]string{"output": texts[next.Add(1)-1]})
			return true
		})
		p.run(`await chat.open()`)
		for i := range texts {
			if took := eval[float64](p, `await (async () => { const began = performance.now(); await chat.send("go"); return performance.now() - began })()`); took > 4000 {
				t.Errorf("text %d took %.0f ms to show; want less than 4000", i, took)
			}
		}
	})

	t.Run("the module works on a page of another origin", func(t *testing.T) {
		s := newSite(t) // whose server allows loopback origins
		page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprintf(w, `<!doctype html><title>Another site</title><link rel="icon" href="data:,"><script type="module">import { init } from "%s/widget.mjs"; window.chat = init({title: "Module"}); chat.open()</script>`, s.URL)
		}))
		defer page.Close()
		p := visit(t, browser, page.URL)
		p.wait(`$("h2")?.innerText === "Module"`)
		p.run(`await chat.send("Hello")`)
		is(p, `text(".bot > .bubble").at(-1)`, "You said: Hello")
	})

	t.Run("a pinned script works, and loads nothing but the chat that it pins", func(t *testing.T) {
		path, integrity := scriptTag()
		s := newSite(t)
		s.show("/", fmt.Sprintf(`<script src="%s" integrity="%s" crossorigin="anonymous"></script>`, path, integrity))
		p := visit(t, browser, s.URL+"/")
		p.run(`await chat.open()`)
		is(p, `$("dialog").open`, true)
	})

	t.Run("a chat that cannot be loaded says so, and loads later", func(t *testing.T) {
		s := newSite(t)
		var broken atomic.Bool
		broken.Store(true)
		s.all = func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasPrefix(r.URL.Path, "/widget/") && broken.Load() {
				w.Header().Set("Content-Type", "text/javascript")
				fmt.Fprint(w, "export const start = () => { throw Error('another chat') }") // not what the script pins
				return true
			}
			return false
		}
		s.show("/", script)
		p := visit(expecting{t, "integrity"}, browser, s.URL+"/")
		p.run(`await chat.open()`)
		is(p, `[$(".badge").textContent, $(".launcher").title, $(".launcher").ariaExpanded]`, []string{"!", "The chat could not be loaded.", "false"})
		broken.Store(false)
		p.click(".launcher")
		p.wait(`$("dialog")?.open`)
		is(p, `$(".badge").textContent`, "")
	})

	t.Run("the example page works", func(t *testing.T) {
		html, err := os.ReadFile("../examples/html/index.html")
		if err != nil {
			t.Fatal(err)
		}
		_, p := start(t, strings.ReplaceAll(string(html), "http://localhost:3001", ""))
		p.do(chromedp.Click(chromedp.CSS("#ask")))
		p.wait(`text(".bot > .bubble").at(-1) === "You said: How long does delivery take?"`)
		is(p, `[$("h2").innerText, $("header p").innerText]`, []string{"Support", "Ada"})
	})

	t.Run("can be imported where there is no page", func(t *testing.T) {
		s := newSite(t)
		s.show("/", script+`<script>window.said = ""; new Worker("/worker.js", {type: "module"}).onmessage = (e) => said = e.data</script>`)
		s.all = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/worker.js" {
				return false
			}
			w.Header().Set("Content-Type", "text/javascript")
			fmt.Fprint(w, `import { init } from "/widget.mjs"; postMessage(typeof init + typeof document)`)
			return true
		}
		p := visit(t, browser, s.URL+"/")
		p.wait(`said === "functionundefined"`)
	})

	t.Run("works with a server that knows the guide only", func(t *testing.T) {
		bot := newBot(t)
		var sent []*http.Request
		var ids []string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/webhook" {
				http.NotFound(w, r) // without CORS, so that the page only sees a failure
				return
			}
			h := w.Header()
			h.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
			h.Set("Access-Control-Allow-Methods", "POST, OPTIONS")
			h.Set("Access-Control-Allow-Headers", "Content-Type, X-CSRFToken")
			if r.Method == http.MethodOptions {
				return
			}
			body, _ := io.ReadAll(r.Body)
			var message struct {
				SessionID string `json:"session_id"`
			}
			json.Unmarshal(body, &message)
			sent, ids = append(sent, r), append(ids, message.SessionID)
			r2 := httptest.NewRequest("POST", "/chat", strings.NewReader(string(body)))
			r2.Header.Set("Content-Type", "application/json")
			recorded := httptest.NewRecorder()
			bot.ServeHTTP(recorded, r2)
			w.Write(recorded.Body.Bytes())
		}))
		defer server.Close()
		s := newSite(t)
		s.show("/", fmt.Sprintf(`<script src="/widget.js" data-webhook-url="%s/webhook" data-csrf-token="t1"></script>`, server.URL))
		p := visit(expecting{t, "CORS policy"}, browser, s.URL+"/")
		p.run(`await chat.open(); await chat.send("Hello"); await chat.send("form");
			$("[name=name]").value = "Ada"; $(".submit").click()`)
		p.wait(`$(".sent")`)
		before := eval[[]string](p, `text(".said")`)
		p.do(chromedp.Reload())
		p.wait(`$$(".turn").length === 2`)
		is(p, `text(".said")`, before) // the form is done
		p.run(`await chat.send("And again")`)
		if len(sent) != 3 || ids[0] != ids[2] || len(ids[0]) != 36 {
			t.Fatalf("the server got %d messages with the session ids %q; want 3 with the same UUID", len(sent), ids)
		}
		if got := sent[2].Header.Get("X-CSRFToken"); got != "t1" {
			t.Errorf("X-CSRFToken is %q; want t1", got)
		}
		p.run(`chat.logout()`)
		p.wait(`$$(".turn").length === 0`)
		p.run(`await chat.send("Hello")`)
		if ids[3] == ids[0] {
			t.Error("after logout the session id is the same; want another")
		}
	})

	t.Run("shows every reply of the wire vectors", func(t *testing.T) {
		testVectors(t, browser)
	})
}

// testVectors shows each valid reply of testdata/vectors: its text above its
// content, or its text alone.
func testVectors(t *testing.T, browser *browsertest.Browser) {
	files, err := filepath.Glob("../testdata/vectors/reply-*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no vectors (%v)", err)
	}
	content := map[string]string{"article": ".articles", "card": ".cards", "form": ".form", "quick_reply": ".choices", "canned_response": ".choices"}
	var reply atomic.Value
	s := newSite(t)
	s.on(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/chat" {
			return false
		}
		w.Write(reply.Load().(json.RawMessage))
		return true
	})
	s.show("/", `<script src="/widget.js" data-initial-message=""></script>`)
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var vectors []struct {
			Name  string
			Reply json.RawMessage
			Text  *string
		}
		if err := json.Unmarshal(data, &vectors); err != nil {
			t.Fatal(err)
		}
		p := visit(expecting{t, "img-src"}, browser, s.URL+"/")
		p.run(`await chat.open()`)
		for _, v := range vectors {
			if v.Text == nil {
				continue
			}
			name := filepath.Base(path) + ": " + v.Name
			reply.Store(v.Reply)
			var wire struct {
				Type *string `json:"content_type"`
			}
			json.Unmarshal(v.Reply, &wire)
			p.run(`await chat.send("go")`)
			if failed := eval[[]string](p, `$$(".turn:last-child .failed").map((n) => n.innerText)`); len(failed) > 0 {
				t.Errorf("%s: the reply was not understood: %q", name, failed)
				continue
			}
			var shown string
			if wire.Type != nil {
				shown = content[*wire.Type]
			}
			for kind, selector := range content {
				if n := eval[int](p, `$$(".turn:last-child `+selector+`").length`); (n > 0) != (selector == shown) {
					t.Errorf("%s: %d elements %s for %s; want %v", name, n, selector, kind, selector == shown)
				}
			}
			words := strings.Fields(strings.NewReplacer("*", " ", "_", " ", "`", " ", "#", " ").Replace(*v.Text))
			if len(words) > 0 {
				if got := eval[string](p, `$(".turn:last-child .bot > .bubble").innerText`); !strings.Contains(got, words[0]) {
					t.Errorf("%s: the text shows as %.100q; want %.100q", name, got, *v.Text)
				}
			}
		}
	}
}
