package server

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// An Edit replaces a text, which must be there once, in the source of a program
// that is to have a flaw. The file itself stays as it is. Where Old is empty, it
// is a file that is not there, and has New in it.
type Edit struct{ File, Old, New string }

// Build compiles a command and returns the path of the program. Paths are seen
// from the folder of the test, such as "../../cmd/parley".
func Build(t testing.TB, folder string, edits ...Edit) string {
	t.Helper()
	return BuildIn(t, t.TempDir(), folder, edits...)
}

// BuildIn is Build into a directory, which outlives the test if that does.
func BuildIn(t testing.TB, dir, folder string, edits ...Edit) string {
	t.Helper()
	program := filepath.Join(dir, filepath.Base(folder))
	build := exec.Command("go", "build", "-overlay", overlay(t, dir, edits), "-o", program, ".")
	build.Dir = folder
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", folder, err, out)
	}
	return program
}

// overlay writes the edited files into dir, and the file that tells the go
// command to take them, whose path it returns.
func overlay(t testing.TB, dir string, edits []Edit) string {
	t.Helper()
	replace := map[string]string{}
	for i, edit := range edits {
		path, err := filepath.Abs(edit.File)
		if err != nil {
			t.Fatal(err)
		}
		source := []byte(nil)
		if edit.Old != "" {
			current := path
			if edited, ok := replace[path]; ok {
				current = edited
			}
			if source, err = os.ReadFile(current); err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(source), edit.Old); n != 1 {
				t.Fatalf("%q is %d times in %s; want it once", edit.Old, n, edit.File)
			}
		}
		replace[path] = filepath.Join(dir, fmt.Sprintf("edit%d%s", i, filepath.Ext(path)))
		write(t, replace[path], []byte(strings.Replace(string(source), edit.Old, edit.New, 1)))
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "overlay.json")
	write(t, path, data)
	return path
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
