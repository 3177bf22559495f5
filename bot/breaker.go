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
	// maxProbes is how many probes go on at once where each has its first text
	// before the next one begins.
	maxProbes = 3
)

// A breaker is a circuit breaker: it keeps a service that fails from being
// asked, until a probe, a call that goes ahead of all others, is answered.
// Failures are counted in a row and not as a rate, because a rate needs a
// window to be chosen, and a service that answers every few calls is better
// asked than not.
type breaker struct {
	mu       sync.Mutex
	failures int // in a row, while it is closed
	open     bool
	until    time.Time // while it is open, no call before
	// probe is when the newest probe began, and zero once it has ended. It keeps
	// all other calls out until it has its first text, and for lastCooldown at
	// most: one that hangs says nothing, however long it is listened to.
	probe  time.Time
	heard  bool // the newest probe has its first text
	probes int  // that have not ended
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
	case b.barred(now):
		return call{}, errors.New("is being tried by another turn")
	}
	b.probe, b.heard = now, false
	b.probes++
	return call{began: now, probe: true}, nil
}

// wouldEnter reports whether a call could enter at a later time, as things are.
func (b *breaker) wouldEnter(then time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.open || !then.Before(b.until) && !b.barred(then)
}

// barred reports whether the newest probe keeps others out.
func (b *breaker) barred(then time.Time) bool {
	return then.Sub(b.probe) < lastCooldown && (!b.heard || b.probes >= maxProbes)
}

// hear notes the first text of a call. A probe's lets the next probe in, so that
// one long answer does not keep all others from a service that is well. It does
// not close the breaker: some services begin every answer and end none.
func (b *breaker) hear(c call) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.heard = b.heard || b.isNewest(c)
}

// isNewest reports whether a call is the newest probe.
func (b *breaker) isNewest(c call) bool { return c.probe && c.began.Equal(b.probe) }

// leave ends a call that entered. Rest is how long the service wants to be left
// alone; 0 means that it does not say, and the breaker chooses. It reports what
// became of the breaker, and until when no call is let through while it is open.
func (b *breaker) leave(c call, h health, rest time.Duration) (opened, closed bool, until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	wasOpen := b.open
	if b.isNewest(c) {
		b.probe = time.Time{}
	}
	if c.probe {
		b.probes--
	}
	switch {
	case h == healthy && (c.probe || !b.open):
		b.close()
	case rest > 0:
		b.rest(time.Now().Add(min(rest, longestRest)))
	case h == failing && c.probe && b.open:
		// It counts from when the probe began: one that had to be given up after a
		// while has waited already.
		b.rest(c.began.Add(lastCooldown))
	case h == failing && !b.open:
		if b.failures++; b.failures >= breakerFailures {
			b.rest(time.Now().Add(firstCooldown))
		}
	}
	return b.open && !wasOpen, wasOpen && !b.open, b.until
}

// close lets all calls through, unless another one found meanwhile that the
// service is to be left alone.
func (b *breaker) close() {
	if b.open && time.Now().Before(b.until) {
		return
	}
	b.open, b.failures, b.probe = false, 0, time.Time{}
}

// rest keeps the breaker open until then at least.
func (b *breaker) rest(then time.Time) {
	b.open = true
	if then.After(b.until) {
		b.until = then
	}
}
