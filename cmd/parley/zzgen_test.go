package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

func TestGen(t *testing.T) {
	for _, c := range candidates() {
		t.Chdir(t.TempDir())
		for n, d := range c.files {
			os.WriteFile(n, []byte(d), 0o600)
		}
		var out, errs bytes.Buffer
		p := &program{stdout: &out, stderr: &errs, environ: c.env}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		code := p.run(ctx, append([]string{"serve"}, c.args...))
		first, _, _ := strings.Cut(errs.String(), "\n")
		if code != 2 {
			fmt.Printf("XX %v %v %v\n%d %s%s", c.env, c.args, c.files, code, out.String(), errs.String())
			continue
		}
		q := func(s string) string {
			if strings.Contains(s, "\"") && !strings.Contains(s, "`") {
				return "`" + s + "`"
			}
			return strconv.Quote(s)
		}
		switch {
		case c.files["parley.yaml"] != "":
			fmt.Printf("ROW\t{file: %s, want: %s},\n", q(c.files["parley.yaml"]), q(first))
		case c.files[".env"] != "":
			fmt.Printf("ROW\t{dotEnv: %s, want: %s},\n", q(c.files[".env"]), q(first))
		case len(c.args) > 0:
			fmt.Printf("ROW\t{args: %s, want: %s},\n", q(strings.Join(c.args, " ")), q(first))
		default:
			fmt.Printf("ROW\t{env: %s, want: %s},\n", q(strings.Join(c.env, " ")), q(first))
		}
	}
}

type cand struct {
	files map[string]string
	env   []string
	args  []string
}

