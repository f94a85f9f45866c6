package tree

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/minehound/minehound/agent/host"
)

// Txtar reads a machine from a txtar archive. Its files are those of the machine, with these ways to spell what a text
// file cannot hold:
//
//	\0 \n \t \\ \xHH    that byte; a \ before anything else is an error
//	\ at a line's end   the line goes on: it and the newline are not part of the file
//
//	-- proc/7/exe -> /tmp/x (deleted) --   a symbolic link; the target may use the escapes too. It need not exist. The
//	                                       file's body may say which file one finds behind it, in words and numbers:
//	                                       dev 8 ino 123 size 4096 mtime 1700000000
//	-- proc/7/environ (denied) --          may not be read; a directory, with all below it, likewise
//
// Text before the first file is a comment.
func Txtar(data []byte) (fs.FS, error) {
	m := machine{".": &node{name: ".", mode: fs.ModeDir | 0o555}}
	for _, f := range txtar.Parse(data).Files {
		if err := m.add(f.Name, f.Data); err != nil {
			return nil, fmt.Errorf("machine file %q: %w", f.Name, err)
		}
	}
	for name, n := range m {
		if name == "." {
			continue
		}
		dir := m[path.Dir(name)]
		dir.entries = append(dir.entries, fs.FileInfoToDirEntry(info{n}))
	}
	for _, n := range m {
		slices.SortFunc(n.entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	}
	return m, nil
}

// machine maps clean paths to what is there.
type machine map[string]*node

type node struct {
	name    string // the last element
	mode    fs.FileMode
	data    []byte
	target  string
	behind  *info // what stat finds behind a link, nil when only the target tells
	denied  bool
	id      host.FileID
	size    int64
	mtime   int64
	entries []fs.DirEntry
}

func (m machine) add(name string, data []byte) error {
	n := &node{mode: 0o444}
	name, to, link := strings.Cut(name, " -> ")
	if !link {
		name, n.denied = strings.CutSuffix(name, " (denied)")
	}
	n.name = path.Base(name)
	if !fs.ValidPath(name) || name == "." || len(name) > 4096 {
		return errors.New("not a clean relative path")
	}
	body, err := Unescape(data)
	if err != nil {
		return err
	}
	n.data, n.size = body, int64(len(body))
	if link {
		target, err := Unescape([]byte(to))
		if err != nil {
			return err
		}
		n.mode, n.target, n.data = fs.ModeSymlink|0o777, string(target), nil
		if n.behind, err = behind(n.name, string(body)); err != nil {
			return err
		}
	}
	if old, ok := m[name]; ok && (!old.mode.IsDir() || !n.denied) {
		return errors.New("there twice")
	} else if ok {
		old.denied = true
		return nil
	}
	m[name] = n
	for dir := path.Dir(name); ; dir = path.Dir(dir) {
		d, ok := m[dir]
		switch {
		case ok && d.denied && !d.mode.IsDir(): // said to be denied before it was known to be a directory
			d.mode, d.data = fs.ModeDir|0o555, nil
			return nil
		case ok && !d.mode.IsDir():
			return fmt.Errorf("%s is not a directory", dir)
		case ok:
			return nil
		}
		m[dir] = &node{name: path.Base(dir), mode: fs.ModeDir | 0o555}
	}
}

// behind reads "dev 8 ino 123 size 4096 mtime 1700000000".
func behind(name, body string) (*info, error) {
	words := strings.Fields(body)
	if len(words) == 0 {
		return nil, nil
	}
	n := &node{name: name, mode: 0o755}
	for len(words) >= 2 {
		v, err := strconv.ParseUint(words[1], 10, 63)
		if err != nil {
			return nil, fmt.Errorf("behind the link: %w", err)
		}
		switch words[0] {
		case "dev":
			n.id.Dev = v
		case "ino":
			n.id.Ino = v
		case "size":
			n.size = int64(v)
		case "mtime":
			n.mtime = int64(v)
		default:
			return nil, fmt.Errorf("behind the link: unknown word %q", words[0])
		}
		words = words[2:]
	}
	if len(words) != 0 {
		return nil, fmt.Errorf("behind the link: %q has no number", words[0])
	}
	return &info{n}, nil
}

// find follows links, except the last when last is false.
func (m machine) find(op, name string, last bool) (*node, error) {
	fail := func(err error) (*node, error) { return nil, &fs.PathError{Op: op, Path: name, Err: err} }
	if !fs.ValidPath(name) {
		return fail(fs.ErrInvalid)
	}
	rest := strings.Split(name, "/")
	if name == "." {
		rest = nil
	}
	at := "."
	for hops := 0; ; {
		n := m[at]
		switch {
		case n == nil:
			return fail(fs.ErrNotExist)
		case n.denied:
			return fail(fs.ErrPermission)
		case n.mode&fs.ModeSymlink != 0 && (len(rest) > 0 || last):
			if hops++; hops > 40 {
				return fail(errors.New("too many links"))
			}
			if op == "stat" && len(rest) == 0 && n.behind != nil {
				return n.behind.node, nil
			}
			to := n.target
			if !path.IsAbs(to) {
				to = path.Join("/", path.Dir(at), to)
			}
			rest = append(strings.FieldsFunc(path.Clean(to), func(r rune) bool { return r == '/' }), rest...)
			at = "."
			continue
		case len(rest) == 0:
			return n, nil
		}
		at, rest = path.Join(at, rest[0]), rest[1:]
	}
}

// Open implements [fs.FS].
func (m machine) Open(name string) (fs.File, error) {
	n, err := m.find("open", name, true)
	if err != nil {
		return nil, err
	}
	behind, err := m.find("stat", name, true) // which says whose content that is
	if err != nil {
		return nil, err
	}
	return &file{info: info{behind}, r: bytes.NewReader(n.data)}, nil
}

// Stat implements [fs.StatFS].
func (m machine) Stat(name string) (fs.FileInfo, error) {
	n, err := m.find("stat", name, true)
	if err != nil {
		return nil, err
	}
	return info{n}, nil
}

// ReadDir implements [fs.ReadDirFS].
func (m machine) ReadDir(name string) ([]fs.DirEntry, error) {
	n, err := m.find("readdir", name, true)
	if err != nil {
		return nil, err
	}
	if !n.mode.IsDir() {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.New("not a directory")}
	}
	return slices.Clone(n.entries), nil
}

