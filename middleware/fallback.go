package middleware

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/parley-chat/parley"
)

const (
	// sharedTimeout is how long a request waits for a shared limiter. A database
	// that is busy must not be taken for one that is away: every process would
	// count by itself then.
	sharedTimeout = time.Second
	// sharedRest is how long a shared limiter that failed is left alone.
	sharedRest = time.Second
)

// fallback is a shared limiter with one in memory beside it, which counts while
// the shared one fails: at the same rate, so that each process lets through no
// more than the limit by itself, and never all or nothing.
type fallback struct {
	shared parley.Limiter
	local  *MemoryLimiter
	log    *slog.Logger

	mu        sync.Mutex
	failing   bool
	restUntil time.Time
}

func newFallback(shared parley.Limiter, log *slog.Logger) *fallback {
	return &fallback{shared: shared, local: NewMemoryLimiter(0), log: log}
}

// Take implements [parley.Limiter]. Its error is always nil.
func (f *fallback) Take(ctx context.Context, key string, limit int, window time.Duration) (parley.Hit, error) {
	if !f.resting() {
		hit, err := f.ask(ctx, key, limit, window)
		f.note(err)
		if err == nil {
			return hit, nil
		}
	}
	return f.local.Take(ctx, key, limit, window)
}

// ask asks the shared limiter. A client that leaves does not make it fail.
func (f *fallback) ask(ctx context.Context, key string, limit int, window time.Duration) (parley.Hit, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sharedTimeout)
	defer cancel()
	return f.shared.Take(ctx, key, limit, window)
}

// resting reports whether the shared limiter failed a moment ago.
func (f *fallback) resting() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failing && time.Now().Before(f.restUntil)
}

// note remembers how the shared limiter did, and logs when that changes.
func (f *fallback) note(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err != nil && !f.failing:
		f.log.Error("the shared rate limiter failed; every process counts by itself", "error", err)
	case err == nil && f.failing:
		f.log.Info("the shared rate limiter answers again")
	}
	f.failing = err != nil
	if f.failing {
		f.restUntil = time.Now().Add(sharedRest)
	}
}
