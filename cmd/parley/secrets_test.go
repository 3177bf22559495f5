package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/parley-chat/parley/cmd/parley/internal/config"
	"github.com/parley-chat/parley/store/sqlite"
)

// canaries are texts that must not come out, by what they stand for. Each is
// random, so wherever it is found, it leaked.
type canaries map[string]string

// add makes a canary of 32 characters or more and returns it.
func (c canaries) add(name string) string {
	c[name] = "c" + strings.ToLower(rand.Text()+rand.Text())
	return c[name]
}

// traces returns what of a text gives it away: either end of it, and the middle
// of its usual encodings. All are in small letters.
func traces(text string) []string {
	if len(text) < 32 {
		return []string{text}
	}
	found := []string{text[:12], text[len(text)-12:], hex.EncodeToString([]byte(text))[8:40]}
	for shift := range 3 { // base64 depends on what stands before
		encoded := base64.StdEncoding.EncodeToString(append(make([]byte, shift), text...))[4:24]
		found = append(found, encoded, strings.NewReplacer("+", "-", "/", "_").Replace(encoded))
	}
	for i := range found {
		found[i] = inSmall(found[i])
	}
	return found
}

// inSmall returns text in small letters. Bytes that are no text stay as they
// are, which [strings.ToLower] does not promise.
func inSmall(text string) string {
	small := []byte(text)
	for i, c := range small {
		if 'A' <= c && c <= 'Z' {
			small[i] = c - 'A' + 'a'
		}
	}
	return string(small)
}

// in returns the names of the canaries that are in some output.
func (c canaries) in(output string) []string {
	output = inSmall(output)
	var leaked []string
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if slices.ContainsFunc(traces(c[name]), func(trace string) bool { return strings.Contains(output, trace) }) {
			leaked = append(leaked, name)
		}
	}
	return leaked
}

// but returns the canaries but for one.
func (c canaries) but(name string) canaries {
	rest := maps.Clone(c)
	delete(rest, name)
	return rest
}

// An aviary holds canaries by where they must not be, and counts what was
// searched for them.
type aviary struct {
	t *testing.T
	// secrets are the server's. They must be nowhere.
	secrets canaries
	// sent are what clients prove things with, and names of theirs. They must be
	// in no log, and in no answer.
	sent canaries
	// said are what visitors say. It must be in no log but as a prompt.
	said canaries
	// given are what the server gives to a client. It must be in no log.
	given canaries
	// names are session ids. No database has them.
	names canaries

	searched, bytes int
}

func newAviary(t *testing.T) *aviary {
	return &aviary{t: t, secrets: canaries{}, sent: canaries{}, said: canaries{}, given: canaries{}, names: canaries{}}
}

// search fails the test for every canary that an output has.
func (a *aviary) search(what, output string, kinds ...canaries) {
	a.t.Helper()
	a.searched++
	a.bytes += len(output)
	for _, kind := range kinds {
		if leaked := kind.in(output); len(leaked) > 0 {
			a.t.Errorf("%s has %s: %.2000q", what, strings.Join(leaked, ", "), output)
		}
	}
}

// searchLog searches the lines of a log. Prompts may stand in them as such.
func (a *aviary) searchLog(what, log string, prompts bool) {
	a.t.Helper()
	sessions := 0
	var rest strings.Builder
	for line := range strings.Lines(log) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			rest.WriteString(line)
			continue
		}
		if prompts {
			delete(entry, "prompt")
		}
		if session, ok := entry["session"].(string); ok {
			sessions++
			if !shortHash.MatchString(session) {
				a.t.Errorf("%s names a session %q; want 8 hexadecimal digits", what, session)
			}
		}
		fmt.Fprintln(&rest, entry)
	}
	if sessions == 0 {
		a.t.Errorf("%s names no session; want those of messages", what)
	}
	a.search(what, rest.String(), a.secrets, a.sent, a.said, a.given, a.names)
	if prompts && len(a.said.in(log)) == 0 {
		a.t.Errorf("%s has no prompt; want those of messages", what)
	}
}

