// Package nodes proves that several nodes on one database are one chat: whatever
// dies or is cut off, nothing that was acknowledged is lost, doubled or
// reordered, each turn is answered once, a visitor can go on at any node, and
// limits count together.
package nodes_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/dbtest"
	"github.com/parley-chat/parley/proof/server"
	"github.com/parley-chat/parley/store/mongo"
	"github.com/parley-chat/parley/store/postgres"
	"github.com/parley-chat/parley/store/redis"
)

var killsFlag = flag.Int("kills", 10, "how many times a node or the database is killed, for each kind of database")

// programs is where programs are built, once for all tests.
var programs string

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "nodes")
	if err != nil {
		panic(err)
	}
	programs = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

var building sync.Mutex

// build compiles a command, unless it did before.
func build(t *testing.T, name string, edits ...server.Edit) string {
	t.Helper()
	building.Lock()
	defer building.Unlock()
	dir := filepath.Join(programs, name)
	program := filepath.Join(dir, "parley")
	if _, err := os.Stat(program); err == nil {
		return program
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return server.BuildIn(t, dir, "../../cmd/parley", edits...)
}

// sound is the server as it is.
func sound(t *testing.T) string { return build(t, "sound") }

// short returns n, or few where the test is short.
func short[N int | time.Duration](n, few N) N {
	if testing.Short() {
		return few
	}
	return n
}

var quiet = slog.New(slog.DiscardHandler)

// A database is a server, and a place on it that is empty at first.
type database struct {
	*dbtest.Server
	url  string
	open func(ctx context.Context, url string) (parley.Archive, error)
	// connections returns how many connections chats have, of which each may have
	// so many at most.
	connections     func(t *testing.T) int
	mostConnections int
}

// A kind is a kind of database.
type kind struct {
	name  string
	start func(t *testing.T) *database
}

var kinds = []kind{
	{"PostgreSQL", startPostgres},
	{"Redis", func(t *testing.T) *database { return startRedis(t, "--appendonly", "yes", "--appendfsync", "always") }},
}

func startPostgres(t *testing.T) *database {
	s := dbtest.Postgres(t, dbtest.Durable)
	address := s.URL(t)
	return &database{
		Server: s,
		url:    address,
		open: func(ctx context.Context, url string) (parley.Archive, error) {
			return opened(postgres.Open(ctx, postgres.Config{URL: url, Logger: quiet}))
		},
		connections: func(t *testing.T) int {
			t.Helper()
			conn, err := pgx.Connect(t.Context(), address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(t.Context())
			var n int
			if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'parley'`).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		},
		mostConnections: max(8, 4*runtime.GOMAXPROCS(0)) + 1,
	}
}

func startRedis(t *testing.T, args ...string) *database {
	s := dbtest.Redis(t, args...)
	return &database{
		Server: s.Server,
		url:    s.URL(t),
		open: func(ctx context.Context, url string) (parley.Archive, error) {
			return opened(redis.Open(ctx, redis.Config{URL: url, Logger: quiet}))
		},
		connections: func(*testing.T) int {
			return strings.Count(s.CLI("client", "list"), "id=") - 1 // this one
		},
		mostConnections: 64 + 1,
	}
}

func startMongo(t *testing.T) *database {
	s := dbtest.Mongo(t)
	return &database{
		Server: s,
		url:    s.URL(t),
		open: func(ctx context.Context, url string) (parley.Archive, error) {
			return opened(mongo.Open(ctx, mongo.Config{URL: url, Logger: quiet}))
		},
	}
}

// opened keeps an error from making a store of a nil pointer.
func opened[S parley.Archive](store S, err error) (parley.Archive, error) {
	if err != nil {
		return nil, err
	}
	return store, nil
}

// onEach runs a proof on every kind of database, side by side.
func onEach(t *testing.T, proof func(t *testing.T, db *database)) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			proof(t, k.start(t))
		})
	}
}

// store opens the database as one more node would.
func (db *database) store(t *testing.T) parley.Archive {
	t.Helper()
	store, err := db.open(t.Context(), db.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// records returns what the database holds: the finished turns of each session
// together, in ascending order.
func (db *database) records(t *testing.T) []parley.Record {
	t.Helper()
	store := db.store(t)
	var all []parley.Record
	for after := ""; ; {
		records, next, err := store.Records(t.Context(), after, 500)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, records...)
		if next == "" {
			break
		}
		after = next
	}
	slices.SortFunc(all, func(a, b parley.Record) int {
		if c := strings.Compare(a.Session, b.Session); c != 0 {
			return c
		}
		return a.Seq - b.Seq
	})
	// A record may come more than once.
	return slices.CompactFunc(all, func(a, b parley.Record) bool { return a.Session == b.Session && a.Seq == b.Seq })
}

// A node is one of the servers. It keeps its address when it is started again.
type node struct {
	*server.Server
	program  string
	settings server.Settings
	link     *link // to the database; nil where it is reached directly
}

func (n *node) start() error {
	s, err := server.StartWith(n.program, n.settings)
	if err != nil {
		return err
	}
	n.Server = s
	u, err := url.Parse(s.URL)
	n.settings["PORT"] = u.Port()
	return err
}

// A scene is three nodes on one database, which ask one model.
type scene struct {
	*testing.T
	db    *database
	model *model
	nodes []*node
}

const nodes = 3

// Ways for nodes to reach the database.
const (
	direct = false
	linked = true // each has a link that can be disturbed
)

// open starts three nodes of a program at once, on an empty database.
func open(t *testing.T, db *database, program string, throughLinks bool, settings server.Settings) *scene {
	t.Helper()
	s := &scene{T: t, db: db, model: newModel(t)}
	for range nodes {
		n := &node{program: program, settings: server.Settings{
			"DATABASE_URL": db.url, "OPENAI_BASE_URL": s.model.url, "BOTS": "openai", "ACCESS_LOG": "false", "SESSION_BINDING": "off",
		}}
		for name, value := range settings {
			n.settings[name] = value
		}
		if throughLinks {
			n.link = newLink(t, db.url)
			n.settings["DATABASE_URL"] = n.link.url
		}
		s.nodes = append(s.nodes, n)
		if err := n.start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Kill() })
	}
	for _, n := range s.nodes {
		if _, err := n.WaitReady(); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *scene) urls() []string {
	var urls []string
	for _, n := range s.nodes {
		urls = append(urls, n.URL)
	}
	return urls
}

// logs returns the ends of the nodes' logs.
func (s *scene) logs() string {
	var logs strings.Builder
	for i, n := range s.nodes {
		log := n.Log()
		fmt.Fprintf(&logs, "node %d:\n%s\n", i+1, log[max(0, len(log)-3000):])
	}
	return logs.String()
}

// get returns the status of a GET, or 0 where there is no answer.
func (n *node) get(path string) int {
	client := http.Client{Timeout: 5 * time.Second}
	answer, err := client.Get(n.URL + path)
	if err != nil {
		return 0
	}
	answer.Body.Close()
	return answer.StatusCode
}
