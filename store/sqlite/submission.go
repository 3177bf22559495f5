package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql/driver"
	"encoding/json"
	"fmt"

	"github.com/parley-chat/parley"
)

// Submit implements [parley.SubmissionStore].
func (s *Store) Submit(ctx context.Context, submission parley.Submission) (parley.Submission, error) {
	if err := s.enter(ctx, writing); err != nil {
		return parley.Submission{}, err
	}
	defer s.leave()
	values, err := json.Marshal(submission.Values)
	if err != nil {
		return parley.Submission{}, s.wrap("encode a submission", err)
	}
	var kept parley.Submission
	err = s.writer.do(ctx, newChange(len(values), func(c *conn) error {
		_, err := c.exec(`INSERT INTO submissions (id, form, fields, time) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
			submission.ID, submission.Form, string(values), micros(submission.Time))
		if err != nil {
			return err
		}
		return c.query(`SELECT seq, id, form, fields, time FROM submissions WHERE id = ?`, func(row []driver.Value) error {
			kept, err = toSubmission(row)
			return err
		}, submission.ID)
	}))
	if err != nil {
		return parley.Submission{}, s.wrap("keep a submission", err)
	}
	return kept, nil
}

// Submissions implements [parley.SubmissionStore].
func (s *Store) Submissions(ctx context.Context, form string, after int64, limit int) ([]parley.Submission, error) {
	if err := s.enter(ctx, reading); err != nil {
		return nil, err
	}
	defer s.leave()
	query, args := `SELECT seq, id, form, fields, time FROM submissions WHERE seq > ? ORDER BY seq LIMIT ?`, []driver.Value{after, int64(limit)}
	if form != "" {
		query, args = `SELECT seq, id, form, fields, time FROM submissions WHERE form = ? AND seq > ? ORDER BY seq LIMIT ?`, []driver.Value{form, after, int64(limit)}
	}
	var found []parley.Submission
	err := s.read(ctx, func(c *conn) error {
		return c.query(query, func(row []driver.Value) error {
			submission, err := toSubmission(row)
			if err != nil {
				return err
			}
			found = append(found, submission)
			return ctx.Err()
		}, args...)
	})
	return found, s.wrap("read submissions", err)
}

func toSubmission(row []driver.Value) (parley.Submission, error) {
	s := parley.Submission{
		Seq:  row[0].(int64),
		ID:   row[1].(string),
		Form: row[2].(string),
		Time: fromMicros(row[4].(int64)),
	}
	if err := json.Unmarshal([]byte(row[3].(string)), &s.Values); err != nil {
		return s, fmt.Errorf("submission %d has values that cannot be read: %w", s.Seq, err)
	}
	return s, nil
}

// Secret implements [parley.Store].
func (s *Store) Secret(ctx context.Context, name string) ([]byte, error) {
	fresh := make([]byte, 32)
	rand.Read(fresh) // never fails: see crypto/rand
	return s.keepSecret(ctx, name, fresh)
}

// keepSecret keeps a secret under a name that has none, and returns the one that
// it has then.
func (s *Store) keepSecret(ctx context.Context, name string, fresh []byte) ([]byte, error) {
	if err := s.enter(ctx, writing); err != nil {
		return nil, err
	}
	defer s.leave()
	var secret []byte
	err := s.writer.do(ctx, newChange(0, func(c *conn) error {
		if _, err := c.exec(`INSERT INTO secrets (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING`, name, fresh); err != nil {
			return err
		}
		return c.query(`SELECT value FROM secrets WHERE name = ?`, func(row []driver.Value) error {
			secret = row[0].([]byte)
			return nil
		}, name)
	}))
	if err != nil {
		return nil, s.wrap("keep a secret", err)
	}
	return secret, nil
}
