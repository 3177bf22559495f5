package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/dbtest"
	"github.com/parley-chat/parley/store/postgres"
)

// healTime is how soon everything works once the server is back.
const healTime = 5 * time.Second

// visitors answer turns, each in a session of their own, and remember which were
// acknowledged.
type visitors struct {
	store *postgres.Store
	group sync.WaitGroup
	stop  chan struct{}

	mu           sync.Mutex
	acknowledged map[string][]string // prompts by session
	count        int
	more         chan struct{} // closed and made again at each of them
}

func visit(t *testing.T, store *postgres.Store, n int) *visitors {
	v := &visitors{store: store, stop: make(chan struct{}), acknowledged: map[string][]string{}, more: make(chan struct{})}
	for i := range n {
		v.group.Go(func() { v.talk(t, fmt.Sprint("session ", i)) })
	}
	return v
}

func (v *visitors) talk(t *testing.T, session string) {
	for i := 0; ; i++ {
		prompt := fmt.Sprint("prompt ", i)
		err := answer(t, v.store, session, prompt)
		if err == nil {
			v.acknowledge(session, prompt)
		} else if !isUnavailable(err) && !strings.Contains(err.Error(), "was taken back") { // its beginning was lost
			t.Errorf("while the server crashes: %v; want that it is not available", err)
		}
		select {
		case <-v.stop:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

func (v *visitors) acknowledge(session, prompt string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.acknowledged[session] = append(v.acknowledged[session], prompt)
	v.count++
	close(v.more)
	v.more = make(chan struct{})
}

// await waits until so many more turns are acknowledged, and reports how long
// that took.
func (v *visitors) await(t *testing.T, n int) time.Duration {
	t.Helper()
	began := time.Now()
	timeout := time.After(30 * time.Second)
	v.mu.Lock()
	want := v.count + n
	for v.count < want {
		more := v.more
		v.mu.Unlock()
		select {
		case <-more:
		case <-timeout:
			t.Fatal("no turns are acknowledged any more")
		}
		v.mu.Lock()
	}
	v.mu.Unlock()
	return time.Since(began)
}

func TestServerCrashes(t *testing.T) {
	rounds := 10
	if testing.Short() {
		rounds = 2
	}
	server := dbtest.Postgres(t, dbtest.Durable)
	url := server.URL(t)
	// The role is content with less than what the store promises.
	store := open(t, url+"&synchronous_commit=off&pool_max_conns=8")
	heard := make(chan string, 1000)
	defer store.Listen("t", func(note []byte) { heard <- string(note) })()

	v := visit(t, store, 12)
	for round := range rounds {
		v.await(t, 60)
		server.Kill()
		server.Start()
		if took := v.await(t, 1); took > healTime {
			t.Errorf("in round %d, the first turn was acknowledged %v after the server was back; want %v at most", round, took, healTime)
		}
		wantNote(t, store, heard, fmt.Sprint("round ", round))
	}
	v.await(t, 100)
	if n := connections(t, url); n > 9 {
		t.Errorf("after %d crashes the store has %d connections; want 8 and one for notes at most", rounds, n)
	}
	close(v.stop)
	v.group.Wait()
	for session, want := range v.acknowledged {
		kept := prompts(t, store, session)
		for _, prompt := range want {
			if !slices.Contains(kept, prompt) {
				t.Errorf("%q of %q was acknowledged and is gone", prompt, session)
			}
		}
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
	for began := time.Now(); connections(t, url) > 0; {
		if time.Since(began) > healTime {
			t.Fatalf("the closed store has %d connections; want none", connections(t, url))
		}
	}
}

// connections returns how many connections stores have.
func connections(t *testing.T, url string) int {
	t.Helper()
	return number(t, url, `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'parley'`)
}

// wantNote sends a note until it is heard.
func wantNote(t *testing.T, store *postgres.Store, heard chan string, note string) {
	t.Helper()
	timeout := time.After(healTime)
	for {
		if err := store.Notify(t.Context(), "t", []byte(note)); err != nil && !isUnavailable(err) {
			t.Errorf("Notify: %v", err)
		}
		select {
		case got := <-heard:
			if got == note {
				return
			}
		case <-time.After(50 * time.Millisecond):
		case <-timeout:
			t.Fatalf("no note is heard %v after the server is back", healTime)
		}
	}
}

// TestServerIsAway stops the server as an operator would.
func TestServerIsAway(t *testing.T) {
	server := dbtest.Postgres(t)
	url := server.URL(t)
	store := open(t, url)
	if err := answer(t, store, "s", "before"); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	for range 3 {
		if err := answer(t, store, "s", "meanwhile"); !isUnavailable(err) {
			t.Errorf("without a server: %v; want that it is not available", err)
		}
	}
	if _, err := postgres.Open(t.Context(), postgres.Config{URL: url, Logger: quiet}); !isUnavailable(err) {
		t.Errorf("Open without a server: %v; want that it is not available", err)
	}
	server.Start()
	if err := answer(t, store, "s", "after"); err != nil {
		t.Errorf("with the server back: %v", err)
	}
	if got, want := prompts(t, store, "s"), []string{"before", "after"}; !slices.Equal(got, want) {
		t.Errorf("the prompts are %q, want %q", got, want)
	}
}

// TestServerHangs has somebody else hold a lock that every turn needs.
func TestServerHangs(t *testing.T) {
	url := dbtest.SharedPostgres(t).URL(t)
	store := open(t, url)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), `BEGIN; LOCK TABLE parley_turns`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := store.Begin(ctx, message("s", "Hello")); !isUnavailable(err) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Begin that hangs: %v; want that it is not available, for the time that it took", err)
	}
	if _, err := conn.Exec(t.Context(), `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	if err := answer(t, store, "s", "Goodbye"); err != nil {
		t.Errorf("with the lock gone: %v", err)
	}
}

// TestStandby has a server that is read-only, as it is after a failover.
func TestStandby(t *testing.T) {
	url := dbtest.SharedPostgres(t).URL(t)
	open(t, url)
	store := open(t, url+"&default_transaction_read_only=on")
	_, err := store.Begin(t.Context(), message("s", "Hello"))
	if !isUnavailable(err) {
		t.Errorf("Begin on a standby: %v; want that it is not available", err)
	}
	if _, err := store.Transcript(t.Context(), parley.Page{Session: "s", Limit: 1}); err != nil {
		t.Errorf("Transcript on a standby: %v", err)
	}
}

// TestOneOfSeveralHosts names a host before the server where nobody listens.
func TestOneOfSeveralHosts(t *testing.T) {
	url := dbtest.SharedPostgres(t).URL(t)
	url = strings.Replace(url, "@", "@127.0.0.1:1,", 1) + "&target_session_attrs=read-write"
	if err := answer(t, open(t, url), "s", "Hello"); err != nil {
		t.Error(err)
	}
}
