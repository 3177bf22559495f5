package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/parley-chat/parley"
)

// Records implements [parley.Archive]. It goes by the hash of the session, and
// by the number.
func (s *Store) Records(ctx context.Context, after string, limit int) ([]parley.Record, string, error) {
	session, seq, err := parsePlace(after)
	if err != nil {
		return nil, "", wrap("read records", err)
	}
	records, err := all(ctx, s, readRecord,
		`SELECT `+columns+` FROM parley_turns WHERE (sha256(session), seq) > ($1, $2) AND ended IS NOT NULL ORDER BY sha256(session), seq LIMIT $3`,
		session, seq, limit)
	if err != nil || len(records) < limit {
		return records, "", s.fail("read records", err)
	}
	return records, place(records[len(records)-1]), nil
}

// place says where a record is, for those behind it to be read.
func place(r parley.Record) string {
	session := sha256.Sum256([]byte(r.Session))
	return fmt.Sprintf("%x-%d", session, r.Seq)
}

// parsePlace reads a place. That before all records is "".
func parsePlace(place string) (session []byte, seq int64, err error) {
	if place == "" {
		return []byte{}, 0, nil
	}
	first, second, _ := strings.Cut(place, "-")
	session, err = hex.DecodeString(first)
	if err == nil {
		seq, err = strconv.ParseInt(second, 10, 64)
	}
	if err != nil {
		return nil, 0, errors.New("this is no place that Records returned")
	}
	return session, seq, nil
}

// Restore implements [parley.Archive].
func (s *Store) Restore(ctx context.Context, records []parley.Record) error {
	var sessions, keys, prompts, replies [][]byte
	var seqs, firsts []int
	var begans, endeds []time.Time
	for _, r := range records {
		if r.Reply == nil {
			return wrap("restore records", fmt.Errorf("turn %d is not finished", r.Seq))
		}
		reply, err := r.Reply.MarshalJSON()
		if err != nil {
			return wrap("restore records", fmt.Errorf("encode the reply of turn %d: %w", r.Seq, err))
		}
		sessions, keys, prompts, replies = append(sessions, []byte(r.Session)), append(keys, []byte(r.Key)), append(prompts, []byte(r.Prompt)), append(replies, reply)
		seqs, firsts = append(seqs, r.Seq), append(firsts, r.First)
		begans, endeds = append(begans, r.Began), append(endeds, r.Ended)
	}
	var restored int
	err := s.durably(ctx, []any{&restored}, statement{`
		WITH restored AS (
			INSERT INTO parley_turns (` + columns + `)
			SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bytea[], $6::bytea[], $7::timestamptz[], $8::timestamptz[])
			ON CONFLICT DO NOTHING RETURNING 1)
		SELECT count(*) FROM restored`,
		[]any{sessions, seqs, firsts, keys, prompts, replies, begans, endeds}})
	return s.fail("restore records", err)
}
