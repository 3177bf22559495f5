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
	// probe is when the newest probe began, and zero once it has ended. It keeps
	// all other calls out for lastCooldown at most: one that hangs says nothing,
	// however long it is listened to.
	probe time.Time
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
	case now.Sub(b.probe) < lastCooldown:
		return call{}, errors.New("is being tried by another turn")
	}
	b.probe = now
	return call{began: now, probe: true}, nil
}

// wouldEnter reports whether a call could enter at a later time, as things are.
func (b *breaker) wouldEnter(then time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.open || !then.Before(b.until) && then.Sub(b.probe) >= lastCooldown
}

// heard notes the first text of a call. A probe's says that the service is back:
// how its answer ends counts like that of any other call. It reports whether that
// closed the breaker.
func (b *breaker) heard(c call) (closed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return c.probe && b.close()
}

// leave ends a call that entered. Rest is how long the service wants to be left
// alone. It reports what became of the breaker.
func (b *breaker) leave(c call, h health, rest time.Duration) (opened, closed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	wasOpen := b.open
	newest := c.probe && c.began.Equal(b.probe)
	if newest {
		b.probe = time.Time{}
	}
	switch {
	case h == healthy && (c.probe || !b.open):
		b.close()
	case h == failing && newest:
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

// close lets all calls through, unless another one found meanwhile that the
// service is to be left alone. It reports whether they were kept out before.
func (b *breaker) close() (closed bool) {
	if b.open && time.Now().Before(b.until) {
		return false
	}
	closed = b.open
	b.open, b.failures, b.probe = false, 0, time.Time{}
	return closed
}

// rest keeps the breaker open until then at least.
func (b *breaker) rest(then time.Time) {
	b.open = true
	if then.After(b.until) {
		b.until = then
	}
}
