package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/cmd/parley/internal/config"
)

func (p *program) submissionsListCommand() command {
	return command{
		name:    "submissions list",
		summary: "Show what visitors filled into forms, the newest last",
		about:   "It reads the database of DATABASE_URL, whether or not a server uses it.",
		flags: func(fs *flag.FlagSet) func(context.Context, []string) error {
			flags := settingFlags{}.register(fs, "config", "database_url")
			form := fs.String("form", "", "Show this `FORM` only, by its id; the contact form is contact.")
			limit := fs.Int("limit", 50, "Show the newest `NUMBER` only.")
			return func(ctx context.Context, _ []string) error {
				return p.listSubmissions(ctx, flags, *form, *limit)
			}
		},
	}
}

func (p *program) submissionsExportCommand() command {
	return command{
		name:    "submissions export",
		summary: "Write what visitors filled into forms as CSV or JSON",
		about: "CSV has a column for each field and is safe to open in a spreadsheet: a cell that begins like a formula " +
			"gets a ' before it. JSON has everything as it was sent. It reads the database of DATABASE_URL, whether or not a server uses it.",
		flags: func(fs *flag.FlagSet) func(context.Context, []string) error {
			flags := settingFlags{}.register(fs, "config", "database_url")
			format := fs.String("format", "csv", "Write csv or json; `FORMAT` is one of the two.")
			form := fs.String("form", "", "Write this `FORM` only, by its id; the contact form is contact.")
			output := fs.String("output", "", "Write to this `FILE`, and to standard output without it.")
			return func(ctx context.Context, _ []string) error {
				return p.exportSubmissions(ctx, flags, *format, *form, *output)
			}
		},
	}
}

func (p *program) listSubmissions(ctx context.Context, flags settingFlags, form string, limit int) error {
	if limit < 1 {
		return &errUsage{"--limit is the number of submissions to show; write --limit 50", "submissions list"}
	}
	cfg, store, err := p.openForReading(ctx, flags)
	if err != nil {
		return err
	}
	defer store.Close()
	var newest []parley.Submission
	for s, err := range submissions(ctx, store, form) {
		if err != nil {
			return err
		}
		newest = append(newest, s)
		newest = newest[max(0, len(newest)-limit):]
	}
	switch known := slices.Sorted(maps.Keys(cfg.AllForms())); {
	case len(newest) == 0 && form != "" && !slices.Contains(known, form):
		return &errUsage{fmt.Sprintf("there are no submissions of a form %q; the forms are %s", form, strings.Join(known, ", ")), "submissions list"}
	case len(newest) == 0:
		_, err := fmt.Fprintln(p.stdout, "There are no submissions.")
		return err
	}
	table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "TIME\tFORM\tVALUES")
	for _, s := range newest {
		fmt.Fprintf(table, "%s\t%s\t%s\n", s.Time.Local().Format("2006-01-02 15:04"), printable(s.Form), summary(s, fieldOrder(cfg, s.Form)))
	}
	return table.Flush()
}

// summary returns the values of a submission in one line.
func summary(s parley.Submission, order []string) string {
	var parts []string
	for _, id := range columns(order, s.Values) {
		parts = append(parts, shorten(printable(id+": "+text(s.Values[id])), 60))
	}
	return strings.Join(parts, " | ")
}

// printable returns what visitors wrote without what a terminal would obey.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}

func shorten(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

func (p *program) exportSubmissions(ctx context.Context, flags settingFlags, format, form, output string) error {
	write, ok := map[string]func(context.Context, io.Writer, *config.Config, parley.SubmissionStore, string) error{
		"csv":  writeCSV,
		"json": writeJSON,
	}[format]
	if !ok {
		return &errUsage{fmt.Sprintf("%q is not a format; write --format csv or --format json", format), "submissions export"}
	}
	cfg, store, err := p.openForReading(ctx, flags)
	if err != nil {
		return err
	}
	defer store.Close()
	if output == "" {
		return write(ctx, p.stdout, cfg, store, form)
	}
	file, err := os.OpenFile(output, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) // what visitors sent is private
	if err != nil {
		return err
	}
	return errors.Join(write(ctx, file, cfg, store, form), file.Close())
}

// openForReading opens the configured store for reading.
func (p *program) openForReading(ctx context.Context, flags settingFlags) (*config.Config, parley.Store, error) {
	cfg, err := p.load(flags)
	if err != nil {
		return nil, nil, err
	}
	store, err := readStore(ctx, cfg, slog.New(slog.DiscardHandler))
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("there is no database yet: start the server, or name another database with DATABASE_URL (%w)", err)
	}
	return cfg, store, err
}

// submissions yields what a store has of one form, or of all, in the order of
// arrival. It reads in parts, so that any number fits into memory.
func submissions(ctx context.Context, store parley.SubmissionStore, form string) iter.Seq2[parley.Submission, error] {
	const batch = 500
	return func(yield func(parley.Submission, error) bool) {
		after := int64(0)
		for {
			part, err := store.Submissions(ctx, form, after, batch)
			if err != nil {
				yield(parley.Submission{}, fmt.Errorf("read the submissions: %w", err))
				return
			}
			for _, s := range part {
				if !yield(s, nil) {
					return
				}
				after = s.Seq
			}
			if len(part) < batch {
				return
			}
		}
	}
}

// fieldOrder returns the fields of a form, or of all forms, in the order in
// which they are declared.
func fieldOrder(cfg *config.Config, form string) []string {
	forms := cfg.AllForms()
	var order []string
	for _, id := range slices.Sorted(maps.Keys(forms)) {
		for _, field := range forms[id].Fields {
			if (form == "" || form == id) && !slices.Contains(order, field.ID) {
				order = append(order, field.ID)
			}
		}
	}
	return order
}

// columns returns the field ids of values, those in order first and in order,
// then the ones that are no longer declared.
func columns[V any](order []string, values map[string]V) []string {
	rank := func(id string) int {
		if i := slices.Index(order, id); i >= 0 {
			return i
		}
		return len(order)
	}
	return slices.SortedFunc(maps.Keys(values), func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a, b))
	})
}

// text returns a value of a submission as text.
func text(value any) string {
	if list, ok := value.([]string); ok {
		return strings.Join(list, ", ")
	}
	return fmt.Sprint(value)
}
