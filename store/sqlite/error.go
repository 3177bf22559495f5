package sqlite

import (
	"errors"
	"fmt"

	"github.com/parley-chat/parley"
	driversqlite "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// code returns SQLite's extended result code, or 0 for an error of another
// kind. See https://sqlite.org/rescode.html.
func code(err error) int {
	var e *driversqlite.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return sqlite3.SQLITE_OK
}

// primary returns the primary result code, the low byte of an extended one.
func primary(err error) int { return code(err) & 0xff }

// passes reports whether an error passes by itself: the disk is full, or
// somebody else, such as a person with an SQL shell, holds the database.
func passes(err error) bool {
	switch primary(err) {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY:
		return true
	}
	return code(err) == sqlite3.SQLITE_IOERR_SHMSIZE // a full disk, too
}

// breaks reports whether after an error the database can be trusted no more.
func breaks(err error) bool {
	if errors.Is(err, errMoved) {
		return true
	}
	switch primary(err) {
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT:
		return !passes(err)
	}
	return false
}

// wrap returns err, if it is not nil, with the file and the operation.
func wrap(path, operation string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("sqlite: %s: %s: %w", path, operation, err)
	if passes(err) {
		return &parley.Error{Code: parley.CodeUnavailable, Message: "The store is not available at the moment.", Err: err}
	}
	return err
}
