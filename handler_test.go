package parley_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-chat/parley"
)

const (
	apologyInternal    = `{"output":"I'm sorry, I'm experiencing technical difficulties. Please try again."}`
	apologyUnavailable = `{"output":"I'm experiencing technical difficulties. Please try again."}`
	apologyNoAnswer    = `{"output":"I'm having trouble processing your request. Please try again."}`
	apologyForm        = `{"error":"Failed to submit form. Please try again."}`
)

// get sends a GET to a handler.
func get(h http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w
}

func TestHealthHasTheTimeAsJavaScriptWritesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // bubbles begin at midnight of 2000-01-01, UTC
		h := newChat(t, parley.Config{}).Handler()
		wantAnswer(t, "health", get(h, "/health"), 200, `{"status":"ok","timestamp":"2000-01-01T00:00:00.000Z"}`)
		time.Sleep(123456789 * time.Microsecond)
		wantAnswer(t, "health later", get(h, "/health"), 200, `{"status":"ok","timestamp":"2000-01-01T00:02:03.456Z"}`)
	})
}

// A brokenStore is a store whose calls fail, each with its own error.
type brokenStore struct {
	parley.Store
	begin, finish, abandon, transcript, submit error
}

func (s *brokenStore) Begin(ctx context.Context, turn parley.NewTurn) (parley.Begun, error) {
	if s.begin != nil {
		return parley.Begun{}, s.begin
	}
	return s.Store.Begin(ctx, turn)
}

func (s *brokenStore) Finish(ctx context.Context, turn parley.Record, reply parley.Reply, at time.Time) error {
	if s.finish != nil {
		return s.finish
	}
	return s.Store.Finish(ctx, turn, reply, at)
}

func (s *brokenStore) Abandon(ctx context.Context, turn parley.Record) error {
	if s.abandon != nil {
		return s.abandon
	}
	return s.Store.Abandon(ctx, turn)
}

func (s *brokenStore) Transcript(ctx context.Context, page parley.Page) ([]parley.Record, error) {
	if s.transcript != nil {
		return nil, s.transcript
	}
	return s.Store.Transcript(ctx, page)
}

func (s *brokenStore) Submit(ctx context.Context, sub parley.Submission) (parley.Submission, error) {
	if s.submit != nil {
		return parley.Submission{}, s.submit
	}
	return s.Store.Submit(ctx, sub)
}

var (
	errDisk = errors.New("disk I/O error in /var/lib/parley.db")
	errAway = &parley.Error{Code: parley.CodeUnavailable, Err: errors.New("connection to 10.0.0.7 refused")}
	errOdd  = &parley.Error{Code: parley.CodeInvalid, Message: "syntax error near SELECT"}
)

func TestReady(t *testing.T) {
	store := &brokenStore{Store: parley.NewMemory()}
	chat := newChat(t, parley.Config{Store: store})
	h := chat.Handler()
	wantAnswer(t, "a chat that works", get(h, "/ready"), 200, `{"status":"ready"}`)
	store.transcript = errAway
	wantAnswer(t, "a chat without its store", get(h, "/ready"), 503, `{"status":"the store does not answer"}`)
	store.transcript = nil
	if err := chat.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantAnswer(t, "a chat that stops", get(h, "/ready"), 503, `{"status":"stopping"}`)
	wantAnswer(t, "its description", get(h, "/openapi.json"), 200, strings.TrimSuffix(string(readFile(t, "openapi.json")), "\n"))
}

func TestStoreFailuresOfATurn(t *testing.T) {
	for _, test := range []struct {
		name   string
		store  brokenStore
		status int
		body   string
	}{
		{"begin fails", brokenStore{begin: errDisk}, 500, apologyInternal},
		{"the store is away at the beginning", brokenStore{begin: errAway}, 503, apologyUnavailable},
		{"the store takes too long", brokenStore{begin: fmt.Errorf("begin: %w", context.DeadlineExceeded)}, 503, apologyUnavailable},
		{"finish fails", brokenStore{finish: errDisk}, 500, apologyInternal},
		{"the store is away at the end", brokenStore{finish: errAway}, 503, apologyUnavailable},
		{"finish and abandon fail", brokenStore{finish: errDisk, abandon: errDisk}, 500, apologyInternal},
		{"history fails", brokenStore{transcript: errDisk}, 500, apologyInternal},
		{"an error that only the store understands", brokenStore{begin: errOdd}, 500, apologyInternal},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.store.Store = parley.NewMemory()
			h := newChat(t, parley.Config{Store: &test.store, Bot: parley.BotFunc(recite)}).Handler()
			w := post(h, "/chat", hello)
			wantAnswer(t, "the prompt", w, test.status, test.body)
			if want := map[int]string{503: "1"}[test.status]; w.Header().Get("Retry-After") != want {
				t.Errorf("Retry-After is %q, want %q", w.Header().Get("Retry-After"), want)
			}
		})
	}
}

