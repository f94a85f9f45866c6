package tree

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"slices"
	"testing"
	"testing/fstest"

	"golang.org/x/tools/txtar"

	"github.com/minehound/minehound/agent/host"
)

const sample = `A machine.
-- etc/passwd --
root:x:0:0::/root:/bin/sh
-- proc/7/cmdline --
/tmp/x\0-o\0a\\b\xff\
-- proc/7/exe -> /tmp/x (deleted) --
dev 8 ino 123 size 4096 mtime 1700000000
-- proc/7/cwd -> / --
-- proc/7/environ (denied) --
-- proc/12/stat --
12 (x) S
-- proc/120 (denied) --
-- proc/120/stat --
never read
-- proc/self -> 7 --
-- proc/loop -> loop --
-- tmp/tool --
binary
-- proc/12/exe -> /tmp/tool --
`

func machineOf(t *testing.T, text string) fs.FS {
	t.Helper()
	fsys, err := Txtar([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return fsys
}

func TestTxtar(t *testing.T) {
	m := FS(machineOf(t, sample), ".")
	read := func(name string) string {
		b, err := m.Read(nil, []byte(name), 1000)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return string(b)
	}
	if got := read("proc/7/cmdline"); got != "/tmp/x\x00-o\x00a\\b\xff" {
		t.Errorf("cmdline %q", got)
	}
	if got := read("proc/self/cmdline"); got != read("proc/7/cmdline") {
		t.Errorf("through a link to a directory: %q", got)
	}
	if got := read("proc/12/exe"); got != "binary\n" {
		t.Errorf("through a link: %q", got)
	}
	if b, err := m.Link(nil, []byte("proc/7/exe")); err != nil || string(b) != "/tmp/x (deleted)" {
		t.Errorf("link %q, %v", b, err)
	}
	if f, err := m.Stat([]byte("proc/7/exe")); err != nil || f != (File{ID: host.FileID{Dev: 8, Ino: 123}, Size: 4096, Modified: 1700000000e9, Regular: true}) {
		t.Errorf("stat %+v, %v", f, err)
	}
	if pids, err := m.Numbers(nil, []byte("proc")); err != nil || !slices.Equal(pids, []int{7, 12, 120}) {
		t.Errorf("processes %v, %v", pids, err)
	}
	if b, err := m.Read(nil, []byte("proc/7/cmdline"), 6); !errors.Is(err, ErrLonger) || string(b) != "/tmp/x" {
		t.Errorf("cut: %q, %v", b, err)
	}
	if b, err := m.Read([]byte("a"), []byte("proc/12/stat"), 9); err != nil || string(b) != "a12 (x) S\n" {
		t.Errorf("just as long as the limit: %q, %v", b, err)
	}
	for _, name := range []string{"proc/7/environ", "proc/120/stat", "proc/120"} {
		if _, err := m.Open([]byte(name)); !Denied(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"proc/8/stat", "proc/7/exe", "proc/7/root/x"} { // the deleted executable is not there
		if _, err := m.Open([]byte(name)); !Gone(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := m.Open([]byte("proc/loop")); err == nil || Gone(err) {
		t.Errorf("a link to itself: %v", err)
	}
}

func TestTxtarIsAFileSystem(t *testing.T) {
	fsys := machineOf(t, "-- a/b --\nx\n-- a/c --\n-- d --\n\\0\n")
	if err := fstest.TestFS(fsys, "a/b", "a/c", "d"); err != nil {
		t.Error(err)
	}
}

func TestTxtarRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"an absolute path":    "-- /etc/passwd --\n",
		"a path that climbs":  "-- a/../b --\n",
		"the root":            "-- . --\n",
		"twice":               "-- a --\n-- a --\n",
		"a file as directory": "-- a --\nx\n-- a/b --\n",
		"an unknown escape":   "-- a --\n\\q\n",
		"half an escape":      "-- a --\n\\x1\n",
		"an unknown word":     "-- a -> b --\nowner 5\n",
		"a word alone":        "-- a -> b --\ndev\n",
		"no number":           "-- a -> b --\ndev x\n",
	} {
		if _, err := Txtar([]byte(text)); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func FuzzEscape(f *testing.F) {
	f.Add([]byte("a\x00b\\\n-- x --\n\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		text := append([]byte("-- f --\n"), Escape(b)...)
		if n := len(txtar.Parse(text).Files); n != 1 {
			t.Fatalf("%q became %d files", b, n)
		}
		fsys, err := Txtar(text)
		if err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		if got, err := fs.ReadFile(fsys, "f"); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%q became %q, %v", b, got, err)
		}
	})
}

func FuzzTxtar(f *testing.F) {
	f.Add([]byte(sample))
	f.Fuzz(func(t *testing.T, b []byte) {
		fsys, err := Txtar(b)
		if err != nil {
			return
		}
		n := 0
		_ = fs.WalkDir(fsys, ".", func(name string, _ fs.DirEntry, _ error) error {
			if n++; n > 1000 {
				return fs.SkipAll
			}
			if f, err := fsys.Open(name); err == nil {
				_, _ = io.Copy(io.Discard, f)
				_ = f.Close()
			}
			_, _ = fs.ReadLink(fsys, name)
			return nil
		})
	})
}
