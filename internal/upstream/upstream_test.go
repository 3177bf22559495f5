package upstream_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/upstream"
)

// newServer returns a server at an address, with what is sent there.
func newServer(t *testing.T, address string, headers map[string]string, secrets ...string) *upstream.Server {
	t.Helper()
	u, err := upstream.ParseURL(address, "https://example.com")
	if err != nil {
		t.Fatal(err)
	}
	return upstream.NewServer(u, nil, headers, secrets...)
}

func TestFailureHidesSecrets(t *testing.T) {
	server := newServer(t, "https://llm.example.com/v1/a-path%2Fof-16-bytes-or-more/chat?key=query+value%2F1&key=short&b=lower%2fcase&without-a-name&bad=100%-secret", map[string]string{
		"Authorization": "Bearer sk-0123456789",
		"Cookie":        `session="cookie-1234"; theme=dark`,
		"X-Longer":      "sk-0123456789-and-more",
	}, "the-api-key", "none")
	for said, want := range map[string]string{
		"sk-0123456789":            "[hidden]",
		"Bearer sk-0123456789.":    "Bearer [hidden].",
		"<sk-0123456789-and-more>": "<[hidden]>",
		"cookie-1234":              "[hidden]",
		"dark":                     "dark",
		"query value/1":            "[hidden]",
		"query+value%2F1":          "[hidden]",
		"query%20value%2F1":        "[hidden]",
		"lower%2fcase":             "[hidden]",
		"lower%2Fcase":             "[hidden]",
		"lower/case":               "[hidden]",
		"without-a-name":           "[hidden]",
		"100%-secret":              "[hidden]",
		"short":                    "short",
		"POST /v1/a-path%2Fof-16-bytes-or-more/chat": "POST /v1/[hidden]/chat",
		"a-path/of-16-bytes-or-more":                 "[hidden]",
		"the-api-key":                                "[hidden]",
		"there is none":                              "there is none",
	} {
		if got := server.Failure(true, "said %s", said).Error(); got != "llm.example.com said "+want {
			t.Errorf("of %q the operator reads %q; want %q", said, got, "llm.example.com said "+want)
		}
		if got := server.Quote(said); got != want {
			t.Errorf("Quote(%q) = %q; want %q", said, got, want)
		}
	}
}

func TestFailureIsOneShortLine(t *testing.T) {
	server := newServer(t, "https://llm.example.com", nil, "the-api-key")
	got := server.Failure(false, "a\nb\x1b[31m \xff %s", strings.Repeat("é", 1000)).Error()
	if want := "llm.example.com a b [31m \uFFFD éé"; !strings.HasPrefix(got, want) || len(got) > 600 || !strings.HasSuffix(got, "é…") {
		t.Errorf("the failure is %q; want %q and so on, of 600 bytes at most", got, want)
	}
	if got := server.Quote(strings.Repeat("a", 230) + " the-api-key"); strings.Contains(got, "the-") {
		t.Errorf("Quote = %q; want no half of a key where it was cut", got)
	}
}

func TestRefused(t *testing.T) {
	asked, err := http.NewRequest("POST", "https://llm.example.com/v1", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		status    int
		temporary bool
		header    http.Header
		want      string
		rest      time.Duration
	}{
		{503, true, http.Header{"Retry-After": {"7"}}, "answered 503 Service Unavailable; a hint. It said: no", 7 * time.Second},
		{413, false, http.Header{"Retry-After": {"7"}}, "answered 413 Request Entity Too Large; a hint. It said: no", 0},
		{301, false, http.Header{"Location": {"https://other.example.com/way?token=12345678"}},
			"answered 301 Moved Permanently; it sends on to https://other.example.com, which is not followed: check the URL. It said: no", 0},
	} {
		resp := &http.Response{StatusCode: test.status, Header: test.header, Request: asked}
		f := newServer(t, "https://llm.example.com/v1", nil).Refused(resp, test.temporary, "a hint", "no")
		if f.Error() != "llm.example.com "+test.want || f.Temporary != test.temporary || f.RetryAfter != test.rest {
			t.Errorf("the failure is %+v; want %q with a rest of %v", f, test.want, test.rest)
		}
	}
}

func TestIsTemporary(t *testing.T) {
	var got []int
	for status := 200; status < 600; status++ {
		if upstream.IsTemporary(status) && status < 504 {
			got = append(got, status)
		}
	}
	if want := []int{408, 409, 429, 500, 502, 503}; !slices.Equal(got, want) || !upstream.IsTemporary(529) {
		t.Errorf("asking again can help after %v, and 529: %v; want %v and 529", got, upstream.IsTemporary(529), want)
	}
}

