package redis_test

import (
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/dbtest"
	"github.com/parley-chat/parley/parleytest"
	"github.com/parley-chat/parley/store/redis"
)

func TestMain(m *testing.M) {
	redis.LogTo(slog.New(slog.DiscardHandler))
	if !dbtest.LeftOut() {
		os.Exit(m.Run())
	}
}

// open opens a store that must be there, and does not close it.
func open(t testing.TB, cfg redis.Config) *redis.Store {
	t.Helper()
	store, err := redis.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// places makes room on a server.
func places(server *dbtest.RedisServer) func(t *testing.T) func() parley.Store {
	return func(t *testing.T) func() parley.Store {
		url := server.URL(t)
		return func() parley.Store { return open(t, redis.Config{URL: url}) }
	}
}

func TestStore(t *testing.T) { parleytest.DurableStore(t, places(dbtest.Redis(t))) }

func TestShared(t *testing.T) { parleytest.Shared(t, places(dbtest.Redis(t))) }

func TestArchive(t *testing.T) { parleytest.Archive(t, places(dbtest.Redis(t))) }

// message asks for a turn now, as a Chat does.
func message(session, prompt string) parley.NewTurn {
	now := time.Now()
	return parley.NewTurn{
		Session: session, Prompt: prompt, Time: now,
		RestSince:  now.Add(-time.Hour),
		KeysSince:  now.Add(-24 * time.Hour),
		TwinsSince: now.Add(-2 * time.Second),
		DeadBefore: now.Add(-70 * time.Second),
	}
}

// However long a session is, Begin looks at the same few of its turns: Redis
// does nothing else meanwhile.
func TestBeginLooksAtFewTurns(t *testing.T) {
	server := dbtest.Redis(t)
	store := open(t, redis.Config{URL: server.URL(t)})
	defer store.Close()
	turns := 0
	looksAfter := func(n int) string {
		for ; turns < n; turns++ {
			if err := answer(t.Context(), store, "s", fmt.Sprint(turns)); err != nil {
				t.Fatal(err)
			}
		}
		server.CLI("config", "resetstat")
		begun, err := store.Begin(t.Context(), message("s", "next"))
		if err != nil {
			t.Fatal(err)
		}
		looks := regexp.MustCompile(`cmdstat_hget:calls=(\d+)`).FindString(server.CLI("info", "commandstats"))
		if err := store.Abandon(t.Context(), begun.Record); err != nil {
			t.Fatal(err)
		}
		return looks
	}
	few, many := looksAfter(3), looksAfter(500)
	if few == "" || few != many {
		t.Errorf("after 3 turns Begin reads %s, after 500 turns %s; want the same", few, many)
	}
}
