package config_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/cmd/parley/internal/config"
)

var update = flag.Bool("update", false, "write the golden files and docs/configuration.md anew")

const sample = "rules:\n  - {name: sample, any: [hello], reply: Hello from the sample.}\n"

// inDir puts the files of a test into a directory of its own and works there.
func inDir(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, content := range files {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func load(src config.Sources) (*config.Config, error) {
	src.Stores = [][]string{{"sqlite"}, {"memory"}}
	src.Sample = []byte(sample)
	return config.Load(src)
}

// mustLoad loads a configuration that is right.
func mustLoad(t *testing.T, src config.Sources) *config.Config {
	t.Helper()
	cfg, err := load(src)
	if err != nil {
		t.Fatalf("the configuration should be fine:\n%v", err)
	}
	return cfg
}

// problemsOf loads a configuration that is wrong.
func problemsOf(t *testing.T, src config.Sources) config.Problems {
	t.Helper()
	_, err := load(src)
	var problems config.Problems
	if !errors.As(err, &problems) {
		t.Fatalf("Load returned %v; problems were expected", err)
	}
	return problems
}

func TestDefaultsNeedNoConfiguration(t *testing.T) {
	inDir(t, nil)
	cfg := mustLoad(t, config.Sources{})
	want := config.Settings{
		Port: 3001, NodeEnv: "development", DemoPage: true,
		DatabaseURL: "sqlite:parley.db", Durability: "normal", Retention: 30 * 24 * time.Hour,
		SessionTTL: time.Hour, SessionBinding: "on", MaxPrompt: 1000,
		AnswerTimeout: time.Minute, MaxTurns: 4096,
		BotTimeout: 45 * time.Second, FirstTokenTimeout: 15 * time.Second,
		HistoryTurns: 10, HistoryTokens: 2000, RelayFormat: "parley",
		RateLimit: 100, RateLimitForms: 20, RateLimitWindow: 15 * time.Minute,
		SecurityHeaders: true, Compression: true,
		AccessLog: true, LogLevel: "info", LogPrompts: true,
	}
	if got := fmt.Sprintf("%+v", cfg.Settings); got != fmt.Sprintf("%+v", want) {
		t.Errorf("the defaults are\n%s\nwant\n%+v", got, want)
	}
	if !cfg.Sample || cfg.RuleCount() != 1 {
		t.Errorf("Sample is %t with %d rules; the sample rules should answer where there is no file", cfg.Sample, cfg.RuleCount())
	}
}

func TestStrongestSourceWins(t *testing.T) {
	yaml := "port: 1\nhost: 10.0.0.1\nmax_prompt: 1\nmax_turns: 1\n"
	dotEnv := "HOST=10.0.0.2\nMAX_PROMPT=2\nMAX_TURNS=2\n"
	inDir(t, map[string]string{"parley.yaml": yaml, ".env": dotEnv})
	cfg := mustLoad(t, config.Sources{
		Environ: []string{"MAX_PROMPT=3", "MAX_TURNS=3", "LOG_LEVEL="},
		Flags:   map[string]string{"max-turns": "4"},
	})
	for _, tc := range []struct {
		setting, origin string
		got, want       any
	}{
		{"log_level", "default", cfg.LogLevel, "info"},
		{"port", "parley.yaml:1", cfg.Port, 1},
		{"host", ".env: HOST", cfg.Host, "10.0.0.2"},
		{"max_prompt", "environment variable MAX_PROMPT", cfg.MaxPrompt, 3},
		{"max_turns", "flag --max-turns", cfg.MaxTurns, 4},
	} {
		if tc.got != tc.want {
			t.Errorf("%s is %v; want %v, from %s", tc.setting, tc.got, tc.want, tc.origin)
		}
		if origin := cfg.Origin(tc.setting); origin != tc.origin {
			t.Errorf("%s comes from %q; want %q", tc.setting, origin, tc.origin)
		}
	}
}

func TestValues(t *testing.T) {
	day := 24 * time.Hour
	for _, tc := range []struct {
		env, yaml string // the same value, in both
		get       func(*config.Config) any
		want      any
	}{
		{"PORT=4000", "port: 4000", func(c *config.Config) any { return c.Port }, 4000},
		{"PORT=0", `port: "0"`, func(c *config.Config) any { return c.Port }, 0},
		{"DEMO_PAGE=false", "demo_page: false", func(c *config.Config) any { return c.DemoPage }, false},
		{"DEMO_PAGE=0", "demo_page: off", func(c *config.Config) any { return c.DemoPage }, false},
		{"REQUIRE_SESSION=yes", "require_session: yes", func(c *config.Config) any { return c.RequireSession }, true},
		{"RETENTION=90d", "retention: 90d", func(c *config.Config) any { return c.Retention }, 90 * day},
		{"RETENTION=1d12h", "retention: 1d12h", func(c *config.Config) any { return c.Retention }, 36 * time.Hour},
		{"SESSION_TTL=90s", "session_ttl: 90s", func(c *config.Config) any { return c.SessionTTL }, 90 * time.Second},
		{"SESSION_BINDING=off", "session_binding: off", func(c *config.Config) any { return c.SessionBinding }, "off"},
		{"ALLOWED_ORIGINS=https://a.example, https://b.example,", "allowed_origins: [https://a.example, https://b.example]",
			func(c *config.Config) any { return strings.Join(c.AllowedOrigins, " ") }, "https://a.example https://b.example"},
		{"ALLOWED_ORIGINS=https://a.example", "allowed_origins: https://a.example",
			func(c *config.Config) any { return strings.Join(c.AllowedOrigins, " ") }, "https://a.example"},
		{"DATABASE_URL=sqlite:///var/lib/chat.db", "database_url: sqlite:///var/lib/chat.db", database, "sqlite /var/lib/chat.db"},
		{"DATABASE_URL=sqlite:data/chat.db", "database_url: sqlite:data/chat.db", database, "sqlite data/chat.db"},
		{"DATABASE_URL=memory:", `database_url: "memory:"`, database, "memory "},
		{"BOTS=rules, text", "bots: [rules, text]", func(c *config.Config) any { return strings.Join(c.Chain, " ") }, "rules text"},
		{"TEMPERATURE=0", "temperature: 0", func(c *config.Config) any { return *c.Temperature }, 0.0},
		{"TEMPERATURE=0.5", "temperature: .5", func(c *config.Config) any { return *c.Temperature }, 0.5},
		{"OPENAI_HEADERS=x-a: b:c, X-D:e,", "openai_headers: \"X-A: b:c, X-D: e\"", headers, "map[X-A:b:c X-D:e]"},
		{"OPENAI_HEADERS=X-A: b, c\nX-D: e", "openai_headers: |\n  X-A: b, c\n\n  X-D: e", headers, "map[X-A:b, c X-D:e]"},
		{"OPENAI_API_KEY=sk-1", "openai_api_key: sk-1", func(c *config.Config) any { return c.OpenAIAPIKey.Reveal() }, "sk-1"},
	} {
		t.Run(tc.env, func(t *testing.T) {
			inDir(t, map[string]string{"in-file.yaml": tc.yaml})
			if got := tc.get(mustLoad(t, config.Sources{Environ: []string{tc.env}})); got != tc.want {
				t.Errorf("the environment %s gives %v; want %v", tc.env, got, tc.want)
			}
			if got := tc.get(mustLoad(t, config.Sources{Flags: map[string]string{"config": "in-file.yaml"}})); got != tc.want {
				t.Errorf("the file %q gives %v; want %v", tc.yaml, got, tc.want)
			}
		})
	}
}

func database(c *config.Config) any {
	scheme, location := c.Database()
	return scheme + " " + location
}

func headers(c *config.Config) any { return fmt.Sprint(c.OpenAIHeaders.Map()) }

func TestTimesOfBotsFollowFromTheTurns(t *testing.T) {
	for name, tc := range map[string]struct {
		environ      []string
		first, whole time.Duration
	}{
		"usual":                   {nil, 15 * time.Second, 45 * time.Second},
		"a short turn":            {[]string{"ANSWER_TIMEOUT=20s"}, 5 * time.Second, 15 * time.Second},
		"a long turn":             {[]string{"ANSWER_TIMEOUT=70s"}, 15 * time.Second, 45 * time.Second},
		"a short answer of a bot": {[]string{"BOT_TIMEOUT=6s"}, 2 * time.Second, 6 * time.Second},
		"all of them said":        {[]string{"ANSWER_TIMEOUT=10s", "BOT_TIMEOUT=9s", "FIRST_TOKEN_TIMEOUT=8s"}, 8 * time.Second, 9 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inDir(t, nil)
			cfg := mustLoad(t, config.Sources{Environ: tc.environ})
			if cfg.FirstTokenTimeout != tc.first || cfg.BotTimeout != tc.whole {
				t.Errorf("the first text has %v and an answer %v; want %v and %v", cfg.FirstTokenTimeout, cfg.BotTimeout, tc.first, tc.whole)
			}
		})
	}
}

func TestSettingsFollowFromOthers(t *testing.T) {
	for name, tc := range map[string]struct {
		environ   []string
		demoPage  bool
		retention time.Duration
	}{
		"development":                      {nil, true, 30 * 24 * time.Hour},
		"production has no demo page":      {[]string{"NODE_ENV=production"}, false, 30 * 24 * time.Hour},
		"unless it is asked for":           {[]string{"NODE_ENV=production", "DEMO_PAGE=true"}, true, 30 * 24 * time.Hour},
		"memory forgets after a day":       {[]string{"DATABASE_URL=memory:", "SESSION_TTL=2h"}, true, 24 * time.Hour},
		"and never within a session":       {[]string{"DATABASE_URL=memory:", "SESSION_TTL=48h"}, true, 48 * time.Hour},
		"unless it is told how long":       {[]string{"DATABASE_URL=memory:", "RETENTION=3h"}, true, 3 * time.Hour},
		"an empty variable counts as none": {[]string{"NODE_ENV=", "DEMO_PAGE="}, true, 30 * 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			inDir(t, nil)
			cfg := mustLoad(t, config.Sources{Environ: tc.environ})
			if cfg.DemoPage != tc.demoPage || cfg.Retention != tc.retention {
				t.Errorf("DemoPage is %t and Retention %v; want %t and %v", cfg.DemoPage, cfg.Retention, tc.demoPage, tc.retention)
			}
		})
	}
}

