package llm_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tmaxmax/go-sse"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/proof/server"
)

// parleyCommand is where the chat server itself is built from.
const parleyCommand = "../../cmd/parley"

// serve runs a chat server with some settings, and returns its address.
func serve(t *testing.T, program string, settings ...string) (url string) {
	t.Helper()
	s, err := server.Start(program, filepath.Join(t.TempDir(), "parley.db"), settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() {
			t.Logf("the chat server's log:\n%s", s.Log())
		}
	})
	if _, err := s.WaitReady(); err != nil {
		t.Fatal(err)
	}
	return s.URL
}

// post sends a prompt, and returns the server's answer, which has the status 200.
// It lasts as long as ctx.
func post(ctx context.Context, url, accept, prompt string) (*http.Response, error) {
	body, err := json.Marshal(map[string]any{"prompt": prompt, "session_id": nil})
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, "POST", url+"/chat", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", accept)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		return nil, fmt.Errorf("the server answered %s: %s", answer.Status, body)
	}
	return answer, nil
}

// ask returns the reply to a prompt.
func ask(t *testing.T, url, prompt string) string {
	t.Helper()
	answer, err := post(t.Context(), url, "application/json", prompt)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	return textOf(t, answer.Body)
}

// askForStream returns the reply to a prompt, and the pieces in which it came.
func askForStream(t *testing.T, url, prompt string) (pieces []string, reply string) {
	t.Helper()
	answer, err := post(t.Context(), url, "text/event-stream", prompt)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	for event, err := range sse.Read(answer.Body, nil) {
		if err != nil {
			t.Fatal(err)
		}
		switch event.Type {
		case "delta":
			var delta struct{ Text string }
			if err := json.Unmarshal([]byte(event.Data), &delta); err != nil {
				t.Fatal(err)
			}
			pieces = append(pieces, delta.Text)
		case "reply":
			reply = textOf(t, strings.NewReader(event.Data))
		default:
			t.Errorf("there is an event %q: %s; want delta and reply", event.Type, event.Data)
		}
	}
	return pieces, reply
}

// textOf reads a reply and returns its text.
func textOf(t *testing.T, r io.Reader) string {
	t.Helper()
	var reply parley.Reply
	if err := json.NewDecoder(r).Decode(&reply); err != nil {
		t.Fatal(err)
	}
	return reply.Text
}
