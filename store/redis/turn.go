package redis

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/parley-chat/parley"
)

// A session has five keys, which every script on sessions gets in this order:
//
//	t:SESSION  a hash of its turns and of what finds them:
//	           bSEQ  "FIRST BEGAN TOKEN LENGTH KEYPROMPT", with the length of the key
//	           eSEQ  "ENDED REPLY" once the turn is finished
//	           kKEY  the newest turn with an idempotency key
//	           pHASH the newest turn with a prompt and without a key
//	o:SESSION  a sorted set of the numbers of its turns, by themselves
//	r:SESSION  the same of those that run
//	age        a sorted set of SEQ:SESSION, by when the turn began; of the whole bucket
//	sessions   a sorted set of all sessions of the bucket, by their names
func (s *Store) keys(session string) []string {
	n := bucketOf(session)
	return []string{s.bucket(n, "t:"+session), s.bucket(n, "o:"+session), s.bucket(n, "r:"+session), s.bucket(n, "age"), s.bucket(n, "sessions")}
}

// onSession makes a script on the keys of a session. Numbers stay strings but
// where they are compared: microseconds fit in Lua's numbers, and would be
// written as 1.8e+15.
func onSession(script string) *redis.Script {
	return redis.NewScript(`
local turns, order, running, age, sessions = unpack(KEYS)

-- begun returns what is kept of a turn's beginning, or nil.
local function begun(seq)
	local data = redis.call('HGET', turns, 'b' .. seq)
	if not data then return nil end
	local first, began, token, size, at = string.match(data, '^(%d+) (%-?%d+) (%x+) (%d+) ()')
	size = tonumber(size)
	return {first = first, began = began, token = token, key = string.sub(data, at, at + size - 1), prompt = string.sub(data, at + size)}
end

-- ended returns when a turn ended, or nil.
local function ended(seq)
	local data = redis.call('HGET', turns, 'e' .. seq)
	return data and tonumber(string.match(data, '^%-?%d+'))
end

-- index returns the field that finds turns with a key, or a prompt without one.
local function index(key, prompt)
	if key ~= '' then return 'k' .. key end
	return 'p' .. redis.sha1hex(prompt)
end

-- forget removes a turn.
local function forget(session, seq, turn)
	local field = index(turn.key, turn.prompt)
	if redis.call('HGET', turns, field) == seq then redis.call('HDEL', turns, field) end
	redis.call('HDEL', turns, 'b' .. seq, 'e' .. seq)
	redis.call('ZREM', order, seq)
	redis.call('ZREM', running, seq)
	redis.call('ZREM', age, seq .. ':' .. session)
	if redis.call('EXISTS', order) == 0 then redis.call('ZREM', sessions, session) end
end
` + script)
}

// begin answers with 1, the number, the stretch and what the turn is behind
// for a fresh turn; with 0, the number and what is kept of it for one that was
// begun before; and with 2 where the key came with another prompt.
//
// The token is of one call of Begin: a call that was sent twice, because the
// first answer was lost, finds the turn of its own as fresh as it was.
var begin = onSession(`
local session, token, key, prompt, now = unpack(ARGV, 1, 5)
local restSince, keysSince, twinsSince, deadBefore = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])

-- behind returns the newest turn before seq that runs and is not dead.
local function behind(seq)
	for i = 0, redis.call('ZCARD', running) - 1 do
		local other = redis.call('ZREVRANGEBYSCORE', running, '(' .. seq, '-inf', 'LIMIT', i, 1)[1]
		if not other then break end
		if tonumber(begun(other).began) >= deadBefore then return other end
	end
	return '0'
end

local field = index(key, prompt)
local same = redis.call('HGET', turns, field)
if same then
	local turn, finish = begun(same), ended(same)
	local counts
	if key ~= '' then
		counts = tonumber(turn.began) >= keysSince
	else
		counts = turn.prompt == prompt and (not finish or finish >= twinsSince)
	end
	if turn.token == token then
		return {'1', same, turn.first, behind(same)}
	elseif counts and turn.prompt ~= prompt then
		return {'2'}
	elseif counts and (finish or tonumber(turn.began) >= deadBefore) then
		return {'0', same, redis.call('HGET', turns, 'b' .. same), redis.call('HGET', turns, 'e' .. same) or ''}
	elseif counts then
		forget(session, same, turn)
	end
end

local seq, first = '1', '1'
local newest = redis.call('ZREVRANGE', order, 0, 0)[1]
if newest then
	local turn = begun(newest)
	seq = string.format('%.0f', newest + 1)
	first = turn.first
	if (ended(newest) or tonumber(turn.began)) < restSince then first = seq end
else
	redis.call('ZADD', sessions, 0, session)
end
redis.call('HSET', turns, 'b' .. seq, first .. ' ' .. now .. ' ' .. token .. ' ' .. #key .. ' ' .. key .. prompt, field, seq)
redis.call('ZADD', order, seq, seq)
redis.call('ZADD', running, seq, seq)
redis.call('ZADD', age, now, seq .. ':' .. session)
return {'1', seq, first, behind(seq)}
`)

