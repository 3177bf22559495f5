package parleytest

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-chat/parley"
)

// Store runs the suite that a [parley.Store] must pass. Each test opens a store
// of its own, which must be empty, and closes it. Run the suite with the race
// detector too: a store must be safe for concurrent use. With -short it keeps
// less.
func Store(t *testing.T, open func(t *testing.T) parley.Store) {
	for _, test := range []struct {
		name string
		run  func(*storeTest)
	}{
		{"a turn is begun and finished", testTurn},
		{"times are kept to the millisecond", testTimes},
		{"replies are kept as they are", testReplies},
		{"an abandoned turn leaves nothing", testAbandon},
		{"a number belongs to the turn that has it", testTakenBack},
		{"what a turn is behind", testBehind},
		{"the turns of a session are in order", testOrder},
		{"an unknown session is empty", testUnknownSession},
		{"pages", testPages},
		{"stretches", testStretches},
		{"a key names its turn", testKeys},
		{"a key is free when it is old", testOldKeys},
		{"the same prompt is the same turn", testTwins},
		{"a dead turn is taken back", testDead},
		{"anything in any order", testModel},
		{"side by side in one session", testOneSession},
		{"the same message side by side", testFirstMessage},
		{"finished twice side by side", testFinishRace},
		{"finished and abandoned side by side", testAbandonRace},
		{"long sessions", testLongSession},
		{"values are kept as they are", testValues},
		{"any text", testAnyText},
		{"large values", testLargeValues},
		{"old turns are swept", testSweep},
		{"turns that never ended are swept", testSweepDead},
		{"submissions", testSubmissions},
		{"submissions side by side", testSubmissionsSideBySide},
		{"secrets", testSecrets},
		{"calls that are called off", testCancelled},
		{"calls that are called off on the way", testCancelledOnTheWay},
		{"nothing works once it is closed", testClosed},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(newStoreTest(t, open(t)))
		})
	}
}

// DurableStore runs the suite of [Store], and tests that what was kept is there
// when a store is opened again. For each test, place makes room for one store
// and returns a function that opens what is there: nothing at first, and later
// what was left when it was closed.
func DurableStore(t *testing.T, place func(t *testing.T) (open func() parley.Store)) {
	Store(t, func(t *testing.T) parley.Store { return place(t)() })
	for _, test := range []struct {
		name string
		run  func(t *testing.T, open func() parley.Store)
	}{
		{"turns are there again", testTurnsAgain},
		{"a long turn is there again", testLongTurnAgain},
		{"submissions and secrets are there again", testSubmissionsAgain},
		{"closing waits", testCloseWaits},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, place(t)) })
	}
}

// storeTest is one test of the suite.
type storeTest struct {
	*testing.T
	store parley.Store
	now   time.Time // of the next message
}

