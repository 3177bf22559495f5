package middleware

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/parley-chat/parley"
)

// MemoryLimiter is a [parley.Limiter] of one process, with a bound on its memory: it
// remembers a fixed number of windows, about 150 bytes each. A hit costs the
// same, however many there are.
//
// When there is no room for another window, one of a few picked at random goes:
// one that is over, or else the one with the most hits left. So whoever is
// counted gets more than their share at worst and never less, and a client that
// used its share up does not get it back by having others knock: about every
// window would have to be used up first, with far more hits than one share.
type MemoryLimiter struct {
	most int

	mu      sync.Mutex
	windows []window
	index   map[string]int // into windows, by key
}

type window struct {
	key   string
	count int
	limit int
	ends  time.Time
}

// defaultMaxKeys keeps the memory of a limiter near 10 MB.
const defaultMaxKeys = 1 << 16

// NewMemoryLimiter returns an empty limiter that remembers up to maxKeys
// windows. 0 or less means 65,536.
func NewMemoryLimiter(maxKeys int) *MemoryLimiter {
	if maxKeys <= 0 {
		maxKeys = defaultMaxKeys
	}
	return &MemoryLimiter{most: maxKeys, index: map[string]int{}}
}

// Take implements [parley.Limiter]. Its error is always nil.
func (m *MemoryLimiter) Take(_ context.Context, key string, limit int, length time.Duration) (parley.Hit, error) {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	i, ok := m.index[key]
	if !ok {
		m.makeRoom(now)
		i = len(m.windows)
		m.windows = append(m.windows, window{key: key})
		m.index[key] = i
	}
	w := &m.windows[i]
	if !now.Before(w.ends) {
		w.count, w.ends = 0, now.Add(length)
	}
	w.count, w.limit = min(w.count, limit)+1, limit
	return parley.Hit{Count: w.count, Reset: w.ends.Sub(now)}, nil
}

// makeRoom looks at a few windows, forgets those that are over, and one more if
// the limiter is full nevertheless. As it is called for every new key, windows
// that are over do not pile up: where one in eight is, each call finds one. The
// caller holds the lock.
func (m *MemoryLimiter) makeRoom(now time.Time) {
	const few = 8
	victim, most := -1, 0
	for range few {
		if len(m.windows) == 0 {
			return
		}
		i := rand.IntN(len(m.windows))
		w := &m.windows[i]
		if !now.Before(w.ends) {
			m.forget(i)
			victim = -1 // forgetting moved a window
			continue
		}
		if left := w.limit - w.count; victim < 0 || left > most {
			victim, most = i, left
		}
	}
	if len(m.windows) >= m.most {
		m.forget(victim)
	}
}

// forget removes a window and moves the last one into its place. The caller
// holds the lock.
func (m *MemoryLimiter) forget(i int) {
	delete(m.index, m.windows[i].key)
	last := len(m.windows) - 1
	if i != last {
		m.windows[i] = m.windows[last]
		m.index[m.windows[i].key] = i
	}
	m.windows[last] = window{}
	m.windows = m.windows[:last]
}
