package redis_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/dbtest"
	"github.com/parley-chat/parley/store/redis"
)

// durable is how a server must run so that what it acknowledges is durable.
var durable = []string{"--appendonly", "yes", "--appendfsync", "always"}

// The server is killed again and again in the middle of turns. A server that
// keeps nothing on disk is held against it: the test must see it lose something.
func TestWhatIsAcknowledgedSurvivesKill(t *testing.T) {
	for _, test := range []struct {
		name   string
		server *dbtest.RedisServer
		loses  bool
	}{
		{"on disk", dbtest.Redis(t, durable...), false},
		{"in memory", dbtest.Redis(t), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			store := open(t, redis.Config{URL: test.server.URL(t), Strict: !test.loses})
			defer store.Close()
			rounds := 10
			if test.loses {
				rounds = 1
			}
			lost, total := 0, 0
			for round := range rounds {
				acknowledged := answerUntilKilled(t, store, test.server, round)
				test.server.Start()
				awaitHealed(t, store)
				for session, turns := range acknowledged {
					total += turns
					there := finished(t, store, session)
					for n := range turns {
						if !there[fmt.Sprint(n)] {
							lost++
						}
					}
				}
			}
			t.Logf("of %d turns that were acknowledged %d are lost", total, lost)
			if test.loses != (lost > 0) || total == 0 {
				t.Errorf("of %d turns that were acknowledged %d are lost; want some where nothing is on disk, and else none", total, lost)
			}
		})
	}
}

// answerUntilKilled answers the prompts 0, 1, 2 … in several sessions, kills the
// server in the middle, and returns how many were acknowledged in each.
func answerUntilKilled(t *testing.T, store *redis.Store, server *dbtest.RedisServer, round int) map[string]int {
	var mu sync.Mutex
	acknowledged := map[string]int{}
	enough := make(chan bool)
	var group sync.WaitGroup
	for g := range 16 {
		group.Go(func() {
			session := fmt.Sprintf("round %d session %d", round, g)
			for n := 0; ; n++ {
				if answer(t.Context(), store, session, fmt.Sprint(n)) != nil {
					return
				}
				mu.Lock()
				acknowledged[session]++
				if n == 20 && g == 0 {
					close(enough)
				}
				mu.Unlock()
			}
		})
	}
	<-enough
	server.Kill()
	group.Wait()
	return acknowledged
}

// answer begins and finishes a turn.
func answer(ctx context.Context, store parley.Store, session, prompt string) error {
	begun, err := store.Begin(ctx, message(session, prompt))
	if err != nil {
		return err
	}
	return store.Finish(ctx, begun.Record, parley.Text("You said: "+prompt), time.Now())
}

// finished returns the prompts of the finished turns of a session.
func finished(t *testing.T, store parley.Store, session string) map[string]bool {
	t.Helper()
	prompts := map[string]bool{}
	records, err := store.Transcript(t.Context(), parley.Page{Session: session, Limit: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if r.Reply != nil {
			prompts[r.Prompt] = true
		}
	}
	return prompts
}

// wantUnavailable checks that an error is one that passes.
func wantUnavailable(t *testing.T, what string, err error) {
	t.Helper()
	var e *parley.Error
	if !errors.As(err, &e) || e.Code != parley.CodeUnavailable {
		t.Errorf("%s returned %v; want an error with the code %q", what, err, parley.CodeUnavailable)
	}
}

// awaitHealed waits until a store works again, which must be soon.
func awaitHealed(t *testing.T, store *redis.Store) {
	t.Helper()
	for began := time.Now(); ; {
		err := answer(t.Context(), store, "healed", time.Now().String())
		if err == nil {
			return
		}
		if time.Since(began) > 5*time.Second {
			t.Fatalf("5 s after the server is back: %v", err)
		}
	}
}

// A server goes away while nodes listen and write, and comes back.
func TestHeals(t *testing.T) {
	server := dbtest.Redis(t, durable...)
	url := server.URL(t)
	before := runtime.NumGoroutine()
	one, two := open(t, redis.Config{URL: url}), open(t, redis.Config{URL: url})
	heard := make(chan string, 100)
	defer two.Listen("topic", func(note []byte) { heard <- string(note) })()
	running, err := one.Begin(t.Context(), message("s", "Hello"))
	if err != nil {
		t.Fatal(err)
	}

	server.Kill()
	wantUnavailable(t, "Finish without a server", one.Finish(t.Context(), running.Record, parley.Text("Hi"), time.Now()))
	_, err = one.Begin(t.Context(), message("s", "next"))
	wantUnavailable(t, "Begin without a server", err)
	_, err = one.Take(t.Context(), "key", 1, time.Second)
	wantUnavailable(t, "Take without a server", err)
	wantUnavailable(t, "Notify without a server", one.Notify(t.Context(), "topic", nil))
	_, err = redis.Open(t.Context(), redis.Config{URL: url})
	wantUnavailable(t, "Open without a server", err)

	server.Start()
	awaitHealed(t, one)
	if err := one.Finish(t.Context(), running.Record, parley.Text("Hi"), time.Now()); err != nil {
		t.Errorf("Finish once the server is back: %v", err)
	}
	for began, note := time.Now(), ""; note == ""; {
		one.Notify(t.Context(), "topic", []byte("back"))
		select {
		case note = <-heard:
		case <-time.After(50 * time.Millisecond):
		}
		if time.Since(began) > 5*time.Second {
			t.Fatal("5 s after the server is back no note is heard")
		}
	}
	for _, store := range []*redis.Store{one, two} {
		if err := store.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	for began := time.Now(); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Since(began) > 5*time.Second {
			t.Fatalf("%d goroutines are left of closed stores, want none:\n%s", runtime.NumGoroutine()-before, stacks())
		}
	}
}

func stacks() []byte {
	buf := make([]byte, 1<<16)
	return buf[:runtime.Stack(buf, true)]
}
