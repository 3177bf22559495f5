package compress_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/parley-chat/parley/middleware/compress"
)

var (
	short = `{"output":"` + strings.Repeat("a", 1000) + `"}`
	long  = `{"output":"` + strings.Repeat("Hello! ", 1000) + `"}`
)

func TestHandler(t *testing.T) {
	for _, test := range []struct {
		name, method, accept string
		header               http.Header // of the answer
		body, want           string      // and its Content-Encoding
	}{
		{"zstd", "POST", "gzip, deflate, br, zstd", nil, long, "zstd"},
		{"gzip", "POST", "gzip, deflate", nil, long, "gzip"},
		{"gzip preferred", "POST", "gzip, zstd;q=0.5", nil, long, "gzip"},
		{"gzip refused", "POST", "gzip;q=0", nil, long, ""},
		{"unknown", "POST", "br", nil, long, ""},
		{"none", "POST", "", nil, long, ""},
		{"short", "POST", "gzip, zstd", nil, short, ""},
		{"empty", "POST", "gzip, zstd", nil, "", ""},
		{"HEAD", "HEAD", "gzip, zstd", nil, "", ""},
		{"encoded already", "GET", "gzip, zstd, br", http.Header{"Content-Encoding": {"br"}}, long, "br"},
		{"compressed by nature", "GET", "gzip, zstd", http.Header{"Content-Type": {"image/jpeg"}}, long, ""},
		{"event stream", "POST", "gzip, zstd", http.Header{"Content-Type": {"text/event-stream; charset=utf-8"}}, long, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := compress.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json; charset=utf-8")
				for name, values := range test.header {
					w.Header()[name] = values
				}
				w.WriteHeader(http.StatusAccepted)
				io.WriteString(w, test.body)
			}))
			r := httptest.NewRequest(test.method, "/", nil)
			r.Header.Set("Accept-Encoding", test.accept)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)

			got := w.Header().Get("Content-Encoding")
			if w.Code != http.StatusAccepted || got != test.want || w.Header().Get("Vary") != "Accept-Encoding" {
				t.Errorf("answered %d in %q, Vary %q; want 202 in %q, Vary Accept-Encoding", w.Code, got, w.Header().Get("Vary"), test.want)
			}
			if body := expand(t, got, w.Body.Bytes()); body != test.body {
				t.Errorf("the body is %.100q, want %.100q", body, test.body)
			}
		})
	}
}

// expand undoes a Content-Encoding, except those that the test itself claimed.
func expand(t *testing.T, encoding string, data []byte) string {
	t.Helper()
	var reader io.Reader = bytes.NewReader(data)
	var err error
	switch encoding {
	case "gzip":
		reader, err = gzip.NewReader(reader)
	case "zstd":
		reader, err = zstd.NewReader(reader)
	}
	if err == nil {
		data, err = io.ReadAll(reader)
	}
	if err != nil {
		t.Fatalf("%s: %v", encoding, err)
	}
	return string(data)
}

// TestEventsLeaveWhenTheyAreWritten reads each event before it lets the handler
// write the next.
func TestEventsLeaveWhenTheyAreWritten(t *testing.T) {
	for _, accept := range []string{"text/event-stream", "application/json, text/event-stream", "*/*", ""} {
		t.Run("Accept: "+accept, func(t *testing.T) {
			read := make(chan bool)
			server := httptest.NewServer(compress.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				for range 3 {
					io.WriteString(w, "data: hello\n\n")
					http.NewResponseController(w).Flush()
					select {
					case <-read:
					case <-r.Context().Done():
					}
				}
			})))
			defer server.Close()
			r, err := http.NewRequest("GET", server.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Accept", accept)
			r.Header.Set("Accept-Encoding", "gzip, zstd")
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			lines := bufio.NewReader(response.Body)
			for i := range 3 {
				if line, err := lines.ReadString('\n'); line != "data: hello\n" {
					t.Fatalf("event %d arrived as %q, %v", i, line, err)
				}
				lines.ReadString('\n')
				read <- true
			}
			if encoding := response.Header.Get("Content-Encoding"); encoding != "" {
				t.Errorf("the stream is encoded as %q, want it as it is", encoding)
			}
		})
	}
}

// TestStreamsSeeThatTheClientLeft writes to a client that is gone until Flush
// says so.
func TestStreamsSeeThatTheClientLeft(t *testing.T) {
	failed := make(chan error)
	server := httptest.NewServer(compress.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		for range 1000 {
			io.WriteString(w, "data: hello\n\n")
			if err := http.NewResponseController(w).Flush(); err != nil {
				failed <- err
				return
			}
		}
		failed <- nil
	})))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nAccept-Encoding: gzip\r\n\r\n")
	conn.Close()
	if err := <-failed; err == nil {
		t.Error("1000 events were flushed to a client that left, want an error")
	}
}

// TestHandlersThatPanic sees to it that nothing is sent in place of an answer
// that did not begin, so that a middleware outside can answer.
func TestHandlersThatPanic(t *testing.T) {
	cause := errors.New("no")
	h := compress.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(cause) }))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	w := &untouched{ResponseRecorder: httptest.NewRecorder()}
	defer func() {
		if got := recover(); got != cause || w.touched {
			t.Errorf("panicked with %v, an answer was begun: %v; want %v and none", got, w.touched, cause)
		}
	}()
	h.ServeHTTP(w, r)
}

// untouched notes whether an answer was begun.
type untouched struct {
	*httptest.ResponseRecorder
	touched bool
}

func (u *untouched) WriteHeader(status int) {
	u.touched = true
	u.ResponseRecorder.WriteHeader(status)
}

func (u *untouched) Write(data []byte) (int, error) {
	u.touched = true
	return u.ResponseRecorder.Write(data)
}

func BenchmarkHandler(b *testing.B) {
	for _, test := range []struct{ name, accept, body string }{
		{"short", "gzip, zstd", short},
		{"7 KB zstd", "gzip, zstd", long},
		{"7 KB gzip", "gzip", long},
		{"7 KB plain", "", long},
	} {
		b.Run(test.name, func(b *testing.B) {
			body := []byte(test.body)
			h := compress.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json; charset=utf-8")
				w.Write(body)
			}))
			r := httptest.NewRequest("POST", "/", nil)
			r.Header.Set("Accept-Encoding", test.accept)
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(&discard{header: http.Header{}}, r)
			}
		})
	}
}

// discard is a ResponseWriter that costs next to nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header            { return d.header }
func (d *discard) Write(data []byte) (int, error) { return len(data), nil }
func (d *discard) WriteHeader(int)                {}
