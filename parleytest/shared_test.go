package parleytest_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/notes"
	"github.com/parley-chat/parley/middleware"
	"github.com/parley-chat/parley/store/sqlite"
)

// network is what the nodes of a test share: all in one process.
type network struct {
	store   *parley.Memory
	limiter *middleware.MemoryLimiter
	mu      sync.Mutex
	hub     notes.Hub
}

// node is one node of a network, with methods that can be replaced.
type node struct {
	altered
	*network
	take   func(ctx context.Context, key string, limit int, window time.Duration) (parley.Hit, error)
	notify func(topic string, note []byte) error
	closed bool
}

// cluster returns what places networks, whose nodes are changed by breaks.
func cluster(breaks func(*node)) func(t *testing.T) func() parley.Store {
	return func(*testing.T) func() parley.Store {
		net := &network{store: parley.NewMemory(), limiter: middleware.NewMemoryLimiter(0)}
		return func() parley.Store {
			n := &node{altered: *alter(net.store, func(*altered) {}).(*altered), network: net, take: net.limiter.Take}
			n.close = func() error { n.closed = true; return nil }
			n.notify = n.deliver
			if breaks != nil {
				breaks(n)
			}
			return n
		}
	}
}

func (n *node) Take(ctx context.Context, key string, limit int, window time.Duration) (parley.Hit, error) {
	if n.closed {
		return parley.Hit{}, context.Canceled
	}
	return n.take(ctx, key, limit, window)
}

func (n *node) Notify(_ context.Context, topic string, note []byte) error {
	if n.closed {
		return context.Canceled
	}
	return n.notify(topic, note)
}

func (n *node) deliver(topic string, note []byte) error {
	data, err := notes.Encode(topic, note)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.hub.Deliver(data)
}

func (n *node) Listen(topic string, hear func([]byte)) func() { return n.hub.Listen(topic, hear) }

type brokenPlace = struct {
	name string
	part string
	open func(t *testing.T) func() parley.Store
}

// alone is a node with turns of its own.
func alone(n *node) { n.altered = *alter(parley.NewMemory(), func(*altered) {}).(*altered) }

var brokenSharedStores = []brokenPlace{
	{"every node has its turns", "one message on several nodes", cluster(alone)},
	{"every node numbers its turns", "one session on several nodes", cluster(alone)},
	{"a node does not see what others begin", "a turn of another node", cluster(alone)},
	{"a node finishes what it lost", "a turn that another node took over", cluster(func(n *node) {
		n.finish = func(ctx context.Context, turn parley.Record, reply parley.Reply, at time.Time) error {
			if err := n.store.Finish(ctx, turn, reply, at); err == nil {
				return nil
			}
			has, err := n.store.Transcript(ctx, parley.Page{Session: turn.Session, From: turn.Seq, Limit: 1})
			if err != nil || len(has) == 0 {
				return err
			}
			return n.store.Finish(ctx, has[0], reply, at)
		}
	})},
	{"every node has its secrets", "one secret for all nodes", cluster(alone)},
	{"a number is seen late", "submissions are read in their order", cluster(func(n *node) {
		n.submissions = func(ctx context.Context, form string, after int64, limit int) ([]parley.Submission, error) {
			found, err := n.store.Submissions(ctx, form, after, limit)
			return slices.DeleteFunc(found, func(s parley.Submission) bool { return s.Seq%5 == 0 && time.Now().UnixNano()%3 > 0 }), err
		}
	})},
	{"counts what others swept", "sweeping on several nodes", cluster(func(n *node) {
		n.sweep = func(ctx context.Context, before time.Time, limit int) (int, error) {
			swept, err := n.store.Sweep(ctx, before, limit)
			return min(swept*2, limit+swept), err
		}
	})},
	{"every node counts by itself", "one limit for all nodes", cluster(func(n *node) { n.take = middleware.NewMemoryLimiter(0).Take })},
	{"counts and then looks", "one limit for all nodes", cluster(func(n *node) {
		n.take = func(ctx context.Context, key string, limit int, window time.Duration) (parley.Hit, error) {
			n.limiter.Take(ctx, key, limit, window)
			return n.limiter.Take(ctx, key, limit, window)
		}
	})},
	{"a window never ends", "a window ends", cluster(func(n *node) {
		n.take = func(ctx context.Context, key string, limit int, _ time.Duration) (parley.Hit, error) {
			return n.limiter.Take(ctx, key, limit, time.Hour)
		}
	})},
	{"changes what it carries", "notes reach every node", cluster(func(n *node) {
		n.notify = func(topic string, note []byte) error { return n.deliver(topic, []byte(fmt.Sprintf("%q", note))[1:]) }
	})},
	{"carries notes twice", "notes of several nodes", cluster(func(n *node) {
		n.notify = func(topic string, note []byte) error {
			n.deliver(topic, note)
			return n.deliver(topic, note)
		}
	})},
	{"speaks when it is closed", "a node leaves", cluster(func(n *node) { n.close = func() error { return nil } })},
}