func TestSecretsComeFromFilesToo(t *testing.T) {
	const secret = "sk-from-a-file "
	for name, src := range map[string]config.Sources{
		"environment": {Environ: []string{"OPENAI_API_KEY_FILE=key"}},
		"flag":        {Flags: map[string]string{"openai-api-key-file": "key"}},
		"yaml":        {Flags: map[string]string{"config": "with-file.yaml"}},
		"flag wins":   {Flags: map[string]string{"openai-api-key-file": "key"}, Environ: []string{"OPENAI_API_KEY=other"}},
	} {
		t.Run(name, func(t *testing.T) {
			inDir(t, map[string]string{"key": secret + "\n", "with-file.yaml": "openai_api_key_file: key"})
			if got := mustLoad(t, src).OpenAIAPIKey.Reveal(); got != secret {
				t.Errorf("the secret is %q; want %q, the file without the newline at its end", got, secret)
			}
		})
	}
}

func TestSecretsAreNeverShown(t *testing.T) {
	const secret = "sk-5ec4e7"
	shown := map[string]string{}
	inDir(t, nil)
	cfg := mustLoad(t, config.Sources{Environ: []string{"OPENAI_API_KEY=" + secret}})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T"} {
		shown[verb] = fmt.Sprintf(verb, cfg.OpenAIAPIKey)
		shown[verb+" of the settings"] = fmt.Sprintf(verb, cfg.Settings)
	}
	data, err := json.Marshal(cfg.Settings)
	if err != nil {
		t.Fatal(err)
	}
	shown["JSON"] = string(data)
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", cfg.OpenAIAPIKey, "all", cfg.Settings)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", cfg.OpenAIAPIKey, "all", cfg.Settings)
	shown["log"] = log.String()

	for name, yaml := range map[string]string{
		"a list":             "openai_api_key: [" + secret + "]",
		"on the next line":   "openai_api_key:\n  - " + secret,
		"a block":            "openai_api_key: |\n    x\n  " + secret + ": y: z",
		"misspelt":           "openai_api_kye: " + secret,
		"twice":              "openai_api_key: a\nopenai_api_key: " + secret,
		"in JSON":            `{"port": "x", "openai_api_key": "` + secret + `"}`,
		"no YAML":            "openai_api_key: " + secret + ": x",
		"no closing quote":   `openai_api_key: "` + secret,
		"in a URL":           "database_url: mongodb://me:" + secret + "@localhost/chat",
		"both ways":          "openai_api_key: " + secret + "\nopenai_api_key_file: x",
		"an anchor":          "openai_api_key: &x " + secret,
		"a line above it":    "port: x\nopenai_api_key: " + secret,
		"a tab before it":    "openai_api_key:\n\t" + secret,
		"in the middle of a": "rules: [{any: x, reply: y, openai_api_key: " + secret + "}]",
	} {
		inDir(t, map[string]string{"parley.yaml": yaml})
		if shown[name] = problemsOf(t, config.Sources{}).Error(); !strings.Contains(shown[name], "parley.yaml:") {
			t.Errorf("the problem of %s is %q; want its place", name, shown[name])
		}
	}
	inDir(t, map[string]string{".env": "PORT=1\nOPENAI_API_KEY=\"" + secret + "\nHOST=x\n"})
	shown[".env"] = problemsOf(t, config.Sources{}).Error()
	if !strings.Contains(shown[".env"], ".env:2:") {
		t.Errorf("the problem of .env says %q; want its line, 2", shown[".env"])
	}

	for name, text := range shown {
		if strings.Contains(text, secret) || strings.Contains(text, fmt.Sprintf("%x", secret)) {
			t.Errorf("%s shows the secret: %s", name, text)
		}
	}
}