// A turn that could not be committed is not acknowledged, and can be sent again.
func TestTurnThatWasNotCommittedIsDoneAgain(t *testing.T) {
	store := &brokenStore{Store: parley.NewMemory(), finish: errAway}
	bot := &slowBot{}
	h := newChat(t, parley.Config{Store: store, Bot: bot}).Handler()
	wantAnswer(t, "the first try", post(h, "/chat", hello), 503, apologyUnavailable)
	store.finish = nil
	wantAnswer(t, "the second try", post(h, "/chat", hello), 200, `{"output":"answer 2 to Hello"}`)
}

// An ownContent is content of a kind that a program made up.
type ownContent struct{ kind string }

func (c ownContent) ContentType() string { return c.kind }
func (ownContent) Validate() error       { return nil }
func (ownContent) PlainText() string     { return "" }

func TestWhatBotsDoWrong(t *testing.T) {
	text := func(s string) func() (parley.Reply, error) {
		return func() (parley.Reply, error) { return parley.Text(s), nil }
	}
	content := func(c parley.Content) func() (parley.Reply, error) {
		return func() (parley.Reply, error) { return parley.Reply{Text: "Look:", Content: c}, nil }
	}
	fail := func(err error) func() (parley.Reply, error) {
		return func() (parley.Reply, error) { return parley.Reply{}, err }
	}
	for _, test := range []struct {
		name   string
		bot    func() (parley.Reply, error)
		status int
		body   string
	}{
		{"it has no answer", fail(parley.ErrPass), 200, apologyNoAnswer},
		{"it wraps that it has no answer", fail(fmt.Errorf("rules: %w", parley.ErrPass)), 200, apologyNoAnswer},
		{"it fails", fail(errors.New("secret detail")), 500, apologyInternal},
		{"it panics", func() (parley.Reply, error) { panic("secret detail") }, 500, apologyInternal},
		{"it panics with nil", func() (parley.Reply, error) { panic(nil) }, 500, apologyInternal},
		{"it is out of budget", fail(&parley.Error{Code: parley.CodeRateLimited, Message: "Too many"}), 429, `{"error":"Too many"}`},
		{"it is overloaded", fail(&parley.Error{Code: parley.CodeUnavailable, Message: "Busy"}), 503, `{"output":"Busy"}`},
		{"it fails with a code that is none", fail(&parley.Error{Code: "teapot", Message: "secret detail"}), 500, apologyInternal},
		{"it fails with no code", fail(&parley.Error{Message: "secret detail"}), 500, apologyInternal},
		{"its answer is empty", text(""), 500, apologyInternal},
		{"its answer is blank", text(" \n\ufeff"), 500, apologyInternal},
		{"its answer is long", text(strings.Repeat("a", 1<<20-20)), 200, `{"output":"` + strings.Repeat("a", 1<<20-20) + `"}`},
		{"its answer is too long", text(strings.Repeat("a", 1<<20)), 500, apologyInternal},
		{"its answer is too long once it is JSON", text(strings.Repeat("\x01", 1<<20/3)), 500, apologyInternal},
		{"its content is too long", content(&parley.Other{Type: "x", Attributes: json.RawMessage(`{"a":"` + strings.Repeat("a", 1<<20) + `"}`)}), 500, apologyInternal},
		{"its content has nothing in it", content(&parley.Articles{}), 500, apologyInternal},
		{"its content is a nil pointer", content((*parley.Cards)(nil)), 500, apologyInternal},
		{"its content has a link that runs a script", content(&parley.Articles{{Title: "a", Description: "b", Link: "javascript:alert(1)"}}), 500, apologyInternal},
		{"its content is of a kind of its own", content(ownContent{"video"}), 500, apologyInternal},
		{"its other content is a known kind in disguise", content(&parley.Other{Type: "article"}), 500, apologyInternal},
		{"its other content has no type", content(&parley.Other{}), 500, apologyInternal},
		{"its other content is not JSON", content(&parley.Other{Type: "video", Attributes: json.RawMessage("{")}), 500, apologyInternal},
		{"its other content is fine", content(&parley.Other{Type: "video"}), 200, `{"content":"Look:","content_type":"video","content_attributes":{}}`},
		{"its answer is not UTF-8", text("a\xffb"), 200, "{\"output\":\"a\ufffdb\"}"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var log bytes.Buffer
			h := newChat(t, parley.Config{
				Logger: slog.New(slog.NewTextHandler(&log, nil)),
				Bot: parley.BotFunc(func(context.Context, *parley.Turn) (parley.Reply, error) {
					return test.bot()
				}),
			}).Handler()
			w := post(h, "/chat", hello)
			wantAnswer(t, "the prompt", w, test.status, test.body)
			if strings.Contains(w.Body.String(), "secret") {
				t.Error("the visitor reads what only the log may say")
			}
			if failed := test.status != 200 || test.body == apologyNoAnswer; failed != (log.Len() > 0) {
				t.Errorf("the log is %q; want a line if and only if something went wrong", log.String())
			}
		})
	}
}

