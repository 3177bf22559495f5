package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// A badConfig is a configuration that must be refused. It stands in one place:
// the environment (entries with | between), the command line (with spaces
// between), .env or parley.yaml.
type badConfig struct {
	env, args, dotEnv, file string

	want string // a part of what is said: the setting, what is wrong, and what to write
}

var badConfigs = []badConfig{
	{env: "PORT=http", want: `PORT: "http" is not a whole number; write PORT=3001`},
	{env: "PORT=70000", want: `PORT: 70000 is too large: at most 65535; write PORT=65535`},
	{env: "PORT=-1", want: `PORT: -1 is too small: at least 0; write PORT=0`},
	{env: "HOST=localhost:3001", want: `HOST: "localhost:3001" is not an address or a name alone; write HOST=127.0.0.1`},
	{env: "PUBLIC_URL=chat.example.com", want: `PUBLIC_URL: "chat.example.com" is not the address of a server; write https://chat.example.com`},
	{env: "PUBLIC_URL=https://chat.example.com/", want: `PUBLIC_URL: "https://chat.example.com/" ends with a slash; write https://chat.example.com`},
	{env: "PUBLIC_URL=ws://chat.example.com", want: `PUBLIC_URL: "ws://chat.example.com" is not the address of a server; write https://chat.example.com`},
	{env: "PUBLIC_URL=https://me:password@chat.example.com", want: `PUBLIC_URL: "https://[secret]@chat.example.com" is not the address of a server; write https://chat.example.com`},
	{env: "NODE_ENV=staging", want: `NODE_ENV: "staging" is not one of development, production, test; write NODE_ENV=development`},
	{env: "DEMO_PAGE=si", want: `DEMO_PAGE: "si" is neither true nor false; write DEMO_PAGE=true`},
	{env: "PARLEY_CONFIG=nowhere.yaml", want: `nowhere.yaml: does not exist (named by environment variable PARLEY_CONFIG)`},
	{env: "PARLEY_CONFIG=.", want: `.: cannot be read: is a directory (named by environment variable PARLEY_CONFIG)`},

	{env: "DATABASE_URL=mysql://me:password@localhost/chat", want: `DATABASE_URL: "mysql" is not a kind of store; the kinds are sqlite:, postgres:, mongodb:, redis:, memory:, so write DATABASE_URL=sqlite:parley.db`},
	{env: "DATABASE_URL=parley.db", want: `DATABASE_URL: this is not a kind of store; the kinds are sqlite:, postgres:, mongodb:, redis:, memory:, so write DATABASE_URL=sqlite:parley.db`},
	{env: "DATABASE_URL=sqlite:", want: `DATABASE_URL: names nothing after sqlite:; write DATABASE_URL=sqlite:parley.db`},
	{env: "DATABASE_URL=sqlite:nowhere/parley.db", want: `nowhere: no such file or directory; name a file in a folder that exists`},
	{env: "RETENTION=30", want: `RETENTION: "30" has no unit; write RETENTION=30s`},
	{env: "RETENTION=1s", want: `RETENTION: 1s is too small: at least 1m; write RETENTION=1m`},
	{env: "RETENTION=30m", want: `RETENTION: 30m is shorter than conversations are remembered, 1h (SESSION_TTL); make it at least as long`},
	{env: "RETENTION=forever", want: `RETENTION: "forever" is not a duration such as 90s, 15m, 1h or 30d; write RETENTION=30d`},

	{env: "ALLOWED_ORIGINS=example.com", want: `ALLOWED_ORIGINS: "example.com" has no scheme; write https://example.com`},
	{env: "ALLOWED_ORIGINS=https://example.com/", want: `ALLOWED_ORIGINS: "https://example.com/" ends with a slash, which no origin does; write https://example.com`},
	{env: "ALLOWED_ORIGINS=https://example.com/chat", want: `ALLOWED_ORIGINS: "https://example.com/chat" has more than a scheme and a host; write https://example.com`},
	{env: "ALLOWED_ORIGINS=*,https://example.com", want: `ALLOWED_ORIGINS: "*" allows every origin, so the others say nothing; write either "*" or a list`},
	{env: "ALLOWED_ORIGINS=null", want: `ALLOWED_ORIGINS: "null" stands for every sandboxed frame and local file, so it protects nobody; name the site`},
	{env: "ALLOWED_ORIGINS=file://", want: `ALLOWED_ORIGINS: "file://" has a scheme that is not http or https, which pages do not have; write https://example.com`},
	{env: "ALLOWED_ORIGINS=https://Example.com", want: `ALLOWED_ORIGINS: "https://Example.com" has capital letters, which browsers do not send; write https://example.com`},
	{env: "ALLOWED_ORIGINS=https://bücher.example", want: `ALLOWED_ORIGINS: "https://bücher.example" has characters that browsers do not send; write the host in Punycode (xn--…)`},
	{env: "ALLOWED_ORIGINS=https://me:password@example.com", want: `ALLOWED_ORIGINS: "https://[secret]@example.com" contains a user name; write the scheme and the host only`},
	{env: "ALLOWED_ORIGINS=https://example.com:443", want: `ALLOWED_ORIGINS: "https://example.com:443" names the default port, which browsers leave out; write https://example.com`},
	{env: "ALLOWED_ORIGINS=https://example.com:99999", want: `ALLOWED_ORIGINS: "https://example.com:99999" has a port that does not exist; write one from 1 to 65535`},
	{env: "ALLOWED_ORIGINS=http://127.1", want: `ALLOWED_ORIGINS: "http://127.1" has an address that browsers write as four numbers, like 127.0.0.1`},
	{env: "ALLOWED_ORIGINS=http://[::0:1]", want: `ALLOWED_ORIGINS: "http://[::0:1]" has an address that browsers write as [::1]`},
	{env: "ALLOWED_ORIGINS=http://[::ffff:127.0.0.1]", want: `has an address that no page has; write one without a zone, and IPv4 like 127.0.0.1`},
	{env: "ALLOWED_ORIGINS=https://*.com", want: `ALLOWED_ORIGINS: "https://*.com" would allow every site under .com; name at least example.com behind the *`},
	{env: "ALLOWED_ORIGINS=https://www.*.example.com", want: `"https://www.*.example.com" has a * where none can stand; write https://*.example.com for every subdomain, or "*" alone for every site`},
	{env: "ALLOWED_ORIGINS=https://a.example https://b.example", want: `"https://a.example https://b.example" has a space in it; write several origins with a comma between them`},

	{env: "SESSION_TTL=0s", want: `SESSION_TTL: 0s is too small: at least 1s; write SESSION_TTL=1s`},
	{env: "SESSION_TTL=1w", want: `SESSION_TTL: "1w" is not a duration such as 90s, 15m, 1h or 30d; write SESSION_TTL=1h`},
	{env: "SESSION_TTL=60d", want: `SESSION_TTL: 60d is longer than conversations are kept, 30d (RETENTION); make RETENTION at least as long`},
	{env: "SESSION_BINDING=open", want: `SESSION_BINDING: "open" is not one of on, off; write SESSION_BINDING=on`},
	{env: "REQUIRE_SESSION=maybe", want: `REQUIRE_SESSION: "maybe" is neither true nor false; write REQUIRE_SESSION=false`},
	{env: "MAX_PROMPT=0", want: `MAX_PROMPT: 0 is too small: at least 1; write MAX_PROMPT=1`},
	{env: "MAX_PROMPT=1e3", want: `MAX_PROMPT: "1e3" is not a whole number; write MAX_PROMPT=1000`},
	{env: "ANSWER_TIMEOUT=2m", want: `ANSWER_TIMEOUT: 2m is too large: at most 70s; write ANSWER_TIMEOUT=70s`},
	{env: "MAX_TURNS=unlimited", want: `MAX_TURNS: "unlimited" is not a whole number; write MAX_TURNS=4096`},

	{env: "TRUST_PROXY=true", want: `TRUST_PROXY: "true" would let anybody choose an address; write how many proxies of yours a request passes, such as 1, or their addresses`},
	{env: "TRUST_PROXY=100", want: `TRUST_PROXY: 100 is not a number of proxies; write how many of yours a request passes, from 0 to 10`},
	{env: "TRUST_PROXY=nginx", want: `TRUST_PROXY: "nginx" is no address; write one like 10.0.0.5, a network like 10.0.0.0/24, or loopback`},
	{env: "TRUST_PROXY=1,10.0.0.1", want: `TRUST_PROXY: "1" is no address; write one like 10.0.0.5, a network like 10.0.0.0/24, or loopback; a number of proxies stands alone`},
	{env: "TRUST_PROXY=0.0.0.0/0", want: `TRUST_PROXY: "0.0.0.0/0" is every address there is, so anybody could choose one; write the addresses of your proxies`},
	{env: "TRUST_PROXY=10.0.0.1/8", want: `TRUST_PROXY: "10.0.0.1/8" has bits behind its length; write 10.0.0.0/8`},
	{env: "TRUST_PROXY=::ffff:10.0.0.0/104", want: `TRUST_PROXY: "::ffff:10.0.0.0/104" is an IPv4 network in IPv6 clothes; write it as IPv4, like 10.0.0.0/24`},
	{env: "RATE_LIMIT=100/15m", want: `RATE_LIMIT: "100/15m" is not a whole number; write RATE_LIMIT=100`},
	{env: "RATE_LIMIT=-1", want: `RATE_LIMIT: -1 is too small: at least 0; write RATE_LIMIT=0`},
	{env: "RATE_LIMIT_FORMS=many", want: `RATE_LIMIT_FORMS: "many" is not a whole number; write RATE_LIMIT_FORMS=20`},
	{env: "RATE_LIMIT_WINDOW=15", want: `RATE_LIMIT_WINDOW: "15" has no unit; write RATE_LIMIT_WINDOW=15s`},
	{env: "RATE_LIMIT_WINDOW=2d", want: `RATE_LIMIT_WINDOW: 2d is too large: at most 24h; write RATE_LIMIT_WINDOW=24h`},
	{env: "RATE_LIMIT_WINDOW=1500ms", want: `RATE_LIMIT_WINDOW: 1.5s is not a whole number of seconds; write RATE_LIMIT_WINDOW=15m`},
	{env: "CSRF_SECRET=password", want: "CSRF_SECRET: has 8 bytes, which can be guessed; write 16 or more, such as what `openssl rand -hex 32` prints"},
	{env: "CSRF_SECRET=0123456789abcdef,old", want: "CSRF_SECRET: has 3 bytes, which can be guessed; write 16 or more, such as what `openssl rand -hex 32` prints"},
	{env: "CSRF_REQUIRED=true", want: "CSRF_REQUIRED: needs a CSRF_SECRET to check tokens with; write one, such as what `openssl rand -hex 32` prints"},
	{env: "CSRF_SECRET_FILE=nowhere", want: `CSRF_SECRET_FILE: nowhere does not exist; name a file that holds the secret`},
	{env: "CSRF_SECRET_FILE=/dev/null", want: `CSRF_SECRET_FILE: /dev/null is empty; write the secret into it`},
	{env: "BOTS=rules,opneai", want: `BOTS: "opneai" is no bot; did you mean "openai"?`},
	{env: "BOTS=gpt", want: `BOTS: "gpt" is no bot; there are rules, relay, openai, anthropic, text`},
	{env: "BOTS=rules,openai", want: `BOTS: "openai" is not set up; set OPENAI_API_KEY or OPENAI_BASE_URL, or take it out`},
	{env: "BOTS=anthropic", want: `BOTS: "anthropic" is not set up; set ANTHROPIC_API_KEY or ANTHROPIC_BASE_URL, or take it out`},
	{env: "BOTS=relay,text", want: `BOTS: "relay" is not set up; set RELAY_URL, or take it out`},
	{env: "BOTS=text,rules", want: `BOTS: "text" answers everything, so that what stands behind it is never asked; put it last`},
	{env: "BOTS=rules,rules", want: `BOTS: "rules" stands there twice; keep one of the two`},
	{env: "BOTS=rules,openai|OPENAI_API_KEY=password", want: `BOTS: "rules" has nothing to answer from; write rules in parley.yaml, or take it out`},
	{env: "BOT_TIMEOUT=60s", want: `BOT_TIMEOUT: 1m is not shorter than ANSWER_TIMEOUT, 1m; make it shorter`},
	{env: "BOT_TIMEOUT=20", want: `BOT_TIMEOUT: "20" has no unit; write BOT_TIMEOUT=20s`},
	{env: "FIRST_TOKEN_TIMEOUT=45s", want: `FIRST_TOKEN_TIMEOUT: 45s is not shorter than BOT_TIMEOUT, 45s; make it shorter`},
	{env: "FIRST_TOKEN_TIMEOUT=5s|BOT_TIMEOUT=5s", want: `FIRST_TOKEN_TIMEOUT: 5s is not shorter than BOT_TIMEOUT, 5s; make it shorter`},
	{env: "OPENAI_API_KEY=pass word", want: `OPENAI_API_KEY: holds white space or characters that no key has; copy it once more`},
	{env: "OPENAI_BASE_URL=localhost:11434", want: `OPENAI_BASE_URL: has to begin with http:// or https:// and a host, as in "https://llm.example.com/v1"`},
	{env: "OPENAI_BASE_URL=https://llm.example.com/v1#chat", want: `OPENAI_BASE_URL: has a part after #, which is never sent; leave it out`},
	{env: "OPENAI_API_KEY=password|OPENAI_API=completions", want: `OPENAI_API: "completions" is not one of chat, responses; write OPENAI_API=chat`},
	{env: "OPENAI_HEADERS=password", want: `OPENAI_HEADERS: part 1 is no header with a value; write OPENAI_HEADERS="X-Name: value"`},
	{env: "ANTHROPIC_HEADERS=X-A: b, x-a: c", want: `ANTHROPIC_HEADERS: header 2 stands there twice; write ANTHROPIC_HEADERS="X-Name: value"`},
	{env: "ANTHROPIC_API_KEY=password|ANTHROPIC_HEADERS=Content-Type: text/plain", want: `ANTHROPIC_HEADERS: one of them is set by the bot; leave it out`},
	{env: "ANTHROPIC_BASE_URL=anthropic", want: `ANTHROPIC_BASE_URL: has to begin with http:// or https:// and a host`},
	{env: "OPENAI_API_KEY=password|ANTHROPIC_API_KEY=password|TEMPERATURE=1.5", want: `TEMPERATURE: 1.5 is not between 0 and 1`},
	{env: "TEMPERATURE=3", want: `TEMPERATURE: 3 is too large: at most 2; write TEMPERATURE=2`},
	{env: "TEMPERATURE=hot", want: `TEMPERATURE: "hot" is not a number; write TEMPERATURE=0.7`},
	{env: "MAX_TOKENS=0", want: `MAX_TOKENS: 0 is too small: at least 1; write MAX_TOKENS=1`},
	{env: "HISTORY_TURNS=-1", want: `HISTORY_TURNS: -1 is too small: at least 0; write HISTORY_TURNS=0`},
	{env: "HISTORY_TOKENS=all", want: `HISTORY_TOKENS: "all" is not a whole number; write HISTORY_TOKENS=2000`},
	{env: "RELAY_URL=bot.example.com/chat", want: `RELAY_URL: has to begin with http:// or https:// and a host, as in "https://bot.example.com/chat"`},
	{env: "RELAY_URL=https://bot.example.com|RELAY_SECRET=password", want: `RELAY_SECRET: is not "whsec_" and 24 to 64 bytes in base64`},
	{env: "RELAY_URL=https://bot.example.com|RELAY_FORMAT=N8N", want: `RELAY_FORMAT: "N8N" is not one of parley, n8n; write RELAY_FORMAT=n8n`},
	{env: "RELAY_HISTORY=1000", want: `RELAY_HISTORY: 1000 is too large: at most 100; write RELAY_HISTORY=100`},

	{env: "OPENAI_API_KEY=password|OPENAI_API_KEY_FILE=key", want: `OPENAI_API_KEY_FILE: stands beside environment variable OPENAI_API_KEY; keep one of the two`},
	{env: "SECURITY_HEADERS=strict", want: `SECURITY_HEADERS: "strict" is neither true nor false; write SECURITY_HEADERS=true`},
	{env: "COMPRESSION=gzip", want: `COMPRESSION: "gzip" is neither true nor false; write COMPRESSION=true`},
	{env: "LOG_FILE=nowhere/parley.log", want: `LOG_FILE says: open nowhere/parley.log: no such file or directory; name a file in a folder that exists`},
	{env: "LOG_FILE=.", want: `LOG_FILE says: open .: is a directory; name a file in a folder that exists`},
	{env: "LOG_LEVEL=verbose", want: `LOG_LEVEL: "verbose" is not one of debug, info, warn, error; write LOG_LEVEL=info`},

	{args: "--port x", want: `flag --port: "x" is not a whole number; write --port 3001`},
	{args: "--alowed-origins *", want: `there is no flag --alowed-origins; did you mean --allowed-origins?`},
	{args: "--csrf-secret password", want: `there is no flag --csrf-secret, because everybody on this computer can see flags; write --csrf-secret-file with the name of a file that holds it`},
	{dotEnv: "TRUST_PROXY=all", want: `.env: TRUST_PROXY: "all" is no address; write one like 10.0.0.5, a network like 10.0.0.0/24, or loopback`},
	{dotEnv: `CSRF_SECRET="password`, want: `.env:1: is not understood; write NAME=value, with the value in quotes where it contains spaces, # or $`},

	{file: "prot: 1", want: `parley.yaml:1:1: prot: is not known; did you mean "port"?`},
	{file: "port: [1]", want: `parley.yaml:1:7: port: is a list where text belongs`},
	{file: "port: 1\nport: 2", want: `parley.yaml:2:1: port: stands twice; it is on line 1 already`},
	{file: "allowed_origins: *", want: `parley.yaml:1:18: a * needs quotes in YAML; write "*"`},
	{file: "allowed_origins: [https://a.example, b.example]", want: `allowed_origins[1]: "b.example" has no scheme; write https://b.example`},
	{file: "bots: [rules, openai]", want: `parley.yaml:1:15: bots[1]: "openai" is not set up; set OPENAI_API_KEY or OPENAI_BASE_URL, or take it out`},
	{file: "bots: rules,openai", want: `parley.yaml:1:7: bots: "openai" is not set up; set OPENAI_API_KEY or OPENAI_BASE_URL, or take it out`},
	{file: "openai_headers: {X-A: password}", want: `parley.yaml:1:17: openai_headers: is a group of keys where text belongs`},
	{file: "relay_url: chat", want: `parley.yaml:1:12: relay_url: has to begin with http:// or https:// and a host, as in "https://bot.example.com/chat"`},
	{file: "csrf_secret: password", want: "parley.yaml:1:14: csrf_secret: has 8 bytes, which can be guessed; write 16 or more"},
	{file: "rules:\n\t- x", want: `indent with spaces, not with tabs`},
	{file: "rules: [{reply: x}]", want: `rules[0]: is for no prompt; give it any, all, pattern or value`},
	{file: "rules: [{any: x}]", want: `rules[0].reply: needs at least one reply`},
	{file: "rules: [{any: x, reply: y, repl: z}]", want: `rules[0].repl: is not known; did you mean "reply"?`},
	{file: "rules: [{pattern: '(?=x)', reply: y}]", want: "rules[0].pattern: error parsing regexp: invalid or unsupported Perl syntax: `(?=`; write RE2 syntax, which has no look-around and no back-references"},
	{file: "rules: [{any: x, reply: {content: c, content_type: crad}}]", want: `rules[0].reply.content_type: "crad" is not a kind of content; the kinds are article, card, form, quick_reply, canned_response`},
	{file: "rules: [{any: x, reply: {content: c, form: none}}]", want: `rules[0].reply.form: "none" is not declared under forms; there are contact`},
	{file: "rules: [{any: x, reply: {content: c, content_type: article, content_attributes: {items: [{title: t, description: d, link: 'javascript:alert(1)'}]}}}]",
		want: `items[0].link: a javascript: URL is not allowed here; use http, https, mailto, tel, or a path such as /help`},
	{file: "tests: [{prompt: x, rule: none}]", want: `tests: test rules that are not there; write rules, or take the tests out`},
	{file: "forms: {Bad: {fields: [{id: a, type: text, label: A}]}}", want: `forms.Bad: cannot be part of a path; write small letters, digits, - and _, at most 64`},
	{file: "forms: {contact: {fields: [{id: a, type: text, label: A}]}}", want: `forms.contact: is built in; choose another id`},
	{file: "forms: {a: {fields: []}}", want: `forms.a.fields: needs at least one field`},
	{file: "forms: {a: {fields: [{id: a, type: date, label: A}]}}", want: `forms.a.fields[0].type: "date" is not a field type; use one of text, email, tel, textarea, select, checkbox, radio`},
	{file: "forms: {a: {fields: [{id: a, type: select, label: A}]}}", want: `forms.a.fields[0].options: a select field needs options to choose from`},
}

