package sqlite_test

import (
	"bufio"
	"bytes"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/store/sqlite"
)

func TestFilesAreForTheirOwnerOnly(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "parley.db")
	store := open(t, path)
	answer(t, store, "s", "Hello")
	wantFiles(t, dir, "parley.db", "parley.db-lock", "parley.db-shm", "parley.db-wal")
	for _, name := range files(t, dir) {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode(); mode != 0o600 {
			t.Errorf("%s has the mode %v; want %v", name, mode, fs.FileMode(0o600))
		}
	}
	if err := store.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	wantFiles(t, dir, "parley.db", "parley.db-lock")
}

func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func wantFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	if got := files(t, dir); !slices.Equal(got, want) {
		t.Errorf("the directory has %q; want %q", got, want)
	}
}

func TestPaths(t *testing.T) {
	for _, name := range []string{"parley.db", "with space.db", "what?.db", "100%.db", "a#b&c=d;e.db", "Größe.db"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			t.Chdir(dir)
			store := open(t, name)
			answer(t, store, "s", "Hello")
			if err := store.Close(); err != nil {
				t.Fatalf("Close: %v", err)
			}
			wantFiles(t, dir, name, name+"-lock")
			if got := prompts(t, open(t, filepath.Join(dir, name)), "s"); len(got) != 1 {
				t.Errorf("opened by its absolute path the session has the prompts %q; want one", got)
			}
		})
	}
}

// change changes a database from outside.
func change(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, test := range []struct {
		name string
		make func(t *testing.T, path string)
		want string // in the error
	}{
		{"a file that is no database", func(t *testing.T, path string) {
			if err := os.WriteFile(path, bytes.Repeat([]byte("no database "), 1000), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "not a database"},
		{"a directory", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "this is a directory"},
		{"the database of another program", func(t *testing.T, path string) {
			change(t, path, `CREATE TABLE things (name TEXT)`, `INSERT INTO things VALUES ('a')`)
		}, "the database of another program"},
		{"a database that says so", func(t *testing.T, path string) {
			change(t, path, `PRAGMA application_id = 7`)
		}, "the database of another program"},
		{"the database of a newer version", func(t *testing.T, path string) {
			if err := open(t, path).Close(); err != nil {
				t.Fatal(err)
			}
			change(t, path, `PRAGMA user_version = 1000`)
		}, "the database has version 1000, of a newer Parley"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "parley.db")
			test.make(t, path)
			before, _ := os.ReadFile(path)
			for name, open := range map[string]func(string) (*sqlite.Store, error){"Open": sqlite.Open, "OpenReadOnly": sqlite.OpenReadOnly} {
				_, err := open(path)
				if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), test.want) {
					t.Errorf("%s returned %v; want an error with the path and %q", name, err, test.want)
				}
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
				t.Error("the file was changed; want it left as it was")
			}
		})
	}
}

func TestOpenNamesTheMissingDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "parley.db")
	if _, err := sqlite.Open(path); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("Open returned %v; want that %s does not exist", err, path)
	}
}

func TestFailedMigrationChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "parley.db")
	// The last table of the first version is in the way.
	change(t, path, `PRAGMA application_id = 0x50726c79`, `CREATE TABLE secrets (mine)`, `INSERT INTO secrets VALUES ('kept')`)
	if _, err := sqlite.Open(path); err == nil || !strings.Contains(err.Error(), "from version 0 to ") {
		t.Fatalf("Open returned %v; want that the migration failed", err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var tables, version int
	var kept string
	if err := db.QueryRow(`SELECT (SELECT count(*) FROM sqlite_schema), (SELECT user_version FROM pragma_user_version), (SELECT mine FROM secrets)`).Scan(&tables, &version, &kept); err != nil {
		t.Fatal(err)
	}
	if tables != 1 || version != 0 || kept != "kept" {
		t.Errorf("the database has %d tables, version %d and the value %q; want it as it was: 1, 0 and %q", tables, version, kept, "kept")
	}
}

func TestEmptyFileBecomesADatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "parley.db")
	if err := os.WriteFile(path, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.OpenReadOnly(path); err == nil || !strings.Contains(err.Error(), "version 0") {
		t.Errorf("OpenReadOnly returned %v; want that the database has version 0", err)
	}
	answer(t, open(t, path), "s", "Hello")
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o640 {
		t.Errorf("the file has the mode %v, %v; want the one that it had", info.Mode(), err)
	}
}

