// Package tree reads parts of a machine's file system, such as /proc, in one way from two places: from the live machine
// into kept buffers, and from any [fs.FS], so that a text file is a machine (see [Txtar]). It reads only and parses nothing.
package tree

import (
	"errors"
	"io"
	"io/fs"

	"github.com/minehound/minehound/agent/host"
)

// ErrLonger says that a file goes on after what was read.
var ErrLonger = errors.New("longer than the limit")

// Reader reads files and links. Paths are relative to the tree's root and use slashes. Both append to dst and return it,
// also on an error, with what they got.
//
// What is not there, or no longer, is an [fs.ErrNotExist], what may not be read an [fs.ErrPermission].
type Reader interface {
	// Read reads at most limit bytes; when there are more the error is ErrLonger.
	Read(dst, path []byte, limit int) ([]byte, error)
	// Link reads where a symbolic link points to.
	Link(dst, path []byte) ([]byte, error)
}

// Lister lists the entries of a directory that are called by a number: processes, threads. They come sorted.
type Lister interface {
	Numbers(dst []int, dir []byte) ([]int, error)
}

// Filer looks at the file behind a path, links followed. The live one asks no file server and no file system in user space
// for what Stat and Below tell: whoever runs it could let the caller wait for ever. Open and reading do ask.
type Filer interface {
	Stat(path []byte) (File, error)
	// Below looks for a file by its whole path within the directory behind dir. No link on that path is followed. What
	// the kernel does not know without asking is an [fs.ErrNotExist].
	Below(dir, path []byte) (File, error)
	Open(path []byte) (Opened, error)
}

// Opened is an open file.
type Opened interface {
	io.ReadCloser
	File() (File, error)
}

// Tree is all of that.
type Tree interface {
	Reader
	Lister
	Filer
}

// Keeper keeps files open so that they can be read again from their beginning for less. It hands out small numbers; a
// file that is not kept has -1. Again of a process that has ended is an [fs.ErrNotExist].
type Keeper interface {
	Keep(path []byte) (int, error)
	Again(kept int, dst []byte) (int, error)
	Drop(kept int)
}

// File is which file it is, and of which content as far as that can be told from outside.
type File struct {
	ID       host.FileID // zero where it has none
	Size     int64
	Modified int64 // nanoseconds since 1970, as its owner likes
	Changed  int64 // nanoseconds since 1970 at which anything about it last changed, by the kernel's clock; 0 unknown
	Regular  bool
	Unlinked host.Fact // whether it has no name any more
}

// Gone tells an error that says: not there, or no longer.
func Gone(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// Denied tells an error that says: not for you.
func Denied(err error) bool { return errors.Is(err, fs.ErrPermission) }