func TestOverloadOverHTTP(t *testing.T) {
	chat := newChat(t, parley.Config{})
	h := chat.Handler()
	if err := chat.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := post(h, "/chat", hello)
	wantAnswer(t, "a prompt while the chat stops", w, 503, apologyUnavailable)
	if got := w.Header().Get("Retry-After"); got != "1" {
		t.Errorf("Retry-After is %q, want 1", got)
	}
}

func TestWriteError(t *testing.T) {
	for _, test := range []struct {
		err    error
		status int
		body   string
	}{
		{&parley.Error{Code: parley.CodeInvalid, Message: "Invalid x"}, 400, `{"error":"Invalid x"}`},
		{&parley.Error{Code: parley.CodeForbidden, Message: "Invalid CSRF token"}, 403, `{"error":"Invalid CSRF token"}`},
		{&parley.Error{Code: parley.CodeNotFound, Message: "Not found"}, 404, `{"error":"Not found"}`},
		{&parley.Error{Code: parley.CodeMethod, Message: "No"}, 405, `{"error":"No"}`},
		{&parley.Error{Code: parley.CodeTooLarge, Message: "Large"}, 413, `{"error":"Large"}`},
		{&parley.Error{Code: parley.CodeMediaType, Message: "Type"}, 415, `{"error":"Type"}`},
		{&parley.Error{Code: parley.CodeKeyReused, Message: "Key"}, 422, `{"error":"Key"}`},
		{&parley.Error{Code: parley.CodeRateLimited, Message: "Too many chat requests, please try again later."}, 429, `{"error":"Too many chat requests, please try again later."}`},
		{&parley.Error{Code: parley.CodeInternal, Message: "Sorry"}, 500, `{"output":"Sorry"}`},
		{&parley.Error{Code: parley.CodeUnavailable, Message: "Later"}, 503, `{"output":"Later"}`},
		{errors.New("secret detail"), 500, apologyInternal},
		{fmt.Errorf("wrapped: %w", &parley.Error{Code: parley.CodeInvalid, Message: "Invalid x", Err: errors.New("secret")}), 400, `{"error":"Invalid x"}`},
		{&parley.Error{}, 500, apologyInternal},
	} {
		t.Run(fmt.Sprint(test.err), func(t *testing.T) {
			w := httptest.NewRecorder()
			parley.WriteError(w, test.err)
			wantAnswer(t, "the error", w, test.status, test.body)
			if got, want := w.Header().Get("Retry-After"), map[int]string{503: "1"}[test.status]; got != want {
				t.Errorf("Retry-After is %q, want %q", got, want)
			}
		})
	}
	w := httptest.NewRecorder()
	w.Header().Set("Retry-After", "30")
	parley.WriteError(w, &parley.Error{Code: parley.CodeUnavailable, Message: "Later"})
	if got := w.Header().Get("Retry-After"); got != "30" {
		t.Errorf("Retry-After is %q, want the 30 that was set", got)
	}
}

