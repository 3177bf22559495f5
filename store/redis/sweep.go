package redis

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// sweep removes turns of a session that began before a time, and answers with
// how many there were.
var sweep = onSession(`
local session, before, swept = ARGV[1], tonumber(ARGV[2]), 0
for i = 3, #ARGV do
	local turn = begun(ARGV[i])
	if not turn then
		redis.call('ZREM', age, ARGV[i] .. ':' .. session) -- or it would be found forever
	elseif tonumber(turn.began) < before then
		forget(session, ARGV[i], turn)
		swept = swept + 1
	end
end
return swept
`)

// An aged turn is one of those that may be swept.
type aged struct {
	began        float64
	session, seq string
}

// Sweep implements [parley.Store]: the oldest turns of all buckets go first,
// whether or not they are finished.
func (s *Store) Sweep(ctx context.Context, before time.Time, limit int) (int, error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.leave()
	swept := 0
	for swept < limit {
		oldest, err := s.oldest(ctx, before, limit-swept)
		if err != nil || len(oldest) == 0 {
			return swept, s.wrap("sweep", err)
		}
		n, err := s.remove(ctx, before, oldest)
		swept += n
		if err != nil {
			return swept, s.wrap("sweep", err)
		}
	}
	return swept, nil
}

// oldest returns up to limit turns that began before a time: the oldest ones,
// and at least one where there is any.
func (s *Store) oldest(ctx context.Context, before time.Time, limit int) ([]aged, error) {
	// A few of each bucket are enough as a rule. What is younger than the last of
	// a bucket that may have more has to wait for the next round.
	few := int64(limit)/8 + 1
	pipe := s.db.Pipeline()
	of := make([]*redis.ZSliceCmd, buckets)
	for n := range of {
		of[n] = pipe.ZRangeByScoreWithScores(ctx, s.bucket(n, "age"), &redis.ZRangeBy{Min: "-inf", Max: "(" + strconv.FormatInt(micros(before), 10), Count: few})
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	var all []aged
	horizon := math.Inf(1)
	for _, cmd := range of {
		for _, z := range cmd.Val() {
			seq, session, _ := strings.Cut(z.Member.(string), ":")
			all = append(all, aged{z.Score, session, seq})
		}
		if n := len(cmd.Val()); int64(n) == few {
			horizon = min(horizon, cmd.Val()[n-1].Score)
		}
	}
	all = slices.DeleteFunc(all, func(a aged) bool { return a.began > horizon })
	slices.SortFunc(all, func(a, b aged) int { return cmp.Compare(a.began, b.began) })
	return all[:min(limit, len(all))], nil
}

// remove removes turns, and returns how many were there still.
func (s *Store) remove(ctx context.Context, before time.Time, turns []aged) (int, error) {
	place := map[string]int{} // in calls, of a session
	var calls []call
	for _, t := range turns {
		i, ok := place[t.session]
		if !ok {
			i, place[t.session] = len(calls), len(calls)
			calls = append(calls, call{keys: s.keys(t.session), args: []any{t.session, micros(before)}})
		}
		calls[i].args = append(calls[i].args, t.seq)
	}
	results, err := s.runAll(ctx, sweep, calls)
	removed := 0
	for _, r := range results {
		n, _ := r.Int() // err has the first error of any
		removed += n
	}
	return removed, err
}