var shortHash = regexp.MustCompile(`^[0-9a-f]{8}$`)

// A place is somewhere that secrets can be written.
type place struct {
	name string
	// put returns the environment and the flags for secrets, by the name of the
	// variable, and writes the files.
	put func(t *testing.T, dir string, secrets map[string]string) (env, args []string)
}

var places = []place{
	{"environment", func(_ *testing.T, _ string, secrets map[string]string) (env, args []string) {
		for name, secret := range secrets {
			env = append(env, name+"="+secret)
		}
		return env, nil
	}},
	{"files that the environment names", func(t *testing.T, dir string, secrets map[string]string) (env, args []string) {
		for name, secret := range secrets {
			writeFile(t, dir, name, secret+"\n")
			env = append(env, name+"_FILE="+name)
		}
		return env, nil
	}},
	{"files that flags name", func(t *testing.T, dir string, secrets map[string]string) (env, args []string) {
		for name, secret := range secrets {
			writeFile(t, dir, name, secret+"\n")
			args = append(args, "--"+strings.ReplaceAll(strings.ToLower(name), "_", "-")+"-file="+name)
		}
		return nil, args
	}},
	{".env", func(t *testing.T, dir string, secrets map[string]string) (env, args []string) {
		var file strings.Builder
		for name, secret := range secrets {
			fmt.Fprintf(&file, "%s=%s\n", name, secret)
		}
		writeFile(t, dir, ".env", file.String())
		return nil, nil
	}},
	{"parley.yaml", func(t *testing.T, dir string, secrets map[string]string) (env, args []string) {
		var file strings.Builder
		for name, secret := range secrets {
			fmt.Fprintf(&file, "%s: %q\n", strings.ToLower(name), secret)
		}
		writeFile(t, dir, "parley.yaml", file.String())
		return nil, nil
	}},
}

func writeFile(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// hatch makes a canary for every setting that is a secret, and returns their
// values by the name of the variable.
func (a *aviary) hatch() map[string]string {
	values := map[string]string{}
	for _, s := range config.All() {
		if s.Secret {
			values[s.Env] = a.secrets.add(s.Env)
		}
	}
	values["CSRF_SECRET"] += "," + a.secrets.add("CSRF_SECRET before")
	values["RELAY_SECRET"] = "whsec_" + values["RELAY_SECRET"] + strings.Repeat("A", -len(values["RELAY_SECRET"])&3)
	for name, value := range values {
		if strings.HasSuffix(name, "_HEADERS") {
			values[name] = "X-Canary: " + value
		}
	}
	return values
}

// betrayer is a provider and a backend that says every secret it is sent, in
// failures of all kinds. It returns the settings that have it asked.
func betrayer(t *testing.T) []string {
	calls := atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		said, _ := json.Marshal(fmt.Sprint(r.Header))
		status := []int{401, 403, 404, 400, 200, 302}[calls.Add(1)%6]
		w.Header().Set("Location", "/?"+r.Header.Get("X-Canary"))
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error": {"message": %s, "type": "invalid_request_error"}}`, said)
	}))
	t.Cleanup(server.Close)
	return []string{"OPENAI_BASE_URL=" + server.URL, "ANTHROPIC_BASE_URL=" + server.URL, "RELAY_URL=" + server.URL}
}

