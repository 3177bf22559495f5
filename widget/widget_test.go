package widget_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/parley-chat/parley/widget"
)

func get(t *testing.T, path string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest("GET", path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	widget.Handler().ServeHTTP(w, r)
	return w
}

func file(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("dist/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// chatPath finds where the script loads the chat from, and its integrity hash.
func chatPath(t *testing.T) (path, integrity string) {
	t.Helper()
	script := string(file(t, "widget.js"))
	path = regexp.MustCompile(`widget/[0-9a-f]{16}\.js`).FindString(script)
	integrity = regexp.MustCompile(`sha256-[A-Za-z0-9+/=]{44}`).FindString(script)
	if path == "" || integrity == "" {
		t.Fatal("widget.js names no chat with an integrity hash")
	}
	return "/" + path, integrity
}

func TestFilesAreServed(t *testing.T) {
	script, _ := widget.Script()
	chat, _ := chatPath(t)
	for _, test := range []struct {
		path, file, contentType, cacheControl string
	}{
		{"/widget.js", "widget.js", "text/javascript; charset=utf-8", "public, max-age=300, stale-while-revalidate=86400"},
		{"/widget.mjs", "widget.mjs", "text/javascript; charset=utf-8", "public, max-age=300, stale-while-revalidate=86400"},
		{"/widget.d.ts", "widget.d.ts", "text/plain; charset=utf-8", "public, max-age=300, stale-while-revalidate=86400"},
		{script, "widget.js", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		{chat, "chat.js", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
	} {
		t.Run(test.path, func(t *testing.T) {
			w := get(t, test.path)
			if w.Code != http.StatusOK || !bytes.Equal(w.Body.Bytes(), file(t, test.file)) {
				t.Fatalf("got status %d and %d bytes; want 200 and dist/%s", w.Code, w.Body.Len(), test.file)
			}
			for header, want := range map[string]string{
				"Content-Type":                 test.contentType,
				"Cache-Control":                test.cacheControl,
				"Vary":                         "Accept-Encoding",
				"Access-Control-Allow-Origin":  "*",
				"Cross-Origin-Resource-Policy": "cross-origin",
				"X-Content-Type-Options":       "nosniff",
				"Content-Encoding":             "",
			} {
				if got := w.Header().Get(header); got != want {
					t.Errorf("%s is %q; want %q", header, got, want)
				}
			}
		})
	}
}

func TestBestEncodingIsSent(t *testing.T) {
	for _, test := range []struct{ accept, want string }{
		{"", ""},
		{"gzip, deflate, br, zstd", "br"},
		{"gzip, deflate", "gzip"},
		{"br;q=0, gzip", "gzip"},
		{"gzip;q=1.0, br;q=0.8", "br"},
		{"br ; q=0.0 , gzip;q=0", ""},
		{"BR", "br"},
		{"bread, zstd", ""},
		{",,;=", ""},
	} {
		t.Run(test.accept, func(t *testing.T) {
			w := get(t, "/widget.js", "Accept-Encoding", test.accept)
			if got := w.Header().Get("Content-Encoding"); got != test.want {
				t.Fatalf("Content-Encoding is %q; want %q", got, test.want)
			}
			body := w.Body.Bytes()
			switch test.want {
			case "br":
				if !bytes.Equal(body, file(t, "widget.js.br")) {
					t.Error("the body is not dist/widget.js.br")
				}
				return
			case "gzip":
				r, err := gzip.NewReader(w.Body)
				if err != nil {
					t.Fatal(err)
				}
				if body, err = io.ReadAll(r); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(body, file(t, "widget.js")) {
				t.Error("the body is not dist/widget.js")
			}
		})
	}
}

func TestUnchangedFileIsNotSentAgain(t *testing.T) {
	first := get(t, "/widget.js", "Accept-Encoding", "br")
	tag := first.Header().Get("ETag")
	if again := get(t, "/widget.js", "Accept-Encoding", "br", "If-None-Match", tag); again.Code != http.StatusNotModified || again.Body.Len() > 0 {
		t.Errorf("got status %d and %d bytes; want 304 and none", again.Code, again.Body.Len())
	}
	if other := get(t, "/widget.js", "Accept-Encoding", "gzip", "If-None-Match", tag); other.Code != http.StatusOK {
		t.Errorf("the ETag of br matches gzip: status %d; want 200", other.Code)
	}
	if part := get(t, "/widget.js", "Range", "bytes=0-9"); part.Code != http.StatusOK {
		t.Errorf("a range got status %d; want 200 and the whole", part.Code)
	}
}

func TestNothingElseIsServed(t *testing.T) {
	for _, path := range []string{"/", "/widget/", "/widget/chat.js", "/widget/0000000000000000.js", "/dist/widget.js", "/widget.js.br"} {
		if w := get(t, path); w.Code != http.StatusNotFound {
			t.Errorf("%s: status %d; want 404", path, w.Code)
		}
	}
	w := httptest.NewRecorder()
	widget.Handler().ServeHTTP(w, httptest.NewRequest("POST", "/widget.js", nil))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: status %d, Allow %q; want 405 and GET, HEAD", w.Code, w.Header().Get("Allow"))
	}
	head := httptest.NewRecorder()
	widget.Handler().ServeHTTP(head, httptest.NewRequest("HEAD", "/widget.js", nil))
	if head.Code != http.StatusOK || head.Body.Len() > 0 {
		t.Errorf("HEAD: status %d and %d bytes; want 200 and none", head.Code, head.Body.Len())
	}
}

func TestIntegrityHashesAreTrue(t *testing.T) {
	path, integrity := widget.Script()
	sum := sha512.Sum384(get(t, path).Body.Bytes())
	if want := "sha384-" + base64.StdEncoding.EncodeToString(sum[:]); integrity != want {
		t.Errorf("the integrity of %s is %s; want %s", path, integrity, want)
	}
	path, integrity = chatPath(t)
	chat := sha256.Sum256(get(t, path).Body.Bytes())
	if want := "sha256-" + base64.StdEncoding.EncodeToString(chat[:]); integrity != want {
		t.Errorf("widget.js wants %s with %s; its hash is %s", path, integrity, want)
	}
}

// TestSize holds the widget to its promise: what a visitor downloads.
func TestSize(t *testing.T) {
	const kilobyte = 1024
	script, module, chat := len(file(t, "widget.js.br")), len(file(t, "widget.mjs.br")), len(file(t, "chat.js.br"))
	t.Logf("before the launcher is pressed: %d bytes (as a module: %d)", script, module)
	t.Logf("until the chat is open and can show every kind: %d bytes", script+chat)
	if most := 3 * kilobyte; script > most || module > most {
		t.Errorf("the launcher is %d bytes as a script and %d as a module; want %d at most", script, module, most)
	}
	if most := 12 * kilobyte; script+chat > most || module+chat > most {
		t.Errorf("the widget is %d bytes as a script and %d as a module; want %d at most", script+chat, module+chat, most)
	}
}

// TestNothingIsParsedOrEvaluated looks for what a strict content security
// policy or Trusted Types forbid.
func TestNothingIsParsedOrEvaluated(t *testing.T) {
	for _, name := range []string{"widget.js", "widget.mjs", "chat.js"} {
		script := string(file(t, name))
		for _, word := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "createContextualFragment", "DOMParser", `setAttribute("style"`} {
			if strings.Contains(script, word) {
				t.Errorf("%s contains %s", name, word)
			}
		}
	}
}
