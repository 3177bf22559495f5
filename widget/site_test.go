package widget_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/widget"
)

// site is a website with a chat: pages, the widget, and a server that answers.
// Its methods are safe for concurrent use.
type site struct {
	*httptest.Server
	bot  http.Handler // the server of the chat
	mu   sync.Mutex
	page map[string]string // HTML by path
	seen []*http.Request   // those to /chat, /stream, /session, /history and the forms, in order
	hook func(w http.ResponseWriter, r *http.Request) bool
	all  func(w http.ResponseWriter, r *http.Request) bool // as hook, for every request; set before the first
}

// turn is one entry of the answer of /history.
type turn struct {
	Seq    int             `json:"seq"`
	Prompt string          `json:"prompt"`
	Reply  json.RawMessage `json:"reply"`
	Time   time.Time       `json:"time"`
}

// newSite starts a site whose server gives session tokens and history.
func newSite(t testing.TB) *site {
	t.Helper()
	return newSiteOf(t, newBot(t))
}

// newSiteOf starts a site whose chat is served by bot.
func newSiteOf(t testing.TB, bot http.Handler) *site {
	t.Helper()
	s := &site{bot: bot, page: map[string]string{}}
	mux := http.NewServeMux()
	mux.Handle("/widget.js", widget.Handler())
	mux.Handle("/widget.mjs", widget.Handler())
	mux.Handle("/widget/", widget.Handler())
	mux.HandleFunc("/picture/{color}", servePicture)
	for _, path := range []string{"/chat", "/stream", "/session", "/history", "/forms/", "/contact-form"} {
		mux.Handle(path, s.bot)
	}
	mux.HandleFunc("/", s.servePage)
	mux.HandleFunc("/page.css", servePageStyle)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.all != nil && s.all(w, r) {
			return
		}
		if r.Method == "POST" || strings.HasSuffix(r.URL.Path, "/history") || strings.HasSuffix(r.URL.Path, "/stream") {
			s.mu.Lock()
			s.seen = append(s.seen, r)
			hook := s.hook
			s.mu.Unlock()
			if hook != nil && hook(w, r) {
				return
			}
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.CloseClientConnections)
	t.Cleanup(s.Close)
	return s
}

// newBot returns a handler of the contract whose bot answers by rote.
func newBot(t testing.TB) http.Handler {
	t.Helper()
	return newBotWith(t, parley.Config{})
}

// newBotWith is newBot with settings of its own.
func newBotWith(t testing.TB, config parley.Config) http.Handler {
	t.Helper()
	if config.Bot == nil {
		config.Bot = parley.BotFunc(answer)
	}
	config.Forms = map[string]parley.Form{"feedback": {Fields: []parley.Field{
		{ID: "name", Type: "text", Label: "Name", Required: true},
		{ID: "code", Type: "text", Label: "Code"},
	}}}
	chat, err := parley.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // what still runs waits for a client that is gone
		chat.Shutdown(ctx)
	})
	return chat.Handler()
}

// answer says what the prompt asks for: a kind of reply by its name, nothing
// until the client leaves for "wait", and else the prompt, after a while for
// "slow".
func answer(ctx context.Context, turn *parley.Turn) (parley.Reply, error) {
	switch turn.Prompt {
	case "wait":
		<-ctx.Done()
		return parley.Reply{}, ctx.Err()
	case "slow":
		select {
		case <-ctx.Done():
		case <-time.After(400 * time.Millisecond):
		}
	case "long":
		return parley.Text(strings.Repeat("A paragraph of a long answer, which nobody reads from its end.\n\n", 60)), nil
	case "huge":
		return parley.Text(strings.Repeat("**x** ", 40000)), nil
	case "articles":
		return parley.Reply{Text: "These may help:", Content: &articles}, nil
	case "cards":
		return parley.Reply{Text: "Have a look:", Content: &cards}, nil
	case "form":
		return parley.Reply{Text: "Tell us:", Content: &feedback}, nil
	case "choices":
		return parley.Reply{Text: "How can we help?", Content: &choices}, nil
	}
	return parley.Text("You said: " + turn.Prompt), nil
}

// show sets what a path of the site shows.
func (s *site) show(path, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.page[path] = body
}

// on has hook see requests before anything else does; it reports whether it
// answered.
func (s *site) on(hook func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = hook
}

// scriptTag returns what a page needs to pin the script.
func scriptTag() (path, integrity string) { return widget.Script() }

// expecting is a test in whose tabs something goes wrong on purpose.
type expecting struct {
	testing.TB
	what string // part of what the browser says about it
}

func (e expecting) Errorf(format string, args ...any) {
	if message := fmt.Sprintf(format, args...); !strings.Contains(message, e.what) {
		e.TB.Error(message)
	}
}

// requests returns the requests so far whose path ends so.
func (s *site) requests(suffix string) []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []*http.Request
	for _, r := range s.seen {
		if strings.HasSuffix(r.URL.Path, suffix) {
			found = append(found, r)
		}
	}
	return found
}

