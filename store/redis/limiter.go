package redis

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/parley-chat/parley"
)

// take counts a hit, by the server's clock, and answers with how many there are
// and for how many milliseconds. What is far beyond the limit is read only:
// nothing is written for who keeps hitting.
var take = redis.NewScript(`
local count = tonumber(redis.call('GET', KEYS[1]) or 0)
if count <= tonumber(ARGV[1]) then
	count = redis.call('INCR', KEYS[1])
	if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
end
return {count, redis.call('PTTL', KEYS[1])}
`)

// Take implements [parley.Limiter]. Windows are kept to the millisecond. Where
// a connection breaks, one hit may be counted twice.
func (s *Store) Take(ctx context.Context, key string, limit int, window time.Duration) (parley.Hit, error) {
	if err := s.enter(ctx); err != nil {
		return parley.Hit{}, err
	}
	defer s.leave()
	answer, err := s.run(ctx, take, []string{s.prefix + ":limit:" + key}, limit, max(1, window.Milliseconds())).Int64Slice()
	if err != nil {
		return parley.Hit{}, s.wrap("count a hit", err)
	}
	return parley.Hit{Count: int(answer[0]), Reset: max(1, time.Duration(answer[1])) * time.Millisecond}, nil
}
