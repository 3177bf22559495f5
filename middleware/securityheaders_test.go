package middleware_test

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/middleware"
)

// safe is what every answer must carry.
var safe = map[string]string{
	"Content-Security-Policy":           "default-src 'none'; frame-ancestors 'none'",
	"Cross-Origin-Resource-Policy":      "cross-origin",
	"Cross-Origin-Opener-Policy":        "same-origin",
	"Origin-Agent-Cluster":              "?1",
	"Referrer-Policy":                   "no-referrer",
	"X-Content-Type-Options":            "nosniff",
	"X-Frame-Options":                   "DENY",
	"X-DNS-Prefetch-Control":            "off",
	"X-Download-Options":                "noopen",
	"X-Permitted-Cross-Domain-Policies": "none",
	"X-XSS-Protection":                  "0",
	"Strict-Transport-Security":         "", // not without TLS
	"X-Powered-By":                      "",
	"Server":                            "",
}

func checkSafe(t testing.TB, h http.Header) {
	t.Helper()
	for name, want := range safe {
		if got := strings.Join(h.Values(name), " | "); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if h.Get("X-Request-Id") == "" {
		t.Error("the answer has no X-Request-Id")
	}
}

// TestEveryAnswerIsSafe crawls the routes of a chat for every status that they
// can have.
func TestEveryAnswerIsSafe(t *testing.T) {
	const form = `{"name":"Ada","email":"ada@example.com","message":"Hello"}`
	type request struct {
		name, method, path, body string
		header                   http.Header
		setup                    setup
		stopped                  bool // the chat is shut down
		want                     int
	}
	requests := []request{
		{name: "reply", method: "POST", path: "/chat", body: `{"prompt":"hi","session_id":"a"}`, want: 200},
		{name: "long reply", method: "POST", path: "/chat", body: `{"prompt":"long","session_id":"a"}`, want: 200},
		{name: "the bot panics", method: "POST", path: "/chat", body: `{"prompt":"panic","session_id":"a"}`, want: 500},
		{name: "no prompt", method: "POST", path: "/chat", body: `{}`, want: 400},
		{name: "no JSON", method: "POST", path: "/chat", body: `{`, want: 400},
		{name: "too large", method: "POST", path: "/chat", body: `{"prompt":"` + strings.Repeat("a", 70<<10) + `"}`, want: 413},
		{name: "another media type", method: "POST", path: "/chat", body: `{}`, header: http.Header{"Content-Type": {"text/plain"}}, want: 415},
		{name: "forged token", method: "POST", path: "/chat", body: `{}`, header: http.Header{"X-Csrftoken": {"forged"}}, want: 403},
		{name: "no token", method: "POST", path: "/chat", body: `{}`, setup: setup{required: true}, want: 403},
		{name: "too many", method: "POST", path: "/chat", body: `{}`, setup: setup{limiter: stuck{}}, want: 429},
		{name: "stopped", method: "POST", path: "/chat", body: `{"prompt":"hi","session_id":"a"}`, stopped: true, want: 503},
		{name: "form", method: "POST", path: "/contact-form", body: form, want: 200},
		{name: "bad form", method: "POST", path: "/contact-form", body: `{}`, want: 400},
		{name: "unknown form", method: "POST", path: "/forms/none", body: form, want: 404},
		{name: "a handler panics", method: "GET", path: "/panic", want: 500},
		{name: "unknown path", method: "GET", path: "/none", want: 404},
		{name: "path to be cleaned", method: "GET", path: "//health", want: 307},
		{name: "not ready", method: "GET", path: "/ready", stopped: true, want: 503},
	}
	for _, path := range []string{"/chat", "/contact-form", "/forms/none", "/health", "/ready", "/openapi.json"} {
		requests = append(requests,
			request{name: "preflight", method: "OPTIONS", path: path, header: http.Header{"Origin": {"http://localhost"}, "Access-Control-Request-Method": {"POST"}}, want: 204},
			request{name: "another method", method: "DELETE", path: path, want: 405})
	}
	for _, path := range []string{"/health", "/ready", "/openapi.json"} {
		for _, method := range []string{"GET", "HEAD"} {
			requests = append(requests, request{name: "read", method: method, path: path, want: 200})
		}
	}
	bot := parley.BotFunc(func(_ context.Context, turn *parley.Turn) (parley.Reply, error) {
		switch turn.Prompt {
		case "panic":
			panic("no")
		case "long":
			return parley.Text(strings.Repeat("long ", 1000)), nil
		}
		return parley.Text("hello"), nil
	})
	seen := map[int]bool{}
	for _, q := range requests {
		t.Run(q.method+" "+q.path+" "+q.name, func(t *testing.T) {
			chat, err := parley.New(parley.Config{Bot: bot, Middleware: q.setup.guards(t), Logger: q.setup.logger()})
			if err != nil {
				t.Fatal(err)
			}
			defer chat.Shutdown(context.Background())
			if q.stopped {
				chat.Shutdown(context.Background())
			}
			mux := http.NewServeMux()
			mux.Handle("/", chat.Handler())
			mux.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) { panic("no") })

			r := httptest.NewRequest(q.method, q.path, strings.NewReader(q.body))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Accept-Encoding", "gzip")
			for name, values := range q.header {
				r.Header[name] = values
			}
			w := serve(q.setup.around(t, mux), r)
			if w.Code != q.want {
				t.Fatalf("answered %d %s, want %d", w.Code, w.Body, q.want)
			}
			checkSafe(t, w.Header())
			seen[w.Code] = true
		})
	}
	for _, status := range []int{200, 204, 307, 400, 403, 404, 405, 413, 415, 429, 500, 503} {
		if !seen[status] {
			t.Errorf("no answer had status %d", status)
		}
	}
}

