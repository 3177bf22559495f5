package faults_test

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parley-chat/parley/proof/disk"
	"github.com/parley-chat/parley/proof/ledger"
	"github.com/parley-chat/parley/proof/server"
	"github.com/parley-chat/parley/proof/trial"
)

const (
	fullFor   = 100 * time.Millisecond
	healsSoon = 5 * time.Second
)

func TestFullDisk(t *testing.T) {
	disk.Require(t)
	for _, test := range []struct {
		name  string
		edits []server.Edit
	}{
		{"as shipped", nil},
		{"often in a checkpoint", []server.Edit{trial.CheckpointOften}},
	} {
		t.Run(test.name, func(t *testing.T) {
			program := server.Build(t, "../../cmd/parley", test.edits...)
			var total tally
			for _, passes := range points(20, 320) {
				t.Run(fmt.Sprintf("after %d writes", passes), func(t *testing.T) {
					s := open(t, program, fault{op: disk.Write, errno: syscall.ENOSPC, passes: passes})
					s.fillAndFree(&total)
				})
			}
			t.Logf("disk full %s: %v", test.name, total)
		})
	}
}

// fillAndFree watches the server while its disk is full and afterwards.
func (s *scene) fillAndFree(total *tally) {
	s.awaitHit()
	if status := s.post(ledger.Message{Session: "new", Prompt: "Is there room?"}); status != http.StatusServiceUnavailable {
		s.Errorf("with a full disk, a new message is answered with %d; want 503\n%s", status, s.server.Log())
	}
	if status := s.post(s.known); status != http.StatusOK {
		s.Errorf("with a full disk, a message that is stored is answered with %d; want 200, its answer again", status)
	}
	var history struct{ Turns []struct{ Prompt string } }
	if s.ask(http.MethodGet, "/history", &history); len(history.Turns) != 1 || history.Turns[0].Prompt != s.known.Prompt {
		s.Errorf("with a full disk, the history is %+v; want the turn that is stored", history)
	}
	time.Sleep(fullFor)
	s.Disk.SetFault(nil)
	healed := s.heal()
	if healed > healsSoon {
		s.Errorf("the server took %v to answer when there was room again; want %v at most", healed, healsSoon)
	}
	s.close(total, healed)
	if complaints := s.crowd.Complaints(); len(complaints) > 0 {
		s.Errorf("the clients complain:\n\t%s", strings.Join(complaints, "\n\t"))
	}
}

// heal sends a new message until it is answered, for twice as long as it may
// take at most, and returns how long it took.
func (s *scene) heal() time.Duration {
	freed := time.Now()
	for s.post(ledger.Message{Session: "new", Key: "new", Prompt: "And now?"}) != http.StatusOK && time.Since(freed) < 2*healsSoon {
		time.Sleep(time.Millisecond)
	}
	return time.Since(freed)
}
