package sqlite_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/store/sqlite"
)

// TestAFileThatIsGoneIsNotWrittenTo deletes and replaces the database of a
// store that is open: what it would write then is found by nobody.
func TestAFileThatIsGoneIsNotWrittenTo(t *testing.T) {
	for name, harm := range map[string]func(path string) error{
		"deleted":  os.Remove,
		"moved":    func(path string) error { return os.Rename(path, path+".old") },
		"replaced": func(path string) error { return os.WriteFile(path+".new", nil, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "parley.db")
			store, err := sqlite.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			finish := func(prompt string) error {
				begun, err := store.Begin(t.Context(), parley.NewTurn{Session: "s", Prompt: prompt, Time: time.Now()})
				if err != nil {
					return err
				}
				return store.Finish(t.Context(), begun.Record, parley.Text("Hi"), time.Now())
			}
			if err := finish("before"); err != nil {
				t.Fatalf("before, a turn is finished with %v", err)
			}
			if err := harm(path); err != nil {
				t.Fatal(err)
			}
			if name == "replaced" {
				if err := os.Rename(path+".new", path); err != nil {
					t.Fatal(err)
				}
			}
			if err := finish("after"); err == nil {
				t.Error("a turn was acknowledged that nobody will find")
			}
			select {
			case <-store.Broken():
			default:
				t.Error("the store does not say that it is broken")
			}
		})
	}
}
