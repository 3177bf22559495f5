package sqlite

import (
	"container/list"
	"database/sql/driver"
	"hash/maphash"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/parley-chat/parley"
)

// A session is what the store has in memory of one: the turns that run, and
// what Begin must know of the finished ones, so that a turn in a session that
// is in use reads nothing. The database has the rest.
type session struct {
	key string

	// Guarded by sessions.mu.
	holds int           // by calls, and by turns that run
	idle  *list.Element // in sessions.idle while nobody holds it
	cost  int           // its share of sessions.cost

	mu      sync.Mutex // guards what follows
	running []*turn    // in the order of their numbers
	loaded  bool       // newest, keys and twins are as in the database
	newest  finished
	keys    recent // turns with an idempotency key, by it; their time is when they began
	twins   recent // turns without, by their prompt; their time is when they ended
}

// A turn is a turn that runs.
type turn struct {
	parley.Record
	commit    *change // what finishes it, while that is under way
	abandoned bool    // it is taken back if commit fails
}

// finished is a session's newest finished turn; seq is 0 where there is none.
type finished struct {
	seq, first   int
	began, ended int64
}

// recent finds finished turns by a text of theirs: of all whose time is not
// before since, the newest with that text.
type recent struct {
	since int64
	turns map[uint64]moment // by the hash of the text
	limit int               // how many there may be before the old ones are dropped
}

type moment struct {
	seq int
	at  int64
}

// seed makes hashes that nobody can foresee. Two texts with the same hash are
// told apart when the turn is read.
var seed = maphash.MakeSeed()

func (r *recent) add(text string, seq int, at int64) {
	if r.turns == nil {
		r.turns = map[uint64]moment{}
	}
	if h := maphash.String(seed, text); r.turns[h].seq < seq {
		r.turns[h] = moment{seq, at}
	}
}

// find returns the number of the newest turn with a text, if its time is not
// before since, or 0.
func (r *recent) find(text string, since int64) int {
	if m := r.turns[maphash.String(seed, text)]; m.at >= since {
		return m.seq
	}
	return 0
}

// drop forgets what is before since, now and then.
func (r *recent) drop(since int64) {
	if len(r.turns) <= r.limit {
		return
	}
	maps.DeleteFunc(r.turns, func(_ uint64, m moment) bool { return m.at < since })
	r.since = max(r.since, since)
	r.limit = max(8, 2*len(r.turns))
}

// knows reports whether what is in memory is enough to begin a turn.
func (s *session) knows(t *parley.NewTurn, sweptBefore int64) bool {
	switch {
	case !s.loaded, s.newest.seq > 0 && s.newest.began < sweptBefore:
		return false
	case t.Key != "":
		return s.keys.since <= micros(t.KeysSince)
	}
	return s.twins.since <= micros(t.TwinsSince)
}

// load reads what Begin must know of a session: its newest turn, and back to
// the time from which a turn can be the same message as t. The caller holds
// s.mu.
func (s *session) load(c *conn, t *parley.NewTurn) error {
	s.loaded = false
	s.newest = finished{}
	s.twins = recent{since: micros(t.TwinsSince)}
	s.keys = recent{since: math.MaxInt64} // not asked for
	if t.Key != "" {
		s.keys.since = micros(t.KeysSince)
	}
	// Behind a turn from before DeadBefore, none has just ended.
	back := min(micros(t.DeadBefore), s.twins.since, s.keys.since)
	all := true
	err := c.query(`SELECT seq, first, key, prompt, began, ended FROM turns WHERE session = ? ORDER BY seq DESC`,
		func(row []driver.Value) error {
			seq, key, began, ended := int(row[0].(int64)), row[2].(string), row[4].(int64), row[5].(int64)
			if s.newest.seq == 0 {
				s.newest = finished{seq: seq, first: int(row[1].(int64)), began: began, ended: ended}
			}
			if key != "" {
				s.keys.add(key, seq, began)
			} else if ended >= s.twins.since {
				s.twins.add(row[3].(string), seq, ended)
			}
			if began < back {
				all = false
				return errStop
			}
			return nil
		}, s.key)
	if all {
		s.keys.since = math.MinInt64
	}
	s.loaded = err == nil
	return err
}

