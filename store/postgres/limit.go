package postgres

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/parley-chat/parley"
)

// Take implements [parley.Limiter], by the server's clock.
func (s *Store) Take(ctx context.Context, key string, _ int, window time.Duration) (parley.Hit, error) {
	hashed := sha256.Sum256([]byte(key))
	var hit parley.Hit
	var left int64 // microseconds
	err := s.row(ctx, []any{&hit.Count, &left}, `
		INSERT INTO parley_limits AS l (key, hits, ends) VALUES ($1, 1, now() + $2 * interval '1 microsecond')
		ON CONFLICT (key) DO UPDATE SET
			hits = CASE WHEN l.ends > now() THEN l.hits + 1 ELSE 1 END,
			ends = CASE WHEN l.ends > now() THEN l.ends ELSE excluded.ends END
		RETURNING hits, (extract(epoch FROM ends - now()) * 1000000)::bigint`,
		hashed[:], window.Microseconds())
	if err != nil {
		return parley.Hit{}, s.fail("count a hit", err)
	}
	// A hit that waited for another one's end has a little more left than a window.
	hit.Reset = min(time.Duration(left)*time.Microsecond, window)
	return hit, nil
}
