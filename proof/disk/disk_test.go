package disk_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/parley-chat/parley/proof/disk"
)

// TestCut holds the model against what each step promises to survive.
func TestCut(t *testing.T) {
	disk.Require(t)
	long, other := strings.Repeat("a", 5000), strings.Repeat("b", 5000)
	tests := []struct {
		name string
		do   func(t *testing.T, d *disk.Disk, f *os.File, dir *os.File)
		want string // the content after the cut; "none" for no file
	}{
		{"nothing synced", func(t *testing.T, d *disk.Disk, f, dir *os.File) {
			write(t, f, long, 0)
		}, "none"},
		{"the file synced, its name not", func(t *testing.T, d *disk.Disk, f, dir *os.File) {
			write(t, f, long, 0)
			sync(t, f)
		}, "none"},
		{"the name synced, the file not", func(t *testing.T, d *disk.Disk, f, dir *os.File) {
			write(t, f, long, 0)
			sync(t, dir)
		}, ""},
		{"both synced", func(t *testing.T, d *disk.Disk, f, dir *os.File) {
			write(t, f, long, 0)
			sync(t, f, dir)
		}, long},
		{"overwritten after the sync", func(t *testing.T, d *disk.Disk, f, dir *os.File) {
			write(t, f, long, 0)
			sync(t, f, dir)
			write(t, f, other, 100)
		}, long},
		{"overwritten before the sync", func(t *testing.T, d *disk.Disk, f, dir *os.File) {
			write(t, f, long, 0)
			sync(t, f, dir)
			write(t, f, other, 100)
			sync(t, f)
		}, long[:100] + other},
		{"truncated after the sync", func(t *testing.T, d *disk.Disk, f, dir *os.File) {
			write(t, f, long, 0)
			sync(t, f, dir)
			truncate(t, f, 10)
		}, long},
		{"truncated and grown before the sync", func(t *testing.T, d *disk.Disk, f, dir *os.File) {
			write(t, f, long, 0)
			sync(t, f, dir)
			truncate(t, f, 10)
			truncate(t, f, 1000)
			sync(t, f)
		}, long[:10] + strings.Repeat("\x00", 990)},
		{"removed after the sync", func(t *testing.T, d *disk.Disk, f, dir *os.File) {
			write(t, f, long, 0)
			sync(t, f, dir)
			remove(t, f)
		}, long},
		{"removed before the sync", func(t *testing.T, d *disk.Disk, f, dir *os.File) {
			write(t, f, long, 0)
			sync(t, f, dir)
			remove(t, f)
			sync(t, dir)
		}, "none"},
		{"synced again after a sync that failed", func(t *testing.T, d *disk.Disk, f, dir *os.File) {
			write(t, f, long, 0)
			sync(t, f, dir)
			write(t, f, other, 0)
			d.SetFault(func(op disk.Op, name string) syscall.Errno {
				if op == disk.Sync {
					return syscall.EIO
				}
				return 0
			})
			if err := f.Sync(); !errors.Is(err, syscall.EIO) {
				t.Errorf("the sync returned %v; want the injected EIO", err)
			}
			d.SetFault(nil)
			sync(t, f)
		}, long},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := disk.New()
			use(t, d, test.do)
			d.Cut(0)
			if got := content(t, d); got != test.want {
				t.Errorf("after the cut: %.20q… (%d bytes); want %.20q… (%d bytes)", got, len(got), test.want, len(test.want))
			}
		})
	}
}

// TestCutKeepsAPart cuts between writes and their sync, with luck.
func TestCutKeepsAPart(t *testing.T) {
	disk.Require(t)
	const sectors = 1000
	d := disk.New()
	use(t, d, func(t *testing.T, d *disk.Disk, f, dir *os.File) {
		write(t, f, strings.Repeat("a", 512*sectors), 0)
		sync(t, f, dir)
		write(t, f, strings.Repeat("b", 512*sectors), 0)
	})
	d.Cut(0.5)
	got := content(t, d)
	kept := strings.Count(got, strings.Repeat("b", 512))
	if lost := strings.Count(got, strings.Repeat("a", 512)); kept+lost != sectors || kept < sectors/4 || lost < sectors/4 {
		t.Errorf("%d sectors kept, %d lost; want about half of %d each, none mixed", kept, lost, sectors)
	}
}

// use mounts d and lets do work with a new file in its directory.
func use(t *testing.T, d *disk.Disk, do func(t *testing.T, d *disk.Disk, f, dir *os.File)) {
	t.Helper()
	mnt := t.TempDir()
	unmount, err := d.Mount(mnt)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unmount(); err != nil {
			t.Error(err)
		}
	}()
	dir, err := os.Open(mnt)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	f, err := os.Create(filepath.Join(mnt, "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	do(t, d, f, dir)
}

// content returns what the file holds, or "none".
func content(t *testing.T, d *disk.Disk) string {
	t.Helper()
	dir := t.TempDir()
	if err := d.Export(dir); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "file"))
	if errors.Is(err, os.ErrNotExist) {
		return "none"
	} else if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func write(t *testing.T, f *os.File, data string, off int64) {
	t.Helper()
	if _, err := f.WriteAt([]byte(data), off); err != nil {
		t.Fatal(err)
	}
}

func sync(t *testing.T, files ...*os.File) {
	t.Helper()
	for _, f := range files {
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
	}
}

func truncate(t *testing.T, f *os.File, size int64) {
	t.Helper()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, f *os.File) {
	t.Helper()
	if err := os.Remove(f.Name()); err != nil {
		t.Fatal(err)
	}
}
