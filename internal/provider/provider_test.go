package provider_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/bot/anthropic"
	"github.com/parley-chat/parley/bot/openai"
	"github.com/parley-chat/parley/internal/providertest"
	"github.com/parley-chat/parley/parleytest"
)

const key = "sk-test-0123456789abcdef"

// settings are what the bots of all providers can be told.
type settings struct {
	BaseURL     string
	Path        string // that eachAPI appends
	Key         string
	Headers     map[string]string
	Client      *http.Client
	Turns       int
	Tokens      int
	MaxTokens   int
	Temperature *float64
}

// makers make a bot for each API.
var makers = map[string]func(s settings) (parley.Bot, error){
	"chat": func(s settings) (parley.Bot, error) { return newOpenAI(s, openai.Chat) },
	"responses": func(s settings) (parley.Bot, error) {
		return newOpenAI(s, openai.Responses)
	},
	"messages": func(s settings) (parley.Bot, error) {
		return anthropic.New(anthropic.Config{APIKey: s.Key, BaseURL: s.BaseURL, Headers: s.Headers, HTTPClient: s.Client,
			Model: "some-model", HistoryTurns: s.Turns, HistoryTokens: s.Tokens, MaxTokens: s.MaxTokens, Temperature: s.Temperature})
	},
}

func newOpenAI(s settings, api openai.API) (parley.Bot, error) {
	return openai.New(openai.Config{APIKey: s.Key, BaseURL: s.BaseURL, API: api, Headers: s.Headers, HTTPClient: s.Client,
		Model: "some-model", HistoryTurns: s.Turns, HistoryTokens: s.Tokens, MaxTokens: s.MaxTokens, Temperature: s.Temperature})
}

// eachAPI runs a test with a server and a bot that asks it, once for each API.
func eachAPI(t *testing.T, s settings, test func(t *testing.T, server *providertest.Server, bot parley.Bot)) {
	for api, newBot := range makers {
		t.Run(api, func(t *testing.T) {
			server := providertest.New(t)
			s := s
			s.BaseURL = server.URL + s.Path
			if s.Key == "" {
				s.Key = key
			}
			bot, err := newBot(s)
			if err != nil {
				t.Fatal(err)
			}
			test(t, server, bot)
		})
	}
}

// ask asks a bot once, and returns what it emitted too.
func ask(ctx context.Context, bot parley.Bot) (reply parley.Reply, turn *parley.Turn, emitted string, err error) {
	turn = &parley.Turn{Seq: 1, Prompt: "Hello", Time: time.Now()}
	reply, err = bot.Reply(ctx, turn, func(text string) { emitted += text })
	return reply, turn, emitted, err
}

// wantFailure checks an error that should be a failure whose text holds want.
func wantFailure(t *testing.T, err error, want string, temporary bool) *parley.Failure {
	t.Helper()
	var failure *parley.Failure
	if !errors.As(err, &failure) || !errors.Is(err, parley.ErrPass) {
		t.Fatalf("the bot returned %v, want a failure that says %q", err, want)
	}
	if text := failure.Error(); !strings.Contains(text, want) || failure.Temporary != temporary {
		t.Errorf("the failure says %q, temporary %v; want %q in it, and temporary %v", text, failure.Temporary, want, temporary)
	}
	return failure
}

func TestSuite(t *testing.T) {
	eachAPI(t, settings{}, func(t *testing.T, server *providertest.Server, bot parley.Bot) {
		parleytest.Bot(t, bot, "Hello", "How are you?")
		server.Await(t, 0)
	})
}