// archive is a store in a file, with methods that can be replaced.
type archive struct {
	*sqlite.Store
	records func(ctx context.Context, after string, limit int) ([]parley.Record, string, error)
	restore func(ctx context.Context, records []parley.Record) error
	keep    func(ctx context.Context, name string, secret []byte) error
}

func archives(breaks func(*archive)) func(t *testing.T) func() parley.Store {
	return func(t *testing.T) func() parley.Store {
		path := filepath.Join(t.TempDir(), "parley.db")
		return func() parley.Store {
			store := open(t, path).(*sqlite.Store)
			a := &archive{Store: store, records: store.Records, restore: store.Restore, keep: store.RestoreSecret}
			if breaks != nil {
				breaks(a)
			}
			return a
		}
	}
}

func (a *archive) Records(ctx context.Context, after string, limit int) ([]parley.Record, string, error) {
	return a.records(ctx, after, limit)
}

func (a *archive) Restore(ctx context.Context, records []parley.Record) error {
	return a.restore(ctx, records)
}

func (a *archive) RestoreSecret(ctx context.Context, name string, secret []byte) error {
	return a.keep(ctx, name, secret)
}

// restoring is an archive that changes what it is given.
func restoring(change func(r *parley.Record)) func(*archive) {
	return func(a *archive) {
		a.restore = func(ctx context.Context, records []parley.Record) error {
			records = slices.Clone(records)
			for i := range records {
				change(&records[i])
			}
			return a.Store.Restore(ctx, records)
		}
	}
}

var brokenArchives = []brokenPlace{
	{"moves no times", "finished turns are moved", archives(restoring(func(r *parley.Record) { r.Began = r.Ended }))},
	{"moves no stretches", "what was moved goes on", archives(restoring(func(r *parley.Record) { r.First = r.Seq }))},
	{"moves everything again", "what is there stays", archives(func(a *archive) {
		a.restore = func(ctx context.Context, records []parley.Record) error {
			if _, err := a.Store.Sweep(ctx, time.Now().Add(time.Hour), 1000); err != nil {
				return err
			}
			return a.Store.Restore(ctx, records)
		}
	})},
	{"drops the end of a page", "pages of records", archives(func(a *archive) {
		a.records = func(ctx context.Context, after string, limit int) ([]parley.Record, string, error) {
			records, next, err := a.Store.Records(ctx, after, limit)
			if len(records) > 1 && next != "" {
				records = records[:len(records)-1]
			}
			return records, next, err
		}
	})},
	{"goes by how many there are", "records that come meanwhile", archives(func(a *archive) {
		a.records = func(ctx context.Context, after string, limit int) ([]parley.Record, string, error) {
			all, _, err := a.Store.Records(ctx, "", 1_000_000)
			skip := 0
			fmt.Sscan(after, &skip)
			skip = min(skip+skip/3, len(all))
			if skip+limit < len(all) {
				return all[skip : skip+limit], fmt.Sprint(skip + limit), err
			}
			return all[skip:], "", err
		}
	})},
	{"makes new secrets on the way", "secrets are moved", archives(func(a *archive) {
		a.keep = func(ctx context.Context, name string, _ []byte) error {
			secret := make([]byte, 32)
			rand.Read(secret)
			return a.Store.RestoreSecret(ctx, name, secret)
		}
	})},
}
