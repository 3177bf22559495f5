// Package disk is a disk whose power can be cut and that can fail on demand: a
// filesystem in memory, mounted through FUSE, for one program under test.
//
// What is modelled. The disk keeps everything twice: as programs see it, and as
// it would be found after a power cut. Writes and truncations change the first;
// only a sync of the file carries them over to the second. A name that was
// created or removed is carried over only by a sync of the directory. A power
// cut drops all that was not carried over, or keeps a random part of it, sector
// by sector: pages are torn, and writes happen in an order of their own. A sync
// that fails carries nothing over and will not try again, as on Linux, where
// the pages count as clean from then on.
//
// What is not. There is one flat directory and no rename, which is all that
// SQLite needs. A sync that succeeded tells the truth: a drive whose firmware
// lies, or whose sectors rot, is not modelled.
package disk

import (
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// sector is the size of what is written as a whole or not at all.
const sector = 512

// A Disk is an empty disk at first. Its methods are safe for concurrent use.
type Disk struct {
	mu    sync.Mutex
	files uint64           // how many were ever created
	seen  map[string]*file // the directory as programs see it
	safe  map[string]*file // the directory as of its last sync
	fault Fault
}

// An Op is an operation that a [Fault] can let fail.
type Op int

// The operations.
const (
	Write Op = iota // of a file's content, its truncation, its creation or its removal
	Sync            // of a file or, with an empty name, of the directory
)

// A Fault is asked before each operation, and returns the error with which it
// fails, or 0. It is called by one goroutine at a time.
type Fault func(op Op, name string) syscall.Errno

// New returns an empty disk.
func New() *Disk {
	return &Disk{seen: map[string]*file{}, safe: map[string]*file{}}
}

// SetFault has f asked from now on. Nil lets every operation succeed.
func (d *Disk) SetFault(f Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = f
}

// Cut cuts the power: what was not synced is gone, but for each sector and each
// name with the probability keep. The disk must not be mounted.
func (d *Disk) Cut(keep float64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	lucky := func() bool { return rand.Float64() < keep }
	for name, f := range d.seen {
		if d.safe[name] != f && lucky() {
			d.safe[name] = f
		}
	}
	for name := range d.safe {
		if d.seen[name] == nil && lucky() {
			delete(d.safe, name)
		}
	}
	for _, f := range d.safe {
		f.cut(lucky)
	}
	d.seen = maps.Clone(d.safe)
}

// Export copies the files as programs see them into a directory elsewhere, all
// as of one moment.
func (d *Disk) Export(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, f := range d.seen {
		if err := os.WriteFile(filepath.Join(dir, name), f.seen, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// fail asks the fault. The caller holds the lock.
func (d *Disk) fail(op Op, name string) syscall.Errno {
	if d.fault == nil {
		return 0
	}
	return d.fault(op, name)
}

// A file is content, under a name or not. It is guarded by its disk's lock.
type file struct {
	id    uint64
	name  string       // the one that it was created with
	seen  []byte       // as programs see it
	safe  []byte       // as of its last sync
	dirty map[int]bool // the sectors in which the two may differ
}

func (f *file) write(data []byte, off int) {
	if end := off + len(data); end > len(f.seen) {
		f.resize(end)
	}
	copy(f.seen[off:], data)
	f.touch(off, off+len(data))
}

func (f *file) resize(size int) {
	f.touch(min(size, len(f.seen)), max(size, len(f.seen)))
	f.seen = resized(f.seen, size)
}

// touch marks the sectors of a range as dirty.
func (f *file) touch(from, to int) {
	for s := from / sector; s*sector < to; s++ {
		f.dirty[s] = true
	}
}

// sync carries all that is seen over to what is safe.
func (f *file) sync() {
	f.safe = resized(f.safe, len(f.seen))
	for s := range f.dirty {
		f.carry(s)
	}
	clear(f.dirty)
}

// cut loses what is dirty and not lucky.
func (f *file) cut(lucky func() bool) {
	for s := range f.dirty {
		if end := min((s+1)*sector, len(f.seen)); s*sector < end && lucky() {
			f.safe = resized(f.safe, max(end, len(f.safe)))
			f.carry(s)
		}
	}
	if len(f.seen) < len(f.safe) && lucky() {
		f.safe = f.safe[:len(f.seen)]
	}
	f.seen = append([]byte(nil), f.safe...)
	clear(f.dirty)
}

// carry copies one sector, as far as both have it.
func (f *file) carry(s int) {
	if from := s * sector; from < min(len(f.seen), len(f.safe)) {
		copy(f.safe[from:], f.seen[from:min(from+sector, len(f.seen))])
	}
}

// resized returns b cut to size, or with zeros up to size.
func resized(b []byte, size int) []byte {
	if size <= len(b) {
		return b[:size]
	}
	return append(b, make([]byte, size-len(b))...)
}
