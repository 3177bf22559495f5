package dbtest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// mongoURL is the environment's variable for the URL of a MongoDB that is there
// already. Its path does not count: each test gets a database of its own.
const mongoURL = "PARLEY_TEST_MONGO_URL"

const mongo = "MongoDB"

// RealMongo reports whether tests run against a MongoDB, rather than FerretDB.
func RealMongo() bool { return os.Getenv(mongoURL) != "" }

// compileFerretDB is the environment variable with which make test asks for it.
const compileFerretDB = "PARLEY_TEST_FERRETDB"

// Mongo starts a server that speaks MongoDB's protocol and ends with the test:
// FerretDB, of tools/ferretdb, which is compiled once. It has no TTL indexes and
// no replica sets. Tests that need a server of their own are skipped where
// PARLEY_TEST_MONGO_URL names one that is there already.
func Mongo(t testing.TB) *Server {
	t.Helper()
	if RealMongo() {
		t.Skipf("SKIPPED: this stops its server, which the one at %s is not for", mongoURL)
	}
	s := newFerretDB(t)
	t.Cleanup(s.remove)
	s.Start()
	return s
}

// SharedMongo is Mongo for packages with [Main]: all tests of the package share
// one server. It is the one of PARLEY_TEST_MONGO_URL where that is set.
func SharedMongo(t testing.TB) *Server {
	t.Helper()
	if RealMongo() {
		address := os.Getenv(mongoURL)
		return &Server{name: mongo, url: func(t testing.TB) string {
			url := mongoDatabase(t, address)
			t.Cleanup(func() { dropMongoDatabase(t, url) })
			return url
		}}
	}
	return sharedServer(mongo, func() *Server { return newFerretDB(t) })
}

// mongoDatabase returns the URL of a new database on a server.
func mongoDatabase(t testing.TB, server string) string {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatalf("%s is no URL", mongoURL)
	}
	if u.User != nil && u.Query().Get("authSource") == "" { // which the path would be otherwise
		query := u.Query()
		query.Set("authSource", "admin")
		u.RawQuery = query.Encode()
	}
	u.Path = "/test_" + strings.ToLower(rand.Text())
	return u.String()
}

// dropMongoDatabase removes the database of a URL.
func dropMongoDatabase(t testing.TB, address string) {
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	client, err := driver.Connect(options.Client().ApplyURI(address))
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background() // the test's has ended
	defer client.Disconnect(ctx)
	if err := client.Database(strings.TrimPrefix(u.Path, "/")).Drop(ctx); err != nil {
		t.Errorf("remove the test's database: %v", err)
	}
}

func newFerretDB(t testing.TB) *Server {
	t.Helper()
	program := ferretDB(t)
	dir, err := os.MkdirTemp("", "ferretdb")
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	return &Server{
		name: mongo,
		dir:  dir,
		command: func() *exec.Cmd {
			cmd := exec.Command(program, "-dir", dir, "-listen", address)
			cmd.Env = append(os.Environ(), "GOGC=400") // it makes garbage of every document that it looks at
			cmd.StdinPipe()                            // which ends with the tests, however they end
			return cmd
		},
		ready: func(ctx context.Context) error {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
			if err != nil {
				return err
			}
			return conn.Close()
		},
		url:    func(t testing.TB) string { return mongoDatabase(t, "mongodb://"+address) },
		stop:   func(p *os.Process) error { return p.Signal(os.Interrupt) },
		fatalf: t.Fatalf,
	}
}

// ferretDB returns the program. Where make test or CI asks for it, it is compiled
// unless it was before. That takes a minute or two, and the result is kept for as
// long as its sources stay as they are.
func ferretDB(t testing.TB) string {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	source := filepath.Join(filepath.Dir(file), "..", "..", "tools", "ferretdb")
	hash := sha256.New()
	for _, name := range []string{"go.mod", "go.sum", "main.go"} {
		data, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			t.Fatal(err)
		}
		hash.Write(data)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(cache, "parley", fmt.Sprintf("ferretdb-%.8x", hash.Sum(nil)))
	if _, err := os.Stat(program); err == nil {
		return program
	}
	if os.Getenv("CI") != "true" && os.Getenv(compileFerretDB) == "" {
		t.Skip("SKIPPED: this needs FerretDB, a server of MongoDB's protocol, which make test compiles")
	}
	t.Logf("compiling FerretDB, once, into %s", program)
	compile(t, source, program)
	return program
}

// compile builds a program of a module of its own, without getting in the way
// of anything else. Several packages may compile it at once: the last one wins.
func compile(t testing.TB, source, program string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		t.Fatal(err)
	}
	unfinished := program + "-" + rand.Text()
	build := exec.Command("go", "build", "-o", unfinished, ".")
	if nice, err := exec.LookPath("nice"); err == nil {
		build = exec.Command(nice, append([]string{"-n", "10"}, build.Args...)...)
	}
	build.Dir, build.Env = source, append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	if strings.HasPrefix(runtime.Version(), "go1.26") {
		build.Env = append(build.Env, "GOEXPERIMENT=jsonv2") // FerretDB is mostly JSON, and a third quicker with it
	}
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("compile FerretDB: %v\n%s", err, out)
	}
	if err := os.Rename(unfinished, program); err != nil {
		t.Fatal(err)
	}
}
