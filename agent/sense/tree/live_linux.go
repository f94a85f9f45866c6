package tree

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/minehound/minehound/agent/host"
)

// Live is a directory of this machine. It allocates only to grow the buffers it keeps and those it is given. It is not safe
// for concurrent use: every goroutine opens its own.
type Live struct {
	root    int
	name    []byte // the path of a call, ended by NUL for the kernel
	entries []byte
	closed  bool
}

// OpenLive opens the directory.
func OpenLive(dir string) (*Live, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	return &Live{root: fd, entries: make([]byte, 32<<10)}, nil
}

// Close closes the directory. Kept files are the caller's to drop.
func (l *Live) Close() error {
	if l.closed {
		return nil
	}
	l.closed = true
	if err := unix.Close(l.root); err != nil {
		return fmt.Errorf("close directory: %w", err)
	}
	return nil
}

// failure keeps the two errors that callers tell apart and gives the others as the kernel's number, which is an error that
// costs no memory.
func failure(e unix.Errno) error {
	switch e { //nolint:exhaustive // the others stay what they are
	case unix.ENOENT, unix.ESRCH, unix.ENOTDIR:
		return fs.ErrNotExist
	case unix.EACCES, unix.EPERM:
		return fs.ErrPermission
	}
	return e
}

func refused(err error) error {
	if e, ok := err.(unix.Errno); ok { //nolint:errorlint // x/sys wraps nothing, and errors.As would allocate
		return failure(e)
	}
	return err
}

func (l *Live) open(path []byte, flags uintptr) (int, error) {
	l.name = append(append(l.name[:0], path...), 0)
	for {
		fd, _, e := unix.Syscall6(unix.SYS_OPENAT, uintptr(l.root), uintptr(unsafe.Pointer(unsafe.SliceData(l.name))),
			flags|unix.O_CLOEXEC, 0, 0, 0)
		switch e {
		case 0:
			return int(fd), nil
		case unix.EINTR:
		default:
			return -1, failure(e)
		}
	}
}

// Read implements [Reader].
func (l *Live) Read(dst, path []byte, limit int) ([]byte, error) {
	fd, err := l.open(path, unix.O_RDONLY)
	if err != nil {
		return dst, err
	}
	defer unix.Close(fd)
	end := len(dst) + limit
	for len(dst) <= end {
		if len(dst) == cap(dst) {
			dst = slices.Grow(dst, min(max(4096, len(dst)), end+1-len(dst)))
		}
		n, err := read(fd, dst[len(dst):min(cap(dst), end+1)])
		if err != nil {
			return dst, err
		}
		if n == 0 {
			return dst, nil
		}
		dst = dst[:len(dst)+n]
	}
	return dst[:end], ErrLonger
}

func read(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Read(fd, b)
		if err == nil {
			return n, nil
		}
		if err != unix.EINTR {
			return 0, refused(err)
		}
	}
}

// Link implements [Reader].
func (l *Live) Link(dst, path []byte) ([]byte, error) {
	const room = unix.PathMax
	dst = slices.Grow(dst, room)
	l.name = append(append(l.name[:0], path...), 0)
	n, _, e := unix.Syscall6(unix.SYS_READLINKAT, uintptr(l.root), uintptr(unsafe.Pointer(unsafe.SliceData(l.name))),
		uintptr(unsafe.Pointer(unsafe.SliceData(dst[len(dst):cap(dst)]))), room, 0, 0)
	if e != 0 {
		return dst, failure(e)
	}
	return dst[:len(dst)+int(n)], nil
}

// Numbers implements [Lister].
func (l *Live) Numbers(dst []int, dir []byte) ([]int, error) {
	fd := l.root
	if len(dir) == 1 && dir[0] == '.' {
		if _, err := unix.Seek(fd, 0, io.SeekStart); err != nil {
			return dst, fmt.Errorf("rewind: %w", err)
		}
	} else {
		var err error
		if fd, err = l.open(dir, unix.O_RDONLY|unix.O_DIRECTORY); err != nil {
			return dst, err
		}
		defer unix.Close(fd)
	}
	first := len(dst)
	for {
		n, err := unix.Getdents(fd, l.entries)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return dst, refused(err)
		}
		if n <= 0 {
			break
		}
		dst = numbers(dst, l.entries[:n])
	}
	if !slices.IsSorted(dst[first:]) {
		slices.Sort(dst[first:])
	}
	return dst, nil
}

