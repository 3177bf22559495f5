package parleytest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/parley-chat/parley"
)

// Archive runs the suite that a [parley.Archive] must pass beside that of
// [Store]: what it keeps can be moved. For each test, place makes room for one
// store and returns a function that opens it.
func Archive(t *testing.T, place func(t *testing.T) (open func() parley.Store)) {
	for _, test := range []struct {
		name string
		run  func(*archiveTest)
	}{
		{"finished turns are moved", testMove},
		{"what was moved goes on", testMovedGoesOn},
		{"what is there stays", testRestoreTwice},
		{"pages of records", testRecordPages},
		{"records that come meanwhile", testRecordsMeanwhile},
		{"secrets are moved", testMoveSecrets},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(&archiveTest{newStoreTest(t, place(t)()), newStoreTest(t, place(t)())})
		})
	}
}

// archiveTest is one test of the suite: a store, and one to move into.
type archiveTest struct {
	*storeTest
	to *storeTest
}

func (s *storeTest) archive() parley.Archive {
	s.Helper()
	archive, ok := s.store.(parley.Archive)
	if !ok {
		s.Fatalf("%T is no parley.Archive", s.store)
	}
	return archive
}

// records returns all records of a store, from a place on.
func (s *storeTest) records(after string, limit int) []parley.Record {
	s.Helper()
	var all []parley.Record
	for range 100_000 {
		page, next, err := s.archive().Records(s.Context(), after, limit)
		if err != nil {
			s.Fatalf("Records(%q): %v", after, err)
		}
		all = append(all, page...)
		if next == "" {
			return all
		}
		after = next
	}
	s.Fatal("there is no end to the records")
	return nil
}

func (s *storeTest) restore(records ...parley.Record) {
	s.Helper()
	if err := s.archive().Restore(s.Context(), records); err != nil {
		s.Fatalf("Restore: %v", err)
	}
}

// fill has conversations with everything that there can be in them, and returns
// them by their session.
func (s *storeTest) fill() map[string][]parley.Record {
	s.Helper()
	all := map[string][]parley.Record{}
	answer := func(m parley.NewTurn) {
		r := s.fresh("a new message", m)
		s.pass(time.Second)
		r = s.finish(r, parley.Text(fmt.Sprint("reply ", len(all[m.Session]))))
		all[m.Session] = append(all[m.Session], r)
		s.pass(10 * time.Second)
	}
	for i := range 12 {
		session := fmt.Sprintf("session %d \x00\xff'", i)
		for n := range 1 + i%4 {
			answer(s.keyed(session, fmt.Sprint("k", n), fmt.Sprint("prompt ", n)))
			answer(s.message(session, "without a key \x00 \xf0\x28\x8c\x28"))
		}
		s.abandon(s.fresh("a message", s.message(session, "abandoned")))
	}
	s.pass(sessionLife)
	answer(s.message("session 1 \x00\xff'", "a new stretch"))
	answer(s.message("session 1 \x00\xff'", "and on"))
	s.fresh("a message", s.message("session 2 \x00\xff'", "runs"))
	s.fresh("a message", s.message("of one that runs", "runs"))
	return all
}

func testMove(s *archiveTest) {
	all := s.fill()
	s.to.restore(s.records("", 5)...)
	for session, want := range all {
		s.to.wantTranscript("moved", session, want...)
	}
	s.to.wantTranscript("what ran", "of one that runs")
	if got, want := len(s.to.records("", 1000)), len(slices.Concat(slices.Collect(maps.Values(all))...)); got != want {
		s.Errorf("%d records were moved, want %d", got, want)
	}
}

func testMovedGoesOn(s *archiveTest) {
	all := s.fill()
	s.to.restore(s.records("", 1000)...)
	s.to.now = s.now
	session := "session 1 \x00\xff'"
	records := all[session]
	keyed, last := records[0], records[len(records)-1]
	s.to.same("a key that was moved", s.to.keyed(session, keyed.Key, keyed.Prompt), keyed)
	s.to.reused("a key that was moved, with another prompt", s.to.keyed(session, keyed.Key, "other"))
	next := s.to.fresh("the next message", s.to.message(session, "next"))
	if next.Seq <= last.Seq || next.First != last.First {
		s.Errorf("after %s came %s; want the next number, in the same stretch", record(last), record(next))
	}
	s.to.abandon(next)
	s.to.pass(time.Second)
	old := 0
	for _, r := range slices.Concat(slices.Collect(maps.Values(all))...) {
		if r.Began.Before(last.Began) {
			old++
		}
	}
	s.to.sweep(last.Began, 1000, old)
	s.to.wantTranscript("swept", session, last)
}