func TestSourcesSayWhatToWrite(t *testing.T) {
	file := func(content string) map[string]string { return map[string]string{"parley.yaml": content} }
	env := func(entries ...string) config.Sources { return config.Sources{Environ: entries} }
	for name, tc := range map[string]struct {
		files map[string]string
		src   config.Sources
		want  string // the whole problem, in its first line
	}{
		"no number":             {nil, env("PORT=30o1"), `environment variable PORT: "30o1" is not a whole number; write PORT=3001`},
		"too large":             {nil, env("PORT=65536"), "environment variable PORT: 65536 is too large: at most 65535; write PORT=65535"},
		"too small":             {nil, env("PORT=-1"), "environment variable PORT: -1 is too small: at least 0; write PORT=0"},
		"in .env":               {map[string]string{".env": "PORT=x"}, env(), `.env: PORT: "x" is not a whole number; write PORT=3001`},
		"in the file":           {file("port: x"), env(), `parley.yaml:1:7: port: "x" is not a whole number; write port: 3001`},
		"in a flag":             {nil, config.Sources{Flags: map[string]string{"port": "x"}}, `flag --port: "x" is not a whole number; write --port 3001`},
		"no choice":             {nil, env("NODE_ENV=prodution"), `environment variable NODE_ENV: "prodution" is not one of development, production, test; write NODE_ENV=production`},
		"neither true nor not":  {nil, env("DEMO_PAGE=maybe"), `environment variable DEMO_PAGE: "maybe" is neither true nor false; write DEMO_PAGE=true`},
		"no unit":               {nil, env("SESSION_TTL=3600"), `environment variable SESSION_TTL: "3600" has no unit; write SESSION_TTL=3600s`},
		"no duration":           {nil, env("SESSION_TTL=soon"), `environment variable SESSION_TTL: "soon" is not a duration such as 90s, 15m, 1h or 30d; write SESSION_TTL=1h`},
		"too many days":         {nil, env("RETENTION=999999d"), `environment variable RETENTION: "999999d" is out of range; write RETENTION=30d`},
		"outlives the response": {nil, env("ANSWER_TIMEOUT=80s"), "environment variable ANSWER_TIMEOUT: 1m20s is too large: at most 70s; write ANSWER_TIMEOUT=70s"},
		"unknown store": {nil, env("DATABASE_URL=mysql://parley:hunter2@localhost/chat"),
			`environment variable DATABASE_URL: "mysql" is not a kind of store; the kinds are sqlite:, memory:, so write DATABASE_URL=sqlite:parley.db`},
		"a password alone": {nil, env("DATABASE_URL=hunter2"),
			"environment variable DATABASE_URL: this is not a kind of store; the kinds are sqlite:, memory:, so write DATABASE_URL=sqlite:parley.db"},
		"no path": {nil, env("DATABASE_URL=sqlite:"), "environment variable DATABASE_URL: names nothing after sqlite:; write DATABASE_URL=sqlite:parley.db"},
		"forgets too soon": {nil, env("RETENTION=30m"),
			"environment variable RETENTION: 30m is shorter than conversations are remembered, 1h (SESSION_TTL); make it at least as long"},
		"remembers too long": {file("session_ttl: 40d"), env(),
			"parley.yaml:1:14: session_ttl: 40d is longer than conversations are kept, 30d (RETENTION); make RETENTION at least as long"},
		"bad origin":             {nil, env("ALLOWED_ORIGINS=https://a.example/"), `environment variable ALLOWED_ORIGINS: "https://a.example/" ends with a slash, which no origin does; write https://a.example`},
		"bad origin in the file": {file("allowed_origins:\n  - https://a.example\n  - b.example"), env(), `parley.yaml:3:5: allowed_origins[1]: "b.example" has no scheme; write https://b.example`},
		"bad public URL":         {file("public_url: chat.example.com"), env(), `parley.yaml:1:13: public_url: "chat.example.com" is not the address of a server; write https://chat.example.com`},
		"host with a port":       {nil, env("HOST=localhost:4000"), `environment variable HOST: "localhost:4000" is not an address or a name alone; write HOST=127.0.0.1`},
		"missing secret file":    {nil, env("OPENAI_API_KEY_FILE=/nowhere"), "environment variable OPENAI_API_KEY_FILE: /nowhere does not exist; name a file that holds the secret"},
		"empty secret file":      {map[string]string{"key": "\n"}, env("OPENAI_API_KEY_FILE=key"), "environment variable OPENAI_API_KEY_FILE: key is empty; write the secret into it"},
		"secret given twice":     {nil, env("OPENAI_API_KEY=a", "OPENAI_API_KEY_FILE=b"), "environment variable OPENAI_API_KEY_FILE: stands beside environment variable OPENAI_API_KEY; keep one of the two"},
		"missing file":           {nil, env("PARLEY_CONFIG=nowhere.yaml"), "nowhere.yaml: does not exist (named by environment variable PARLEY_CONFIG)"},
		"a folder":               {nil, config.Sources{Flags: map[string]string{"config": "/"}}, "/: cannot be read: is a directory (named by flag --config)"},
		"large file":             {file(strings.Repeat("#", 1<<20+1)), env(), "parley.yaml: is larger than 1024 KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			inDir(t, tc.files)
			problems := problemsOf(t, tc.src)
			got, _, _ := strings.Cut(problems[0].String(), "\n")
			if len(problems) != 1 || got != tc.want {
				t.Errorf("the problems are\n%v\nwant one:\n%s", problems, tc.want)
			}
		})
	}
}

