package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/store/sqlite"
)

// TestBackupBesideTurns backs up while eight sessions commit turns.
func TestBackupBesideTurns(t *testing.T) {
	dir := t.TempDir()
	store := open(t, filepath.Join(dir, "parley.db"))
	const sessions = 8
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var mu sync.Mutex
	acknowledged := map[string]int{} // turns, by session
	enough := make(chan struct{})
	enoughOnce := sync.OnceFunc(func() { close(enough) })
	var turns sync.WaitGroup
	for i := range sessions {
		turns.Go(func() {
			session := fmt.Sprint("session ", i)
			for n := 1; ctx.Err() == nil; n++ {
				begun, err := store.Begin(context.Background(), message(session, fmt.Sprint(n)))
				if err == nil {
					err = store.Finish(context.Background(), begun.Record, parley.Text("reply"), time.Now())
				}
				if err != nil {
					t.Errorf("turn %d of %s: %v", n, session, err)
					return
				}
				mu.Lock()
				acknowledged[session] = n
				if n == 100 {
					enoughOnce()
				}
				mu.Unlock()
			}
		})
	}
	<-enough
	for i := range 3 {
		mu.Lock()
		before := map[string]int{}
		for session, n := range acknowledged {
			before[session] = n
		}
		mu.Unlock()
		file := filepath.Join(dir, fmt.Sprint("backup", i))
		size, err := sqlite.Backup(t.Context(), filepath.Join(dir, "parley.db"), file)
		if err != nil {
			t.Fatalf("Backup: %v", err)
		}
		info, err := os.Stat(file)
		if err != nil || info.Size() != size || info.Mode() != 0o600 {
			t.Errorf("the backup is %v %d, %v; want -rw------- and %d bytes, as Backup returned", info.Mode(), info.Size(), err, size)
		}
		restored := filepath.Join(dir, fmt.Sprint("restored", i))
		if err := sqlite.RestoreBackup(t.Context(), file, restored); err != nil {
			t.Fatalf("RestoreBackup: %v", err)
		}
		for _, copied := range []*sqlite.Store{open(t, file), open(t, restored)} {
			for session, n := range before {
				got, err := copied.Transcript(t.Context(), parley.Page{Session: session, Limit: 1_000_000})
				if err != nil || len(got) < n {
					t.Fatalf("%d turns of %s were acknowledged before the backup, and it has %d, %v", n, session, len(got), err)
				}
				for k, r := range got {
					if r.Seq != k+1 || r.Prompt != fmt.Sprint(k+1) {
						t.Fatalf("turn %d of %s is %d, %q in the backup", k+1, session, r.Seq, r.Prompt)
					}
				}
			}
		}
	}
	stop()
	turns.Wait()
}

// backup makes a database with a turn, and a backup of it.
func backup(t *testing.T) (path, file string) {
	t.Helper()
	dir := t.TempDir()
	path, file = filepath.Join(dir, "parley.db"), filepath.Join(dir, "backup.db")
	store := open(t, path)
	answer(t, store, "s", strings.Repeat("Hello ", 3000))
	if _, err := sqlite.Backup(t.Context(), path, file); err != nil {
		t.Fatalf("Backup: %v", err)
	}
	return path, file
}

func TestBackupReplacesNothing(t *testing.T) {
	path, file := backup(t)
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Backup(t.Context(), path, file); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a backup to a file that exists returns %v; want fs.ErrExist", err)
	}
	if after, _ := os.ReadFile(file); !bytes.Equal(after, before) {
		t.Error("the file was changed; want it left as it is")
	}
	if err := os.WriteFile(file+"2.part", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Backup(t.Context(), path, file+"2"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a backup beside one that is under way returns %v; want fs.ErrExist", err)
	}
}

