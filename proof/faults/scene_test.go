// Package faults proves what happens when the disk is full or broken: nothing
// that was acknowledged is lost, a full disk heals by itself, and after a failed
// sync the server ends rather than trust a disk that forgets.
package faults_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parley-chat/parley/proof/disk"
	"github.com/parley-chat/parley/proof/ledger"
	"github.com/parley-chat/parley/proof/load"
	"github.com/parley-chat/parley/proof/server"
	"github.com/parley-chat/parley/proof/trial"
)

// points returns how many operations to let pass before each of n faults, which
// come among the first most: a fifth as many where the test is short.
func points(n, most int) []int {
	if testing.Short() {
		n /= 5
	}
	var passes []int
	for i := range n {
		passes = append(passes, i*most/n)
	}
	return passes
}

// A fault lets a disk fail after some operations.
type fault struct {
	op     disk.Op
	errno  syscall.Errno
	once   bool        // the disk fails once, or from then on
	passes int         // how many operations still succeed
	hit    chan string // gets the name of the file that is hit first
}

// strike is a [disk.Fault]. The shared memory of SQLite is spared: the kernel
// writes that file whenever it likes, and nothing in it needs to survive.
func (f *fault) strike(op disk.Op, name string) syscall.Errno {
	if op != f.op || strings.HasSuffix(name, "-shm") {
		return 0
	}
	f.passes--
	switch {
	case f.passes == -1:
		f.hit <- name
		return f.errno
	case f.passes < -1 && !f.once:
		return f.errno
	}
	return 0
}

// A scene is a server on a disk that will fail, and a crowd that talks to it.
type scene struct {
	*testing.T
	*trial.Unplugged
	server *server.Server
	crowd  *load.Crowd
	known  ledger.Message // was acknowledged before anything went wrong
	leave  func()         // sends the crowd home
	hit    chan string    // gets the name of the file that fails first
}

// open opens a scene in which the disk fails soon.
func open(t *testing.T, program string, f fault, args ...string) *scene {
	t.Helper()
	s := &scene{
		T:         t,
		Unplugged: trial.NewUnplugged(t, program, args...),
		crowd:     load.New(),
		known:     ledger.Message{Key: "known", Prompt: "Are you there?"},
		hit:       make(chan string, 1),
	}
	s.server = s.start()
	var session struct {
		Token string `json:"session_token"`
	}
	s.ask(http.MethodPost, "/session", &session)
	s.known.Token = session.Token
	if status := s.post(s.known); status != http.StatusOK {
		t.Fatalf("before anything went wrong, the answer is %d; want 200\n%s", status, s.server.Log())
	}
	f.hit = s.hit
	s.Disk.SetFault(f.strike)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	s.leave = func() { cancel(); s.crowd.Wait() }
	s.crowd.Talk(ctx, s.server.URL)
	return s
}

// start starts the server and waits until it is ready.
func (s *scene) start() *server.Server {
	s.Helper()
	started, err := s.Start()
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(started.Kill)
	if _, err := started.WaitReady(); err != nil {
		s.Fatal(err)
	}
	return started
}

// post sends a message once and returns the status of its answer, or 0 where
// there is none.
func (s *scene) post(m ledger.Message) int {
	s.crowd.Ledger.Sent(m)
	status, _ := s.crowd.Post(s.Context(), s.server.URL, m)
	return status
}

// ask sends a request, with the token of the known message where it has one, and
// decodes the answer, which must be 200.
func (s *scene) ask(method, path string, into any) {
	s.Helper()
	req, err := http.NewRequest(method, s.server.URL+path, strings.NewReader("{}"))
	if err != nil {
		s.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if s.known.Token != "" {
		req.Header.Set("X-Parley-Session", s.known.Token)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		s.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(into); err != nil || answer.StatusCode != http.StatusOK {
		s.Errorf("%s %s is answered with %s, %v; want 200", method, path, answer.Status, err)
	}
}

// awaitHit waits until the disk has failed, and returns the name of the file.
func (s *scene) awaitHit() string {
	s.Helper()
	select {
	case name := <-s.hit:
		return name
	case <-time.After(10 * time.Second):
		s.Fatalf("the disk was not used enough to fail\n%s", s.server.Log())
		return ""
	}
}

// judge sends the crowd home, cuts the power, starts the server again on a disk
// that works, and returns what the ledger says.
func (s *scene) judge() ledger.Verdict {
	s.Helper()
	s.leave()
	if err := s.Crash(s.server); err != nil {
		s.Fatal(err)
	}
	s.Disk.SetFault(nil)
	s.server = s.start()
	records, err := s.Records()
	if err != nil {
		s.Fatal(err)
	}
	if err := s.Crash(s.server); err != nil {
		s.Fatal(err)
	}
	return s.crowd.Ledger.Compare(records)
}

// close judges the store, fails the test where something is wrong, and adds the
// figures to a tally. The server took so long to do what it had to.
func (s *scene) close(total *tally, took time.Duration) {
	s.Helper()
	v := s.judge()
	if err := v.Err(); err != nil {
		s.Error(err)
	}
	total.points++
	total.refused += s.crowd.Refused()
	total.verdict = total.verdict.Plus(v)
	total.took = max(total.took, took)
}

// A tally is the sum of several scenes.
type tally struct {
	points  int
	refused int
	verdict ledger.Verdict
	took    time.Duration // the longest that a server took to heal or to end
}

func (t tally) String() string {
	return fmt.Sprintf("points=%d refused=%d %v took: max=%v", t.points, t.refused, t.verdict, t.took.Round(time.Millisecond))
}
