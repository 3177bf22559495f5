package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/parley-chat/parley"
)

const (
	testSecret = "0123456789abcdef0123456789abcdef"
	// shop is a site that may use the chat, and evil one that may not.
	shop = "https://shop.example"
	evil = "https://evil.example"
)

// chainFile makes prompts reach the bot of a test, and has a form.
const chainFile = `
rules: [{any: parrot, reply: Polly}]
forms:
  survey: {fields: [{id: color, type: text, label: Colour, required: true}]}
`

// A chain is the whole server but for its connections: what [wire] makes of a
// configuration.
type chain struct {
	http.Handler
	chat *parley.Chat
	log  *syncBuffer
}

// newChain makes a chain of settings, as an environment has them. A nil bot
// answers with the prompt, and a nil store is in memory.
func newChain(t testing.TB, bot parley.Bot, store parley.Store, settings ...string) *chain {
	t.Helper()
	file := filepath.Join(t.TempDir(), "chain.yaml")
	if err := os.WriteFile(file, []byte(chainFile), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &program{environ: append([]string{"PARLEY_CONFIG=" + file}, settings...)}
	cfg, err := p.load(nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Default = echo
	if bot != nil {
		cfg.Default = bot
	}
	if store == nil {
		store = parley.NewMemory()
	}
	c := &chain{log: &syncBuffer{}}
	log := slog.New(slog.NewJSONHandler(c.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if c.chat, c.Handler, err = wire(cfg, store, log); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.chat.Shutdown(context.Background()) })
	return c
}

// echo answers with the prompt.
var echo = parley.BotFunc(func(_ context.Context, turn *parley.Turn) (parley.Reply, error) {
	return parley.Text("You said: " + turn.Prompt), nil
})

// answer returns what the chain answers to a request.
func (c *chain) answer(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w
}

// jsonRequest returns a request with a JSON body from the address 192.0.2.1.
// What follows the body are headers, names and values in turns.
func jsonRequest(method, path, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// A syncBuffer is a buffer that goroutines can share.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// A faultyStore fails where fault says so. A fault that panics is a panic in
// the store.
type faultyStore struct {
	parley.Store
	fault func() error
}

func (s *faultyStore) Begin(ctx context.Context, turn parley.NewTurn) (parley.Begun, error) {
	if err := s.fault(); err != nil {
		return parley.Begun{}, err
	}
	return s.Store.Begin(ctx, turn)
}

func (s *faultyStore) Transcript(ctx context.Context, page parley.Page) ([]parley.Record, error) {
	if err := s.fault(); err != nil {
		return nil, err
	}
	return s.Store.Transcript(ctx, page)
}

func (s *faultyStore) Submit(ctx context.Context, sub parley.Submission) (parley.Submission, error) {
	if err := s.fault(); err != nil {
		return sub, err
	}
	return s.Store.Submit(ctx, sub)
}

var (
	errDisk = errors.New("disk I/O error in /var/lib/parley.db")
	errFull = &parley.Error{Code: parley.CodeUnavailable, Err: errors.New("the disk is full")}
)

// breakingBody is a body that panics when it is read, in the goroutine of the
// handler that reads it.
type breakingBody struct{}

func (breakingBody) Read([]byte) (int, error) { panic("the body broke") }

// whiteSpace is a body of white space without end.
type whiteSpace struct{}

func (whiteSpace) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}