func TestEveryMode(t *testing.T) {
	for _, c := range []struct {
		script    providertest.Script
		text      string // of the reply, or:
		failure   string
		temporary bool
		rest      time.Duration
	}{
		{script: providertest.Script{Mode: providertest.OK}, text: "Hello, world!"},
		{script: providertest.Script{Mode: providertest.Drip, Delay: time.Millisecond}, text: "Hello, world!"},
		{script: providertest.Script{Mode: providertest.Length}, text: "Hello, world!"},
		{script: providertest.Script{Mode: providertest.RateLimited, RetryAfter: "7"}, failure: "answered 429 Too Many Requests; it is asked too often for the limits of the account. It said: Rate limit reached", temporary: true, rest: 7 * time.Second},
		{script: providertest.Script{Mode: providertest.RateLimited, Type: "insufficient_quota", RetryAfter: "7"}, failure: "no credit left"},
		{script: providertest.Script{Mode: providertest.Failing}, failure: "answered 500 Internal Server Error. It said: The server had an error", temporary: true},
		{script: providertest.Script{Mode: providertest.Overloaded, RetryAfter: "0.5"}, failure: "answered 529. It said: Overloaded", temporary: true, rest: 500 * time.Millisecond},
		{script: providertest.Script{Mode: providertest.Refused, Status: 400}, failure: "answered 400 Bad Request. It said: The request was refused"},
		{script: providertest.Script{Mode: providertest.Refused, Status: 401}, failure: "the key was refused: check "},
		{script: providertest.Script{Mode: providertest.Refused, Status: 403}, failure: "the key may not be used for this"},
		{script: providertest.Script{Mode: providertest.Refused, Status: 404}, failure: `it has no model "some-model", or the base URL is wrong`},
		{script: providertest.Script{Mode: providertest.Cut}, failure: "broke off its answer: unexpected EOF", temporary: true},
		{script: providertest.Script{Mode: providertest.EndEarly}, failure: "broke off its answer", temporary: true},
		{script: providertest.Script{Mode: providertest.Malformed}, failure: "sent an event that makes no sense", temporary: true},
		{script: providertest.Script{Mode: providertest.Complaint}, failure: "gave up its answer. It said: Something went wrong", temporary: true},
		{script: providertest.Script{Mode: providertest.Complaint, Type: "invalid_request_error", Message: "Too long"}, failure: "gave up its answer. It said: Too long"},
		{script: providertest.Script{Mode: providertest.Huge}, failure: "sent an answer of more than 1 MiB of text"},
		{script: providertest.Script{Mode: providertest.Filtered}, failure: "stopped the answer with a content filter"},
		{script: providertest.Script{Mode: providertest.Empty}, failure: "gave an empty answer"},
		{script: providertest.Script{Mode: providertest.Length, Pieces: []string{}}, failure: "raise MaxTokens"},
		{script: providertest.Script{Mode: providertest.NoStream}, failure: `answered 200 OK; but with "text/html" and no event stream: check the base URL. It said: <!DOCTYPE html>`},
		{script: providertest.Script{Mode: providertest.Redirect}, failure: ", which is not followed: check the URL"},
	} {
		t.Run(fmt.Sprintf("%s %d %s", c.script.Mode, c.script.Status, c.script.Type), func(t *testing.T) {
			eachAPI(t, settings{}, func(t *testing.T, server *providertest.Server, bot parley.Bot) {
				server.Set(c.script)
				reply, turn, emitted, err := ask(t.Context(), bot)
				if c.text == "" {
					if f := wantFailure(t, err, c.failure, c.temporary); f.RetryAfter != c.rest {
						t.Errorf("the failure asks for a rest of %v, want %v", f.RetryAfter, c.rest)
					}
				} else {
					if err != nil || reply.Text != c.text || emitted != c.text {
						t.Errorf("the bot replied %q, %v after it emitted %q; want %q", reply.Text, err, emitted, c.text)
					}
					want := parley.Usage{Model: "some-model", InputTokens: providertest.InputTokens, OutputTokens: providertest.OutputTokens}
					if usage := turn.Usage(); len(usage) != 1 || usage[0] != want {
						t.Errorf("the usage is %+v, want %+v", usage, want)
					}
				}
				server.Await(t, 0)
				if server.Count() != 1 {
					t.Errorf("the provider was asked %d times, want once", server.Count())
				}
				if sent := server.Last().Sent; sent > 16<<20 {
					t.Errorf("the provider could send %d bytes, want the bot to hang up", sent)
				}
			})
		})
	}
}