func candidates() []cand {
	var all []cand
	for _, e := range []string{
		"PORT=http", "PORT=70000", "PORT=-1", "PORT=3001.5", "HOST=localhost:3001", "HOST=http://localhost", "PUBLIC_URL=chat.example.com", "PUBLIC_URL=https://chat.example.com/", "PUBLIC_URL=https://chat.example.com?x=1", "PUBLIC_URL=ws://chat.example.com", "PUBLIC_URL=https://me:pw@chat.example.com",
		"NODE_ENV=prod", "NODE_ENV=staging", "DEMO_PAGE=si", "DATABASE_URL=postgres://localhost/chat", "DATABASE_URL=sqlite:", "DATABASE_URL=parley.db", "DATABASE_URL=mongodb://me:pw@localhost",
		"RETENTION=30", "RETENTION=1s", "RETENTION=30m", "RETENTION=forever", "SESSION_TTL=0s", "SESSION_TTL=-1h", "SESSION_TTL=1w", "SESSION_TTL=60d", "SESSION_BINDING=open", "REQUIRE_SESSION=maybe", "MAX_PROMPT=0", "MAX_PROMPT=10001", "MAX_PROMPT=1e3",
		"ANSWER_TIMEOUT=2m", "ANSWER_TIMEOUT=10", "ANSWER_TIMEOUT=500ms", "MAX_TURNS=0", "MAX_TURNS=unlimited",
		"ALLOWED_ORIGINS=example.com", "ALLOWED_ORIGINS=https://example.com/", "ALLOWED_ORIGINS=https://example.com/chat", "ALLOWED_ORIGINS=*,https://example.com", "ALLOWED_ORIGINS=null", "ALLOWED_ORIGINS=file://", "ALLOWED_ORIGINS=ftp://example.com", "ALLOWED_ORIGINS=chrome-extension://abc", "ALLOWED_ORIGINS=https://Example.com", "ALLOWED_ORIGINS=https://bücher.example", "ALLOWED_ORIGINS=https://me@example.com", "ALLOWED_ORIGINS=https://example.com:443", "ALLOWED_ORIGINS=http://example.com:80", "ALLOWED_ORIGINS=https://example.com:0", "ALLOWED_ORIGINS=https://example.com:99999", "ALLOWED_ORIGINS=http://127.1", "ALLOWED_ORIGINS=http://[::0:1]", "ALLOWED_ORIGINS=http://[::ffff:127.0.0.1]", "ALLOWED_ORIGINS=https://*.com", "ALLOWED_ORIGINS=https://*", "ALLOWED_ORIGINS=https://www.*.example.com", "ALLOWED_ORIGINS=https://example.com:*", "ALLOWED_ORIGINS=https://a.example https://b.example", "ALLOWED_ORIGINS=https://user:pw@example.com",
		"TRUST_PROXY=true", "TRUST_PROXY=-1", "TRUST_PROXY=100", "TRUST_PROXY=nginx", "TRUST_PROXY=10.0.0.0/33", "TRUST_PROXY=0.0.0.0/0", "TRUST_PROXY=10.0.0.1/8", "TRUST_PROXY=::ffff:10.0.0.0/104", "TRUST_PROXY=1,10.0.0.1", "TRUST_PROXY=*", "TRUST_PROXY=10.0.0.1,,10.0.0.2",
		"RATE_LIMIT=-1", "RATE_LIMIT=100/15m", "RATE_LIMIT_FORMS=many", "RATE_LIMIT_WINDOW=15", "RATE_LIMIT_WINDOW=0s", "RATE_LIMIT_WINDOW=2d", "RATE_LIMIT_WINDOW=1500ms", "RATE_LIMIT_WINDOW=soon",
		"CSRF_SECRET=short", "CSRF_SECRET=0123456789abcdef,old", "CSRF_SECRET=,", "CSRF_REQUIRED=true", "CSRF_REQUIRED=2", "CSRF_SECRET_FILE=nowhere", "OPENAI_API_KEY_FILE=nowhere", "PARLEY_CONFIG=nowhere.yaml", "PARLEY_CONFIG=.", "SECURITY_HEADERS=strict", "COMPRESSION=gzip", "ACCESS_LOG=file", "LOG_LEVEL=verbose", "LOG_PROMPTS=10", "LOG_FILE=nowhere/parley.log", "LOG_FILE=.", "DATABASE_URL=sqlite:nowhere/parley.db", "DATABASE_URL=sqlite:.",
	} {
		all = append(all, cand{nil, []string{e}, nil})
	}
	for _, a := range [][]string{{"--port", "x"}, {"--csrf-secret", "x"}, {"--csrf-secret-file", "nowhere"}, {"--trust-proxy", "yes"}, {"--rate-limit=-5"}, {"--config", "nowhere"}, {"--alowed-origins", "*"}, {"--demo-page=perhaps"}} {
		all = append(all, cand{nil, nil, a})
	}
	for _, y := range []string{
		"prot: 1", "port: [1]", "port: {a: 1}", "allowed_origins: *", "rules:\n\t- x", "rules: x", "a: b: c", "csrf_required: true", "csrf_secret: short", "trust_proxy: [10.0.0.1]", "rate_limit: lots", "rate_limit_window: 15",
		"rules: [{reply: x}]", "rules: [{any: x}]", "rules: [{any: x, reply: y, repl: z}]", "rules: [{any: '', reply: y}]", "rules: [{pattern: '(', reply: y}]", "rules: [{pattern: '(?=x)', reply: y}]", "rules: [{name: a, any: x, reply: y}, {name: a, any: z, reply: y}]", "rules: [{name: default, any: x, reply: y}]", "rules: [{any: x, reply: y, replies: [z]}]", "rules: [{any: x, reply: {content: c, content_type: crad}}]", "rules: [{any: x, reply: {content: c, content_type: card}}]", "rules: [{any: x, reply: {content: c, form: none}}]", "rules: [{any: x, reply: {content: c, content_type: article, content_attributes: {items: [{title: t, description: d, link: 'javascript:alert(1)'}]}}}]", "rules: [{any: x, reply: {content: c, content_type: article, content_attributes: {items: []}}}]", "rules: [{any: x, reply: ''}]",
		"forms: {Bad: {fields: [{id: a, type: text, label: A}]}}", "forms: {contact: {fields: [{id: a, type: text, label: A}]}}", "forms: {a: {fields: []}}", "forms: {a: {fields: [{id: a, type: date, label: A}]}}", "forms: {a: {fields: [{id: a, type: select, label: A}]}}", "forms: {a: {fields: [{id: a, type: text}]}}", "forms: {a: {fields: [{id: a, type: text, label: A}, {id: a, type: text, label: B}]}}", "forms: {a: {fields: [{id: a, type: text, label: A, validation: {pattern: '(?<!x)y'}}]}}", "forms: {a: {submitUrl: 'javascript:x', fields: [{id: a, type: text, label: A}]}}",
		"tests: [{prompt: x, rule: none}]", "tests: [{rule: default}]", "tests: [{prompt: x, content_type: crad}]", "default: []", "default: {content: x, content_type: y}", "port: 1\nport: 2", "port: &a 1", "port: !!int 1", "port: 1\n---\nport: 2", "config: other.yaml", "openai_api_key: {a: b}", "openai_api_key: a\nopenai_api_key_file: b", "log_level: loud", "session_binding: of", "- a", "just text",
	} {
		all = append(all, cand{map[string]string{"parley.yaml": y}, nil, nil})
	}
	for _, d := range []string{"PORT=x", "PORT", "A B=c", "CSRF_SECRET=\"abc", "TRUST_PROXY=all"} {
		all = append(all, cand{map[string]string{".env": d}, nil, nil})
	}
	all = append(all, cand{map[string]string{"key": ""}, []string{"CSRF_SECRET_FILE=key"}, nil})
	all = append(all, cand{map[string]string{"key": "a"}, []string{"CSRF_SECRET_FILE=key", "CSRF_SECRET=0123456789abcdef"}, nil})
	return all
}
