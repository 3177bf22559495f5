package postgres_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/dbtest"
	"github.com/parley-chat/parley/store/postgres"
)

// exec runs statements in a database.
func exec(t *testing.T, url, statements string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.PgConn().Exec(t.Context(), statements).ReadAll(); err != nil {
		t.Fatal(err)
	}
}

// number returns the first value of a query.
func number(t *testing.T, url, query string, args ...any) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// as returns a URL with another user and password.
func as(t *testing.T, raw, user, password string) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(user, password)
	return u.String()
}

func isUnavailable(err error) bool {
	var e *parley.Error
	return errors.As(err, &e) && e.Code == parley.CodeUnavailable
}

// answer begins and finishes a turn.
func answer(t *testing.T, store parley.Store, session, prompt string) error {
	begun, err := store.Begin(t.Context(), message(session, prompt))
	if err != nil {
		return err
	}
	return store.Finish(t.Context(), begun.Record, parley.Text("You said: "+prompt), time.Now())
}

// prompts returns the prompts of a session's finished turns.
func prompts(t *testing.T, store parley.Store, session string) []string {
	t.Helper()
	records, err := store.Transcript(t.Context(), parley.Page{Session: session, Limit: 1 << 20})
	if err != nil {
		t.Fatalf("Transcript of %q: %v", session, err)
	}
	var prompts []string
	for _, r := range records {
		if r.Reply != nil {
			prompts = append(prompts, r.Prompt)
		}
	}
	return prompts
}

func TestOpenRefusals(t *testing.T) {
	const canary = "c4n4ry"
	good := dbtest.SharedPostgres(t).URL(t)
	exec(t, good, `DROP ROLE IF EXISTS visitor; CREATE ROLE visitor LOGIN PASSWORD 'right'`)
	host := good[strings.Index(good, "@"):]
	var logged bytes.Buffer
	for _, test := range []struct {
		name, url   string
		want        string // in the error
		unavailable bool
	}{
		{"a wrong password", as(t, good, "visitor", canary), "check the user and the password", false},
		{"an unknown user", as(t, good, "nobody", canary), "check the user and the password", false},
		{"an unknown database", strings.Replace(as(t, good, "parley", canary), "/postgres?", "/other?", 1), "create the database", false},
		{"an unknown host", "postgres://u:" + canary + "@host.invalid/db", "host.invalid", true},
		{"a port where nobody listens", "postgres://u:" + canary + "@127.0.0.1:1/db", "127.0.0.1:1", true},
		{"nothing", "", "postgres://user:password@host", false},
		{"another scheme", "mysql://u:" + canary + "@host/db", "scheme postgres", false},
		{"no URL", "host=h password=" + canary, "scheme postgres", false},
		{"a port that is none", "postgres://u:" + canary + "@host:port/db", "port", false},
		{"a slash in the password", "postgres://u:pass/" + canary + "@host/db", "%2F", false},
		{"a question mark in the password", "postgres://u:" + canary + "?x" + canary + "@host/db", "@", false},
		{"a hash in the password", "postgres://u:" + canary + "#x@host/db", "%23", false},
		{"a percent sign in the password", "postgres://u:" + canary + "%zz@host/db", "%25", false},
		{"a password behind the question mark", "postgres://u@host/db?password=" + canary, "before the @", false},
		{"a parameter that is none", "postgres://u:" + canary + "@host/db?sslmode=perhaps", "sslmode", false},
		{"a pool that is none", "postgres://u:" + canary + "@host/db?pool_max_conns=many", "pool_max_conns", false},
		{"a setting that is unknown", "postgres://parley:" + canary + host + "&no_such_thing=1", "no_such_thing", false},
		{"a schema that is not there", "postgres://parley:" + canary + strings.Replace(host, "search_path=test", "search_path=no_test", 1), "create the schema", false},
		{"another isolation", good + "&default_transaction_isolation=serializable", "read%20committed", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			began := time.Now()
			cfg := postgres.Config{URL: test.url, Logger: slog.New(slog.NewTextHandler(&logged, nil))}
			store, err := postgres.Open(t.Context(), cfg)
			if err == nil {
				store.Close()
				t.Fatal("Open returned no error")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("Open returned %q; want it to say %q", err, test.want)
			}
			if got := isUnavailable(err); got != test.unavailable {
				t.Errorf("Open returned %q, unavailable: %v; want %v", err, got, test.unavailable)
			}
			_, pending := postgres.Pending(t.Context(), cfg)
			_, migrate := postgres.Migrate(t.Context(), cfg)
			for _, err := range []error{err, pending, migrate} {
				if err != nil && strings.Contains(fmt.Sprintf("%v %+v", err, err), canary) {
					t.Errorf("the error is %v; want one without the password", err)
				}
			}
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("it took %v to be refused; want it sooner", took)
			}
		})
	}
	if strings.Contains(logged.String(), canary) {
		t.Errorf("the password was logged:\n%s", &logged)
	}
}