// TestSecretsStayInside runs the real server with canaries in every secret,
// sends it more of them in every way, and searches all that comes out: standard
// output, standard error, the log file, every answer, and the database.
func TestSecretsStayInside(t *testing.T) {
	signals := []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGABRT, syscall.SIGTERM}
	use := places
	if testing.Short() {
		use = places[:1]
	}
	for i, p := range use {
		t.Run(p.name, func(t *testing.T) {
			prompts := i%2 == 0
			a := newAviary(t)
			dir := t.TempDir()
			secrets := a.hatch()
			env, args := p.put(t, dir, secrets)
			env = append(env, "LOG_FILE=parley.log", "LOG_LEVEL=debug", fmt.Sprint("LOG_PROMPTS=", prompts), "ALLOWED_ORIGINS="+shop, "RATE_LIMIT=60")
			env = append(env, betrayer(t)...)
			s := start(t, dir, env, args...)
			a.pester(s)
			if i == 0 || !testing.Short() {
				a.runCommands(dir, env, args)
			}
			a.searchDatabase(dir, "while the server runs")
			_, _, log := s.stop(signals[i])
			a.searchLog("standard output", strings.Join(log, "\n"), prompts)
			if said := strings.Count(strings.Join(log, "\n"), `"a bot failed"`); said < 3 {
				t.Errorf("%d failures of services are logged; want those of three, or nothing was searched", said)
			}
			a.search("standard error", s.screen+<-s.errors, a.secrets, a.sent, a.said, a.given, a.names)
			file, err := os.ReadFile(filepath.Join(dir, "parley.log"))
			if err != nil {
				t.Fatal(err)
			}
			a.searchLog("LOG_FILE", string(file), prompts)
			a.searchDatabase(dir, "at the end")
			t.Logf("%d canaries, %d outputs of %d bytes", len(a.secrets)+len(a.sent)+len(a.said)+len(a.given)+len(a.names), a.searched, a.bytes)
		})
	}
}