func newStoreTest(t *testing.T, store parley.Store) *storeTest {
	// Stores keep milliseconds or better.
	s := &storeTest{t, store, time.Now().Truncate(time.Millisecond)}
	t.Cleanup(func() {
		if err := s.store.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// pass lets time go by.
func (s *storeTest) pass(d time.Duration) { s.now = s.now.Add(d) }

// The times that a Chat passes in, by its defaults.
const (
	sessionLife = time.Hour
	keyLife     = 24 * time.Hour
	twinWindow  = 2 * time.Second
	turnLife    = 70 * time.Second
)

// message asks for a turn now, as a Chat does.
func (s *storeTest) message(session, prompt string) parley.NewTurn {
	return parley.NewTurn{
		Session: session, Prompt: prompt, Time: s.now,
		RestSince:  s.now.Add(-sessionLife),
		KeysSince:  s.now.Add(-keyLife),
		TwinsSince: s.now.Add(-twinWindow),
		DeadBefore: s.now.Add(-turnLife),
	}
}

// keyed asks for a turn with an idempotency key.
func (s *storeTest) keyed(session, key, prompt string) parley.NewTurn {
	m := s.message(session, prompt)
	m.Key = key
	return m
}

// begin begins a turn, or finds the same.
func (s *storeTest) begin(m parley.NewTurn) parley.Begun {
	s.Helper()
	begun, err := s.store.Begin(s.Context(), m)
	if err != nil {
		s.Fatalf("Begin(%s): %v", message(m), err)
	}
	return begun
}

// fresh begins a turn that must be a new one.
func (s *storeTest) fresh(what string, m parley.NewTurn) parley.Record {
	s.Helper()
	begun := s.begin(m)
	want := parley.Record{Session: m.Session, Seq: begun.Seq, First: begun.First, Key: m.Key, Prompt: m.Prompt, Began: m.Time}
	if got, want := record(begun.Record), record(want); !begun.Fresh || got != want {
		s.Fatalf("%s: Begin(%s) returned %s, fresh: %v; want %s, fresh", what, message(m), got, begun.Fresh, want)
	}
	return begun.Record
}

// same begins a turn that must have been begun before.
func (s *storeTest) same(what string, m parley.NewTurn, want parley.Record) {
	s.Helper()
	begun := s.begin(m)
	if got, want := record(begun.Record), record(want); begun.Fresh || got != want {
		s.Errorf("%s: Begin(%s) returned %s, fresh: %v; want %s, begun before", what, message(m), got, begun.Fresh, want)
	}
}

// reused begins a turn that must be refused for its key.
func (s *storeTest) reused(what string, m parley.NewTurn) {
	s.Helper()
	if begun, err := s.store.Begin(s.Context(), m); !errors.Is(err, parley.ErrKeyReused) {
		s.Errorf("%s: Begin(%s) returned %s, %v; want ErrKeyReused", what, message(m), record(begun.Record), err)
	}
}

// finish finishes a turn now and returns it as it is then.
func (s *storeTest) finish(r parley.Record, reply parley.Reply) parley.Record {
	s.Helper()
	if err := s.store.Finish(s.Context(), r, reply, s.now); err != nil {
		s.Fatalf("Finish(%s): %v", record(r), err)
	}
	r.Reply, r.Ended = &reply, s.now
	return r
}

// answer begins and finishes a turn.
func (s *storeTest) answer(m parley.NewTurn) parley.Record {
	s.Helper()
	return s.finish(s.fresh("a new message", m), parley.Text("You said: "+m.Prompt))
}

func (s *storeTest) abandon(r parley.Record) {
	s.Helper()
	if err := s.store.Abandon(s.Context(), r); err != nil {
		s.Fatalf("Abandon(%s): %v", record(r), err)
	}
}

func (s *storeTest) page(p parley.Page) []parley.Record {
	s.Helper()
	records, err := s.store.Transcript(s.Context(), p)
	if err != nil {
		s.Fatalf("Transcript(%+v): %v", p, err)
	}
	return records
}

// transcript returns a whole session.
func (s *storeTest) transcript(session string) []parley.Record {
	s.Helper()
	return s.page(parley.Page{Session: session, Limit: 1 << 20})
}

// wantTranscript checks a whole session.
func (s *storeTest) wantTranscript(what, session string, want ...parley.Record) {
	s.Helper()
	s.wantRecords(what, s.transcript(session), want...)
}

func (s *storeTest) wantRecords(what string, got []parley.Record, want ...parley.Record) {
	s.Helper()
	if got, want := records(got), records(want); got != want {
		s.Errorf("%s: the transcript is\n%s\nwant\n%s", what, got, want)
	}
}

func (s *storeTest) sweep(before time.Time, limit, want int) {
	s.Helper()
	if n, err := s.store.Sweep(s.Context(), before, limit); n != want || err != nil {
		s.Errorf("Sweep with the limit %d returned %d, %v; want %d", limit, n, err, want)
	}
}

func (s *storeTest) submit(submission parley.Submission) parley.Submission {
	s.Helper()
	kept, err := s.store.Submit(s.Context(), submission)
	if err != nil {
		s.Fatalf("Submit(%+v): %v", submission, err)
	}
	return kept
}

func (s *storeTest) submissions(form string, after int64, limit int) []parley.Submission {
	s.Helper()
	found, err := s.store.Submissions(s.Context(), form, after, limit)
	if err != nil {
		s.Fatalf("Submissions(%q, %d, %d): %v", form, after, limit, err)
	}
	return found
}

func (s *storeTest) secret(name string) string {
	s.Helper()
	secret, err := s.store.Secret(s.Context(), name)
	if err != nil {
		s.Fatalf("Secret(%q): %v", name, err)
	}
	return string(secret)
}

// sideBySide calls do with 0 to n-1, so many at once, and ends the test when
// one of them fails.
func (s *storeTest) sideBySide(n, atOnce int, do func(i int) error) {
	s.Helper()
	var group sync.WaitGroup
	free := make(chan bool, atOnce)
	for i := range n {
		free <- true
		group.Go(func() {
			defer func() { <-free }()
			if err := do(i); err != nil {
				s.Error(err)
			}
		})
	}
	group.Wait()
	if s.Failed() {
		s.FailNow()
	}
}

// record writes all of a record in one line, to be compared and to be read.
func record(r parley.Record) string {
	line := fmt.Sprintf("turn %d of session %s, stretch %d, key %s, prompt %s, began %s", r.Seq, text(r.Session), r.First, text(r.Key), text(r.Prompt), moment(r.Began))
	if r.Reply == nil && r.Ended.IsZero() {
		return line + ", runs"
	}
	reply, err := json.Marshal(r.Reply)
	if err != nil {
		return line + ", " + err.Error()
	}
	return line + ", ended " + moment(r.Ended) + ", reply " + text(string(reply))
}

// records writes a record a line.
func records(all []parley.Record) string {
	lines := make([]string, len(all))
	for i, r := range all {
		lines[i] = record(r)
	}
	return strings.Join(lines, "\n")
}

// message writes what matters of a message.
func message(m parley.NewTurn) string {
	return fmt.Sprintf("session %s, key %s, prompt %s, at %s", text(m.Session), text(m.Key), text(m.Prompt), moment(m.Time))
}

// text quotes a text, and shortens it so that no two become the same.
func text(s string) string {
	if len(s) <= 80 {
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprintf("%.40q… (%d bytes, CRC %08x)", s, len(s), crc32.ChecksumIEEE([]byte(s)))
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000") }