func TestRefusalOfTheModel(t *testing.T) {
	eachAPI(t, settings{}, func(t *testing.T, server *providertest.Server, bot parley.Bot) {
		server.Set(providertest.Script{Mode: providertest.Refusal})
		reply, _, emitted, err := ask(t.Context(), bot)
		if server.Last().API == providertest.Messages { // where it has no text
			wantFailure(t, err, "stopped the answer with a content filter", false)
			return
		}
		if err != nil || reply.Text != providertest.RefusalText || emitted != reply.Text {
			t.Errorf("the bot replied %q, %v and emitted %q; want what the model said", reply.Text, err, emitted)
		}
	})
}

func TestPiecesComeAtOnce(t *testing.T) {
	eachAPI(t, settings{}, func(t *testing.T, server *providertest.Server, bot parley.Bot) {
		next := make(chan struct{})
		pieces := []string{"one ", "two ", "three"}
		server.Set(providertest.Script{Pieces: pieces, Next: next})
		got := 0
		_, err := bot.Reply(t.Context(), &parley.Turn{Prompt: "Hello"}, func(text string) {
			if got >= len(pieces) || text != pieces[got] {
				t.Errorf("piece %d is %q, want one of %q in their order", got, text, pieces)
			}
			if got++; got < len(pieces) {
				next <- struct{}{} // only now is there another
			}
		})
		if err != nil || got != len(pieces) {
			t.Errorf("the bot emitted %d pieces and returned %v, want %d", got, err, len(pieces))
		}
	})
}

func TestCancelEndsTheCall(t *testing.T) {
	for _, mode := range []providertest.Mode{providertest.HangBefore, providertest.HangMiddle} {
		t.Run(string(mode), func(t *testing.T) {
			eachAPI(t, settings{}, func(t *testing.T, server *providertest.Server, bot parley.Bot) {
				server.Set(providertest.Script{Mode: mode})
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				emitted := make(chan string, 1)
				go func() {
					_, err := bot.Reply(ctx, &parley.Turn{Prompt: "Hello"}, func(text string) { emitted <- text })
					done <- err
				}()
				server.Await(t, 1)
				if mode == providertest.HangMiddle {
					<-emitted
				}
				cancelled := time.Now()
				cancel()
				if err := <-done; !errors.Is(err, context.Canceled) || errors.Is(err, parley.ErrPass) {
					t.Errorf("the bot returned %v, want the context's error", err)
				}
				server.Await(t, 0)
				if call := server.Last(); !call.Cancelled || call.Ended.Sub(cancelled) > 100*time.Millisecond {
					t.Errorf("the call ended after %v, cancelled: %v; want it to be cancelled within 100 ms", call.Ended.Sub(cancelled), call.Cancelled)
				}
			})
		})
	}
}

func TestHistoryInItsRoles(t *testing.T) {
	eachAPI(t, settings{Turns: 2}, func(t *testing.T, server *providertest.Server, bot parley.Bot) {
		chat, err := parley.New(parley.Config{Bot: bot})
		if err != nil {
			t.Fatal(err)
		}
		defer chat.Shutdown(context.Background())
		for i := range 4 {
			server.Set(providertest.Script{Pieces: []string{fmt.Sprint("answer ", i)}})
			if _, err := chat.Answer(t.Context(), parley.Request{Session: "one", Prompt: fmt.Sprint("prompt ", i)}); err != nil {
				t.Fatal(err)
			}
		}
		call := server.Last()
		want := []providertest.Message{
			{Role: "user", Content: "prompt 1"}, {Role: "assistant", Content: "answer 1"},
			{Role: "user", Content: "prompt 2"}, {Role: "assistant", Content: "answer 2"},
			{Role: "user", Content: "prompt 3"},
		}
		if fmt.Sprint(call.Messages) != fmt.Sprint(want) || call.System != openai.DefaultSystem {
			t.Errorf("the model was told %v and %q, want %v and the default system prompt", call.Messages, call.System, want)
		}
	})
}

