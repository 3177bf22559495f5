package sqlite

import (
	"context"
	"time"
)

// sweepBatch is how many turns are deleted at once. Turns that are finished
// meanwhile wait for one batch at most.
const sweepBatch = 100

// Sweep implements [parley.Store]. What it deletes is overwritten, and leaves
// the write-ahead log too once nothing more is to be deleted.
func (s *Store) Sweep(ctx context.Context, before time.Time, limit int) (int, error) {
	if err := s.enter(ctx, writing); err != nil {
		return 0, err
	}
	defer s.leave()
	swept := s.sessions.sweep(before, limit)
	for swept < limit {
		batch := min(sweepBatch, limit-swept)
		n, err := s.sweep(ctx, micros(before), batch)
		swept += n
		if n > 0 {
			s.unwiped.Store(true)
		}
		if err != nil {
			return swept, s.wrap("sweep", err)
		}
		if n < batch {
			break
		}
	}
	if swept == limit || !s.unwiped.Load() {
		return swept, nil // the next call goes on, or there is nothing to wipe
	}
	wipe := newChange(0, nil)
	wipe.truncate = true
	wipe.ended = func(err error) { s.unwiped.Store(err != nil) }
	return swept, s.wrap("sweep", s.writer.do(ctx, wipe))
}

// sweep deletes one batch of turns that began before a time.
func (s *Store) sweep(ctx context.Context, before int64, batch int) (int, error) {
	var deleted int64
	ch := newChange(batch*4096, func(c *conn) (err error) {
		deleted, err = c.exec(`DELETE FROM turns WHERE id IN (SELECT id FROM turns WHERE began < ? ORDER BY began, id LIMIT ?)`, before, int64(batch))
		return err
	})
	// What is known of these sessions is to be read again.
	ch.ended = func(error) {
		for {
			was := s.sweptBefore.Load()
			if was >= before || s.sweptBefore.CompareAndSwap(was, before) {
				return
			}
		}
	}
	if err := s.writer.do(ctx, ch); err != nil {
		return 0, err
	}
	return int(deleted), nil
}
