package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"time"

	"github.com/parley-chat/parley/cmd/parley/internal/config"
	"github.com/parley-chat/parley/store/sqlite"
)

func (p *program) backupCommand() command {
	return command{
		name:    "backup",
		args:    "FILE",
		summary: "Write a copy of the SQLite database to a file, beside a running server",
		about: "The copy is of one moment and complete: every message that was answered before is in it. FILE must not exist. " +
			"It is as secret as the database. The other databases have tools of their own for it: pg_dump, mongodump, and the RDB or AOF files of Redis.",
		flags: func(fs *flag.FlagSet) func(context.Context, []string) error {
			flags := settingFlags{}.register(fs, "config", "database_url")
			return func(ctx context.Context, args []string) error {
				if len(args) != 1 {
					return &errUsage{"backup takes the name of one file to write", "backup"}
				}
				return p.backup(ctx, flags, args[0])
			}
		},
	}
}

func (p *program) restoreCommand() command {
	return command{
		name:    "restore",
		args:    "FILE",
		summary: "Put a copy that \"parley backup\" wrote in the place of the SQLite database",
		about:   "It replaces nothing: where there is a database, stop the server and move its files away first.",
		flags: func(fs *flag.FlagSet) func(context.Context, []string) error {
			flags := settingFlags{}.register(fs, "config", "database_url")
			return func(ctx context.Context, args []string) error {
				if len(args) != 1 {
					return &errUsage{"restore takes the name of one file that \"parley backup\" wrote", "restore"}
				}
				return p.restore(ctx, flags, args[0])
			}
		},
	}
}

// backup copies the configured database to a file.
func (p *program) backup(ctx context.Context, flags settingFlags, file string) error {
	ctx, stop := untilSignal(ctx)
	defer stop()
	path, err := p.sqliteFile(flags, "backup")
	if err != nil {
		return err
	}
	began := time.Now()
	size, err := sqlite.Backup(ctx, path, file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no database to back up, or no folder for the copy: name them with DATABASE_URL and FILE (%w)", err)
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%w; a backup replaces nothing", err)
	case err != nil:
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "Wrote %s and checked it: %s bytes in %s.\n", file, grouped(size), seconds(time.Since(began)))
	return err
}

// restore copies a backup to where the configured database is to be.
func (p *program) restore(ctx context.Context, flags settingFlags, file string) error {
	ctx, stop := untilSignal(ctx)
	defer stop()
	path, err := p.sqliteFile(flags, "restore")
	if err != nil {
		return err
	}
	err = sqlite.RestoreBackup(ctx, file, path)
	switch {
	case errors.Is(err, sqlite.ErrInUse):
		return fmt.Errorf("a server uses the database (%w); stop it first", err)
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%w; stop the server and move the database away, with the files beside it that begin with its name, or name another file with DATABASE_URL", err)
	case err != nil:
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "Restored %s from %s and checked it.\n", path, file)
	return err
}

// elsewhere says how databases are backed up that are no files of Parley.
var elsewhere = map[string]string{
	"PostgreSQL": "use pg_dump and pg_restore",
	"MongoDB":    "use mongodump and mongorestore",
	"Redis":      "copy its RDB or AOF files, as its documentation says",
	"memory":     "what memory: keeps ends with the server",
}

// sqliteFile returns the path of the configured database, or says what to use
// for one of another kind.
func (p *program) sqliteFile(flags settingFlags, command string) (string, error) {
	cfg, err := p.load(flags)
	if err != nil {
		return "", err
	}
	kind := kindOfStore(cfg)
	if instead, ok := elsewhere[kind.name]; ok {
		return "", config.Problems{{
			Where:  cfg.Origin("database_url"),
			Reason: fmt.Sprintf("parley %s is for SQLite, and this is %s: %s", command, kind.name, instead),
		}}
	}
	_, path := cfg.Database()
	return path, nil
}