// pester sends a server requests of all kinds with canaries wherever a client
// could put a secret, and searches the answers.
func (a *aviary) pester(s *server) {
	a.t.Helper()
	do := func(method, path, body string, headers ...string) (int, string) {
		r, err := http.NewRequest(method, s.url+path+"?token="+a.sent["query"], strings.NewReader(body))
		if err != nil {
			a.t.Fatal(err)
		}
		for name, value := range map[string]string{
			"Content-Type": "application/json", "Origin": shop, "User-Agent": "test",
			"Authorization": "Bearer " + a.sent["authorization"], "Proxy-Authorization": "Basic " + a.sent["proxy"], "X-Api-Key": a.sent["API key"],
			"Cookie": "session=" + a.sent["cookie"], "Referer": shop + "/?reset=" + a.sent["referer"],
		} {
			r.Header.Set(name, value)
		}
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		answer, err := http.DefaultTransport.RoundTrip(r) // without following redirects
		if err != nil {
			a.t.Fatal(err)
		}
		defer answer.Body.Close()
		dump, err := httputil.DumpResponse(answer, true)
		if err != nil {
			a.t.Fatal(err)
		}
		sent, said := a.sent, a.said
		if answer.StatusCode == http.StatusTemporaryRedirect { // which keeps the query
			sent = sent.but("query")
		}
		if path == "/history" && answer.StatusCode == http.StatusOK { // which is for reading it back
			said = nil
		}
		a.search(method+" "+path, string(dump), a.secrets, sent, said, a.names)
		_, text, _ := strings.Cut(string(dump), "\r\n\r\n")
		return answer.StatusCode, text
	}
	for _, name := range []string{"query", "authorization", "proxy", "API key", "cookie", "referer", "CSRF token", "session token", "idempotency key"} {
		a.sent.add(name)
	}
	session, prompt := a.names.add("session id"), a.said.add("prompt")
	guessable := "user-" + a.names.add("guessable session id")
	message := func(session string) string {
		return fmt.Sprintf(`{"prompt": "my password is %s", "session_id": %q}`, prompt, session)
	}
	want := func(status int, what string, got int) {
		a.t.Helper()
		if got != status {
			a.t.Errorf("%s gets %d; want %d", what, got, status)
		}
	}

	status, body := do("POST", "/session", "{}")
	want(200, "a session", status)
	var made struct {
		Session string `json:"session_token"`
		CSRF    string `json:"csrf_token"`
	}
	if err := json.Unmarshal([]byte(body), &made); err != nil {
		a.t.Fatal(err)
	}
	_, body = do("GET", "/csrf-token", "")
	if err := json.Unmarshal([]byte(body), &made); err != nil || made.CSRF == "" || made.Session == "" {
		a.t.Fatalf("there is a session token %q and a CSRF token %q, %v; want both", made.Session, made.CSRF, err)
	}
	a.given["session token"], a.given["CSRF token"] = made.Session, made.CSRF

	status, _ = do("POST", "/chat", message(session), "X-CSRFToken", made.CSRF, "Idempotency-Key", a.sent["idempotency key"])
	want(200, "a message", status)
	status, _ = do("POST", "/chat", message(guessable))
	want(200, "a message of a guessable session", status)
	status, _ = do("POST", "/chat", message(""), "X-Parley-Session", made.Session)
	want(200, "a message with a session token", status)
	status, _ = do("POST", "/chat", fmt.Sprintf(`{"prompt": "another %s", "session_id": %q}`, prompt, session), "Idempotency-Key", a.sent["idempotency key"])
	want(422, "another message with the key", status)
	for what, forged := range map[string][]string{
		"a forged CSRF token":                 {"X-CSRFToken", a.sent["CSRF token"]},
		"a forged CSRF token in the other":    {"X-CSRF-Token", a.sent["CSRF token"]},
		"a forged session token":              {"X-Parley-Session", "v1." + a.sent["session token"]},
		"a session token without its version": {"X-Parley-Session", a.sent["session token"]},
	} {
		status, _ = do("POST", "/chat", message(session), forged...)
		want(403, what, status)
	}
	for what, bad := range map[string]string{
		"no JSON":              `{"prompt": "` + prompt + `", "session_id": "` + session,
		"no object":            `["` + prompt + `", "` + session + `"]`,
		"a key twice":          `{"session_id": "` + session + `", "session_id": "` + session + `", "prompt": "` + prompt + `"}`,
		"no session":           `{"prompt": "` + prompt + `", "session_id": {"not": "` + session + `"}}`,
		"a session of control": `{"prompt": "` + prompt + `", "session_id": "\u0000` + session + `"}`,
		"a long prompt":        message(session + strings.Repeat("x", 1000)),
	} {
		status, _ = do("POST", "/chat", bad)
		want(400, what, status)
	}
	status, _ = do("POST", "/chat", message(session), "Idempotency-Key", a.sent["idempotency key"]+strings.Repeat("x", 300))
	want(400, "a long key", status)
	status, _ = do("POST", "/chat", message(session)+strings.Repeat(" ", 70<<10))
	want(413, "a large message", status)
	status, _ = do("POST", "/chat", message(session), "Content-Type", "text/"+a.sent["cookie"])
	want(415, "another type", status)

	filled := fmt.Sprintf(`{"name": %q, "email": "%s@example.com", "message": %q}`, a.said.add("name"), a.said.add("address"), a.said.add("message"))
	status, _ = do("POST", "/contact-form", filled)
	want(200, "a form", status)
	status, _ = do("POST", "/contact-form", fmt.Sprintf(`{"name": %q, "email": %q, "message": [%q]}`, a.said["name"], a.said["address"], a.said["message"]))
	want(400, "a form that is not right", status)

	for _, path := range []string{"/", "/history", "/stream", "/health", "/ready", "/openapi.json", "/csrf-token", "/session", "/chat", "/contact-form", "/forms/none", "/none", "//health", "/site/page.js", "/sample/help", "/widget.js"} {
		for _, method := range []string{"GET", "HEAD", "POST", "DELETE", "OPTIONS"} {
			do(method, path, filled, "X-Parley-Session", "v1."+a.sent["session token"], "X-CSRF-Token", a.sent["CSRF token"])
		}
	}
	do("GET", "/history", "", "X-Parley-Session", made.Session)
	for status = 0; status != 429; {
		status, _ = do("POST", "/chat", message(session))
	}
	// What net/http answers itself.
	conn := connection{t: a.t, address: strings.TrimPrefix(s.url, "http://")}
	for _, raw := range []string{
		"GET /?" + a.sent["query"] + " HTTP/9.9\r\n\r\n",
		"GET /?" + a.sent["query"] + " HTTP/1.1\r\nHost: x\r\nCookie: \x01" + a.sent["cookie"] + "\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: " + a.sent["cookie"] + "\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nCookie: " + strings.Repeat(a.sent["cookie"], 1000) + "\r\n\r\n",
		a.sent["authorization"] + "\r\n\r\n",
	} {
		a.search("the answer to a broken request", conn.dump(raw), a.secrets, a.sent)
	}
	conn.close()
}