// stuck is a limiter in which everybody used up everything.
type stuck struct{}

func (stuck) Take(_ context.Context, _ string, limit int, window time.Duration) (parley.Hit, error) {
	return parley.Hit{Count: limit + 1, Reset: window}, nil
}

func TestStrictTransportSecurity(t *testing.T) {
	for _, test := range []struct {
		name, proxies string
		tls           bool
		proto         string
		want          string
	}{
		{"plain", "", false, "", ""},
		{"TLS here", "", true, "", "max-age=31536000; includeSubDomains"},
		{"TLS at a proxy", "1", false, "https", "max-age=31536000; includeSubDomains"},
		{"plain at a proxy", "1", false, "http", ""},
		{"TLS claimed by a client", "", false, "https", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("X-Forwarded-Proto", test.proto)
			if test.tls {
				r.TLS = &tls.ConnectionState{}
			}
			w := serve(setup{proxies: test.proxies}.around(t, http.NotFoundHandler()), r)
			if got := w.Header().Get("Strict-Transport-Security"); got != test.want {
				t.Errorf("Strict-Transport-Security is %q, want %q", got, test.want)
			}
		})
	}
}

// TestPagesHaveTheirOwnPolicy also adds to a header, and sees that the answer
// after it has nothing of that.
func TestPagesHaveTheirOwnPolicy(t *testing.T) {
	page := middleware.SecurityHeaders(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/page" {
			w.Header().Set("Content-Security-Policy", "default-src 'self'")
			w.Header().Add("Referrer-Policy", "origin")
		}
		io.WriteString(w, "hello")
	}))
	h := serve(page, httptest.NewRequest("GET", "/page", nil)).Header()
	if got := h.Values("Content-Security-Policy"); len(got) != 1 || got[0] != "default-src 'self'" {
		t.Errorf("the page's policy is %q, want its own alone", got)
	}
	h = serve(page, httptest.NewRequest("GET", "/data", nil)).Header()
	if got := h.Values("Content-Security-Policy"); len(got) != 1 || got[0] != safe["Content-Security-Policy"] {
		t.Errorf("the next answer's policy is %q, want %q", got, safe["Content-Security-Policy"])
	}
	if got := h.Values("Referrer-Policy"); len(got) != 1 {
		t.Errorf("the next answer's Referrer-Policy is %q, want one value", got)
	}
}
