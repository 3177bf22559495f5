package parley_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/parley-chat/parley"
)

// allowedOrigin returns what a server at host answers a page at origin.
func allowedOrigin(h http.Handler, method, host, origin string) string {
	r := httptest.NewRequest(method, "/chat", nil)
	r.Host = host
	if origin != "" {
		r.Header.Set("Origin", origin)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Header().Get("Access-Control-Allow-Origin")
}

// originLists are lists of allowed origins, each with origins that match and
// origins that must not.
var originLists = []struct {
	list   string // separated by spaces
	yes    []string
	no     []string
	anyone bool // the answer is "*"
}{
	{
		list: "",
		yes:  []string{"http://localhost", "http://localhost:3000", "https://localhost:8443", "http://127.0.0.1:5173", "http://127.1.2.3", "http://[::1]", "http://[::1]:8080", "http://app.localhost:3000"},
		no: []string{"null", "https://example.com", "http://localhost.example.com", "http://notlocalhost", "http://128.0.0.1", "http://[::2]", "http://0.0.0.0", "http://192.168.1.1",
			"ftp://localhost", "localhost:3000", "http://localhost:3000/", "http://localhost:3000/x", "http://localhost?x", "http://a@localhost", "http://[::ffff:8.8.8.8]", "//localhost", "HTTP://localhost", "http://LOCALHOST"},
	},
	{
		list: "https://example.com http://example.com:8080",
		yes:  []string{"https://example.com", "http://example.com:8080"},
		no: []string{"http://example.com", "https://example.com:8443", "https://example.com:443", "https://www.example.com", "https://example.com.evil.example", "https://evilexample.com", "https://EXAMPLE.com",
			"https://example.com/", "https://example.com.", "null", "http://localhost:3000", "https://example.co", "https://example.comm", " https://example.com", "https://example.com,https://example.com"},
	},
	{
		list: "https://*.example.com https://*.example.org:8443",
		yes:  []string{"https://www.example.com", "https://a.b.example.com", "https://xn--bcher-kva.example.com", "https://www.example.org:8443"},
		no: []string{"https://example.com", "https://.example.com", "http://www.example.com", "https://www.example.com:8443", "https://wwwexample.com", "https://www.example.com.evil.example",
			"https://evil.example/.example.com", "https://www.example.org", "https://www.example.org:8444", "https://*.example.com", "https://evil.example?.example.com", "https://evil.example#.example.com", "https://a@b.example.com", "https://a b.example.com", "https://A.example.com"},
	},
	{
		list:   "*",
		yes:    []string{"https://example.com", "http://localhost:3000", "null", "chrome-extension://abc", "anything at all"},
		anyone: true,
	},
	{
		list: "http://192.168.1.5:3000 http://[2001:db8::1]:3000 https://xn--bcher-kva.example",
		yes:  []string{"http://192.168.1.5:3000", "http://[2001:db8::1]:3000", "https://xn--bcher-kva.example"},
		no:   []string{"http://192.168.1.5", "http://[2001:db8:0::1]:3000", "https://bücher.example", "http://[2001:DB8::1]:3000"},
	},
}

func TestAllowedOrigins(t *testing.T) {
	for _, test := range originLists {
		t.Run("list "+test.list, func(t *testing.T) {
			h := newChat(t, parley.Config{AllowedOrigins: strings.Fields(test.list)}).Handler()
			for _, method := range []string{"POST", "OPTIONS", "GET"} {
				for _, origin := range test.yes {
					want := origin
					if test.anyone {
						want = "*"
					}
					if got := allowedOrigin(h, method, "chat.example.net", origin); got != want {
						t.Errorf("%s from %q is allowed as %q, want %q", method, origin, got, want)
					}
				}
				for _, origin := range append(test.no, "") {
					if got := allowedOrigin(h, method, "chat.example.net", origin); got != "" {
						t.Errorf("%s from %q is allowed as %q, want not", method, origin, got)
					}
				}
			}
		})
	}
}

func TestOwnOriginIsAlwaysAllowed(t *testing.T) {
	h := newChat(t, parley.Config{AllowedOrigins: []string{"https://example.com"}}).Handler()
	for _, test := range []struct {
		host, origin string
		allowed      bool
	}{
		{"chat.example.com", "https://chat.example.com", true},
		{"chat.example.com", "http://chat.example.com", true}, // which of the two it is, only a proxy knows
		{"chat.example.com:3001", "http://chat.example.com:3001", true},
		{"chat.example.com", "https://chat.example.com:8443", false},
		{"chat.example.com", "https://evil.example", false},
		{"chat.example.com", "ftp://chat.example.com", false},
		{"chat.example.com", "chat.example.com", false},
		{"", "https://", false},
		{"null", "null", false},
	} {
		got := allowedOrigin(h, "POST", test.host, test.origin)
		if want := map[bool]string{true: test.origin}[test.allowed]; got != want {
			t.Errorf("at %q, a page at %q is allowed as %q, want %q", test.host, test.origin, got, want)
		}
	}
}

// Preflights are answered with fixed lists, whatever they ask for and however
// they write it: browsers sort and use small letters, curl and people do not.
func TestPreflight(t *testing.T) {
	touched := false
	spy := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { touched = true; next.ServeHTTP(w, r) })
	}
	h := newChat(t, parley.Config{AllowedOrigins: []string{"https://example.com"}, Middleware: []func(http.Handler) http.Handler{spy}}).Handler()
	for _, ask := range []string{"", "content-type", "Content-Type, X-CSRFToken", "X-CSRF-TOKEN,content-type", "x-evil", "content-type, content-type", "*", strings.Repeat("x", 5000)} {
		for _, path := range []string{"/chat", "/contact-form", "/forms/feedback"} {
			r := httptest.NewRequest("OPTIONS", path, nil)
			r.Header.Set("Origin", "https://example.com")
			r.Header.Set("Access-Control-Request-Method", "DELETE")
			r.Header.Set("Access-Control-Request-Headers", ask)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			for name, want := range map[string]string{
				"Access-Control-Allow-Origin":      "https://example.com",
				"Access-Control-Allow-Methods":     "POST, OPTIONS",
				"Access-Control-Allow-Headers":     "Content-Type, X-CSRFToken, X-CSRF-Token, Idempotency-Key, Last-Event-ID, X-Parley-Session",
				"Access-Control-Max-Age":           "600",
				"Access-Control-Allow-Credentials": "",
				"Vary":                             "Origin",
				"Allow":                            "POST, OPTIONS",
			} {
				if got := strings.Join(w.Header().Values(name), " | "); got != want {
					t.Errorf("asked for %.40q at %s, %s is %q, want %q", ask, path, name, got, want)
				}
			}
			if w.Code != 204 || w.Body.Len() != 0 {
				t.Errorf("asked for %.40q at %s, the answer is %d %q, want 204 without a body", ask, path, w.Code, w.Body)
			}
		}
	}
	if touched {
		t.Error("a preflight reached the middleware, want it to touch nothing")
	}
}

