package redis_test

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/internal/dbtest"
	"github.com/parley-chat/parley/store/redis"
)

// canary is a password that must not be seen anywhere.
const canary = "c4n4ry"

// wantPlain checks that an error is one that does not pass, says something, and
// keeps the password to itself.
func wantPlain(t *testing.T, what string, err error, want string) {
	t.Helper()
	if _, passes := err.(*parley.Error); err == nil || passes || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: Open returned %v; want an error without a code that says %q", what, err, want)
	}
	if err != nil && strings.Contains(err.Error(), canary) {
		t.Errorf("%s: the error has the password in it: %v", what, err)
	}
}

func TestBadURLs(t *testing.T) {
	for _, test := range []struct{ name, url, want string }{
		{"nothing", "", "redis://localhost:6379/0"},
		{"another scheme", "postgres://user:" + canary + "@host/db", "redis://localhost:6379/0"},
		{"no scheme", "user:" + canary + "@localhost:6379", "redis://localhost:6379/0"},
		{"no host", "redis:///0", "host:6379"},
		{"no port", "redis://:" + canary + "@host:/0", "host:6379"},
		{"a port that is none", "redis://user:" + canary + "@host:port/0", "host:6379"},
		{"a slash in the password", "redis://user:" + canary + "/x@host:6379/0", "%2F"},
		{"a question mark in the password", "redis://user:" + canary + "?x@host:6379/0", "%3F"},
		{"a number sign in the password", "redis://user:" + canary + "#x@host:6379/0", "%23"},
		{"a percent sign in the password", "redis://user:" + canary + "%@host:6379/0", "%25"},
		{"several hosts", "redis://:" + canary + "@one:6379,two:6379/0", "redis+cluster://"},
		{"a database with a name", "redis://:" + canary + "@host/chat", "write /0"},
		{"a cluster with a database", "redis+cluster://:" + canary + "@one,two/1", "leave out"},
		{"Sentinels without a name", "redis+sentinel://:" + canary + "@one,two", "/mymaster"},
		{"a setting that is none", "redis://host/0?" + canary + "=1", "prefix"},
		{"a password for no Sentinels", "redis://host/0?sentinel_password=" + canary, "prefix"},
		{"a prefix that is none", "redis://:" + canary + "@host/0?prefix={a}", "ASCII"},
	} {
		_, err := redis.Open(t.Context(), redis.Config{URL: test.url})
		wantPlain(t, test.name, err, test.want)
	}
}

func TestPasswords(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	redis.LogTo(logger)
	defer redis.LogTo(slog.New(slog.DiscardHandler))
	server := dbtest.Redis(t, "--requirepass", canary, "--user", "parley", "on", ">p@/?:#ss"+canary, "~*", "&*", "+@all")
	at := server.Addr + "/0"
	for _, test := range []struct{ name, url, want string }{
		{"no password", "redis://" + at, "NOAUTH"},
		{"a wrong password", "redis://:wrong" + canary + "@" + at, "WRONGPASS"},
		{"a wrong user", "redis://nobody:" + canary + "@" + at, "WRONGPASS"},
		{"a database that is not there", "redis://:" + canary + "@" + server.Addr + "/99", "DB index"},
	} {
		_, err := redis.Open(t.Context(), redis.Config{URL: test.url, Logger: logger})
		wantPlain(t, test.name, err, test.want)
	}
	for _, url := range []string{"redis://:" + canary + "@" + at, "redis://parley:p%40%2F%3F%3A%23ss" + canary + "@" + at} {
		store := open(t, redis.Config{URL: url, Logger: logger})
		if err := answer(t.Context(), store, "s", url); err != nil {
			t.Errorf("with the right password: %v", err)
		}
		store.Close()
	}
	server.Kill()
	_, err := redis.Open(t.Context(), redis.Config{URL: "redis://:" + canary + "@" + at, Logger: logger})
	wantUnavailable(t, "Open without a server", err)
	if text := log.String(); strings.Contains(text, canary) || strings.Contains(err.Error(), canary) {
		t.Errorf("the password is in the log or in an error:\n%s%v", text, err)
	}
}

