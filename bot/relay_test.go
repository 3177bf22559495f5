package bot_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/bot"
	"github.com/parley-chat/parley/parleytest"
)

// newRelay returns a relay to a backend that is a function.
func newRelay(t testing.TB, cfg bot.RelayConfig, backend http.HandlerFunc) *bot.Relay {
	t.Helper()
	server := httptest.NewServer(backend)
	t.Cleanup(server.Close)
	cfg.URL = server.URL + "/chat"
	relay, err := bot.NewRelay(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return relay
}

// answering is a backend that always answers the same.
func answering(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// events is a backend that streams what it is given, and flushes between.
func events(chunks ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, chunk := range chunks {
			io.WriteString(w, chunk)
			w.(http.Flusher).Flush()
		}
	}
}

// askRelay asks with a prompt in a session, and returns what was emitted too.
func askRelay(ctx context.Context, relay *bot.Relay) (parley.Reply, string, error) {
	var emitted strings.Builder
	reply, err := relay.Reply(ctx, &parley.Turn{Session: "s", Seq: 1, Prompt: "Hi", Time: time.Now()}, func(text string) { emitted.WriteString(text) })
	return reply, emitted.String(), err
}

func TestRelayKeepsTheBotsContract(t *testing.T) {
	for name, backend := range map[string]http.HandlerFunc{
		"JSON":   answering(200, "application/json", `{"output":"hello"}`),
		"events": events("event: delta\ndata: {\"text\":\"hel\"}\n\n", "event: reply\ndata: {\"output\":\"hello\"}\n\n"),
		"text":   answering(200, "text/plain", "hello"),
	} {
		t.Run(name, func(t *testing.T) { parleytest.Bot(t, newRelay(t, bot.RelayConfig{}, backend), "Hi") })
	}
}

// sent is what a backend was sent.
type sent struct {
	path   string
	header http.Header
	body   []byte
}

// recording returns a relay, and a function that asks and returns what was sent.
func recording(t *testing.T, cfg bot.RelayConfig) func(turn *parley.Turn) sent {
	t.Helper()
	requests := make(chan sent, 1)
	relay := newRelay(t, cfg, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- sent{r.Method + " " + r.URL.Path, r.Header, body}
		answering(200, "application/json", `{"output":"hello"}`)(w, r)
	})
	return func(turn *parley.Turn) sent {
		t.Helper()
		if _, err := relay.Reply(t.Context(), turn, func(string) {}); err != nil {
			t.Fatal(err)
		}
		return <-requests
	}
}