func TestBadOriginListsAreRefused(t *testing.T) {
	for _, test := range []struct{ list, reason string }{
		{"example.com", "write https://example.com"},
		{"Example.com/", "write https://example.com"},
		{"localhost:3000", "has no scheme"},
		{"https://example.com/", "ends with a slash"},
		{"https://example.com//", "ends with a slash"},
		{"https://example.com/chat", "write https://example.com"},
		{"https://example.com?x=1", "more than a scheme and a host"},
		{"https://example.com#x", "more than a scheme and a host"},
		{"null", "protects nobody"},
		{"file://", "not http or https"},
		{"ftp://example.com", "not http or https"},
		{"HTTPS://example.com", "not http or https"},
		{"chrome-extension://abcdef", "not http or https"},
		{"https://Example.com", "write https://example.com"},
		{"https://bücher.example", "Punycode"},
		{"https://exa\tmple.com", "characters"},
		{"https://user@example.com", "user name"},
		{"https://user:pass@example.com", "user name"},
		{"https://", "is not a scheme and a host"},
		{"https://:3000", "is not a scheme and a host"},
		{"https://example.com:", "is not a scheme and a host"},
		{"https://example.com:port", "is not a scheme and a host"},
		{"https://example..com", "is not a scheme and a host"},
		{"https://.example.com", "is not a scheme and a host"},
		{"https://a.com,b.com", "is not a scheme and a host"},
		{"https://exa%6dple.com", "is not a scheme and a host"},
		{"https://example.com;", "is not a scheme and a host"},
		{"https://[::1", "is not a scheme and a host"},
		{"https://::1", "is not a scheme and a host"},
		{"https://example.com:443", "write https://example.com"},
		{"http://example.com:80", "write http://example.com"},
		{"https://example.com:0", "port that does not exist"},
		{"https://example.com:65536", "port that does not exist"},
		{"https://example.com:99999", "port that does not exist"},
		{"https://example.com:0443", "port that does not exist"},
		{"http://127.1", "four numbers"},
		{"http://127.0.0.01", "four numbers"},
		{"http://2130706433", "four numbers"},
		{"http://0x7f.0.0.1", "four numbers"},
		{"http://1.2.3.4.5", "four numbers"},
		{"http://256.1.1.1", "four numbers"},
		{"http://[2001:db8:0:0::1]", "write as [2001:db8::1]"},
		{"http://[::ffff:127.0.0.1]", "no page has"},
		{"http://[fe80::1%25eth0]", "no page has"},
		{"https://*", "where none can stand"},
		{"https://*.com", "every site under .com"},
		{"https://*.", "every site under"},
		{"https://*.*.example.com", "where none can stand"},
		{"https://www.*.com", "where none can stand"},
		{"https://ex*mple.com", "where none can stand"},
		{"https://*example.com", "where none can stand"},
		{"https://example.com:*", "where none can stand"},
		{"*.example.com", "has no scheme"},
		{"* https://example.com", "the others say nothing"},
		{"https://example.com *", "the others say nothing"},
	} {
		t.Run(test.list, func(t *testing.T) {
			list := strings.Split(test.list, " ")
			_, err := parley.New(parley.Config{Bot: sayBot, AllowedOrigins: list})
			if err == nil || !strings.Contains(err.Error(), test.reason) {
				t.Errorf("the list was answered with %v, want a problem that says %q", err, test.reason)
			}
		})
	}
}

func TestEveryBadOriginIsReported(t *testing.T) {
	_, err := parley.New(parley.Config{Bot: sayBot, AllowedOrigins: []string{"a", "https://good.example", "https://b/", "null"}})
	for _, path := range []string{"AllowedOrigins[0]", "AllowedOrigins[2]", "AllowedOrigins[3]"} {
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("New returned %v, want it to name %s", err, path)
		}
	}
	if err != nil && strings.Contains(err.Error(), "AllowedOrigins[1]") {
		t.Errorf("New returned %v, which names an origin that is good", err)
	}
}
