// Package providers proves what a visitor and a bill see of a model's provider
// that fails: a valid answer in time, whatever the provider does, and no more
// calls than turns.
package providers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/bot"
	"github.com/parley-chat/parley/bot/anthropic"
	"github.com/parley-chat/parley/bot/openai"
	"github.com/parley-chat/parley/internal/providertest"
)

// short returns n, or a tenth of it where the test is short.
func short(n int) int {
	if testing.Short() {
		return n / 10
	}
	return n
}

// A scene is a chat, served over HTTP, that asks a model and then another one.
// Each has a provider of its own.
type scene struct {
	first, second *providertest.Server
	url           string
	client        *http.Client
}

// An arrangement puts something around each model.
type arrangement func(t testing.TB, model parley.Bot) parley.Bot

// open opens a scene. A turn may take as long as deadline.
func open(t testing.TB, deadline time.Duration, arrange arrangement) *scene {
	t.Helper()
	s := &scene{first: providertest.New(t), second: providertest.New(t)}
	first, err := openai.New(openai.Config{BaseURL: s.first.URL})
	if err != nil {
		t.Fatal(err)
	}
	second, err := anthropic.New(anthropic.Config{BaseURL: s.second.URL})
	if err != nil {
		t.Fatal(err)
	}
	chat, err := parley.New(parley.Config{
		Bot:           bot.FirstOf(arrange(t, first), arrange(t, second)),
		AnswerTimeout: deadline,
		Logger:        slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(chat.Handler())
	s.url = web.URL
	s.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		if err := chat.Shutdown(ctx); err != nil {
			t.Errorf("shut the chat down: %v", err)
		}
		s.client.CloseIdleConnections()
		web.Close()
	})
	return s
}

// guarded puts a guard with deadlines around a model, as the server does.
func guarded(firstText, whole time.Duration) arrangement {
	return func(t testing.TB, model parley.Bot) parley.Bot {
		guard, err := bot.NewGuard(bot.GuardConfig{
			Name: "model", Bot: model, FirstText: firstText, Answer: whole, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		return guard
	}
}

// botFunc is a bot that emits.
type botFunc func(context.Context, *parley.Turn, func(string)) (parley.Reply, error)

func (f botFunc) Reply(ctx context.Context, turn *parley.Turn, emit func(string)) (parley.Reply, error) {
	return f(ctx, turn, emit)
}

// numbered has a model end each reply with a number, so that no two are the same.
func numbered(model parley.Bot) parley.Bot {
	var calls atomic.Int64
	return botFunc(func(ctx context.Context, turn *parley.Turn, emit func(string)) (parley.Reply, error) {
		reply, err := model.Reply(ctx, turn, emit)
		reply.Text += fmt.Sprintf(" (%d)", calls.Add(1))
		return reply, err
	})
}

// A message is what a client sends.
type message struct {
	session, prompt, key string
	stream               bool
}

// An answer is what a client got.
type answer struct {
	status int
	body   []byte // JSON; of a stream, that of its last event
	took   time.Duration
}

// ask sends a message and waits for its answer.
func (s *scene) ask(ctx context.Context, m message) (answer, error) {
	body, err := json.Marshal(map[string]string{"prompt": m.prompt, "session_id": m.session})
	if err != nil {
		return answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/chat", bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	if m.stream {
		req.Header.Set("Accept", "text/event-stream")
	}
	if m.key != "" {
		req.Header.Set("Idempotency-Key", m.key)
	}
	began := time.Now()
	resp, err := s.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{status: resp.StatusCode, body: bytes.TrimSpace(got), took: time.Since(began)}
	if resp.Header.Get("Content-Type") == "text/event-stream" {
		a.body, err = lastEvent(string(a.body))
	}
	return a, err
}

// lastEvent returns the data of the event that ends a stream, which must be a
// reply.
func lastEvent(stream string) ([]byte, error) {
	last := stream[strings.LastIndex(stream, "\n\n")+1:]
	_, event, _ := strings.Cut(last, "event: reply\ndata: ")
	if event == "" {
		return nil, fmt.Errorf("the stream ends with %q, want a reply", last)
	}
	return []byte(event), nil
}

// text returns what an answer says. The error says why it is no valid reply.
func (a answer) text() (string, error) {
	if a.status != http.StatusOK {
		return "", fmt.Errorf("was answered with %d and %s, want 200", a.status, a.body)
	}
	var reply parley.Reply
	if err := json.Unmarshal(a.body, &reply); err != nil {
		return "", fmt.Errorf("was answered with %s: %w", a.body, err)
	}
	return reply.Text, reply.Validate()
}
