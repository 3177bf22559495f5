package site_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	neturl "net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/cmd/parley/internal/site"
)

const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// ask sends a request to a handler and returns the answer and its body.
func ask(t *testing.T, h http.Handler, method, target string, header ...string) (*http.Response, string) {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	answer := w.Result()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}

func expectHeader(t *testing.T, answer *http.Response, name, want string) {
	t.Helper()
	if got := answer.Header.Get(name); got != want {
		t.Errorf("%s is %q; want %q", name, got, want)
	}
}

func TestFilesAreServed(t *testing.T) {
	page, sample := site.Page(site.Options{}), site.Sample()
	for _, test := range []struct {
		handler   http.Handler
		path      string
		mediaType string
	}{
		{page, "/", "text/html; charset=utf-8"},
		{page, "/site/base.css", "text/css; charset=utf-8"},
		{page, "/site/page.css", "text/css; charset=utf-8"},
		{page, "/site/page.js", "text/javascript; charset=utf-8"},
		{page, "/site/icon.svg", "image/svg+xml"},
		{sample, "/sample/help", "text/html; charset=utf-8"},
		{sample, "/sample/getting-started", "text/html; charset=utf-8"},
		{sample, "/sample/plan", "text/html; charset=utf-8"},
		{sample, "/sample/plan.svg", "image/svg+xml"},
		{sample, "/sample/icon.svg", "image/svg+xml"},
		{sample, "/sample/base.css", "text/css; charset=utf-8"},
		{sample, "/sample/sample.css", "text/css; charset=utf-8"},
		{sample, "/sample/parley.yaml", "text/plain; charset=utf-8"},
	} {
		t.Run(test.path, func(t *testing.T) {
			answer, body := ask(t, test.handler, "GET", test.path)
			if answer.StatusCode != 200 || body == "" {
				t.Fatalf("GET answers %d with %d bytes; want 200 and the file", answer.StatusCode, len(body))
			}
			expectHeader(t, answer, "Content-Type", test.mediaType)
			expectHeader(t, answer, "Content-Security-Policy", policy)
			expectHeader(t, answer, "X-Content-Type-Options", "nosniff")
			expectHeader(t, answer, "Cache-Control", "no-cache")

			etag := answer.Header.Get("ETag")
			again, rest := ask(t, test.handler, "GET", test.path, "If-None-Match", etag)
			if again.StatusCode != 304 || rest != "" {
				t.Errorf("GET with If-None-Match: %s answers %d with %d bytes; want 304 and none", etag, again.StatusCode, len(rest))
			}
			changed, _ := ask(t, test.handler, "GET", test.path, "If-None-Match", `"another"`)
			if changed.StatusCode != 200 {
				t.Errorf("GET with another If-None-Match answers %d; want 200", changed.StatusCode)
			}

			head, none := ask(t, test.handler, "HEAD", test.path)
			if head.StatusCode != 200 || none != "" {
				t.Errorf("HEAD answers %d with %d bytes; want 200 and none", head.StatusCode, len(none))
			}
			expectHeader(t, head, "Content-Length", answer.Header.Get("Content-Length"))

			for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
				refused, why := ask(t, test.handler, method, test.path)
				if refused.StatusCode != 405 || why != `{"error":"Method not allowed"}`+"\n" {
					t.Errorf("%s answers %d %s; want 405 and why", method, refused.StatusCode, why)
				}
				expectHeader(t, refused, "Allow", "GET, HEAD")
			}
		})
	}
}

func TestOtherPathsAreNotFound(t *testing.T) {
	for _, test := range []struct {
		handler http.Handler
		path    string
	}{
		{site.Page(site.Options{}), "/site/"},
		{site.Page(site.Options{}), "/site/page.html"},
		{site.Sample(), "/sample/"},
		{site.Sample(), "/sample/help.html"},
		{site.Sample(), "/sample/../sample.go"},
	} {
		if answer, body := ask(t, test.handler, "GET", test.path); answer.StatusCode != 404 {
			t.Errorf("GET %s answers %d %.60q; want 404", test.path, answer.StatusCode, body)
		}
	}
}

func TestPageTellsWhatRuns(t *testing.T) {
	for _, test := range []struct {
		name    string
		options site.Options
		want    []string
		not     []string
	}{
		{
			"nothing configured", site.Options{},
			[]string{"the sample rules", "no <code>parley.yaml</code> yet", "http://chat.test</span>/chat", "-o parley.yaml", `suggestions="`},
			nil,
		},
		{
			"a file without rules", site.Options{Config: "my.yaml"},
			[]string{"the sample rules", "<code>my.yaml</code>", "sample/parley.yaml", `suggestions="`},
			[]string{"-o parley.yaml", "yet"},
		},
		{
			"a bot of the owner's", site.Options{Bot: "rules <7>", Config: "my.yaml", Version: "1.2.3"},
			[]string{"rules &lt;7&gt;", "<code>my.yaml</code>", "Parley 1.2.3"},
			[]string{"sample", `suggestions="`},
		},
		{
			"a public address", site.Options{BaseURL: "https://example.com/chat-api"},
			[]string{"https://example.com/chat-api</span>/chat"},
			[]string{"chat.test"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, body := ask(t, site.Page(test.options), "GET", "http://chat.test/")
			for _, want := range test.want {
				if !strings.Contains(body, want) {
					t.Errorf("the page lacks %q", want)
				}
			}
			for _, not := range test.not {
				if strings.Contains(body, not) {
					t.Errorf("the page has %q and should not", not)
				}
			}
		})
	}
}

func TestPageOverTLSGivesAnHTTPSAddress(t *testing.T) {
	server := httptest.NewTLSServer(site.Page(site.Options{}))
	t.Cleanup(server.Close)
	answer, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if want := server.URL + "</span>/chat"; !strings.Contains(string(body), want) {
		t.Errorf("the page lacks %q", want)
	}
}

// reference finds the addresses that a page of ours mentions.
var reference = regexp.MustCompile(`(?:href|src)="([^"<]+)"`)

func TestPagesReferToWhatIsThere(t *testing.T) {
	url := serve(t, parley.BotFunc(echo), site.Options{})
	for _, path := range []string{"/", "/sample/help", "/sample/getting-started", "/sample/plan"} {
		page := fetch(t, url+path)
		references := reference.FindAllStringSubmatch(page, -1)
		if len(references) < 3 {
			t.Errorf("%s refers to %d addresses; want its style, its icon and more", path, len(references))
		}
		for _, r := range references {
			if strings.HasPrefix(r[1], "/") {
				t.Errorf("%s refers to %s; want a path relative to the page, which works behind any proxy", path, r[1])
			}
			target, err := neturl.Parse(url + path)
			if err == nil {
				target, err = target.Parse(r[1])
			}
			if err != nil {
				t.Fatal(err)
			}
			fetch(t, target.String())
		}
	}
}

func TestPagesHaveNothingInline(t *testing.T) {
	inline := regexp.MustCompile(`(?i)<style|<script[^>]*>[^<]|\sstyle=|\son[a-z]+=|javascript:`)
	url := serve(t, parley.BotFunc(echo), site.Options{})
	for _, path := range []string{"/", "/sample/help", "/sample/getting-started", "/sample/plan"} {
		if found := inline.FindString(fetch(t, url+path)); found != "" {
			t.Errorf("%s contains %q, which its policy forbids", path, found)
		}
	}
	if script := fetch(t, url+"/site/page.js"); regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b`).MatchString(script) {
		t.Error("the script makes markup of text; want text nodes only")
	}
}
