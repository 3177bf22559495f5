package sqlite

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// Backup writes a copy of the database at path to a file that does not exist
// yet, readable for its owner only, and returns its size in bytes. A server may
// use the database meanwhile: the copy is of one moment, and has every turn that
// was acknowledged before the call. While it is written the server's write-ahead
// log grows, because nothing is taken out of it.
//
// The copy is written to file + ".part", synced and checked, and gets its name
// then: a file with that name is complete, even after a power cut.
func Backup(ctx context.Context, path, file string) (size int64, err error) {
	size, err = backup(ctx, path, file)
	return size, wrap(path, "back up", err)
}

func backup(ctx context.Context, path, file string) (int64, error) {
	path, err := resolve(path)
	if err != nil {
		return 0, err
	}
	if _, err := os.Stat(path); err != nil {
		return 0, err
	}
	return publish(file, func(part *os.File) error {
		c, err := openConn(path, "ro", busyTimeout)
		if err != nil {
			return err
		}
		if _, err = c.version(); err == nil {
			err = c.copyInto(ctx, part.Name())
		}
		return errors.Join(err, c.close())
	})
}

// copyInto writes a copy of the database to an empty file. VACUUM INTO reads
// within one transaction, as the backup API would with a single step, and leaves
// out what was deleted. See https://sqlite.org/lang_vacuum.html.
func (c *conn) copyInto(ctx context.Context, file string) error {
	_, err := c.driver.(driver.ExecerContext).ExecContext(ctx, "VACUUM INTO ?", []driver.NamedValue{{Ordinal: 1, Value: file}})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// RestoreBackup puts a copy of a file that [Backup] wrote where there is no
// database, for Open to open. It refuses a file that is none of Parley's, that a
// newer Parley made, or that is a database in use.
func RestoreBackup(ctx context.Context, file, path string) error {
	return wrap(path, "restore", restoreBackup(ctx, file, path))
}

func restoreBackup(ctx context.Context, file, path string) (err error) {
	path, err = resolve(path)
	if err != nil {
		return err
	}
	source, err := openBackup(file)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	defer source.Close()
	// SQLite would take the log of another database for this one's.
	for _, log := range []string{path + "-wal", path + "-journal"} {
		if info, err := os.Stat(log); err == nil && info.Size() > 0 {
			return fmt.Errorf("%s %w", log, fs.ErrExist)
		}
	}
	lock, err := takeLock(path + "-lock") // or a server that starts would make a database of its own
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.close()) }()
	_, err = publish(path, func(part *os.File) error {
		_, err := io.Copy(part, reader{ctx, source})
		return err
	})
	return err
}

// A reader reads until its context ends.
type reader struct {
	ctx context.Context
	io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// openBackup opens a file that looks like a backup. SQLite is not asked yet: it
// might write to the file, or beside it.
func openBackup(file string) (*os.File, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	if err := looksLikeBackup(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func looksLikeBackup(f *os.File) error {
	// See https://sqlite.org/fileformat.html, section 1.3.
	header := make([]byte, 100)
	n, err := f.ReadAt(header, 0)
	switch {
	case err != nil && err != io.EOF:
		return err
	case n < len(header) || string(header[:16]) != "SQLite format 3\x00" || binary.BigEndian.Uint32(header[68:]) != applicationID:
		return errors.New("the file is no backup of a Parley database")
	}
	if wal, err := os.Stat(f.Name() + "-wal"); err == nil && wal.Size() > 0 {
		return errors.New("the file is a database in use and not all of it is in the file; make a backup of it first")
	}
	return nil
}

// publish has write fill a new file, checks that it is a database of Parley, and
// lets it have its name when it is complete and on disk. It returns its size.
func publish(name string, write func(part *os.File) error) (size int64, err error) {
	name, err = filepath.Abs(name)
	if err != nil {
		return 0, err
	}
	if _, err := os.Lstat(name); err == nil {
		return 0, fmt.Errorf("%s %w", name, fs.ErrExist)
	}
	part, err := os.OpenFile(name+".part", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return 0, fmt.Errorf("%s.part %w: another one is being written, or was interrupted; delete it unless one is", name, fs.ErrExist)
	} else if err != nil {
		return 0, err
	}
	defer func() {
		part.Close()
		if err != nil {
			os.Remove(part.Name())
		}
	}()
	if err := write(part); err != nil {
		return 0, err
	}
	if err := part.Sync(); err != nil {
		return 0, err
	}
	info, err := part.Stat()
	if err != nil {
		return 0, err
	}
	// Closed before SQLite opens it: closing takes SQLite's locks off a file.
	if err := part.Close(); err != nil {
		return 0, err
	}
	if err := checkCopy(part.Name()); err != nil {
		return 0, fmt.Errorf("check the copy: %w", err)
	}
	return info.Size(), rename(part.Name(), name)
}

// checkCopy checks that a file is a whole database of Parley.
func checkCopy(path string) error {
	c, err := openConn(path, "rw", 0)
	if err != nil {
		return err
	}
	version, err := c.version()
	if err == nil && version == 0 {
		err = errors.New("it is empty")
	}
	if err == nil {
		err = c.query("PRAGMA quick_check(1)", func(row []driver.Value) error {
			if row[0] != "ok" {
				return fmt.Errorf("it is damaged: %v", row[0])
			}
			return nil
		})
	}
	return errors.Join(err, c.close())
}

// rename gives a file its name durably, and replaces nothing.
func rename(from, to string) error {
	err := os.Link(from, to) // unlike a rename, it fails where there is a file
	switch {
	case err == nil:
		err = os.Remove(from)
	case !errors.Is(err, fs.ErrExist): // a file system without links
		err = os.Rename(from, to)
	}
	if err != nil {
		return err
	}
	if runtime.GOOS == "windows" { // it has no sync of directories
		return nil
	}
	dir, err := os.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
