package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/parley-chat/parley/bot/anthropic"
	"github.com/parley-chat/parley/bot/openai"
	"github.com/parley-chat/parley/cmd/parley/internal/config"
	"github.com/parley-chat/parley/internal/providertest"
)

const apology = `{"output":"I'm having trouble processing your request. Please try again."}` + "\n"

// loadIn loads a configuration of files and an environment.
func loadIn(t *testing.T, files map[string]string, env ...string) *config.Config {
	t.Helper()
	inFiles(t, files)
	cfg, err := (&program{environ: env}).load(nil)
	if err != nil {
		t.Fatalf("the configuration should be fine:\n%v", err)
	}
	return cfg
}

// TestServeAnswersFromAModel gives the real server a key, and sees that this is
// all it takes.
func TestServeAnswersFromAModel(t *testing.T) {
	provider := providertest.New(t)
	s := start(t, t.TempDir(), []string{"OPENAI_API_KEY=sk-5ec4e7-5ec4e7", "OPENAI_BASE_URL=" + provider.URL})
	for _, prompt := range []string{"help", "What is new?"} { // the first of which the sample rules know
		if status, body := s.post("/chat", `{"prompt": "`+prompt+`", "session_id": "s"}`); status != http.StatusOK || body != `{"output":"Hello, world!"}`+"\n" {
			t.Errorf("%q gets %d %s; want the model's answer", prompt, status, body)
		}
	}
	call := provider.Last()
	if call.Key != "sk-5ec4e7-5ec4e7" || call.Model != openai.DefaultModel || call.System != openai.DefaultSystem {
		t.Errorf("the provider got the key %q, the model %q and the system prompt %q; want the configured key and the defaults", call.Key, call.Model, call.System)
	}
	if got, want := fmt.Sprint(call.Messages), "[{user help} {assistant Hello, world!} {user What is new?}]"; got != want {
		t.Errorf("the provider got %s; want %s", got, want)
	}
	for _, want := range []string{
		"\n  bot    openai\n",
		"\n         openai: gpt-5.4-mini at " + strings.TrimPrefix(provider.URL, "http://") + ", key from environment variable OPENAI_API_KEY\n",
	} {
		if !strings.Contains(s.screen, want) {
			t.Errorf("the screen lacks %q:\n%s", want, s.screen)
		}
	}
	if strings.Contains(s.screen, "caution") || strings.Contains(s.screen, "5ec4e7") {
		t.Errorf("the screen has a caution or the key; want neither for a server on this computer:\n%s", s.screen)
	}
	if status, page := s.get("/"); status != http.StatusOK || !strings.Contains(page, "openai (gpt-5.4-mini)") || strings.Contains(page, "127.0.0.1:"+provider.URL[17:]) {
		t.Errorf("GET / gets %d; want a page that says that openai (gpt-5.4-mini) answers, and not where", status)
	}
}

// TestSettingsReachTheModel sets everything.
func TestSettingsReachTheModel(t *testing.T) {
	provider := providertest.New(t)
	cfg := []string{
		"SYSTEM_PROMPT=You are a parrot.", "MAX_TOKENS=7", "TEMPERATURE=0", "HISTORY_TURNS=1",
		"OPENAI_BASE_URL=" + provider.URL, "OPENAI_MODEL=parrot-1", "OPENAI_API=responses", "OPENAI_HEADERS=X-Who: Polly",
		"ANTHROPIC_BASE_URL=" + provider.URL, "ANTHROPIC_MODEL=parrot-2", "ANTHROPIC_HEADERS=X-Who: Rico",
	}
	for name, want := range map[string]struct {
		api        providertest.API
		model, who string
	}{
		"openai":    {providertest.Responses, "parrot-1", "Polly"},
		"anthropic": {providertest.Messages, "parrot-2", "Rico"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newChain(t, nil, nil, append(cfg, "BOTS="+name)...)
			for range 3 {
				c.answer(jsonRequest("POST", "/chat", `{"prompt": "Who are you?", "session_id": "s"}`, "Idempotency-Key", fmt.Sprint(provider.Count())))
			}
			call := provider.Last()
			if call.API != want.api || call.Model != want.model || call.System != "You are a parrot." || call.MaxTokens != 7 ||
				call.Temperature == nil || *call.Temperature != 0 || call.Header.Get("X-Who") != want.who || len(call.Messages) != 3 {
				t.Errorf("the provider got %+v; want what the settings say", call)
			}
		})
	}
}

