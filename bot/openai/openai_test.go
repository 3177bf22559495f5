package openai_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/bot/openai"
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
func call(t *testing.T, cfg openai.Config) providertest.Call {
	t.Helper()
	server := providertest.New(t)
	cfg.HTTPClient = &http.Client{Transport: dialer{server.URL}}
	bot, err := openai.New(cfg)
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
		{"", "https://api.openai.com/v1/chat/completions"},
		{"http://localhost:11434", "http://localhost:11434/v1/chat/completions"},
		{"http://localhost:11434/", "http://localhost:11434/v1/chat/completions"},
		{"http://localhost:11434/v1", "http://localhost:11434/v1/chat/completions"},
		{"http://localhost:11434/v1///", "http://localhost:11434/v1/chat/completions"},
		{"https://openrouter.ai/api/v1", "https://openrouter.ai/api/v1/chat/completions"},
		{"https://llm.example.com/v1beta/openai/", "https://llm.example.com/v1beta/openai/chat/completions"},
		{"https://llm.example.com/a%20b", "https://llm.example.com/a%20b/chat/completions"},
		{"https://llm.example.com/a%2Fb/", "https://llm.example.com/a%2Fb/chat/completions"},
		{"https://llm.example.com/a%2Fb/chat/completions", "https://llm.example.com/a%2Fb/chat/completions"},
		{"https://llm.example.com/a%2F", "https://llm.example.com/a%2F/chat/completions"},
		{"https://llm.example.com/v1?", "https://llm.example.com/v1/chat/completions"},
		{"https://llm.example.com/chat/completions", "https://llm.example.com/chat/completions"},
		{"https://llm.example.com/v1/chat/completions/", "https://llm.example.com/v1/chat/completions"},
		{"https://llm.example.com/v1/responses", "https://llm.example.com/v1/responses"},
		{"http://[::1]:8080/v1", "http://[::1]:8080/v1/chat/completions"},
		{"https://llm.example.com/v1?tenant=a&tenant=b", "https://llm.example.com/v1/chat/completions?tenant=a&tenant=b"},
		{"https://me.openai.azure.com/openai/deployments/gpt?api-version=2024-10-21", "https://me.openai.azure.com/openai/deployments/gpt/chat/completions?api-version=2024-10-21"},
		{"https://me.openai.azure.com/openai/deployments/gpt/chat/completions?api-version=2024-10-21", "https://me.openai.azure.com/openai/deployments/gpt/chat/completions?api-version=2024-10-21"},
	} {
		t.Run(c.base, func(t *testing.T) {
			got := call(t, openai.Config{APIKey: "a-key", BaseURL: c.base})
			if url := got.Header.Get("X-Original-Url"); url != c.want {
				t.Errorf("the bot asked %s, want %s", url, c.want)
			}
			header := "Authorization"
			if strings.Contains(c.base, "api-version") {
				header = "Api-Key"
			}
			if value := got.Header.Get(header); strings.TrimPrefix(value, "Bearer ") != "a-key" || got.Key != "a-key" {
				t.Errorf("the headers are %v, want the key in %s", got.Header, header)
			}
		})
	}
}

func TestAPIAndParametersFollowTheModel(t *testing.T) {
	temperature := 0.5
	for _, c := range []struct {
		model, base string
		api         openai.API
		want        providertest.API
		maxTokens   string // the parameter's name; empty for none
		temperature bool
	}{
		{"", "", "", providertest.Chat, "max_completion_tokens", true},
		{"gpt-4.1-mini", "", "", providertest.Chat, "max_completion_tokens", true},
		{"gpt-5-mini", "", "", providertest.Chat, "max_completion_tokens", false},
		{"gpt-5-chat-latest", "", "", providertest.Chat, "max_completion_tokens", true},
		{"gpt-5.6-luna", "", "", providertest.Chat, "max_completion_tokens", false},
		{"o4-mini", "", "", providertest.Chat, "max_completion_tokens", false},
		{"o3-pro", "", "", providertest.Responses, "max_output_tokens", false},
		{"gpt-5-pro-2025-10-06", "", "", providertest.Responses, "max_output_tokens", false},
		{"gpt-5.1-codex-max", "", "", providertest.Responses, "max_output_tokens", false},
		{"gpt-5-mini", "", openai.Responses, providertest.Responses, "max_output_tokens", false},
		{"gpt-4.1-mini", "", openai.Responses, providertest.Responses, "max_output_tokens", true},
		{"o3-deep-research", "", "", providertest.Responses, "max_output_tokens", false},
		{"gpt-5.4-mini", "https://me.openai.azure.com/openai/v1", "", providertest.Chat, "max_completion_tokens", true},
		{"openai/o3-pro", "https://openrouter.ai/api/v1", "", providertest.Chat, "", false},
		{"qwen3:0.6b", "http://localhost:11434", "", providertest.Chat, "", true},
		{"some-pro", "http://localhost:11434", "", providertest.Chat, "", false},
	} {
		t.Run(c.model+" "+c.base+" "+string(c.api), func(t *testing.T) {
			got := call(t, openai.Config{APIKey: "a-key", BaseURL: c.base, API: c.api, Model: c.model, Temperature: &temperature})
			want := c.model
			if want == "" {
				want = openai.DefaultModel
			}
			if got.API != c.want || got.Model != want {
				t.Errorf("%s was asked for by %s, want %s by %s", got.Model, got.API, want, c.want)
			}
			if has := got.Temperature != nil; has != c.temperature {
				t.Errorf("a temperature was sent: %v, want %v", has, c.temperature)
			}
			for _, name := range []string{"max_tokens", "max_completion_tokens", "max_output_tokens"} {
				if has := strings.Contains(string(got.Body), `"`+name+`":4096`); has != (name == c.maxTokens) {
					t.Errorf("%s was sent: %v, want %q only, in %s", name, has, c.maxTokens, got.Body)
				}
			}
		})
	}
}