func TestHistoryIsTrimmedAtTurns(t *testing.T) {
	for _, c := range []struct {
		turns, tokens, want int
	}{{0, 0, 7}, {-1, 0, 1}, {1, 0, 3}, {0, 5, 3}, {0, 1, 1}} {
		t.Run(fmt.Sprintf("%d turns %d tokens", c.turns, c.tokens), func(t *testing.T) {
			eachAPI(t, settings{Turns: c.turns, Tokens: c.tokens}, func(t *testing.T, server *providertest.Server, bot parley.Bot) {
				server.Set(providertest.Script{Pieces: []string{"an answer"}})
				chat, err := parley.New(parley.Config{Bot: bot})
				if err != nil {
					t.Fatal(err)
				}
				defer chat.Shutdown(context.Background())
				for i := range 4 {
					if _, err := chat.Answer(t.Context(), parley.Request{Session: "one", Prompt: fmt.Sprint("prompt ", i)}); err != nil {
						t.Fatal(err)
					}
				}
				if got := server.Last().Messages; len(got) != c.want || got[0].Role != "user" {
					t.Errorf("the model was told %v, want %d messages that begin with the visitor's", got, c.want)
				}
			})
		})
	}
}

func TestSettingsAreSent(t *testing.T) {
	temperature := 0.25
	s := settings{Key: key, Headers: map[string]string{"X-Team": "support", "user-agent": "ours"}, MaxTokens: 123, Temperature: &temperature}
	eachAPI(t, s, func(t *testing.T, server *providertest.Server, bot parley.Bot) {
		if _, _, _, err := ask(t.Context(), bot); err != nil {
			t.Fatal(err)
		}
		call := server.Last()
		if call.Key != key || call.MaxTokens != 123 || call.Temperature == nil || *call.Temperature != temperature || !call.Stream || call.Model != "some-model" {
			t.Errorf("the provider was asked with %+v, want the settings", call)
		}
		if call.Header.Get("X-Team") != "support" || call.Header.Get("User-Agent") != "ours" {
			t.Errorf("the headers are %v, want the extra ones among them", call.Header)
		}
	})
}

// TestNoSecretIsTold has the provider say the key, a header's value and word, and
// a value of the address's query in all places where it can say something.
func TestNoSecretIsTold(t *testing.T) {
	const secret, token, query = "header-secret-42", "sk-token-4242", "query secret/42"
	secrets := []string{key, secret, token, query, url.QueryEscape(query), url.PathEscape(query)}
	message := "You sent {key} and " + strings.Join(secrets[1:], " or ") + "\nand\x1b[31m {key}" + strings.Repeat(" blah", 100) + key
	scripts := []providertest.Script{
		{Mode: providertest.RateLimited, Message: message},
		{Mode: providertest.Complaint, Type: "server_error", Message: strings.ReplaceAll(message, "{key}", key)},
		{Mode: providertest.Raw, Body: []byte("event: content_block_delta\ndata: {\"" + key + secret + "\n\n")},
		{Mode: providertest.Raw, Body: []byte("event: error\ndata: " + key + secret + "\n\n")},
	}
	for status := 400; status < 600; status += 20 {
		scripts = append(scripts, providertest.Script{Mode: providertest.Refused, Status: status + 1, Message: message})
	}
	s := settings{
		Path:    "?tenant=" + url.QueryEscape(query),
		Headers: map[string]string{"X-Secret": secret, "X-Token": "Bearer " + token},
	}
	scripts = append(scripts, providertest.Script{Mode: providertest.Redirect})
	for _, script := range scripts {
		eachAPI(t, s, func(t *testing.T, server *providertest.Server, bot parley.Bot) {
			server.Set(script)
			_, _, _, err := ask(t.Context(), bot)
			if err == nil {
				t.Fatalf("the bot replied to %s, want an error", script.Mode)
			}
			text := fmt.Sprintf("%v %+v %#v", err, err, err)
			for _, secret := range append(secrets, "Bearer") {
				if strings.Contains(text, secret) {
					t.Errorf("the error tells %q: %s", secret, text)
				}
			}
			if len(err.Error()) > 600 || strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("the error has %d bytes: %q; want one line of at most 600", len(err.Error()), err)
			}
		})
	}
}

// TestRedirectIsToldByItsHostOnly has a provider send on to an address that holds
// a secret, as a server does that wants https.
func TestRedirectIsToldByItsHostOnly(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "https://llm.example.com/v1/one-time-token-1234?signature=5678")
		w.WriteHeader(http.StatusPermanentRedirect)
	}))
	defer server.Close()
	for api, newBot := range makers {
		t.Run(api, func(t *testing.T) {
			bot, err := newBot(settings{BaseURL: server.URL, Key: key})
			if err != nil {
				t.Fatal(err)
			}
			_, _, _, err = ask(t.Context(), bot)
			wantFailure(t, err, "it sends on to https://llm.example.com, which is not followed", false)
		})
	}
}