// dump sends a request and returns all that comes back until the server closes
// the connection.
func (c *connection) dump(raw string) string {
	c.t.Helper()
	c.close()
	c.open()
	defer c.close()
	if _, err := io.WriteString(c.conn, raw); err != nil {
		c.t.Fatal(err)
	}
	answer, err := io.ReadAll(c.conn)
	if len(answer) == 0 {
		c.t.Errorf("no answer to %.60q: %v", raw, err)
	}
	return string(answer)
}

// runCommands runs every command beside the server, those that fail too, and
// searches what they print for secrets. What visitors filled in is theirs to
// show.
func (a *aviary) runCommands(dir string, env, flags []string) {
	a.t.Helper()
	for _, args := range [][]string{
		{"config"}, {"config", "check"}, {"version"}, {"help"}, {"help", "serve"}, {"help", "config", "check"},
		{"serve"}, // fails, because the database is taken
		{"serve", "--port", "x", "--trust-proxy", "all"},
		{"serve", "--csrf-secret", a.secrets["CSRF_SECRET"]},
		{"serve", "--openai-api-key=" + a.secrets["OPENAI_API_KEY"]},
		{"config", "check", "--max-prompt", "0"},
		{"bot", "test"}, // every service fails, and says why
		{"submissions", "list"}, {"submissions", "export"}, {"submissions", "export", "--format", "json"},
	} {
		all := args
		if args[0] == "serve" || args[0] == "bot" || (len(args) > 1 && args[1] == "check" && args[0] == "config") {
			all = append(slices.Clone(args), flags...)
		}
		cmd := exec.CommandContext(a.t.Context(), "parley", all...)
		cmd.Dir, cmd.Env = dir, append(append(unconfigured(), "PORT=0", "HOST=127.0.0.1"), env...)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			a.t.Fatal(err)
		}
		if len(out) == 0 {
			a.t.Errorf("parley %v prints nothing; want something to search", args)
		}
		a.search(fmt.Sprint("parley ", args), string(out), a.secrets, a.sent, a.given, a.names)
	}
}

// searchDatabase searches the files of the database, byte by byte.
func (a *aviary) searchDatabase(dir, when string) {
	a.t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "parley.db*"))
	if err != nil {
		a.t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			a.t.Fatal(err)
		}
		all.Write(data)
	}
	// An idempotency key is kept with its turn.
	a.search("the database "+when, all.String(), a.secrets, a.sent.but("idempotency key"), a.given, a.names)
	if got := a.said.in(all.String()); len(got) != len(a.said) {
		a.t.Errorf("the database %s has %q of what visitors said; want all %d, or it is not what was searched", when, got, len(a.said))
	}
}

