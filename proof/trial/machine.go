package trial

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/proof/disk"
	"github.com/parley-chat/parley/proof/server"
)

// A Machine is where a server runs, with a store that is empty at first.
type Machine interface {
	// Start starts the server.
	Start() (*server.Server, error)
	// Crash ends the server without a word. It may be started again.
	Crash(*server.Server) error
	// Records returns what the store holds: the records of each session
	// together, in ascending order. The server is idle or ended.
	Records() ([]parley.Record, error)
}

const database = "parley.db"

// Killed is a machine on which a crash is a SIGKILL: the operating system, and
// what it was told to write, survive.
type Killed struct {
	program string
	args    []string
	dir     string
}

// NewKilled returns a machine that runs a program.
func NewKilled(t testing.TB, program string, args ...string) *Killed {
	return &Killed{program, args, t.TempDir()}
}

// Start implements [Machine].
func (m *Killed) Start() (*server.Server, error) {
	return server.Start(m.program, filepath.Join(m.dir, database), m.args...)
}

// Crash implements [Machine].
func (m *Killed) Crash(s *server.Server) error {
	s.Kill()
	return nil
}

// Records implements [Machine].
func (m *Killed) Records() ([]parley.Record, error) {
	return readSQLite(filepath.Join(m.dir, database))
}

// Unplugged is a machine on which a crash is a power cut: what was not synced
// is gone, or some of it.
type Unplugged struct {
	Disk *disk.Disk
	Keep float64 // see [disk.Disk.Cut]

	program string
	args    []string
	mnt     string
	unmount func() error
}

// NewUnplugged returns a machine that runs a program on a disk of its own.
func NewUnplugged(t testing.TB, program string, args ...string) *Unplugged {
	m := &Unplugged{Disk: disk.New(), program: program, args: args, mnt: t.TempDir()}
	t.Cleanup(func() {
		if m.unmount != nil { // a trial went wrong
			m.unmount()
		}
	})
	return m
}

// Start implements [Machine].
func (m *Unplugged) Start() (*server.Server, error) {
	unmount, err := m.Disk.Mount(m.mnt)
	if err != nil {
		return nil, err
	}
	m.unmount = unmount
	s, err := server.Start(m.program, filepath.Join(m.mnt, database), m.args...)
	if err != nil {
		return nil, errors.Join(err, m.Crash(nil))
	}
	return s, nil
}

// Crash implements [Machine]. It takes a server that has ended, too.
func (m *Unplugged) Crash(s *server.Server) error {
	if s != nil {
		s.Kill()
	}
	if err := m.unmount(); err != nil {
		return err
	}
	m.unmount = nil
	m.Disk.Cut(m.Keep)
	return nil
}

// Records implements [Machine]. It reads a copy of the disk's files, all as of
// one moment, and leaves the disk as it is.
func (m *Unplugged) Records() ([]parley.Record, error) {
	dir, err := os.MkdirTemp("", "proof")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := m.Disk.Export(dir); err != nil {
		return nil, err
	}
	return readSQLite(filepath.Join(dir, database))
}
