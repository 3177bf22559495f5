package postgres

import (
	"context"
	"time"
)

// limitsBatch is how many windows that have ended are deleted at once.
const limitsBatch = 10_000

// Sweep implements [parley.Store]. It also deletes what limits counted in windows
// that have ended. Nodes that sweep at once share the work.
func (s *Store) Sweep(ctx context.Context, before time.Time, limit int) (int, error) {
	for {
		n, err := s.exec(ctx, `DELETE FROM parley_limits WHERE ctid = ANY (ARRAY(
			SELECT ctid FROM parley_limits WHERE ends <= now() ORDER BY ends LIMIT $1 FOR UPDATE SKIP LOCKED))`, limitsBatch)
		if err != nil {
			return 0, s.fail("sweep limits", err)
		}
		if n < limitsBatch {
			break
		}
	}
	n, err := s.exec(ctx, `DELETE FROM parley_turns WHERE ctid = ANY (ARRAY(
		SELECT ctid FROM parley_turns WHERE began < $1 ORDER BY began LIMIT $2 FOR UPDATE SKIP LOCKED))`, before, limit)
	return n, s.fail("sweep", err)
}