// numbers reads struct linux_dirent64, see getdents(2).
func numbers(dst []int, b []byte) []int {
	const header = 19
	for len(b) >= header {
		size := int(binary.NativeEndian.Uint16(b[16:]))
		if size < header || size > len(b) {
			return dst
		}
		n := 0
		for _, c := range b[header:size] {
			if c == 0 {
				break
			}
			if c < '0' || c > '9' || n > 1<<30/10 || n == 0 && c == '0' {
				n = 0
				break
			}
			n = n*10 + int(c-'0')
		}
		if n > 0 {
			dst = append(dst, n)
		}
		b = b[size:]
	}
	return dst
}

// Stat implements [Filer].
func (l *Live) Stat(path []byte) (File, error) {
	l.name = append(append(l.name[:0], path...), 0)
	return statx(l.root, l.name, 0)
}

var noName = []byte{0}

// statx takes what the kernel knows already: a network file system whose server is gone, or a file system in user space,
// is not asked. The name ends in NUL.
func statx(dir int, name []byte, flags uintptr) (File, error) {
	var st unix.Statx_t
	for {
		_, _, e := unix.Syscall6(unix.SYS_STATX, uintptr(dir), uintptr(unsafe.Pointer(unsafe.SliceData(name))),
			flags|unix.AT_STATX_DONT_SYNC|unix.AT_NO_AUTOMOUNT, unix.STATX_BASIC_STATS, uintptr(unsafe.Pointer(&st)), 0)
		switch e {
		case 0:
			return File{
				ID:       host.FileID{Dev: unix.Mkdev(st.Dev_major, st.Dev_minor), Ino: st.Ino},
				Size:     int64(min(st.Size, 1<<62)),
				Modified: st.Mtime.Sec*1e9 + int64(st.Mtime.Nsec),
				Changed:  st.Ctime.Sec*1e9 + int64(st.Ctime.Nsec),
				Regular:  st.Mode&unix.S_IFMT == unix.S_IFREG,
				Unlinked: host.FactOf(st.Nlink == 0),
			}, nil
		case unix.EINTR:
		default:
			return File{}, failure(e)
		}
	}
}

// resolveCached is RESOLVE_CACHED of <linux/openat2.h>: what is not in the kernel's cache is not looked for.
const resolveCached = 0x20

// Below implements [Filer]. A kernel before Linux 5.12 can only look by asking, so there nothing is found.
func (l *Live) Below(dir, path []byte) (File, error) {
	at, err := l.open(dir, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return File{}, err
	}
	defer unix.Close(at)
	path = bytes.TrimLeft(path, "/")
	l.name = append(append(l.name[:0], path...), 0)
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: resolveCached | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_IN_ROOT}
	for range 5 { // a rename anywhere in the tree makes the kernel say "try again" too
		fd, _, e := unix.Syscall6(unix.SYS_OPENAT2, uintptr(at), uintptr(unsafe.Pointer(unsafe.SliceData(l.name))),
			uintptr(unsafe.Pointer(&how)), unsafe.Sizeof(how), 0, 0)
		switch e {
		case 0:
			f, err := statx(int(fd), noName, unix.AT_EMPTY_PATH)
			unix.Close(int(fd)) // opened with O_PATH: there is nothing to write that could fail
			return f, err
		case unix.EAGAIN, unix.EINTR:
		default:
			return File{}, failure(e)
		}
	}
	return File{}, fs.ErrNotExist
}

// Open implements [Filer].
func (l *Live) Open(path []byte) (Opened, error) {
	fd, err := l.open(path, unix.O_RDONLY|unix.O_NONBLOCK) // does not wait for somebody's lease or a pipe's other end
	if err != nil {
		return nil, err
	}
	return &liveFile{fd}, nil
}

type liveFile struct{ fd int }

// Read implements [io.Reader].
func (f *liveFile) Read(b []byte) (int, error) {
	n, err := read(f.fd, b)
	if n == 0 && err == nil && len(b) > 0 {
		err = io.EOF
	}
	return n, err
}

// File implements [Opened].
func (f *liveFile) File() (File, error) { return statx(f.fd, noName, unix.AT_EMPTY_PATH) }

// Close implements [io.Closer].
func (f *liveFile) Close() error {
	if err := unix.Close(f.fd); err != nil {
		return fmt.Errorf("close file: %w", err)
	}
	return nil
}

// Keep implements [Keeper].
func (l *Live) Keep(path []byte) (int, error) { return l.open(path, unix.O_RDONLY) }

// Again implements [Keeper].
func (l *Live) Again(kept int, dst []byte) (int, error) {
	for {
		n, err := unix.Pread(kept, dst, 0)
		if err == nil {
			return n, nil
		}
		if err != unix.EINTR {
			return 0, refused(err)
		}
	}
}

// Drop implements [Keeper].
func (l *Live) Drop(kept int) { _ = unix.Close(kept) }