// TestBotsTakeTurns has services answer and fail, in several chains.
func TestBotsTakeTurns(t *testing.T) {
	works, fails := providertest.New(t), providertest.New(t)
	works.Set(providertest.Script{Pieces: []string{"I am ", "a model."}})
	fails.Set(providertest.Script{Mode: providertest.Refused, Status: http.StatusUnauthorized})
	backend := func(status int, reply string) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			fmt.Fprint(w, reply)
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	relay := backend(200, `{"message": "I am a backend."}`)
	broken := backend(501, `{"error": "no"}`)
	const rule, model, echo = `{"output":"Polly"}` + "\n", `{"output":"I am a model."}` + "\n", `{"output":"You said: Who?"}` + "\n"
	for name, tc := range map[string]struct {
		env          []string
		prompt, want string
	}{
		"a rule is asked first":              {[]string{"OPENAI_BASE_URL=" + works.URL, "RELAY_URL=" + relay}, "parrot", rule},
		"then the model":                     {[]string{"OPENAI_BASE_URL=" + works.URL}, "Who?", model},
		"the relay before the model":         {[]string{"OPENAI_BASE_URL=" + works.URL, "RELAY_URL=" + relay}, "Who?", `{"output":"I am a backend."}` + "\n"},
		"another model where one fails":      {[]string{"OPENAI_BASE_URL=" + fails.URL, "ANTHROPIC_BASE_URL=" + works.URL}, "Who?", model},
		"all fail":                           {[]string{"OPENAI_BASE_URL=" + fails.URL, "ANTHROPIC_BASE_URL=http://127.0.0.1:1", "RELAY_URL=" + broken}, "Who?", apology},
		"all fail, and the default is there": {[]string{"OPENAI_BASE_URL=" + fails.URL, "RELAY_URL=" + broken, "BOTS=relay,openai,text"}, "Who?", echo},
		"another order":                      {[]string{"OPENAI_BASE_URL=" + works.URL, "BOTS=openai,rules"}, "parrot", model},
		"a model is left out":                {[]string{"OPENAI_BASE_URL=" + works.URL, "BOTS=rules,text"}, "Who?", echo},
		"nothing is set up":                  {nil, "Who?", echo},
	} {
		t.Run(name, func(t *testing.T) {
			c := newChain(t, nil, nil, tc.env...)
			w := c.answer(jsonRequest("POST", "/chat", `{"prompt": "`+tc.prompt+`", "session_id": "s"}`))
			if w.Code != http.StatusOK || w.Body.String() != tc.want {
				t.Errorf("it is answered with %d %s; want 200 %s", w.Code, w.Body, tc.want)
			}
		})
	}
}

// TestRelayIsSentWhatSettingsSay looks at what a backend gets.
func TestRelayIsSentWhatSettingsSay(t *testing.T) {
	var header http.Header
	var body bytes.Buffer
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header = r.Header
		body.Reset()
		body.ReadFrom(r.Body)
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprint(w, "Yes.")
	}))
	defer backend.Close()
	c := newChain(t, nil, nil, "RELAY_URL="+backend.URL, "RELAY_FORMAT=n8n", "RELAY_HISTORY=1", "RELAY_HEADERS=Authorization: Bearer me",
		"RELAY_SECRET=whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
	for _, prompt := range []string{"One?", "Two?"} {
		c.answer(jsonRequest("POST", "/chat", `{"prompt": "`+prompt+`", "session_id": "s"}`))
	}
	if header.Get("Authorization") != "Bearer me" || !strings.HasPrefix(header.Get("Webhook-Signature"), "v1,") {
		t.Errorf("the backend got %v; want the header and a signature", header)
	}
	for _, want := range []string{`"chatInput":"Two?"`, `"sessionId":"`, `"content":"One?"`} {
		if !strings.Contains(body.String(), want) {
			t.Errorf("the backend got %s; want %s in it", &body, want)
		}
	}
}

