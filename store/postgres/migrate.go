package postgres

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/jackc/pgx/v5"
)

//go:embed migrations/0001.sql
var migration1 string

// migrations holds one script a version of the schema. The database remembers in
// parley_migrations which of them it has seen. A script that was released never
// changes.
var migrations = []string{migration1}

// migrationLock is the advisory lock that nodes take to migrate one after the
// other: "Parley" in ASCII.
const migrationLock = 0x5061726c6579

// Pending returns the names of the migrations that [Open] would apply, and
// changes nothing.
func Pending(ctx context.Context, cfg Config) ([]string, error) {
	return withConn(ctx, cfg, func(conn *pgx.Conn) ([]string, error) {
		from, err := version(ctx, conn)
		return names(from), err
	})
}

// Migrate brings the tables of a database up to date, as [Open] does, and
// returns the names of the migrations that it applied. Each is applied in a
// transaction of its own: all of it or nothing. Where other nodes migrate at the
// same time, it waits for them. It refuses the database of a newer Parley.
func Migrate(ctx context.Context, cfg Config) ([]string, error) {
	log := cmp.Or(cfg.Logger, slog.Default())
	return withConn(ctx, cfg, func(conn *pgx.Conn) ([]string, error) { return migrate(ctx, conn, log) })
}

// withConn connects to a database for one thing.
func withConn(ctx context.Context, cfg Config, do func(*pgx.Conn) ([]string, error)) ([]string, error) {
	pool, err := parseURL(cfg.URL)
	if err != nil {
		return nil, wrap("read the URL", err)
	}
	conn, err := pgx.ConnectConfig(ctx, pool.ConnConfig)
	if err != nil {
		return nil, wrap("connect", err)
	}
	defer closeConn(conn)
	names, err := do(conn)
	return names, wrap("migrate", err)
}

// names returns the names of the migrations behind a version.
func names(from int) []string {
	var names []string
	for i := from; i < len(migrations); i++ {
		names = append(names, fmt.Sprintf("%04d", i+1))
	}
	return names
}

// version returns how many migrations the database has seen, and refuses one
// that cannot be used.
func version(ctx context.Context, conn *pgx.Conn) (int, error) {
	var there bool
	var isolation string
	err := conn.QueryRow(ctx, `SELECT to_regclass('parley_migrations') IS NOT NULL, current_setting('default_transaction_isolation')`).Scan(&there, &isolation)
	switch {
	case err != nil:
		return 0, err
	case isolation != "read committed":
		// In any other, a statement does not see what was committed while it waited.
		return 0, fmt.Errorf("the role or the database has the isolation %q for a default; add default_transaction_isolation=read%%20committed to the URL", isolation)
	case !there:
		return 0, nil
	}
	n, err := seen(ctx, conn)
	if err == nil && n > len(migrations) {
		err = fmt.Errorf("the database has version %d, of a newer Parley; this one knows versions up to %d", n, len(migrations))
	}
	return n, err
}

// A querier is a connection, or a transaction on it.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// seen returns the newest migration in the table of those that were applied.
func seen(ctx context.Context, db querier) (n int, err error) {
	err = db.QueryRow(ctx, `SELECT COALESCE(max(version), 0) FROM parley_migrations`).Scan(&n)
	return n, err
}

// upToDate refuses a database that has not seen every migration.
func upToDate(ctx context.Context, conn *pgx.Conn) error {
	n, err := version(ctx, conn)
	switch {
	case err != nil:
		return err
	case n == 0:
		return fmt.Errorf("there is nothing yet: %w", fs.ErrNotExist)
	case n < len(migrations):
		return fmt.Errorf("the database has version %d and %d is needed; run parley migrate, or start the server once, which brings it up to date", n, len(migrations))
	}
	return nil
}

// migrate applies the migrations that the database has not seen.
func migrate(ctx context.Context, conn *pgx.Conn, log *slog.Logger) ([]string, error) {
	var applied []string
	for {
		from, err := version(ctx, conn)
		if err != nil || from == len(migrations) {
			return applied, err
		}
		name := names(from)[0]
		err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return apply(ctx, tx, from) })
		switch {
		case errors.Is(err, errApplied): // by another node, while this one waited
		case err != nil:
			return applied, fmt.Errorf("apply migration %s, which changed nothing: %w", name, err)
		default:
			log.Info("the database was brought up to date", "migration", name)
			applied = append(applied, name)
		}
	}
}

var errApplied = errors.New("it has been applied")

// apply applies the migration behind a version.
func apply(ctx context.Context, tx pgx.Tx, from int) error {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrationLock)); err != nil {
		return err
	}
	if from == 0 {
		if _, err := tx.Exec(ctx, `CREATE TABLE IF NOT EXISTS parley_migrations (version integer PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now())`); err != nil {
			return err
		}
	}
	switch seen, err := seen(ctx, tx); {
	case err != nil:
		return err
	case seen > from:
		return errApplied
	}
	if _, err := tx.Conn().PgConn().Exec(ctx, migrations[from]).ReadAll(); err != nil { // several statements
		return err
	}
	_, err := tx.Exec(ctx, `INSERT INTO parley_migrations (version) VALUES ($1)`, from+1)
	return err
}
