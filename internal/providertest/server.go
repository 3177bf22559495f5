// Package providertest is a model's provider for tests: a server on loopback
// that speaks Chat Completions and Responses of OpenAI, and Messages of
// Anthropic, whole and streamed, and that fails in every way in which providers
// fail:
//
//	server := providertest.New(t)
//	server.Set(providertest.Script{Mode: providertest.Cut})
//	bot, err := openai.New(openai.Config{BaseURL: server.URL})
//
// What it sends is what the official SDKs read; its own tests drive it with them.
package providertest

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Mode is how the server behaves.
type Mode string

// The modes.
const (
	OK          Mode = "ok"
	Refused     Mode = "refused"      // Status, before anything else
	RateLimited Mode = "rate limited" // 429, with RetryAfter
	Failing     Mode = "failing"      // 500
	Overloaded  Mode = "overloaded"   // 529
	HangBefore  Mode = "hang before"  // no header, until the client leaves
	HangMiddle  Mode = "hang middle"  // the first piece, and then nothing until the client leaves
	Drip        Mode = "drip"         // Delay before each piece
	Cut         Mode = "cut"          // the connection breaks after the first piece
	EndEarly    Mode = "end early"    // the stream ends properly, the answer does not
	Malformed   Mode = "malformed"    // an event after the first piece that is no JSON
	Complaint   Mode = "complaint"    // an error event after the first piece
	Huge        Mode = "huge"         // 100 MB of text
	Refusal     Mode = "refusal"      // the model refuses
	Filtered    Mode = "filtered"     // a content filter stops the answer after the first piece
	Length      Mode = "length"       // the answer is as long as it may be
	Empty       Mode = "empty"        // an answer without text
	NoStream    Mode = "no stream"    // a web page
	Redirect    Mode = "redirect"     // 308, to the server itself
	Raw         Mode = "raw"          // Body, as an event stream
)

// Modes returns every mode that needs nothing besides.
func Modes() []Mode {
	return []Mode{OK, RateLimited, Failing, Overloaded, HangBefore, HangMiddle, Drip, Cut, EndEarly, Malformed, Complaint,
		Huge, Refusal, Filtered, Length, Empty, NoStream, Redirect}
}

// RefusalText is what a model says that refuses.
const RefusalText = "I'm sorry, I can't help with that."

// A Script says what the server answers. The zero value answers "Hello, world!".
type Script struct {
	Mode       Mode          // empty means OK
	Pieces     []string      // of the answer; nil means "Hello", ", ", "world" and "!"
	Delay      time.Duration // of Drip; 0 means 100 ms
	RetryAfter string        // header of a failure; empty means none
	Status     int           // of Refused
	Type       string        // of an error; empty means what the provider would say
	Message    string        // of an error; "{key}" stands for the key that was sent
	Body       []byte        // of Raw
	// Next, if there is one, is received from before each piece but the first: a
	// test decides when the next one is sent.
	Next <-chan struct{}
}

// Text returns the whole answer.
func (s Script) Text() string { return strings.Join(s.Pieces, "") }

func (s Script) withDefaults() Script {
	if s.Mode == "" {
		s.Mode = OK
	}
	if s.Pieces == nil {
		s.Pieces = []string{"Hello", ", ", "world", "!"}
	}
	if s.Delay == 0 {
		s.Delay = 100 * time.Millisecond
	}
	return s
}

// Tokens that every answer is said to have used up.
const (
	InputTokens  = 29
	OutputTokens = 8
)

// An API is one of the providers' interfaces, by the end of its path.
type API string

// The APIs.
const (
	Chat      API = "/chat/completions"
	Responses API = "/responses"
	Messages  API = "/messages"
)

// A Message is one of a conversation that the server was sent.
type Message struct{ Role, Content string }

// A Call is one request that the server got.
type Call struct {
	API         API
	Path        string
	Query       url.Values
	Header      http.Header
	Body        []byte // as sent
	Key         string // from whichever header
	Model       string
	System      string
	Messages    []Message // without the system prompt
	MaxTokens   int       // by whatever name
	Temperature *float64
	Stream      bool

	Began     time.Time
	Ended     time.Time // zero while it runs
	Cancelled bool      // the client left before the answer had ended
	Sent      int64     // bytes of the body, as far as the client's connection took them
}

// keep is how many calls the server remembers.
const keep = 1000

// A Server is a scripted provider. Its methods are safe for concurrent use.
type Server struct {
	// URL is where the server is, without a path. It answers at any path that
	// ends like an API's.
	URL string

	stop    context.Context
	mu      sync.Mutex
	script  Script
	calls   []*Call // the newest
	count   int
	running int
	changed chan struct{} // closed when a call begins or ends
}

