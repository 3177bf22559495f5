package main

import (
	"testing"

	"github.com/evanw/esbuild/pkg/api"
)

// TestReactExampleBuilds bundles the example as its readers would, but for
// React itself.
func TestReactExampleBuilds(t *testing.T) {
	result := api.Build(api.BuildOptions{
		EntryPoints: []string{"../../examples/react/App.tsx"},
		Bundle:      true,
		Format:      api.FormatESModule,
		JSX:         api.JSXAutomatic,
		External:    []string{"react", "react/jsx-runtime"},
	})
	for _, message := range append(result.Errors, result.Warnings...) {
		t.Errorf("%+v: %s", message.Location, message.Text)
	}
	if len(result.OutputFiles) != 1 || len(result.OutputFiles[0].Contents) == 0 {
		t.Errorf("%d files were built; want one with something in it", len(result.OutputFiles))
	}
}
