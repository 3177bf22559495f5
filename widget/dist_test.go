package widget_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestDistIsFresh builds the widget anew and compares: nobody reads a bundle,
// so a machine has to say that it is what its sources say.
func TestDistIsFresh(t *testing.T) {
	target := t.TempDir()
	build := exec.Command("go", "-C", "../tools", "run", "./bundle", "../widget/src", target)
	if output, err := build.CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("build the widget: %v\n%s", err, output)
		}
		t.Skipf("NOT CHECKED, because the tools cannot be built here: %v\n%s", err, output)
	}
	built := list(t, target)
	if committed := list(t, "dist"); len(committed) != len(built) {
		t.Errorf("dist has %d files; the bundler writes %d", len(committed), len(built))
	}
	for _, path := range built {
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(path)
		if got, err := os.ReadFile(filepath.Join("dist", name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("dist/%s is not what src makes: run go generate ./widget (%v)", name, err)
		}
	}
}

func list(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}
