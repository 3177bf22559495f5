package middleware_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/middleware"
	"github.com/parley-chat/parley/middleware/compress"
)

const testSecret = "0123456789abcdef0123456789abcdef"

// A setup says what the chain of a test is made of. The zero value is all
// defaults, with the log thrown away.
type setup struct {
	proxies  string
	rate     middleware.Rate
	limiter  parley.Limiter
	required bool // tokens against CSRF
	log      io.Writer
}

// guards returns the middleware that stands within CORS.
func (s setup) guards(t testing.TB) []func(http.Handler) http.Handler {
	t.Helper()
	csrf, err := middleware.NewCSRF(s.required, testSecret)
	if err != nil {
		t.Fatal(err)
	}
	limit, err := middleware.RateLimit(s.rate, s.limiter, s.logger())
	if err != nil {
		t.Fatal(err)
	}
	return []func(http.Handler) http.Handler{csrf.Check, limit}
}

// around puts the middleware that stands around the server around h.
func (s setup) around(t testing.TB, h http.Handler) http.Handler {
	t.Helper()
	log := s.logger()
	clientAddr, err := middleware.ClientAddr(s.proxies, log)
	if err != nil {
		t.Fatal(err)
	}
	return wrap(h, clientAddr, middleware.RequestID, middleware.AccessLog(log, true),
		middleware.Recover(log), middleware.SecurityHeaders, compress.Handler)
}

// handler returns the whole server of a chat, in the order in which a program
// builds it.
func (s setup) handler(t testing.TB, cfg parley.Config) http.Handler {
	t.Helper()
	cfg.Middleware = s.guards(t)
	cfg.Logger = s.logger()
	chat, err := parley.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { chat.Shutdown(context.Background()) })
	return s.around(t, chat.Handler())
}

func (s setup) logger() *slog.Logger {
	if s.log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewJSONHandler(s.log, nil))
}

// wrap puts middleware around h, the first outermost.
func wrap(h http.Handler, middleware ...func(http.Handler) http.Handler) http.Handler {
	for _, m := range slices.Backward(middleware) {
		h = m(h)
	}
	return h
}

// echo answers with the prompt.
var echo = parley.BotFunc(func(_ context.Context, turn *parley.Turn) (parley.Reply, error) {
	return parley.Text("You said: " + turn.Prompt), nil
})

// sayBaseURL answers with where it thinks it was reached.
var sayBaseURL = parley.BotFunc(func(_ context.Context, turn *parley.Turn) (parley.Reply, error) {
	return parley.Text(turn.BaseURL), nil
})

// message is a POST to /chat.
func message(prompt string) *http.Request {
	body, err := json.Marshal(map[string]any{"prompt": prompt, "session_id": "test-session"})
	if err != nil {
		panic(err)
	}
	r := httptest.NewRequest("POST", "/chat", strings.NewReader(string(body)))
	r.Header.Set("Content-Type", "application/json")
	return r
}

func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestTooLargeBodiesCloseTheConnection sends a body that is announced to be
// huge, and one that has no announced end.
func TestTooLargeBodiesCloseTheConnection(t *testing.T) {
	server := httptest.NewServer(setup{}.handler(t, parley.Config{Bot: echo}))
	defer server.Close()
	for _, length := range []int64{1 << 30, -1, 100 << 10} {
		var read atomic.Int64
		r, err := http.NewRequest("POST", server.URL+"/chat", io.LimitReader(counting{&read}, 1<<30))
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = length
		if length > 0 {
			r.Body = io.NopCloser(io.LimitReader(counting{&read}, length))
		}
		r.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Errorf("length %d: %v, want an answer", length, err)
			continue
		}
		response.Body.Close()
		if response.StatusCode != 413 || !response.Close {
			t.Errorf("length %d: answered %d, connection closed: %v; want 413 and closed", length, response.StatusCode, response.Close)
		}
		t.Logf("length %d: the client got rid of %d bytes", length, read.Load())
	}
}

// counting is endless white space that counts what is read of it.
type counting struct{ n *atomic.Int64 }

func (c counting) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	c.n.Add(int64(len(p)))
	return len(p), nil
}
