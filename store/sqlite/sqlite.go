// Package sqlite keeps chats in one SQLite file: a [parley.Store] for one
// server, with no database to set up.
//
//	store, err := sqlite.Open("parley.db")
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer store.Close()
//	chat, err := parley.New(parley.Config{Bot: bot, Store: store})
//
// What was committed survives a crash and a power cut: the file is in WAL mode
// with synchronous=FULL, always. Beside it lie parley.db-wal and parley.db-shm
// while it is open, which belong to it, and parley.db-lock, which keeps a second
// server out.
package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-chat/parley"
	sqlite3 "modernc.org/sqlite/lib"
)

// Store is a [parley.Store] in a SQLite file. Its methods are safe for
// concurrent use.
type Store struct {
	path     string
	lock     *conn   // on the lock file; nil where the store is for reading only
	writer   *writer // nil where the store is for reading only
	readers  chan *conn
	sessions sessions

	sweptBefore atomic.Int64 // turns that began before may be gone
	unwiped     atomic.Bool  // deleted turns are still in the write-ahead log

	calls  sync.RWMutex // held for reading by every call
	closed bool
}

var _ parley.Archive = (*Store)(nil)

// readers is how many goroutines read at once. A read takes microseconds where
// the operating system has the pages in memory, so a few are enough.
const readers = 4

// busyTimeout is how long to wait while somebody else, such as a person with an
// SQL shell, holds the database.
const busyTimeout = 5 * time.Second

// ErrInUse is the error of opening a database that another process has open.
var ErrInUse = errors.New("in use by another process")

// Open opens the database at path, and makes it where there is none, readable
// for its owner only. It brings an older schema up to date. It refuses a file
// that another process has open with Open, with [ErrInUse], that a newer Parley
// made, or that is no Parley database.
func Open(path string) (*Store, error) {
	s := newStore(path)
	if err := s.open(); err != nil {
		return nil, s.wrap("open", errors.Join(err, s.release()))
	}
	return s, nil
}

// OpenReadOnly opens the database at path for reading, whether or not a server
// has it open. Methods that would change something return an error, and turns
// that run are not seen. Where there is no database it makes none.
func OpenReadOnly(path string) (*Store, error) {
	s := newStore(path)
	if err := s.openReaders(); err != nil {
		return nil, s.wrap("open for reading", errors.Join(err, s.release()))
	}
	return s, nil
}

func newStore(path string) *Store {
	return &Store{path: path, readers: make(chan *conn, readers), sessions: sessions{byKey: map[string]*session{}}}
}

func (s *Store) open() error {
	// Nothing but SQLite may open the file once it is in use: closing it would
	// take SQLite's locks off it, see https://sqlite.org/howtocorrupt.html,
	// section 2.2. So the lock comes first.
	path, err := resolve(s.path)
	if err != nil {
		return err
	}
	if s.lock, err = takeLock(path + "-lock"); err != nil {
		return err
	}
	if err := create(path); err != nil {
		return err
	}
	c, err := openConn(path, "rw", busyTimeout)
	if err != nil {
		return err
	}
	if err := c.prepareFile(); err != nil {
		return errors.Join(err, c.close())
	}
	file, err := os.Stat(path)
	if err != nil {
		return errors.Join(err, c.close())
	}
	s.writer = newWriter(path, file, c)
	return s.openReaders()
}

// resolve returns the absolute path of the file itself, so that there is one
// lock whatever name it is opened by. The file need not exist.
func resolve(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	resolved, err := filepath.EvalSymlinks(abs)
	if errors.Is(err, fs.ErrNotExist) {
		dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
		return filepath.Join(dir, filepath.Base(abs)), err
	}
	if info, err := os.Stat(resolved); err == nil && info.IsDir() {
		return "", errors.New("this is a directory; name a file in it")
	}
	return resolved, err
}