func TestGoldenProblems(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("testdata has no files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			cfg, err := load(config.Sources{Flags: map[string]string{"config": file}})
			var got string
			switch {
			case err != nil:
				got = err.Error() + "\n"
			default:
				got = cfg.Warnings.Error() + "\n" + cfg.Test().Error() + "\n"
			}
			compare(t, golden, got)
		})
	}
}

// compare holds a text against a golden file, which it writes with -update.
func compare(t *testing.T, golden, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatalf("%v; go test -update writes it", err)
	}
	if got != string(want) {
		t.Errorf("%s differs; go test -update writes it anew. It should be\n%s", golden, got)
	}
}

func TestGeneratedConfigurationPage(t *testing.T) {
	compare(t, "../../../../docs/configuration.md", config.Markdown())
}

// TestReferenceWorks takes what "parley config" prints as a configuration, as
// it is and with every setting taken out of its comment.
func TestReferenceWorks(t *testing.T) {
	reference := config.Reference()
	lines := strings.Split(reference, "\n")
	for i, line := range lines {
		for _, s := range config.All() {
			if !s.Secret && strings.HasPrefix(line, "# "+s.Name+": ") {
				lines[i] = line[2:]
			}
		}
	}
	uncommented := strings.Join(lines, "\n")
	inDir(t, map[string]string{"reference.yaml": reference, "uncommented.yaml": uncommented})
	for _, name := range []string{"reference.yaml", "uncommented.yaml"} {
		cfg := mustLoad(t, config.Sources{Flags: map[string]string{"config": name}})
		if failed := cfg.Test(); len(failed) > 0 || cfg.TestCount() == 0 {
			t.Errorf("%s has %d tests, of which fail:\n%v", name, cfg.TestCount(), failed)
		}
		if len(cfg.Warnings) > 0 {
			t.Errorf("%s has warnings:\n%v", name, cfg.Warnings)
		}
	}
	for _, s := range config.All() {
		if !strings.Contains(reference, "Environment "+s.Env) || s.Help == "" || s.Group == "" {
			t.Errorf("the reference says too little of %s", s.Name)
		}
	}
}

