package llm

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A Server is a model server that runs as a process of its own.
type Server struct {
	URL string

	program string
	dir     string
}

// listening is how Ollama says where it is.
var listening = regexp.MustCompile(`Listening on (127\.0\.0\.1:\d+)`)

// Start starts a model server that has no models yet, and ends with the test.
// The test is skipped where there is none.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{program: find(t), dir: t.TempDir()}
	serve := s.command("127.0.0.1:0", "serve")
	serve.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	stderr, err := serve.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := serve.Start(); err != nil {
		t.Fatalf("start Ollama: %v", err)
	}
	var log []string
	address, read := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			log = append(log, lines.Text())
			if match := listening.FindStringSubmatch(lines.Text()); match != nil {
				address <- match[1]
			}
		}
	}()
	t.Cleanup(func() {
		serve.Process.Signal(os.Interrupt) // so that it ends the processes that run its models
		select {
		case <-read:
		case <-time.After(10 * time.Second):
			t.Error("Ollama runs ten seconds after it was told to stop")
			syscall.Kill(-serve.Process.Pid, syscall.SIGKILL)
			<-read
		}
		serve.Wait()
		if t.Failed() {
			t.Logf("the end of Ollama's log:\n%s", strings.Join(log[max(0, len(log)-20):], "\n"))
		}
	})
	select {
	case a := <-address:
		s.URL = "http://" + a
	case <-read:
		t.Fatal("Ollama ended before it listened")
	case <-time.After(30 * time.Second):
		t.Fatal("Ollama does not listen after half a minute")
	}
	return s
}

// find returns the program that ollama.sh built.
func find(t testing.TB) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(cache, "parley", "ollama")
	if _, err := os.Stat(program); errors.Is(err, os.ErrNotExist) {
		t.Skip("SKIPPED: needs a model server; build it, once, with: make llm")
	}
	return program
}

// command returns a command of Ollama's. Whatever it keeps is in the server's
// own folder.
func (s *Server) command(address string, args ...string) *exec.Cmd {
	cmd := exec.Command(s.program, args...)
	cmd.Dir = s.dir
	cmd.Env = []string{
		"HOME=" + s.dir,
		"OLLAMA_HOST=" + address,
		"OLLAMA_NUM_PARALLEL=1", // answers of one model are made one after the other
		"OLLAMA_NO_CLOUD=1",
	}
	return cmd
}

// Create gives the server a model.
func (s *Server) Create(t testing.TB, name string, m Model) {
	t.Helper()
	gguf, err := os.Create(filepath.Join(s.dir, name+".gguf"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.WriteTo(gguf); err != nil {
		t.Fatal(err)
	}
	if err := gguf.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(s.dir, name+".modelfile")
	if err := os.WriteFile(path, fmt.Appendf(nil, modelfile, gguf.Name()), 0o600); err != nil {
		t.Fatal(err)
	}
	create := s.command(strings.TrimPrefix(s.URL, "http://"), "create", name, "-f", path)
	if out, err := create.CombinedOutput(); err != nil {
		t.Fatalf("ollama create: %v\n%s", err, out)
	}
}

// modelfile says what makes one text of a conversation, which the model then
// continues. One thread is enough for models so small; more would mostly wait for
// each other.
const modelfile = `FROM %s
TEMPLATE """{{ range .Messages }}{{ .Role }}: {{ .Content }}
{{ end }}"""
PARAMETER num_thread 1
`
