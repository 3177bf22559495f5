package main

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/cmd/parley/internal/config"
)

// A server is a running "parley serve".
type server struct {
	t      *testing.T
	cmd    *exec.Cmd
	url    string
	screen string      // what it said at the start
	log    chan string // its lines
	errors chan string // what else it said, in one piece, at its end
}

// start runs "parley serve" in a directory and waits until it is ready.
func start(t *testing.T, dir string, env []string, args ...string) *server {
	t.Helper()
	s := &server{t: t, log: make(chan string, 1000), errors: make(chan string, 1), cmd: exec.Command("parley", append([]string{"serve"}, args...)...)}
	s.cmd.Dir = dir
	s.cmd.Env = append(append(unconfigured(), "PORT=0", "HOST=127.0.0.1"), env...)
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.cmd.Process.Kill(); s.cmd.Wait() })
	go func() {
		defer close(s.log)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			s.log <- lines.Text()
		}
	}()
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		s.screen += lines.Text() + "\n"
		if address, ok := strings.CutPrefix(strings.TrimSpace(lines.Text()), "curl -X POST "); ok {
			s.url, _, _ = strings.Cut(address, "/chat")
			go func() {
				var said strings.Builder
				for lines.Scan() {
					said.WriteString(lines.Text() + "\n")
				}
				s.errors <- said.String()
			}()
			return s
		}
	}
	t.Fatalf("parley serve ended before it was ready: %v\n%s", s.cmd.Wait(), s.screen)
	return nil
}

// unconfigured returns the environment without Parley's settings.
func unconfigured() []string {
	return slices.DeleteFunc(os.Environ(), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.ContainsFunc(config.All(), func(s config.Setting) bool {
			return name == s.Env || name == s.Env+"_FILE"
		})
	})
}

// signal sends a signal.
func (s *server) signal(signal os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(signal); err != nil {
		s.t.Fatal(err)
	}
}

// stop sends a signal and returns the exit code, how long the end took, and
// what was logged and not yet read.
func (s *server) stop(signal os.Signal) (code int, took time.Duration, log []string) {
	s.t.Helper()
	s.signal(signal)
	return s.wait()
}

// wait waits until the server ends. It returns what stop returns.
func (s *server) wait() (code int, took time.Duration, log []string) {
	s.t.Helper()
	began := time.Now()
	for line := range s.log {
		log = append(log, line)
	}
	var exit *exec.ExitError
	if err := s.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return s.cmd.ProcessState.ExitCode(), time.Since(began), log
}

