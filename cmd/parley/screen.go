package main

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/parley-chat/parley/cmd/parley/internal/config"
)

// screen is what a person sees when the server has started: where it is, what
// answers, where data goes, what is relaxed, and what to try.
func screen(cfg *config.Config, addr net.Addr) string {
	url := localURL(cfg.Host, addr)
	var b strings.Builder
	fmt.Fprintf(&b, "\nParley %s is ready.\n\n", parleyVersion())
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(name, value string) { fmt.Fprintf(table, "  %s\t%s\n", name, value) }
	row("chat", url+"/chat"+reach(cfg.Host))
	if cfg.DemoPage {
		row("page", url+"/ to try it in a browser")
	}
	row("bot", botLine(cfg))
	for _, name := range cfg.Chain {
		if service, ok := cfg.Service(name); ok {
			row("", serviceLine(cfg, service))
		}
	}
	row("data", dataLine(cfg))
	if len(cfg.AllowedOrigins) == 0 {
		row("sites", "pages on this computer; add yours with ALLOWED_ORIGINS=https://example.com")
	} else {
		row("sites", strings.Join(cfg.AllowedOrigins, ", "))
	}
	for _, r := range cfg.Risks() {
		row("caution", fmt.Sprintf("%s (%s): %s", r.Setting, r.Origin, r.Consequence))
	}
	for _, note := range notes(cfg) {
		row("note", note)
	}
	table.Flush()
	fmt.Fprintf(&b, "\n  curl -X POST %s/chat -H \"Content-Type: application/json\" -d '{\"prompt\": \"Hello\", \"session_id\": \"test-session\"}'\n\n", url)
	return b.String()
}

// localURL is where the server can be reached from this computer.
func localURL(host string, addr net.Addr) string {
	if ip := net.ParseIP(host); host == "" || (ip != nil && (ip.IsUnspecified() || ip.IsLoopback())) {
		host = "localhost"
	}
	_, port, _ := net.SplitHostPort(addr.String())
	return "http://" + net.JoinHostPort(host, port)
}

// reach says who can reach the server, beyond what the address says.
func reach(host string) string {
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		return " (on every network interface)"
	}
	return ""
}

func botLine(cfg *config.Config) string {
	switch {
	case !cfg.Sample:
		rules := count(cfg.RuleCount(), "rule") + " from " + cfg.ConfigFile
		return answerLine(cfg, rules, func(s config.Service) string { return s.Name })
	case cfg.ConfigFile != "":
		return "sample rules, because " + cfg.ConfigFile + " has none"
	}
	return "sample rules; write your own in " + config.DefaultFile
}

// answerLine says which bots answer, in their order. The default reply behind
// rules alone goes without saying.
func answerLine(cfg *config.Config, rules string, describe func(config.Service) string) string {
	var bots []string
	for _, name := range cfg.Chain {
		service, isService := cfg.Service(name)
		switch {
		case isService:
			bots = append(bots, describe(service))
		case name == config.RulesBot:
			bots = append(bots, rules)
		case cfg.AsksServices() || len(cfg.Chain) == 1:
			bots = append(bots, "the default reply")
		}
	}
	return strings.Join(bots, ", then ")
}

// serviceLine says whom a service asks, and with what: "openai: gpt-5.4-mini at
// api.openai.com, key from environment variable OPENAI_API_KEY".
func serviceLine(cfg *config.Config, s config.Service) string {
	line := s.Name + ": "
	if _, model := s.Asks(&cfg.Settings); model != "" {
		line += model + " at "
	}
	line += cfg.HostOf(s)
	if origin := cfg.KeyOrigin(s); origin != "" {
		line += ", key from " + origin
	}
	return line
}

func dataLine(cfg *config.Config) string {
	kind := kindOfStore(cfg)
	switch _, location := cfg.Database(); kind.name {
	case "memory":
		return "in memory"
	case "SQLite":
		if path, err := filepath.Abs(location); err == nil {
			location = path
		}
		return location + " (SQLite)"
	}
	return fmt.Sprintf("%s (%s)", cfg.DatabaseURL, kind.name)
}

// notes are about what may not be as one expects.
func notes(cfg *config.Config) []string {
	var notes []string
	if cfg.Sample && cfg.NodeEnv == "production" {
		notes = append(notes, "the sample rules answer your visitors")
	}
	if cfg.CSRFRequired {
		notes = append(notes, "CSRF_REQUIRED is on: messages and forms need a token from /csrf-token in X-CSRFToken")
	}
	if n := len(cfg.Warnings); n > 0 {
		notes = append(notes, count(n, "warning")+" about the configuration; run: parley config check")
	}
	return notes
}

// count returns a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
