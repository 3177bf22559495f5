package main

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
)

func (p *program) versionCommand() command {
	return command{
		name:    "version",
		summary: "Print the version of Parley, of Go, and the platform",
		flags: func(fs *flag.FlagSet) func(context.Context, []string) error {
			return func(context.Context, []string) error {
				_, err := fmt.Fprintf(p.stdout, "parley %s, %s, %s/%s\n", parleyVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
				return err
			}
		},
	}
}

// version is set by the linker in released binaries.
var version string

// parleyVersion returns the version that was released, or as much as the Go
// command noted of a build from source.
func parleyVersion() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}