// Begin implements [parley.TurnStore].
//
// Where its answer is lost on the way, the turn may have begun, and nobody would
// answer it. It is taken back in the background then, as soon as that is
// possible; where too many are, it dies in time.
func (s *Store) Begin(ctx context.Context, t parley.NewTurn) (parley.Begun, error) {
	if err := s.enter(ctx); err != nil {
		return parley.Begun{}, err
	}
	defer s.leave()
	token := newToken()
	answer, err := stringsOf(s.run(ctx, begin, s.keys(t.Session), t.Session, token, t.Key, t.Prompt,
		micros(t.Time), micros(t.RestSince), micros(t.KeysSince), micros(t.TwinsSince), micros(t.DeadBefore)))
	if maybeDone(err) {
		s.takeBack(t.Session, token, t.Time.Sub(t.DeadBefore))
	}
	if err != nil {
		return parley.Begun{}, s.wrap("begin a turn", err)
	}
	begun, err := toBegun(t, answer)
	if err != nil && err != parley.ErrKeyReused {
		err = s.wrap("begin a turn", err)
	}
	return begun, err
}

// newToken returns a random number, which nobody else has.
func newToken() string {
	token := make([]byte, 8)
	rand.Read(token) // never fails: see crypto/rand
	return hex.EncodeToString(token)
}

// toBegun reads what begin answers.
func toBegun(t parley.NewTurn, answer []string) (parley.Begun, error) {
	switch {
	case answer[0] == "1" && len(answer) == 4:
		r := parley.Record{Session: t.Session, Key: t.Key, Prompt: t.Prompt, Began: fromMicros(micros(t.Time))}
		b := parley.Begun{Record: r, Fresh: true}
		return b, scan(answer[1:], &b.Seq, &b.First, &b.Behind)
	case answer[0] == "0" && len(answer) == 4:
		r, err := toRecord(t.Session, answer[1], answer[2], answer[3])
		return parley.Begun{Record: r}, err
	case answer[0] == "2":
		return parley.Begun{}, parley.ErrKeyReused
	}
	return parley.Begun{}, errAnswer
}

// scan reads numbers.
func scan(texts []string, numbers ...*int) (err error) {
	for i, n := range numbers {
		if *n, err = strconv.Atoi(texts[i]); err != nil {
			return err
		}
	}
	return nil
}

// mostTakenBack is how many turns are being taken back at once, at most.
const mostTakenBack = 64

// takeBack takes back a turn that nobody knows of but by its token, and tries
// for as long as the turn might be waited for. Where many are being taken back
// already, because Redis is away, it leaves the turn to die in time.
func (s *Store) takeBack(session, token string, long time.Duration) {
	select {
	case s.takingBack <- struct{}{}:
	default:
		return
	}
	s.background.Go(func() {
		defer func() { <-s.takingBack }()
		ctx, cancel := context.WithTimeout(s.life, long)
		defer cancel()
		for {
			err := s.run(ctx, takeBack, s.keys(session), session, token).Err()
			if err == nil {
				return
			}
			select {
			case <-ctx.Done():
				s.log.Warn("a turn that nobody answers may hold up its session", "store", "redis", "for", long, "error", err)
				return
			case <-time.After(time.Second):
			}
		}
	})
}

var takeBack = onSession(`
local session, token = unpack(ARGV)
for _, seq in ipairs(redis.call('ZREVRANGE', running, 0, -1)) do
	local turn = begun(seq)
	if turn.token == token then forget(session, seq, turn) end
end
return 1
`)

// finish answers with 1 once a turn is finished, and with 0 for an unknown one.
var finish = onSession(`
local seq, began, data = unpack(ARGV)
local turn = begun(seq)
if not turn or turn.began ~= began then return 0 end
if redis.call('HSETNX', turns, 'e' .. seq, data) == 1 then redis.call('ZREM', running, seq) end
return 1
`)

