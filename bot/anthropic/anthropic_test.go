package anthropic_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/bot/anthropic"
	"github.com/parley-chat/parley/internal/providertest"
)

// A dialer sends every call to a server, wherever it is addressed to.
type dialer struct{ server string }

func (d dialer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Original-Url", r.URL.String())
	r.URL.Scheme, r.URL.Host = "http", strings.TrimPrefix(d.server, "http://")
	return http.DefaultTransport.RoundTrip(r)
}

// call has a bot answer one turn, and returns what a provider at the bot's
// address was sent.
func call(t *testing.T, cfg anthropic.Config) providertest.Call {
	t.Helper()
	server := providertest.New(t)
	cfg.HTTPClient = &http.Client{Transport: dialer{server.URL}}
	bot, err := anthropic.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := bot.Reply(t.Context(), &parley.Turn{Prompt: "Hello"}, func(string) {})
	if err != nil || reply.Text != "Hello, world!" {
		t.Fatalf("the bot replied %q, %v; want what the provider said", reply.Text, err)
	}
	return server.Last()
}

func TestBaseURL(t *testing.T) {
	for _, c := range []struct{ base, want string }{
		{"", "https://api.anthropic.com/v1/messages"},
		{"http://localhost:11434", "http://localhost:11434/v1/messages"},
		{"http://localhost:11434/", "http://localhost:11434/v1/messages"},
		{"http://localhost:11434/v1", "http://localhost:11434/v1/messages"},
		{"http://localhost:11434/v1/messages//", "http://localhost:11434/v1/messages"},
		{"https://llm.example.com/anthropic", "https://llm.example.com/anthropic/v1/messages"},
		{"https://llm.example.com/anthropic/v1/", "https://llm.example.com/anthropic/v1/messages"},
		{"https://llm.example.com/a%20b", "https://llm.example.com/a%20b/v1/messages"},
		{"https://llm.example.com/a%2Fb/v1/", "https://llm.example.com/a%2Fb/v1/messages"},
		{"https://llm.example.com?tenant=a", "https://llm.example.com/v1/messages?tenant=a"},
	} {
		t.Run(c.base, func(t *testing.T) {
			got := call(t, anthropic.Config{APIKey: "a-key", BaseURL: c.base})
			if url := got.Header.Get("X-Original-Url"); url != c.want {
				t.Errorf("the bot asked %s, want %s", url, c.want)
			}
			if got.Header.Get("X-Api-Key") != "a-key" || got.Header.Get("Anthropic-Version") == "" {
				t.Errorf("the headers are %v, want the key and the version", got.Header)
			}
		})
	}
}

func TestTemperatureFollowsTheModel(t *testing.T) {
	temperature := 0.5
	for model, want := range map[string]bool{
		"claude-3-5-haiku-latest":    true,
		"claude-sonnet-4-20250514":   true,
		"claude-haiku-4-5":           true,
		"claude-haiku-4-5-20251001":  true,
		"claude-opus-4-6":            true,
		"claude-opus-4-7":            false,
		"claude-opus-5":              false,
		"claude-haiku-5-5":           false,
		"claude-fable-5-1":           false,
		"qwen3:0.6b":                 true,
		"claude-opus-4-10-maybe-one": false,
	} {
		t.Run(model, func(t *testing.T) {
			got := call(t, anthropic.Config{APIKey: "a-key", Model: model, Temperature: &temperature})
			if has := got.Temperature != nil; has != want || got.Model != model {
				t.Errorf("a temperature was sent to %s: %v, want %v", got.Model, has, want)
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	got := call(t, anthropic.Config{APIKey: "a-key"})
	if got.Model != anthropic.DefaultModel || got.System != anthropic.DefaultSystem || got.MaxTokens != 4096 || got.Temperature != nil {
		t.Errorf("the bot sent %s, want the defaults", got.Body)
	}
}

// TestUsageIsTheLastCount has servers count the input at the start, at the end,
// or both, where the end is the truth.
func TestUsageIsTheLastCount(t *testing.T) {
	for _, c := range []struct {
		name, start, end string
		want             parley.Usage
	}{
		{"at the start", `{"input_tokens":20,"output_tokens":1}`, `{"output_tokens":8}`, parley.Usage{InputTokens: 20, OutputTokens: 8}},
		{"at the end", `{"input_tokens":0,"output_tokens":0}`, `{"input_tokens":20,"output_tokens":8}`, parley.Usage{InputTokens: 20, OutputTokens: 8}},
		{"at both", `{"input_tokens":1,"output_tokens":1}`, `{"input_tokens":20,"cache_read_input_tokens":9,"output_tokens":8}`, parley.Usage{InputTokens: 29, OutputTokens: 8}},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := providertest.New(t)
			server.Set(providertest.Script{Mode: providertest.Raw, Body: []byte(
				"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":" + c.start + "}}\n\n" +
					"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n" +
					"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":" + c.end + "}\n\n" +
					"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n")})
			bot, err := anthropic.New(anthropic.Config{BaseURL: server.URL, Model: "some-model"})
			if err != nil {
				t.Fatal(err)
			}
			turn := &parley.Turn{Prompt: "Hello"}
			if _, err := bot.Reply(t.Context(), turn, func(string) {}); err != nil {
				t.Fatal(err)
			}
			c.want.Model = "some-model"
			if got := turn.Usage(); !slices.Equal(got, []parley.Usage{c.want}) {
				t.Errorf("the usage is %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestEveryProblemAtOnce(t *testing.T) {
	hot := 1.5
	_, err := anthropic.New(anthropic.Config{BaseURL: "https://", APIKey: "ключ", MaxTokens: -1, Temperature: &hot, HistoryTurns: -2})
	ps, ok := err.(parley.Problems)
	if !ok {
		t.Fatalf("New returned %v, want problems", err)
	}
	var paths []string
	for _, p := range ps {
		paths = append(paths, p.Path)
	}
	if want := []string{"BaseURL", "APIKey", "MaxTokens", "Temperature", "HistoryTurns"}; !slices.Equal(paths, want) {
		t.Errorf("the problems are at %q, want %q: %v", paths, want, err)
	}
	if _, err := anthropic.New(anthropic.Config{}); err == nil || !strings.Contains(err.Error(), "APIKey: is missing") {
		t.Errorf("New without a key returned %v, want that it is missing", err)
	}
}