func TestChainFollowsFromSettings(t *testing.T) {
	const rules, text = "rules: [{any: x, reply: y}]\n", "default: Pardon?\n"
	const key, other, relay = "OPENAI_API_KEY=sk-1", "ANTHROPIC_API_KEY=sk-2", "RELAY_URL=https://bot.example.com"
	for name, tc := range map[string]struct {
		file     string
		env      []string
		want     string
		page     string // what the page says; empty for the sample rules
		warnings int
	}{
		"nothing":                  {"", nil, "rules text", "", 0},
		"rules":                    {rules, nil, "rules text", "1 rule", 0},
		"a model":                  {"", []string{key}, "openai", "openai (gpt-5.4-mini)", 0},
		"rules and a model":        {rules, []string{key}, "rules openai", "1 rule, then openai (gpt-5.4-mini)", 0},
		"all":                      {rules, []string{key, other, relay}, "rules relay openai anthropic", "1 rule, then relay, then openai (gpt-5.4-mini), then anthropic (claude-haiku-5-5)", 0},
		"a default that is hidden": {text, []string{key}, "openai", "openai (gpt-5.4-mini)", 1},
		"a default that is named":  {text, []string{key, "BOTS=openai,text"}, "openai text", "openai (gpt-5.4-mini), then the default reply", 0},
		"a model without a switch": {"", []string{"OPENAI_MODEL=x"}, "rules text", "", 1},
		"a model that is not used": {"", []string{key, "BOTS=rules,text"}, "rules text", "", 0},
		"in the file":              {rules + "bots: [anthropic, rules]\nanthropic_api_key: x\n", nil, "anthropic rules", "anthropic (claude-haiku-5-5), then 1 rule", 0},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := loadIn(t, map[string]string{"parley.yaml": tc.file}, tc.env...)
			if got := strings.Join(cfg.Chain, " "); got != tc.want {
				t.Errorf("the chain is %q; want %q", got, tc.want)
			}
			if got := botName(cfg); got != tc.page {
				t.Errorf("the page says that %q answers; want %q", got, tc.page)
			}
			if len(cfg.Warnings) != tc.warnings {
				t.Errorf("there are %d warnings; want %d:\n%v", len(cfg.Warnings), tc.warnings, cfg.Warnings)
			}
		})
	}
}

// TestPlainConnectionsAreARisk tells hosts that are near from others.
func TestPlainConnectionsAreARisk(t *testing.T) {
	for address, far := range map[string]bool{
		"https://llm.example.com":           false,
		"http://llm.example.com":            true,
		"http://8.8.8.8:11434":              true,
		"http://[2001:db8::1]":              true,
		"http://localhost:11434":            false,
		"http://127.0.0.1":                  false,
		"http://[::1]:8000/v1":              false,
		"http://192.168.1.5":                false,
		"http://[fd00::5]":                  false,
		"http://ollama:11434":               false,
		"http://nas.local":                  false,
		"http://host.docker.internal:11434": false,
		"http://localhost.example":          true,
	} {
		for _, setting := range []string{"OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "RELAY_URL"} {
			risks := loadIn(t, nil, setting+"="+address).Risks()
			if (len(risks) == 1) != far || len(risks) > 1 {
				t.Errorf("%s=%s has the risks %v; want one: %t", setting, address, risks, far)
			}
		}
	}
	risks := loadIn(t, nil, "RELAY_URL=http://bot.example.com/secret?token=secret").Risks()
	if got, want := fmt.Sprint(risks), "[{RELAY_URL=http://bot.example.com environment variable RELAY_URL what visitors say,"; !strings.HasPrefix(got, want) {
		t.Errorf("the risk is %s; want %s, and no more of the address", got, want)
	}
}

// TestHelpNamesTheDefaultModels keeps the settings' help right.
func TestHelpNamesTheDefaultModels(t *testing.T) {
	want := map[string]string{"openai_model": openai.DefaultModel, "anthropic_model": string(anthropic.DefaultModel)}
	for _, s := range config.All() {
		if model := want[s.Name]; !strings.Contains(s.Help, model) {
			t.Errorf("the help of %s is %q; want it to name %s", s.Name, s.Help, model)
		}
	}
}

