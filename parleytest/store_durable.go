package parleytest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/parley-chat/parley"
)

// The tests of what is there when a store is opened again.

// reopen closes the store and opens it again.
func (s *storeTest) reopen(open func() parley.Store) {
	s.Helper()
	if err := s.store.Close(); err != nil {
		s.Fatalf("Close: %v", err)
	}
	s.store = open()
}

// finished returns the finished turns of a session. A store may keep those that
// run as it likes.
func (s *storeTest) finished(session string) []parley.Record {
	s.Helper()
	var done []parley.Record
	for _, r := range s.transcript(session) {
		if r.Reply != nil {
			done = append(done, r)
		}
	}
	return done
}

func testTurnsAgain(t *testing.T, open func() parley.Store) {
	s := newStoreTest(t, open())
	s.answer(s.keyed("swept", "k", "Hello"))
	s.pass(time.Millisecond)
	s.sweep(s.now, 10, 1)
	var all []parley.Record
	for i := range 5 {
		all = append(all, s.answer(s.keyed("s", fmt.Sprint("k", i), fmt.Sprint("prompt ", i))))
		s.pass(time.Minute)
	}
	s.abandon(s.fresh("a message", s.keyed("s", "abandoned", "abandoned")))
	all = append(all, s.answer(s.message("s", "the last")))
	s.fresh("a message", s.message("s", "running"))

	s.reopen(open)
	s.wantRecords("opened again", s.finished("s"), all...)
	s.wantTranscript("swept before", "swept")
	s.same("no key, sent again", s.message("s", "the last"), all[5])
	for i, r := range all[:5] {
		s.same("a key, sent again", s.keyed("s", r.Key, r.Prompt), r)
		s.reused("a key with another prompt", s.keyed("s", r.Key, fmt.Sprint("another ", i)))
	}
	s.fresh("an abandoned key, with another prompt", s.keyed("s", "abandoned", "another"))

	s.pass(turnLife + time.Millisecond)
	next := s.fresh("what died with the process", s.message("s", "running"))
	if next.Seq <= all[5].Seq || next.First != 1 {
		s.Errorf("%s; want a turn after %d, of stretch 1", record(next), all[5].Seq)
	}
	all = append(all, s.finish(next, parley.Text("done")))
	s.reopen(open)
	s.wantRecords("opened once more", s.finished("s"), all...)
}

// testLongTurnAgain ends a turn that took almost as long as one may, just before
// the store is closed.
func testLongTurnAgain(t *testing.T, open func() parley.Store) {
	s := newStoreTest(t, open())
	long := s.fresh("a message", s.message("s", "Hello"))
	s.pass(turnLife - time.Second)
	long = s.finish(long, parley.Text("Hi"))
	s.reopen(open)
	s.pass(twinWindow)
	s.same("soon after its end", s.message("s", "Hello"), long)
}

func testSubmissionsAgain(t *testing.T, open func() parley.Store) {
	s := newStoreTest(t, open())
	all := submissionsOf(s.now)
	for i := range all {
		all[i] = s.submit(all[i])
	}
	secret := s.secret("name")
	s.reopen(open)
	s.wantSubmissions("opened again", s.submissions("", 0, 10), all...)
	if again := s.secret("name"); again != secret {
		s.Errorf("the secret was %x, and is %x when the store is opened again", secret, again)
	}
	s.wantSubmissions("submitted again", []parley.Submission{s.submit(all[0])}, all[0])
	more := s.submit(parley.Submission{ID: "more", Form: "contact", Time: s.now})
	if last := all[len(all)-1].Seq; more.Seq <= last {
		s.Errorf("the next submission has the number %d; want more than %d", more.Seq, last)
	}
}

func testCloseWaits(t *testing.T, open func() parley.Store) {
	s := newStoreTest(t, open())
	const turns = 200
	var begun [turns]parley.Record
	for i := range begun {
		begun[i] = s.fresh("a message", s.message("s", fmt.Sprint("prompt ", i)))
	}
	var returned [turns]error
	one := make(chan bool, turns) // that has returned
	var group sync.WaitGroup
	for i, r := range begun {
		group.Go(func() {
			returned[i] = s.store.Finish(s.Context(), r, parley.Text("done"), s.now)
			one <- true
		})
	}
	<-one
	if err := s.store.Close(); err != nil {
		s.Errorf("Close while others finish turns: %v", err)
	}
	group.Wait()
	s.store = open()
	kept := map[int]bool{}
	for _, r := range s.finished("s") {
		kept[r.Seq] = true
	}
	for i, r := range begun {
		if returned[i] == nil && !kept[r.Seq] {
			s.Errorf("turn %d was finished before the store was closed, and is gone", r.Seq)
		}
	}
}
