package middleware_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/middleware"
)

func TestAccessLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		bot := parley.BotFunc(func(context.Context, *parley.Turn) (parley.Reply, error) {
			time.Sleep(1234567 * time.Microsecond)
			return parley.Text("Hello!"), nil
		})
		h := setup{log: &log}.handler(t, parley.Config{Bot: bot})
		r := message("Hello, I need help with my account")
		r.URL.RawQuery = "token=secret"
		r.RemoteAddr = "[2001:db8::7]:4000"
		r.Header.Set("User-Agent", "Mozilla/5.0")
		r.Header.Set("X-Request-Id", "debug-1")
		w := serve(h, r)

		line := oneLine(t, &log)
		session, ok := line["session"].(string)
		if !ok || len(session) != 8 || strings.Trim(session, "0123456789abcdef") != "" {
			t.Errorf("session is %v, want 8 hexadecimal digits", line["session"])
		}
		delete(line, "session")
		want := map[string]any{
			"time": time.Now().Format(time.RFC3339Nano), "level": "INFO", "msg": "request",
			"method": "POST", "path": "/chat", "status": 200.0, "bytes": float64(w.Body.Len()), "latency_ms": 1234.0,
			"ip": "2001:db8::7", "user_agent": "Mozilla/5.0", "request_id": "debug-1",
			"prompt": "Hello, I need help with my account",
		}
		if !maps.Equal(line, want) {
			t.Errorf("the line has %v, want %v", line, want)
		}
	})
}

// oneLine returns what stands in the one line of a log.
func oneLine(t testing.TB, log *bytes.Buffer) map[string]any {
	t.Helper()
	text, ok := bytes.CutSuffix(log.Bytes(), []byte("\n"))
	if !ok || bytes.Contains(text, []byte("\n")) {
		t.Fatalf("the log is %q, want one line", log)
	}
	return decode(t, text)
}

func TestAccessLogCutsPrompts(t *testing.T) {
	for _, test := range []struct {
		name, prompt string
		want         any
	}{
		{"short", "hi", "hi"},
		{"100 characters", strings.Repeat("a", 100), strings.Repeat("a", 100)},
		{"101 characters", strings.Repeat("a", 101), strings.Repeat("a", 100)},
		{"100 characters of four bytes", strings.Repeat("🦜", 100) + "!", strings.Repeat("🦜", 100)},
		{"a terminal's commands", "a\u009b31mb\u007fc", "a\uFFFD31mb\uFFFDc"},
		{"line breaks", "a\r\nb\u2028c\x1b[31m", "a\r\nb\u2028c\x1b[31m"},
		{"refused before it is looked at", " ", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var log bytes.Buffer
			h := setup{log: &log}.handler(t, parley.Config{Bot: echo})
			serve(h, message(test.prompt))
			if got := oneLine(t, &log)["prompt"]; got != test.want {
				t.Errorf("the prompt was logged as %q, want %q", got, test.want)
			}
		})
	}
}

func TestAccessLogWithoutPrompts(t *testing.T) {
	var log bytes.Buffer
	chat, err := parley.New(parley.Config{Bot: echo})
	if err != nil {
		t.Fatal(err)
	}
	defer chat.Shutdown(context.Background())
	h := middleware.AccessLog(slog.New(slog.NewJSONHandler(&log, nil)), false)(chat.Handler())
	serve(h, message("my secret"))
	line := oneLine(t, &log)
	if _, ok := line["prompt"]; ok || strings.Contains(log.String(), "secret") {
		t.Errorf("the line is %s, want no prompt", &log)
	}
	if line["session"] == nil {
		t.Errorf("the line is %s, want a session", &log)
	}
}

func TestAccessLogTellsHowRequestsEnd(t *testing.T) {
	for _, test := range []struct {
		name, method string
		serve        http.HandlerFunc
		status       int
		bytes        int
	}{
		{"silence", "GET", func(http.ResponseWriter, *http.Request) {}, 200, 0},
		{"body only", "GET", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }, 200, 5},
		{"a body for HEAD", "HEAD", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }, 200, 0},
		{"status", "GET", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(404) }, 404, 0},
		{"status twice", "GET", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(404); w.WriteHeader(500) }, 404, 0},
		{"early hints", "GET", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(103); w.WriteHeader(404) }, 404, 0},
		{"flush", "GET", func(w http.ResponseWriter, r *http.Request) { w.(http.Flusher).Flush(); w.WriteHeader(500) }, 200, 0},
		{"panic", "GET", func(http.ResponseWriter, *http.Request) { panic("no") }, 500, len(apology)},
		{"cut before an answer", "GET", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 0, 0},
		{"cut in an answer", "GET", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello"); panic("no") }, 200, 5},
	} {
		t.Run(test.name, func(t *testing.T) {
			var log, panics bytes.Buffer
			h := wrap(test.serve, middleware.AccessLog(slog.New(slog.NewJSONHandler(&log, nil)), true),
				middleware.Recover(slog.New(slog.NewJSONHandler(&panics, nil))))
			func() {
				defer func() { recover() }() // as net/http does
				serve(h, httptest.NewRequest(test.method, "/", nil))
			}()
			line := oneLine(t, &log)
			if line["status"] != float64(test.status) || line["bytes"] != float64(test.bytes) {
				t.Errorf("logged status %v and %v bytes, want %d and %d", line["status"], line["bytes"], test.status, test.bytes)
			}
		})
	}
}