// holdEnv names the database that a test binary opens and holds, as another
// process.
const holdEnv = "SQLITE_TEST_HOLD"

// TestHold is another process: it answers a turn and keeps the store open until
// it is killed.
func TestHold(t *testing.T) {
	path, ok := os.LookupEnv(holdEnv)
	if !ok {
		t.Skip("is run by other tests")
	}
	store := open(t, path)
	answer(t, store, "s", "Hello")
	begin(t, store, message("s", "running"))
	os.Stdout.WriteString("ready\n")
	<-t.Context().Done()
}

// hold opens a database in another process, and returns what kills it.
func hold(t *testing.T, path string) (kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestHold$")
	cmd.Env = append(os.Environ(), holdEnv+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
	t.Cleanup(kill)
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the other process says %q, %v; want that it is ready", line, err)
	}
	return kill
}

func TestOneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "parley.db")
	alias := filepath.Join(dir, "alias.db")
	if err := os.Symlink(path, alias); err != nil {
		t.Fatal(err)
	}
	wantInUse := func(who string) {
		t.Helper()
		for _, path := range []string{path, alias} {
			began := time.Now()
			if _, err := sqlite.Open(path); err == nil || !strings.Contains(err.Error(), filepath.Base(path)+": open: in use by another process") {
				t.Errorf("with the database open in %s, Open returned %v; want that it is in use", who, err)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("with the database open in %s, Open took %v; want it to refuse at once", who, took)
			}
		}
	}
	store := open(t, path)
	wantInUse("this process")
	answer(t, store, "s", "still there")
	if err := store.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}

	kill := hold(t, path)
	wantInUse("another process")
	kill()
	if got, want := prompts(t, open(t, path), "s"), []string{"still there", "Hello"}; !slices.Equal(got, want) {
		t.Errorf("after the other process was killed the prompts are %q; want %q", got, want)
	}
}

// What a process wrote and did not sync before it was killed must last before
// anybody is told of it.
func TestOpenMakesLastWhatItFinds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "parley.db")
	hold(t, path)()
	if commits(t, path) == 0 {
		t.Fatal("the process that was killed left nothing in the write-ahead log")
	}
	store := open(t, path)
	if n := commits(t, path); n != 0 {
		t.Errorf("the write-ahead log has %d commits once the database is open; want all of them in the database", n)
	}
	if got, want := prompts(t, store, "s"), []string{"Hello"}; !slices.Equal(got, want) {
		t.Errorf("the prompts are %q; want %q", got, want)
	}
}

func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "parley.db")
	if _, err := sqlite.OpenReadOnly(path); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("OpenReadOnly returned %v; want that %s does not exist", err, path)
	}
	wantFiles(t, dir)

	wantHello := func(when string) {
		t.Helper()
		store, err := sqlite.OpenReadOnly(path)
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		defer store.Close()
		records, err := store.Transcript(t.Context(), parley.Page{Session: "s", Limit: 10})
		if err != nil || len(records) != 1 || records[0].Prompt != "Hello" {
			t.Errorf("%s the session is %+v, %v; want the one finished turn", when, records, err)
		}
		if _, err := store.Submissions(t.Context(), "", 0, 10); err != nil {
			t.Errorf("%s Submissions returned %v; want none, and no error", when, err)
		}
		for method, err := range refusals(t, store) {
			if err == nil || !strings.Contains(err.Error(), "for reading only") {
				t.Errorf("%s %s returned %v; want that the store is for reading only", when, method, err)
			}
		}
	}
	kill := hold(t, path)
	wantHello("while another process has the database open")
	kill()
	wantHello("after that process was killed")
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	wantHello("after the database was closed")
}

// refusals calls every method that changes something.
func refusals(t *testing.T, store parley.Store) map[string]error {
	_, begin := store.Begin(t.Context(), message("s", "Hello"))
	_, submit := store.Submit(t.Context(), parley.Submission{ID: "id"})
	_, secret := store.Secret(t.Context(), "name")
	_, sweep := store.Sweep(t.Context(), time.Now(), 1)
	return map[string]error{
		"Begin":   begin,
		"Finish":  store.Finish(t.Context(), parley.Record{Session: "s", Seq: 1, Began: time.Now()}, parley.Text("Hi"), time.Now()),
		"Abandon": store.Abandon(t.Context(), parley.Record{Session: "s", Seq: 1, Began: time.Now()}),
		"Submit":  submit,
		"Secret":  secret,
		"Sweep":   sweep,
	}
}
