// Package deploy_test tries what the folders here tell others to deploy.
package deploy_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/dbtest"
	"github.com/parley-chat/parley/store/postgres"
)

func TestMain(m *testing.M) {
	if dbtest.LeftOut() {
		return
	}
	code := dbtest.Main(m)
	os.RemoveAll(built.dir)
	os.Exit(code)
}

// built is the program under test, once for all tests.
var built struct {
	once sync.Once
	dir  string
	err  error
}

func program(t *testing.T) string {
	t.Helper()
	path := func() string { return filepath.Join(built.dir, "parley") }
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "parley-deploy-"); built.err != nil {
			return
		}
		out, err := exec.Command("go", "build", "-o", path(), "../cmd/parley").CombinedOutput()
		if err != nil {
			built.err = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return path()
}

// need returns the path of a program that the test cannot do without.
func need(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("this needs %s; install it: scripts/test-deps.sh", program)
	}
	if err != nil {
		t.Skipf("SKIPPED: this needs %s; install it: scripts/test-deps.sh", program)
	}
	return path
}

// site is nginx as deploy/nginx says, in front of three nodes on one database.
type site struct {
	url      string
	program  string
	database string
	env      []string
	nodes    [3]*process
	ports    [3]int
}

// A process is a child process that ends with the test.
type process struct {
	*exec.Cmd
	output bytes.Buffer
	ended  chan struct{}
}

func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{Cmd: cmd, ended: make(chan struct{})}
	p.Stdout, p.Stderr = &p.output, &p.output
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.Process.Signal(syscall.SIGTERM)
		<-p.ended
	})
	return p
}

// newSite starts all of it. The bot is a backend that answers slowly, in pieces.
func newSite(t *testing.T, settings ...string) *site {
	nginx := need(t, "nginx")
	database := dbtest.SharedPostgres(t).URL(t)
	backend := httptest.NewServer(http.HandlerFunc(speak))
	t.Cleanup(backend.Close)
	dir := t.TempDir()
	s := &site{program: program(t), database: database}
	s.env = append([]string{"HOST=127.0.0.1", "TRUST_PROXY=1", "DATABASE_URL=" + database, "BOTS=relay", "RELAY_URL=" + backend.URL}, settings...)
	data, err := os.ReadFile("nginx/parley.conf")
	if err != nil {
		t.Fatal(err)
	}
	conf := string(data)
	replace := func(old, new string) {
		t.Helper()
		if !strings.Contains(conf, old) {
			t.Fatalf("deploy/nginx/parley.conf has no %q", old)
		}
		conf = strings.Replace(conf, old, new, 1)
	}
	for i := range s.nodes {
		s.ports[i] = freePort(t)
		replace(fmt.Sprintf("127.0.0.1:%d", 3001+i), fmt.Sprintf("127.0.0.1:%d", s.ports[i]))
		s.startNode(t, i)
	}
	port := freePort(t)
	replace("listen 80;", fmt.Sprintf("listen 0.0.0.0:%d;", port))
	s.url = fmt.Sprintf("http://127.0.0.1:%d", port)

	write(t, filepath.Join(dir, "parley.conf"), conf)
	write(t, filepath.Join(dir, "nginx.conf"), strings.ReplaceAll(`daemon off; worker_processes 1; pid DIR/pid; error_log DIR/error.log;
events { worker_connections 1024; }
http {
	access_log off;
	client_body_temp_path DIR/body; proxy_temp_path DIR/proxy; fastcgi_temp_path DIR/f; uwsgi_temp_path DIR/u; scgi_temp_path DIR/s;
	include DIR/parley.conf;
}
`, "DIR", dir))
	p := start(t, exec.Command(nginx, "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", filepath.Join(dir, "nginx.conf")))
	t.Cleanup(func() {
		if log, err := os.ReadFile(filepath.Join(dir, "error.log")); t.Failed() && err == nil {
			t.Logf("nginx says:\n%s", log[:min(len(log), 4000)])
		}
	})
	s.await(t, s.url+"/ready", p)
	return s
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// startNode starts a node, or starts it again.
func (s *site) startNode(t *testing.T, i int) {
	t.Helper()
	cmd := exec.Command(s.program)
	cmd.Dir = t.TempDir()
	cmd.Env = append(s.env, fmt.Sprint("PORT=", s.ports[i]))
	s.nodes[i] = start(t, cmd)
	s.await(t, fmt.Sprintf("http://127.0.0.1:%d/ready", s.ports[i]), s.nodes[i])
}

// restartNode stops a node as an operator does, and starts it again.
func (s *site) restartNode(t *testing.T, i int) {
	t.Helper()
	s.nodes[i].Process.Signal(syscall.SIGTERM)
	select {
	case <-s.nodes[i].ended:
	case <-time.After(40 * time.Second):
		t.Fatalf("node %d does not stop:\n%s", i+1, s.nodes[i].output.String())
	}
	s.startNode(t, i)
}

func (s *site) await(t *testing.T, url string, p *process) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		answer, err := http.Get(url)
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-p.ended:
			t.Fatalf("%s ended:\n%s", p.Path, p.output.String())
		case <-deadline:
			t.Fatalf("%s is not ready after 20 s:\n%s", p.Path, p.output.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// speak is a backend that says back what it is told. A prompt that begins with
// "slowly" takes two seconds, in ten pieces where it is asked for a stream.
func speak(w http.ResponseWriter, r *http.Request) {
	var q struct{ Prompt string }
	json.NewDecoder(r.Body).Decode(&q)
	out := http.NewResponseController(w)
	if strings.HasPrefix(q.Prompt, "slowly") {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 10 {
			fmt.Fprintf(w, "event: delta\ndata: {\"text\":\"%d \"}\n\n", i)
			out.Flush()
			select {
			case <-r.Context().Done():
				return
			case <-time.After(200 * time.Millisecond):
			}
		}
		fmt.Fprintf(w, "event: reply\ndata: {\"output\":\"0 1 2 3 4 5 6 7 8 9 \"}\n\n")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]string{"output": "You said: " + q.Prompt})
}

// post sends a prompt from an address of loopback. Headers are names and values
// in turn.
func (s *site) post(ctx context.Context, from, prompt string, headers ...string) (*http.Response, error) {
	body, _ := json.Marshal(map[string]any{"prompt": prompt, "session_id": nil})
	r, err := http.NewRequestWithContext(ctx, "POST", s.url+"/chat", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	client := &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}
	return client.Do(r)
}

// say sends a prompt and returns the answer.
func (s *site) say(ctx context.Context, from, prompt string, headers ...string) (status int, output string, err error) {
	answer, err := s.post(ctx, from, prompt, headers...)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	var body struct{ Output string }
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil {
		return answer.StatusCode, "", err
	}
	return answer.StatusCode, body.Output, nil
}

// stream asks for a stream and returns its events, and how long before the end
// the first one came.
func (s *site) stream(ctx context.Context, prompt string) (events []string, ahead time.Duration, err error) {
	answer, err := s.post(ctx, "127.0.0.1", prompt, "Accept", "text/event-stream")
	if err != nil {
		return nil, 0, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, 0, errors.New(answer.Status)
	}
	var first time.Time
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if event, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			if events = append(events, event); len(events) == 1 {
				first = time.Now()
			}
		}
	}
	return events, time.Since(first), lines.Err()
}