func (s *site) servePage(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	body, ok := s.page[r.URL.Path]
	s.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	// As strict as a policy can be: no inline style, no eval.
	w.Header().Set("Content-Security-Policy", "default-src 'self'; script-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src *")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, viewport-fit=cover">`+
		`<title>%s</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/page.css">%s`, html.EscapeString(cmp.Or(r.URL.Path, "/")), body)
}

// token returns a session token of the site's server.
func (s *site) token(t testing.TB) string {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "/session", strings.NewReader("{}"))
	r.Header.Set("Content-Type", "application/json")
	s.bot.ServeHTTP(w, r)
	var answer struct {
		Token string `json:"session_token"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Token == "" {
		t.Fatalf("POST /session: %d %s", w.Code, w.Body)
	}
	return answer.Token
}

// serveHistory answers as /history does, with turns that were never said.
func serveHistory(w http.ResponseWriter, r *http.Request, turns []turn) {
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	if before, _ := strconv.Atoi(r.URL.Query().Get("before")); before > 0 {
		turns = turns[:before-1]
	}
	from := max(0, len(turns)-limit)
	json.NewEncoder(w).Encode(map[string]any{"turns": append([]turn{}, turns[from:]...), "more": from > 0})
}

// servePageStyle makes the pages look like those of a website.
func servePageStyle(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/css")
	fmt.Fprint(w, `body { margin: 0; font: 16px/1.6 system-ui, sans-serif; background: #f6f5f2; color: #333 }
		main { max-width: 640px; margin: 60px auto; padding: 0 24px }
		h1 { font-size: 40px; line-height: 1.15; letter-spacing: -.02em }
		#here { box-sizing: border-box; height: 560px; max-width: 900px }
		.all { display: grid; grid-template-columns: repeat(auto-fill, 460px); gap: 24px; margin: 24px }
		figure { margin: 0 }
		iframe { width: 460px; height: 820px; border: 1px solid #ccc; border-radius: 12px }
		@media (prefers-color-scheme: dark) { body { background: #0d0d10; color: #ddd } }`)
}

// servePicture draws hills under a sky of the color in the path.
func servePicture(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "image/svg+xml")
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 320 200" width="320" height="200">`+
		`<defs><linearGradient id="sky" x2="0" y2="1"><stop stop-color="#%[1]s"/><stop offset="1" stop-color="#fff2e0"/></linearGradient></defs>`+
		`<rect width="320" height="200" fill="url(#sky)"/><circle cx="236" cy="68" r="26" fill="#fff" opacity=".85"/>`+
		`<path d="M0 150q70-70 150-20t170-30v100H0z" fill="#%[1]s" opacity=".55"/><path d="M0 175q90-50 180-10t140-20v55H0z" fill="#%[1]s"/></svg>`,
		html.EscapeString(r.PathValue("color")))
}

var (
	articles = parley.Articles{
		{Title: "Getting started", Description: "Set up your account and send the first message in five minutes.", Link: "https://help.example.com/start"},
		{Title: "Billing and invoices", Description: "Where to find invoices, change a card, or cancel.", Link: "/help/billing"},
		{Title: "Write to us", Description: "We answer within a day.", Link: "mailto:help@example.com"},
	}
	cards = parley.Cards{
		Title:       "Weekend in the hills",
		Description: "Three houses that are free on your dates.",
		Cards: []parley.Card{
			{Title: "Pine Lodge", Description: "Two rooms, a stove and a view over the valley.", Image: "/picture/3b6ea5", ImageAlt: "Hills under a blue sky", Link: "/pine", LinkText: "See dates", Badge: "New", Price: "€120 a night"},
			{Title: "Birch House", Description: "Quiet, beside the lake, with a boat.", Image: "/picture/b0643c", ImageAlt: "Hills at sunset", Link: "/birch", Price: "€95 a night"},
			{Title: "The Hut", Description: "As far away as it gets.", Image: "/missing.png", ImageAlt: "A hut", Link: "/hut"},
		},
	}
	feedback = parley.Form{
		Title:       "Contact us",
		Description: "Leave a message and we will write back.",
		SubmitLabel: "Send",
		SubmitURL:   "/forms/feedback",
		Fields: []parley.Field{
			{ID: "name", Type: "text", Label: "Name", Placeholder: "Ada Lovelace", Required: true},
			{ID: "code", Type: "text", Label: "Code", Validation: &parley.Validation{Pattern: "^[0-9]{4}$", Message: "Four digits, please."}},
		},
	}
	choices = parley.QuickReplies{
		Title: "Choose one",
		Responses: []parley.QuickReply{
			{ID: "sales", Text: "Talk to sales", Value: "I want to talk to sales"},
			{ID: "help", Text: "Get help"},
			{ID: "other", Text: "Something else"},
		},
	}
)
