package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/parley-chat/parley/store/sqlite"
)

// wantMigrations checks what Pending or Migrate returned.
func wantMigrations(t *testing.T, what string, got []string, err error, want ...string) {
	t.Helper()
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%s: %q, %v; want %q", what, got, err, want)
	}
}

func TestMigrate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "parley.db")
	names, err := sqlite.Pending(path)
	wantMigrations(t, "of no file", names, err, "0001")
	wantFiles(t, filepath.Dir(path))
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	names, err = sqlite.Pending(path)
	wantMigrations(t, "of an empty file", names, err, "0001")
	names, err = sqlite.Migrate(path)
	wantMigrations(t, "applied", names, err, "0001")
	names, err = sqlite.Migrate(path)
	wantMigrations(t, "applied again", names, err)
	names, err = sqlite.Pending(path)
	wantMigrations(t, "pending after all", names, err)
	answer(t, open(t, path), "s", "Hello")
}

func TestMigrateBesideAServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "parley.db")
	open(t, path)
	names, err := sqlite.Migrate(path)
	wantMigrations(t, "with nothing to do", names, err)
	change(t, path, "PRAGMA user_version = 0")
	if names, err = sqlite.Migrate(path); !errors.Is(err, sqlite.ErrInUse) {
		t.Errorf("under a server Migrate returns %q, %v; want ErrInUse", names, err)
	}
}

func TestMigrateRefusesOtherFiles(t *testing.T) {
	dir := t.TempDir()
	newer, others := filepath.Join(dir, "newer.db"), filepath.Join(dir, "others.db")
	if err := open(t, newer).Close(); err != nil {
		t.Fatal(err)
	}
	change(t, newer, "PRAGMA user_version = 99")
	change(t, others, "CREATE TABLE cats (name TEXT)")
	for _, path := range []string{newer, others} {
		if names, err := sqlite.Pending(path); err == nil || len(names) > 0 {
			t.Errorf("Pending of %s returns %q, %v; want an error", filepath.Base(path), names, err)
		}
		if names, err := sqlite.Migrate(path); err == nil || len(names) > 0 {
			t.Errorf("Migrate of %s returns %q, %v; want an error", filepath.Base(path), names, err)
		}
	}
}
