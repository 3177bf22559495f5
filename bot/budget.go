package bot

import "sync"

const (
	// Each turn earns a part of a retry, and a few are kept for bad times: over
	// any 100 turns or more, one in ten at most is asked twice.
	turnsPerRetry = 20
	retriesKept   = 5
)

// A retryBudget says how often a service may be asked again, so that retries do
// not bury one that is already in trouble. It is a token bucket that turns fill,
// and not time: what it bounds is the share of retries.
type retryBudget struct {
	mu    sync.Mutex
	spent int // of what was kept, in parts that a turn earns
}

// earn adds what a turn earns.
func (b *retryBudget) earn() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spent = max(b.spent-1, 0)
}

// spend takes a retry, and reports false where there is none.
func (b *retryBudget) spend() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.spent+turnsPerRetry > retriesKept*turnsPerRetry {
		return false
	}
	b.spent += turnsPerRetry
	return true
}
