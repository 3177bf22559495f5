package mongo_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/dbtest"
	"github.com/parley-chat/parley/store/mongo"
)

// canary is a password that must be seen by nobody but the server.
const canary = "canary-4711"

func isUnavailable(err error) bool {
	var e *parley.Error
	return errors.As(err, &e) && e.Code == parley.CodeUnavailable
}

func TestURLs(t *testing.T) {
	for _, test := range []struct{ url, want string }{
		{"", "write mongodb://"},
		{"localhost:27017", "write mongodb://"},
		{"postgres://parley:" + canary + "@localhost/parley", "write mongodb://"},
		{"mongodb://parley:" + canary + "@/parley", ""},
		{"mongodb://parley:" + canary + "@b@localhost/parley", "unescaped @"},
		{"mongodb://parley:" + canary + "/x@localhost/parley", "%2F"},
		{"mongodb://parley:" + canary + "?x@localhost/parley", "%3F"},
		{"mongodb://parley:" + canary + "#x@localhost/parley", "%23"},
		{"mongodb://parley:a@b/" + canary + "@localhost/parley", "%2F"},
		{"mongodb://parley:a@b?" + canary + "@localhost/parley", "%3F"},
		{"mongodb://parley:a/b?" + canary + "@localhost/parley", "%3F"},
		{"mongodb://parley:" + canary + "%zz@localhost/parley", ""},
		{"mongodb://parley:" + canary + "@localhost:port/parley", ""},
		{"mongodb://parley:" + canary + "@localhost/%zz", "%25"},
		{"mongodb://parley:" + canary + "@localhost/parley?w=majority&authMechanism=none", ""},
		{"mongodb://localhost/parley?serverSelectionTimeoutMS=soon", "soon"},
	} {
		store, err := mongo.Open(t.Context(), mongo.Config{URL: test.url})
		if err == nil {
			store.Close()
			t.Errorf("%s was opened, want an error", test.url)
			continue
		}
		if isUnavailable(err) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: the error is %q; want one that has %q in it, no password, and does not pass by itself", test.url, err, test.want)
		}
	}
}

// TestServerThatIsAway has everybody know by the error that it is worth another
// try, and nobody the password.
func TestServerThatIsAway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	var log strings.Builder
	began := time.Now()
	_, err = mongo.Open(t.Context(), mongo.Config{
		URL:    fmt.Sprintf("mongodb://parley:%s@%s/chatwidget", canary, address),
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if !isUnavailable(err) || !strings.Contains(err.Error(), address) || strings.Contains(err.Error(), canary) {
		t.Errorf("the error is %v; want %q, the address, and no password", err, parley.CodeUnavailable)
	}
	if waited := time.Since(began); waited > 8*time.Second {
		t.Errorf("Open said so after %v, want about 2 s", waited)
	}
	if strings.Contains(log.String(), canary) {
		t.Errorf("the log has the password:\n%s", &log)
	}
}

// TestServerThatIsSilent takes connections and says nothing.
func TestServerThatIsSilent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	began := time.Now()
	_, err = mongo.Open(t.Context(), mongo.Config{URL: "mongodb://" + l.Addr().String()})
	if !isUnavailable(err) {
		t.Errorf("the error is %v; want %q", err, parley.CodeUnavailable)
	}
	if waited := time.Since(began); waited > 8*time.Second {
		t.Errorf("Open said so after %v, want about 2 s", waited)
	}
}

func TestServerThatRefusesThePassword(t *testing.T) {
	url := dbtest.SharedMongo(t).URL(t)
	scheme, rest, _ := strings.Cut(url, "://")
	if _, after, ok := strings.Cut(rest, "@"); ok {
		rest = after
	}
	_, err := mongo.Open(t.Context(), mongo.Config{URL: scheme + "://parley:" + canary + "@" + rest})
	if err == nil || isUnavailable(err) || !strings.Contains(err.Error(), "user name or the password") || strings.Contains(err.Error(), canary) {
		t.Errorf("the error is %v; want that the name or password is refused, without the password", err)
	}
}

func TestDatabaseOfTheURL(t *testing.T) {
	url := dbtest.SharedMongo(t).URL(t)
	store, err := mongo.Open(t.Context(), mongo.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	answer(t, store, "s", "Hello")
	n, err := database(t, url).Collection("turns").CountDocuments(t.Context(), struct{}{})
	if n != 1 || err != nil {
		t.Errorf("the database of the URL has %d turns, %v; want 1", n, err)
	}
	for url, want := range map[string]string{
		"mongodb://localhost:27017/chatwidget":                       "chatwidget",
		"mongodb://localhost:27017":                                  "parley",
		"mongodb://localhost:27017/":                                 "parley",
		"mongodb://localhost:27017/?replicaSet=rs0":                  "parley",
		"mongodb://u:p%2Fq@a:1,b:2,[::1]:3/chat?authSource=admin":    "chat",
		"mongodb+srv://user:secret@cluster0.example.net/a%20b?w=all": "a b",
		"mongodb://user:secret==@localhost:10255/?appName=@user@":    "parley",
	} {
		if got, err := mongo.DatabaseName(url); got != want || err != nil {
			t.Errorf("the database of %s is %q, %v; want %q", url, got, err, want)
		}
	}
}

// TestReadOnly opens a database of every kind and changes none.
func TestReadOnly(t *testing.T) {
	url := dbtest.SharedMongo(t).URL(t)
	store, commands := record(t, mongo.Config{URL: url, Retention: time.Hour, ReadOnly: true})
	for _, command := range commands.sent() {
		if name(command) != "hello " {
			t.Errorf("Open for reading sent %v; want nothing that could change anything", command)
		}
	}
	if got := prompts(t, store, "s"); len(got) > 0 {
		t.Errorf("an empty database has the prompts %q; want none", got)
	}
	if names, err := database(t, url).ListCollectionNames(t.Context(), struct{}{}); len(names) > 0 || err != nil {
		t.Errorf("opened for reading, there are the collections %q, %v; want none", names, err)
	}
	answer(t, openAt(t, url), "s", "Hello")
	if got := prompts(t, store, "s"); len(got) != 1 {
		t.Errorf("opened for reading, the session has the prompts %q; want the one that was answered", got)
	}
}