// TestAnswerCanBeSent has a provider send a text that is short enough, and whose
// JSON is not.
func TestAnswerCanBeSent(t *testing.T) {
	eachAPI(t, settings{}, func(t *testing.T, server *providertest.Server, bot parley.Bot) {
		server.Set(providertest.Script{Pieces: []string{strings.Repeat("line\n", 100<<10), strings.Repeat("line\n", 100<<10)}})
		_, _, _, err := ask(t.Context(), bot)
		wantFailure(t, err, "gave an answer that cannot be sent: the reply is 1228813 bytes long; the most is 1048576", false)
	})
}

// TestEnvironmentIsNotRead sets whatever the SDKs look for.
func TestEnvironmentIsNotRead(t *testing.T) {
	for _, name := range []string{"OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_WEBHOOK_SECRET",
		"ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_PROFILE", "ANTHROPIC_WEBHOOK_SIGNING_KEY"} {
		t.Setenv(name, "from-the-environment")
	}
	for _, name := range []string{"OPENAI_BASE_URL", "ANTHROPIC_BASE_URL"} {
		t.Setenv(name, "http://127.0.0.1:1/from-the-environment")
	}
	for _, name := range []string{"OPENAI_CUSTOM_HEADERS", "ANTHROPIC_CUSTOM_HEADERS"} {
		t.Setenv(name, "X-Custom: from-the-environment")
	}
	for api, newBot := range makers {
		t.Run(api, func(t *testing.T) {
			server := providertest.New(t)
			bot, err := newBot(settings{BaseURL: server.URL}) // without a key
			if err != nil {
				t.Fatal(err)
			}
			if _, _, _, err := ask(t.Context(), bot); err != nil {
				t.Fatal(err)
			}
			if call := server.Last(); call.Key != "" || strings.Contains(fmt.Sprint(call.Header), "from-the-environment") {
				t.Errorf("the provider was sent %v, want nothing from the environment", call.Header)
			}
		})
	}
}

func TestNobodyIsThere(t *testing.T) {
	for api, newBot := range makers {
		t.Run(api, func(t *testing.T) {
			bot, err := newBot(settings{BaseURL: "http://127.0.0.1:1", Key: key})
			if err != nil {
				t.Fatal(err)
			}
			_, _, _, err = ask(t.Context(), bot)
			wantFailure(t, err, "127.0.0.1:1 cannot be reached: dial tcp 127.0.0.1:1: connect: connection refused", true)
		})
	}
}

func TestKeyIsNeeded(t *testing.T) {
	for api, name := range map[string]string{"chat": "OPENAI_API_KEY", "responses": "OPENAI_API_KEY", "messages": "ANTHROPIC_API_KEY"} {
		t.Run(api, func(t *testing.T) {
			server := providertest.New(t)
			server.Set(providertest.Script{Mode: providertest.Refused, Status: http.StatusUnauthorized})
			bot, err := makers[api](settings{BaseURL: server.URL})
			if err != nil {
				t.Fatal(err)
			}
			_, _, _, err = ask(t.Context(), bot)
			wantFailure(t, err, "a key is needed: set "+name, false)
		})
	}
}

func TestUntrustedCertificate(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	for api, newBot := range makers {
		t.Run(api, func(t *testing.T) {
			bot, err := newBot(settings{BaseURL: server.URL, Key: key})
			if err != nil {
				t.Fatal(err)
			}
			_, _, _, err = ask(t.Context(), bot)
			wantFailure(t, err, "certificate", false)
		})
	}
}

