package buffer

import (
	"context"
	"errors"
	"os"
	"path"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// fuseDisk is a disk in memory behind a real mount: the kernel sends it every
// operation of whoever works on it. It notes them, and can let them fail.
type fuseDisk struct {
	dir string // where it is mounted

	mu     sync.Mutex
	files  int
	ops    []diskOp
	record bool
	// trouble, where it is set, decides about each operation before it is done.
	trouble func(*diskOp) trouble
}

// trouble is what an operation meets.
type trouble struct {
	errno syscall.Errno // it fails
	short bool          // half of a write is done
	delay time.Duration // it takes this long
}

// mountDisk mounts a new disk. Where that is not possible the test is skipped
// on a developer's machine and fails in CI.
func mountDisk(t testing.TB) *fuseDisk {
	t.Helper()
	if _, err := os.Stat("/dev/fuse"); errors.Is(err, os.ErrNotExist) && os.Getuid() == 0 {
		unix.Mknod("/dev/fuse", unix.S_IFCHR|0o666, int(unix.Mkdev(10, 229))) // a container may lack only the name; the mount tells
	}
	d, err := tryMount(t)
	if err != nil && os.Getenv("CI") != "" {
		t.Fatalf("mount a disk by FUSE: %v; run the tests as root with /dev/fuse", err)
	}
	if err != nil {
		t.Skipf("no disk can be mounted by FUSE here: %v; run the tests as root, or install fuse3", err)
	}
	return d
}

func tryMount(t testing.TB) (d *fuseDisk, no error) {
	d = &fuseDisk{dir: t.TempDir(), record: true}
	zero := time.Duration(0)
	server, err := fs.Mount(d.dir, &fuseDir{disk: d, name: "."}, &fs.Options{
		EntryTimeout: &zero, AttrTimeout: &zero, UID: uint32(os.Getuid()), GID: uint32(os.Getgid()),
		MountOptions: fuse.MountOptions{FsName: "fieldgate-test", DirectMount: true, DisableXAttrs: true, MaxWrite: 1 << 20},
	})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		deadline := time.Now().Add(10 * time.Second)
		for server.Unmount() != nil {
			if time.Now().After(deadline) {
				t.Errorf("%s cannot be unmounted", d.dir)
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
	return d, nil
}

// mark notes what the process says, between two operations.
func (d *fuseDisk) mark(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ops = append(d.ops, diskOp{kind: opMark, name: text})
}

// notes hands the notes over and begins new ones.
func (d *fuseDisk) notes() []diskOp {
	d.mu.Lock()
	defer d.mu.Unlock()
	ops := d.ops
	d.ops = nil
	return ops
}

// set changes how operations fare.
func (d *fuseDisk) set(f func(*diskOp) trouble) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.trouble = f
}

// do asks whether the operation fails, and notes it where it does not. done
// runs in the same critical section.
func (d *fuseDisk) do(o diskOp, done func(o diskOp)) (n int, errno syscall.Errno) {
	d.mu.Lock()
	var tr trouble
	if d.trouble != nil {
		tr = d.trouble(&o)
	}
	if tr.delay > 0 {
		d.mu.Unlock()
		time.Sleep(tr.delay)
		d.mu.Lock()
	}
	defer d.mu.Unlock()
	if d.record && tr != (trouble{}) {
		d.ops = append(d.ops, diskOp{kind: opMark, name: "trouble " + o.String()})
	}
	if tr.errno != 0 {
		if d.record && o.kind == opSync {
			d.ops = append(d.ops, diskOp{kind: opSyncFailed, file: o.file})
		}
		return 0, tr.errno
	}
	if tr.short && len(o.data) > 1 {
		o.data = o.data[:len(o.data)/2]
	}
	done(o)
	if d.record && o.kind != opRead {
		d.ops = append(d.ops, o)
	}
	return len(o.data), 0
}

// fuseDir is a directory.
type fuseDir struct {
	fs.Inode
	disk *fuseDisk
	name string // from the top; "." is the top
}

var _ = (fs.NodeCreater)((*fuseDir)(nil))
var _ = (fs.NodeMkdirer)((*fuseDir)(nil))
var _ = (fs.NodeUnlinker)((*fuseDir)(nil))
var _ = (fs.NodeRmdirer)((*fuseDir)(nil))
var _ = (fs.NodeRenamer)((*fuseDir)(nil))
var _ = (fs.NodeFsyncer)((*fuseDir)(nil))
var _ = (fs.NodeGetattrer)((*fuseDir)(nil))
var _ = (fs.NodeStatfser)((*fuseDir)(nil))

func (d *fuseDir) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Nlink = syscall.S_IFDIR|0o700, 2
	return 0
}

// Statfs has room for ever; a full disk is a trouble of single operations.
func (d *fuseDir) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	out.Bsize, out.Frsize, out.Blocks, out.Bfree, out.Bavail, out.NameLen = 4096, 4096, 1<<24, 1<<23, 1<<23, 255
	return 0
}

