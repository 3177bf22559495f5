package nodes_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-chat/parley/proof/ledger"
	"github.com/parley-chat/parley/proof/load"
)

const (
	visitors      = 48
	conversations = 240
	// patience is how long a visitor waits for an answer: to be taken over from a
	// node that died, a turn needs six seconds, and so does one behind it.
	patience = 30 * time.Second
	// takeOver is how soon turns of a node that died are taken over.
	takeOver = 7 * time.Second
	// perTalk is how many kills there are before the crowd is sent home, and what
	// is without an answer is sent again.
	perTalk = 5
)

// TestKill kills nodes and, each fifth time, the database's server, while a crowd
// talks to any node.
func TestKill(t *testing.T) {
	for _, test := range []struct {
		kind
		kills int
	}{
		{kinds[0], short(*killsFlag, 2)},
		{kinds[1], short(*killsFlag, 2)},
		{kind{"MongoDB", startMongo}, short(*killsFlag/5, 0)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if test.kills == 0 {
				t.Skip("left out where the test is short")
			}
			s := open(t, test.start(t), sound(t), direct, nil)
			r := s.kill(test.kills, everyFifth)
			t.Log(r)
			if err := r.verdict.Err(); err != nil {
				t.Error(err)
			}
			if len(r.complaints) > 0 {
				t.Errorf("the visitors complain:\n\t%s\n%s", strings.Join(r.complaints, "\n\t"), s.logs())
			}
		})
	}
}

// everyFifth and the others say whether a kill hits the database.
func everyFifth(kill int) bool { return kill%5 == 1 }
func never(int) bool           { return false }
func always(int) bool          { return true }

// A report is what came of killing.
type report struct {
	kills, ofDatabase int
	verdict           ledger.Verdict
	refused, resent   int
	longest           time.Duration // that a visitor waited for an answer
	ready             []time.Duration
	complaints        []string
}

func (r report) String() string {
	ready := slices.Sorted(slices.Values(r.ready))
	return fmt.Sprintf("kills=%d (database: %d) resent=%d refused=%d %v longest wait=%v node ready: p50=%v max=%v",
		r.kills, r.ofDatabase, r.resent, r.refused, r.verdict, r.longest.Round(time.Millisecond),
		ready[len(ready)/2].Round(time.Millisecond), ready[len(ready)-1].Round(time.Millisecond))
}

// kill has a crowd talk, kills a random node or the database at random moments,
// and compares what is left with what the crowd knows.
func (s *scene) kill(kills int, database func(kill int) bool) report {
	s.Helper()
	r := report{kills: kills, ready: []time.Duration{0}}
	s.model.speak(4, 5*time.Millisecond)
	crowd := load.NewOf(visitors, conversations, patience)
	for done := 0; done < kills; {
		ctx, leave := context.WithCancel(s.Context())
		crowd.Talk(ctx, s.urls()...)
		for range min(perTalk, kills-done) {
			time.Sleep(200*time.Millisecond + rand.N(600*time.Millisecond))
			if database(done) {
				s.db.Kill()
				s.db.Start()
				r.ofDatabase++
			} else {
				r.ready = append(r.ready, s.restart(s.nodes[rand.IntN(nodes)]))
			}
			done++
		}
		time.Sleep(rand.N(time.Second))
		leave()
		crowd.Wait()
	}
	// What is left without an answer gets one, from whoever takes it over.
	ctx, leave := context.WithCancel(s.Context())
	crowd.Talk(ctx, s.urls()...)
	time.Sleep(short(takeOver, time.Second))
	leave()
	crowd.Wait()
	r.verdict = crowd.Ledger.Compare(s.db.records(s.T))
	r.refused, r.resent, r.longest, r.complaints = crowd.Refused(), crowd.Resent(), crowd.Longest(), crowd.Complaints()
	return r
}

// restart kills a node and starts it again, and returns how long that took.
func (s *scene) restart(n *node) time.Duration {
	s.Helper()
	n.Kill()
	if err := n.start(); err != nil {
		s.Fatal(err)
	}
	ready, err := n.WaitReady()
	if err != nil {
		s.Fatal(err)
	}
	return ready
}

// TestKillFindsFlaws is the control: nodes and databases with a known flaw must
// not pass.
func TestKillFindsFlaws(t *testing.T) {
	for _, test := range []struct {
		name     string
		start    func(t *testing.T) *database
		flaw     string
		database func(int) bool
	}{
		{"acknowledges before it is durable", kinds[1].start, "early", never},
		{"does not know what is sent again", kinds[0].start, "forgetful", never},
		{"PostgreSQL that syncs later", func(t *testing.T) *database {
			db := startPostgres(t)
			db.url += "&synchronous_commit=off"
			return db
		}, "relaxed", always},
		{"Redis that keeps nothing on disk", func(t *testing.T) *database { return startRedis(t) }, "", always},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := openFlawed(t, test.start(t), test.flaw, nil)
			r := s.kill(perTalk, test.database)
			if r.verdict.Err() == nil {
				t.Fatalf("nothing was found wrong: %v", r)
			}
			t.Logf("found: %v", r)
		})
	}
}