// TestUnreachableTellsNothingOfTheURL asks where nobody listens.
func TestUnreachableTellsNothingOfTheURL(t *testing.T) {
	server := newServer(t, "http://127.0.0.1:1/path?key=a", nil)
	_, err := server.Client.Get("http://127.0.0.1:1/path?key=a")
	if err == nil {
		t.Fatal("somebody listens on port 1")
	}
	if f := server.Unreachable(err); !f.Temporary || f.Error() != "127.0.0.1:1 cannot be reached: dial tcp 127.0.0.1:1: connect: connection refused" {
		t.Errorf("the failure is %q, temporary %v; want a temporary one that says why", f, f.Temporary)
	}
}

// TestLocationIsNotQuoted has a server send on to what is no address.
func TestLocationIsNotQuoted(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "https://llm.example.com:port/?token=12345678")
		w.WriteHeader(http.StatusPermanentRedirect)
	}))
	defer web.Close()
	server := newServer(t, web.URL, nil)
	resp, err := server.Client.Get(web.URL)
	if err != nil {
		t.Fatalf("the call failed: %v; want the response, with nothing to follow", err)
	}
	defer resp.Body.Close()
	if got, want := server.Refused(resp, false, "", "").Error(), web.URL[len("http://"):]+" answered 308 Permanent Redirect"; got != want {
		t.Errorf("the failure is %q; want %q", got, want)
	}
}

func TestLimitBody(t *testing.T) {
	for length, fits := range map[int]bool{0: true, 9: true, 10: true, 11: false, 5000: false} {
		body := &closer{Reader: strings.NewReader(strings.Repeat("a", length))}
		limited := upstream.LimitBody(body, 10)
		data, err := io.ReadAll(limited)
		var tooLong *http.MaxBytesError
		if errors.As(err, &tooLong) == fits || len(data) != min(length, 10) {
			t.Errorf("of %d bytes, %d could be read: %v; want 10 at most, and an error behind them", length, len(data), err)
		}
		if limited.Close(); !body.closed {
			t.Errorf("the body of %d bytes was left open", length)
		}
	}
	_, err := io.ReadAll(upstream.LimitBody(io.NopCloser(io.MultiReader(strings.NewReader("a"), broken{})), 10))
	var unread *upstream.ReadError
	if !errors.As(err, &unread) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a body that breaks off ended with %v; want a ReadError for it", err)
	}
}

type closer struct {
	io.Reader
	closed bool
}

func (c *closer) Close() error { c.closed = true; return nil }

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// TestLimitBodyDoesNotWaitForTheEnd has a server hold the end of an answer back.
func TestLimitBodyDoesNotWaitForTheEnd(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "all that matters")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer server.Close()
	resp, err := upstream.NewClient(nil).Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	body := upstream.LimitBody(resp.Body, 1<<20)
	if _, err := io.ReadFull(body, make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	body.Close()
	if took := time.Since(began); took > time.Second {
		t.Errorf("Close took %v; want a moment", took)
	}
}

func TestCheckHeaders(t *testing.T) {
	err := upstream.CheckHeaders(map[string]string{
		"X Key": "a", "X-Key": "a\nb", "accept-encoding": "gzip", "host": "a", "x-own": "a", "Authorization": "Bearer ä",
	}, "X-Own")
	var problems parley.Problems
	errors.As(err, &problems)
	var paths []string
	for _, p := range problems {
		paths = append(paths, p.Path)
	}
	if want := []string{`["X Key"]`, `["X-Key"]`, `["accept-encoding"]`, `["host"]`, `["x-own"]`}; !slices.Equal(paths, want) {
		t.Errorf("there are problems at %q; want %q", paths, want)
	}
}

func TestParseURL(t *testing.T) {
	for raw, want := range map[string]string{
		"":                                 "is missing",
		"https://me:secret@a.example:port": "is not a URL",
		"a.example/secret":                 "has to begin with http",
		"ftp://a.example/secret":           "has to begin with http",
		"https://:443/secret":              "has to begin with http",
		"https://me:secret@a.example":      "holds a user or password",
		"https://a.example/#secret":        "has a part after #",
	} {
		if _, err := upstream.ParseURL(raw, "https://b.example"); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("ParseURL(%q) = %v; want %q without a secret", raw, err, want)
		}
	}
	if u, err := upstream.ParseURL("https://a.example/b%2Fc?d=e", ""); err != nil || *u != (url.URL{Scheme: "https", Host: "a.example", Path: "/b/c", RawPath: "/b%2Fc", RawQuery: "d=e"}) {
		t.Errorf("ParseURL = %+v, %v; want what was written", u, err)
	}
}