func (d *fuseDir) Create(ctx context.Context, name string, _ uint32, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	d.disk.mu.Lock()
	d.disk.files++
	f := &fuseFile{disk: d.disk, number: d.disk.files, mode: mode}
	d.disk.mu.Unlock()
	_, errno := d.disk.do(diskOp{kind: opCreate, name: path.Join(d.name, name), file: f.number}, func(diskOp) {})
	if errno != 0 {
		return nil, nil, 0, errno
	}
	ino := d.NewPersistentInode(ctx, f, fs.StableAttr{Mode: syscall.S_IFREG})
	d.AddChild(name, ino, true)
	out.Mode, out.Nlink = syscall.S_IFREG|mode, 1
	return ino, nil, fuse.FOPEN_DIRECT_IO, 0
}

func (d *fuseDir) Mkdir(ctx context.Context, name string, _ uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	x := &fuseDir{disk: d.disk, name: path.Join(d.name, name)}
	if _, errno := d.disk.do(diskOp{kind: opMkdir, name: x.name}, func(diskOp) {}); errno != 0 {
		return nil, errno
	}
	out.Mode = syscall.S_IFDIR | 0o700
	ino := d.NewPersistentInode(ctx, x, fs.StableAttr{Mode: syscall.S_IFDIR})
	d.AddChild(name, ino, true)
	return ino, 0
}

func (d *fuseDir) Unlink(_ context.Context, name string) syscall.Errno {
	_, errno := d.disk.do(diskOp{kind: opUnlink, name: path.Join(d.name, name)}, func(diskOp) {})
	return errno
}

func (d *fuseDir) Rmdir(_ context.Context, name string) syscall.Errno {
	_, errno := d.disk.do(diskOp{kind: opUnlink, name: path.Join(d.name, name)}, func(diskOp) {})
	return errno
}

func (d *fuseDir) Rename(_ context.Context, name string, to fs.InodeEmbedder, newName string, _ uint32) syscall.Errno {
	dir, ok := to.(*fuseDir)
	if !ok {
		return syscall.EXDEV
	}
	_, errno := d.disk.do(diskOp{kind: opRename, name: path.Join(d.name, name), to: path.Join(dir.name, newName)}, func(diskOp) {})
	return errno
}

func (d *fuseDir) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	_, errno := d.disk.do(diskOp{kind: opSyncDir, name: d.name}, func(diskOp) {})
	return errno
}

// fuseFile is a file; content is guarded by fuseDisk.mu.
type fuseFile struct {
	fs.Inode
	disk    *fuseDisk
	number  int
	mode    uint32
	content []byte
}

var _ = (fs.NodeOpener)((*fuseFile)(nil))
var _ = (fs.NodeReader)((*fuseFile)(nil))
var _ = (fs.NodeWriter)((*fuseFile)(nil))
var _ = (fs.NodeGetattrer)((*fuseFile)(nil))
var _ = (fs.NodeSetattrer)((*fuseFile)(nil))
var _ = (fs.NodeFsyncer)((*fuseFile)(nil))
var _ = (fs.NodeAllocater)((*fuseFile)(nil))

// Open leaves the kernel's cache out: every read and write is seen here.
func (f *fuseFile) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

func (f *fuseFile) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n := 0
	_, errno := f.disk.do(diskOp{kind: opRead, file: f.number, off: off}, func(diskOp) {
		if off < int64(len(f.content)) {
			n = copy(dest, f.content[off:])
		}
	})
	return fuse.ReadResultData(dest[:n]), errno
}

func (f *fuseFile) Write(_ context.Context, _ fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	o := diskOp{kind: opWrite, file: f.number, off: off, data: append([]byte(nil), data...)}
	n, errno := f.disk.do(o, func(o diskOp) { f.content = put(f.content, o) })
	return uint32(n), errno
}

func (f *fuseFile) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.attr(&out.Attr)
	return 0
}

func (f *fuseFile) attr(out *fuse.Attr) {
	out.Mode, out.Nlink, out.Size, out.Blocks, out.Blksize = syscall.S_IFREG|f.mode, 1, uint64(len(f.content)), uint64(len(f.content)+511)/512, 4096
}

func (f *fuseFile) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if size, ok := in.GetSize(); ok {
		_, errno := f.disk.do(diskOp{kind: opTruncate, file: f.number, off: int64(size)}, func(o diskOp) { f.content = put(f.content, o) })
		if errno != 0 {
			return errno
		}
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if mode, ok := in.GetMode(); ok {
		f.mode = mode & 0o777
	}
	f.attr(&out.Attr)
	return 0
}

func (f *fuseFile) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	_, errno := f.disk.do(diskOp{kind: opSync, file: f.number}, func(diskOp) {})
	return errno
}

func (f *fuseFile) Allocate(_ context.Context, _ fs.FileHandle, off, size uint64, _ uint32) syscall.Errno {
	f.disk.mu.Lock()
	o := diskOp{kind: opTruncate, file: f.number, off: max(int64(off+size), int64(len(f.content)))}
	f.disk.mu.Unlock()
	_, errno := f.disk.do(o, func(o diskOp) { f.content = put(f.content, o) })
	return errno
}