func TestPasswordFromURL(t *testing.T) {
	url := dbtest.SharedPostgres(t).URL(t)
	const password = `p@ss/w?rd#:%'"\ é`
	exec(t, url, `DROP ROLE IF EXISTS owner; CREATE ROLE owner LOGIN PASSWORD 'p@ss/w?rd#:%''"\ é'; DO $$ BEGIN EXECUTE 'GRANT ALL ON SCHEMA ' || current_schema() || ' TO owner'; END $$`)
	if err := answer(t, open(t, as(t, url, "owner", password)), "s", "Hello"); err != nil {
		t.Error(err)
	}
}

func TestManyNodesOpenAtOnce(t *testing.T) {
	url := dbtest.SharedPostgres(t).URL(t)
	if pending, err := postgres.Pending(t.Context(), postgres.Config{URL: url}); err != nil || len(pending) == 0 {
		t.Fatalf("Pending returned %q, %v for an empty database; want every migration", pending, err)
	}
	if n := number(t, url, `SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace`); n != 0 {
		t.Errorf("Pending made %d tables or indexes; want none", n)
	}
	var nodes sync.WaitGroup
	stores := make([]*postgres.Store, 8)
	for i := range stores {
		nodes.Go(func() {
			var err error
			if stores[i], err = postgres.Open(t.Context(), postgres.Config{URL: url, Logger: quiet}); err != nil {
				t.Error(err)
			}
		})
	}
	nodes.Wait()
	for i, store := range stores {
		if store == nil {
			continue
		}
		defer store.Close()
		if err := answer(t, store, "s", fmt.Sprint("from node ", i)); err != nil {
			t.Error(err)
		}
	}
	for name, call := range map[string]func() ([]string, error){
		"Pending": func() ([]string, error) { return postgres.Pending(t.Context(), postgres.Config{URL: url}) },
		"Migrate": func() ([]string, error) {
			return postgres.Migrate(t.Context(), postgres.Config{URL: url, Logger: quiet})
		},
	} {
		if names, err := call(); err != nil || len(names) > 0 {
			t.Errorf("%s returned %q, %v for a database that is up to date; want nothing", name, names, err)
		}
	}
}

func TestNewerDatabaseIsRefused(t *testing.T) {
	url := dbtest.SharedPostgres(t).URL(t)
	if err := open(t, url).Close(); err != nil {
		t.Fatal(err)
	}
	exec(t, url, `INSERT INTO parley_migrations (version) VALUES (99)`)
	if _, err := postgres.Open(t.Context(), postgres.Config{URL: url, Logger: quiet}); err == nil || isUnavailable(err) || !strings.Contains(err.Error(), "newer Parley") {
		t.Errorf("Open returned %v; want that a newer Parley made the database", err)
	}
}

// TestReadOnly looks at databases of every age and changes none.
func TestReadOnly(t *testing.T) {
	url := dbtest.SharedPostgres(t).URL(t)
	cfg := postgres.Config{URL: url, ReadOnly: true, Logger: quiet}
	if _, err := postgres.Open(t.Context(), cfg); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open of an empty database for reading returned %v; want fs.ErrNotExist", err)
	}
	if n := number(t, url, `SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace`); n != 0 {
		t.Errorf("Open for reading made %d tables or indexes; want none", n)
	}
	if err := answer(t, open(t, url), "s", "Hello"); err != nil {
		t.Fatal(err)
	}
	store, err := postgres.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if got := prompts(t, store, "s"); !slices.Equal(got, []string{"Hello"}) {
		t.Errorf("opened for reading, the session has the prompts %q; want the one that was answered", got)
	}
	exec(t, url, `UPDATE parley_migrations SET version = -1`) // there is none before the first
	if _, err := postgres.Open(t.Context(), cfg); err == nil || isUnavailable(err) || !strings.Contains(err.Error(), "run parley migrate, or start the server once") {
		t.Errorf("Open of an older database for reading returned %v; want that it has to be brought up to date", err)
	}
	if n := number(t, url, `SELECT max(version) FROM parley_migrations`); n != -1 {
		t.Errorf("opened for reading, the database has version %d; want the one that it had", n)
	}
}

