package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/store/mongo"
	"github.com/parley-chat/parley/store/postgres"
	"github.com/parley-chat/parley/store/redis"
	"github.com/parley-chat/parley/store/sqlite"
)

// large measures how long a turn takes in a store that has much, beside one that
// has little, and while what is old is swept. The stores are those of SQLite,
// or two databases of a server.
func (b bench) large(sessions, turns int, urls []string) error {
	if len(urls) == 0 {
		urls = []string{"sqlite:" + filepath.Join(b.dir, "small.db"), "sqlite:" + filepath.Join(b.dir, "large.db")}
	}
	if len(urls) != 2 {
		return errors.New("-databases takes the URLs of two empty databases, with a comma between them")
	}
	ctx := context.Background()
	small, err := openArchive(ctx, urls[0])
	if err != nil {
		return err
	}
	defer small.Close()
	large, err := openArchive(ctx, urls[1])
	if err != nil {
		return err
	}
	defer large.Close()

	// A tenth of what is stored is old enough to go.
	now, old := time.Now(), time.Now().Add(-40*24*time.Hour)
	expired := sessions / 10
	for _, part := range []struct {
		store    parley.Archive
		from, to int
		newest   time.Time
	}{
		{small, 0, 1_000, now},
		{large, 0, expired, old},
		{large, expired, sessions, now},
	} {
		if err := fill(ctx, part.store, "large", part.from, part.to, turns, part.newest); err != nil {
			return err
		}
	}

	measure := func(store parley.Archive) (times, error) { return b.turns(ctx, store) }
	var few, many []times
	for round := range b.rounds + 1 {
		for _, m := range []struct {
			store parley.Archive
			into  *[]times
		}{{small, &few}, {large, &many}} {
			took, err := measure(m.store)
			if err != nil {
				return err
			}
			if round > 0 { // the first warms up
				*m.into = append(*m.into, took)
			}
		}
	}

	// A round with the sweep, and one without, for as long as there is something
	// to sweep.
	var rest, busy []times
	swept := 0
	for range b.rounds {
		took, err := measure(large)
		if err != nil {
			return err
		}
		rest = append(rest, took)
		stop := make(chan bool)
		done := make(chan error, 1)
		go func() {
			n, err := sweep(ctx, large, now.Add(-30*24*time.Hour), stop)
			swept += n
			done <- err
		}()
		took, err = measure(large)
		close(stop)
		if err := errors.Join(err, <-done); err != nil {
			return err
		}
		busy = append(busy, took)
	}

	fmt.Printf("%s: %d rounds of %d turns, %d at once; the median of each figure\n\n", strings.SplitN(urls[1], ":", 2)[0], b.rounds, b.requests/4, workers)
	fmt.Printf("%-44s %10s %10s\n", "", "p50", "p99")
	line := func(name string, all []times) float64 {
		p99 := median(all, func(t times) float64 { return t.p99 })
		fmt.Printf("%-44s %7.2f ms %7.2f ms\n", name, median(all, func(t times) float64 { return t.p50 }), p99)
		return p99
	}
	p99few := line(fmt.Sprintf("1,000 sessions of %d turns", turns), few)
	p99many := line(fmt.Sprintf("%d sessions of %d turns", sessions, turns), many)
	p99rest := line("the same, in turns with the next", rest)
	p99busy := line(fmt.Sprintf("the same, while %d old turns are swept", swept), busy)
	fmt.Printf("\np99, many sessions : few           %.2f\n", p99many/p99few)
	fmt.Printf("p99, while sweeping : otherwise    %.2f\n", p99busy/p99rest)
	return nil
}

// openArchive opens a store by its URL.
func openArchive(ctx context.Context, url string) (parley.Archive, error) {
	scheme, rest, _ := strings.Cut(url, ":")
	log := slog.New(slog.DiscardHandler)
	switch scheme {
	case "sqlite":
		return sqlite.Open(rest)
	case "postgres", "postgresql":
		return postgres.Open(ctx, postgres.Config{URL: url, Logger: log})
	case "redis", "rediss":
		return redis.Open(ctx, redis.Config{URL: url, Logger: log})
	case "mongodb":
		return mongo.Open(ctx, mongo.Config{URL: url, Logger: log})
	}
	return nil, fmt.Errorf("%q is no store; write sqlite:, postgres://, redis:// or mongodb://", scheme)
}

// workers is how many turns are under way at once.
const workers = 16

// times are those of the turns of a round, in milliseconds.
type times struct{ p50, p99 float64 }

// turns begins and finishes turns as a chat does, in a thousand sessions of
// their own.
func (b bench) turns(ctx context.Context, store parley.Store) (times, error) {
	count := b.requests / 4
	took := make([]float64, count)
	var next atomic.Int64
	errs := make(chan error, workers)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= count {
					errs <- nil
					return
				}
				began := time.Now()
				if err := turn(ctx, store, counter.Add(1)); err != nil {
					errs <- err
					return
				}
				took[i] = time.Since(began).Seconds() * 1000
			}
		})
	}
	wg.Wait()
	for range workers {
		if err := <-errs; err != nil {
			return times{}, err
		}
	}
	slices.Sort(took)
	return times{took[count/2], took[count*99/100]}, nil
}

func turn(ctx context.Context, store parley.Store, n int64) error {
	now := time.Now()
	begun, err := store.Begin(ctx, parley.NewTurn{
		Session: fmt.Sprintf("turns%027x", n%1000), Prompt: fmt.Sprint("Message ", n), Time: now,
		RestSince: now.Add(-time.Hour), KeysSince: now.Add(-24 * time.Hour), TwinsSince: now.Add(-2 * time.Second), DeadBefore: now.Add(-70 * time.Second),
	})
	if err != nil {
		return err
	}
	return store.Finish(ctx, begun.Record, parley.Text("We are open from 9 to 5."), time.Now())
}

// sweep sweeps as a chat does, until there is nothing left or stop is closed.
func sweep(ctx context.Context, store parley.Store, before time.Time, stop <-chan bool) (swept int, err error) {
	for {
		n, err := store.Sweep(ctx, before, 50)
		swept += n
		if err != nil || n < 50 {
			return swept, err
		}
		select {
		case <-stop:
			return swept, nil
		case <-time.After(250 * time.Millisecond):
		}
	}
}