// create makes an empty file for its owner only, unless there is one. SQLite
// gives the files that it makes beside it the same permissions.
func create(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// takeLock keeps other processes out until the connection is closed or the
// process ends: turns that run are in the memory of one. The lock is SQLite's
// own, on an empty file, so it works wherever SQLite does.
func takeLock(path string) (*conn, error) {
	if err := create(path); err != nil {
		return nil, err
	}
	c, err := openConn(path, "rw", 0)
	if err != nil {
		return nil, err
	}
	// Nothing is ever written, so the journal need not be a file.
	if err = c.run("PRAGMA journal_mode(MEMORY); BEGIN EXCLUSIVE"); err == nil {
		return c, nil
	}
	if primary(err) == sqlite3.SQLITE_BUSY {
		err = ErrInUse
	}
	return nil, errors.Join(err, c.close())
}

// prepareFile checks the file, sets how it is written, and brings the schema up
// to date. A file that is refused is left as it is.
func (c *conn) prepareFile() error {
	version, err := c.version()
	if err != nil {
		return err
	}
	wal := false
	err = c.query("PRAGMA journal_mode(WAL)", func(row []driver.Value) error {
		wal = row[0] == "wal"
		return nil
	})
	switch {
	case err != nil:
		return err
	case !wal:
		return errors.New("the file system has no shared memory, which the write-ahead log needs; put the file on a local disk")
	}
	// secure_delete(ON) overwrites what is deleted, whole pages included: what
	// was kept long enough is gone from the file, not only unreachable. It costs
	// the sweep, not the turns. For wal_autocheckpoint see writer.checkpoint.
	err = c.run(`
		PRAGMA synchronous(FULL);
		PRAGMA foreign_keys(ON);
		PRAGMA secure_delete(ON);
		PRAGMA wal_autocheckpoint(0);
		PRAGMA cache_size(-16000);`) // 16 MB
	if err != nil {
		return err
	}
	if err := c.migrate(version); err != nil {
		return err
	}
	// What a process wrote before it was killed can be read now, synced or not.
	// It must last before anybody is told of it.
	_, err = c.number("PRAGMA wal_checkpoint(TRUNCATE)")
	return err
}

// openReaders opens the connections that read.
func (s *Store) openReaders() error {
	path, err := resolve(s.path)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return err
	}
	for range readers {
		c, err := openConn(path, "ro", busyTimeout)
		if err != nil {
			return err
		}
		s.readers <- c
		version, err := c.version()
		if err == nil && version < len(migrations) {
			err = fmt.Errorf("the database has version %d and %d is needed; start the server once, which brings it up to date", version, len(migrations))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Broken returns a channel that receives an error once an I/O error left it
// unknown what is durable. Every method returns that error from then on; the
// process should end, and a new one open the database.
func (s *Store) Broken() <-chan error {
	if s.writer == nil {
		return nil
	}
	return s.writer.reason
}

// Close implements [parley.Store]. It copies the write-ahead log into the file,
// which is a complete copy of everything then.
func (s *Store) Close() error {
	s.calls.Lock()
	defer s.calls.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.wrap("close", s.release())
}

// release closes what is open. Of a broken store it closes nothing: SQLite
// would write once more.
func (s *Store) release() error {
	if s.writer != nil {
		s.writer.stop()
		if s.writer.err != nil {
			return s.writer.err
		}
	}
	var errs []error
	for range len(s.readers) {
		errs = append(errs, (<-s.readers).close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.close())
	}
	return errors.Join(errs...)
}

type access bool

const (
	reading access = false
	writing access = true
)

// enter begins a call, or says why it cannot be. It is ended by leave.
func (s *Store) enter(ctx context.Context, want access) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.calls.RLock()
	if err := s.usable(want); err != nil {
		s.calls.RUnlock()
		return err
	}
	return nil
}

func (s *Store) leave() { s.calls.RUnlock() }

func (s *Store) usable(want access) error {
	switch {
	case s.closed:
		return fmt.Errorf("sqlite: %s: the store is closed", s.path)
	case s.writer == nil && want == writing:
		return fmt.Errorf("sqlite: %s: the store was opened for reading only", s.path)
	case s.writer == nil:
		return nil
	}
	select {
	case <-s.writer.broken:
		return s.wrap("an earlier write", s.writer.err)
	default:
		return nil
	}
}

// read lends out a connection for reading.
func (s *Store) read(ctx context.Context, do func(*conn) error) error {
	select {
	case c := <-s.readers:
		defer func() { s.readers <- c }()
		return do(c)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Store) wrap(operation string, err error) error { return wrap(s.path, operation, err) }
