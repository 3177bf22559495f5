package faults_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parley-chat/parley/proof/disk"
	"github.com/parley-chat/parley/proof/ledger"
	"github.com/parley-chat/parley/proof/server"
	"github.com/parley-chat/parley/proof/trial"
)

// endsSoon is how long after an I/O error the server may still run.
const endsSoon = time.Second

func TestBrokenDisk(t *testing.T) {
	disk.Require(t)
	shipped := server.Build(t, "../../cmd/parley")
	often := server.Build(t, "../../cmd/parley", trial.CheckpointOften)
	for _, test := range []struct {
		name    string
		program string
		fault   fault
		most    int
	}{
		// What a sync could not write counts as written for the kernel, so that
		// the next one succeeds: the server must not fall for it.
		{"one sync", shipped, fault{op: disk.Sync, once: true}, 90},
		{"one sync, often in a checkpoint", often, fault{op: disk.Sync, once: true}, 90},
		{"every write", shipped, fault{op: disk.Write}, 300},
		{"every write, often in a checkpoint", often, fault{op: disk.Write}, 300},
	} {
		t.Run(test.name, func(t *testing.T) {
			var total tally
			for _, passes := range points(15, test.most) {
				t.Run(fmt.Sprintf("after %d", passes), func(t *testing.T) {
					test.fault.errno, test.fault.passes = syscall.EIO, passes
					open(t, test.program, test.fault).watchItEnd(&total)
				})
			}
			t.Logf("disk broken, %s: %v", test.name, total)
		})
	}
}

// watchItEnd watches the server after its disk has failed.
func (s *scene) watchItEnd(total *tally) {
	file := s.awaitHit()
	hit := time.Now()
	select {
	case <-s.server.Exited():
	case <-time.After(10 * endsSoon):
		s.Fatalf("the server goes on after an I/O error in %q\n%s", file, s.server.Log())
	}
	took := time.Since(hit)
	if took > endsSoon {
		s.Errorf("the server ended %v after an I/O error in %q; want %v at most", took, file, endsSoon)
	}
	if code := s.server.ExitCode(); code <= 0 {
		s.Errorf("the server ended with code %d; want one above 0", code)
	}
	if log := s.server.Log(); !strings.Contains(log, "I/O error") {
		s.Errorf("the log does not say why the server ended:\n%s", log)
	}
	s.close(total, took)
}

// TestFaultsFindFlaws is the control: a server that acknowledges what it has not
// stored must not pass.
func TestFaultsFindFlaws(t *testing.T) {
	disk.Require(t)
	program := server.Build(t, "../witness")
	for _, f := range []fault{
		{op: disk.Write, errno: syscall.ENOSPC, passes: 50},
		{op: disk.Sync, errno: syscall.EIO, passes: 20},
	} {
		t.Run(f.errno.Error(), func(t *testing.T) {
			s := open(t, program, f, "-flaw=early")
			s.awaitHit()
			s.post(ledger.Message{Session: "new", Key: "new", Prompt: "Do you lie?"})
			if v := s.judge(); v.Lost == 0 {
				t.Errorf("nothing is lost: %v; want the server found out", v)
			}
		})
	}
}
