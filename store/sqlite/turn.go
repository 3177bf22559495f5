package sqlite

import (
	"cmp"
	"context"
	"database/sql/driver"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/parley-chat/parley"
)

// Begin implements [parley.TurnStore]. A turn that runs is in memory only and
// ends with the process, so that a turn costs one write.
func (s *Store) Begin(ctx context.Context, t parley.NewTurn) (parley.Begun, error) {
	if err := s.enter(ctx, writing); err != nil {
		return parley.Begun{}, err
	}
	defer s.leave()
	session := s.sessions.hold(t.Session)
	begun, err := s.begin(ctx, session, &t)
	if !begun.Fresh {
		s.sessions.release(session) // a fresh turn keeps the hold
	}
	return begun, s.wrap("begin a turn", err)
}

func (s *Store) begin(ctx context.Context, session *session, t *parley.NewTurn) (parley.Begun, error) {
	session.mu.Lock()
	defer session.mu.Unlock()
	if !session.knows(t, s.sweptBefore.Load()) {
		if err := s.read(ctx, func(c *conn) error { return session.load(c, t) }); err != nil {
			return parley.Begun{}, err
		}
	}
	session.keys.drop(micros(t.KeysSince))
	session.twins.drop(micros(t.TwinsSince))

	if same := session.same(t); same != nil {
		dead := same.commit == nil && same.Began.Before(t.DeadBefore)
		switch {
		case same.Prompt != t.Prompt:
			return parley.Begun{}, parley.ErrKeyReused
		case !dead:
			return parley.Begun{Record: same.Record}, nil
		}
		session.remove(same)
		s.sessions.release(session)
	} else if same, err := s.sameFinished(ctx, session, t); err != nil {
		return parley.Begun{}, err
	} else if same != nil && same.Prompt != t.Prompt {
		return parley.Begun{}, parley.ErrKeyReused
	} else if same != nil {
		return parley.Begun{Record: *same}, nil
	}

	next := &turn{Record: parley.Record{Session: t.Session, Key: t.Key, Prompt: t.Prompt, Began: fromMicros(micros(t.Time))}}
	next.Seq, next.First = session.next(t.RestSince)
	begun := parley.Begun{Record: next.Record, Fresh: true, Behind: session.behind(t.DeadBefore)}
	session.running = append(session.running, next)
	return begun, nil
}

// same returns the turn that runs and was begun by the same message, or nil.
// The caller holds s.mu.
func (s *session) same(t *parley.NewTurn) *turn {
	for _, r := range slices.Backward(s.running) {
		if r.Key == t.Key && (t.Key == "" && r.Prompt == t.Prompt || t.Key != "" && !r.Began.Before(t.KeysSince)) {
			return r
		}
	}
	return nil
}

// sameFinished returns the finished turn that was begun by the same message,
// or nil. The caller holds session.mu.
func (s *Store) sameFinished(ctx context.Context, session *session, t *parley.NewTurn) (*parley.Record, error) {
	seq := 0
	if t.Key != "" {
		seq = session.keys.find(t.Key, micros(t.KeysSince))
	} else {
		seq = session.twins.find(t.Prompt, micros(t.TwinsSince))
	}
	if seq == 0 {
		return nil, nil
	}
	r, err := s.finishedTurn(ctx, t.Session, seq)
	if r == nil || r.Key != t.Key || t.Key == "" && r.Prompt != t.Prompt {
		return nil, err // swept, or another text with the same hash
	}
	return r, nil
}

// Finish implements [parley.TurnStore].
func (s *Store) Finish(ctx context.Context, turn parley.Record, reply parley.Reply, at time.Time) error {
	if err := s.enter(ctx, writing); err != nil {
		return err
	}
	defer s.leave()
	data, err := reply.MarshalJSON()
	if err != nil {
		return s.wrap("encode a reply", err)
	}
	session := s.sessions.hold(turn.Session)
	defer s.sessions.release(session)
	for {
		commit, mine := s.commitOf(session, turn, string(data), at)
		switch {
		case commit == nil:
			return s.wrap("finish a turn", s.finishedBefore(ctx, turn))
		case mine:
			return s.wrap("finish a turn", s.writer.do(ctx, commit))
		}
		// Somebody else is finishing it. Should that fail, it is tried again here.
		if err := commit.wait(ctx); err == nil || ctx.Err() != nil {
			return s.wrap("finish a turn", err)
		}
	}
}