func TestRetryAfter(t *testing.T) {
	for _, c := range []struct {
		name, header, value string
		least, most         time.Duration
	}{
		{"seconds", "Retry-After", "3", 3 * time.Second, 3 * time.Second},
		{"milliseconds", "Retry-After-Ms", "250", 250 * time.Millisecond, 250 * time.Millisecond},
		{"a date", "Retry-After", time.Now().Add(time.Minute).UTC().Format(http.TimeFormat), 50 * time.Second, time.Minute},
		{"a date in the past", "Retry-After", "Mon, 02 Jan 2006 15:04:05 GMT", 0, 0},
		{"a negative number", "Retry-After", "-5", 0, 0},
		{"too much", "Retry-After", "1e300", 24 * time.Hour, 24 * time.Hour},
		{"no number", "Retry-After", "NaN", 0, 0},
		{"nonsense", "Retry-After", "soon", 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set(c.header, c.value)
				w.WriteHeader(http.StatusServiceUnavailable)
			}))
			defer server.Close()
			bot, err := makers["chat"](settings{BaseURL: server.URL})
			if err != nil {
				t.Fatal(err)
			}
			_, _, _, err = ask(t.Context(), bot)
			f := wantFailure(t, err, "answered 503 Service Unavailable", true)
			if f.RetryAfter < c.least || f.RetryAfter > c.most {
				t.Errorf("the failure asks for a rest of %v, want %v to %v", f.RetryAfter, c.least, c.most)
			}
		})
	}
}

func TestConnectionIsUsedAgain(t *testing.T) {
	var dials atomic.Int64
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		dials.Add(1)
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}}
	eachAPI(t, settings{Client: client}, func(t *testing.T, server *providertest.Server, bot parley.Bot) {
		dials.Store(0)
		for range 20 {
			if _, _, _, err := ask(t.Context(), bot); err != nil {
				t.Fatal(err)
			}
		}
		if n := dials.Load(); n != 1 {
			t.Errorf("20 answers took %d connections, want 1", n)
		}
	})
}

// FuzzStream has a provider send any bytes at all as an event stream.
func FuzzStream(f *testing.F) {
	for _, seed := range []string{
		"", "data: [DONE]\n\n", "data: null\n\n", "data: {}\n\n", "data: []\n\n", "event: error\ndata: {\"error\":1}\n\n",
		"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"},\"finish_reason\":\"stop\"}],\"usage\":null}\n\ndata: [DONE]\n\n",
		"data: {\"choices\":[{\"delta\":{\"content\":\"\\ud800\"}}],\"usage\":{\"prompt_tokens\":-9223372036854775808}}\r\n\r\n",
		"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":3}}}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello\"}}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
		"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"Hello\"}\n\nevent: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":3}}}\n\n",
		"data: {\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"server_error\",\"message\":\"no\"}}}\n\n",
		"data: {\"type\":\"error\",\"message\":\"no\"}\n\n", ": comment\ndata\nevent\nid: 1\nretry: 1\n\n", "<!DOCTYPE html>",
	} {
		f.Add([]byte(seed))
	}
	body := &fuzzBody{}
	client := &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: body}, nil
	})}
	var bots []parley.Bot
	for _, newBot := range makers {
		bot, err := newBot(settings{BaseURL: "http://provider.invalid", Key: key, Client: client})
		if err != nil {
			f.Fatal(err)
		}
		bots = append(bots, bot)
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		for _, bot := range bots {
			*body = fuzzBody{Reader: strings.NewReader(string(stream))}
			reply, turn, emitted, err := ask(t.Context(), bot)
			var failure *parley.Failure
			switch {
			case err != nil && !errors.As(err, &failure):
				t.Errorf("the bot returned %v, want a failure", err)
			case err != nil && (len(err.Error()) > 600 || strings.ContainsAny(err.Error(), "\r\n")):
				t.Errorf("the error is %q, want one short line", err)
			case err == nil && (reply.Validate() != nil || reply.Text != emitted):
				t.Errorf("the bot replied %q after it emitted %q, want a valid reply of that", reply.Text, emitted)
			case !body.closed:
				t.Error("the response's body was left open")
			}
			for _, u := range turn.Usage() {
				if u.InputTokens < 0 || u.OutputTokens < 0 {
					t.Errorf("the usage is %+v, want no negative count", u)
				}
			}
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

type fuzzBody struct {
	io.Reader
	closed bool
}

func (b *fuzzBody) Close() error {
	b.closed = true
	return nil
}