func TestMiddlewareStandsAroundChatAndForms(t *testing.T) {
	var order []string
	named := func(name string) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				order = append(order, name)
				next.ServeHTTP(w, r)
			})
		}
	}
	h := newChat(t, parley.Config{Middleware: []func(http.Handler) http.Handler{named("outer"), named("inner")}}).Handler()
	for _, test := range []struct {
		method, path string
		want         string
	}{
		{"POST", "/chat", "outer inner"},
		{"POST", "/contact-form", "outer inner"},
		{"POST", "/forms/none", "outer inner"},
		{"OPTIONS", "/chat", ""},
		{"GET", "/chat", ""},
		{"GET", "/health", ""},
		{"GET", "/ready", ""},
		{"GET", "/openapi.json", ""},
		{"POST", "/nothing", ""},
	} {
		order = nil
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(test.method, test.path, nil))
		if got := strings.Join(order, " "); got != test.want {
			t.Errorf("%s %s went through %q, want %q", test.method, test.path, got, test.want)
		}
	}
}

func TestRefusalsOfMiddlewareCanBeRead(t *testing.T) {
	refuse := func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			parley.WriteError(w, &parley.Error{Code: parley.CodeForbidden, Message: "Invalid CSRF token"})
		})
	}
	h := newChat(t, parley.Config{Middleware: []func(http.Handler) http.Handler{refuse}}).Handler()
	w := post(h, "/chat", hello, "Origin", "http://localhost:3000")
	wantAnswer(t, "the prompt", w, 403, `{"error":"Invalid CSRF token"}`)
	if got := w.Header().Get("Access-Control-Allow-Origin"); got != "http://localhost:3000" {
		t.Errorf("Access-Control-Allow-Origin is %q, want the page's: else it cannot read the refusal", got)
	}
}

func TestBaseURL(t *testing.T) {
	for _, test := range []struct {
		name, config string
		headers      []string
		want         string
	}{
		{"what the request says", "", []string{"Host", "chat.example.com:3001"}, "http://chat.example.com:3001"},
		{"a page served over https", "", []string{"Host", "chat.example.com", "Origin", "https://example.com"}, "https://chat.example.com"},
		{"a page served over https, a chat on loopback", "", []string{"Host", "localhost:3001", "Origin", "https://example.com"}, "http://localhost:3001"},
		{"a host that no link could lead to", "", []string{"Host", "evil.example/?"}, ""},
		{"a host with something in front", "", []string{"Host", "chat.example.com@evil.example"}, ""},
		{"no host", "", []string{"Host", ""}, ""},
		{"what is configured", "https://chat.example.com/base", []string{"Host", "localhost"}, "https://chat.example.com/base"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newChat(t, parley.Config{BaseURL: test.config, Bot: parley.BotFunc(func(ctx context.Context, turn *parley.Turn) (parley.Reply, error) {
				return parley.Text("base: " + turn.BaseURL), nil
			})}).Handler()
			wantAnswer(t, "the bot", post(h, "/chat", hello, test.headers...), 200, `{"output":"base: `+test.want+`"}`)
		})
	}
}