// TestReferenceWorksWithServices takes every setting of "parley config" but
// secrets out of its comment.
func TestReferenceWorksWithServices(t *testing.T) {
	lines := strings.Split(config.Reference(), "\n")
	for i, line := range lines {
		for _, s := range config.All() {
			if !s.Secret && strings.HasPrefix(line, "# "+s.Name+": ") {
				lines[i] = line[2:]
			}
		}
	}
	cfg := loadIn(t, map[string]string{"parley.yaml": strings.Join(lines, "\n")}, "OPENAI_HEADERS=X-Name: value", "BOTS=rules,relay,openai,anthropic,text")
	if len(cfg.Services) != len(services) || len(cfg.Warnings) > 0 {
		t.Errorf("%d of %d services are set up, with the warnings\n%v\nwant all, and none", len(cfg.Services), len(services), cfg.Warnings)
	}
}

// TestPageOnBots checks every configuration and command of docs/bots.md.
func TestPageOnBots(t *testing.T) {
	page, err := os.ReadFile("../../docs/bots.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```([a-z]*)\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	checked := 0
	for _, block := range blocks {
		switch language, content := block[1], block[2]; language {
		case "dotenv", "yaml":
			checked++
			file := map[string]string{"dotenv": ".env", "yaml": "parley.yaml"}[language]
			content = strings.ReplaceAll(content, "…", "1")
			env := "OPENAI_API_KEY=sk-1" // which the page sets before
			if strings.Contains(content, "openai_base_url") {
				env = ""
			}
			cfg := loadIn(t, map[string]string{file: content}, env)
			if !cfg.AsksServices() || len(cfg.Warnings) > 0 {
				t.Errorf("%s\nasks a service: %t, and has the warnings\n%v\nwant true, and none", content, cfg.AsksServices(), cfg.Warnings)
			}
		case "text": // a stream, which the tests of the relay read
		case "sh":
			checked++
			args := regexp.MustCompile(`parley( [a-z]+)*`).FindString(content)
			if strings.Contains(args, " ") {
				if _, _, err := (&program{}).find(strings.Fields(args)[1:]); err != nil {
					t.Errorf("%s\nis no command: %v", content, err)
				}
			}
		default:
			t.Errorf("a block in %q is not checked:\n%s", language, content)
		}
	}
	if checked < 10 {
		t.Errorf("%d blocks were checked; want those of the page", checked)
	}
}

// TestChainThatStallsIsAnswered has every model hang in the middle of its answer.
func TestChainThatStallsIsAnswered(t *testing.T) {
	provider := providertest.New(t)
	provider.Set(providertest.Script{Mode: providertest.HangMiddle})
	for bots, want := range map[string]string{
		"openai,anthropic,text": `{"output":"You said: Who?"}` + "\n",
		"openai,anthropic":      apology,
	} {
		t.Run(bots, func(t *testing.T) {
			t.Parallel()
			c := newChain(t, nil, nil, "BOTS="+bots, "ANSWER_TIMEOUT=2s", "OPENAI_BASE_URL="+provider.URL, "ANTHROPIC_BASE_URL="+provider.URL)
			if w := c.answer(jsonRequest("POST", "/chat", `{"prompt": "Who?", "session_id": null}`)); w.Code != http.StatusOK || w.Body.String() != want {
				t.Errorf("the answer is %d %s; want 200 %s", w.Code, w.Body, want)
			}
		})
	}
}

// TestServicesHaveTheirTime checks what a service is told of the chain that it is in.
func TestServicesHaveTheirTime(t *testing.T) {
	cfg := loadIn(t, nil, "BOTS=relay,openai,text", "RELAY_URL=http://127.0.0.1:1", "OPENAI_BASE_URL=http://127.0.0.1:1", "BOT_TIMEOUT=40s", "FIRST_TOKEN_TIMEOUT=10s")
	for i, want := range []struct {
		hasNext   bool
		firstText time.Duration
	}{{true, 40 * time.Second}, {false, 10 * time.Second}} {
		service, _ := cfg.Service(cfg.Chain[i])
		if next, first := cfg.HasNext(i), cfg.FirstText(service); next != want.hasNext || first != want.firstText {
			t.Errorf("behind %s another service is next: %t, and it has %v to begin; want %t and %v", service.Name, next, first, want.hasNext, want.firstText)
		}
	}
}
