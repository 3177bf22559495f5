// Package mongo keeps chats in MongoDB: a [parley.SharedStore] for any number of
// nodes, and a [parley.Archive].
//
//	store, err := mongo.Open(ctx, mongo.Config{URL: "mongodb://localhost:27017/chatwidget"})
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer store.Close()
//	chat, err := parley.New(parley.Config{Bot: bot, Store: store})
//
// A replica set, a sharded cluster and a single server will do, of MongoDB 4.4
// or newer. Transactions and change streams are not needed: every change is one
// change of one document, which MongoDB makes in one step.
//
// What a chat says is written with {w: "majority", j: true} and read with read
// concern "majority", from the primary: what anybody has seen once stays,
// whichever server fails. Limits and notes, which may be lost, are not waited
// for like that. What the URL says of write concern, read concern and read
// preference does not count.
//
// A turn costs two commands to begin, one to read and one to insert, and one to
// finish; a message with an idempotency key, in a session that has more turns,
// one more. The role readWrite on the database is enough. [Open] makes the
// collections turns, submissions, secrets, windows, notes and counters, and
// their indexes.
package mongo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/notes"
)

// Config says where the database is.
type Config struct {
	// URL is mongodb://user:password@host/database or mongodb+srv://…, with the
	// options of https://www.mongodb.com/docs/manual/reference/connection-string/.
	// Without a database it is "parley".
	URL string
	// Retention is how long turns are kept. [Store.Sweep] deletes them then; should
	// nobody sweep, the server deletes them one hour later by itself, by a TTL
	// index. It looks at nothing but when a turn began, so the hour is for turns
	// that run. Zero leaves it all to Sweep, as does a server without such indexes.
	Retention time.Duration
	// ReadOnly has Open change nothing: no collections, and no indexes, so that
	// Retention does not count. A database without anything is empty then. Methods
	// that write are not refused.
	ReadOnly bool
	// Logger is told what no caller can be told. Nil is [slog.Default].
	Logger *slog.Logger
}

// Store is a [parley.SharedStore] in a MongoDB database. Its methods are safe
// for concurrent use.
type Store struct {
	client *driver.Client
	log    *slog.Logger
	clock  clock

	turns, submissions, secrets *driver.Collection
	windows, notes, counters    *driver.Collection

	sessions   *gates // of Begin
	submitting gate

	hub       notes.Hub
	listening listening

	calls  sync.RWMutex // held for reading by every call
	closed bool
}

var (
	_ parley.SharedStore = (*Store)(nil)
	_ parley.Archive     = (*Store)(nil)
)

const (
	// selectionTimeout is how long a call waits for a server that can take it.
	selectionTimeout = 2 * time.Second
	// callTimeout bounds each call, for a server that takes it and says nothing.
	callTimeout = 10 * time.Second
)

// Open connects to a database and makes the indexes that are missing; see
// [Config.ReadOnly]. A server that cannot be reached is a [parley.Error] with
// [parley.CodeUnavailable]: try again. No error holds the password.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	return open(ctx, cfg, options.Client())
}

func open(ctx context.Context, cfg Config, opts *options.ClientOptions) (*Store, error) {
	name, err := databaseName(cfg.URL)
	if err != nil {
		return nil, wrap("open", err)
	}
	opts = opts.SetAppName("parley").SetServerSelectionTimeout(selectionTimeout).SetConnectTimeout(selectionTimeout)
	client, err := driver.Connect(opts.ApplyURI(cfg.URL))
	if err != nil {
		return nil, wrap("open", withoutSecret(err, cfg.URL))
	}
	s := newStore(client, name, cmp.Or(cfg.Logger, slog.Default()))
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err = s.clock.set(ctx, client)
	if err == nil && !cfg.ReadOnly {
		err = s.ensureIndexes(ctx, cfg.Retention)
	}
	if err != nil {
		return nil, wrap("open", errors.Join(withoutSecret(err, cfg.URL), s.disconnect()))
	}
	return s, nil
}

// databaseName returns the name in the path of a URL. Several hosts make it one
// that net/url does not read.
func databaseName(u string) (string, error) {
	scheme, rest, ok := strings.Cut(u, "://")
	if !ok || scheme != "mongodb" && scheme != "mongodb+srv" {
		return "", errors.New("the URL is none of a MongoDB; write mongodb://host:27017/database or mongodb+srv://host/database")
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	path, query, _ := strings.Cut(rest[end:], "?")
	// An @ in the options is one of theirs where there is one before the hosts.
	named := strings.HasPrefix(path, "/") && strings.Contains(rest[:end], "@")
	if strings.Contains(path, "@") || strings.Contains(query, "@") && !named {
		return "", errors.New("the URL has a / ? or # before an @; in the user name and the password write them as %2F %3F and %23, and an @ behind the hosts as %40")
	}
	name, err := url.PathUnescape(strings.TrimPrefix(path, "/"))
	if err != nil {
		return "", errors.New("the name of the database cannot be read; write a percent sign as %25")
	}
	return cmp.Or(name, "parley"), nil
}

func newStore(client *driver.Client, database string, log *slog.Logger) *Store {
	journal := true
	lasting := client.Database(database, options.Database().
		SetWriteConcern(&writeconcern.WriteConcern{W: writeconcern.WCMajority, Journal: &journal}).
		SetReadConcern(readconcern.Majority()).
		SetReadPreference(readpref.Primary()))
	passing := client.Database(database, options.Database().
		SetWriteConcern(writeconcern.W1()).
		SetReadConcern(readconcern.Local()).
		SetReadPreference(readpref.Primary()))
	s := &Store{
		client: client,
		log:    log,

		turns:       lasting.Collection("turns"),
		submissions: lasting.Collection("submissions"),
		secrets:     lasting.Collection("secrets"),
		windows:     passing.Collection("windows"),
		notes:       passing.Collection("notes"),
		counters:    passing.Collection("counters"),

		sessions:   newGates(),
		submitting: newGate(),
	}
	s.listening.init()
	return s
}

// Close implements [parley.Store].
func (s *Store) Close() error {
	s.calls.Lock()
	defer s.calls.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.listening.end()
	return wrap("close", s.disconnect())
}

func (s *Store) disconnect() error {
	ctx, cancel := context.WithTimeout(context.Background(), selectionTimeout)
	defer cancel()
	return s.client.Disconnect(ctx)
}

// enter begins a call, or says why it cannot be. The context that it returns
// ends with callTimeout, and leave ends the call.
func (s *Store) enter(ctx context.Context) (_ context.Context, leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	s.calls.RLock()
	if s.closed {
		s.calls.RUnlock()
		return nil, nil, errors.New("mongo: the store is closed")
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	return undated{ctx}, func() {
		cancel()
		s.calls.RUnlock()
	}, nil
}

// undated is a context that does not say when it will end. Told so, the driver
// would guess how long an answer takes, and give up without asking.
type undated struct{ context.Context }

// Deadline implements [context.Context].
func (undated) Deadline() (time.Time, bool) { return time.Time{}, false }

// all reads what a query finds.
func all[T any](ctx context.Context, c *driver.Collection, filter bson.D, opts *options.FindOptionsBuilder) ([]T, error) {
	cursor, err := c.Find(ctx, filter, opts)
	if err != nil {
		return nil, err
	}
	var found []T
	if err := cursor.All(ctx, &found); err != nil {
		return nil, fmt.Errorf("read %s: %w", c.Name(), err)
	}
	return found, nil
}