func TestRelaySendsThePrompt(t *testing.T) {
	for _, test := range []struct {
		name string
		cfg  bot.RelayConfig
		turn parley.Turn
		want string
	}{
		{"in a session", bot.RelayConfig{}, parley.Turn{Session: "s", Seq: 1, Prompt: "Hi <you>"}, `{"prompt":"Hi <you>","session_id":"s"}`},
		{"without a session", bot.RelayConfig{}, parley.Turn{Seq: 1, Prompt: "Hi"}, `{"prompt":"Hi","session_id":null}`},
		{"under other names", bot.RelayConfig{PromptField: "q", SessionField: "conversation"}, parley.Turn{Session: "s", Seq: 1, Prompt: "Hi"}, `{"q":"Hi","conversation":"s"}`},
		{"to n8n", bot.RelayConfig{N8N: true}, parley.Turn{Session: "s", Seq: 1, Prompt: "Hi"}, `{"action":"sendMessage","chatInput":"Hi","sessionId":"s"}`},
		{"to n8n under another name", bot.RelayConfig{N8N: true, PromptField: "q"}, parley.Turn{Seq: 1, Prompt: "Hi"}, `{"action":"sendMessage","q":"Hi","sessionId":null}`},
		{"with a history that is empty", bot.RelayConfig{History: 3}, parley.Turn{Session: "s", Seq: 1, Prompt: "Hi"}, `{"prompt":"Hi","session_id":"s","history":[]}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := recording(t, test.cfg)(&test.turn)
			if got.path != "POST /chat" || got.header.Get("Content-Type") != "application/json" || got.header.Get("Accept") != "text/event-stream, application/json" {
				t.Errorf("got %s with %v; want POST /chat with JSON, for events or JSON", got.path, got.header)
			}
			wantJSON(t, "the body", got.body, test.want)
		})
	}
}

func wantJSON(t *testing.T, what string, got []byte, want string) {
	t.Helper()
	var a, b any
	if err := json.Unmarshal([]byte(want), &b); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(got, &a); err != nil || !reflect.DeepEqual(a, b) {
		t.Errorf("%s is %s; want %s", what, got, want)
	}
}

func TestRelaySendsTheHistory(t *testing.T) {
	bodies := make(chan []byte, 10)
	relay := newRelay(t, bot.RelayConfig{History: 2}, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies <- body
		answering(200, "application/json", `{"output":"hello"}`)(w, r)
	})
	chat, err := parley.New(parley.Config{Bot: relay, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { chat.Shutdown(context.Background()) })
	for _, prompt := range []string{"one", "two", "three", "four"} {
		if _, err := chat.Answer(t.Context(), parley.Request{Session: "s", Prompt: prompt}); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		<-bodies
	}
	var last struct{ History []parley.Message }
	if err := json.Unmarshal(<-bodies, &last); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range last.History {
		if m.Time.IsZero() {
			t.Errorf("the message %q has no time", m.Content)
		}
		got = append(got, string(m.Role)+": "+m.Content)
	}
	if want := []string{"user: two", "assistant: hello", "user: three", "assistant: hello"}; !reflect.DeepEqual(got, want) {
		t.Errorf("the history is %q; want %q", got, want)
	}
}

func TestRelaySendsHeaders(t *testing.T) {
	send := recording(t, bot.RelayConfig{Headers: map[string]string{"authorization": "Bearer 1234"}})
	if got := send(turnOf("Hi")).header.Get("Authorization"); got != "Bearer 1234" {
		t.Errorf("Authorization is %q; want the one that was given", got)
	}
}

func TestRelayNamesEachTurn(t *testing.T) {
	send := recording(t, bot.RelayConfig{})
	turn := turnOf("Hi")
	turn.ID = "turn-1"
	for range 2 {
		if got := send(turn).header.Get("Idempotency-Key"); got != "turn-1" {
			t.Errorf("the turn is named %q; want %q whenever it is sent", got, "turn-1")
		}
	}
	one, other := send(turnOf("Hi")).header.Get("Idempotency-Key"), send(turnOf("Hi")).header.Get("Idempotency-Key")
	if one == other || one == "" {
		t.Errorf("two turns without a name are called %q and %q; want a name for each", one, other)
	}
}

// TestRelaySignature verifies signatures with the reference library of Standard
// Webhooks.
func TestRelaySignature(t *testing.T) {
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	got := recording(t, bot.RelayConfig{Secret: secret})(turnOf("Hi"))
	verifier, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := verifier.Verify(got.body, got.header); err != nil {
		t.Errorf("the signature is refused: %v", err)
	}
	if id, key := got.header.Get("Webhook-Id"), got.header.Get("Idempotency-Key"); id != key || id == "" {
		t.Errorf("webhook-id is %q and Idempotency-Key %q; want the same", id, key)
	}
	if err := verifier.Verify(append(got.body, ' '), got.header); err == nil {
		t.Error("the signature fits another body too")
	}
}

// TestRelayReplies has backends answer in every form that counts.
func TestRelayReplies(t *testing.T) {
	const article = `{"content":"Read","content_type":"article","content_attributes":{"items":[{"title":"a","description":"b","link":"/c"}]}}`
	for _, test := range []struct {
		name    string
		n8n     bool
		backend http.HandlerFunc
		want    string // the reply's JSON
		emitted string
	}{
		{"output", false, answering(200, "application/json", `{"output":"hello"}`), `{"output":"hello"}`, ""},
		{"message", false, answering(200, "application/json", `{"message":"hello"}`), `{"output":"hello"}`, ""},
		{"nulls", false, answering(200, "application/json", `{"output":"hello","content":null,"content_type":null,"content_attributes":null}`), `{"output":"hello"}`, ""},
		{"interactive", false, answering(200, "application/json", article), article, ""},
		{"interactive with nulls", false, answering(200, "application/json", `{"output":null,`+article[1:]), article, ""},
		{"an unknown kind", false, answering(200, "application/json", `{"content":"a","content_type":"video","content_attributes":{"u":1}}`), `{"content":"a","content_type":"video","content_attributes":{"u":1}}`, ""},
		{"what looks like a placeholder", false, answering(200, "application/json", `{"output":"{{prompt}}"}`), `{"output":"{{prompt}}"}`, ""},
		{"created", false, answering(201, "application/json; charset=utf-8", `{"output":"hello"}`), `{"output":"hello"}`, ""},
		{"under another media type", false, answering(200, "text/html", `{"output":"hello"}`), `{"output":"hello"}`, ""},
		{"as plain text", false, answering(200, "text/plain; charset=utf-8", `{"output":"hello"}`), `{"output":"hello"}`, ""},
		{"with a byte order mark", false, answering(200, "application/json", "\ufeff{\"output\":\"hello\"}"), `{"output":"hello"}`, ""},

		{"n8n: output", true, answering(200, "application/json", `{"output":"hello"}`), `{"output":"hello"}`, ""},
		{"n8n: a list of one", true, answering(200, "application/json", `[{"output":"hello"}]`), `{"output":"hello"}`, ""},
		{"n8n: text", true, answering(200, "application/json", `{"text":"hello"}`), `{"output":"hello"}`, ""},
		{"n8n: text in a list", true, answering(200, "application/json", `[{"text":"hello"}]`), `{"output":"hello"}`, ""},
		{"n8n: interactive in a list", true, answering(200, "application/json", "["+article+"]"), article, ""},

		{"events", false, events("event: delta\ndata: {\"text\":\"hel\"}\n\n", ": ping\n\n", "event: delta\ndata: {\"text\":\"lo\"}\n\n", "event: reply\ndata: {\"output\":\"hello!\"}\n\n"), `{"output":"hello!"}`, "hello"},
		{"events, and a reply in several lines", false, events("event:reply\r\ndata:{\"output\":\r\ndata:\"hello\"}\r\n\r\n"), `{"output":"hello"}`, ""},
		{"events, and an interactive reply", false, events("event: delta\ndata: {\"text\":\"Re\"}\n\nevent: reply\ndata: " + article + "\n\n"), article, "Re"},
		{"events without a reply", false, events("event: delta\ndata: {\"text\":\"hel\"}\n\n", "event: delta\ndata: {\"text\":\"lo\"}\n\n"), `{"output":"hello"}`, "hello"},
		{"events without the last blank line", false, events("event: delta\ndata: {\"text\":\"hel\"}\n\nevent: delta\ndata: {\"text\":\"lo\"}"), `{"output":"hello"}`, "hello"},
		{"events of other types", false, events("event: usage\ndata: 5\n\ndata: [DONE]\n\nid: 7\nretry: 5\nevent: reply\ndata: {\"output\":\"hello\"}\n\n"), `{"output":"hello"}`, ""},
		{"events, one without text", false, events("event: delta\ndata: {\"text\":null,\"n\":1}\n\n", "event: delta\ndata: {\"text\":\"hello\"}\n\n"), `{"output":"hello"}`, "hello"},
		{"events cut by the network", false, events("event: del", "ta\nda", "ta: {\"te", "xt\":\"hé", "llo\"}\n", "\n"), `{"output":"héllo"}`, "héllo"},

		{"text", false, answering(200, "text/plain; charset=utf-8", "hello"), `{"output":"hello"}`, "hello"},
		{"text that is not UTF-8", false, answering(200, "text/plain", "h\xe9llo"), `{"output":"h` + "\ufffd" + `llo"}`, "h\xe9llo"},
	} {
		t.Run(test.name, func(t *testing.T) {
			reply, emitted, err := askRelay(t.Context(), newRelay(t, bot.RelayConfig{N8N: test.n8n}, test.backend))
			if err != nil {
				t.Fatalf("Reply = %v; want %s", err, test.want)
			}
			got, err := json.Marshal(reply)
			if err != nil {
				t.Fatal(err)
			}
			wantJSON(t, "the reply", got, test.want)
			if emitted != test.emitted {
				t.Errorf("emitted %q; want %q", emitted, test.emitted)
			}
		})
	}
}

// TestRelayVectors has a backend answer the replies of the wire vectors.
func TestRelayVectors(t *testing.T) {
	files, err := filepath.Glob("../testdata/vectors/reply-*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no vectors: %v", err)
	}
	var body []byte
	relay := newRelay(t, bot.RelayConfig{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(body)
	})
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var vectors []struct {
			Name           string
			Reply, Encoded json.RawMessage
			Text           *string
		}
		if err := json.Unmarshal(data, &vectors); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, vector := range vectors {
			t.Run(filepath.Base(file)+" "+vector.Name, func(t *testing.T) {
				body = vector.Reply
				reply, _, err := askRelay(t.Context(), relay)
				if vector.Text == nil {
					var failure *parley.Failure
					if !errors.As(err, &failure) || failure.Temporary {
						t.Errorf("Reply = %v; want a failure that stays", err)
					}
					return
				}
				if err != nil {
					t.Fatalf("Reply = %v; want %s", err, vector.Reply)
				}
				want := vector.Encoded
				if want == nil {
					want = vector.Reply
				}
				got, err := json.Marshal(reply)
				if err != nil {
					t.Fatal(err)
				}
				wantJSON(t, "the reply", got, string(want))
			})
		}
	}
}

// TestRelayReadsTheStreamOfThePageOnBots has a backend stream what the page shows.
func TestRelayReadsTheStreamOfThePageOnBots(t *testing.T) {
	page, err := os.ReadFile("../docs/bots.md")
	if err != nil {
		t.Fatal(err)
	}
	_, stream, _ := strings.Cut(string(page), "```text\n")
	stream, _, _ = strings.Cut(stream, "```")
	reply, emitted, err := askRelay(t.Context(), newRelay(t, bot.RelayConfig{}, events(stream)))
	if err != nil || emitted != "We are open" || reply.Text != "We are open from 7 to 18." {
		t.Errorf("Reply = %q, %v after %q was emitted; want what stands on the page:\n%s", reply.Text, err, emitted, stream)
	}
}

// cutOff is a backend that breaks off after what it wrote.
func cutOff(contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		io.WriteString(w, body)
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

func TestRelayFailures(t *testing.T) {
	delta := "event: delta\ndata: {\"text\":\"hel\"}\n\n"
	for _, test := range []struct {
		name      string
		backend   http.HandlerFunc
		want      string // part of what the operator reads
		temporary bool
	}{
		{"500", answering(500, "application/json", `{"output":"Sorry."}`), `answered 500 Internal Server Error. It said: {"output":"Sorry."}`, true},
		{"502 from a proxy", answering(502, "text/html", "<html>\n<h1>502 Bad Gateway</h1>\n"+strings.Repeat("x", 1000)), `502 Bad Gateway. It said: <html> <h1>502 Bad Gateway</h1> xx`, true},
		{"429", answering(429, "text/plain", "slow down"), "429 Too Many Requests", true},
		{"408", answering(408, "text/plain", ""), "408 Request Timeout", true},
		{"422", answering(422, "application/json", `{"detail":"session_id"}`), `422 Unprocessable Entity. It said: {"detail":"session_id"}`, false},
		{"404", answering(404, "text/html", "Cannot POST /chat"), "404 Not Found. It said: Cannot POST /chat", false},
		{"a terminal's commands", answering(404, "text/plain", "\x1b[2J\n\r\nboo"), "It said: [2J boo", false},
		{"204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, "which is no reply: unexpected end of JSON input", false},
		{"HTML", answering(200, "text/html", "<h1>Hello</h1>"), `answered 200 with "text/html", which is no reply: invalid character '<' looking for beginning of value. It said: <h1>Hello</h1>`, false},
		{"another JSON", answering(200, "application/json", `{"answer":"hello"}`), `neither "output" nor "content" with a "content_type"`, false},
		{"a list", answering(200, "application/json", `[{"output":"hello"}]`), "which is no reply: it cannot be a list, but for one of a single reply in the n8n format (RELAY_FORMAT=n8n). It said: [", false},
		{"a string", answering(200, "application/json", `"hello"`), "which is no reply: it cannot be a string", false},
		{"a string for attributes", answering(200, "application/json", `{"content":"a","content_type":"article","content_attributes":"b"}`), "which is no reply: content_attributes: it cannot be a string", false},
		{"a number for a text", answering(200, "application/json", `{"output":5.5}`), `which is no reply: "output" cannot be a number`, false},
		{"null", answering(200, "application/json", `null`), "which is no reply", false},
		{"nothing but nulls", answering(200, "application/json", `{"output":null,"content":null}`), "which is no reply", false},
		{"an empty output", answering(200, "application/json", `{"output":" "}`), "output: is empty", false},
		{"an article without items", answering(200, "application/json", `{"content":"a","content_type":"article","content_attributes":{}}`), "content_attributes.items", false},
		{"a link that runs a script", answering(200, "application/json", `{"content":"a","content_type":"article","content_attributes":{"items":[{"title":"a","description":"b","link":"javascript:alert(1)"}]}}`), "content_attributes.items[0].link", false},
		{"too long", answering(200, "application/json", `{"output":"`+strings.Repeat("a", 1<<20)+`"}`), "longer than 1048576 bytes", false},
		{"too long a text", answering(200, "text/plain", strings.Repeat("a", 1<<20+1)), "longer than 1048576 bytes", false},
		{"JSON that breaks off", cutOff("application/json", `{"output":`), "broke off its answer: unexpected EOF", true},
		{"text that breaks off", cutOff("text/plain", "hel"), "broke off its answer", true},
		{"an empty text", answering(200, "text/plain", " "), "ended its answer without text", false},

		{"events that break off", cutOff("text/event-stream", delta), "broke off its answer", true},
		{"events that break off within one", cutOff("text/event-stream", delta+"event: delta\ndata: {\"te"), "broke off its answer", true},
		{"events that end within one", events(delta + "event: delta\ndata: {\"te"), `a delta that is not {"text": …}: {"te`, false},
		{"no event", events(), "ended its stream without text in an event that is named delta or reply. It said: nothing", false},
		{"no event but comments", events(": ping\n\n"), "It said: nothing", false},
		{"events without names", events("data: {\"text\":\"hel\"}\n\n", "data: [DONE]\n\n"), `It said: event: message data: {"text":"hel"} event: message data: [DONE]`, false},
		{"deltas of nothing", events("event: delta\ndata: {\"text\":null}\n\n"), `It said: event: delta data: {"text":null}`, false},
		{"an error event", events(delta, "event: error\ndata: {\"error\":\"no model\"}\n\n"), `sent an error event: {"error":"no model"}`, true},
		{"a delta without text", events("event: delta\ndata: {\"delta\":\"hel\"}\n\n"), "a delta that is not", false},
		{"a delta that is no JSON", events("event: delta\ndata: hel\n\n"), "a delta that is not", false},
		{"a reply event that is no reply", events(delta, "event: reply\ndata: {\"output\":\"\"}\n\n"), "a reply event, which is no reply: output: is empty", false},
		{"an event without end", events("data: " + strings.Repeat("a", 2<<20)), "an event longer than 1049600 bytes", false},
		{"deltas without end", events(strings.Repeat("event: delta\ndata: {\"text\":\""+strings.Repeat("a", 1000)+"\"}\n\n", 1100)), "longer than 1048576 bytes", false},
		{"comments without end", events(strings.Repeat(": "+strings.Repeat("a", 1000)+"\n\n", 8500)), "longer than 8388608 bytes", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			reply, _, err := askRelay(t.Context(), newRelay(t, bot.RelayConfig{}, test.backend))
			var failure *parley.Failure
			if !errors.As(err, &failure) {
				t.Fatalf("Reply = %v, %v; want a failure", reply, err)
			}
			if failure.Temporary != test.temporary || !strings.Contains(err.Error(), test.want) {
				t.Errorf("temporary is %v in %v; want %v in …%s…", failure.Temporary, err, test.temporary, test.want)
			}
			if line := err.Error(); len(line) > 600 || strings.ContainsAny(line, "\r\n\x1b") {
				t.Errorf("the operator reads %q; want one short line", line)
			}
		})
	}
}

func TestRelayReadsRetryAfter(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"":                              0,
		"7":                             7 * time.Second,
		"0":                             0,
		"-5":                            0,
		"soon":                          0,
		"Mon, 02 Jan 2006 15:04:05 GMT": 0, // over
		time.Now().Add(time.Hour).UTC().Format(http.TimeFormat): time.Hour,
	} {
		_, _, err := askRelay(t.Context(), newRelay(t, bot.RelayConfig{}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", value)
			w.WriteHeader(503)
		}))
		var failure *parley.Failure
		if !errors.As(err, &failure) || failure.RetryAfter.Round(time.Minute) != want.Round(time.Minute) || want < time.Minute && failure.RetryAfter != want {
			t.Errorf("Retry-After: %s: failure is %+v; want a rest of %v", value, failure, want)
		}
	}
}

func TestRelayReadsNoRetryAfterOfAFailureThatStays(t *testing.T) {
	_, _, err := askRelay(t.Context(), newRelay(t, bot.RelayConfig{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(413)
	}))
	var failure *parley.Failure
	if !errors.As(err, &failure) || failure.Temporary || failure.RetryAfter != 0 {
		t.Errorf("the failure is %+v; want one that stays and asks for no rest", failure)
	}
}

func TestRelayFollowsNoRedirects(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("another site got %s %s with %v; want nothing", r.Method, r.URL, r.Header)
	}))
	t.Cleanup(elsewhere.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		_, _, err := askRelay(t.Context(), newRelay(t, bot.RelayConfig{Headers: map[string]string{"X-Api-Key": "123"}}, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/?key=secret", status)
		}))
		var failure *parley.Failure
		if want := "it sends on to " + elsewhere.URL + ", which is not followed"; !errors.As(err, &failure) || failure.Temporary || !strings.Contains(err.Error(), want) {
			t.Errorf("status %d: Reply = %v; want a failure with %q", status, err, want)
		}
	}
}