func TestWarnings(t *testing.T) {
	noConfig := []string{"--user", "parley", "on", ">p", "~*", "&*", "+@all", "-config"}
	for _, test := range []struct {
		name  string
		user  string
		args  []string
		warns []string // of these, in order
	}{
		{"everything as it should be", "", durable, nil},
		{"as Redis comes", "", nil, []string{"append-only file is off"}},
		{"synced every second", "", []string{"--appendonly", "yes", "--appendfsync", "everysec"}, []string{"appendfsync is everysec"}},
		{"not synced now and then", "", slices.Concat(durable, []string{"--no-appendfsync-on-rewrite", "yes"}), []string{"being rewritten"}},
		{"with eviction", "", slices.Concat(durable, []string{"--maxmemory-policy", "allkeys-lru"}), []string{"maxmemory-policy is allkeys-lru"}},
		{"with eviction of what expires", "", slices.Concat(durable, []string{"--maxmemory-policy", "volatile-lru"}), nil},
		{"as Redis comes, without CONFIG", "parley:p@", noConfig, []string{"append-only file is off"}},
		{"without CONFIG", "parley:p@", slices.Concat(durable, []string{"--maxmemory-policy", "allkeys-lru"}, noConfig),
			[]string{"does not say when", "maxmemory-policy is allkeys-lru"}},
		{"without CONFIG and INFO", "parley:p@", slices.Concat(durable, noConfig, []string{"-info"}),
			[]string{"does not say whether what is acknowledged", "does not say whether it deletes"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := redis.Config{URL: strings.Replace(dbtest.Redis(t, test.args...).URL(t), "redis://", "redis://"+test.user, 1)}
			store := open(t, cfg)
			defer store.Close()
			warnings := store.Warnings()
			if len(warnings) != len(test.warns) {
				t.Fatalf("there are the warnings %q; want %q", warnings, test.warns)
			}
			for i, want := range test.warns {
				if !strings.Contains(warnings[i], want) {
					t.Errorf("the warning is %q; want one with %q", warnings[i], want)
				}
			}
			cfg.Strict = true
			if len(test.warns) == 0 {
				if err := open(t, cfg).Close(); err != nil {
					t.Error(err)
				}
				return
			}
			for _, want := range test.warns {
				_, err := redis.Open(t.Context(), cfg)
				wantPlain(t, "strictly", err, want)
			}
		})
	}
}

// The user that the package's comment shows can do everything that a chat does.
func TestLeastRights(t *testing.T) {
	server := dbtest.Redis(t, "--user", "chat", "on", ">PASSWORD", "~{parley*", "~parley:*", "&parley:notes", "+@all", "-@admin", "-@dangerous", "+info", "+config|get")
	store := open(t, redis.Config{URL: "redis://chat:PASSWORD@" + server.Addr})
	defer store.Close()
	if err := answer(t.Context(), store, "s", "Hello"); err != nil {
		t.Error(err)
	}
	finished(t, store, "s")
	for what, call := range map[string]func() error{
		"Abandon": func() error { return store.Abandon(t.Context(), parley.Record{Session: "s", Seq: 1}) },
		"Take": func() error {
			_, err := store.Take(t.Context(), "key", 1, time.Second)
			return err
		},
		"Notify": func() error { return store.Notify(t.Context(), "topic", nil) },
		"Submit": func() error {
			_, err := store.Submit(t.Context(), parley.Submission{ID: "id", Time: time.Now()})
			return err
		},
		"Submissions": func() error {
			_, err := store.Submissions(t.Context(), "", 0, 1)
			return err
		},
		"Secret": func() error {
			_, err := store.Secret(t.Context(), "name")
			return err
		},
		"Records": func() error {
			_, _, err := store.Records(t.Context(), "", 1)
			return err
		},
		"Sweep": func() error {
			_, err := store.Sweep(t.Context(), time.Now(), 1)
			return err
		},
	} {
		if err := call(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestAnotherVersion(t *testing.T) {
	server := dbtest.Redis(t)
	server.CLI("set", "{mine}:version", "1000")
	_, err := redis.Open(t.Context(), redis.Config{URL: "redis://" + server.Addr + "?prefix=mine"})
	wantPlain(t, "a newer version", err, "{mine}:version")
	if err := open(t, redis.Config{URL: "redis://" + server.Addr}).Close(); err != nil {
		t.Error(err)
	}
}

// Two chats on one server know nothing of each other.
func TestPrefixes(t *testing.T) {
	server := dbtest.Redis(t)
	one, two := open(t, redis.Config{URL: server.URL(t)}), open(t, redis.Config{URL: server.URL(t)})
	defer one.Close()
	defer two.Close()
	if err := answer(t.Context(), one, "s", "Hello"); err != nil {
		t.Fatal(err)
	}
	if there := finished(t, two, "s"); len(there) > 0 {
		t.Errorf("another chat has the turns %v of the session, want none", there)
	}
}
