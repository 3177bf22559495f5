package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/cmd/parley/internal/config"
	"github.com/parley-chat/parley/store/sqlite"
)

func (p *program) importCommand() command {
	return command{
		name:    "import",
		args:    "FILE",
		summary: "Move what \"parley export\" wrote into the database",
		about: "FILE is checked as a whole first; - is standard input, which is checked as it comes. " +
			"The database should be empty: what it has stays, but it must have no other secrets than the file. " +
			"At the end everything is read back and compared with the file. An import that was interrupted can be started again. " +
			"No server may use the database meanwhile; SQLite refuses it by itself.",
		flags: func(fs *flag.FlagSet) func(context.Context, []string) error {
			flags := settingFlags{}.register(fs, "config", "database_url")
			return func(ctx context.Context, args []string) error {
				if len(args) != 1 {
					return &errUsage{"import takes the name of one file that \"parley export\" wrote, or - for standard input", "import"}
				}
				return p.importFile(ctx, flags, args[0])
			}
		},
	}
}

// importFile moves a file into the configured store.
func (p *program) importFile(ctx context.Context, flags settingFlags, name string) error {
	ctx, stop := untilSignal(ctx)
	defer stop()
	cfg, err := p.load(flags)
	if err != nil {
		return err
	}
	if kind := kindOfStore(cfg); kind.read == nil {
		return config.Problems{{
			Where:  cfg.Origin("database_url"),
			Reason: fmt.Sprintf("what %s: keeps ends with this command; name the database to import into, such as sqlite:parley.db", kind.schemes[0]),
		}}
	}
	source, err := p.openSource(ctx, name)
	if err != nil {
		return err
	}
	defer source.file.Close()
	store, err := openTarget(ctx, cfg)
	if err != nil {
		return err
	}
	return errors.Join(p.importFrom(ctx, source, store), store.Close())
}

// A source is what is imported.
type source struct {
	name string
	file *os.File
	r    *archiveReader // of the file
	size int64          // 0 where it is not known
}

// openSource opens a file, or standard input, and checks what can be checked
// before anything is imported: all of a file, and the first line of a pipe.
func (p *program) openSource(ctx context.Context, name string) (*source, error) {
	s := &source{name: "standard input", file: os.Stdin}
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		s.name, s.file = name, file
	}
	s.r = newArchiveReader(s.file)
	if err := p.check(ctx, s); err != nil {
		s.file.Close()
		return nil, err
	}
	return s, nil
}

func (p *program) check(ctx context.Context, s *source) error {
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		if _, err := s.r.next(); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		return nil
	}
	s.size = info.Size()
	if err := p.read(ctx, s, "Checking", func(entry) error { return nil }); err != nil {
		return err
	}
	_, err = s.file.Seek(0, io.SeekStart)
	s.r = newArchiveReader(s.file)
	return err
}

// read calls each with the lines of a source.
func (p *program) read(ctx context.Context, s *source, what string, each func(entry) error) error {
	shown := newProgress(p.stderr, what, "bytes", 0, s.size)
	defer shown.end()
	for {
		e, err := s.r.next()
		switch {
		case ctx.Err() != nil:
			return errStopped
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if err := each(e); err != nil {
			return err
		}
		shown.at(s.r.offset)
	}
}

var errStopped = errors.New("the import was stopped; start it again to go on")

// openTarget opens the configured store to import into it.
func openTarget(ctx context.Context, cfg *config.Config) (parley.Archive, error) {
	store, err := openStore(ctx, cfg, slog.New(slog.DiscardHandler))
	switch {
	case errors.Is(err, sqlite.ErrInUse):
		return nil, fmt.Errorf("a server uses the database (%w); stop it and start the import again, or import into another file", err)
	case err != nil:
		return nil, misplaced(cfg, "database_url", fmt.Errorf("cannot open the database that DATABASE_URL names: %w", err))
	}
	archive, ok := store.(parley.Archive)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%s cannot be imported into", kindOfStore(cfg).name), store.Close())
	}
	return archive, nil
}

