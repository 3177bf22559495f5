package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/bot"
	"github.com/parley-chat/parley/cmd/parley/internal/config"
	"github.com/parley-chat/parley/cmd/parley/internal/site"
	"github.com/parley-chat/parley/store/sqlite"
)

// This page is where all parts meet: stores, bots, middleware and routes. What
// is added to Parley is added here, in one line.

// stores are the kinds of store, by the scheme of DATABASE_URL.
var stores = []struct {
	scheme string
	open   func(location string) (parley.Store, error)
	// read opens the store for reading beside a server that uses it. It is nil
	// for a store that no other process can see.
	read func(location string) (parley.Store, error)
}{
	{
		scheme: "sqlite",
		open:   func(path string) (parley.Store, error) { return sqlite.Open(path) },
		read:   func(path string) (parley.Store, error) { return sqlite.OpenReadOnly(path) },
	},
	{
		scheme: "memory",
		open:   func(string) (parley.Store, error) { return parley.NewMemory(), nil },
	},
}

// wire makes the chat and the handler of everything that the server answers.
func wire(cfg *config.Config, store parley.Store, log *slog.Logger) (*parley.Chat, http.Handler, error) {
	// The bots, the first of which that has an answer gives it.
	answers := bot.FirstOf(
		cfg.Rules,
		cfg.Default,
	)

	// What stands around /chat and the forms, the first outermost, within CORS.
	guards := []func(http.Handler) http.Handler{}

	chat, err := parley.New(parley.Config{
		Bot:            answers,
		Store:          store,
		Forms:          cfg.Forms,
		AllowedOrigins: cfg.AllowedOrigins,
		Middleware:     guards,
		BaseURL:        cfg.PublicURL,
		MaxPrompt:      cfg.MaxPrompt,
		RequireSession: cfg.RequireSession,
		OpenSessions:   cfg.SessionBinding == "off",
		SessionTTL:     cfg.SessionTTL,
		Retention:      cfg.Retention,
		AnswerTimeout:  cfg.AnswerTimeout,
		MaxTurns:       cfg.MaxTurns,
		Logger:         log,
	})
	if err != nil {
		return nil, nil, err
	}

	routes := http.NewServeMux()
	routes.Handle("/", chat.Handler())
	if cfg.DemoPage {
		page := site.Page(site.Options{Bot: botName(cfg), Config: cfg.ConfigFile, BaseURL: cfg.PublicURL, Version: parleyVersion()})
		routes.Handle("/{$}", page)
		routes.Handle("/site/", page)
	}
	if cfg.DemoPage || cfg.Sample {
		routes.Handle("/sample/", site.Sample())
	}

	// What stands around every route, the first outermost.
	around := []func(http.Handler) http.Handler{}
	var handler http.Handler = routes
	for _, middleware := range slices.Backward(around) {
		handler = middleware(handler)
	}
	return chat, handler, nil
}

// botName is what the page says of who answers; nothing means the sample rules.
func botName(cfg *config.Config) string {
	if cfg.Sample {
		return ""
	}
	return count(cfg.RuleCount(), "rule")
}

// storeSchemes returns what DATABASE_URL can begin with.
func storeSchemes() []string {
	var schemes []string
	for _, s := range stores {
		schemes = append(schemes, s.scheme)
	}
	return schemes
}

// openStore opens the store that DATABASE_URL names, which was checked before.
func openStore(cfg *config.Config) (parley.Store, error) {
	scheme, location := cfg.Database()
	for _, s := range stores {
		if s.scheme == scheme {
			return s.open(location)
		}
	}
	return nil, fmt.Errorf("no store for %q", scheme)
}

// readStore opens the store that DATABASE_URL names for reading.
func readStore(cfg *config.Config) (parley.Store, error) {
	scheme, location := cfg.Database()
	for _, s := range stores {
		if s.scheme == scheme && s.read != nil {
			return s.read(location)
		}
	}
	return nil, config.Problems{{
		Where:  cfg.Origin("database_url"),
		Reason: fmt.Sprintf("what %s: keeps is inside the server and ends with it; name the database to read, such as sqlite:parley.db", scheme),
	}}
}
