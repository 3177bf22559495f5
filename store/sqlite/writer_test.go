package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-chat/parley"
)

// commits counts the transactions in a write-ahead log: the frames that say how
// large the database is after them. See
// https://sqlite.org/fileformat2.html#walformat.
func commits(t *testing.T, path string) (n int) {
	t.Helper()
	wal, err := os.ReadFile(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	const header, frameHeader = 32, 24
	if len(wal) < header {
		return 0
	}
	frame := frameHeader + int(binary.BigEndian.Uint32(wal[8:]))
	salt := wal[16:24]
	for rest := wal[header:]; len(rest) >= frame && bytes.Equal(rest[8:16], salt); rest = rest[frame:] {
		if binary.BigEndian.Uint32(rest[4:]) != 0 {
			n++
		}
	}
	return n
}

func TestOneTurnIsOneCommit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "parley.db")
	store := open(t, path)
	before := commits(t, path)
	for i := range 10 {
		answer(t, store, "s", fmt.Sprint("prompt ", i))
	}
	if n := commits(t, path) - before; n != 10 {
		t.Errorf("10 turns, one after the other, took %d commits; want 10", n)
	}
}

func TestTurnsSideBySideShareCommits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "parley.db")
	store := open(t, path)
	before := commits(t, path)
	const goroutines, turns = 64, 20
	var group sync.WaitGroup
	for g := range goroutines {
		group.Go(func() {
			for i := range turns {
				begun, err := store.Begin(t.Context(), message(fmt.Sprint("session ", g), fmt.Sprint("prompt ", i)))
				if err == nil {
					err = finish(t, store, begun.Record)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if n, most := commits(t, path)-before, goroutines*turns/4; n > most {
		t.Errorf("%d turns from %d goroutines took %d commits; want at most %d", goroutines*turns, goroutines, n, most)
	}
}

// outside opens the database with another connection, as somebody with an SQL
// shell would.
func outside(t *testing.T, path string) *sql.Conn {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func execute(t *testing.T, conn *sql.Conn, statement string) {
	t.Helper()
	if _, err := conn.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func TestOneThatFailsSpoilsNoOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "parley.db")
	store := open(t, path)
	const turns, taken = 64, 20
	var begun []parley.Record
	for i := range turns {
		begun = append(begun, begin(t, store, message("s", fmt.Sprint("prompt ", i+1))))
	}
	// Somebody else writes a turn with the number of one that runs. While they
	// hold the database, all turns come to wait for one commit.
	shell := outside(t, path)
	execute(t, shell, "BEGIN IMMEDIATE")
	execute(t, shell, fmt.Sprintf(`INSERT INTO turns (session, seq, first, key, prompt, reply, began, ended) VALUES ('s', %d, 1, '', 'not ours', '{"output":""}', 0, 0)`, taken))
	errs := make([]error, turns)
	var group, started sync.WaitGroup
	started.Add(turns)
	for i, r := range begun {
		group.Go(func() {
			started.Done()
			errs[i] = finish(t, store, r)
		})
	}
	started.Wait()
	execute(t, shell, "COMMIT")
	group.Wait()

	for i, err := range errs {
		if i+1 == taken && err == nil {
			t.Errorf("turn %d, whose number was taken, was finished; want an error", taken)
		}
		if i+1 != taken && err != nil {
			t.Errorf("turn %d: %v; want it finished, since only turn %d cannot be", i+1, err, taken)
		}
	}
	if got := prompts(t, store, "s"); len(got) != turns {
		t.Errorf("the session has %d finished turns; want %d", len(got), turns)
	}
}

func TestWhatTakesTooLongIsGivenUpAndDoneLater(t *testing.T) {
	path := filepath.Join(t.TempDir(), "parley.db")
	store := open(t, path)
	shell := outside(t, path)
	execute(t, shell, "BEGIN IMMEDIATE")

	r := begin(t, store, message("s", "Hello"))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := store.Finish(ctx, r, parley.Text("Hi"), time.Now()); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Finish of a database that somebody holds returned %v; want that the time is up", err)
	}
	if err := store.Abandon(t.Context(), r); err != nil {
		t.Fatalf("Abandon: %v", err)
	}
	// The change is under way, so nobody may get the number.
	if begun, err := store.Begin(t.Context(), message("s", "Hello")); err != nil || begun.Fresh || begun.Seq != r.Seq {
		t.Errorf("the message, sent again, returned %+v, %v; want the turn that is being finished", begun, err)
	}
	if next := begin(t, store, message("s", "Goodbye")); next.Seq != r.Seq+1 {
		t.Errorf("the next turn is turn %d; want %d", next.Seq, r.Seq+1)
	}
	execute(t, shell, "ROLLBACK")
	answer(t, store, "other", "this comes after it")
	if got, want := prompts(t, store, "s"), []string{"Hello"}; !slices.Equal(got, want) {
		t.Errorf("the session has the finished turns %q; want %q", got, want)
	}
}

func TestDatabaseThatSomebodyHolds(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for a lock for 5 seconds")
	}
	t.Parallel()
	path := filepath.Join(t.TempDir(), "parley.db")
	store := open(t, path)
	shell := outside(t, path)
	execute(t, shell, "BEGIN IMMEDIATE")
	r := begin(t, store, message("s", "Hello"))
	wantUnavailable(t, finish(t, store, r))
	if err := store.Abandon(t.Context(), r); err != nil {
		t.Fatalf("Abandon: %v", err)
	}
	execute(t, shell, "ROLLBACK")
	answer(t, store, "s", "Hello")
	if got, want := prompts(t, store, "s"), []string{"Hello"}; !slices.Equal(got, want) {
		t.Errorf("the session has the finished turns %q; want %q", got, want)
	}
}

// wantUnavailable checks for an error that passes by itself.
func wantUnavailable(t *testing.T, err error) {
	t.Helper()
	var e *parley.Error
	if !errors.As(err, &e) || e.Code != parley.CodeUnavailable {
		t.Errorf("the error is %v; want one with the code %q", err, parley.CodeUnavailable)
	}
}

func TestSweptTurnsAreOverwritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "parley.db")
	store := open(t, path)
	const canary = "canary-4711"
	for i := range 300 {
		// Some fill a part of a page, some many pages.
		answer(t, store, fmt.Sprint("session ", i%10), fmt.Sprint(i, strings.Repeat(canary, 1+i%3*500)))
	}
	if occurrences(t, path+"-wal", canary) == 0 {
		t.Fatal("the write-ahead log never had what is looked for")
	}
	if n, err := store.Sweep(t.Context(), time.Now(), 1000); n != 300 || err != nil {
		t.Fatalf("Sweep returned %d, %v; want 300", n, err)
	}
	answer(t, store, "other", "this comes after it")
	if n := occurrences(t, path+"-wal", canary); n != 0 {
		t.Errorf("the write-ahead log has what was swept %d times; want it nowhere", n)
	}
	if err := store.Close(); err != nil { // before, nothing but SQLite may open the file
		t.Fatalf("Close: %v", err)
	}
	if n := occurrences(t, path, canary); n != 0 {
		t.Errorf("the database has what was swept %d times; want it nowhere", n)
	}
}

// A call whose limit is met leaves the rest to the next one, even where that one
// finds nothing more to delete.
func TestSweptTurnsAreOverwrittenWhenTheLimitWasMet(t *testing.T) {
	path := filepath.Join(t.TempDir(), "parley.db")
	store := open(t, path)
	const canary = "canary-4711"
	for i := range 10 {
		answer(t, store, "session", fmt.Sprint(i, canary))
	}
	for _, want := range []int{10, 0} {
		if n, err := store.Sweep(t.Context(), time.Now(), 10); n != want || err != nil {
			t.Fatalf("Sweep returned %d, %v; want %d", n, err, want)
		}
	}
	answer(t, store, "other", "this comes after it")
	if n := occurrences(t, path+"-wal", canary); n != 0 {
		t.Errorf("the write-ahead log has what was swept %d times; want it nowhere", n)
	}
}

// occurrences counts how often a file has a text.
func occurrences(t *testing.T, path, text string) int {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(data, []byte(text))
}
