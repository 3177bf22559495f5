// Package postgres keeps chats in PostgreSQL: a [parley.SharedStore] for any
// number of nodes, and a [parley.Archive].
//
//	store, err := postgres.Open(ctx, postgres.Config{URL: "postgres://parley:secret@db.example.com/parley"})
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer store.Close()
//	chat, err := parley.New(parley.Config{Bot: bot, Store: store})
//
// # What nodes share
//
// Everything that the store keeps: turns, those that run included, submissions,
// secrets, what limits count, and notes. A message that reaches two nodes is one
// turn. Nothing is in a node's memory but its connections, so nodes come and go
// as they like, and one that dies leaves nothing behind but the turns that it
// was answering.
//
// A finished turn and a submission are durable before the call returns, even
// where synchronous_commit is off. Where there are standbys, they have it too if
// the server waits for them: see synchronous_standby_names. What limits count is
// in an unlogged table, which a crash of the server and a failover empty.
//
// # The database
//
// PostgreSQL 13 or newer (it is tested on 15), in any encoding. The role needs
// the right to connect, and to create tables and functions in a schema: the
// first of its search_path, or the one that the URL names with
// ?search_path=chat. All names begin with parley_, so the schema may be another
// program's too. [Open] makes the tables and brings them up to date, however
// many nodes start at once. Where the role must not create anything, have
// another one call [Migrate], and grant
//
//	USAGE ON SCHEMA …
//	SELECT ON parley_migrations
//	SELECT, INSERT, UPDATE, DELETE ON parley_turns, parley_submissions, parley_secrets, parley_limits
//
// A node holds one connection for notes and, under load, as many as
// pool_max_conns in the URL says: four for each CPU, and at least 8, where it
// says nothing. The server's max_connections must be enough for all nodes.
//
// PgBouncer in session mode is as good as the server itself. Where it pools
// transactions, it carries no LISTEN, so that notes are not heard, and needs
// ?default_query_exec_mode=exec in the URL; it also takes no search_path from
// there, but does from ALTER ROLE … SET.
//
// Several hosts, such as postgres://a:5432,b:5432/parley, should come with
// target_session_attrs=read-write. What the URL does not say is taken from the
// environment (PGPASSWORD, PGSSLMODE and so on) as by PostgreSQL's own programs.
package postgres

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/notes"
)

// Config says where the database is.
type Config struct {
	// URL is postgres://user:password@host:5432/database, with parameters of
	// PostgreSQL (sslmode, search_path, connect_timeout …) and of the pool
	// (pool_max_conns, pool_max_conn_lifetime …) behind a question mark.
	URL string
	// ReadOnly has Open change nothing: no tables, no indexes, no migrations. It
	// refuses an older schema then. A database without any is an error that wraps
	// [io/fs.ErrNotExist]. Methods that write are not refused.
	ReadOnly bool
	// Strict has Open refuse a server of which [Store.Warnings] would warn.
	Strict bool
	// Logger is told of migrations, and of notes that cannot be heard. Nil means
	// [slog.Default].
	Logger *slog.Logger
}

// Store is a [parley.SharedStore] in a PostgreSQL database. Its methods are safe
// for concurrent use.
type Store struct {
	pool *pgxpool.Pool
	log  *slog.Logger

	warnings []string

	hub notes.Hub

	stopHearing context.CancelFunc
	hearing     sync.WaitGroup
}

var (
	_ parley.SharedStore = (*Store)(nil)
	_ parley.Archive     = (*Store)(nil)
)

// callTimeout bounds each call, for a server that takes it and says nothing.
const callTimeout = 10 * time.Second