// TestStreamsPassThroughTheChain writes events and sees each arrive before the
// next is written, with the deadline of the connection within reach.
func TestStreamsPassThroughTheChain(t *testing.T) {
	next := make(chan bool)
	h := setup{}.around(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		out := http.NewResponseController(w)
		for range 3 {
			err := errors.Join(out.SetWriteDeadline(time.Now().Add(time.Minute)), write(w, "data: hello\n\n"), out.Flush())
			if err != nil {
				t.Errorf("write an event: %v", err)
			}
			select {
			case <-next:
			case <-r.Context().Done():
			}
		}
	}))
	server := httptest.NewServer(h)
	defer server.Close()
	for _, accept := range []string{"text/event-stream", "*/*"} {
		t.Run("Accept: "+accept, func(t *testing.T) {
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
			for i := range 3 {
				event := make([]byte, len("data: hello\n\n"))
				if _, err := io.ReadFull(response.Body, event); err != nil || string(event) != "data: hello\n\n" {
					t.Fatalf("event %d arrived as %q, %v", i, event, err)
				}
				next <- true
			}
		})
	}
}

func write(w io.Writer, text string) error {
	_, err := io.WriteString(w, text)
	return err
}

// logged answers messages through the whole chain and returns its log. The chat
// is shut down, so that it looks at a message and keeps nothing.
func logged(t testing.TB) func(r *http.Request) *bytes.Buffer {
	var log bytes.Buffer
	s := setup{proxies: "1", log: &log}
	chat, err := parley.New(parley.Config{Bot: echo, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	chat.Shutdown(context.Background())
	h := s.around(t, chat.Handler())
	return func(r *http.Request) *bytes.Buffer {
		log.Reset()
		serve(h, r)
		return &log
	}
}

// checkLine checks that a log is one line of JSON, without anything in it that
// a terminal or a reader of lines could take for more than text.
func checkLine(t testing.TB, log *bytes.Buffer) {
	t.Helper()
	line := oneLine(t, log)
	for _, r := range strings.TrimSuffix(log.String(), "\n") {
		if r < ' ' || (0x7F <= r && r <= 0x9F) || r == '\u2028' || r == '\u2029' {
			t.Fatalf("the log has a %U in %q", r, log)
		}
	}
	if prompt, ok := line["prompt"].(string); ok && utf8.RuneCountInString(prompt) > 100 {
		t.Fatalf("the prompt in the log has more than 100 characters: %q", prompt)
	}
	if log.Len() > 16<<10 {
		t.Fatalf("the line has %d bytes", log.Len())
	}
}

// hostile is what log lines have been forged with.
var hostile = []string{
	"\n", "\r", "\r\n", "\x00", "\x1b[2J", "\x1b]0;x\x07", "\u009b31m", "\u0085", "\u2028", "\u2029", "\x7f", "\xff", "\xc2", "\xed\xa0\x80",
	`"`, `\`, `\n`, `","level":"ERROR"}`, "}\n{", "{", "%0a", "%", "\t", "\b", "\v", "\f", "é", "🦜", "\u202e", "\ufeff", "a", " ", "\u00a0",
}

func TestAccessLogCannotBeForged(t *testing.T) {
	answer := logged(t)
	n := 20_000
	if testing.Short() {
		n = 2_000
	}
	rng := rand.New(rand.NewPCG(1, 2))
	text := func() string {
		var b strings.Builder
		for range rng.IntN(200) {
			b.WriteString(hostile[rng.IntN(len(hostile))])
		}
		return b.String()
	}
	for range n {
		r := message(text())
		r.URL.Path = slices.Concat([]string{"/chat"}, []string{"/" + text()})[rng.IntN(2)]
		r.Method = []string{"POST", "GET", text()}[rng.IntN(3)]
		r.Header["User-Agent"] = []string{text()}
		r.Header["X-Request-Id"] = []string{text()}
		r.Header["X-Forwarded-For"] = []string{text()}
		checkLine(t, answer(r))
	}
}

func FuzzAccessLog(f *testing.F) {
	for i, text := range hostile {
		f.Add("POST", "/chat", text, text, "x")
		f.Add(text, "/"+text, hostile[len(hostile)-1-i], "", text)
	}
	answer := logged(f)
	f.Fuzz(func(t *testing.T, method, path, prompt, userAgent, id string) {
		r := message(prompt)
		r.Method, r.URL.Path, r.RemoteAddr = method, path, "192.0.2.1:"+id
		r.Header["User-Agent"] = []string{userAgent}
		r.Header["X-Request-Id"] = []string{id}
		checkLine(t, answer(r))
	})
}
