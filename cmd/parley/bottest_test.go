package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/providertest"
)

// runIn runs a command with an environment and returns the exit code and what it
// prints.
func runIn(t *testing.T, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	inFiles(t, nil)
	var out, err bytes.Buffer
	p := &program{stdout: &out, stderr: &err, environ: env}
	code = p.run(t.Context(), args)
	return code, out.String(), err.String()
}

// TestBotTestShowsTheAnswer asks two providers that answer.
func TestBotTestShowsTheAnswer(t *testing.T) {
	provider := providertest.New(t)
	provider.Set(providertest.Script{Pieces: []string{"Hel", "lo\x1b[2J", "!\n", "Bye."}})
	host := strings.TrimPrefix(provider.URL, "http://")
	code, out, err := runIn(t, []string{"OPENAI_API_KEY=sk-5ec4e7-5ec4e7", "OPENAI_BASE_URL=" + provider.URL, "ANTHROPIC_BASE_URL=" + provider.URL}, "bot", "test", "Who are you?")
	out = regexp.MustCompile(`\d+\.\d\d s`).ReplaceAllString(out, "N s")
	want := fmt.Sprintf(`> Who are you?

openai: gpt-5.4-mini at %[1]s, key from environment variable OPENAI_API_KEY

Hello[2J!
Bye.

First text after N s, whole answer after N s; %[2]d tokens in, %[3]d tokens out, by gpt-5.4-mini.

anthropic: claude-haiku-5-5 at %[1]s

Hello[2J!
Bye.

First text after N s, whole answer after N s; %[2]d tokens in, %[3]d tokens out, by claude-haiku-5-5.
`, host, providertest.InputTokens, providertest.OutputTokens)
	if code != exitOK || out != want || err != "" {
		t.Errorf("it ends with %d and prints\n%s%s\nwant 0 and\n%s", code, out, err, want)
	}
	if n := provider.Count(); n != 2 {
		t.Errorf("the providers were asked %d times; want once each", n)
	}

	code, _, _ = runIn(t, []string{"OPENAI_BASE_URL=" + provider.URL, "ANTHROPIC_BASE_URL=" + provider.URL, "BOTS=openai"}, "bot", "test", "--bot", "anthropic")
	if call := provider.Last(); code != exitOK || provider.Count() != 3 || call.API != providertest.Messages || call.Messages[0].Content != testPrompt {
		t.Errorf("--bot anthropic ends with %d, and %d calls were made, the last one %s with %+v; want 0, one more, and it with the usual prompt", code, provider.Count(), call.API, call.Messages)
	}
}

// TestBotTestShowsARelay has a backend answer with more than text.
func TestBotTestShowsARelay(t *testing.T) {
	sessions := map[string]bool{}
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sessions[r.Header.Get("Idempotency-Key")] = true
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"content": "Look:", "content_type": "quick_reply", "content_attributes": {"responses": {"responses": [{"id": "a", "text": "First"}]}}}`)
	}))
	defer backend.Close()
	for range 2 {
		code, out, _ := runIn(t, []string{"RELAY_URL=" + backend.URL + "/hidden"}, "bot", "test")
		if want := "relay: " + strings.TrimPrefix(backend.URL, "http://") + "\n\nLook:\n"; code != exitOK || !strings.Contains(out, want) || !strings.Contains(out, "First") {
			t.Errorf("it ends with %d and prints\n%s\nwant 0 and %q, and the quick reply", code, out, want)
		}
	}
	if len(sessions) != 2 {
		t.Errorf("two tests sent %d idempotency keys; want one each, or a backend answers the second from memory", len(sessions))
	}
}

// TestBotTestWaitsForARelay has a backend answer in one piece, later than a model
// may begin.
func TestBotTestWaitsForARelay(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-time.After(200 * time.Millisecond)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"output": "At last."}`)
	}))
	defer backend.Close()
	code, out, _ := runIn(t, []string{"RELAY_URL=" + backend.URL, "FIRST_TOKEN_TIMEOUT=50ms"}, "bot", "test")
	if code != exitOK || !strings.Contains(out, "At last.") {
		t.Errorf("it ends with %d and prints\n%s\nwant 0 and the answer", code, out)
	}
}

// TestBotTestTellsThatAnAnswerMayBeCut has an answer use up MAX_TOKENS, and leave one.
func TestBotTestTellsThatAnAnswerMayBeCut(t *testing.T) {
	provider := providertest.New(t)
	for most, want := range map[int]bool{providertest.OutputTokens: true, providertest.OutputTokens + 1: false} {
		_, out, _ := runIn(t, []string{"OPENAI_BASE_URL=" + provider.URL, fmt.Sprint("MAX_TOKENS=", most)}, "bot", "test")
		if got := strings.Contains(out, "as long as MAX_TOKENS allows"); got != want {
			t.Errorf("with MAX_TOKENS=%d it prints\n%s\nsays that the answer may be cut: %t; want %t", most, out, got, want)
		}
	}
}

