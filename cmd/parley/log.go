package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/DeRuina/timberjack"
	"github.com/parley-chat/parley/cmd/parley/internal/config"
)

// newLogger returns the logger of the server, a JSON object a line, and what
// closes its file.
func newLogger(w io.Writer, cfg *config.Config) (*slog.Logger, io.Closer, error) {
	var level slog.Level
	level.UnmarshalText([]byte(cfg.LogLevel)) // one of the setting's choices
	var file io.WriteCloser = nothing{}
	if cfg.LogFile != "" {
		// A logger has nobody to tell that it cannot write, so it is tried now.
		f, err := os.OpenFile(cfg.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, nil, fmt.Errorf("cannot write the log where LOG_FILE says: %w", err)
		}
		f.Close()
		file = &timberjack.Logger{Filename: cfg.LogFile, MaxSize: 100, MaxBackups: 7, Compression: "gzip"}
		w = io.MultiWriter(w, file)
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})), file, nil
}

// nothing stands in for a file that there is none of.
type nothing struct{}

func (nothing) Write(p []byte) (int, error) { return len(p), nil }
func (nothing) Close() error                { return nil }
