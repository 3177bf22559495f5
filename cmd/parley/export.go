package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/parley-chat/parley"
)

func (p *program) exportCommand() command {
	return command{
		name:    "export",
		summary: "Write all that the database keeps to a file, for another database",
		about: "It writes finished turns, submissions and secrets as JSON Lines, which \"parley import\" reads into a database of any kind. " +
			"A server may go on using the database; what it finishes meanwhile may be in the file or not, so stop it first to move everything. " +
			"The file is as secret as the database.",
		flags: func(fs *flag.FlagSet) func(context.Context, []string) error {
			flags := settingFlags{}.register(fs, "config", "database_url")
			output := fs.String("output", "", "Write to this `FILE`, which must not exist, and to standard output without it.")
			resume := fs.Bool("resume", false, "Go on with a FILE whose export was interrupted; where there is none, begin.")
			return func(ctx context.Context, _ []string) error {
				return p.export(ctx, flags, *output, *resume)
			}
		},
	}
}

// export writes what the configured store keeps.
func (p *program) export(ctx context.Context, flags settingFlags, output string, resume bool) error {
	if resume && output == "" {
		return &errUsage{"--resume goes on with a file; name it with --output FILE", "export"}
	}
	ctx, stop := untilSignal(ctx)
	defer stop()
	cfg, store, err := p.openForReading(ctx, flags)
	if err != nil {
		return err
	}
	defer store.Close()
	archive, ok := store.(parley.Archive)
	if !ok {
		return fmt.Errorf("what %s keeps cannot be exported", kindOfStore(cfg).name)
	}
	x := &export{store: archive, kind: kindOfStore(cfg).name, stderr: p.stderr}
	if output == "" {
		return x.write(ctx, p.stdout)
	}
	return x.writeFile(ctx, output, resume)
}

// An export is one on its way.
type export struct {
	store  parley.Archive
	kind   string // of the store
	stderr io.Writer

	from mark // where it begins
}

// writeFile writes to a new file, or goes on with one.
func (x *export) writeFile(ctx context.Context, name string, resume bool) error {
	how := os.O_RDWR | os.O_CREATE | os.O_EXCL
	if resume {
		how = os.O_RDWR | os.O_CREATE
	}
	file, err := os.OpenFile(name, how, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already; write --resume to go on with it, or name another file", name)
	} else if err != nil {
		return err
	}
	defer file.Close()
	if resume {
		done, err := x.resume(ctx, file)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if done {
			fmt.Fprintf(x.stderr, "%s is complete.\n", name)
			return nil
		}
	}
	if err := x.write(ctx, file); err != nil {
		return fmt.Errorf("%w; to go on, run parley export --resume --output %s", err, name)
	}
	return errors.Join(file.Sync(), file.Close())
}

// resume cuts a file behind the last mark from which it can go on, and reports
// whether it is complete.
func (x *export) resume(ctx context.Context, file *os.File) (done bool, err error) {
	r := newArchiveReader(file)
	secrets := map[string][]byte{}
	end := int64(0)
	for err == nil {
		var e entry
		e, err = r.next()
		switch {
		case err != nil:
		case e.Secret != nil:
			secrets[string(e.Secret.Name)] = e.Secret.Value
		case e.Next != nil:
			x.from, end = *e.Next, r.offset
		}
	}
	if err == io.EOF {
		return true, nil
	}
	if cut := torn(""); !errors.As(err, &cut) {
		return false, err
	}
	if end > 0 {
		if err := x.sameStore(ctx, r.start.Store, secrets); err != nil {
			return false, err
		}
		fmt.Fprintf(x.stderr, "Going on behind %s.\n", x.from.Before)
	}
	if err := file.Truncate(end); err != nil {
		return false, err
	}
	_, err = file.Seek(end, io.SeekStart)
	return false, err
}

// sameStore checks that a file is of the store that is to be exported.
func (x *export) sameStore(ctx context.Context, kind string, secrets map[string][]byte) error {
	kept, err := x.store.Secrets(ctx)
	if err != nil {
		return fmt.Errorf("read the secrets: %w", err)
	}
	if kind != x.kind || len(otherSecrets(kept, secrets)) > 0 || len(kept) != len(secrets) {
		return errors.New("this is the export of another database; name that one with DATABASE_URL, or another file")
	}
	return nil
}

// write writes from where the export begins to its end.
func (x *export) write(ctx context.Context, w io.Writer) error {
	fmt.Fprintln(x.stderr, "The export contains conversations and secrets: keep it where nobody else can read it.")
	out := &archiveWriter{w: bufio.NewWriterSize(w, 1<<16), tally: x.from.Before}
	if x.from.Of == "" {
		begin := &heading{Version: archiveVersion, Store: x.kind, Time: time.Now().UTC().Truncate(time.Second)}
		if err := out.write(entry{Start: begin}); err != nil {
			return err
		}
	}
	shown := newProgress(x.stderr, "Exporting", "records", x.from.Before.count(), 0)
	err := walk(ctx, x.store, x.from, func(e entry) error {
		shown.at(out.tally.count())
		return out.write(e)
	})
	shown.end()
	switch {
	case ctx.Err() != nil:
		return errors.New("the export was stopped")
	case err != nil:
		return err
	}
	end := out.tally
	if err := out.write(entry{End: &end}); err != nil {
		return err
	}
	fmt.Fprintf(x.stderr, "Exported %s.\n", end)
	return nil
}