func TestRelayFailsTemporarilyWhereNobodyListens(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	relay, err := bot.NewRelay(bot.RelayConfig{URL: fmt.Sprintf("http://%s/path-secret?key=query-secret", listener.Addr())})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = askRelay(t.Context(), relay)
	var failure *parley.Failure
	if !errors.As(err, &failure) || !failure.Temporary || !strings.Contains(err.Error(), "connection refused") || strings.Contains(err.Error(), "secret") {
		t.Errorf("Reply = %v; want a temporary failure that says so, without the rest of the URL", err)
	}
}

// TestRelayKeepsSecretsOutOfFailures has a backend say back all that it was told
// in confidence, wherever it can say something.
func TestRelayKeepsSecretsOutOfFailures(t *testing.T) {
	secrets := []string{"api-key-1234", "query-secret/5678", "query-secret%2F5678", "3fa85f64-5717-4562"}
	tell := strings.Join(secrets, " or ")
	link := `{"content":"a","content_type":"article","content_attributes":{"items":[{"title":"a","description":"b","link":"a link ` + tell + `"}]}}`
	for name, backend := range map[string]http.HandlerFunc{
		"a refusal":     answering(401, "text/plain", "wrong: "+tell),
		"a media type":  answering(200, "x/"+strings.ReplaceAll(tell, " or ", "-"), "{}"),
		"a bad reply":   answering(200, "application/json", link),
		"a reply event": events("event: reply\ndata: " + link + "\n\n"),
		"a bad delta":   events("event: delta\ndata: " + tell + "\n\n"),
		"no event":      events("data: " + tell + "\n\n"),
		"an error":      events("event: error\ndata: " + tell + "\n\n"),
		"a redirect": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "https://elsewhere.example.com/3fa85f64-5717-4562?key=query-secret%2F5678&again=api-key-1234")
			w.WriteHeader(301)
		},
		"a long story": answering(500, "text/plain", strings.Repeat("x", 230)+" "+tell),
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(backend)
			t.Cleanup(server.Close)
			relay, err := bot.NewRelay(bot.RelayConfig{
				URL:     server.URL + "/hooks/3fa85f64-5717-4562?key=query-secret%2F5678",
				Headers: map[string]string{"Authorization": "Bearer api-key-1234"},
			})
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = askRelay(t.Context(), relay)
			var failure *parley.Failure
			if !errors.As(err, &failure) || failure.Temporary != (name == "a long story" || name == "an error") {
				t.Fatalf("Reply = %v; want a failure", err)
			}
			for _, secret := range secrets {
				if strings.Contains(err.Error(), secret[:8]) {
					t.Errorf("Reply = %v; want nothing of %q", err, secret)
				}
			}
			if len(err.Error()) > 600 {
				t.Errorf("the failure has %d bytes; want 600 at most", len(err.Error()))
			}
		})
	}
}