// find returns a turn that runs, or nil. The caller holds s.mu.
func (s *session) find(turn parley.Record) *turn {
	for _, t := range s.running {
		if t.Seq == turn.Seq && t.Began.Equal(turn.Began) {
			return t
		}
	}
	return nil
}

// behind returns the number of the newest turn that runs and is not dead, or 0.
// The caller holds s.mu.
func (s *session) behind(deadBefore time.Time) int {
	for _, t := range slices.Backward(s.running) {
		if !t.Began.Before(deadBefore) {
			return t.Seq
		}
	}
	return 0
}

// dead returns a turn that began before a time and is not being finished, or
// nil. The caller holds s.mu.
func (s *session) dead(before time.Time) *turn {
	for _, t := range s.running {
		if t.commit == nil && t.Began.Before(before) {
			return t
		}
	}
	return nil
}

// remove forgets a turn that runs. The caller holds s.mu.
func (s *session) remove(t *turn) {
	s.running = slices.DeleteFunc(s.running, func(other *turn) bool { return other == t })
}

// finish remembers a turn that is in the database now. The caller holds s.mu.
func (s *session) finish(t *turn, at time.Time) {
	s.remove(t)
	began, ended := micros(t.Began), micros(at)
	if t.Seq > s.newest.seq {
		s.newest = finished{t.Seq, t.First, began, ended}
	}
	if t.Key != "" {
		s.keys.add(t.Key, t.Seq, began)
	} else {
		s.twins.add(t.Prompt, t.Seq, ended)
	}
}

// next returns the number of the next turn, and the one with which its stretch
// begins. The caller holds s.mu.
func (s *session) next(restSince time.Time) (seq, first int) {
	seq, first = s.newest.seq, s.newest.first
	last := s.newest.ended
	if n := len(s.running); n > 0 && s.running[n-1].Seq > seq {
		newest := s.running[n-1]
		seq, first, last = newest.Seq, newest.First, micros(newest.Began)
	}
	if seq == 0 || last < micros(restSince) {
		return seq + 1, seq + 1
	}
	return seq + 1, first
}

// sessions has every session that is in use, and those that were not long ago.
type sessions struct {
	mu    sync.Mutex
	byKey map[string]*session
	idle  list.List // of *session, the one used last in front
	cost  int       // of the idle ones, in turns remembered, about
}

// maxIdleCost bounds what sessions without a running turn take: around 100
// bytes each.
const maxIdleCost = 1 << 17

// hold returns a session, which stays in memory until it is released.
func (ss *sessions) hold(key string) *session {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	s := ss.byKey[key]
	if s == nil {
		s = &session{key: key}
		ss.byKey[key] = s
	}
	if s.idle != nil {
		ss.idle.Remove(s.idle)
		ss.cost -= s.cost
		s.idle = nil
	}
	s.holds++
	return s
}

// release ends a hold, and forgets what was idle longest where there is too
// much.
func (ss *sessions) release(s *session) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	s.holds--
	if s.holds > 0 {
		return
	}
	s.idle = ss.idle.PushFront(s)
	s.cost = 4 + len(s.keys.turns) + len(s.twins.turns) // nobody holds it, so nobody changes it
	ss.cost += s.cost
	for ss.cost > maxIdleCost {
		last := ss.idle.Remove(ss.idle.Back()).(*session)
		ss.cost -= last.cost
		delete(ss.byKey, last.key)
	}
}

// reload has the next turn of a session read what is in the database.
func (ss *sessions) reload(key string) {
	s := ss.hold(key)
	defer ss.release(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loaded = false
}

// sweep forgets up to limit turns that began before a time and were never
// finished, and returns how many.
func (ss *sessions) sweep(before time.Time, limit int) int {
	ss.mu.Lock()
	held := slices.Collect(maps.Values(ss.byKey))
	held = slices.DeleteFunc(held, func(s *session) bool { return s.holds == 0 }) // nothing runs there
	ss.mu.Unlock()
	swept := 0
	for _, s := range held {
		swept += ss.sweepSession(s, before, limit-swept)
	}
	return swept
}

func (ss *sessions) sweepSession(s *session, before time.Time, limit int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	swept := 0
	for swept < limit {
		t := s.dead(before)
		if t == nil {
			break
		}
		s.remove(t)
		ss.release(s)
		swept++
	}
	return swept
}
