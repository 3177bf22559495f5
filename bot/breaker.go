package bot

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// breakerFailures is how many calls in a row must fail before the breaker
	// opens.
	breakerFailures = 5
	// The breaker stays open for firstCooldown, and for lastCooldown where the
	// service was still away then, so that it is noticed soon when it is back.
	firstCooldown = 5 * time.Second
	lastCooldown  = 10 * time.Second
	// longestRest bounds what a service may ask for with Retry-After. A quota may
	// be gone for a day, and yet be raised the next minute.
	longestRest = 10 * time.Minute
)

// A breaker is a circuit breaker: it keeps a service that fails from being
// asked, until one call at a time, the probe, finds that it answers again.
// Failures are counted in a row and not as a rate, because a rate needs a
// window to be chosen, and a service that answers every few calls is better
// asked than not.
type breaker struct {
	mu       sync.Mutex
	failures int // in a row, while it is closed
	open     bool
	until    time.Time // while it is open, no call before
	probing  bool      // a probe is out
}

// A call is one call of the service that a breaker let through.
type call struct {
	began time.Time
	probe bool
}

// health is what a call says about the service.
type health int

const (
	unknown health = iota // the call was called off, or failed for another reason
	healthy
	failing
)

// enter lets a call through, or says why not.
func (b *breaker) enter() (call, error) {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case !b.open:
		return call{began: now}, nil
	case now.Before(b.until):
		return call{}, fmt.Errorf("is not asked until %s", b.until.Format(time.TimeOnly))
	case b.probing:
		return call{}, errors.New("is being tried by another turn")
	}
	b.probing = true
	return call{began: now, probe: true}, nil
}

// leave ends a call that entered. Rest is how long the service wants to be left
// alone. It reports what became of the breaker.
func (b *breaker) leave(c call, h health, rest time.Duration) (opened, closed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	wasOpen := b.open
	if c.probe {
		b.probing = false
	}
	switch {
	case h == healthy && (c.probe || !b.open):
		b.open, b.failures = false, 0
	case h == failing && c.probe:
		// It counts from when the probe began: one that had to be given up after a
		// while has waited already.
		b.rest(c.began.Add(lastCooldown))
	case h == failing && !b.open:
		if b.failures++; b.failures >= breakerFailures {
			b.rest(time.Now().Add(firstCooldown))
		}
	}
	if rest > 0 {
		b.rest(time.Now().Add(min(rest, longestRest)))
	}
	return b.open && !wasOpen, wasOpen && !b.open
}

// rest keeps the breaker open until then at least.
func (b *breaker) rest(then time.Time) {
	b.open = true
	if then.After(b.until) {
		b.until = then
	}
}