// TestRelayAnswersCanBeSent has backends send texts whose JSON is too long.
func TestRelayAnswersCanBeSent(t *testing.T) {
	lines := strings.Repeat("line\n", 200<<10)
	for name, backend := range map[string]http.HandlerFunc{
		"text":   answering(200, "text/plain", lines),
		"events": events(strings.Repeat("event: delta\ndata: {\"text\":\""+strings.Repeat("\\n", 1000)+"\"}\n\n", 1000) + "event: delta\ndata: {\"text\":\"end\"}\n\n"),
	} {
		t.Run(name, func(t *testing.T) {
			reply, _, err := askRelay(t.Context(), newRelay(t, bot.RelayConfig{}, backend))
			var failure *parley.Failure
			if !errors.As(err, &failure) || failure.Temporary || !strings.Contains(err.Error(), "the most is 1048576") {
				t.Errorf("Reply = %d bytes, %v; want a failure that stays and says how long it may be", len(reply.Text), err)
			}
		})
	}
}

// TestRelayUsesItsConnectionAgain counts the connections of many answers, which
// the relay stops reading before their end.
func TestRelayUsesItsConnectionAgain(t *testing.T) {
	for name, backend := range map[string]http.HandlerFunc{
		"JSON":    answering(200, "application/json", `{"output":"a"}`),
		"events":  events("event: delta\ndata: {\"text\":\"a\"}\n\n", "event: reply\ndata: {\"output\":\"a\"}\n\n", ": the end\n\n"),
		"refusal": answering(500, "text/html", strings.Repeat("x", 5000)),
	} {
		t.Run(name, func(t *testing.T) {
			var connections atomic.Int64
			server := httptest.NewUnstartedServer(backend)
			server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					connections.Add(1)
				}
			}
			server.Start()
			t.Cleanup(server.Close)
			relay, err := bot.NewRelay(bot.RelayConfig{URL: server.URL})
			if err != nil {
				t.Fatal(err)
			}
			for range 20 {
				askRelay(t.Context(), relay)
			}
			if n := connections.Load(); n > 2 { // one, and another where the end took its time
				t.Errorf("20 turns took %d connections; want 1", n)
			}
		})
	}
}