// TestBotTestTellsWhatIsWrong has a provider fail in the ways in which a
// configuration is wrong.
func TestBotTestTellsWhatIsWrong(t *testing.T) {
	const key = "sk-5ec4e7-5ec4e7"
	for name, tc := range map[string]struct {
		script providertest.Script
		env    []string
		want   []string
	}{
		"bad key": {
			providertest.Script{Mode: providertest.Refused, Status: 401, Message: "Incorrect API key provided: {key}."}, nil,
			[]string{"answered 401 Unauthorized; the key was refused: check OPENAI_API_KEY. It said: Incorrect API key provided"},
		},
		"unknown model": {
			providertest.Script{Mode: providertest.Refused, Status: 404, Message: "The model does not exist."}, []string{"OPENAI_MODEL=gtp-5"},
			[]string{`it has no model "gtp-5", or the base URL is wrong. It said: The model does not exist.`},
		},
		"wrong base URL": {
			providertest.Script{Mode: providertest.NoStream}, nil,
			[]string{"and no event stream: check the base URL"},
		},
		"not running": {
			providertest.Script{}, []string{"OPENAI_BASE_URL=http://127.0.0.1:1"},
			[]string{"127.0.0.1:1 cannot be reached: dial tcp 127.0.0.1:1: connect: connection refused"},
		},
		"no credit":     {providertest.Script{Mode: providertest.Refused, Status: 402}, nil, []string{"the account has no credit left"}},
		"too often":     {providertest.Script{Mode: providertest.RateLimited}, nil, []string{"it is asked too often"}},
		"no first text": {providertest.Script{Mode: providertest.HangBefore}, []string{"FIRST_TOKEN_TIMEOUT=60ms"}, []string{"no text within FIRST_TOKEN_TIMEOUT, 60ms"}},
		"no end":        {providertest.Script{Mode: providertest.HangMiddle}, []string{"BOT_TIMEOUT=300ms"}, []string{"Hello\n\nFailed after ", "no whole answer within BOT_TIMEOUT, 300ms"}},
		"broken off":    {providertest.Script{Mode: providertest.Cut}, nil, []string{"Hello\n\nFailed after ", "broke off its answer"}},
	} {
		t.Run(name, func(t *testing.T) {
			provider := providertest.New(t)
			provider.Set(tc.script)
			env := append([]string{"OPENAI_API_KEY=" + key, "OPENAI_BASE_URL=" + provider.URL}, tc.env...)
			code, out, err := runIn(t, env, "bot", "test")
			for _, want := range tc.want {
				if !strings.Contains(out, want) {
					t.Errorf("it prints\n%s\nwant %q", out, want)
				}
			}
			if code != exitFailure || err != "parley: no answer from openai\n" {
				t.Errorf("it ends with %d and says %q; want 1, and who gave no answer", code, err)
			}
			if strings.Contains(out+err, "5ec4e7") {
				t.Errorf("it prints the key:\n%s%s", out, err)
			}
			if n := provider.Count(); n > 1 {
				t.Errorf("the provider was asked %d times; want once", n)
			}
		})
	}
}

// TestBotTestGoesOn asks the second service although the first one fails.
func TestBotTestGoesOn(t *testing.T) {
	provider := providertest.New(t)
	code, out, err := runIn(t, []string{"OPENAI_BASE_URL=http://127.0.0.1:1", "ANTHROPIC_BASE_URL=" + provider.URL}, "bot", "test")
	if code != exitFailure || !strings.Contains(out, "Hello, world!") || err != "parley: no answer from openai\n" {
		t.Errorf("it ends with %d and prints\n%s%s\nwant 1, the second one's answer, and the first one named", code, out, err)
	}
}

// TestTerminalShowsWholeCharacters prints pieces that end within a character.
func TestTerminalShowsWholeCharacters(t *testing.T) {
	const text = "Grüße, 世界 👋🏽\tund\nmehr"
	for size := 1; size <= len(text); size++ {
		var out bytes.Buffer
		screen := &terminal{w: &out}
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			screen.print(rest[:n])
			rest = rest[n:]
		}
		if out.String() != text {
			t.Errorf("in pieces of %d bytes it is %q; want %q", size, &out, text)
		}
	}
	var out bytes.Buffer
	(&terminal{w: &out}).print("a\x1b]0;title\x07b\r\u009bc")
	if got := out.String(); got != "a]0;titlebc" {
		t.Errorf("control characters leave %q; want what can be shown", got)
	}
}
