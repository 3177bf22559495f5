package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/bot"
	"github.com/parley-chat/parley/cmd/parley/internal/config"
	"github.com/parley-chat/parley/cmd/parley/internal/site"
	"github.com/parley-chat/parley/middleware"
	"github.com/parley-chat/parley/middleware/compress"
	"github.com/parley-chat/parley/widget"
)

// This page is where all parts meet: stores, bots, middleware and routes. What
// is added to Parley is added here, in one line.

// stores are the kinds of store. DATABASE_URL chooses one.
var stores = []storeKind{
	sqliteStore(),
	postgresStore(),
	mongoStore(),
	redisStore(),
	memoryStore(),
}

// services are the bots that ask somebody else. BOTS changes their order.
var services = []config.Service{
	relayService(),
	openaiService(),
	anthropicService(),
}

// wire makes the chat and the handler of everything that the server answers.
func wire(cfg *config.Config, store parley.Store, log *slog.Logger) (*parley.Chat, http.Handler, error) {
	answers, err := answerers(cfg, log)
	if err != nil {
		return nil, nil, err
	}
	csrf, err := middleware.NewCSRF(cfg.CSRFRequired, cfg.CSRFSecrets()...)
	if err != nil {
		return nil, nil, err
	}
	limits, err := rateLimits(cfg, store, log)
	if err != nil {
		return nil, nil, err
	}
	// What stands around /chat and the forms, the first outermost, within CORS.
	guards := []func(http.Handler) http.Handler{
		csrf.Check,
		limits,
	}
	if away, ok := store.(awayStore); ok {
		guards = append(guards[:0], away.refuse)
	}

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
	routes.Handle("/csrf-token", chat.Route("GET", csrf))
	script := widget.Handler()
	for _, path := range []string{"/widget.js", "/widget.mjs", "/widget.d.ts", "/widget/"} {
		routes.Handle(path, script)
	}
	if cfg.DemoPage {
		page := site.Page(site.Options{Bot: botName(cfg), Config: cfg.ConfigFile, BaseURL: cfg.PublicURL, CSRF: !cfg.CSRFSecret.IsZero(), Version: parleyVersion()})
		routes.Handle("/{$}", page)
		routes.Handle("/site/", page)
	}
	if cfg.DemoPage || cfg.Sample {
		routes.Handle("/sample/", site.Sample())
	}

	// What stands around every route, the first outermost.
	clientAddr, err := middleware.ClientAddr(cfg.TrustProxy, log)
	if err != nil {
		return nil, nil, err
	}
	handler := around(routes,
		clientAddr,
		middleware.RequestID,
		only(cfg.AccessLog, middleware.AccessLog(log, cfg.LogPrompts)),
		middleware.Recover(log),
		only(cfg.SecurityHeaders, middleware.SecurityHeaders),
		only(cfg.Compression, compress.Handler),
	)
	return chat, handler, nil
}

// answerers makes the chain of bots, the first of which that has an answer
// gives it.
func answerers(cfg *config.Config, log *slog.Logger) (parley.Bot, error) {
	var chain []parley.Bot
	for i, name := range cfg.Chain {
		switch name {
		case config.RulesBot:
			chain = append(chain, cfg.Rules)
		case config.TextBot:
			chain = append(chain, cfg.Default)
		default:
			service, _ := cfg.Service(name) // which was checked
			guard, err := bot.NewGuard(bot.GuardConfig{
				Name:      name,
				Bot:       service.Bot,
				FirstText: cfg.FirstText(service),
				Answer:    cfg.BotTimeout,
				HasNext:   cfg.HasNext(i),
				Logger:    log,
			})
			if err != nil {
				return nil, err
			}
			chain = append(chain, guard)
		}
	}
	return bot.FirstOf(chain...), nil
}

// around puts middleware around a handler, the first outermost.
func around(h http.Handler, middleware ...func(http.Handler) http.Handler) http.Handler {
	for _, m := range slices.Backward(middleware) {
		h = m(h)
	}
	return h
}

// only returns middleware that can be switched off.
func only(on bool, m func(http.Handler) http.Handler) func(http.Handler) http.Handler {
	if on {
		return m
	}
	return unchanged
}

// unchanged is middleware that does nothing.
func unchanged(h http.Handler) http.Handler { return h }

// rateLimits counts messages, filled-in forms, and what a page needs to go on
// with a conversation apart. The last costs next to nothing and comes with every
// page that a visitor opens. Nodes that share a store count together.
func rateLimits(cfg *config.Config, store parley.Store, log *slog.Logger) (func(http.Handler) http.Handler, error) {
	shared, _ := store.(parley.Limiter)
	limit := func(name string, most int) (func(http.Handler) http.Handler, error) {
		if most == 0 {
			return unchanged, nil
		}
		return middleware.RateLimit(middleware.Rate{Name: name, Limit: most, Window: cfg.RateLimitWindow}, shared, log)
	}
	chat, errChat := limit("chat", cfg.RateLimit)
	sessions, errSessions := limit("session", 10*cfg.RateLimit)
	forms, errForms := limit("form", cfg.RateLimitForms)
	if err := errors.Join(errChat, errSessions, errForms); err != nil {
		return nil, err
	}
	return func(next http.Handler) http.Handler {
		chat, sessions, forms := chat(next), sessions(next), forms(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/chat":
				chat.ServeHTTP(w, r)
			case "/session", "/history", "/stream":
				sessions.ServeHTTP(w, r)
			default:
				forms.ServeHTTP(w, r)
			}
		})
	}, nil
}

// botName is what the page says of who answers; nothing means the sample rules.
// Everybody can read it, so it names no host.
func botName(cfg *config.Config) string {
	if cfg.Sample {
		return ""
	}
	return answerLine(cfg, count(cfg.RuleCount(), "rule"), func(s config.Service) string {
		if _, model := s.Asks(&cfg.Settings); model != "" {
			return fmt.Sprintf("%s (%s)", s.Name, model)
		}
		return s.Name
	})
}
