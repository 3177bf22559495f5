package main

import (
	"context"
	"flag"
	"fmt"
	"strings"

	"github.com/parley-chat/parley/cmd/parley/internal/config"
)

func (p *program) configCommand() command {
	return command{
		name:    "config",
		summary: "Print every setting with what it does, as a parley.yaml to start from",
		about:   "What it prints is a configuration that works: parley config > parley.yaml",
		flags: func(fs *flag.FlagSet) func(context.Context, []string) error {
			return func(context.Context, []string) error {
				_, err := fmt.Fprint(p.stdout, config.Reference())
				return err
			}
		},
	}
}

func (p *program) configCheckCommand() command {
	return command{
		name:    "config check",
		args:    "[FILE]",
		summary: "Check the configuration, and run the tests of its rules",
		about: "It reads the settings from all their places, as serve does, and tells all that is wrong. " +
			"Without FILE it checks parley.yaml.",
		flags: func(fs *flag.FlagSet) func(context.Context, []string) error {
			flags := settingFlags{}.register(fs)
			return func(_ context.Context, args []string) error { return p.checkConfig(flags, args) }
		},
	}
}

func (p *program) checkConfig(flags settingFlags, args []string) error {
	if len(args) > 1 {
		return &errUsage{fmt.Sprintf("config check takes one file, and %q is another", args[1]), "config check"}
	}
	if len(args) == 1 {
		flags["config"] = args[0]
	}
	cfg, err := p.load(flags)
	if err != nil {
		return err
	}
	for _, w := range cfg.Warnings {
		fmt.Fprintln(p.stderr, "warning:", w)
	}
	if failed := cfg.Test(); len(failed) > 0 {
		return failed
	}
	_, err = fmt.Fprintln(p.stdout, checked(cfg))
	return err
}

// checked says in one line what was found to be right.
func checked(cfg *config.Config) string {
	switch {
	case cfg.Sample && cfg.ConfigFile == "":
		return fmt.Sprintf("The configuration is fine. There is no %s, so the sample rules answer.", config.DefaultFile)
	case cfg.Sample:
		return fmt.Sprintf("%s is fine: no rules, so the sample rules answer; %s.", cfg.ConfigFile, count(len(cfg.Forms), "form"))
	}
	said := "The configuration is fine."
	if cfg.ConfigFile != "" {
		parts := []string{count(cfg.RuleCount(), "rule"), count(len(cfg.Forms), "form"), count(cfg.TestCount(), "test") + " passed"}
		said = cfg.ConfigFile + " is fine: " + strings.Join(parts, ", ") + "."
	}
	if cfg.AsksServices() {
		said += " Answers come from " + botLine(cfg) + "."
	}
	return said
}
