package nodes_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// A model is a provider with the Chat Completions of OpenAI, which never says
// the same thing twice. So a reply that was made up anew cannot pass for another.
type model struct {
	url string

	mu    sync.Mutex
	words int           // of a reply
	pace  time.Duration // between two words
	calls map[string]int
}

// newModel starts a model that ends with the test. It answers with a few words
// at once.
func newModel(t *testing.T) *model {
	m := &model{words: 3, calls: map[string]int{}}
	web := httptest.NewServer(m)
	t.Cleanup(web.Close)
	m.url = web.URL
	return m
}

// speak has the model answer with so many words from now on, one by one.
func (m *model) speak(words int, pace time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.words, m.pace = words, pace
}

// callsFor returns how many times the model was asked a prompt.
func (m *model) callsFor(prompt string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls[prompt]
}

func (m *model) begin(prompt string) (words int, pace time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls[prompt]++
	return m.words, m.pace
}

// ServeHTTP streams a reply.
func (m *model) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var call struct {
		Messages []struct{ Content string }
	}
	if err := json.NewDecoder(r.Body).Decode(&call); err != nil || len(call.Messages) == 0 {
		http.Error(w, "this is no call of Chat Completions", http.StatusBadRequest)
		return
	}
	prompt := call.Messages[len(call.Messages)-1].Content
	words, pace := m.begin(prompt)
	w.Header().Set("Content-Type", "text/event-stream")
	name := rand.Text()[:6]
	for i := range words {
		piece := fmt.Sprintf("%s·%d ", name, i)
		if i == words-1 {
			piece = "🚲 " + prompt
		}
		chunk(w, map[string]any{"content": piece}, nil)
		if i == words-1 {
			break
		}
		select {
		case <-r.Context().Done():
			return
		case <-time.After(pace):
		}
	}
	chunk(w, map[string]any{}, "stop")
	fmt.Fprint(w, "data: [DONE]\n\n")
}

// chunk sends a chunk of a reply at once.
func chunk(w http.ResponseWriter, delta map[string]any, finish any) {
	data, err := json.Marshal(map[string]any{
		"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
		"choices": []any{map[string]any{"index": 0, "delta": delta, "finish_reason": finish}},
	})
	if err != nil {
		panic(err) // of our own maps
	}
	fmt.Fprintf(w, "data: %s\n\n", data)
	http.NewResponseController(w).Flush() // who is gone is seen by the context
}