type wrapped struct{ http.RoundTripper }

// TestNewRelayWhereTheDefaultTransportIsWrapped does what tracing libraries do.
func TestNewRelayWhereTheDefaultTransportIsWrapped(t *testing.T) {
	standard := http.DefaultTransport
	http.DefaultTransport = wrapped{standard}
	t.Cleanup(func() { http.DefaultTransport = standard })
	if _, err := bot.NewRelay(bot.RelayConfig{URL: "http://localhost"}); err != nil {
		t.Errorf("NewRelay = %v; want a relay", err)
	}
}

// TestRelayStreamsAsItComes has the backend wait for each piece of text to
// arrive before it sends the next one.
func TestRelayStreamsAsItComes(t *testing.T) {
	for contentType, format := range map[string]string{
		"text/event-stream": "event: delta\ndata: {\"text\":%q}\n\n",
		"text/plain":        "%s",
	} {
		t.Run(contentType, func(t *testing.T) {
			arrived := make(chan string)
			relay := newRelay(t, bot.RelayConfig{}, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", contentType)
				for i := range 10 {
					piece := fmt.Sprintf("piece %d. ", i)
					fmt.Fprintf(w, format, piece)
					w.(http.Flusher).Flush()
					select {
					case got := <-arrived:
						if got != piece {
							t.Errorf("emitted %q; want %q", got, piece)
						}
					case <-r.Context().Done():
						return
					}
				}
			})
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			reply, err := relay.Reply(ctx, turnOf("Hi"), func(text string) {
				select {
				case arrived <- text:
				case <-ctx.Done():
				}
			})
			if err != nil || !strings.HasSuffix(reply.Text, "piece 9. ") {
				t.Errorf("Reply = %q, %v; want all pieces, each as soon as it was sent", reply.Text, err)
			}
		})
	}
}

