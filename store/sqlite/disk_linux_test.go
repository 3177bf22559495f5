package sqlite_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/store/sqlite"
)

// diskEnv names the directory in which a test binary finds its disk failing.
const diskEnv = "SQLITE_TEST_DISK"

// another runs a test of this binary as another process, which finds a
// directory in diskEnv.
func another(t *testing.T, test, dir string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], "-test.run=^"+test+"$", "-test.v")
	cmd.Env = append(os.Environ(), diskEnv+"="+dir)
	return cmd
}

// TestIOErrorEndsAllWriting has a write fail: no file of another process may
// grow past a limit.
func TestIOErrorEndsAllWriting(t *testing.T) {
	dir := t.TempDir()
	out, err := another(t, "TestIOError", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("the other process: %v\n%s", err, out)
	}
	acknowledged := strings.Count(string(out), "acknowledged\n")
	kept := len(prompts(t, open(t, filepath.Join(dir, "parley.db")), "s"))
	// What was under way when it happened may be there or not.
	if kept < acknowledged || kept > acknowledged+1 {
		t.Errorf("%d turns were acknowledged, and %d are there; want all of them", acknowledged, kept)
	}
}

// TestIOError is the other process.
func TestIOError(t *testing.T) {
	dir, ok := os.LookupEnv(diskEnv)
	if !ok {
		t.Skip("is run by TestIOErrorEndsAllWriting")
	}
	store, err := sqlite.Open(filepath.Join(dir, "parley.db"))
	if err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 200 << 10, Max: 200 << 10}); err != nil {
		t.Fatal(err)
	}
	var failure error
	for i := 0; failure == nil; i++ {
		if i == 1000 {
			t.Fatal("1000 turns were finished; want the disk to fail before that")
		}
		if failure = finish(t, store, begin(t, store, message("s", fmt.Sprint("prompt ", i)))); failure == nil {
			os.Stdout.WriteString("acknowledged\n")
		}
	}
	if !strings.Contains(failure.Error(), "disk I/O error") || !strings.Contains(failure.Error(), dir) {
		t.Errorf("Finish returned %v; want an I/O error with the path", failure)
	}
	var e *parley.Error
	if errors.As(failure, &e) {
		t.Errorf("Finish returned an error with the code %q; want none, since this does not pass", e.Code)
	}
	select {
	case err := <-store.Broken():
		if !strings.Contains(err.Error(), "disk I/O error") {
			t.Errorf("Broken received %v; want the I/O error", err)
		}
	case <-time.After(time.Second):
		t.Error("Broken received nothing within a second")
	}
	// Even with room again nothing is acknowledged.
	for method, err := range refusals(t, store) {
		if err == nil {
			t.Errorf("%s of a broken store returned no error", method)
		}
	}
	if _, err := store.Transcript(t.Context(), parley.Page{Session: "s", Limit: 1}); err == nil {
		t.Error("Transcript of a broken store returned no error")
	}
	if err := store.Close(); err == nil {
		t.Error("Close of a broken store returned no error")
	}
}

// TestFullDiskHeals fills a small file system that another process has for
// itself.
func TestFullDiskHeals(t *testing.T) {
	cmd := another(t, "TestFullDisk", t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if cmd.Process == nil || strings.Contains(string(out), "--- SKIP") {
		t.Skipf("this needs a mount of its own: %v\n%s", err, out)
	}
	if err != nil {
		t.Fatalf("the other process: %v\n%s", err, out)
	}
}

// TestFullDisk is the other process.
func TestFullDisk(t *testing.T) {
	dir, ok := os.LookupEnv(diskEnv)
	if !ok {
		t.Skip("is run by TestFullDiskHeals")
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("mount a file system of 1 MB: %v", err)
	}
	store := open(t, filepath.Join(dir, "parley.db"))
	answer(t, store, "s", "before")
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 2<<20), 0o600); err == nil {
		t.Fatal("2 MB fit on a disk of 1 MB")
	}

	r := begin(t, store, message("s", strings.Repeat("full", 20<<10)))
	for range 3 {
		wantUnavailable(t, finish(t, store, r))
		if got := prompts(t, store, "s"); len(got) != 1 || got[0] != "before" {
			t.Errorf("with a full disk the session has %d finished turns; want to read the one", len(got))
		}
	}
	_, err := store.Submit(t.Context(), parley.Submission{ID: "full", Values: parley.Values{"a": strings.Repeat("full", 20<<10)}})
	wantUnavailable(t, err)

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := finish(t, store, r); err != nil {
		t.Errorf("with room again, Finish returned %v; want nil", err)
	}
	answer(t, store, "s", "after")
	if got := prompts(t, store, "s"); len(got) != 3 || got[2] != "after" {
		t.Errorf("with room again the session has %d finished turns; want 3", len(got))
	}
	if found, err := store.Submissions(t.Context(), "", 0, 10); err != nil || len(found) > 0 {
		t.Errorf("the submissions are %+v, %v; want none, since Submit failed", found, err)
	}
	select {
	case err := <-store.Broken():
		t.Errorf("Broken received %v; want nothing, since a full disk passes", err)
	default:
	}
}