func TestBackupThatFailsLeavesNothing(t *testing.T) {
	path, _ := backup(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	if _, err := sqlite.Backup(ctx, path, filepath.Join(dir, "b")); !errors.Is(err, context.Canceled) {
		t.Errorf("a backup that is stopped returns %v; want context.Canceled", err)
	}
	if _, err := sqlite.Backup(t.Context(), filepath.Join(dir, "none.db"), filepath.Join(dir, "b")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a backup of no database returns %v; want fs.ErrNotExist", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "text.db"), []byte(strings.Repeat("no database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Backup(t.Context(), filepath.Join(dir, "text.db"), filepath.Join(dir, "b")); err == nil {
		t.Error("a text file was backed up; want an error")
	}
	wantFiles(t, dir, "text.db")
}

// TestRestoreRefuses checks what is not put in the place of a database.
func TestRestoreRefuses(t *testing.T) {
	_, file := backup(t)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// with returns the backup with other bytes from a place on.
	with := func(at int, other string) []byte {
		return append(append(bytes.Clone(whole[:at]), other...), whole[at+len(other):]...)
	}
	const applicationID, userVersion, pageSize = 68, 60, 4096
	for name, test := range map[string]struct {
		data []byte
		says string
	}{
		"a text":                   {[]byte(strings.Repeat("text", 100)), "no backup of a Parley database"},
		"nothing":                  {nil, "no backup of a Parley database"},
		"another program's":        {with(applicationID, "abcd"), "no backup of a Parley database"},
		"a newer Parley's":         {with(userVersion, "\x00\x00\x00\x63"), "has version 99, of a newer Parley"},
		"one without a version":    {with(userVersion, "\x00\x00\x00\x00"), "it is empty"},
		"one with a page missing":  {whole[:len(whole)-pageSize], "check the copy"},
		"one with a spoiled page":  {with(2*pageSize, strings.Repeat("\xaa", 100)), "check the copy"},
		"one with a spoiled table": {with(pageSize-200, strings.Repeat("\xaa", 200)), "check the copy"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			bad := filepath.Join(dir, "bad")
			if err := os.WriteFile(bad, test.data, 0o600); err != nil {
				t.Fatal(err)
			}
			err := sqlite.RestoreBackup(t.Context(), bad, filepath.Join(dir, "parley.db"))
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("RestoreBackup returns %v; want %q", err, test.says)
			}
			for _, name := range files(t, dir) {
				if name != "bad" && name != "parley.db-lock" {
					t.Errorf("%s is left", name)
				}
			}
			if after, _ := os.ReadFile(bad); !bytes.Equal(after, test.data) {
				t.Error("the file was changed; want it left as it is")
			}
		})
	}
}

func TestRestoreReplacesNothing(t *testing.T) {
	path, file := backup(t)
	if err := sqlite.RestoreBackup(t.Context(), file, path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("where there is a database RestoreBackup returns %v; want fs.ErrExist", err)
	}
	for _, beside := range []string{"-wal", "-journal"} {
		to := filepath.Join(t.TempDir(), "parley.db")
		if err := os.WriteFile(to+beside, []byte("a log"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := sqlite.RestoreBackup(t.Context(), file, to); !errors.Is(err, fs.ErrExist) {
			t.Errorf("beside parley.db%s RestoreBackup returns %v; want fs.ErrExist", beside, err)
		}
	}
	// The file of a server is gone, and the server is not.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for _, beside := range []string{"-wal", "-shm"} {
		if err := os.Remove(path + beside); err != nil {
			t.Fatal(err)
		}
	}
	if err := sqlite.RestoreBackup(t.Context(), file, path); !errors.Is(err, sqlite.ErrInUse) {
		t.Errorf("under a server RestoreBackup returns %v; want ErrInUse", err)
	}
}

func TestRestoreRefusesADatabaseInUse(t *testing.T) {
	path, _ := backup(t)
	err := sqlite.RestoreBackup(t.Context(), path, filepath.Join(t.TempDir(), "to.db"))
	if err == nil || !strings.Contains(err.Error(), "a database in use") {
		t.Errorf("of a database in use RestoreBackup returns %v; want it refused", err)
	}
}
