// Command parley answers the chat of a website. See docs/configuration.md for
// its settings, and run "parley help" for its commands.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/parley-chat/parley/cmd/parley/internal/config"
)

// The exit codes.
const (
	exitOK      = 0
	exitFailure = 1 // something went wrong while running
	exitUsage   = 2 // the command line or the configuration is wrong
)

func main() {
	p := &program{stdout: os.Stdout, stderr: os.Stderr, environ: os.Environ()}
	os.Exit(p.run(context.Background(), os.Args[1:]))
}

// A program is what commands know of the process they run in.
type program struct {
	stdout  io.Writer // results and logs
	stderr  io.Writer // what is said to the person at the terminal
	environ []string
}

// A command is something that parley can be told to do.
type command struct {
	name    string // one word or two: "config check"
	args    string // what follows its flags: "[FILE]"
	summary string // one line
	about   string // what else there is to know; may be empty
	// flags registers the command's flags and returns what runs it with the
	// arguments behind them.
	flags func(fs *flag.FlagSet) func(ctx context.Context, args []string) error
}

// commands returns all commands, in the order in which help lists them.
func (p *program) commands() []command {
	return []command{
		p.serveCommand(),
		p.configCommand(),
		p.configCheckCommand(),
		p.botTestCommand(),
		p.submissionsListCommand(),
		p.submissionsExportCommand(),
		p.exportCommand(),
		p.importCommand(),
		p.backupCommand(),
		p.restoreCommand(),
		p.migrateCommand(),
		p.versionCommand(),
		p.helpCommand(),
	}
}

// errUsage is a command line that cannot be understood.
type errUsage struct {
	reason string
	see    string // the command whose help tells more; empty for all of them
}

func (e *errUsage) Error() string { return e.reason }

// run runs the command line and returns the exit code.
func (p *program) run(ctx context.Context, args []string) int {
	err := p.dispatch(ctx, args)
	var usage *errUsage
	var problems config.Problems
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		fmt.Fprintf(p.stderr, "parley: %v\nRun \"%s\" to see what there is.\n", err, strings.TrimSpace("parley help "+usage.see))
		return exitUsage
	case errors.As(err, &problems):
		fmt.Fprintln(p.stderr, problems)
		return exitUsage
	default:
		fmt.Fprintf(p.stderr, "parley: %v\n", err)
		return exitFailure
	}
}

// dispatch finds the command and runs it. Without a command it is serve.
func (p *program) dispatch(ctx context.Context, args []string) error {
	if len(args) == 0 || (strings.HasPrefix(args[0], "-") && !isHelp(args[0]) && !isVersion(args[0])) {
		args = append([]string{"serve"}, args...)
	}
	switch {
	case isHelp(args[0]):
		return p.help(args[1:])
	case isVersion(args[0]):
		args[0] = "version"
	}
	c, rest, err := p.find(args)
	if err != nil {
		return err
	}
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	run := c.flags(fs)
	rest, err = parseFlags(fs, rest)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return p.help(strings.Fields(c.name))
	case err != nil:
		return &errUsage{flagReason(fs, err), c.name}
	case len(rest) > 0 && c.args == "":
		return &errUsage{fmt.Sprintf("%s takes no arguments, and %q is one", c.name, rest[0]), c.name}
	}
	return run(ctx, rest)
}

func isHelp(arg string) bool    { return arg == "-h" || arg == "-help" || arg == "--help" }
func isVersion(arg string) bool { return arg == "-v" || arg == "-version" || arg == "--version" }

// find returns the command that args begin with, and the rest of them.
func (p *program) find(args []string) (command, []string, error) {
	var names, longer []string
	var found *command
	words := 0
	for _, c := range p.commands() {
		names = append(names, c.name)
		fields := strings.Fields(c.name)
		switch n := len(fields); {
		case n <= len(args) && strings.Join(args[:n], " ") == c.name && n > words:
			found, words = &c, n
		case n > 1 && fields[0] == args[0]:
			longer = append(longer, c.name)
		}
	}
	if found != nil {
		return *found, args[words:], nil
	}
	if len(longer) > 0 {
		return command{}, nil, &errUsage{fmt.Sprintf("%s needs to know what to do: write %s", args[0], strings.Join(longer, " or ")), ""}
	}
	reason := fmt.Sprintf("there is no command %q", args[0])
	if meant := config.Suggest(args[0], names); meant != "" {
		reason += fmt.Sprintf("; did you mean %q?", meant)
	}
	return command{}, nil, &errUsage{reason, ""}
}

// parseFlags parses flags before, between and behind the arguments, and returns
// the arguments. What stands behind "--" is no flag.
func parseFlags(fs *flag.FlagSet, args []string) ([]string, error) {
	var rest []string
	for {
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		parsed := len(args) - fs.NArg()
		if fs.NArg() == 0 || (parsed > 0 && args[parsed-1] == "--") {
			return append(rest, fs.Args()...), nil
		}
		rest, args = append(rest, fs.Arg(0)), fs.Args()[1:]
	}
}

// flagReason says what is wrong with a flag, and what was probably meant.
func flagReason(fs *flag.FlagSet, err error) string {
	if name, ok := strings.CutPrefix(err.Error(), "flag needs an argument: -"); ok {
		return fmt.Sprintf("--%s needs a value; write --%s=…", name, name)
	}
	name, unknown := strings.CutPrefix(err.Error(), "flag provided but not defined: -")
	if !unknown {
		return strings.Replace(err.Error(), "flag -", "--", 1)
	}
	if file := name + "-file"; fs.Lookup(file) != nil {
		return fmt.Sprintf("there is no flag --%s, because everybody on this computer can see flags; write --%s with the name of a file that holds it", name, file)
	}
	var known []string
	fs.VisitAll(func(f *flag.Flag) { known = append(known, f.Name) })
	if meant := config.Suggest(name, known); meant != "" {
		return fmt.Sprintf("there is no flag --%s; did you mean --%s?", name, meant)
	}
	return fmt.Sprintf("there is no flag --%s", name)
}
