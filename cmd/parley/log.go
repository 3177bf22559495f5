package main

import (
	"io"
	"log/slog"

	"github.com/parley-chat/parley/cmd/parley/internal/config"
)

// newLogger returns the logger of the server: a JSON object a line.
func newLogger(w io.Writer, cfg *config.Config) *slog.Logger {
	var level slog.Level
	level.UnmarshalText([]byte(cfg.LogLevel)) // one of the setting's choices
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
}