// commitOf returns the change that finishes a turn that runs, and whether it is
// a new one, which the caller has to make. It is nil where no such turn runs.
func (s *Store) commitOf(session *session, turn parley.Record, reply string, at time.Time) (commit *change, mine bool) {
	session.mu.Lock()
	defer session.mu.Unlock()
	t := session.find(turn)
	switch {
	case t == nil:
		return nil, false
	case t.commit != nil:
		return t.commit, false
	}
	t.commit = newChange(len(t.Prompt)+len(reply), func(c *conn) error {
		_, err := c.exec(`INSERT INTO turns (session, seq, first, key, prompt, reply, began, ended) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			t.Session, int64(t.Seq), int64(t.First), t.Key, t.Prompt, reply, micros(t.Began), micros(at))
		return err
	})
	t.commit.ended = func(err error) { s.ended(session, t, at, err) }
	return t.commit, true
}

// ended takes notice that a turn was committed, or was not.
func (s *Store) ended(session *session, t *turn, at time.Time, err error) {
	session.mu.Lock()
	t.commit = nil
	switch {
	case err == nil:
		session.finish(t, at)
	case t.abandoned:
		session.remove(t)
	}
	session.mu.Unlock()
	if err == nil || t.abandoned {
		s.sessions.release(session)
	}
}

// finishedBefore returns nil for a turn that is finished, and an error for one
// that is unknown: its answer is not kept, and nobody may think it was.
func (s *Store) finishedBefore(ctx context.Context, turn parley.Record) error {
	r, err := s.finishedTurn(ctx, turn.Session, turn.Seq)
	if err == nil && (r == nil || !r.Began.Equal(turn.Began)) {
		return fmt.Errorf("turn %d: %w", turn.Seq, parley.ErrTakenBack)
	}
	return err
}

// Abandon implements [parley.TurnStore].
func (s *Store) Abandon(ctx context.Context, turn parley.Record) error {
	if err := s.enter(ctx, writing); err != nil {
		return err
	}
	defer s.leave()
	session := s.sessions.hold(turn.Session)
	defer s.sessions.release(session)
	session.mu.Lock()
	defer session.mu.Unlock()
	switch t := session.find(turn); {
	case t == nil:
	case t.commit != nil:
		t.abandoned = true // it is finished, unless that fails
	default:
		session.remove(t)
		s.sessions.release(session)
	}
	return nil
}

// Transcript implements [parley.TurnStore].
func (s *Store) Transcript(ctx context.Context, page parley.Page) ([]parley.Record, error) {
	if err := s.enter(ctx, reading); err != nil {
		return nil, err
	}
	defer s.leave()
	// Those that run are read first: a turn that is finished meanwhile is in both
	// lists then, rather than in none.
	running := s.runningTurns(page)
	records, err := s.finishedTurns(ctx, page)
	if err != nil {
		return nil, s.wrap("read a transcript", err)
	}
	if len(running) > 0 {
		records = append(records, running...)
		slices.SortStableFunc(records, func(a, b parley.Record) int { return cmp.Compare(a.Seq, b.Seq) })
		records = slices.CompactFunc(records, func(a, b parley.Record) bool { return a.Seq == b.Seq })
	}
	return records[max(0, len(records)-page.Limit):], nil
}

// runningTurns returns the turns of a page that run.
func (s *Store) runningTurns(page parley.Page) []parley.Record {
	session := s.sessions.hold(page.Session)
	defer s.sessions.release(session)
	session.mu.Lock()
	defer session.mu.Unlock()
	var records []parley.Record
	for _, t := range session.running {
		if t.Seq >= page.From && (page.Before == 0 || t.Seq < page.Before) {
			records = append(records, t.Record)
		}
	}
	return records
}

// finishedTurns returns the finished turns of a page, in order.
func (s *Store) finishedTurns(ctx context.Context, page parley.Page) ([]parley.Record, error) {
	before := cmp.Or(page.Before, math.MaxInt)
	var records []parley.Record
	err := s.read(ctx, func(c *conn) error {
		return c.query(`SELECT seq, first, key, prompt, reply, began, ended FROM turns WHERE session = ? AND seq >= ? AND seq < ? ORDER BY seq DESC LIMIT ?`,
			func(row []driver.Value) error {
				r, err := toRecord(page.Session, row)
				if err != nil {
					return err
				}
				records = append(records, r)
				return ctx.Err()
			}, page.Session, int64(page.From), int64(before), int64(page.Limit))
	})
	slices.Reverse(records)
	return records, err
}

// toRecord reads a row of seq, first, key, prompt, reply, began and ended.
func toRecord(session string, row []driver.Value) (parley.Record, error) {
	r := parley.Record{
		Session: session,
		Seq:     int(row[0].(int64)),
		First:   int(row[1].(int64)),
		Key:     row[2].(string),
		Prompt:  row[3].(string),
		Reply:   new(parley.Reply),
		Began:   fromMicros(row[5].(int64)),
		Ended:   fromMicros(row[6].(int64)),
	}
	if err := r.Reply.UnmarshalJSON([]byte(row[4].(string))); err != nil {
		return r, fmt.Errorf("turn %d has a reply that cannot be read: %w", r.Seq, err)
	}
	return r, nil
}

// finishedTurn returns a finished turn, or nil.
func (s *Store) finishedTurn(ctx context.Context, session string, seq int) (*parley.Record, error) {
	records, err := s.finishedTurns(ctx, parley.Page{Session: session, From: seq, Before: seq + 1, Limit: 1})
	if err != nil || len(records) == 0 {
		return nil, err
	}
	return &records[0], nil
}