// Finish implements [parley.TurnStore].
func (s *Store) Finish(ctx context.Context, turn parley.Record, reply parley.Reply, at time.Time) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	data, err := reply.MarshalJSON()
	if err != nil {
		return s.wrap("encode a reply", err)
	}
	known, err := s.run(ctx, finish, s.keys(turn.Session), turn.Seq, micros(turn.Began), endOf(at, data)).Int()
	if err == nil && known == 0 {
		err = fmt.Errorf("turn %d: %w", turn.Seq, parley.ErrTakenBack)
	}
	return s.wrap("finish a turn", err)
}

// endOf writes what is kept of a turn's end.
func endOf(at time.Time, reply []byte) string { return fmt.Sprintf("%d %s", micros(at), reply) }

var abandon = onSession(`
local session, seq, began = unpack(ARGV)
local turn = begun(seq)
if turn and turn.began == began and not ended(seq) then forget(session, seq, turn) end
return 1
`)

// Abandon implements [parley.TurnStore].
func (s *Store) Abandon(ctx context.Context, turn parley.Record) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	return s.wrap("abandon a turn", s.run(ctx, abandon, s.keys(turn.Session), turn.Session, turn.Seq, micros(turn.Began)).Err())
}

// page answers with the number, the beginning and the end of each turn in a
// range of numbers.
var page = onSession(`
local out = {}
for _, seq in ipairs(redis.call(ARGV[1], order, ARGV[2], ARGV[3], 'LIMIT', 0, ARGV[4])) do
	out[#out + 1] = seq
	out[#out + 1] = redis.call('HGET', turns, 'b' .. seq)
	out[#out + 1] = redis.call('HGET', turns, 'e' .. seq) or ''
end
return out
`)

// pageLength is how many turns are read at once: Redis does nothing else
// meanwhile.
const pageLength = 256

// Transcript implements [parley.TurnStore].
func (s *Store) Transcript(ctx context.Context, p parley.Page) ([]parley.Record, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	var records []parley.Record // the newest first
	below := "+inf"
	if p.Before != 0 {
		below = fmt.Sprintf("(%d", p.Before)
	}
	for len(records) < p.Limit && ctx.Err() == nil {
		n := min(pageLength, p.Limit-len(records))
		found, err := toRecords(p.Session, s.run(ctx, page, s.keys(p.Session), "ZREVRANGEBYSCORE", below, p.From, n))
		if err != nil {
			return nil, s.wrap("read a transcript", err)
		}
		records = append(records, found...)
		if len(found) < n {
			break
		}
		below = fmt.Sprintf("(%d", found[n-1].Seq)
	}
	slices.Reverse(records)
	return records, ctx.Err()
}

// toRecords reads what page answers.
func toRecords(session string, cmd *redis.Cmd) ([]parley.Record, error) {
	answer, err := stringsOf(cmd)
	if err != nil {
		return nil, err
	}
	var records []parley.Record
	for turn := range slices.Chunk(answer, 3) {
		r, err := toRecord(session, turn[0], turn[1], turn[2])
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	return records, nil
}

// toRecord reads what is kept of a turn. The end is empty while it runs.
func toRecord(session, seq, begun, end string) (parley.Record, error) {
	r := parley.Record{Session: session}
	var began, length int
	parts := strings.SplitN(begun, " ", 5)
	if len(parts) < 5 {
		return r, fmt.Errorf("turn %s cannot be read", seq)
	}
	if err := scan([]string{seq, parts[0], parts[1], parts[3]}, &r.Seq, &r.First, &began, &length); err != nil || length > len(parts[4]) {
		return r, fmt.Errorf("turn %s cannot be read", seq)
	}
	r.Key, r.Prompt, r.Began = parts[4][:length], parts[4][length:], fromMicros(int64(began))
	if end == "" {
		return r, nil
	}
	at, reply, _ := strings.Cut(end, " ")
	ended, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return r, fmt.Errorf("the end of turn %s cannot be read", seq)
	}
	r.Reply, r.Ended = new(parley.Reply), fromMicros(ended)
	if err := r.Reply.UnmarshalJSON([]byte(reply)); err != nil {
		return r, fmt.Errorf("turn %s has a reply that cannot be read: %w", seq, err)
	}
	return r, nil
}