// ReadLink implements [fs.ReadLinkFS].
func (m machine) ReadLink(name string) (string, error) {
	n, err := m.find("readlink", name, false)
	if err != nil {
		return "", err
	}
	if n.mode&fs.ModeSymlink == 0 {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	return n.target, nil
}

// Lstat implements [fs.ReadLinkFS].
func (m machine) Lstat(name string) (fs.FileInfo, error) {
	n, err := m.find("lstat", name, false)
	if err != nil {
		return nil, err
	}
	return info{n}, nil
}

type info struct{ *node }

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return i.mode }
func (i info) ModTime() time.Time { return time.Unix(i.mtime, 0) }
func (i info) IsDir() bool        { return i.mode.IsDir() }
func (i info) Sys() any           { return i.id }

type file struct {
	info
	r      *bytes.Reader
	listed int
}

func (f *file) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *file) Close() error               { return nil }

func (f *file) Read(b []byte) (int, error) {
	if f.IsDir() {
		return 0, &fs.PathError{Op: "read", Path: f.name, Err: fs.ErrInvalid}
	}
	return f.r.Read(b)
}

// ReadDir implements [fs.ReadDirFile].
func (f *file) ReadDir(n int) ([]fs.DirEntry, error) {
	left := f.entries[f.listed:]
	if n > 0 {
		if len(left) == 0 {
			return nil, io.EOF
		}
		left = left[:min(n, len(left))]
	}
	f.listed += len(left)
	return slices.Clone(left), nil
}
