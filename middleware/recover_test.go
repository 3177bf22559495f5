package middleware_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/middleware"
)

const apology = `{"output":"I'm sorry, I'm experiencing technical difficulties. Please try again."}` + "\n"

func TestRecoverAnswersAndLogs(t *testing.T) {
	var log bytes.Buffer
	recoverer := middleware.Recover(slog.New(slog.NewJSONHandler(&log, nil)))
	h := middleware.RequestID(recoverer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("X-Kept", "yes")
		panic("the\nsecret")
	})))
	r := httptest.NewRequest("POST", "/chat?token=1", nil)
	r.Header.Set("X-Request-Id", "debug-1")
	w := serve(h, r)

	if w.Code != 500 || w.Body.String() != apology {
		t.Errorf("answered %d %s, want 500 %s", w.Code, w.Body, apology)
	}
	if w.Header().Get("Content-Encoding")+w.Header().Get("ETag") != "" || w.Header().Get("X-Kept") != "yes" {
		t.Errorf("the headers are %v, want those about the lost answer gone and others kept", w.Header())
	}
	line := oneLine(t, &log)
	for key, want := range map[string]any{"level": "ERROR", "panic": "the\nsecret", "method": "POST", "path": "/chat", "request_id": "debug-1"} {
		if line[key] != want {
			t.Errorf("logged %s %q, want %q", key, line[key], want)
		}
	}
	if stack, _ := line["stack"].(string); !strings.Contains(stack, "TestRecoverAnswersAndLogs") {
		t.Errorf("the stack does not name who panicked: %s", stack)
	}
}

// TestRecoverNamesTheSession has middleware panic after the chat answered.
func TestRecoverNamesTheSession(t *testing.T) {
	var log bytes.Buffer
	s := setup{log: &log}
	chat, err := parley.New(parley.Config{Bot: echo})
	if err != nil {
		t.Fatal(err)
	}
	defer chat.Shutdown(context.Background())
	h := s.around(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		chat.Handler().ServeHTTP(httptest.NewRecorder(), r)
		panic("no")
	}))
	if w := serve(h, message("hello")); w.Code != 500 || w.Body.String() != apology {
		t.Errorf("answered %d %s, want 500 %s", w.Code, w.Body, apology)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("logged %d lines, want the panic and the request: %s", len(lines), &log)
	}
	panicked, request := decode(t, []byte(lines[0])), decode(t, []byte(lines[1]))
	if session, _ := panicked["session"].(string); len(session) != 8 || session != request["session"] {
		t.Errorf("the panic is of session %v and the request of %v, want the same", panicked["session"], request["session"])
	}
	if request["status"] != 500.0 {
		t.Errorf("the request was logged with status %v, want 500", request["status"])
	}
}

// TestRecoverCutsPartialAnswers sees to it that no client takes the part of an
// answer that was sent before a panic for the whole.
func TestRecoverCutsPartialAnswers(t *testing.T) {
	for _, test := range []struct {
		name  string
		serve http.HandlerFunc
	}{
		{"after a part", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "part"); panic("no") }},
		{"after a flush", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "part")
			w.(http.Flusher).Flush()
			panic("no")
		}},
		{"after the header", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(200); panic("no") }},
		{"after a long part", func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, 100_000)); panic("no") }},
		{"on purpose", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(setup{}.around(t, test.serve))
			server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
			server.Start()
			defer server.Close()
			response, err := http.Get(server.URL)
			if err != nil {
				return // cut before the header
			}
			defer response.Body.Close()
			if body, err := io.ReadAll(response.Body); err == nil {
				t.Errorf("the client got %d %q as a whole answer, want a cut connection", response.StatusCode, body)
			}
		})
	}
}

func TestRecoverPassesAbort(t *testing.T) {
	var log bytes.Buffer
	h := middleware.Recover(slog.New(slog.NewJSONHandler(&log, nil)))(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic(http.ErrAbortHandler)
	}))
	defer func() {
		if cause := recover(); cause != http.ErrAbortHandler || log.Len() > 0 {
			t.Errorf("panicked with %v and logged %q, want ErrAbortHandler and nothing", cause, &log)
		}
	}()
	serve(h, httptest.NewRequest("GET", "/", nil))
}