// Open connects to a database and brings its tables up to date; see [Migrate] and
// [Config.ReadOnly]. A server that cannot be reached, or that takes no connections
// at the moment, is a [parley.Error] with [parley.CodeUnavailable]: try again. No
// error holds the password.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	pool, err := parseURL(cfg.URL)
	if err != nil {
		return nil, wrap("read the URL", err)
	}
	log := cmp.Or(cfg.Logger, slog.Default())
	s := &Store{log: log}
	conn, err := pgx.ConnectConfig(ctx, pool.ConnConfig)
	if err != nil {
		return nil, wrap("connect", err)
	}
	if cfg.ReadOnly {
		err = wrap("open for reading", upToDate(ctx, conn))
	} else {
		_, err = migrate(ctx, conn, log)
		err = wrap("migrate", err)
	}
	if err != nil {
		closeConn(conn)
		return nil, err
	}
	if s.warnings, err = weaknesses(ctx, conn); err == nil && cfg.Strict && len(s.warnings) > 0 {
		err = errors.New(strings.Join(s.warnings, "; "))
	}
	if err != nil {
		closeConn(conn)
		return nil, wrap("ask what is durable", err)
	}
	if err := listen(ctx, conn); err != nil {
		closeConn(conn)
		return nil, wrap("listen", err)
	}
	if s.pool, err = pgxpool.NewWithConfig(ctx, pool); err != nil {
		closeConn(conn)
		return nil, wrap("open", err)
	}
	ctx, s.stopHearing = context.WithCancel(context.Background())
	s.hearing.Go(func() { s.hear(ctx, conn, pool.ConnConfig) })
	return s, nil
}

// Warnings says in plain words where the server keeps less than "acknowledged
// means durable".
func (s *Store) Warnings() []string { return s.warnings }

// weaknesses asks the server what it does not keep. synchronous_commit is none of
// it: what must last turns it on.
func weaknesses(ctx context.Context, conn *pgx.Conn) (found []string, err error) {
	var fsync, pages bool
	err = conn.QueryRow(ctx, "SELECT current_setting('fsync')::bool, current_setting('full_page_writes')::bool").Scan(&fsync, &pages)
	if err == nil && !fsync {
		found = append(found, "the server has fsync off, so a power cut can destroy the database; set fsync = on")
	}
	if err == nil && !pages {
		found = append(found, "the server has full_page_writes off, so a power cut can destroy the database; set full_page_writes = on")
	}
	return found, err
}

// Close implements [parley.Store].
func (s *Store) Close() error {
	s.stopHearing()
	s.hearing.Wait()
	s.pool.Close()
	return nil
}

// closeConn ends a connection that is not the pool's.
func closeConn(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn.Close(ctx) // fails where it is broken already
}

// fail returns err, if it is not nil, with the operation.
func (s *Store) fail(operation string, err error) error {
	if isReadOnly(err) {
		s.pool.Reset() // it is a standby now; new connections find the primary
	}
	switch sqlState(err) {
	case "28P01", "28000", "3D000", "42501", "42P01", "42883":
		// What ends a start is for others to mend once the store is open: a
		// password was changed, a database is being restored.
		return unavailable(wrap(operation, err))
	}
	return wrap(operation, err)
}

// row runs a statement and scans its first row. Where there is none it returns
// [pgx.ErrNoRows].
func (s *Store) row(ctx context.Context, into []any, query string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return s.pool.QueryRow(ctx, query, args...).Scan(into...)
}

// exec runs a statement and returns how many rows it changed.
func (s *Store) exec(ctx context.Context, query string, args ...any) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	tag, err := s.pool.Exec(ctx, query, args...)
	return int(tag.RowsAffected()), err
}

// all runs a query and returns what read makes of each row.
func all[T any](ctx context.Context, s *Store, read pgx.RowToFunc[T], query string, args ...any) ([]T, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	rows, err := s.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, read)
}

// A statement is one of several that are sent at once.
type statement struct {
	query string
	args  []any
}

// durably runs statements in one round trip and one transaction, which is
// durable when it returns, and scans the first row of the last one.
func (s *Store) durably(ctx context.Context, into []any, statements ...statement) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var batch pgx.Batch
	batch.Queue(`SELECT parley_durable()`)
	for _, st := range statements[:len(statements)-1] {
		batch.Queue(st.query, st.args...)
	}
	last := statements[len(statements)-1]
	batch.Queue(last.query, last.args...).QueryRow(func(row pgx.Row) error { return row.Scan(into...) })
	return s.pool.SendBatch(ctx, &batch).Close()
}