func TestRelayStopsTheBackend(t *testing.T) {
	for name, write := range map[string]func(w http.ResponseWriter){
		"before it answered": func(http.ResponseWriter) {},
		"while it streams": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "event: delta\ndata: {\"text\":\"hel\"}\n\n")
			w.(http.Flusher).Flush()
		},
	} {
		t.Run(name, func(t *testing.T) {
			asked, stopped := make(chan bool), make(chan time.Time, 1)
			relay := newRelay(t, bot.RelayConfig{}, func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				write(w)
				asked <- true
				<-r.Context().Done()
				stopped <- time.Now()
			})
			ctx, cancel := context.WithCancel(t.Context())
			errs := make(chan error, 1)
			go func() { _, _, err := askRelay(ctx, relay); errs <- err }()
			<-asked
			began := time.Now()
			cancel()
			if took := (<-stopped).Sub(began); took > 100*time.Millisecond {
				t.Errorf("the backend's call ended after %v; want 100ms at most", took)
			}
			var failure *parley.Failure
			if err := <-errs; !errors.Is(err, context.Canceled) || errors.As(err, &failure) {
				t.Errorf("Reply = %v; want the context's error, which is nobody's failure", err)
			}
		})
	}
}

// TestRelaySendsAPromptOnce has the backend hang up on a connection that was
// used before. There net/http would send a prompt with an Idempotency-Key again.
func TestRelaySendsAPromptOnce(t *testing.T) {
	var calls atomic.Int64
	relay := newRelay(t, bot.RelayConfig{}, func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) > 1 {
			panic(http.ErrAbortHandler)
		}
		answering(200, "application/json", `{"output":"hello"}`)(w, r)
	})
	if _, _, err := askRelay(t.Context(), relay); err != nil {
		t.Fatal(err)
	}
	if _, _, err := askRelay(t.Context(), relay); err == nil || calls.Load() != 2 {
		t.Errorf("Reply = %v after %d calls; want a failure after the second", err, calls.Load())
	}
}