// TestStoredSecretStaysInside looks for the secret that the server made for
// itself, which is in its database.
func TestStoredSecretStaysInside(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, []string{"LOG_LEVEL=debug"})
	var out strings.Builder
	for _, path := range []string{"/session", "/chat", "/contact-form", "/none"} {
		_, body := s.post(path, goodPrompt)
		out.WriteString(body)
	}
	_, _, log := s.stop(syscall.SIGQUIT)
	out.WriteString(strings.Join(log, "\n") + s.screen + <-s.errors)
	store, err := sqlite.Open(filepath.Join(dir, "parley.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	secret, err := store.Secret(t.Context(), "sessions")
	if err != nil || len(secret) != 32 {
		t.Fatalf("the database has a secret of %d bytes, %v; want 32", len(secret), err)
	}
	for _, form := range []string{string(secret), hex.EncodeToString(secret)} { // canaries are found in base64, too
		if leaked := (canaries{"it": form}).in(out.String()); len(leaked) > 0 {
			t.Errorf("the server says its secret:\n%s", &out)
		}
	}
}

// TestSecretsStayOutOfEveryAnswer sends canaries with every request of the crawl
// of all routes and failures, panics among them, and searches answers and logs.
func TestSecretsStayOutOfEveryAnswer(t *testing.T) {
	a := newAviary(t)
	var settings []string
	for name, secret := range a.hatch() {
		settings = append(settings, name+"="+secret)
	}
	// The crawl's own bot answers, and no service: see TestSecretsStayInside.
	servers := crawledServers(t, append(settings, "BOTS=rules,text")...)
	usual := map[string]string{
		"Authorization": "Bearer " + a.sent.add("authorization"), "Cookie": "id=" + a.sent.add("cookie"), "Referer": shop + "?t=" + a.sent.add("referer"),
		"X-Api-Key": a.sent.add("API key"), "Origin": shop,
	}
	proofs := map[string]string{
		"X-Csrftoken": a.sent.add("CSRF token"), "X-Parley-Session": "v1." + a.sent.add("session token"), "Idempotency-Key": a.sent.add("idempotency key"),
	}
	query := a.sent.add("query")
	for _, c := range crawl(t, servers) {
		for _, headers := range []map[string]string{usual, proofs} {
			r := c.request()
			for name, value := range headers {
				if r.Header.Get(name) == "" {
					r.Header.Set(name, value)
				}
			}
			r.URL.RawQuery += "&token=" + query
			w := servers[c.server].answer(r)
			sent := a.sent
			if c.status == http.StatusTemporaryRedirect { // which keeps the query
				sent = sent.but("query")
			}
			a.search(c.name(), fmt.Sprint(w.Code, w.Header(), w.Body), a.secrets, sent)
		}
	}
	panics := 0
	for name, server := range servers {
		log := server.log.String()
		panics += strings.Count(log, "panicked") + strings.Count(log, "panic: ")
		a.search("the log of the "+name+" server", log, a.secrets, a.sent)
	}
	if panics < 6 {
		t.Errorf("the logs have %d panics; want those of four handlers, the bot and the store", panics)
	}
	t.Logf("%d canaries, %d outputs of %d bytes, %d panics", len(a.secrets)+len(a.sent), a.searched, a.bytes, panics)
}

// TestSecretsStayOutOfProblems writes secrets where they are wrong, and sees that
// what is said about them does not repeat them.
func TestSecretsStayOutOfProblems(t *testing.T) {
	a := newAviary(t)
	long := a.secrets.add("long")
	// Too short to be taken, and long enough to be found.
	const short = "x7q2-k9v4-m3p"
	a.secrets["short"] = short
	for _, s := range config.All() {
		if !s.Secret {
			continue
		}
		for _, c := range []badConfig{
			{env: "CSRF_SECRET=" + short},
			{env: "CSRF_SECRET=" + long + "," + short},
			{env: s.Env + "=" + long + "|" + s.Env + "_FILE=nowhere"},
			{env: "DATABASE_URL=mysql://me:" + long + "@localhost/chat"},
			{env: "PUBLIC_URL=https://me:" + long + "@chat.example.com"},
			{env: "ALLOWED_ORIGINS=https://me:" + long + "@example.com"},
			{args: "--" + strings.ReplaceAll(s.Name, "_", "-") + " " + long},
			{args: "--" + strings.ReplaceAll(s.Name, "_", "-") + "=" + long},
			{dotEnv: s.Env + "=\"" + long},
			{dotEnv: s.Env + "=" + long + "\n" + s.Env + "=\"" + long + "\nPORT=x"},
			{dotEnv: s.Env + ": " + long + "\nPORT=x\n='" + long},
			{dotEnv: "CSRF_SECRET=" + short},
			{file: s.Name + ": [" + long + "]"},
			{file: s.Name + ": {a: " + long + "}"},
			{file: s.Name + ":\n  a: " + long},
			{file: s.Name + ":\n  - " + long},
			{file: s.Name + ": |\n    x\n  " + long},
			{file: s.Name + ": " + long + ": x"},
			{file: s.Name + ": \"" + long},
			{file: s.Name + ": '" + long},
			{file: s.Name + ": &a " + long},
			{file: s.Name + ": !x " + long},
			{file: s.Name + ": a\n" + s.Name + ": " + long},
			{file: s.Name + "s: " + long},
			{file: s.Name + ": " + long + "\n" + s.Name + "_file: nowhere"},
			{file: "{port: x, " + s.Name + ": " + long + "}"},
			{file: "port: x # " + s.Name + ": " + long},
			{file: "rules: [{any: x, reply: y, " + s.Name + ": " + long + "}]"},
			{file: "csrf_secret: " + short},
			{env: "OPENAI_API_KEY=" + short + " " + long},
			{env: "OPENAI_HEADERS=" + long},
			{env: "OPENAI_HEADERS=X-A: b, " + long},
			{env: "OPENAI_API_KEY=sk|OPENAI_HEADERS=" + long + " " + long + ": x"},
			{env: "OPENAI_API_KEY=sk|OPENAI_HEADERS=Host: " + long},
			{env: "OPENAI_API_KEY=sk|OPENAI_HEADERS=X-A: " + long + "\x01"},
			{env: "RELAY_URL=https://bot.example.com|RELAY_SECRET=" + long},
			{env: "RELAY_URL=https://bot.example.com|RELAY_HEADERS=Authorization=" + long},
			{env: "RELAY_URL=https://me:" + long + "@bot.example.com"},
			{env: "RELAY_URL=ftp://bot.example.com/" + long},
			{env: "OPENAI_BASE_URL=https://me:" + long + "@llm.example.com"},
			{file: "relay_headers: |\n  Authorization " + long + "\n  X-A: b"},
			{file: "openai_api_key: sk\nopenai_headers: \"Host: " + long + "\""},
			{file: "relay_url: https://bot.example.com\nrelay_secret: " + long},
			{file: "openai_base_url: https://me:" + long + "@llm.example.com"},
			{file: "database_url: mysql://me:" + long + "@localhost/chat"},
			{file: "public_url: https://me:" + long + "@chat.example.com"},
			{file: "allowed_origins: [https://me:" + long + "@example.com]"},
		} {
			inFiles(t, c.files())
			var out bytes.Buffer
			p := &program{stdout: &out, stderr: &out, environ: strings.Split(c.env, "|")}
			args := append(strings.Fields(c.args), "config", "check")
			if c.args != "" {
				args = append([]string{"serve"}, strings.Fields(c.args)...)
			}
			if code := p.run(context.Background(), args); code != exitUsage {
				t.Errorf("%+v ends with %d; want %d", c, code, exitUsage)
			}
			a.search(fmt.Sprintf("what is said of %+v", c), out.String(), a.secrets)
		}
	}
	t.Logf("%d outputs", a.searched)
}

// TestLeaksAreSeen is the control.
func TestLeaksAreSeen(t *testing.T) {
	c := canaries{}
	text := c.add("secret")
	c.add("other")
	for name, output := range map[string]string{
		"a line of a log": `{"time":"2026-11-23T12:00:00Z","level":"INFO","msg":"request","path":"/chat?token=` + text + `"}`,
		"its beginning":   "Bearer " + text[:12] + "…",
		"its end":         "…" + text[len(text)-12:],
		"in capitals":     strings.ToUpper(text),
		"in hex":          fmt.Sprintf("%x", "Bearer "+text),
		"in hex capitals": fmt.Sprintf("%X", text),
		"in base64":       base64.StdEncoding.EncodeToString([]byte("me:" + text)),
		"shifted by one":  base64.RawURLEncoding.EncodeToString([]byte("me:a" + text)),
		"shifted by two":  base64.URLEncoding.EncodeToString([]byte("me:ab" + text)),
		"among bytes":     "\x00\xff\x01" + text + "\x00\xfe",
	} {
		if leaked := c.in(output); !slices.Equal(leaked, []string{"secret"}) {
			t.Errorf("%s: found %q; want the secret, and no other", name, leaked)
		}
	}
	for _, output := range []string{"", "Bearer", text[:8], `{"session":"` + text[:8] + `"}`} {
		if leaked := c.in(output); len(leaked) > 0 {
			t.Errorf("%q: found %q; want nothing", output, leaked)
		}
	}
}
