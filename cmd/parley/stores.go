package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/cmd/parley/internal/config"
	"github.com/parley-chat/parley/store/mongo"
	"github.com/parley-chat/parley/store/postgres"
	"github.com/parley-chat/parley/store/redis"
	"github.com/parley-chat/parley/store/sqlite"
)

// A storeKind is a kind of store.
type storeKind struct {
	name    string   // as people call it
	schemes []string // of DATABASE_URL
	// open opens it for a server, and brings it up to date.
	open func(ctx context.Context, cfg *config.Config, log *slog.Logger) (parley.Store, error)
	// read opens it for reading beside a server. It is nil for a store that no
	// other process can see.
	read func(ctx context.Context, cfg *config.Config, log *slog.Logger) (parley.Store, error)
	// migrations returns what open would change, and changes it where apply says
	// so. It is nil for a store that has no schema.
	migrations func(ctx context.Context, cfg *config.Config, log *slog.Logger, apply bool) ([]string, error)
}

func memoryStore() storeKind {
	return storeKind{
		name:    "memory",
		schemes: []string{"memory"},
		open: func(context.Context, *config.Config, *slog.Logger) (parley.Store, error) {
			return parley.NewMemory(), nil
		},
	}
}

func sqliteStore() storeKind {
	path := func(cfg *config.Config) string {
		_, path := cfg.Database()
		return path
	}
	return storeKind{
		name:    "SQLite",
		schemes: []string{"sqlite"},
		open: func(_ context.Context, cfg *config.Config, _ *slog.Logger) (parley.Store, error) {
			return asStore(sqlite.Open(path(cfg)))
		},
		read: func(_ context.Context, cfg *config.Config, _ *slog.Logger) (parley.Store, error) {
			return asStore(sqlite.OpenReadOnly(path(cfg)))
		},
		migrations: func(_ context.Context, cfg *config.Config, _ *slog.Logger, apply bool) ([]string, error) {
			if apply {
				return sqlite.Migrate(path(cfg))
			}
			return sqlite.Pending(path(cfg))
		},
	}
}

func postgresStore() storeKind {
	settings := func(cfg *config.Config, log *slog.Logger) postgres.Config {
		return postgres.Config{URL: string(cfg.DatabaseURL), Strict: cfg.Durability == "strict", Logger: log}
	}
	return storeKind{
		name:    "PostgreSQL",
		schemes: []string{"postgres", "postgresql"},
		open: func(ctx context.Context, cfg *config.Config, log *slog.Logger) (parley.Store, error) {
			return asStore(postgres.Open(ctx, settings(cfg, log)))
		},
		read: func(ctx context.Context, cfg *config.Config, log *slog.Logger) (parley.Store, error) {
			reading := settings(cfg, log)
			reading.ReadOnly = true
			return asStore(postgres.Open(ctx, reading))
		},
		migrations: func(ctx context.Context, cfg *config.Config, log *slog.Logger, apply bool) ([]string, error) {
			if apply {
				return postgres.Migrate(ctx, settings(cfg, log))
			}
			return postgres.Pending(ctx, settings(cfg, log))
		},
	}
}

func mongoStore() storeKind {
	return storeKind{
		name:    "MongoDB",
		schemes: []string{"mongodb", "mongodb+srv"},
		open: func(ctx context.Context, cfg *config.Config, log *slog.Logger) (parley.Store, error) {
			return asStore(mongo.Open(ctx, mongo.Config{URL: string(cfg.DatabaseURL), Retention: cfg.Retention, Logger: log}))
		},
		read: func(ctx context.Context, cfg *config.Config, log *slog.Logger) (parley.Store, error) {
			return asStore(mongo.Open(ctx, mongo.Config{URL: string(cfg.DatabaseURL), ReadOnly: true, Logger: log}))
		},
	}
}

func redisStore() storeKind {
	open := func(ctx context.Context, cfg *config.Config, log *slog.Logger) (parley.Store, error) {
		redis.LogTo(log)
		return asStore(redis.Open(ctx, redis.Config{URL: string(cfg.DatabaseURL), Strict: cfg.Durability == "strict", Logger: log}))
	}
	return storeKind{
		name:    "Redis",
		schemes: []string{"redis", "rediss", "redis+cluster", "rediss+cluster", "redis+sentinel", "rediss+sentinel"},
		open:    open,
		read:    open, // which changes nothing
	}
}