func TestCompatibleServerGetsTheOlderName(t *testing.T) {
	got := call(t, openai.Config{BaseURL: "http://localhost:11434", MaxTokens: 77})
	if body := string(got.Body); !strings.Contains(body, `"max_tokens":77`) || strings.Contains(body, "max_completion_tokens") {
		t.Errorf("the bot sent %s, want max_tokens", body)
	}
	if got.Key != "" {
		t.Errorf("the bot sent the key %q, want none", got.Key)
	}
}

func TestUsageIsAskedFor(t *testing.T) {
	if got := call(t, openai.Config{APIKey: "a-key"}); !strings.Contains(string(got.Body), `"stream_options":{"include_usage":true}`) {
		t.Errorf("the bot sent %s, want it to ask for the usage", got.Body)
	}
	if got := call(t, openai.Config{APIKey: "a-key", API: openai.Responses}); !strings.Contains(string(got.Body), `"store":false`) {
		t.Errorf("the bot sent %s, want nothing to be stored", got.Body)
	}
}

func TestAuthorizationTakesTheKeysPlace(t *testing.T) {
	got := call(t, openai.Config{APIKey: "a-key", Headers: map[string]string{"authorization": "Bearer another"}})
	if value := got.Header.Values("Authorization"); !slices.Equal(value, []string{"Bearer another"}) {
		t.Errorf("Authorization is %q, want the one of the settings", value)
	}
}

func TestEveryProblemAtOnce(t *testing.T) {
	hot := 2.5
	_, err := openai.New(openai.Config{
		APIKey: "two words", BaseURL: "localhost:11434", API: "graphql", Model: " ", MaxTokens: -1, Temperature: &hot,
		HistoryTurns: -2, HistoryTokens: -1, Headers: map[string]string{"a b": "", "Host": "x", "X": "a\nb"},
	})
	ps, ok := err.(parley.Problems)
	if !ok {
		t.Fatalf("New returned %v, want problems", err)
	}
	var paths []string
	for _, p := range ps {
		paths = append(paths, p.Path)
	}
	want := []string{"API", "BaseURL", "APIKey", "Model", "MaxTokens", "Temperature", "HistoryTurns", "HistoryTokens",
		`Headers["Host"]`, `Headers["X"]`, `Headers["a b"]`}
	if !slices.Equal(paths, want) {
		t.Errorf("the problems are at %q, want %q: %v", paths, want, err)
	}
}

func TestBadSettings(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  openai.Config
		want string
	}{
		"no key":              {openai.Config{}, "APIKey: is missing"},
		"a line break":        {openai.Config{APIKey: "key\n"}, "APIKey: holds white space"},
		"a password":          {openai.Config{BaseURL: "https://me:secret@llm.example.com"}, "BaseURL: holds a user or password"},
		"no URL":              {openai.Config{BaseURL: "https://me:secret@llm.example.com:port"}, "BaseURL: is not a URL"},
		"no scheme":           {openai.Config{BaseURL: "llm.example.com/v1"}, "BaseURL: has to begin with http"},
		"another scheme":      {openai.Config{BaseURL: "ftp://llm.example.com"}, "BaseURL: has to begin with http"},
		"no host":             {openai.Config{BaseURL: "http://:8080/v1"}, "BaseURL: has to begin with http"},
		"a fragment":          {openai.Config{BaseURL: "http://localhost/v1#chat"}, "BaseURL: has a part after #"},
		"a header of the bot": {openai.Config{BaseURL: "http://localhost", Headers: map[string]string{"connection": "close"}}, "is set by the bot"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := openai.New(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("New returned %v, want %q and no password", err, c.want)
			}
		})
	}
}

// TestServersThatDoNotStream answer in one piece, though they were asked for a stream.
func TestServersThatDoNotStream(t *testing.T) {
	const whole = `{"id":"1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hello, world!"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4}}`
	for name, c := range map[string]struct {
		api        openai.API
		body       string
		want, fail string
	}{
		"a whole answer":      {openai.Chat, whole, "Hello, world!", ""},
		"an error":            {openai.Chat, `{"error":{"message":"no such model"}}`, "", "It said: no such model"},
		"another JSON":        {openai.Chat, `{"status":"up"}`, "", `with "application/json" and no event stream: check the base URL. It said: {"status":"up"}`},
		"half an answer":      {openai.Chat, whole[:150], "", "sent an event that makes no sense"},
		"of the Responses":    {openai.Responses, `{"object":"response"}`, "", `with "application/json" and no event stream`},
		"an empty completion": {openai.Chat, `{"choices":[{"message":{"content":""},"finish_reason":"stop"}]}`, "", "gave an empty answer"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json; charset=utf-8")
				io.WriteString(w, c.body)
			}))
			defer server.Close()
			bot, err := openai.New(openai.Config{BaseURL: server.URL, API: c.api})
			if err != nil {
				t.Fatal(err)
			}
			turn, emitted := &parley.Turn{Prompt: "Hello"}, ""
			reply, err := bot.Reply(t.Context(), turn, func(text string) { emitted += text })
			if c.fail != "" {
				if !errors.Is(err, parley.ErrPass) || !strings.Contains(err.Error(), c.fail) {
					t.Errorf("the bot returned %v, want a failure that says %q", err, c.fail)
				}
				return
			}
			if usage := turn.Usage(); err != nil || reply.Text != c.want || emitted != c.want || len(usage) != 1 || usage[0].OutputTokens != 4 {
				t.Errorf("the bot replied %q, %v after it emitted %q, and used %v; want %q, and 4 tokens", reply.Text, err, emitted, usage, c.want)
			}
		})
	}
}