// TestEveryTurnIsAnsweredWhateverTheBackendDoes asks a chain of a guarded relay
// and a text, many times side by side for each way to fail.
func TestEveryTurnIsAnsweredWhateverTheBackendDoes(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: waits for many deadlines, and -short is set")
	}
	delta := "event: delta\ndata: {\"text\":\"hel\"}\n\n"
	for name, backend := range map[string]http.HandlerFunc{
		"429":      answering(429, "text/plain", "slow down"),
		"500":      answering(500, "text/html", "<h1>Error</h1>"),
		"529":      answering(529, "application/json", `{"error":"overloaded"}`),
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) },
		"hangs":    func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); <-r.Context().Done() },
		"hangs in the middle": func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			events(delta)(w, r)
			<-r.Context().Done()
		},
		"drips": func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "text/plain")
			for r.Context().Err() == nil {
				io.WriteString(w, "a")
				w.(http.Flusher).Flush()
				select {
				case <-time.After(5 * time.Millisecond):
				case <-r.Context().Done():
				}
			}
		},
		"hangs up":       cutOff("application/json", ""),
		"cuts a stream":  cutOff("text/event-stream", delta+"event: re"),
		"garbage events": events("event: reply\ndata: }{\n\n"),
		"HTML":           answering(200, "text/html", "<h1>Hello</h1>"),
		"100 MB": func(w http.ResponseWriter, r *http.Request) {
			for range 100 {
				if _, err := w.Write(bytes.Repeat([]byte("a"), 1<<20)); err != nil {
					return
				}
			}
		},
		"empty": answering(200, "application/json", ""),
		"every other call fails": everyOther(answering(503, "text/plain", ""),
			answering(200, "application/json", `{"output":"Sorry, we are closed."}`)),
	} {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int64
			relay := newRelay(t, bot.RelayConfig{}, func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				backend(w, r)
			})
			guard, err := bot.NewGuard(bot.GuardConfig{Name: "relay", Bot: relay, FirstText: 500 * time.Millisecond, Answer: time.Second, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			closed, err := bot.Say(parley.Text("Sorry, we are closed."))
			if err != nil {
				t.Fatal(err)
			}
			const turns, visitors = 200, 8
			var group sync.WaitGroup
			for range visitors {
				group.Go(func() {
					for range turns / visitors {
						reply, err := bot.FirstOf(guard, closed).Reply(t.Context(), turnOf("Hi"), func(string) {})
						if err != nil || reply.Text != "Sorry, we are closed." {
							t.Errorf("Reply = %q, %v; want the text", reply.Text, err)
						}
					}
				})
			}
			group.Wait()
			if n := calls.Load(); n == 0 || n > turns*11/10 {
				t.Errorf("%d turns made %d calls; want 1 to %d", turns, n, turns*11/10)
			}
		})
	}
}

