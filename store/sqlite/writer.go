package sqlite

import (
	"context"
	"errors"
	"os"
	"runtime"
	"time"

	sqlite3 "modernc.org/sqlite/lib"
)

// A writer makes every change to the database, from one goroutine. It takes
// all changes that wait and commits them in one transaction, so that they share
// one sync: the more there is to do, the less each costs, and nobody waits for
// company when there is nothing else to do.
type writer struct {
	path    string
	file    os.FileInfo // what was there when it was opened
	conn    *conn
	queue   chan *change
	stopped chan struct{} // closed when the last change is done

	broken chan struct{} // closed when err is set
	err    error         // why nothing that was written can be trusted to last
	reason chan error    // receives it too, for Store.Broken

	pending  int  // bytes written since the last checkpoint, about
	truncate bool // a checkpoint is to leave nothing in the write-ahead log
}

// A change is one write, and whoever waits for it.
type change struct {
	// write makes the change, within a transaction that may be rolled back and
	// begun again. It changes something with one statement at most, which leaves
	// nothing behind when it fails. Nil for none.
	write func(*conn) error
	// ended is told how it went before those who wait are. Nil for nobody.
	ended func(error)
	// size is what it writes, in bytes, about.
	size int
	// truncate asks that what was deleted leaves the write-ahead log too.
	truncate bool

	done chan struct{} // closed when it is over and err is set
	err  error
}

func newChange(size int, write func(*conn) error) *change {
	return &change{size: size, write: write, done: make(chan struct{})}
}

const (
	// maxGroup is the most changes that share a transaction.
	maxGroup = 256
	// checkpointEvery is how large the write-ahead log grows, in bytes and about,
	// before its pages are copied to the database. The longer it grows, the more
	// often a page in it has changed again meanwhile and is copied once for all,
	// but the longer turns wait while that is done.
	checkpointEvery = 32 << 20
	// pagesPerChange is what a change costs beside its size: it touches a page of
	// the table and one of an index.
	pagesPerChange = 2 * 4096
)

func newWriter(path string, file os.FileInfo, c *conn) *writer {
	w := &writer{
		path:    path,
		file:    file,
		conn:    c,
		queue:   make(chan *change, maxGroup),
		stopped: make(chan struct{}),
		broken:  make(chan struct{}),
		reason:  make(chan error, 1),
	}
	go w.run()
	return w
}

// do makes a change and waits until it is durable. When ctx ends first, the
// change may still happen.
func (w *writer) do(ctx context.Context, ch *change) error {
	w.send(ctx, ch)
	return ch.wait(ctx)
}

// send hands over a change, which ends with the error of ctx where that ends
// first.
func (w *writer) send(ctx context.Context, ch *change) {
	select {
	case w.queue <- ch:
	case <-ctx.Done():
		ch.end(ctx.Err())
	}
}

// end tells everybody how the change went.
func (ch *change) end(err error) {
	ch.err = err
	if ch.ended != nil {
		ch.ended(err)
	}
	close(ch.done)
}

// wait returns how the change ended.
func (ch *change) wait(ctx context.Context) error {
	select {
	case <-ch.done:
		return ch.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stop waits for the changes that are queued. No more may come.
func (w *writer) stop() {
	close(w.queue)
	<-w.stopped
}

// close empties the write-ahead log and closes the connection. The writer must
// have stopped.
func (w *writer) close() error {
	w.truncate = true
	w.checkpoint()
	if w.err != nil {
		return w.err
	}
	return w.conn.close()
}

func (w *writer) run() {
	defer close(w.stopped)
	group := make([]*change, 0, maxGroup)
	for first := range w.queue {
		// Let whoever can run do so, as far as handing over a change: where the
		// processors are busy, that makes groups of three times the size. Where
		// they are idle it returns at once.
		runtime.Gosched()
		group = w.gather(append(group[:0], first))
		w.commit(group)
		for _, ch := range group {
			ch.end(ch.err)
		}
		clear(group)
		if w.pending >= checkpointEvery && w.err == nil {
			w.checkpoint()
		}
	}
}

// gather adds what waits in the queue to a group.
func (w *writer) gather(group []*change) []*change {
	for len(group) < maxGroup {
		select {
		case next, ok := <-w.queue:
			if !ok {
				return group
			}
			group = append(group, next)
		default:
			return group
		}
	}
	return group
}

// commit makes the changes of a group and sets how each ended. When the group
// fails as a whole, each change gets a transaction of its own, so that neither
// one that cannot be made nor the first that a disk has no room for spoils
// another.
func (w *writer) commit(group []*change) {
	err := w.err
	if err == nil {
		err = w.transact(group)
	}
	if err == nil {
		return
	}
	if len(group) > 1 && w.err == nil && primary(err) != sqlite3.SQLITE_BUSY {
		for i := range group {
			w.commit(group[i : i+1])
		}
		return
	}
	for _, ch := range group {
		ch.err = err
	}
}

// transact makes the changes of a group in one transaction. It sets the err of
// changes that failed by themselves, and returns what failed for all.
func (w *writer) transact(group []*change) (err error) {
	if _, err := w.conn.exec("BEGIN IMMEDIATE"); err != nil {
		return w.judge(err)
	}
	defer func() {
		if err == nil {
			return
		}
		w.conn.exec("ROLLBACK") // fails where SQLite did it already
		if primary(err) == sqlite3.SQLITE_FULL {
			w.pending = checkpointEvery // after which the log's space is used again
		}
		err = w.judge(err)
	}()
	for _, ch := range group {
		if ch.write == nil {
			continue
		}
		ch.err = ch.write(w.conn)
		switch primary(ch.err) {
		case sqlite3.SQLITE_OK, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG:
			// The statement left nothing behind, so the transaction goes on.
		default:
			return ch.err
		}
		w.pending += ch.size + pagesPerChange
	}
	if _, err = w.conn.exec("COMMIT"); err == nil {
		err = w.inPlace()
	}
	for _, ch := range group {
		if ch.truncate && err == nil {
			w.truncate, w.pending = true, checkpointEvery
		}
	}
	return err
}

var errMoved = errors.New("the file was deleted, moved or replaced while it was in use")

// inPlace reports whether the file that was opened is the one at its path: what
// is written to another is found by nobody.
func (w *writer) inPlace() error {
	if file, err := os.Stat(w.path); err != nil || !os.SameFile(file, w.file) {
		return errMoved
	}
	return nil
}

// judge returns err. Where it means that what was written may not last, it
// ends all writing first: what a failed sync was to write can be lost although
// the next sync succeeds, so nothing may be acknowledged any more. See
// https://wiki.postgresql.org/wiki/Fsync_Errors.
func (w *writer) judge(err error) error {
	if breaks(err) && w.err == nil {
		w.err = err
		w.reason <- wrap(w.path, "write", err)
		close(w.broken)
	}
	return err
}

// checkpoint copies the pages of the write-ahead log to the database. SQLite
// would do so by itself, but tells nobody then when a sync failed.
func (w *writer) checkpoint() {
	w.pending = 0
	if !w.truncate {
		_, err := w.conn.number("PRAGMA wal_checkpoint(PASSIVE)")
		w.judge(err)
		return
	}
	// Only without readers can the log be emptied. It is tried again next time.
	w.conn.waitForLocks(100 * time.Millisecond)
	busy, err := w.conn.number("PRAGMA wal_checkpoint(TRUNCATE)")
	w.conn.waitForLocks(busyTimeout)
	w.truncate = w.judge(err) != nil || busy != 0
}
