package sqlite_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/parleytest"
	"github.com/parley-chat/parley/store/sqlite"
)

func TestStore(t *testing.T) { parleytest.DurableStore(t, place) }

func TestArchive(t *testing.T) { parleytest.Archive(t, place) }

// place makes room for a store and returns what opens it.
func place(t *testing.T) func() parley.Store {
	path := filepath.Join(t.TempDir(), "parley.db")
	return func() parley.Store {
		store, err := sqlite.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		return store
	}
}

// open opens a store that is closed with the test.
func open(tb testing.TB, path string) *sqlite.Store {
	tb.Helper()
	store, err := sqlite.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := store.Close(); err != nil {
			tb.Errorf("Close: %v", err)
		}
	})
	return store
}

// message asks for a turn now, as a Chat does.
func message(session, prompt string) parley.NewTurn {
	now := time.Now()
	return parley.NewTurn{
		Session: session, Prompt: prompt, Time: now,
		RestSince: now.Add(-time.Hour), KeysSince: now.Add(-24 * time.Hour),
		TwinsSince: now.Add(-2 * time.Second), DeadBefore: now.Add(-70 * time.Second),
	}
}

// begin begins a turn that must be a new one.
func begin(t *testing.T, store parley.Store, m parley.NewTurn) parley.Record {
	t.Helper()
	begun, err := store.Begin(t.Context(), m)
	if err != nil || !begun.Fresh {
		t.Fatalf("Begin in session %q returned %+v, %v; want a fresh turn", m.Session, begun, err)
	}
	return begun.Record
}

func finish(t *testing.T, store parley.Store, r parley.Record) error {
	return store.Finish(t.Context(), r, parley.Text("You said: "+r.Prompt), time.Now())
}

// answer begins and finishes a turn.
func answer(t *testing.T, store parley.Store, session, prompt string) {
	t.Helper()
	if err := finish(t, store, begin(t, store, message(session, prompt))); err != nil {
		t.Fatalf("Finish in session %q: %v", session, err)
	}
}

// prompts returns the prompts of a session's finished turns.
func prompts(t *testing.T, store parley.Store, session string) []string {
	t.Helper()
	records, err := store.Transcript(t.Context(), parley.Page{Session: session, Limit: 1 << 20})
	if err != nil {
		t.Fatalf("Transcript of %q: %v", session, err)
	}
	var prompts []string
	for _, r := range records {
		if r.Reply != nil {
			prompts = append(prompts, r.Prompt)
		}
	}
	return prompts
}

// More sessions than fit in memory: what was forgotten is read again.
func TestManySessions(t *testing.T) {
	sessions := 50_000
	if testing.Short() {
		t.Skip("makes 50,000 sessions")
	}
	store := open(t, filepath.Join(t.TempDir(), "parley.db"))
	keyed := func(i int) parley.NewTurn {
		m := message(fmt.Sprint("session ", i), "Hello")
		m.Key = "k"
		return m
	}
	var group sync.WaitGroup
	const goroutines = 64
	for g := range goroutines {
		group.Go(func() {
			for i := g; i < sessions; i += goroutines {
				begun, err := store.Begin(t.Context(), keyed(i))
				if err == nil {
					err = finish(t, store, begun.Record)
				}
				if err != nil {
					t.Errorf("session %d: %v", i, err)
					return
				}
			}
		})
	}
	group.Wait()
	for _, i := range []int{0, 1, 100, sessions / 2, sessions - 1} {
		begun, err := store.Begin(t.Context(), keyed(i))
		if err != nil || begun.Fresh || begun.Reply == nil {
			t.Errorf("the message of session %d, sent again, returned %+v, %v; want the finished turn", i, begun, err)
		}
		if r := begin(t, store, message(fmt.Sprint("session ", i), "Goodbye")); r.Seq != 2 || r.First != 1 {
			t.Errorf("the next turn of session %d is turn %d of stretch %d; want turn 2 of stretch 1", i, r.Seq, r.First)
		}
	}
}
