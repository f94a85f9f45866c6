package tree

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"

	"github.com/minehound/minehound/agent/host"
)

// FS is the directory root of fsys as a Tree. Links are read where fsys is an [fs.ReadLinkFS], and a file has an id where its Sys is a
// host.FileID or what os.Stat makes.
func FS(fsys fs.FS, root string) Tree { return tree{fsys, root} }

// tree does without fs.Sub, which hides how fsys answers Stat.
type tree struct {
	fsys fs.FS
	root string
}

func (t tree) Read(dst, name []byte, limit int) ([]byte, error) {
	f, err := t.fsys.Open(t.at(name))
	if err != nil {
		return dst, ended(err)
	}
	defer f.Close()
	n := len(dst)
	dst = slices.Grow(dst, limit+1)
	for len(dst)-n <= limit {
		m, err := f.Read(dst[len(dst) : n+limit+1])
		dst = dst[:len(dst)+m]
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return dst, ended(err)
		}
	}
	if len(dst)-n > limit {
		return dst[:n+limit], ErrLonger
	}
	return dst, nil
}

func (t tree) Link(dst, name []byte) ([]byte, error) {
	to, err := fs.ReadLink(t.fsys, t.at(name))
	if err != nil {
		return dst, ended(err)
	}
	return append(dst, to...), nil
}

func (t tree) Numbers(dst []int, dir []byte) ([]int, error) {
	entries, err := fs.ReadDir(t.fsys, t.at(dir))
	if err != nil {
		return dst, ended(err)
	}
	n := len(dst)
	for _, e := range entries {
		if pid, err := strconv.ParseUint(e.Name(), 10, 31); err == nil && pid > 0 && e.Name()[0] != '0' && e.Name()[0] != '+' {
			dst = append(dst, int(pid))
		}
	}
	slices.Sort(dst[n:])
	return dst, nil
}

func (t tree) Stat(name []byte) (File, error) {
	info, err := fs.Stat(t.fsys, t.at(name))
	if err != nil {
		return File{}, ended(err)
	}
	return fileOf(info), nil
}

func fileOf(info fs.FileInfo) File {
	f := File{Size: info.Size(), Modified: info.ModTime().UnixNano(), Regular: info.Mode().IsRegular()}
	if id, ok := info.Sys().(host.FileID); ok {
		f.ID = id
		return f
	}
	complete(&f, info)
	return f
}

func (t tree) Below(dir, name []byte) (File, error) {
	return t.Stat([]byte(path.Join(string(dir), string(name))))
}

func (t tree) Open(name []byte) (Opened, error) {
	f, err := t.fsys.Open(t.at(name))
	if err != nil {
		return nil, ended(err)
	}
	return opened{f, f.Stat}, nil
}

type opened struct {
	io.ReadCloser
	stat func() (fs.FileInfo, error)
}

func (o opened) File() (File, error) {
	info, err := o.stat()
	if err != nil {
		return File{}, ended(err)
	}
	return fileOf(info), nil
}

func (t tree) at(name []byte) string { return path.Join(t.root, string(name)) }

// ended makes what the kernel says about a process that has just ended what it says about one that is not there.
func ended(err error) error {
	if noProcess(err) {
		return fmt.Errorf("%w (%w)", fs.ErrNotExist, err)
	}
	return err
}