// New starts a server that ends with the test, and with it every call.
func New(t testing.TB) *Server {
	stop, cancel := context.WithCancel(context.Background())
	s := &Server{stop: stop, script: Script{}.withDefaults(), changed: make(chan struct{})}
	web := httptest.NewServer(s)
	s.URL = web.URL
	t.Cleanup(web.Close)
	t.Cleanup(cancel) // before Close, which waits for the calls
	return s
}

// Set has calls from now on answered by another script.
func (s *Server) Set(script Script) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = script.withDefaults()
}

// Count returns how many calls there were.
func (s *Server) Count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// Running returns how many calls there are just now.
func (s *Server) Running() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running
}

// Calls returns the newest calls, oldest first.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := make([]Call, len(s.calls))
	for i, c := range s.calls {
		calls[i] = *c
	}
	return calls
}

// Last returns the newest call, which there must be.
func (s *Server) Last() Call {
	calls := s.Calls()
	return calls[len(calls)-1]
}

// Await waits until as many calls run as wanted. The test fails where that takes
// more than ten seconds.
func (s *Server) Await(t testing.TB, running int) {
	t.Helper()
	late := time.After(10 * time.Second)
	for {
		s.mu.Lock()
		now, changed := s.running, s.changed
		s.mu.Unlock()
		if now == running {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("%d calls of the provider run, want %d", now, running)
		}
	}
}

// ServeHTTP answers a call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, 16<<20))
	if err != nil {
		return // the client has left already
	}
	call := newCall(r, raw)
	script := s.begin(call)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.stop, cancel)()
	a := &answer{Script: script, ctx: ctx, w: w, call: call, dialect: newDialect(call.API, call.Model)}
	defer func() { // also where the answer breaks off by a panic
		s.end(call, a.sent, r.Context().Err() != nil)
	}()
	a.write()
}

func (s *Server) begin(call *Call) Script {
	s.mu.Lock()
	defer s.mu.Unlock()
	call.Began = time.Now()
	s.count++
	s.running++
	s.calls = append(s.calls, call)
	if len(s.calls) > keep {
		s.calls = s.calls[1:]
	}
	s.tell()
	return s.script
}

func (s *Server) end(call *Call, sent int64, cancelled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	call.Ended, call.Sent, call.Cancelled = time.Now(), sent, cancelled
	s.running--
	s.tell()
}

// tell wakes whoever awaits something.
func (s *Server) tell() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// newCall reads a request of any of the APIs.
func newCall(r *http.Request, raw []byte) *Call {
	var wire struct {
		Model               string          `json:"model"`
		Stream              bool            `json:"stream"`
		System              json.RawMessage `json:"system"`       // Messages
		Instructions        string          `json:"instructions"` // Responses
		Messages            []wireMessage   `json:"messages"`
		Input               []wireMessage   `json:"input"` // Responses
		MaxTokens           int             `json:"max_tokens"`
		MaxCompletionTokens int             `json:"max_completion_tokens"`
		MaxOutputTokens     int             `json:"max_output_tokens"`
		Temperature         *float64        `json:"temperature"`
	}
	json.Unmarshal(raw, &wire) // what cannot be read is missing in the call, where tests look
	call := &Call{
		Path: r.URL.Path, Query: r.URL.Query(), Header: r.Header.Clone(), Body: raw, Key: keyOf(r.Header),
		Model: wire.Model, System: wire.Instructions + plain(wire.System), Stream: wire.Stream, Temperature: wire.Temperature,
		MaxTokens: wire.MaxTokens + wire.MaxCompletionTokens + wire.MaxOutputTokens,
	}
	for _, api := range []API{Chat, Responses, Messages} {
		if strings.HasSuffix(r.URL.Path, string(api)) {
			call.API = api
		}
	}
	for _, m := range append(wire.Messages, wire.Input...) {
		if text := plain(m.Content); m.Role == "system" {
			call.System += text
		} else {
			call.Messages = append(call.Messages, Message{m.Role, text})
		}
	}
	return call
}

type wireMessage struct {
	Role    string          `json:"role"`
	Content json.RawMessage `json:"content"`
}

// plain returns the text of a content, which is a string or a list of blocks.
func plain(content json.RawMessage) string {
	var text string
	if json.Unmarshal(content, &text) == nil {
		return text
	}
	var blocks []struct {
		Text string `json:"text"`
	}
	json.Unmarshal(content, &blocks)
	for _, b := range blocks {
		text += b.Text
	}
	return text
}

// keyOf returns the key in whichever header the three APIs and Azure have it.
func keyOf(h http.Header) string {
	for _, name := range []string{"X-Api-Key", "Api-Key"} {
		if key := h.Get(name); key != "" {
			return key
		}
	}
	return strings.TrimPrefix(h.Get("Authorization"), "Bearer ")
}