// everyOther is a backend that takes turns.
func everyOther(backends ...http.HandlerFunc) http.HandlerFunc {
	var calls atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) { backends[int(calls.Add(1))%len(backends)](w, r) }
}

func TestNewRelayTellsAllProblems(t *testing.T) {
	url := "https://bot.example.com/chat"
	for _, test := range []struct {
		cfg  bot.RelayConfig
		want []string // paths
	}{
		{bot.RelayConfig{}, []string{"URL"}},
		{bot.RelayConfig{URL: "bot.example.com/chat"}, []string{"URL"}},
		{bot.RelayConfig{URL: "ftp://bot.example.com/"}, []string{"URL"}},
		{bot.RelayConfig{URL: "https:///chat"}, []string{"URL"}},
		{bot.RelayConfig{URL: "https://:443/chat"}, []string{"URL"}},
		{bot.RelayConfig{URL: "https://me:secret@bot.example.com/"}, []string{"URL"}},
		{bot.RelayConfig{URL: "https://me:secret@bot.example.com:port/"}, []string{"URL"}},
		{bot.RelayConfig{URL: "https://bot.example.com/#chat"}, []string{"URL"}},
		{bot.RelayConfig{URL: url, Secret: "whsec_secret"}, []string{"Secret"}},
		{bot.RelayConfig{URL: url, Secret: "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, []string{"Secret"}},
		{bot.RelayConfig{URL: url, Headers: map[string]string{"X Key": "a", "X-Key": "a\nb", "accept": "*/*"}}, []string{`Headers["X Key"]`, `Headers["X-Key"]`, `Headers["accept"]`}},
		{bot.RelayConfig{URL: url, SessionField: "prompt"}, []string{"SessionField"}},
		{bot.RelayConfig{URL: url, PromptField: "history", History: 1}, []string{"PromptField"}},
		{bot.RelayConfig{URL: url, SessionField: "action", N8N: true}, []string{"SessionField"}},
		{bot.RelayConfig{Secret: "secret", History: -1}, []string{"URL", "Secret", "History"}},
		{bot.RelayConfig{URL: url, PromptField: "history", Headers: map[string]string{"Authorization": "Bearer ä"}}, nil},
	} {
		_, err := bot.NewRelay(test.cfg)
		if got := pathsOf(err); !reflect.DeepEqual(got, test.want) {
			t.Errorf("NewRelay(%+v): problems at %q; want %q", test.cfg, got, test.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret@") || err != nil && strings.Contains(err.Error(), "MfKQ") {
			t.Errorf("NewRelay: %v; want no secret in it", err)
		}
	}
}

// FuzzRelayStream looks for answers of a backend that are neither a valid reply
// nor a failure in one line.
func FuzzRelayStream(f *testing.F) {
	types := []string{"text/event-stream", "text/plain", "application/json"}
	f.Add([]byte("event: delta\ndata: {\"text\":\"hel\"}\n\nevent: reply\ndata: {\"output\":\"hello\"}\n\n"), uint8(0), false)
	f.Add([]byte(": ping\r\n\r\nevent: delta\r\ndata: {\"text\":\r\ndata: \"a\"}\r\n\r\nevent: error\ndata: {}\n\n"), uint8(0), false)
	f.Add([]byte("\ufeffid: 1\nretry: 5\nevent: delta\rdata: {\"text\":\"\\ud83d\"}\r\rdata: [DONE]"), uint8(0), false)
	f.Add([]byte("h\xe9llo"), uint8(1), false)
	f.Add([]byte(`[{"text":"hello"}]`), uint8(2), true)
	f.Add([]byte(`{"content":"a","content_type":"quick_reply","content_attributes":{"responses":{"responses":[{"id":"1","text":"a"}]}}}`), uint8(2), false)
	relays := map[bool]*bot.Relay{}
	for _, n8n := range []bool{false, true} {
		relay, err := bot.NewRelay(bot.RelayConfig{URL: "http://localhost", N8N: n8n})
		if err != nil {
			f.Fatal(err)
		}
		relays[n8n] = relay
	}
	f.Fuzz(func(t *testing.T, data []byte, kind uint8, n8n bool) {
		resp := &http.Response{
			StatusCode: 200,
			Header:     http.Header{"Content-Type": {types[int(kind)%len(types)]}},
			Body:       io.NopCloser(bytes.NewReader(data)),
		}
		reply, err := relays[n8n].ReadReply(resp, func(string) {})
		var failure *parley.Failure
		switch {
		case err == nil:
			if err := reply.Validate(); err != nil {
				t.Fatalf("the reply %+v is not valid: %v", reply, err)
			}
			if _, err := json.Marshal(reply); err != nil {
				t.Fatalf("the reply %+v has no JSON: %v", reply, err)
			}
		case !errors.As(err, &failure):
			t.Fatalf("the error is %v; want a failure", err)
		case strings.ContainsAny(err.Error(), "\r\n"), len(err.Error()) > 600:
			t.Fatalf("the failure is %q; want one short line", err)
		}
	})
}
