package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"strings"

	"github.com/parley-chat/parley/store/sqlite"
)

func (p *program) migrateCommand() command {
	return command{
		name:    "migrate",
		summary: "Bring the database up to date, as the start of a server does",
		about: "It is for those who want to see or do it apart from the start, such as with a role of the database that may change tables. " +
			"MongoDB and Redis have nothing to bring up to date.",
		flags: func(fs *flag.FlagSet) func(context.Context, []string) error {
			flags := settingFlags{}.register(fs, "config", "database_url")
			dry := fs.Bool("dry-run", false, "Only say what would be done.")
			return func(ctx context.Context, _ []string) error { return p.migrate(ctx, flags, *dry) }
		},
	}
}

// migrate brings the configured store up to date.
func (p *program) migrate(ctx context.Context, flags settingFlags, dry bool) error {
	ctx, stop := untilSignal(ctx)
	defer stop()
	cfg, err := p.load(flags)
	if err != nil {
		return err
	}
	kind := kindOfStore(cfg)
	if kind.migrations == nil {
		_, err := fmt.Fprintf(p.stdout, "There is nothing to do: %s has no schema.\n", kind.name)
		return err
	}
	names, err := kind.migrations(ctx, cfg, slog.New(slog.DiscardHandler), !dry)
	done := "Applied"
	if dry {
		done = "Would apply"
	}
	if len(names) > 0 {
		fmt.Fprintf(p.stdout, "%s %s: %s.\n", done, counted(len(names), "migration"), strings.Join(names, ", "))
	}
	switch {
	case errors.Is(err, sqlite.ErrInUse):
		return fmt.Errorf("a server uses the database (%w); stop it, and its next start brings the database up to date", err)
	case err != nil:
		return misplaced(cfg, "database_url", fmt.Errorf("bring the database that DATABASE_URL names up to date: %w", err))
	case len(names) == 0:
		_, err = fmt.Fprintln(p.stdout, "There is nothing to do: the database is up to date.")
	}
	return err
}
