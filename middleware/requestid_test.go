package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/parley-chat/parley/middleware"
)

var saneID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func TestRequestID(t *testing.T) {
	for _, test := range []struct {
		name, sent string
		taken      bool
	}{
		{"none", "", false},
		{"a name", "Debug-1.a_B", true},
		{"64 characters", strings.Repeat("a", 64), true},
		{"65 characters", strings.Repeat("a", 65), false},
		{"line break", "a\r\nX-Evil: 1", false},
		{"space", "a b", false},
		{"quote", `a"b`, false},
		{"not ASCII", "ä", false},
		{"separator", "a\u2028b", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header["X-Request-Id"] = []string{test.sent}
			var inside string
			w := serve(middleware.RequestID(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				inside = middleware.RequestIDOf(r.Context())
			})), r)
			got := w.Header().Get("X-Request-Id")
			if (got == test.sent) != test.taken {
				t.Errorf("the id %q became %q; taken as it is: want %v", test.sent, got, test.taken)
			}
			if !saneID.MatchString(got) || got != inside {
				t.Errorf("the id in the answer is %q and in the context %q; want the same, matching %v", got, inside, saneID)
			}
		})
	}
}

func TestRequestIDsDiffer(t *testing.T) {
	h := middleware.RequestID(http.NotFoundHandler())
	seen := map[string]bool{}
	for range 1000 {
		seen[serve(h, httptest.NewRequest("GET", "/", nil)).Header().Get("X-Request-Id")] = true
	}
	if len(seen) != 1000 {
		t.Errorf("1000 requests got %d ids, want 1000", len(seen))
	}
}

func TestRequestIDOfNothing(t *testing.T) {
	if id := middleware.RequestIDOf(t.Context()); id != "" {
		t.Errorf("a context without a request has the id %q, want none", id)
	}
}
