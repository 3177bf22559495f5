package main

import (
	"flag"
	"slices"

	"github.com/parley-chat/parley/cmd/parley/internal/config"
	"github.com/parley-chat/parley/cmd/parley/internal/site"
)

// settingFlags are the flags of settings that were given, by name.
type settingFlags map[string]string

// register adds flags for the named settings, or for all of them.
func (f settingFlags) register(fs *flag.FlagSet, names ...string) settingFlags {
	for _, s := range config.All() {
		if len(names) == 0 || slices.Contains(names, s.Name) {
			fs.Var(settingFlag{f, s}, s.Flag(), s.Help)
		}
	}
	return f
}

// settingFlag notes what is given for a setting; package config reads it.
type settingFlag struct {
	given   settingFlags
	setting config.Setting
}

func (f settingFlag) Set(text string) error {
	f.given[f.setting.Flag()] = text
	return nil
}

func (f settingFlag) String() string   { return "" }
func (f settingFlag) IsBoolFlag() bool { return f.setting.IsSwitch() }

// load reads the configuration.
func (p *program) load(flags settingFlags) (*config.Config, error) {
	return config.Load(config.Sources{
		Flags:    flags,
		Environ:  p.environ,
		Stores:   storeSchemes(),
		Services: services,
		Sample:   site.SampleYAML,
	})
}
