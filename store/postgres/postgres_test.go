package postgres_test

import (
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/dbtest"
	"github.com/parley-chat/parley/parleytest"
	"github.com/parley-chat/parley/store/postgres"
)

var quiet = slog.New(slog.DiscardHandler)

func TestMain(m *testing.M) {
	if !dbtest.LeftOut() {
		os.Exit(dbtest.Main(m))
	}
}

// place makes an empty database and returns what opens it.
func place(t *testing.T) func() parley.Store {
	url := dbtest.SharedPostgres(t).URL(t)
	return func() parley.Store {
		store, err := postgres.Open(t.Context(), postgres.Config{URL: url, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		return store
	}
}

func TestStore(t *testing.T)   { parleytest.DurableStore(t, place) }
func TestShared(t *testing.T)  { parleytest.Shared(t, place) }
func TestArchive(t *testing.T) { parleytest.Archive(t, place) }

// open opens a store that is closed with the test.
func open(tb testing.TB, url string) *postgres.Store {
	tb.Helper()
	store, err := postgres.Open(tb.Context(), postgres.Config{URL: url, Logger: quiet})
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

// everything calls each method once.
func everything(t *testing.T, store *postgres.Store) {
	t.Helper()
	ctx := t.Context()
	check := func(method string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", method, err)
		}
	}
	m := message("s \x00", "Hello \xff")
	m.Key = "k"
	begun, err := store.Begin(ctx, m)
	check("Begin", err)
	check("Finish", store.Finish(ctx, begun.Record, parley.Text("Hi"), time.Now()))
	if again, err := store.Begin(ctx, m); err != nil || again.Fresh || again.Reply == nil {
		t.Errorf("Begin, again, returned %+v, %v; want the finished turn", again, err)
	}
	check("Abandon", store.Abandon(ctx, begun.Record))
	_, err = store.Submit(ctx, parley.Submission{ID: "id", Form: "f", Values: parley.Values{"a": "b"}, Time: time.Now()})
	check("Submit", err)
	if found, err := store.Submissions(ctx, "f", 0, 10); err != nil || len(found) != 1 || found[0].ID != "id" {
		t.Errorf("Submissions returned %+v, %v; want the one", found, err)
	}
	_, err = store.Secret(ctx, "name")
	check("Secret", err)
	if secrets, err := store.Secrets(ctx); err != nil || len(secrets["name"]) != 32 {
		t.Errorf("Secrets returned %d, %v; want the one", len(secrets), err)
	}
	if hit, err := store.Take(ctx, "key", 1, time.Minute); err != nil || hit.Count != 1 {
		t.Errorf("Take returned %+v, %v; want the first hit", hit, err)
	}
	check("Notify", store.Notify(ctx, "topic", []byte("note")))
	records, _, err := store.Records(ctx, "", 10)
	if err != nil || len(records) != 1 || records[0].Session != m.Session || records[0].Prompt != m.Prompt {
		t.Errorf("Records returned %+v, %v; want the one turn", records, err)
	}
	if n, err := store.Sweep(ctx, time.Now().Add(time.Hour), 10); err != nil || n != 1 {
		t.Errorf("Sweep returned %d, %v; want 1", n, err)
	}
	check("Restore", store.Restore(ctx, records))
	if kept, err := store.Transcript(ctx, parley.Page{Session: m.Session, Limit: 10}); err != nil || len(kept) != 1 || !kept[0].Began.Equal(begun.Began) {
		t.Errorf("Transcript returned %+v, %v; want what was restored", kept, err)
	}
}

// A pooler between the store and the server may carry no prepared statements.
func TestWaysToSendStatements(t *testing.T) {
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			everything(t, open(t, dbtest.SharedPostgres(t).URL(t)+"&default_query_exec_mode="+mode))
		})
	}
}

func TestSweepDeletesWindowsThatHaveEnded(t *testing.T) {
	url := dbtest.SharedPostgres(t).URL(t)
	store := open(t, url)
	for i := range 10 {
		if _, err := store.Take(t.Context(), fmt.Sprint("short ", i), 1, time.Microsecond); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.Take(t.Context(), "long", 1, time.Hour); err != nil {
		t.Fatal(err)
	}
	if n, err := store.Sweep(t.Context(), time.Now(), 1); n != 0 || err != nil {
		t.Errorf("Sweep returned %d, %v; want 0, since there are no turns", n, err)
	}
	if n := number(t, url, `SELECT count(*) FROM parley_limits`); n != 1 {
		t.Errorf("%d windows are kept; want the one that has not ended", n)
	}
	if hit, err := store.Take(t.Context(), "long", 1, time.Hour); err != nil || hit.Count != 2 {
		t.Errorf("Take returned %+v, %v; want the second hit", hit, err)
	}
}