func testRestoreTwice(s *archiveTest) {
	one := s.answer(s.keyed("s", "k", "one"))
	two := s.answer(s.message("s", "two"))
	s.to.restore(one)
	s.to.restore(one, two)
	s.to.restore()
	s.to.wantTranscript("moved twice", "s", one, two)
	if err := s.to.archive().Restore(s.Context(), []parley.Record{{Session: "s", Seq: 3, First: 1, Prompt: "runs", Began: s.now}}); err == nil {
		s.Error("a turn that is not finished was restored, want an error")
	}
	other := two
	other.Prompt, other.Reply = "other", &parley.Reply{Text: "other"}
	s.to.restore(other)
	s.to.wantTranscript("with another under its number", "s", one, two)
}

func testRecordPages(s *archiveTest) {
	if got := s.records("", 3); len(got) > 0 {
		s.Errorf("an empty store has the records\n%s", records(got))
	}
	all := s.fill()
	for _, limit := range []int{1, 2, 7, 1000} {
		got := map[string][]parley.Record{}
		for _, r := range s.records("", limit) {
			got[r.Session] = append(got[r.Session], r)
		}
		for session, want := range all {
			s.wantRecords(fmt.Sprintf("in pages of %d", limit), got[session], want...)
		}
		if len(got) != len(all) {
			s.Errorf("in pages of %d there are %d sessions, want %d", limit, len(got), len(all))
		}
	}

	// Who stopped goes on from where they were.
	head, next, err := s.archive().Records(s.Context(), "", 10)
	if err != nil || next == "" {
		s.Fatalf("the first page ended with %q, %v; want to go on", next, err)
	}
	got := slices.Concat(head, s.records(next, 10))
	if want := s.records("", 1000); len(got) != len(want) {
		s.Errorf("stopped and gone on, there are %d records, want %d", len(got), len(want))
	}
	if _, _, err := s.archive().Records(s.Context(), "nonsense \x00", 10); err == nil {
		s.Error("Records went on from nonsense, want an error")
	}
}

// testRecordsMeanwhile goes through the records while others come and go.
func testRecordsMeanwhile(s *archiveTest) {
	all := s.fill()
	got := map[string][]parley.Record{}
	after, more := "", true
	for n := 0; more; n++ {
		page, next, err := s.archive().Records(s.Context(), after, 3)
		if err != nil {
			s.Fatal(err)
		}
		for _, r := range page {
			got[r.Session] = append(got[r.Session], r)
		}
		if n < 200 {
			s.answer(s.message(fmt.Sprint("meanwhile ", n%50), fmt.Sprint(n)))
		}
		after, more = next, next != ""
	}
	for session, want := range all {
		of := got[session]
		slices.SortFunc(of, func(a, b parley.Record) int { return cmp.Compare(a.Seq, b.Seq) })
		of = slices.CompactFunc(of, func(a, b parley.Record) bool { return a.Seq == b.Seq })
		s.wantRecords("while others come", of, want...)
	}
}

func testMoveSecrets(s *archiveTest) {
	want := map[string]string{"one": s.secret("one"), "two \x00'": s.secret("two \x00'")}
	secrets, err := s.archive().Secrets(s.Context())
	if err != nil || len(secrets) != len(want) {
		s.Fatalf("Secrets returned %d, %v; want %d", len(secrets), err, len(want))
	}
	for name, secret := range secrets {
		if string(secret) != want[name] {
			s.Errorf("Secrets has another secret under %q than Secret", name)
		}
		for range 2 {
			if err := s.to.archive().RestoreSecret(s.Context(), name, secret); err != nil {
				s.Errorf("RestoreSecret(%q): %v", name, err)
			}
		}
		if s.to.secret(name) != want[name] {
			s.Errorf("Secret returns another secret under %q than was restored", name)
		}
	}
	if err := s.to.archive().RestoreSecret(s.Context(), "one", make([]byte, 32)); err == nil {
		s.Error("RestoreSecret replaced a secret, want an error")
	}
	if s.to.secret("one") != want["one"] {
		s.Error("a refused secret replaced another")
	}
}
