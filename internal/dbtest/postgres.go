package dbtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// An Option is how a server differs from the usual.
type Option int

// Durable has a server write to disk what it commits, before it says so. Without
// it, tests are quicker, and a crash of the machine could lose what was committed.
const Durable Option = 1

// Postgres starts a PostgreSQL that ends with the test. Its superuser is
// "parley", without a password; any other role needs its own. What URL returns
// is a schema of its own, which is quicker to make than a database.
func Postgres(t testing.TB, options ...Option) *Server {
	t.Helper()
	s := newPostgres(t, options...)
	t.Cleanup(s.remove)
	s.Start()
	return s
}

// SharedPostgres is Postgres for packages with [Main]: all tests of the package
// share one server, which is started when it is first asked for.
func SharedPostgres(t testing.TB) *Server {
	t.Helper()
	return sharedServer(postgres, func() *Server { return newPostgres(t) })
}

const postgres = "PostgreSQL"

func newPostgres(t testing.TB, options ...Option) *Server {
	t.Helper()
	bin := postgresPrograms(t)
	// Not t.TempDir: its parents are readable for root only where root runs the
	// tests, and PostgreSQL runs as somebody else.
	dir, err := os.MkdirTemp("", "postgres")
	if err != nil {
		t.Fatal(err)
	}
	as := unprivileged(t, dir)
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "parley", "-A", "trust", "-N", "--no-instructions", "-E", "UTF8", "--locale=C")
	initdb.Dir, initdb.SysProcAttr = dir, as
	if out, err := initdb.CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	hba := "host all parley 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
	if err := os.WriteFile(filepath.Join(data, "pg_hba.conf"), []byte(hba), 0o644); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	args := []string{"-D", data, "-p", strconv.Itoa(port), "-h", "127.0.0.1", "-k", dir, "-c", "shared_buffers=64MB", "-c", "max_connections=100"}
	if len(options) == 0 {
		args = append(args, "-c", "fsync=off", "-c", "full_page_writes=off")
	}
	address := fmt.Sprintf("postgres://parley@127.0.0.1:%d/postgres?sslmode=disable", port)
	var schemas atomic.Int64
	return &Server{
		name: postgres,
		dir:  dir,
		command: func() *exec.Cmd {
			cmd := exec.Command(filepath.Join(bin, "postgres"), args...)
			cmd.SysProcAttr = as
			return cmd
		},
		ready: func(ctx context.Context) error { return postgresExec(ctx, address, "SELECT 1") },
		url: func(t testing.TB) string {
			t.Helper()
			schema := fmt.Sprintf("test%d", schemas.Add(1))
			if err := postgresExec(t.Context(), address, "CREATE SCHEMA "+schema); err != nil {
				t.Fatal(err)
			}
			return address + "&search_path=" + schema
		},
		stop:   func(p *os.Process) error { return p.Signal(syscall.SIGINT) }, // "fast": connections are cut
		fatalf: t.Fatalf,
	}
}

// postgresPrograms returns where PostgreSQL's programs are. Debian has them
// outside of the path, by their version.
func postgresPrograms(t testing.TB) string {
	t.Helper()
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres"); len(found) > 0 {
		return filepath.Dir(found[len(found)-1])
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		need(t, "PostgreSQL")
	}
	return filepath.Dir(path)
}

// unprivileged has a process not run as root, which PostgreSQL refuses to, and
// gives it the directory.
func unprivileged(t testing.TB, dir string) *syscall.SysProcAttr {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
		return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	t.Fatal("PostgreSQL does not run as root, and there is no other user")
	return nil
}

func postgresExec(ctx context.Context, url, query string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, query)
	return err
}
