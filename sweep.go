package parley

import (
	"context"
	"time"
)

// sweep deletes what has been kept long enough, a little at a time, so that turns
// that are answered meanwhile hardly wait for it: seventeen millions a day.
func (c *Chat) sweep(ctx context.Context) {
	const batch, rest = 50, 250 * time.Millisecond
	now := time.Now()
	before := now.Add(-c.cfg.Retention)
	if dead := c.deadBefore(now); dead.Before(before) {
		before = dead // what runs is not swept
	}
	for {
		n, err := c.store.Sweep(ctx, before, batch)
		if err != nil && ctx.Err() == nil {
			c.log.Error("the store failed", "to", "sweep old records", "error", err)
		}
		if err != nil || n < batch {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(rest):
		}
	}
}

// sweeper calls a function at intervals until it is stopped.
type sweeper struct {
	cancel context.CancelFunc
	done   chan struct{}
}

func (s *sweeper) start(sweep func(context.Context), every time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel, s.done = cancel, make(chan struct{})
	go func() {
		defer close(s.done)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				sweep(ctx)
			}
		}
	}()
}

func (s *sweeper) stop() {
	s.cancel()
	<-s.done
}