// asStore keeps an error from making a store of a nil pointer.
func asStore[S parley.Store](store S, err error) (parley.Store, error) {
	if err != nil {
		return nil, err
	}
	return store, nil
}

// storeSchemes returns what DATABASE_URL can begin with.
func storeSchemes() [][]string {
	var schemes [][]string
	for _, kind := range stores {
		schemes = append(schemes, kind.schemes)
	}
	return schemes
}

// kindOfStore returns the kind that DATABASE_URL names, which was checked before.
func kindOfStore(cfg *config.Config) storeKind {
	scheme, _ := cfg.Database()
	i := slices.IndexFunc(stores, func(kind storeKind) bool { return slices.Contains(kind.schemes, scheme) })
	return stores[i]
}

// openStore opens the configured store for a server, and says what about it is
// weaker than one may think.
func openStore(ctx context.Context, cfg *config.Config, log *slog.Logger) (parley.Store, error) {
	store, err := kindOfStore(cfg).open(ctx, cfg, log)
	if err != nil {
		return nil, err
	}
	if s, ok := store.(interface{ Warnings() []string }); ok {
		for _, warning := range s.Warnings() {
			log.Warn("the database keeps less than it should", "reason", warning)
		}
	}
	return store, nil
}

// readStore opens the configured store for reading.
func readStore(ctx context.Context, cfg *config.Config, log *slog.Logger) (parley.Store, error) {
	kind := kindOfStore(cfg)
	if kind.read == nil {
		return nil, config.Problems{{
			Where:  cfg.Origin("database_url"),
			Reason: fmt.Sprintf("what %s: keeps is inside the server and ends with it; name the database to read, such as sqlite:parley.db", kind.schemes[0]),
		}}
	}
	return kind.read(ctx, cfg, log)
}

// isAway reports whether an error of opening a store may pass by itself.
func isAway(err error) bool {
	var e *parley.Error
	return errors.As(err, &e) && e.Code == parley.CodeUnavailable
}

const (
	openPatience = 2 * time.Second // how long visitors wait for the store at the start before they are refused
	openEvery    = time.Second     // how often a store that is away is looked for
	tellEvery    = time.Minute     // how often that is said
)

// opened is what a server needs, or why there is none.
type opened struct {
	store   parley.Store
	chat    *parley.Chat
	handler http.Handler
	err     error
}

// openAll opens the store and makes the chat, as soon as the store is there.
func openAll(ctx context.Context, cfg *config.Config, log *slog.Logger) opened {
	var told time.Time
	for {
		o := openOnce(ctx, cfg, log)
		if !isAway(o.err) || ctx.Err() != nil {
			if o.err == nil && !told.IsZero() {
				log.Info("the database is there")
			}
			return o
		}
		if time.Since(told) >= tellEvery {
			log.Error("the database is away; messages are refused with 503 until it is there", "error", o.err)
			told = time.Now()
		}
		select {
		case <-ctx.Done():
		case <-time.After(openEvery):
		}
	}
}

func openOnce(ctx context.Context, cfg *config.Config, log *slog.Logger) opened {
	store, err := openStore(ctx, cfg, log)
	if err != nil {
		return opened{err: misplaced(cfg, "database_url", fmt.Errorf("cannot open the database that DATABASE_URL names: %w", err))}
	}
	chat, handler, err := wire(cfg, store, log)
	if err != nil {
		return opened{err: errors.Join(err, store.Close())}
	}
	return opened{store: store, chat: chat, handler: handler}
}

// awayStore stands in for a store that is away. The chat over it has all its
// routes, and refuses those that need a store before they do anything: a session
// token cannot be checked without the secret that signed it.
type awayStore struct{ parley.Store }

var errAway = &parley.Error{
	Code:    parley.CodeUnavailable,
	Message: "I'm experiencing technical difficulties. Please try again.",
	Err:     errors.New("the database is away"),
}

// refuse is middleware that answers every request with 503.
func (awayStore) refuse(http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { parley.WriteError(w, errAway) })
}

func (awayStore) Transcript(context.Context, parley.Page) ([]parley.Record, error) {
	return nil, errAway
}

func (awayStore) Sweep(context.Context, time.Time, int) (int, error) { return 0, nil }

// Secret returns one that nothing is signed with.
func (awayStore) Secret(context.Context, string) ([]byte, error) {
	secret := make([]byte, 32)
	rand.Read(secret) // never fails: see crypto/rand
	return secret, nil
}