// files returns the files that the configuration has.
func (c badConfig) files() map[string]string {
	files := map[string]string{}
	for name, content := range map[string]string{".env": c.dotEnv, "parley.yaml": c.file} {
		if content != "" {
			files[name] = content
		}
	}
	return files
}

// inFiles makes a directory with files and works there.
func inFiles(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, content := range files {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBadConfigurationsAreRefused starts the server with each, in this process,
// and sees that it says why and leaves nothing behind.
func TestBadConfigurationsAreRefused(t *testing.T) {
	said := map[string]bool{}
	for _, c := range badConfigs {
		t.Run(c.env+c.args+c.dotEnv+c.file, func(t *testing.T) {
			files := c.files()
			inFiles(t, files)
			var stdout, stderr bytes.Buffer
			p := &program{stdout: &stdout, stderr: &stderr, environ: strings.Split(c.env, "|")}
			ended, cancel := context.WithCancel(t.Context())
			cancel() // so that one that is not refused stops at once
			code := p.run(ended, append([]string{"serve"}, strings.Fields(c.args)...))
			reason, _, _ := strings.Cut(stderr.String(), "\n")
			if code != exitUsage || !strings.Contains(reason, c.want) {
				t.Errorf("it ends with %d and says\n%s\nwant %d, and in the first line\n%s", code, &stderr, exitUsage, c.want)
			}
			if stdout.Len() > 0 || strings.Contains(stderr.String(), "password") {
				t.Errorf("it prints\n%s%s\nwant nothing on standard output, and no secret", &stdout, &stderr)
			}
			said[reason] = true
			for _, name := range []string{"parley.db", "parley.db-wal", "parley.log"} {
				if _, err := os.Stat(name); err == nil {
					t.Errorf("it leaves %s behind; want nothing", name)
				}
			}
		})
	}
	if len(said) != len(badConfigs) || len(said) < 50 {
		t.Errorf("%d configurations are refused for %d reasons; want a reason for each, and 50 at least", len(badConfigs), len(said))
	}
	t.Logf("%d bad configurations", len(said))
}

// TestBadConfigurationsAreRefusedTogether starts the real server with something
// wrong in every place, and sees that it is all told at once.
func TestBadConfigurationsAreRefusedTogether(t *testing.T) {
	wrong := map[string]string{ // with what is said of it
		"BOTS=relay":                     `BOTS: "relay" is not set up`,
		"OPENAI_BASE_URL=ollama":         `OPENAI_BASE_URL: has to begin with http:// or https://`,
		"OPENAI_API_KEY=pass word":       `OPENAI_API_KEY: holds white space`,
		"PORT=http":                      `PORT: "http" is not a whole number`,
		"HOST=localhost:3001":            `HOST: "localhost:3001" is not an address`,
		"PUBLIC_URL=chat.example.com":    `PUBLIC_URL: "chat.example.com" is not the address of a server`,
		"DATABASE_URL=mysql://db":        `DATABASE_URL: "mysql" is not a kind of store`,
		"RETENTION=30":                   `RETENTION: "30" has no unit`,
		"ALLOWED_ORIGINS=a.example,null": `ALLOWED_ORIGINS: "a.example" has no scheme`,
		"TRUST_PROXY=true":               `TRUST_PROXY: "true" would let anybody choose an address`,
		"RATE_LIMIT_WINDOW=1500ms":       `RATE_LIMIT_WINDOW: 1.5s is not a whole number of seconds`,
		"CSRF_SECRET=password":           "CSRF_SECRET: has 8 bytes, which can be guessed",
		"SECURITY_HEADERS=strict":        `SECURITY_HEADERS: "strict" is neither true nor false`,
	}
	want := []string{
		`ALLOWED_ORIGINS: "null" stands for every sandboxed frame`, // the second of one setting
		`.env: LOG_LEVEL: "loud" is not one of`,
		`flag --log-prompts: "2" is neither true nor false`,
		`parley.yaml:1:1: prot: is not known; did you mean "port"?`,
		`parley.yaml:2:9: rules[0].reply: needs at least one reply`,
		`parley.yaml:3:21: forms.a.fields: needs at least one field`,
	}
	inFiles(t, map[string]string{
		".env":        "LOG_LEVEL=loud\n",
		"parley.yaml": "prot: 1\nrules: [{any: x}]\nforms: {a: {fields: []}}\n",
	})
	for _, args := range [][]string{{"serve"}, {"config", "check"}} {
		cmd := exec.CommandContext(t.Context(), "parley", append(args, "--log-prompts=2")...)
		cmd.Env = unconfigured()
		for entry := range wrong {
			cmd.Env = append(cmd.Env, entry)
		}
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != exitUsage {
			t.Errorf("%v ends with %v; want exit code %d", args, err, exitUsage)
		}
		all := slices.Concat(want, slices.Collect(maps.Values(wrong)))
		for _, reason := range all {
			if !strings.Contains(string(out), reason) {
				t.Errorf("%v does not say %s", args, reason)
			}
		}
		if count := fmt.Sprintf("\n%d problems\n", len(all)); !strings.HasSuffix(string(out), count) {
			t.Errorf("%v says\n%s\nwant%sat its end", args, out, count)
		}
	}
}
