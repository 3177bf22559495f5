package postgres

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-chat/parley/internal/notes"
)

// channel names the channel of these very tables: a database may have others in
// another schema.
const channel = `'parley_' || 'parley_turns'::regclass::oid`

const (
	// heartbeat is how long the connection that hears notes may be silent before it
	// is asked whether it lives.
	heartbeat = 3 * time.Second
	// reconnectAfter is how long to wait before another try to connect.
	reconnectAfter = 500 * time.Millisecond
)

// Notify implements [parley.Notifier]. A note travels in the payload of a
// NOTIFY, which is text of less than 8000 bytes; in base64 the longest takes 5600.
func (s *Store) Notify(ctx context.Context, topic string, note []byte) error {
	data, err := notes.Encode(topic, note)
	if err != nil {
		return wrap("send a note", err)
	}
	_, err = s.exec(ctx, `SELECT pg_notify(`+channel+`, $1)`, base64.StdEncoding.EncodeToString(data))
	return s.fail("send a note", err)
}

// Listen implements [parley.Notifier].
func (s *Store) Listen(topic string, hear func(note []byte)) (stop func()) {
	return s.hub.Listen(topic, hear)
}

// listen has a connection hear notes from now on.
func listen(ctx context.Context, conn *pgx.Conn) error {
	var name string
	if err := conn.QueryRow(ctx, `SELECT `+channel).Scan(&name); err != nil {
		return err
	}
	_, err := conn.Exec(ctx, `LISTEN `+pgx.Identifier{name}.Sanitize())
	return err
}

// hear delivers notes until ctx ends. It has a connection of its own, and makes
// another where that one breaks.
func (s *Store) hear(ctx context.Context, conn *pgx.Conn, cfg *pgx.ConnConfig) {
	for {
		err := s.deliver(ctx, conn)
		closeConn(conn)
		if ctx.Err() != nil {
			return
		}
		s.log.Warn("notes of other nodes are not heard until the database is back", "error", err)
		if conn = s.listenAgain(ctx, cfg); conn == nil {
			return
		}
		s.log.Info("notes of other nodes are heard again")
	}
}

// listenAgain tries until it has a connection; it returns nil when ctx ends.
func (s *Store) listenAgain(ctx context.Context, cfg *pgx.ConnConfig) *pgx.Conn {
	for {
		if conn := tryListen(ctx, cfg); conn != nil {
			return conn
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(reconnectAfter):
		}
	}
}

func tryListen(ctx context.Context, cfg *pgx.ConnConfig) *pgx.Conn {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil
	}
	if err := listen(ctx, conn); err != nil {
		closeConn(conn)
		return nil
	}
	return conn
}

// deliver delivers what comes on a connection until it breaks.
func (s *Store) deliver(ctx context.Context, conn *pgx.Conn) error {
	for {
		notification, err := s.next(ctx, conn)
		if err != nil {
			return err
		}
		if notification == "" {
			continue
		}
		data, err := base64.StdEncoding.DecodeString(notification)
		if err == nil {
			err = s.hub.Deliver(data)
		}
		if err != nil {
			s.log.Warn("a note cannot be read", "error", err) // somebody else's
		}
	}
}

// next returns what comes next on a connection, or "" where nothing comes for a
// while and the connection lives.
func (s *Store) next(ctx context.Context, conn *pgx.Conn) (string, error) {
	wait, cancel := context.WithTimeout(ctx, heartbeat)
	defer cancel()
	notification, err := conn.WaitForNotification(wait)
	switch {
	case err == nil:
		return notification.Payload, nil
	case ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded):
		return "", err
	}
	ping, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if err := conn.Ping(ping); err != nil {
		return "", fmt.Errorf("it does not answer: %w", err)
	}
	return "", nil
}
