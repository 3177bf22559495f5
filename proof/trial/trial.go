// Package trial loads a server, crashes it, starts it again, and has the
// clients' ledger judge what is left, over and over.
package trial

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/parley-chat/parley/proof/ledger"
	"github.com/parley-chat/parley/proof/load"
	"github.com/parley-chat/parley/proof/server"
)

const (
	// longestTalk is after how long at the latest a crash ends a talk.
	longestTalk = 300 * time.Millisecond
	// longestStart is after how long at the latest a crash ends a start.
	longestStart = 60 * time.Millisecond
)

// CheckpointOften makes a server whose write-ahead log is copied to the database
// every few dozen turns, rather than every few thousand, so that crashes also
// hit that.
var CheckpointOften = server.Edit{
	File: "../../store/sqlite/writer.go", Old: "checkpointEvery = 32 << 20", New: "checkpointEvery = 1 << 18",
}

// A Report is what came out of a trial.
type Report struct {
	Crashes int
	Verdict ledger.Verdict
	Resent  int             // messages that were sent again
	Ready   []time.Duration // how long each start took until the server was ready
}

// Run crashes the server of a machine at random moments, and returns at the
// first verdict that finds something wrong, with the verdict as error.
//
// Most crashes come while the crowd talks. Where there are several, every fifth
// hits a start: the first one the making of the database, the others the
// recovery from the crash before.
func Run(m Machine, crashes int) (Report, error) {
	var report Report
	crowd := load.New()
	judge := func(s *server.Server) error { return report.judge(m, s, crowd) }
	for i := range crashes {
		live := func(s *server.Server) error {
			if err := judge(s); err != nil {
				return err
			}
			return listen(s, crowd)
		}
		if crashes > 1 && i%5 == 0 {
			live = sleep
		}
		if err := crash(m, live); err != nil {
			return report, err
		}
		report.Crashes++
	}
	return report, crash(m, judge)
}

// crash starts the server, lets it live, and crashes it.
func crash(m Machine, live func(*server.Server) error) error {
	s, err := m.Start()
	if err != nil {
		return err
	}
	err = live(s)
	return errors.Join(err, m.Crash(s))
}

// sleep waits for the moment to crash a start.
func sleep(*server.Server) error {
	time.Sleep(rand.N(longestStart))
	return nil
}

// listen has the crowd talk, and waits for the moment to cut it short.
func listen(s *server.Server, crowd *load.Crowd) error {
	crowd.Talk(context.Background(), s.URL)
	select {
	case <-time.After(rand.N(longestTalk)):
		return nil
	case <-s.Exited():
		return fmt.Errorf("the server ended by itself, with code %d:\n%s", s.ExitCode(), s.Log())
	}
}

// judge waits until the server is ready and compares its store with what the
// crowd knows.
func (r *Report) judge(m Machine, s *server.Server, crowd *load.Crowd) error {
	crowd.Wait()
	ready, err := s.WaitReady()
	if err != nil {
		return err
	}
	r.Ready = append(r.Ready, ready)
	records, err := m.Records()
	if err != nil {
		return err
	}
	r.Verdict, r.Resent = crowd.Ledger.Compare(records), crowd.Resent()
	if complaints := crowd.Complaints(); len(complaints) > 0 {
		return fmt.Errorf("the clients complain:\n\t%s", strings.Join(complaints, "\n\t"))
	}
	return r.Verdict.Err()
}

// Plus returns the sum of two reports.
func (r Report) Plus(o Report) Report {
	return Report{r.Crashes + o.Crashes, r.Verdict.Plus(o.Verdict), r.Resent + o.Resent, append(r.Ready, o.Ready...)}
}

// ReadyWithin returns the time within which that part of all starts was ready.
func (r Report) ReadyWithin(part float64) time.Duration {
	if len(r.Ready) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(r.Ready))
	return sorted[int(part*float64(len(sorted)-1))].Round(time.Millisecond)
}

// String returns the figures in one line.
func (r Report) String() string {
	return fmt.Sprintf("crashes=%d resent=%d %v ready: p50=%v p99=%v max=%v",
		r.Crashes, r.Resent, r.Verdict, r.ReadyWithin(0.5), r.ReadyWithin(0.99), r.ReadyWithin(1))
}
