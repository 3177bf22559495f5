package postgres

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-chat/parley"
)

// Begin implements [parley.TurnStore].
func (s *Store) Begin(ctx context.Context, t parley.NewTurn) (parley.Begun, error) {
	begun := parley.Begun{Record: parley.Record{Session: t.Session, Key: t.Key, Prompt: t.Prompt}}
	var reused bool
	var ended *time.Time
	var reply []byte
	err := s.row(ctx,
		[]any{&begun.Fresh, &reused, &begun.Behind, &begun.Seq, &begun.First, &begun.Began, &ended, &reply},
		`SELECT * FROM parley_begin($1, $2, $3, $4, $5, $6, $7, $8)`,
		[]byte(t.Session), []byte(t.Key), []byte(t.Prompt), t.Time, t.RestSince, t.KeysSince, t.TwinsSince, t.DeadBefore)
	if err == nil && reused {
		err = parley.ErrKeyReused
	}
	if err == nil {
		err = complete(&begun.Record, ended, reply)
	}
	if err != nil {
		return parley.Begun{}, s.fail("begin a turn", err)
	}
	return begun, nil
}

// complete adds to a record what the database has in another form. Of a turn
// that runs, ended and reply are nil.
func complete(r *parley.Record, ended *time.Time, reply []byte) error {
	r.Began = r.Began.UTC()
	if ended == nil {
		return nil
	}
	r.Ended = ended.UTC()
	r.Reply = new(parley.Reply)
	if err := r.Reply.UnmarshalJSON(reply); err != nil {
		return fmt.Errorf("turn %d has a reply that cannot be read: %w", r.Seq, err)
	}
	return nil
}

// Finish implements [parley.TurnStore].
func (s *Store) Finish(ctx context.Context, turn parley.Record, reply parley.Reply, at time.Time) error {
	data, err := reply.MarshalJSON()
	if err != nil {
		return wrap("encode a reply", err)
	}
	var finished bool
	err = s.row(ctx, []any{&finished}, `SELECT parley_finish($1, $2, $3, $4, $5)`,
		[]byte(turn.Session), turn.Seq, turn.Began, data, at)
	if err == nil && !finished {
		err = fmt.Errorf("turn %d: %w", turn.Seq, parley.ErrTakenBack)
	}
	return s.fail("finish a turn", err)
}

// Abandon implements [parley.TurnStore].
func (s *Store) Abandon(ctx context.Context, turn parley.Record) error {
	_, err := s.exec(ctx, `DELETE FROM parley_turns WHERE sha256(session) = sha256($1) AND seq = $2 AND began = $3 AND ended IS NULL`,
		[]byte(turn.Session), turn.Seq, turn.Began)
	return s.fail("abandon a turn", err)
}

// columns are what readRecord reads.
const columns = `session, seq, first, key, prompt, reply, began, ended`

// Transcript implements [parley.TurnStore].
func (s *Store) Transcript(ctx context.Context, page parley.Page) ([]parley.Record, error) {
	records, err := all(ctx, s, readRecord,
		`SELECT `+columns+` FROM parley_turns WHERE sha256(session) = sha256($1) AND seq >= $2 AND seq < $3 ORDER BY seq DESC LIMIT $4`,
		[]byte(page.Session), page.From, cmp.Or(page.Before, math.MaxInt), page.Limit)
	if err != nil {
		return nil, s.fail("read a transcript", err)
	}
	slices.Reverse(records)
	return records, nil
}

func readRecord(row pgx.CollectableRow) (parley.Record, error) {
	var r parley.Record
	var session, key, prompt, reply []byte
	var ended *time.Time
	if err := row.Scan(&session, &r.Seq, &r.First, &key, &prompt, &reply, &r.Began, &ended); err != nil {
		return r, err
	}
	r.Session, r.Key, r.Prompt = string(session), string(key), string(prompt)
	return r, complete(&r, ended, reply)
}
