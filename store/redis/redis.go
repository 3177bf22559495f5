// Package redis keeps chats in Redis, or in a server that speaks its language
// such as Valkey: a [parley.SharedStore] for any number of nodes.
//
//	store, err := redis.Open(ctx, redis.Config{URL: "redis://user:password@localhost:6379/0"})
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer store.Close()
//	chat, err := parley.New(parley.Config{Bot: bot, Store: store})
//
// # Addresses
//
//	redis://[user:password@]host[:6379][/database]
//	redis+cluster://[user:password@]host[:6379][,host[:6379]…]
//	redis+sentinel://[user:password@]host[:26379][,host[:26379]…]/master[/database]
//
// The first is one server, the second a Redis Cluster, of which any few nodes
// are enough, and the third a server that Sentinels watch, by the name that they
// know it by. With rediss, rediss+cluster and rediss+sentinel every connection
// is TLS. A user or password with other characters than letters and digits is
// percent-encoded. After a question mark may follow
//
//	prefix=parley           what every key begins with, so that several chats can share a server
//	sentinel_password=…     where the Sentinels themselves ask for one
//
// # What is acknowledged
//
// A turn is acknowledged once Redis has taken it. Whether it is on disk by then
// is up to Redis's own configuration:
//
//	appendonly yes
//	appendfsync always
//	maxmemory-policy noeviction
//
// With these, what is acknowledged survives a crash and a power cut of the
// server. Redis's own defaults are weaker: without the append-only file a crash
// loses everything since the last snapshot, and with appendfsync everysec a
// second or two. With a maxmemory-policy that
// begins with allkeys Redis deletes conversations when its memory is full; with
// noeviction it refuses new ones. [Store.Warnings]
// says what is weaker, and with [Config.Strict] Open refuses it. Both look once,
// at Open, at the servers that are in charge then.
//
// One thing no setting here changes: Redis replicates without waiting. Where a
// replica takes over from a primary that is lost, in a cluster or by a Sentinel,
// it may not have what was acknowledged in the moments before, synced or not.
//
// # Keys
//
// Sessions are spread over 64 buckets. All keys of a bucket have one hash tag,
// such as {parley:07}, and each script stays within a bucket, so that everything
// works in a cluster. No key but those of limits expires: old turns are deleted
// by Sweep alone, and leave the append-only file when Redis rewrites that. A user of its own for a chat with the prefix parley
// is made by
//
//	ACL SETUSER chat on >PASSWORD ~{parley* ~parley:* &parley:notes +@all -@admin -@dangerous +info +config|get
//
// where INFO and CONFIG GET are for telling what is durable.
package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/notes"
)

// Config says how to open a [Store].
type Config struct {
	// URL is where Redis is; see the package's comment.
	URL string

	// TLS is used where the URL asks for TLS; nil verifies the server by its host
	// name and the system's certificates.
	TLS *tls.Config

	// Strict has Open refuse servers that may lose what they acknowledged, or
	// that do not say whether they do.
	Strict bool

	// Logger is told what the store copes with by itself; nil is [slog.Default].
	Logger *slog.Logger
}

// Store is a [parley.SharedStore] and a [parley.Archive] in Redis. Its methods
// are safe for concurrent use.
type Store struct {
	db       redis.UniversalClient
	where    string // for errors; without the password
	prefix   string
	log      *slog.Logger
	warnings []string

	hub        notes.Hub
	takingBack chan struct{} // holds one for each turn that is being taken back
	background sync.WaitGroup
	life       context.Context // ends when the store is closed
	end        context.CancelFunc

	calls  sync.RWMutex // held for reading by every call
	closed bool
}

var (
	_ parley.SharedStore = (*Store)(nil)
	_ parley.Archive     = (*Store)(nil)
)

// buckets is how many parts of a cluster the sessions are spread over, at most.
// It is part of how things are stored.
const buckets = 64

// version is how things are stored.
const version = "1"

// Open connects to Redis. Where that is away, the error is a [parley.Error] with
// [parley.CodeUnavailable], and trying again later can help; a wrong address,
// password or database is an error that says what to change. No error has the
// password in it.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	a, err := parseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	s := &Store{db: a.client(cfg.TLS), where: a.where(), prefix: a.prefix, log: cfg.Logger, takingBack: make(chan struct{}, mostTakenBack)}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.life, s.end = context.WithCancel(context.Background())
	if err := s.open(ctx, cfg.Strict); err != nil {
		if a.scheme == sentinel && errors.Is(err, redis.Nil) {
			err = fmt.Errorf("the Sentinels do not know %q; write the name that their configuration has behind \"sentinel monitor\"", a.master)
		}
		return nil, s.wrap("open", errors.Join(err, s.release()))
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, strict bool) error {
	if err := s.checkPromises(ctx, strict); err != nil {
		return err
	}
	key := s.global("version")
	if err := s.db.SetNX(ctx, key, version, 0).Err(); err != nil {
		return err
	}
	found, err := s.db.Get(ctx, key).Result()
	if err != nil {
		return err
	}
	if found != version {
		return fmt.Errorf("the key %s is %.20q, and this Parley knows %q; use the Parley that wrote it, or another prefix", key, found, version)
	}
	return s.subscribe(ctx)
}

// Warnings says in plain words where the servers promise less than that what is
// acknowledged is durable, and what to change. It is what was found at Open.
func (s *Store) Warnings() []string { return s.warnings }

// enter begins a call, or says why it cannot be. The caller must leave.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.calls.RLock()
	if s.closed {
		s.calls.RUnlock()
		return s.wrap("call", errors.New("the store is closed"))
	}
	return nil
}

func (s *Store) leave() { s.calls.RUnlock() }

// Close implements [parley.Store].
func (s *Store) Close() error {
	s.calls.Lock()
	defer s.calls.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.wrap("close", s.release())
}

func (s *Store) release() error {
	s.end()
	s.background.Wait()
	return s.db.Close()
}

// global names a key that there is once. All of them are in one slot of a
// cluster, so that a script can use several.
func (s *Store) global(name string) string { return "{" + s.prefix + "}:" + name }

// bucketOf returns the bucket of a session.
func bucketOf(session string) int { return int(crc32.ChecksumIEEE([]byte(session)) % buckets) }

// bucket names a key of a bucket.
func (s *Store) bucket(n int, name string) string {
	return fmt.Sprintf("{%s:%02d}:%s", s.prefix, n, name)
}

// micros is how times are stored.
func micros(t time.Time) int64 { return t.UnixMicro() }

func fromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }
