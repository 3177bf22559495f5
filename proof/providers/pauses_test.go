package providers_test

import (
	"sync"
	"testing"
	"time"
)

// pauses are the times in which the machine was too busy to go on with this
// process. Nothing that it measures then is a server's doing.
type pauses struct {
	mu   sync.Mutex
	list []pause
}

type pause struct{ from, to time.Time }

// watchPauses notes the pauses until the test ends.
func watchPauses(t *testing.T) *pauses {
	const tick = time.Millisecond
	p := &pauses{}
	go func() {
		for t.Context().Err() == nil {
			began := time.Now()
			time.Sleep(tick)
			if now := time.Now(); now.Sub(began) > 10*tick {
				p.mu.Lock()
				p.list = append(p.list, pause{began.Add(tick), now})
				p.mu.Unlock()
			}
		}
	}()
	return p
}

// between returns how much of the time from one moment to another was a pause.
func (p *pauses) between(from, to time.Time) (sum time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pause := range p.list {
		begin, end := pause.from, pause.to
		if begin.Before(from) {
			begin = from
		}
		if end.After(to) {
			end = to
		}
		sum += max(end.Sub(begin), 0)
	}
	return sum
}
