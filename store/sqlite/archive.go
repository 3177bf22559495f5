package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"database/sql/driver"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/parley-chat/parley"
)

// Records implements [parley.Archive]: by session and number.
func (s *Store) Records(ctx context.Context, after string, limit int) (records []parley.Record, next string, err error) {
	if err := s.enter(ctx, reading); err != nil {
		return nil, "", err
	}
	defer s.leave()
	session, seq, err := readCursor(after)
	if err != nil {
		return nil, "", s.wrap("read records", err)
	}
	err = s.read(ctx, func(c *conn) error {
		return c.query(`SELECT seq, first, key, prompt, reply, began, ended, session FROM turns WHERE (session, seq) > (?, ?) ORDER BY session, seq LIMIT ?`,
			func(row []driver.Value) error {
				r, err := toRecord(row[7].(string), row)
				if err != nil {
					return err
				}
				records = append(records, r)
				return ctx.Err()
			}, session, int64(seq), int64(limit))
	})
	if err != nil {
		return nil, "", s.wrap("read records", err)
	}
	if len(records) == limit {
		last := records[limit-1]
		next = writeCursor(last.Session, last.Seq)
	}
	return records, next, nil
}

// A cursor names the turn after which to go on: its number, and its session in
// base64.
func writeCursor(session string, seq int) string {
	return strconv.Itoa(seq) + "." + base64.RawURLEncoding.EncodeToString([]byte(session))
}

func readCursor(cursor string) (session string, seq int, err error) {
	if cursor == "" {
		return "", 0, nil
	}
	number, name, _ := strings.Cut(cursor, ".")
	seq, errSeq := strconv.Atoi(number)
	decoded, errName := base64.RawURLEncoding.DecodeString(name)
	if err := cmp.Or(errSeq, errName); err != nil {
		return "", 0, fmt.Errorf("%q is no place among the records", cursor)
	}
	return string(decoded), seq, nil
}

// Restore implements [parley.Archive]. The records share as few syncs as turns
// that end at the same time do.
func (s *Store) Restore(ctx context.Context, records []parley.Record) error {
	if err := s.enter(ctx, writing); err != nil {
		return err
	}
	defer s.leave()
	var changes []*change
	for _, r := range records {
		ch, err := s.restore(r)
		if err != nil {
			return s.wrap("restore", err)
		}
		changes = append(changes, ch)
	}
	for _, ch := range changes {
		s.writer.send(ctx, ch)
	}
	var failed error
	for _, ch := range changes {
		failed = cmp.Or(failed, ch.wait(ctx))
	}
	return s.wrap("restore", failed)
}

// restore returns the change that keeps a finished turn.
func (s *Store) restore(r parley.Record) (*change, error) {
	if r.Reply == nil {
		return nil, fmt.Errorf("turn %d is not finished", r.Seq)
	}
	reply, err := r.Reply.MarshalJSON()
	if err != nil {
		return nil, err
	}
	ch := newChange(len(r.Prompt)+len(reply), func(c *conn) error {
		_, err := c.exec(`INSERT INTO turns (session, seq, first, key, prompt, reply, began, ended) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (session, seq) DO NOTHING`,
			r.Session, int64(r.Seq), int64(r.First), r.Key, r.Prompt, string(reply), micros(r.Began), micros(r.Ended))
		return err
	})
	ch.ended = func(error) { s.sessions.reload(r.Session) }
	return ch, nil
}

// Secrets implements [parley.Archive].
func (s *Store) Secrets(ctx context.Context) (map[string][]byte, error) {
	if err := s.enter(ctx, reading); err != nil {
		return nil, err
	}
	defer s.leave()
	secrets := map[string][]byte{}
	err := s.read(ctx, func(c *conn) error {
		return c.query(`SELECT name, value FROM secrets`, func(row []driver.Value) error {
			secrets[row[0].(string)] = bytes.Clone(row[1].([]byte))
			return ctx.Err()
		})
	})
	return secrets, s.wrap("read secrets", err)
}

// RestoreSecret implements [parley.Archive].
func (s *Store) RestoreSecret(ctx context.Context, name string, secret []byte) error {
	kept, err := s.keepSecret(ctx, name, secret)
	if err == nil && !bytes.Equal(kept, secret) {
		err = s.wrap("restore a secret", errors.New("there is another under its name"))
	}
	return err
}
