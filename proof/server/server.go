// Package server runs a chat server as a process of its own, to be killed.
package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// A Server is a process that runs or ran.
type Server struct {
	URL string

	started time.Time
	cmd     *exec.Cmd
	log     log
	exited  chan struct{}
}

// Settings are environment variables.
type Settings map[string]string

// Start starts a program with the SQLite database at path. Args are its
// arguments. See [StartWith].
func Start(program, database string, args ...string) (*Server, error) {
	return StartWith(program, Settings{"DATABASE_URL": "sqlite:" + database}, args...)
}

// StartWith starts a program. It is told by the environment alone where to
// listen and what to open, so that each program that understands these settings
// can be put to the proof. It listens on a free port and has no limits, unless
// the settings say otherwise. It dies with the process that started it.
func StartWith(program string, settings Settings, args ...string) (*Server, error) {
	port := settings["PORT"]
	if port == "" {
		free, err := freePort()
		if err != nil {
			return nil, err
		}
		port = strconv.Itoa(free)
	}
	s := &Server{
		URL:     "http://" + net.JoinHostPort("127.0.0.1", port),
		started: time.Now(),
		cmd:     exec.Command(program, args...),
		exited:  make(chan struct{}),
	}
	s.cmd.Dir = filepath.Dir(program) // not on the disk that will fail
	s.cmd.Env = []string{
		"HOST=127.0.0.1", "PORT=" + port,
		"RATE_LIMIT=0", // the whole crowd has one address
	}
	for name, value := range settings {
		s.cmd.Env = append(s.cmd.Env, name+"="+value) // the last one counts
	}
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	go func() {
		s.cmd.Wait()
		close(s.exited)
	}()
	return s, nil
}

// freePort returns a port below those that the system gives to clients, so that
// none of them takes it before the server does.
func freePort() (int, error) {
	for range 100 {
		port := 20000 + rand.IntN(10000)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("100 ports are all taken")
}

// WaitReady waits until the server can answer prompts, and returns how long
// that took from its start. It gives up after ten seconds.
func (s *Server) WaitReady() (time.Duration, error) {
	ctx, cancel := context.WithDeadline(context.Background(), s.started.Add(10*time.Second))
	defer cancel()
	for {
		if s.answers(ctx, "/ready") {
			return time.Since(s.started), nil
		}
		select {
		case <-s.exited:
			return 0, fmt.Errorf("the server ended before it was ready: %v\n%s", s.cmd.ProcessState, s.Log())
		case <-ctx.Done():
			return 0, fmt.Errorf("the server is not ready after ten seconds:\n%s", s.Log())
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// answers reports whether a GET of a path is answered with 200.
func (s *Server) answers(ctx context.Context, path string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+path, nil)
	if err != nil {
		return false
	}
	req.Close = true
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// Kill ends the process with SIGKILL, and returns when it is gone.
func (s *Server) Kill() {
	s.cmd.Process.Kill()
	<-s.exited
}

// Exited is closed when the process has ended.
func (s *Server) Exited() <-chan struct{} { return s.exited }

// ExitCode returns with what the process ended, or -1 where a signal did it.
func (s *Server) ExitCode() int {
	<-s.exited
	return s.cmd.ProcessState.ExitCode()
}

// Log returns what the process printed last.
func (s *Server) Log() string { return s.log.String() }

// log keeps the end of what is written to it.
type log struct {
	mu   sync.Mutex
	text []byte
}

const logSize = 16 << 10

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	if len(l.text) > 2*logSize {
		l.text = bytes.Clone(l.text[len(l.text)-logSize:])
	}
	return len(p), nil
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}
