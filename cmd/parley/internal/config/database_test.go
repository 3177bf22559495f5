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
