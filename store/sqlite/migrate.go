package sqlite

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	sqlite3 "modernc.org/sqlite/lib"
)

//go:embed migrations/0001.sql
var migration1 string

// migrations holds one script a version of the schema. The database remembers
// in user_version how many of them it has seen. A script that was released
// never changes.
var migrations = []string{migration1}

// applicationID marks a file as Parley's in SQLite's header: "Prly" in ASCII.
// See https://sqlite.org/pragma.html#pragma_application_id.
const applicationID = 0x50726c79

// Pending returns the names of the migrations that [Open] would apply to the
// database at path, and changes nothing. A file that does not exist has seen
// none.
func Pending(path string) ([]string, error) {
	names, err := pending(path)
	return names, wrap(path, "look for migrations", err)
}

func pending(path string) ([]string, error) {
	resolved, err := resolve(path)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(resolved); errors.Is(err, fs.ErrNotExist) {
		return names(0), nil
	}
	c, err := openConn(resolved, "ro", busyTimeout)
	if err != nil {
		return nil, err
	}
	version, err := c.version()
	if err := errors.Join(err, c.close()); err != nil {
		return nil, err
	}
	return names(version), nil
}

// Migrate brings the database at path up to date, as [Open] does, and returns
// the names of the migrations that it applied. Where there are none it needs no
// lock, so that a server may use the database.
func Migrate(path string) ([]string, error) {
	names, err := Pending(path)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	store, err := Open(path)
	if err != nil {
		return nil, err
	}
	return names, store.Close()
}

// names returns the names of the migrations behind a version.
func names(from int) []string {
	var names []string
	for i := from; i < len(migrations); i++ {
		names = append(names, fmt.Sprintf("%04d", i+1))
	}
	return names
}

// version returns how many migrations the database has seen; a new file has
// seen none. It refuses a file that is no Parley database, or of a newer one,
// and changes nothing.
func (c *conn) version() (int, error) {
	application, err := c.number("PRAGMA application_id")
	if primary(err) == sqlite3.SQLITE_NOTADB {
		return 0, errors.New("the file is not a database; choose another path")
	} else if err != nil {
		return 0, err
	}
	version, err := c.number("PRAGMA user_version")
	if err != nil {
		return 0, err
	}
	tables, err := c.number("SELECT count(*) FROM sqlite_schema")
	switch {
	case err != nil:
		return 0, err
	case application != applicationID && (application != 0 || version != 0 || tables != 0):
		return 0, errors.New("the file is the database of another program; choose another path")
	case version > int64(len(migrations)):
		return 0, fmt.Errorf("the database has version %d, of a newer Parley; this one knows versions up to %d", version, len(migrations))
	}
	return int(version), nil
}

// migrate brings the schema from a version to the newest, in one transaction:
// all of it happens or nothing.
func (c *conn) migrate(from int) error {
	if from == len(migrations) {
		return nil
	}
	err := c.run(fmt.Sprintf("BEGIN IMMEDIATE; %s; PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
		strings.Join(migrations[from:], ";"), applicationID, len(migrations)))
	if err != nil {
		c.run("ROLLBACK")
		return fmt.Errorf("bring the database from version %d to %d, which changed nothing: %w", from, len(migrations), err)
	}
	return nil
}