func TestTraceTellsMiddlewareWhatWasAsked(t *testing.T) {
	h := newChat(t, parley.Config{}).Handler()
	var trace parley.Trace
	serve := func(body string) {
		trace = parley.Trace{}
		r := httptest.NewRequest("POST", "/chat", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		h.ServeHTTP(httptest.NewRecorder(), r.WithContext(parley.WithTrace(r.Context(), &trace)))
	}
	if serve(hello); trace.Prompt != "Hello" || len(trace.Session) != 32 {
		t.Errorf("the trace is %+v, want the prompt and the session's key", trace)
	}
	if serve(`{"prompt":" ","session_id":"s"}`); trace != (parley.Trace{}) {
		t.Errorf("the trace of a message that was refused is %+v, want none", trace)
	}
}

func TestNewReportsEveryProblemAtOnce(t *testing.T) {
	_, err := parley.New(parley.Config{
		SessionTTL: -1, Retention: -1, AnswerTimeout: -1, MaxPrompt: -1, MaxTurns: -1,
		AllowedOrigins: []string{"example.com", "https://example.com/"},
		BaseURL:        "chat.example.com",
		Forms: map[string]parley.Form{
			"contact":  {Fields: []parley.Field{{ID: "a", Type: "text", Label: "A"}}},
			"Feedback": {Fields: []parley.Field{{ID: "a", Type: "text", Label: "A"}}},
			"empty":    {},
			"look":     {Fields: []parley.Field{{ID: "a", Type: "text", Label: "A", Validation: &parley.Validation{Pattern: "(?=a)"}}}},
		},
	})
	var problems parley.Problems
	if !errors.As(err, &problems) {
		t.Fatalf("New returned %v, want problems", err)
	}
	var paths []string
	for _, p := range problems {
		if paths = append(paths, p.Path); p.Reason == "" {
			t.Errorf("the problem at %s has no reason", p.Path)
		}
	}
	want := "Bot, SessionTTL, Retention, AnswerTimeout, MaxPrompt, MaxTurns, AllowedOrigins[0], AllowedOrigins[1], " +
		"Forms.Feedback, Forms.contact, Forms.empty.fields, Forms.look.fields[0].validation.pattern, BaseURL"
	if got := strings.Join(paths, ", "); got != want {
		t.Errorf("New reports problems at\n%s\nwant\n%s", got, want)
	}
}

func TestBadBaseURLsAreRefused(t *testing.T) {
	for _, url := range []string{"chat.example.com", "//chat.example.com", "ftp://chat.example.com", "https://", "https://chat.example.com/", "https://chat.example.com?x=1", "https://chat.example.com#x", "https://user@chat.example.com", "https://exa mple.com"} {
		if _, err := parley.New(parley.Config{Bot: sayBot, BaseURL: url}); err == nil {
			t.Errorf("BaseURL %q was accepted, want a problem", url)
		}
	}
}

func TestNewNeedsTheStoresSecret(t *testing.T) {
	if _, err := parley.New(parley.Config{Bot: sayBot, Store: noSecret{parley.NewMemory()}}); !errors.Is(err, errDisk) {
		t.Errorf("New returned %v, want the store's error", err)
	}
}

type noSecret struct{ parley.Store }

func (noSecret) Secret(context.Context, string) ([]byte, error) { return nil, errDisk }

func TestMaxPromptIsConfigurable(t *testing.T) {
	h := newChat(t, parley.Config{MaxPrompt: 5}).Handler()
	wantAnswer(t, "five characters", post(h, "/chat", hello), 200, `{"output":"You said: Hello"}`)
	wantAnswer(t, "six characters", post(h, "/chat", `{"prompt":"Hello!","session_id":"s"}`), 400, `{"error":"Prompt too long"}`)
}

// An invalid message reaches neither the store nor the bot.
func TestInvalidMessagesTouchNothing(t *testing.T) {
	store := &brokenStore{Store: parley.NewMemory(), begin: errDisk, transcript: errDisk}
	calls := 0
	h := newChat(t, parley.Config{Store: store, Bot: parley.BotFunc(func(context.Context, *parley.Turn) (parley.Reply, error) {
		calls++
		return parley.Text("x"), nil
	})}).Handler()
	for _, v := range readVectors[requestVector](t, "chat.json") {
		if v.Response.Status < 400 {
			continue
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, v.request(t))
		if w.Code != v.Response.Status {
			t.Errorf("%s: status is %d, want %d: the store was asked", v.Name, w.Code, v.Response.Status)
		}
	}
	if calls != 0 {
		t.Errorf("the bot was called %d times, want 0", calls)
	}
}

// A browser that closes the page stops the bot, a second later, over a real
// connection: net/http notices it once the body was read.
func TestClientThatHangsUpStopsTheBot(t *testing.T) {
	asked, stopped := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(newChat(t, parley.Config{Bot: parley.BotFunc(func(ctx context.Context, turn *parley.Turn) (parley.Reply, error) {
		close(asked)
		<-ctx.Done()
		close(stopped)
		return parley.Reply{}, ctx.Err()
	})}).Handler())
	defer server.Close()
	ctx, hangUp := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "POST", server.URL+"/chat", strings.NewReader(hello))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	go func() {
		<-asked
		hangUp()
	}()
	if _, err := server.Client().Do(r); !errors.Is(err, context.Canceled) {
		t.Fatalf("the client got %v, want its own cancellation", err)
	}
	select {
	case <-stopped:
	case <-time.After(30 * time.Second):
		t.Error("the bot was not told to stop, though nobody waits for its answer")
	}
}