func TestRisksAreNamed(t *testing.T) {
	inDir(t, map[string]string{"parley.yaml": "session_binding: off\nallowed_origins: \"*\""})
	var got []string
	for _, r := range mustLoad(t, config.Sources{Environ: []string{"DATABASE_URL=memory:"}}).Risks() {
		got = append(got, r.Setting+" from "+r.Origin)
		if r.Consequence == "" {
			t.Errorf("%s has no consequence", r.Setting)
		}
	}
	want := []string{
		"DATABASE_URL=memory: from environment variable DATABASE_URL",
		"ALLOWED_ORIGINS=* from parley.yaml:2",
		"SESSION_BINDING=off from parley.yaml:1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the risks are %q; want %q", got, want)
	}
	inDir(t, nil)
	if risks := mustLoad(t, config.Sources{}).Risks(); len(risks) > 0 {
		t.Errorf("the defaults have risks: %v", risks)
	}
}

func TestRulesAnswer(t *testing.T) {
	inDir(t, map[string]string{"parley.yaml": `
port: 4000
rules:
  - {any: hello, reply: Hello!}
  - {any: [2024], reply: 12}
  - any: help
    reply:
      content: Look here
      content_type: article
      content_attributes: {"items": [{"title": "T", "description": "D", "link": "{{base_url}}/help"}]}
  - {any: choose, reply: {content: Choose, content_type: canned_response, content_attributes: {responses: {responses: [{id: a, text: A}]}}}}
  - {any: form, reply: {content: Fill in, form: survey}}
  - {any: contact, reply: {content: Fill in, form: contact}}
  - {any: wire, reply: {output: "as JSON"}}
default:
  - Pardon?
forms:
  survey: {title: S, fields: [{id: a, type: text, label: A}]}
`})
	cfg := mustLoad(t, config.Sources{})
	if cfg.Sample {
		t.Error("the sample rules answer; want those of the file")
	}
	for prompt, want := range map[string]string{
		"Hello":   `{"output":"Hello!"}`,
		"in 2024": `{"output":"12"}`,
		"help":    `{"content":"Look here","content_type":"article","content_attributes":{"items":[{"title":"T","description":"D","link":"http://here/help"}]}}`,
		"choose":  `{"content":"Choose","content_type":"canned_response","content_attributes":{"responses":{"responses":[{"id":"a","text":"A"}]}}}`,
		"form":    `{"content":"Fill in","content_type":"form","content_attributes":{"form":{"title":"S","submitUrl":"http://here/forms/survey","fields":[{"id":"a","type":"text","label":"A"}]}}}`,
		"wire":    `{"output":"as JSON"}`,
	} {
		_, reply, ok := cfg.Rules.Match(&parley.Turn{Prompt: prompt, BaseURL: "http://here"})
		got, err := reply.MarshalJSON()
		if err != nil || !ok || !sameJSON(t, string(got), want) {
			t.Errorf("%q is answered with\n%s (%t, %v)\nwant\n%s", prompt, got, ok, err, want)
		}
	}
	_, reply, _ := cfg.Rules.Match(&parley.Turn{Prompt: "contact", BaseURL: "http://here"})
	if form, ok := reply.Content.(*parley.Form); !ok || form.SubmitURL != "http://here/contact-form" {
		t.Errorf("the contact form is %+v; want one that is posted to http://here/contact-form", reply.Content)
	}
	reply, err := cfg.Default.Reply(t.Context(), &parley.Turn{Prompt: "?"}, func(string) {})
	if err != nil || reply.Text != "Pardon?" {
		t.Errorf("the default is %q, %v; want the file's", reply.Text, err)
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	if err := errors.Join(json.Unmarshal([]byte(a), &x), json.Unmarshal([]byte(b), &y)); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(x) == fmt.Sprint(y)
}

func TestSampleAnswersUntilTheFileDoes(t *testing.T) {
	for name, tc := range map[string]struct {
		yaml   string
		sample bool
	}{
		"settings only":  {"port: 4000", true},
		"an empty file":  {"", true},
		"comments only":  {"# nothing", true},
		"a form only":    {"forms: {a: {fields: [{id: a, type: text, label: A}]}}", true},
		"rules":          {"rules: [{any: x, reply: y}]", false},
		"a default only": {"default: Hello", false},
	} {
		t.Run(name, func(t *testing.T) {
			inDir(t, map[string]string{"parley.yaml": tc.yaml})
			if cfg := mustLoad(t, config.Sources{}); cfg.Sample != tc.sample {
				t.Errorf("Sample is %t; want %t", cfg.Sample, tc.sample)
			}
		})
	}
}

func TestFileIsReadHoweverItWasSaved(t *testing.T) {
	for name, content := range map[string]string{
		"byte order mark": "\xef\xbb\xbfport: 4000\n",
		"CRLF":            "host: \"\"\r\nport: 4000\r\n",
		"JSON":            `{"port": 4000}`,
		"document marker": "---\nport: 4000\n",
	} {
		t.Run(name, func(t *testing.T) {
			inDir(t, map[string]string{"parley.yaml": content, ".env": "\xef\xbb\xbfHOST=127.0.0.1\r\n"})
			if cfg := mustLoad(t, config.Sources{}); cfg.Port != 4000 || cfg.Host != "127.0.0.1" {
				t.Errorf("PORT is %d and HOST %q; want 4000 of the file and 127.0.0.1 of .env", cfg.Port, cfg.Host)
			}
		})
	}
}

func TestDotEnvStaysOutOfTheEnvironment(t *testing.T) {
	inDir(t, map[string]string{".env": "PARLEY_TEST_LEAK=1\nexport PORT=4000 # a comment\n"})
	if cfg := mustLoad(t, config.Sources{}); cfg.Port != 4000 {
		t.Errorf("PORT is %d; want 4000", cfg.Port)
	}
	if value, ok := os.LookupEnv("PARLEY_TEST_LEAK"); ok {
		t.Errorf("the environment has PARLEY_TEST_LEAK=%s; reading .env must not change it", value)
	}
}

func TestSuggest(t *testing.T) {
	known := []string{"port", "allowed_origins", "any", "all", "config check", "openai_api_key"}
	for word, want := range map[string]string{
		"prot": "port", "PORT": "port", "allowedOrigins": "allowed_origins", "allowed-origin": "allowed_origins",
		"an": "any", "al": "all", "config-check": "config check", "OPENAI_KEY": "", "zebra": "", "x": "", "": "",
	} {
		if got := config.Suggest(word, known); got != want {
			t.Errorf("Suggest(%q) is %q; want %q", word, got, want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(config.Reference()))
	f.Add([]byte("a: &a [*a, *a]\nb: {<<: *a}\n? [x]\n: y"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file := filepath.Join(t.TempDir(), "fuzz.yaml")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := load(config.Sources{Flags: map[string]string{"config": file}})
		if err == nil {
			cfg.Test()
			return
		}
		if err.Error() == "" {
			t.Error("a problem says nothing")
		}
	})
}