// post sends JSON and returns the status and the body.
func (s *server) post(path, body string) (int, string) {
	s.t.Helper()
	answer, err := http.Post(s.url+path, "application/json", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	return read(s.t, answer)
}

func (s *server) get(path string) (int, string) {
	s.t.Helper()
	answer, err := http.Get(s.url + path)
	if err != nil {
		s.t.Fatal(err)
	}
	return read(s.t, answer)
}

func read(t *testing.T, answer *http.Response) (int, string) {
	t.Helper()
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func TestServeNeedsNothing(t *testing.T) {
	dir := t.TempDir()
	began := time.Now()
	s := start(t, dir, nil)
	status, body := s.post("/chat", `{"prompt": "Hello", "session_id": "test-session"}`)
	t.Logf("from start to the first answer: %v", time.Since(began))
	if status != http.StatusOK || !strings.Contains(body, `"output"`) {
		t.Errorf("the first message gets %d %s; want an answer", status, body)
	}
	if _, err := os.Stat(filepath.Join(dir, "parley.db")); err != nil {
		t.Errorf("the data should be in parley.db: %v", err)
	}
	code, took, _ := s.stop(syscall.SIGTERM)
	if code != exitOK || took > 2*time.Second {
		t.Errorf("an idle server ends with %d after %v; want 0 within 2 s", code, took)
	}
}

func TestServeTellsWhatItDoes(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, nil)
	want := fmt.Sprintf(`
Parley %s is ready.

  chat   %[2]s/chat
  page   %[2]s/ to try it in a browser
  bot    sample rules; write your own in parley.yaml
  data   %[3]s (SQLite)
  sites  pages on this computer; add yours with ALLOWED_ORIGINS=https://example.com

  curl -X POST %[2]s/chat -H "Content-Type: application/json" -d '{"prompt": "Hello", "session_id": "test-session"}'
`, parleyVersion(), s.url, filepath.Join(dir, "parley.db"))
	if s.screen != want {
		t.Errorf("the screen is\n%s\nwant\n%s", s.screen, want)
	}
}

func TestServeTellsWhatIsRelaxed(t *testing.T) {
	dir := t.TempDir()
	yaml := "session_binding: off\nrules: [{any: hi, reply: Hello}]\n"
	if err := os.WriteFile(filepath.Join(dir, "parley.yaml"), []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, dir, []string{"HOST=", "ALLOWED_ORIGINS=*", "OPENAI_API_KEY=sk-5ec4e7", "NODE_ENV=production"}, "--database-url", "memory:")
	for _, want := range []string{
		"/chat (on every network interface)\n",
		"bot      1 rule from parley.yaml, then openai\n",
		"data     in memory\n",
		"caution  DATABASE_URL=memory: (flag --database-url): conversations and filled-in forms are lost",
		"caution  ALLOWED_ORIGINS=* (environment variable ALLOWED_ORIGINS): every website may use this chat\n",
		"caution  SESSION_BINDING=off (parley.yaml:1): whoever guesses",
		"         openai: gpt-5.4-mini at api.openai.com, key from environment variable OPENAI_API_KEY\n",
	} {
		if !strings.Contains(s.screen, want) {
			t.Errorf("the screen lacks %q:\n%s", want, s.screen)
		}
	}
	for _, unwanted := range []string{"page", "sk-5ec4e7"} {
		if strings.Contains(s.screen, unwanted) {
			t.Errorf("the screen has %q:\n%s", unwanted, s.screen)
		}
	}
	if _, _, log := s.stop(os.Interrupt); strings.Contains(strings.Join(log, ""), "sk-5ec4e7") {
		t.Errorf("the log has the secret:\n%s", log)
	}
}

func TestServeLogsJSON(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	code, _, log := s.stop(os.Interrupt)
	if code != exitOK {
		t.Errorf("SIGINT ends the server with %d; want 0", code)
	}
	var messages []string
	for _, line := range log {
		var entry struct{ Time, Level, Msg string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Time == "" || entry.Level == "" {
			t.Errorf("the log has %q, which is no entry: %v", line, err)
		}
		messages = append(messages, entry.Msg)
	}
	if got := strings.Join(messages, ", "); got != "started, stopping, stopped" {
		t.Errorf("the log says %q; want started, stopping, stopped", got)
	}
}

func TestServeAnswersFromTheFile(t *testing.T) {
	dir := t.TempDir()
	yaml := `
rules:
  - {any: hi, reply: Hello from the file.}
  - {any: form, reply: {content: Fill in, form: survey}}
forms:
  survey: {fields: [{id: color, type: text, label: Colour, required: true}]}
`
	if err := os.WriteFile(filepath.Join(dir, "parley.yaml"), []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, dir, []string{"DATABASE_URL=memory:", "DEMO_PAGE=false"})
	for _, tc := range []struct {
		path, body string
		status     int
		part       string // of the answer
	}{
		{"/chat", `{"prompt": "hi", "session_id": "s"}`, http.StatusOK, `{"output":"Hello from the file."}`},
		{"/chat", `{"prompt": "form", "session_id": "s"}`, http.StatusOK, `"submitUrl":"` + s.url + `/forms/survey"`},
		{"/forms/survey", `{"color": "green"}`, http.StatusOK, `"success":true`},
		{"/forms/survey", `{}`, http.StatusBadRequest, `{"error":"color is required"`},
		{"/contact-form", `{}`, http.StatusBadRequest, `{"error":"name is required"`},
		{"/forms/other", `{}`, http.StatusNotFound, "Not found"},
	} {
		if status, body := s.post(tc.path, tc.body); status != tc.status || !strings.Contains(body, tc.part) {
			t.Errorf("POST %s %s gets %d %s; want %d and %s", tc.path, tc.body, status, body, tc.status, tc.part)
		}
	}
	if status, _ := s.get("/"); status != http.StatusNotFound {
		t.Errorf("GET / gets %d; want 404 with DEMO_PAGE=false", status)
	}
	if status, _ := s.get("/health"); status != http.StatusOK {
		t.Errorf("GET /health gets %d; want 200", status)
	}
}

func TestServeShowsThePage(t *testing.T) {
	s := start(t, t.TempDir(), []string{"DATABASE_URL=memory:"})
	for path, want := range map[string]string{
		"/":                   "<!doctype html>",
		"/sample/parley.yaml": "rules:",
		"/sample/help":        "<!doctype html>",
	} {
		if status, body := s.get(path); status != http.StatusOK || !strings.Contains(strings.ToLower(body), want) {
			t.Errorf("GET %s gets %d; want 200 and %q in it", path, status, want)
		}
	}
}

func TestServeDoesNotWaitForConnectionsOpenedInAdvance(t *testing.T) {
	s := start(t, t.TempDir(), []string{"DATABASE_URL=memory:"})
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s.get("/health") // so that the connection before it was accepted
	if code, took, _ := s.stop(syscall.SIGTERM); code != exitOK || took > 2*time.Second {
		t.Errorf("the server ends with %d after %v; want 0 within 2 s", code, took)
	}
}

func TestSecondSignalStopsAtOnce(t *testing.T) {
	s := start(t, t.TempDir(), []string{"DATABASE_URL=memory:"})
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// A request that does not end, for which a server that stops waits.
	fmt.Fprint(conn, "POST /contact-form HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\nExpect: 100-continue\r\n\r\n")
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "100") {
		t.Fatalf("the server says %q, %v; want 100 Continue, because it waits for the body", line, err)
	}
	s.signal(syscall.SIGTERM)
	for line := range s.log {
		if strings.Contains(line, "stopping") {
			break
		}
	}
	if code, took, _ := s.stop(syscall.SIGTERM); code != exitFailure || took > time.Second {
		t.Errorf("the second signal ends the server with %d after %v; want 1 at once", code, took)
	}
}

// TestSignalLetsTurnsFinish stops a real server while it waits to commit a turn:
// the test holds the database, as a person with an SQL shell may.
func TestSignalLetsTurnsFinish(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, nil)
	db, err := sql.Open("sqlite", filepath.Join(dir, "parley.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	held, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := held.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}

	// Of two prompts with one key, the first begins a turn and the other is
	// refused, which proves that a turn is under way.
	send := func(prompt string) *http.Response {
		r, err := http.NewRequest("POST", s.url+"/chat", strings.NewReader(`{"prompt": "`+prompt+`", "session_id": "s"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", "key")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Errorf("no answer to %q: %v", prompt, err)
			return &http.Response{Body: http.NoBody}
		}
		return answer
	}
	type sent struct {
		prompt, body string
		status       int
	}
	answers := make(chan sent)
	for _, prompt := range []string{"one", "two"} {
		go func() {
			answer := send(prompt)
			status, body := read(t, answer)
			answers <- sent{prompt, body, status}
		}()
	}
	if first := <-answers; first.status != http.StatusUnprocessableEntity {
		t.Fatalf("the first answer is %+v; want 422 for the prompt that came second, while the other waits for the database", first)
	}

	s.signal(syscall.SIGTERM)
	for status, body := 0, ""; status != http.StatusServiceUnavailable || !strings.Contains(body, "stopping"); {
		status, body = s.get("/ready")
	}
	late, err := http.Post(s.url+"/chat", "application/json", strings.NewReader(`{"prompt": "late", "session_id": "other"}`))
	if err != nil {
		t.Fatal(err)
	}
	status, body := read(t, late)
	if want := `{"output":"I'm experiencing technical difficulties. Please try again."}` + "\n"; status != http.StatusServiceUnavailable || body != want {
		t.Errorf("a message after the signal gets %d %s; want 503 %s", status, body, want)
	}
	if late.Header.Get("Retry-After") == "" || !late.Close {
		t.Errorf("a message after the signal gets Retry-After %q, and the connection stays: %t; want seconds, and it closed", late.Header.Get("Retry-After"), !late.Close)
	}

	if _, err := held.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	turn := <-answers
	if turn.status != http.StatusOK {
		t.Errorf("the turn under way gets %d %s; want 200", turn.status, turn.body)
	}
	code, took, log := s.wait()
	if code != exitOK || took > 2*time.Second {
		t.Errorf("the server ends with %d, %v after its last turn; want 0 within 2 s", code, took)
	}
	if last := log[len(log)-1]; !strings.Contains(last, `"msg":"stopped"`) {
		t.Errorf("the last line of the log is %s; want stopped", last)
	}

	// What was answered is kept.
	s = start(t, dir, nil)
	if status, body := read(t, send(turn.prompt)); status != http.StatusOK || body != turn.body {
		t.Errorf("the next server answers the same message with %d %s; want 200 %s", status, body, turn.body)
	}
}

func TestServeSaysThatThePortIsTaken(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	port := s.url[strings.LastIndex(s.url, ":")+1:]
	second := exec.CommandContext(t.Context(), "parley", "--port", port, "--host", "127.0.0.1")
	second.Dir, second.Env = t.TempDir(), unconfigured()
	out, err := second.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitFailure {
		t.Errorf("the second server ends with %v; want exit code 1", err)
	}
	if want := "parley: port " + port + " is already in use: stop the other program or set PORT="; !strings.HasPrefix(string(out), want) {
		t.Errorf("the second server says %q; want %q", out, want)
	}
	if entries, _ := os.ReadDir(second.Dir); len(entries) > 0 {
		t.Errorf("the second server left %v behind; want nothing", entries)
	}
}

func TestServeKeepsWhatItAnswered(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, nil)
	if status, body := s.post("/contact-form", `{"name": "Ada", "email": "ada@example.com", "message": "Hello"}`); status != http.StatusOK {
		t.Fatalf("the form gets %d %s; want 200", status, body)
	}
	if code, _, _ := s.stop(syscall.SIGTERM); code != exitOK {
		t.Fatalf("the server ends with %d; want 0", code)
	}
	start(t, dir, nil)
	for _, args := range [][]string{
		{"submissions", "list", "--form", "contact"},
		{"submissions", "export"},
		{"submissions", "export", "--format", "json", "--form", "contact"},
	} {
		if out := output(t, dir, args...); !strings.Contains(out, "Ada") {
			t.Errorf("%v says %q while a server runs; want what was sent to the server before it", args, out)
		}
	}
	if out := output(t, dir, "submissions", "export", "--output", "out.csv"); out != "" {
		t.Errorf("export to a file says %q; want nothing", out)
	}
	file := filepath.Join(dir, "out.csv")
	data, err := os.ReadFile(file)
	if err != nil || !strings.HasPrefix(string(data), "seq,id,form,time,name,email,message\r\n1,") {
		t.Errorf("the file has %q, %v; want CSV", data, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v; want it to be readable for its owner only", info.Mode(), err)
	}
}

func TestServeEndsWhenItsStoreBreaks(t *testing.T) {
	store := &brokenStore{parley.NewMemory(), make(chan error, 1)}
	store.broken <- errors.New("the disk is gone")
	t.Chdir(t.TempDir())
	cfg, err := new(program).load(nil)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	chat, handler, err := wire(cfg, store, log)
	if err != nil {
		t.Fatal(err)
	}
	err = untilStopped(t.Context(), log, chat, newServer(handler, log), nil, broken(store))
	if err == nil || !strings.Contains(err.Error(), "the disk is gone") {
		t.Errorf("the server ends with %v; want what broke the store", err)
	}
}

type brokenStore struct {
	*parley.Memory
	broken chan error
}

func (s *brokenStore) Broken() <-chan error { return s.broken }

func TestShutdownLetsTurnsFinish(t *testing.T) {
	begun, finish := make(chan bool), make(chan bool)
	bot := parley.BotFunc(func(context.Context, *parley.Turn) (parley.Reply, error) {
		begun <- true
		<-finish
		return parley.Text("worth the wait"), nil
	})
	chat, err := parley.New(parley.Config{Bot: bot, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	httpServer := newServer(chat.Handler(), slog.New(slog.DiscardHandler))
	go httpServer.Serve(listener)
	s := &server{t: t, url: "http://" + listener.Addr().String()}

	answer := make(chan string)
	go func() {
		status, body := s.post("/chat", `{"prompt": "before", "session_id": "a"}`)
		answer <- fmt.Sprint(status, " ", body)
	}()
	<-begun
	ended := make(chan error)
	go func() { ended <- shutdown(chat, httpServer, drainTimeout) }()
	for status := 0; status != http.StatusServiceUnavailable; { // until it has noticed
		status, _ = s.get("/ready")
	}
	if status, body := s.post("/chat", `{"prompt": "after", "session_id": "b"}`); status != http.StatusServiceUnavailable {
		t.Errorf("a message after the signal gets %d %s; want 503", status, body)
	}
	close(finish)
	if got, want := <-answer, "200 {\"output\":\"worth the wait\"}\n"; got != want {
		t.Errorf("the message before the signal gets %q; want %q", got, want)
	}
	if err := <-ended; err != nil {
		t.Errorf("the shutdown ends with %v; want nil", err)
	}
}

// TestShutdownDoesNotWaitForEver stops a server whose bot never answers.
func TestShutdownDoesNotWaitForEver(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as closeTimeout")
	}
	begun, never := make(chan bool), make(chan bool)
	defer close(never)
	bot := parley.BotFunc(func(context.Context, *parley.Turn) (parley.Reply, error) {
		begun <- true
		<-never
		return parley.Text("too late"), nil
	})
	chat, err := parley.New(parley.Config{Bot: bot, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(nil)
	server.Config = newServer(chat.Handler(), slog.New(slog.DiscardHandler))
	server.Start()
	defer server.Close()
	go http.Post(server.URL+"/chat", "application/json", strings.NewReader(goodPrompt))
	<-begun
	began := time.Now()
	err = shutdown(chat, server.Config, 10*time.Millisecond)
	if took := time.Since(began); err == nil || !strings.Contains(err.Error(), "cut off") || took > 2*closeTimeout {
		t.Errorf("the shutdown ends with %v after %v; want it to say what was cut off, within %v", err, took, 2*closeTimeout)
	}
}

// TestTimesNest keeps every time within the one around it.
func TestTimesNest(t *testing.T) {
	longest := time.Duration(0)
	for _, s := range config.All() {
		if s.Name == "answer_timeout" {
			var err error
			if longest, err = time.ParseDuration(s.Max); err != nil {
				t.Fatal(err)
			}
		}
	}
	if longest == 0 || longest >= writeTimeout {
		t.Errorf("the longest ANSWER_TIMEOUT is %v; want less than the write timeout of %v", longest, writeTimeout)
	}
	if total := drainTimeout + closeTimeout; total >= 30*time.Second {
		t.Errorf("a stop may take %v; want less than 30 s", total)
	}
}

// output returns what a command prints, which must go well.
func output(t *testing.T, dir string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "parley", args...)
	cmd.Dir, cmd.Env = dir, unconfigured()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("parley %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}