// turns returns how many turns are stored.
func (s *site) turns(t *testing.T) (n int64) {
	t.Helper()
	store, err := postgres.Open(t.Context(), postgres.Config{URL: s.database})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for after, more := "", true; more; more = after != "" {
		var records []parley.Record
		if records, after, err = store.Records(t.Context(), after, 1000); err != nil {
			t.Fatal(err)
		}
		n += int64(len(records))
	}
	return n
}

func TestNginx(t *testing.T) {
	t.Run("does not hold up streams", func(t *testing.T) {
		s := newSite(t)
		events, ahead, err := s.stream(t.Context(), "slowly")
		if err != nil || len(events) < 5 || events[len(events)-1] != "reply" || ahead < time.Second {
			t.Errorf("a stream of two seconds had the events %q, the first of them %v before the end, %v; want them as they come", events, ahead, err)
		}
	})

	t.Run("passes on who asks", func(t *testing.T) {
		const limit = 7
		s := newSite(t, fmt.Sprint("RATE_LIMIT=", limit))
		for _, from := range []string{"127.0.0.1", "127.0.0.2"} {
			passed := 0
			for i := range 3 * limit {
				status, _, err := s.say(t.Context(), from, fmt.Sprint("Hello ", i), "X-Forwarded-For", fmt.Sprint("192.0.2.", i), "X-Real-IP", fmt.Sprint("192.0.2.", i), "Forwarded", fmt.Sprint("for=192.0.2.", i))
				switch {
				case err == nil && status == http.StatusOK:
					passed++
				case status != http.StatusTooManyRequests:
					t.Fatalf("message %d of %s: status %d, %v; want 200 or 429", i, from, status, err)
				}
			}
			if passed != limit {
				t.Errorf("of one visitor %d messages passed; want %d, over all nodes and whatever it writes into headers", passed, limit)
			}
		}
	})

	t.Run("restarts nodes one by one and loses nothing", func(t *testing.T) {
		s := newSite(t, "RATE_LIMIT=0", "ACCESS_LOG=false")
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var said, streamed atomic.Int64
		var visitors sync.WaitGroup
		visit := func(do func(n int64) error) {
			visitors.Go(func() {
				for n := int64(0); ctx.Err() == nil; n++ {
					if err := do(n); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for v := range 4 {
			visit(func(n int64) error {
				prompt := fmt.Sprintf("message %d of visitor %d", n, v)
				status, output, err := s.say(context.WithoutCancel(ctx), "127.0.0.1", prompt)
				if err != nil || status != http.StatusOK || output != "You said: "+prompt {
					return fmt.Errorf("%s got %d %q, %v", prompt, status, output, err)
				}
				said.Add(1)
				return nil
			})
			visit(func(n int64) error {
				events, _, err := s.stream(context.WithoutCancel(ctx), fmt.Sprintf("slowly, message %d of visitor %d", n, v))
				if err != nil || len(events) == 0 || events[len(events)-1] != "reply" {
					return fmt.Errorf("a stream ended with %q, %v; want it to end with the reply", events, err)
				}
				streamed.Add(1)
				return nil
			})
		}
		for i := range s.nodes {
			s.restartNode(t, i)
		}
		stop()
		visitors.Wait()
		if said.Load() < 50 || streamed.Load() < 4 {
			t.Errorf("there were %d answers and %d streams; want enough to show something", said.Load(), streamed.Load())
		}
		if stored := s.turns(t); stored != said.Load()+streamed.Load() {
			t.Errorf("%d turns are stored for %d answers and %d streams; want one for each", stored, said.Load(), streamed.Load())
		}
		t.Logf("3 restarts under load: %d answers and %d streams, none of them lost", said.Load(), streamed.Load())
	})
}
