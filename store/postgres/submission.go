package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/parley-chat/parley"
)

// Submit implements [parley.SubmissionStore].
func (s *Store) Submit(ctx context.Context, submission parley.Submission) (parley.Submission, error) {
	values, err := json.Marshal(submission.Values)
	if err != nil {
		return parley.Submission{}, wrap("encode a submission", err)
	}
	var kept row
	id := []byte(submission.ID)
	err = s.durably(ctx, kept.fields(),
		// Numbers are given one at a time, each once the one before can be read: who
		// reads on behind a number misses none.
		statement{`SELECT pg_advisory_xact_lock('parley_submissions'::regclass::oid::bigint)`, nil},
		statement{`INSERT INTO parley_submissions (id, form, fields, time) VALUES ($1, $2, $3, $4) ON CONFLICT (sha256(id)) DO NOTHING`,
			[]any{id, []byte(submission.Form), values, submission.Time}},
		statement{`SELECT seq, id, form, fields, time FROM parley_submissions WHERE sha256(id) = sha256($1)`, []any{id}})
	if err != nil {
		return parley.Submission{}, s.fail("keep a submission", err)
	}
	submission, err = kept.submission()
	return submission, s.fail("keep a submission", err)
}

// Submissions implements [parley.SubmissionStore].
func (s *Store) Submissions(ctx context.Context, form string, after int64, limit int) ([]parley.Submission, error) {
	query, args := `SELECT seq, id, form, fields, time FROM parley_submissions WHERE seq > $1 ORDER BY seq LIMIT $2`, []any{after, limit}
	if form != "" {
		query = `SELECT seq, id, form, fields, time FROM parley_submissions WHERE seq > $1 AND sha256(form) = sha256($3) ORDER BY seq LIMIT $2`
		args = append(args, []byte(form))
	}
	found, err := all(ctx, s, readSubmission, query, args...)
	return found, s.fail("read submissions", err)
}

func readSubmission(from pgx.CollectableRow) (parley.Submission, error) {
	var r row
	if err := from.Scan(r.fields()...); err != nil {
		return parley.Submission{}, err
	}
	return r.submission()
}

// A row is a submission as the database has it.
type row struct {
	parley.Submission
	id, form, values []byte
}

func (r *row) fields() []any { return []any{&r.Seq, &r.id, &r.form, &r.values, &r.Time} }

func (r *row) submission() (parley.Submission, error) {
	r.ID, r.Form, r.Time = string(r.id), string(r.form), r.Time.UTC()
	if err := json.Unmarshal(r.values, &r.Values); err != nil {
		return r.Submission, fmt.Errorf("submission %d has values that cannot be read: %w", r.Seq, err)
	}
	return r.Submission, nil
}
