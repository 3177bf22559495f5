package config_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/parley-chat/parley/cmd/parley/internal/config"
)

// A password in DATABASE_URL is nobody's to read, and neither is anything else
// of it a secret.
func TestDatabaseURLsHideTheirPassword(t *testing.T) {
	for url, want := range map[config.DatabaseURL]string{
		"sqlite:parley.db":                       "sqlite:parley.db",
		"postgres://localhost/parley":            "postgres://localhost/parley",
		"postgres://u@localhost/parley":          "postgres://u@localhost/parley",
		"postgres://u:canary@localhost/parley":   "postgres://u:[secret]@localhost/parley",
		"postgres://u:can@ry:@h1:1,h2:2/p?a=b":   "postgres://u:[secret]@h1:1,h2:2/p?a=b",
		"mongodb://u:can#a?r/y@localhost/p":      "mongodb://u:[secret]@localhost/p",
		"redis://:canary@localhost:6379/0":       "redis://:[secret]@localhost:6379/0",
		"mongodb+srv://u:canary@h.example.com/p": "mongodb+srv://u:[secret]@h.example.com/p",
		"postgres://h/p?user=u&password=canary":  "postgres://h/p?user=u&password=[secret]",
		"postgres://h/p?sslpassword=canary&a=b":  "postgres://h/p?sslpassword=[secret]&a=b",
	} {
		text, err := json.Marshal(url)
		if err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "url", url)
		for _, got := range []string{url.String(), fmt.Sprint(url), fmt.Sprintf("%s", url), fmt.Sprintf("%+v", url), config.Format(url)} {
			if got != want {
				t.Errorf("printed as %q, want %q", got, want)
			}
		}
		if all := string(text) + log.String(); strings.Contains(all, "canary") || strings.Contains(all, "can@ry") {
			t.Errorf("a password is in %s", all)
		}
	}
}

func TestDatabasePasswordsAreNoFlags(t *testing.T) {
	inDir(t, nil)
	_, err := config.Load(config.Sources{Stores: [][]string{{"postgres", "postgresql"}}, Flags: map[string]string{"database-url": "postgres://u:canary@h/p"}, Sample: []byte("default: Hello\n")})
	if err == nil || !strings.Contains(err.Error(), "everybody on this computer can see flags") || strings.Contains(err.Error(), "canary") {
		t.Errorf("a password in a flag: %v; want a refusal that says why, without it", err)
	}
}

// What is no URL of a database may be a password, or hold one where a driver would
// look for a port.
func TestDatabaseURLsThatAreNoneShowNothing(t *testing.T) {
	inDir(t, nil)
	stores := [][]string{{"sqlite"}, {"postgres", "postgresql"}, {"mongodb"}, {"redis"}, {"memory"}}
	for _, url := range []string{
		"canary", "host=127.0.0.1 port=5432 user=parley password=canary dbname=parley",
		"postgres://parley:canary/parley", "postgres://parley:canary", "postgres://host=127.0.0.1 password=canary",
		"mongodb://u:canary", "mongodb://u:canary/parley", "sqlite://u:canary@h/x", "redis://:canary", "canary://h", "canary:",
	} {
		_, err := config.Load(config.Sources{Stores: stores, Environ: []string{"DATABASE_URL=" + url}, Sample: []byte("default: Hello\n")})
		if err == nil || (strings.Contains(err.Error(), "canary") && url != "canary://h") {
			t.Errorf("%s: %v; want a refusal without the value", url, err)
		}
	}
	for _, url := range []string{
		"postgres://u:p@h/d", "postgres:///d?host=/tmp", "postgres://u:p@h1:1,h2:2/d", "postgresql://[::1]:5432/d", "redis://:p@h:6379/0",
		"mongodb://localhost:27017/chatwidget", "mongodb://u:p%40@h/d?authSource=admin", "postgres://u:p/?#q@h", "redis://h", "sqlite:a@b.db",
	} {
		if _, err := config.Load(config.Sources{Stores: stores, Environ: []string{"DATABASE_URL=" + url}, Sample: []byte("default: Hello\n")}); err != nil {
			t.Errorf("%s: %v; want it to be taken", url, err)
		}
	}
}

func TestDatabaseURLsCanBeInAFile(t *testing.T) {
	inDir(t, map[string]string{"url": "postgres://u:canary@h/p\n"})
	stores := [][]string{{"sqlite"}, {"postgres"}}
	cfg, err := config.Load(config.Sources{Stores: stores, Environ: []string{"DATABASE_URL_FILE=url"}, Sample: []byte("default: Hello\n")})
	if err != nil || string(cfg.DatabaseURL) != "postgres://u:canary@h/p" || strings.Contains(fmt.Sprint(cfg.DatabaseURL), "canary") {
		t.Errorf("a URL in a file: %v, want it to be read", err)
	}
	if _, err := config.Load(config.Sources{Stores: stores, Environ: []string{"DATABASE_URL_FILE=url", "DATABASE_URL=sqlite:x"}, Sample: []byte("default: Hello\n")}); err == nil {
		t.Error("a URL beside one in a file was taken, want a refusal")
	}
}