// importFrom moves a source into a store, and compares the two at the end.
func (p *program) importFrom(ctx context.Context, s *source, store parley.Archive) error {
	target := &target{ctx: ctx, store: store, secrets: map[string][]byte{}}
	err := p.read(ctx, s, "Importing", target.add)
	switch {
	case ctx.Err() != nil:
		return errStopped
	case err != nil:
		return err
	}
	var kept tally
	moved := s.r.tally
	shown := newProgress(p.stderr, "Comparing", "records", 0, moved.count())
	err = walk(ctx, store, mark{}, func(e entry) error {
		shown.at(kept.count())
		return kept.add(e)
	})
	shown.end()
	switch {
	case ctx.Err() != nil:
		return errStopped
	case err != nil:
		return fmt.Errorf("compare the database with the file: %w; start the import again", err)
	}
	if kept != moved {
		return differ(moved, kept)
	}
	_, err = fmt.Fprintf(p.stdout, "Imported and checked: %s.\n", moved)
	return err
}

// differ says what a store has that is not in the file, or the other way round.
func differ(moved, kept tally) error {
	if kept.Turns == moved.Turns && kept.Submissions == moved.Submissions && kept.Secrets == moved.Secrets {
		return fmt.Errorf("the database and the file have %s each, but they are not the same: under a number or an id of the file the database had something else before, which stayed", moved)
	}
	return fmt.Errorf("the database has %s, and the file %s. The import left what was in the database before, "+
		"and a server that uses it may have added or swept something; import into an empty database to have them the same", kept, moved)
}

// A target is a store that is imported into.
type target struct {
	ctx     context.Context // of the import
	store   parley.Archive
	secrets map[string][]byte
	turns   []parley.Record // to be restored together
	size    int             // of their prompts, in bytes
}

// How many turns are restored together, and how many bytes of prompts.
const (
	restoreTurns = 500
	restoreBytes = 4 << 20
)

// add takes a line of the file over.
func (t *target) add(e entry) error {
	switch {
	case e.Secret != nil:
		t.secrets[string(e.Secret.Name)] = e.Secret.Value
	case e.Next != nil:
		return t.restoreSecrets() // they stand before the first mark
	case e.Turn != nil:
		t.turns = append(t.turns, e.Turn.record())
		t.size += len(e.Turn.Prompt)
		if len(t.turns) >= restoreTurns || t.size >= restoreBytes {
			return t.restoreTurns()
		}
	case e.Submission != nil:
		if err := t.restoreTurns(); err != nil {
			return err
		}
		if _, err := t.store.Submit(t.ctx, e.Submission.submission()); err != nil {
			return again(fmt.Errorf("keep a submission: %w", err))
		}
	case e.End != nil:
		return t.restoreTurns()
	}
	return nil
}

// again says what to do about an error.
func again(err error) error {
	return fmt.Errorf("%w; start the import again when that is mended: what is there stays", err)
}

// restoreTurns keeps the turns that have come.
func (t *target) restoreTurns() error {
	if len(t.turns) == 0 {
		return nil
	}
	if err := t.store.Restore(t.ctx, t.turns); err != nil {
		return again(fmt.Errorf("keep turns: %w", err))
	}
	t.turns, t.size = t.turns[:0], 0
	return nil
}

// restoreSecrets keeps the secrets, unless there are others.
func (t *target) restoreSecrets() error {
	if t.secrets == nil { // it did
		return nil
	}
	kept, err := t.store.Secrets(t.ctx)
	if err != nil {
		return again(fmt.Errorf("read the secrets: %w", err))
	}
	if others := otherSecrets(kept, t.secrets); len(others) > 0 {
		return fmt.Errorf("the database has secrets of its own (%s), because a server has used it; import into an empty database", strings.Join(others, ", "))
	}
	for _, name := range slices.Sorted(maps.Keys(t.secrets)) {
		if err := t.store.RestoreSecret(t.ctx, name, t.secrets[name]); err != nil {
			return again(fmt.Errorf("keep a secret: %w", err))
		}
	}
	t.secrets = nil
	return nil
}

// otherSecrets returns the names, in quotes, of the secrets that a file has not,
// or has with another value.
func otherSecrets(kept, file map[string][]byte) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(kept)) {
		if !bytes.Equal(kept[name], file[name]) {
			names = append(names, fmt.Sprintf("%q", name))
		}
	}
	return names
}
