package redis

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/parley-chat/parley"
)

// A cursor is how far [Store.Records] has come: behind a turn of a session, in
// the order of buckets, of names and of numbers.
type cursor struct {
	bucket  int
	session string // empty at a bucket's beginning
	seq     int
}

// String writes a cursor for a caller to keep.
func (c cursor) String() string { return fmt.Sprintf("%d.%d.%x", c.bucket, c.seq, c.session) }

func parseCursor(after string) (c cursor, err error) {
	if after == "" {
		return c, nil
	}
	var session []byte
	n, err := fmt.Sscanf(after, "%d.%d.%x", &c.bucket, &c.seq, &session)
	if n == 2 { // no session
		err = nil
	}
	c.session = string(session)
	if err != nil || c.bucket < 0 || c.bucket >= buckets || c.String() != after {
		return c, fmt.Errorf("%q is no place in the records", after)
	}
	return c, nil
}

// Records implements [parley.Archive].
func (s *Store) Records(ctx context.Context, after string, limit int) ([]parley.Record, string, error) {
	if err := s.enter(ctx); err != nil {
		return nil, "", err
	}
	defer s.leave()
	at, err := parseCursor(after)
	if err != nil {
		return nil, "", s.wrap("read records", err)
	}
	records, at, err := s.records(ctx, at, limit)
	if err != nil {
		return nil, "", s.wrap("read records", err)
	}
	if at.bucket == buckets {
		return records, "", nil
	}
	return records, at.String(), nil
}

// sessionsAtOnce is how many sessions are read at once.
const sessionsAtOnce = 32

// records returns finished turns behind a cursor, all of one bucket, and the
// cursor behind them.
func (s *Store) records(ctx context.Context, at cursor, limit int) ([]parley.Record, cursor, error) {
	sessions, err := s.sessionsFrom(ctx, at, min(limit, sessionsAtOnce))
	if err != nil {
		return nil, at, err
	}
	if len(sessions) == 0 {
		return nil, cursor{bucket: at.bucket + 1}, nil
	}
	calls := make([]call, len(sessions))
	for i, session := range sessions {
		from := 0
		if session == at.session {
			from = at.seq + 1
		}
		calls[i] = call{s.keys(session), []any{"ZRANGEBYSCORE", from, "+inf", min(limit, pageLength)}}
	}
	results, err := s.runAll(ctx, page, calls)
	if err != nil {
		return nil, at, err
	}
	var records []parley.Record
	for i, session := range sessions {
		turns, err := toRecords(session, results[i])
		if err != nil {
			return nil, at, err
		}
		for _, r := range turns {
			at = cursor{at.bucket, session, r.Seq}
			if r.Reply != nil {
				records = append(records, r)
			}
		}
		if len(turns) == min(limit, pageLength) || len(records) >= limit {
			return records, at, nil // there may be more of this session
		}
		at = cursor{at.bucket, session, lastSeq}
	}
	return records, at, nil
}

// lastSeq is behind every turn of a session.
const lastSeq = 1 << 53

// sessionsFrom returns names of sessions in order, beginning with that of the
// cursor, where it is there still.
func (s *Store) sessionsFrom(ctx context.Context, at cursor, limit int) ([]string, error) {
	from := "[" + at.session
	if at.seq == lastSeq {
		from = "(" + at.session
	}
	return s.db.ZRangeByLex(ctx, s.bucket(at.bucket, "sessions"), &redis.ZRangeBy{Min: from, Max: "+", Count: int64(limit)}).Result()
}

// restore keeps a finished turn under a number that is free.
var restore = onSession(`
local session, seq, began, begin, finish, key, prompt = unpack(ARGV)
if redis.call('HSETNX', turns, 'b' .. seq, begin) == 0 then return 0 end
redis.call('HSET', turns, 'e' .. seq, finish)
local field = index(key, prompt)
local newest = redis.call('HGET', turns, field)
if not newest or tonumber(newest) < tonumber(seq) then redis.call('HSET', turns, field, seq) end
redis.call('ZADD', order, seq, seq)
redis.call('ZADD', age, began, seq .. ':' .. session)
redis.call('ZADD', sessions, 0, session)
return 1
`)

// Restore implements [parley.Archive].
func (s *Store) Restore(ctx context.Context, records []parley.Record) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	var calls []call
	for _, r := range records {
		if r.Reply == nil {
			return s.wrap("restore", fmt.Errorf("turn %d is not finished", r.Seq))
		}
		reply, err := r.Reply.MarshalJSON()
		if err != nil {
			return s.wrap("encode a reply", err)
		}
		beginning := fmt.Sprintf("%d %d 0 %d %s%s", r.First, micros(r.Began), len(r.Key), r.Key, r.Prompt)
		calls = append(calls, call{s.keys(r.Session), []any{r.Session, r.Seq, micros(r.Began), beginning, endOf(r.Ended, reply), r.Key, r.Prompt}})
	}
	if len(calls) == 0 {
		return nil
	}
	_, err := s.runAll(ctx, restore, calls)
	return s.wrap("restore turns", err)
}
