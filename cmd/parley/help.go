package main

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/parley-chat/parley/cmd/parley/internal/config"
)

func (p *program) helpCommand() command {
	return command{
		name:    "help",
		args:    "[COMMAND]",
		summary: "Tell what a command does, and its flags",
		flags: func(fs *flag.FlagSet) func(context.Context, []string) error {
			return func(_ context.Context, args []string) error { return p.help(args) }
		},
	}
}

// help tells about a command, or about all of them.
func (p *program) help(args []string) error {
	if len(args) == 0 {
		return p.helpAll()
	}
	c, rest, err := p.find(args)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return &errUsage{fmt.Sprintf("there is no command %q", strings.Join(args, " ")), ""}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s.\n\nUsage: parley %s [FLAGS]", c.summary, c.name)
	if c.args != "" {
		b.WriteString(" " + c.args)
	}
	b.WriteString("\n")
	if c.about != "" {
		b.WriteString("\n" + config.Wrap(c.about, 80, ""))
	}
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	c.flags(fs)
	b.WriteString(ownFlags(fs))
	b.WriteString(flagsOfSettings(fs))
	_, err = fmt.Fprint(p.stdout, b.String())
	return err
}

// helpAll lists the commands.
func (p *program) helpAll() error {
	fmt.Fprint(p.stdout, "Parley answers the chat of a website.\n\nUsage: parley [COMMAND] [FLAGS]\n\n")
	table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	for _, c := range p.commands() {
		fmt.Fprintf(table, "  %s\t%s\n", strings.TrimSpace(c.name+" "+c.args), c.summary)
	}
	fmt.Fprint(table, "\n\"parley help serve\" lists the settings, and \"parley help COMMAND\" tells more of a command.\n"+
		"Exit codes: 0 all went well, 1 something failed, 2 the command line or the configuration is wrong.\n")
	return table.Flush()
}

// ownFlags lists the flags that are no settings.
func ownFlags(fs *flag.FlagSet) string {
	var b strings.Builder
	fs.VisitAll(func(f *flag.Flag) {
		if _, ok := f.Value.(settingFlag); ok {
			return
		}
		value, usage := flag.UnquoteUsage(f)
		b.WriteString(flagHelp(f.Name+" "+value, usage, f.DefValue))
	})
	return b.String()
}

// flagsOfSettings lists the flags that are settings, under their headings.
func flagsOfSettings(fs *flag.FlagSet) string {
	var b strings.Builder
	group := ""
	for _, s := range config.All() {
		if f := fs.Lookup(s.Flag()); f == nil {
			continue
		}
		if s.Group != group {
			group = s.Group
			b.WriteString("\n" + group + "\n")
		}
		b.WriteString(flagHelp(s.Usage(), s.Help, strings.Trim(s.Env+", "+s.Default, ", ")))
	}
	return b.String()
}

// flagHelp returns the help for one flag: how it is written, what else there is
// to know of it in brackets, and what it does below.
func flagHelp(flag, usage, extra string) string {
	if extra != "" {
		extra = "  (" + extra + ")"
	}
	return "\n  --" + strings.TrimSpace(flag) + extra + "\n" + config.Wrap(usage, 80, "      ")
}