func TestFailedMigrationChangesNothing(t *testing.T) {
	url := dbtest.SharedPostgres(t).URL(t)
	// A table of the first version is in the way.
	exec(t, url, `CREATE TABLE parley_secrets (mine text); INSERT INTO parley_secrets VALUES ('kept')`)
	applied, err := postgres.Migrate(t.Context(), postgres.Config{URL: url, Logger: quiet})
	if err == nil || len(applied) > 0 || !strings.Contains(err.Error(), "migration 0001, which changed nothing") {
		t.Fatalf("Migrate returned %q, %v; want that the migration failed", applied, err)
	}
	if n := number(t, url, `SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'`); n != 1 {
		t.Errorf("there are %d tables; want the one that was there", n)
	}
	if n := number(t, url, `SELECT count(*) FROM parley_secrets WHERE mine = 'kept'`); n != 1 {
		t.Errorf("the table has %d of its rows; want the one", n)
	}
	exec(t, url, `DROP TABLE parley_secrets`)
	if err := answer(t, open(t, url), "s", "Hello"); err != nil {
		t.Errorf("with nothing in the way: %v", err)
	}
}

// TestRoleThatMayNotCreate has one role make the tables and another use them,
// with no more rights than the package says.
func TestRoleThatMayNotCreate(t *testing.T) {
	admin := dbtest.SharedPostgres(t).URL(t)
	const role = `DROP ROLE IF EXISTS app; CREATE ROLE app LOGIN PASSWORD 'app'; DO $$ BEGIN EXECUTE 'GRANT USAGE ON SCHEMA ' || current_schema() || ' TO app'; END $$`
	exec(t, admin, role)
	app := as(t, admin, "app", "app")
	if _, err := postgres.Open(t.Context(), postgres.Config{URL: app, Logger: quiet}); err == nil || isUnavailable(err) || !strings.Contains(err.Error(), "grant the role") {
		t.Errorf("Open of an empty database returned %v; want that the role may not create", err)
	}
	if applied, err := postgres.Migrate(t.Context(), postgres.Config{URL: admin, Logger: quiet}); err != nil || !slices.Equal(applied, []string{"0001"}) {
		t.Fatalf("Migrate returned %q, %v; want every migration", applied, err)
	}
	exec(t, admin, `GRANT SELECT ON parley_migrations TO app; GRANT SELECT, INSERT, UPDATE, DELETE ON parley_turns, parley_submissions, parley_secrets, parley_limits TO app`)
	store := open(t, app)
	if err := answer(t, store, "s", "Hello"); err != nil {
		t.Error(err)
	}
	if _, err := store.Submit(t.Context(), parley.Submission{ID: "id", Form: "f", Time: time.Now()}); err != nil {
		t.Error(err)
	}
	if _, err := store.Secret(t.Context(), "name"); err != nil {
		t.Error(err)
	}
	if _, err := store.Take(t.Context(), "key", 1, time.Millisecond); err != nil {
		t.Error(err)
	}
	if err := store.Notify(t.Context(), "topic", nil); err != nil {
		t.Error(err)
	}
	if n, err := store.Sweep(t.Context(), time.Now().Add(time.Hour), 10); n != 1 || err != nil {
		t.Errorf("Sweep returned %d, %v; want 1", n, err)
	}
}

// The server of the tests does not wait for the disk.
func TestWeakServersAreTold(t *testing.T) {
	url := dbtest.SharedPostgres(t).URL(t)
	store, err := postgres.Open(t.Context(), postgres.Config{URL: url, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if warnings := strings.Join(store.Warnings(), "; "); !strings.Contains(warnings, "fsync off") {
		t.Errorf("the warnings are %q, want one of fsync", warnings)
	}
	if _, err := postgres.Open(t.Context(), postgres.Config{URL: url, Logger: quiet, Strict: true}); err == nil || !strings.Contains(err.Error(), "fsync = on") {
		t.Errorf("a strict Open returned %v; want a refusal that says what to set", err)
	}
}
