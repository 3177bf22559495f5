// Package dbtest starts real databases for tests, each as a child process on a
// free port of loopback with its data in a temporary directory:
//
//	server := dbtest.Postgres(t)
//	store, err := postgres.Open(ctx, postgres.Config{URL: server.URL(t)})
//
// It needs nothing but the database's own programs, and no rights.
package dbtest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// startTimeout is how long a server may take until it answers.
const startTimeout = 30 * time.Second

// A Server is a database that runs as a child process. Its methods are for one
// goroutine at a time, but for URL.
type Server struct {
	name    string
	dir     string                           // gone with the server
	command func() *exec.Cmd                 // runs it
	ready   func(ctx context.Context) error  // returns nil once it answers
	url     func(t testing.TB) string        // of an empty database
	stop    func(*os.Process) error          // asks it to stop
	fatalf  func(format string, args ...any) // ends the test
	running *exec.Cmd                        // nil while it does not run
	ended   chan struct{}                    // closed when running has ended
}

// URL returns the address of an empty database, another one at each call.
func (s *Server) URL(t testing.TB) string {
	t.Helper()
	return s.url(t)
}

// Start starts the server after Stop or Kill, on the same port and with the same
// data, and waits until it answers.
func (s *Server) Start() {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		err := s.start(ctx)
		if err == nil {
			return
		}
		s.Kill()
		select {
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			s.fatalf("start %s: %v\n%s", s.name, err, log)
			return
		case <-time.After(100 * time.Millisecond): // the one before may not be gone altogether
		}
	}
}

func (s *Server) start(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := s.command()
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	s.running, s.ended = cmd, make(chan struct{})
	go func(ended chan struct{}) {
		cmd.Wait()
		close(ended)
	}(s.ended)
	return s.await(ctx)
}

// await waits until the server answers.
func (s *Server) await(ctx context.Context) error {
	for {
		err := s.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.ended:
			return errors.New("it ended at once")
		case <-ctx.Done():
			return fmt.Errorf("it did not answer within %v: %w", startTimeout, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Stop stops the server as an operator would, and waits for its end.
func (s *Server) Stop() { s.end(s.stop) }

// Kill ends the server as a crash would: it gets no chance to do anything.
func (s *Server) Kill() { s.end((*os.Process).Kill) }

func (s *Server) end(how func(*os.Process) error) {
	if s.running == nil {
		return
	}
	if err := how(s.running.Process); err != nil {
		s.running.Process.Kill()
	}
	<-s.ended
	s.running = nil
}

// remove ends the server and removes what it left.
func (s *Server) remove() {
	s.Kill()
	os.RemoveAll(s.dir)
}

var (
	sharing sync.Mutex
	shared  []*Server // what Main ends
)

// sharedServer returns the server of a kind that the tests of a package share.
// The first call makes it and starts it.
func sharedServer(name string, create func() *Server) *Server {
	sharing.Lock()
	defer sharing.Unlock()
	for _, s := range shared {
		if s.name == name {
			return s
		}
	}
	s := create()
	shared = append(shared, s)
	s.Start()
	return s
}

// Main runs the tests of a package that shares a server between them, and ends
// it then. It is for TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }
func Main(m *testing.M) int {
	defer func() {
		for _, s := range shared {
			s.remove()
		}
	}()
	return m.Run()
}

// LeftOut reports whether the tests of a package that needs a database are left
// out, and says so: with -short, because they take longer than all others
// together. It is for TestMain, before anything else.
func LeftOut() bool {
	if !flag.Parsed() {
		flag.Parse()
	}
	if testing.Short() {
		fmt.Println("SKIPPED: with -short, tests that start a database are left to make test")
	}
	return testing.Short()
}

// need ends a test that needs a program which is not installed: it fails where
// the environment says CI=true, and is skipped elsewhere.
func need(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("this needs %s; install it: scripts/test-deps.sh", what)
	}
	t.Skipf("SKIPPED: this needs %s; install it: scripts/test-deps.sh", what)
}

// freePort returns a port of loopback on which nobody listens.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
