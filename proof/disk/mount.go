package disk

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Require skips a test where no disk can be mounted, and fails it where the
// environment says CI=true.
func Require(t testing.TB) {
	t.Helper()
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	switch {
	case err == nil:
		f.Close()
	case os.Getenv("CI") == "true":
		t.Fatalf("this test needs FUSE: %v", err)
	default:
		t.Skipf("SKIPPED, NOT PROVEN: this test needs FUSE: %v", err)
	}
}

// Mount makes the disk a directory of the system, for another process to use:
// one that uses its own disk can come to wait for itself. The returned function
// takes the disk out again; every program that used it must have ended.
func (d *Disk) Mount(dir string) (unmount func() error, err error) {
	// Every change comes through the kernel, so its caches are always right.
	forever := time.Hour
	server, err := fs.Mount(dir, &directory{disk: d}, &fs.Options{
		EntryTimeout: &forever,
		AttrTimeout:  &forever,
		MountOptions: fuse.MountOptions{FsName: "proof", Name: "disk", DirectMount: true, DisableXAttrs: true},
	})
	if err != nil {
		return nil, fmt.Errorf("mount a disk: %w", err)
	}
	return server.Unmount, nil
}

// directory is the one directory of a disk.
type directory struct {
	fs.Inode
	disk *Disk
}

var _ interface {
	fs.NodeLookuper
	fs.NodeCreater
	fs.NodeUnlinker
	fs.NodeFsyncer
} = (*directory)(nil)

func (r *directory) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	r.disk.mu.Lock()
	defer r.disk.mu.Unlock()
	f := r.disk.seen[name]
	if f == nil {
		return nil, syscall.ENOENT
	}
	out.Size = uint64(len(f.seen))
	return r.inode(ctx, f), 0
}

func (r *directory) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	r.disk.mu.Lock()
	defer r.disk.mu.Unlock()
	if errno := r.disk.fail(Write, name); errno != 0 {
		return nil, nil, 0, errno
	}
	r.disk.files++
	f := &file{id: 1 + r.disk.files, name: name, dirty: map[int]bool{}} // 1 is the directory
	r.disk.seen[name] = f
	return r.inode(ctx, f), nil, fuse.FOPEN_KEEP_CACHE, 0
}

func (r *directory) inode(ctx context.Context, f *file) *fs.Inode {
	return r.NewInode(ctx, &node{disk: r.disk, file: f}, fs.StableAttr{Mode: syscall.S_IFREG, Ino: f.id})
}

func (r *directory) Unlink(ctx context.Context, name string) syscall.Errno {
	r.disk.mu.Lock()
	defer r.disk.mu.Unlock()
	if errno := r.disk.fail(Write, name); errno != 0 {
		return errno
	}
	delete(r.disk.seen, name)
	return 0
}

func (r *directory) Fsync(ctx context.Context, _ fs.FileHandle, flags uint32) syscall.Errno {
	r.disk.mu.Lock()
	defer r.disk.mu.Unlock()
	if errno := r.disk.fail(Sync, ""); errno != 0 {
		return errno
	}
	clear(r.disk.safe)
	for name, f := range r.disk.seen {
		r.disk.safe[name] = f
	}
	return 0
}

// node is a file of a disk.
type node struct {
	fs.Inode
	disk *Disk
	file *file
}

var _ interface {
	fs.NodeOpener
	fs.NodeGetattrer
	fs.NodeSetattrer
	fs.NodeReader
	fs.NodeWriter
	fs.NodeFsyncer
} = (*node)(nil)

func (n *node) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_KEEP_CACHE, 0
}

func (n *node) Getattr(ctx context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	out.Size = uint64(len(n.file.seen))
	return 0
}

// Setattr changes a file's size; modes and times are not kept.
func (n *node) Setattr(ctx context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if size, ok := in.GetSize(); ok {
		if errno := n.disk.fail(Write, n.file.name); errno != 0 {
			return errno
		}
		n.file.resize(int(size))
	}
	out.Size = uint64(len(n.file.seen))
	return 0
}

func (n *node) Read(ctx context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if off >= int64(len(n.file.seen)) {
		return fuse.ReadResultData(nil), 0
	}
	return fuse.ReadResultData(dest[:copy(dest, n.file.seen[off:])]), 0
}

func (n *node) Write(ctx context.Context, _ fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if errno := n.disk.fail(Write, n.file.name); errno != 0 {
		return 0, errno
	}
	n.file.write(data, int(off))
	return uint32(len(data)), 0
}

func (n *node) Fsync(ctx context.Context, _ fs.FileHandle, flags uint32) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if errno := n.disk.fail(Sync, n.file.name); errno != 0 {
		clear(n.file.dirty)
		return errno
	}
	n.file.sync()
	return 0
}
