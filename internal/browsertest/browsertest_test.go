package browsertest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/parley-chat/parley/internal/browsertest"
)

func TestTabNoticesWhatGoesWrongInThePage(t *testing.T) {
	browser := browsertest.Start(t)
	for _, test := range []struct {
		name   string
		body   string
		script string // served as /script.js
		want   string // part of the only failure; empty for none
	}{
		{"nothing", "<p>Fine.", "console.log('fine')", ""},
		{"an exception", "<p>", "throw new Error('spilt milk')", "spilt milk"},
		{"a promise that nobody awaits", "<p>", "Promise.reject(new Error('broken word'))", "broken word"},
		{"console.error", "<p>", "console.error('sour', 'grapes')", "sour grapes"},
		{"an inline script against the policy", "<p><script>var x</script>", "", "Content Security Policy"},
		{"a refused request", "<p>", "fetch('/none')", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Security-Policy", "script-src 'self'")
				switch r.URL.Path {
				case "/":
					w.Header().Set("Content-Type", "text/html")
					fmt.Fprint(w, test.body, `<script src="/script.js"></script><link rel="icon" href="data:,">`)
				case "/script.js":
					w.Header().Set("Content-Type", "text/javascript")
					fmt.Fprint(w, test.script)
				default:
					http.NotFound(w, r)
				}
			}))
			t.Cleanup(server.Close)

			r := &recorder{TB: t}
			if err := chromedp.Do(browser.Tab(r), chromedp.Navigate(server.URL)); err != nil {
				t.Fatal(err)
			}
			r.finish()

			switch {
			case test.want == "" && len(r.failures) > 0:
				t.Errorf("the tab failed its test with %q; want no failure", r.failures)
			case test.want != "" && (len(r.failures) != 1 || !strings.Contains(r.failures[0], test.want)):
				t.Errorf("the tab failed its test with %q; want one failure with %q", r.failures, test.want)
			}
		})
	}
}

// recorder is a test within a test: it keeps its failures to itself.
type recorder struct {
	testing.TB
	cleanups []func()
	failures []string
}

func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) finish() {
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.cleanups[i]()
	}
}
