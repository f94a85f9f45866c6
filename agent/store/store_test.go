package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

type doc struct {
	N     int
	Texts []string
}

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func save(t *testing.T, s *Store, n int) {
	t.Helper()
	if err := Save(s, "doc", 1, &doc{N: n}); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, s *Store, file, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.Dir(), file), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func files(t *testing.T, s *Store) string {
	t.Helper()
	entries, err := os.ReadDir(s.Dir())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func TestRoundTrip(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "state")
	s := open(t, dir)
	var got doc
	if w, err := Load(s, "doc", 1, &got); !errors.Is(err, ErrAbsent) || w != nil {
		t.Fatalf("before the first Save: %v, %v", w, err)
	}
	want := doc{7, []string{"a", "\u202e\x00"}}
	if err := Save(s, "doc", 1, &want); err != nil {
		t.Fatal(err)
	}
	w, err := Load(s, "doc", 1, &got)
	if err != nil || w != nil || got.N != 7 || len(got.Texts) != 2 || got.Texts[1] != want.Texts[1] {
		t.Fatalf("Load: %+v, %v, %v", got, w, err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	for p, mode := range map[string]fs.FileMode{dir: 0o700, filepath.Join(dir, "doc.json"): 0o600, filepath.Join(dir, "lock"): 0o600} {
		info, err := os.Stat(p)
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s has mode %v, %v; want %v", p, info.Mode(), err, mode)
		}
	}
}

func TestOpenTightensMode(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no modes")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// TestDamage has every way in which a document can be damaged, with and without a copy saved before.
func TestDamage(t *testing.T) {
	damages := map[string]string{
		"empty":            "",
		"torn":             `{"version":1,"data":{"N":`,
		"zeros":            strings.Repeat("\x00", 100),
		"not JSON":         "N: 3",
		"trailing garbage": `{"version":1,"data":{"N":3}} x`,
		"another type":     `{"version":1,"data":{"N":"three"}}`,
		"unknown field":    `{"version":1,"data":{"M":3}}`,
		"no data":          `{"version":1}`,
		"no version":       `{"data":{"N":3}}`,
		"version 0":        `{"version":0,"data":{"N":3}}`,
		"negative version": `{"version":-1,"data":{"N":3}}`,
		"a list":           `[1]`,
		"too large":        `{"version":1,"data":{"N":3}}` + strings.Repeat(" ", MaxDocument),
	}
	for name, text := range damages {
		t.Run(name+", with a copy", func(t *testing.T) {
			s := open(t, t.TempDir())
			save(t, s, 1)
			save(t, s, 2)
			write(t, s, "doc.json", text)
			var got doc
			w, err := Load(s, "doc", 1, &got)
			if err != nil || got.N != 1 {
				t.Fatalf("got %+v, %v; want the copy saved before", got, err)
			}
			moved := filepath.Join(s.Dir(), "doc.json.corrupt-1")
			if w == nil || w.Name != "doc" || w.Moved != moved || !w.Recovered || w.Reason == nil || !strings.Contains(w.String(), moved) {
				t.Fatalf("warning %+v", w)
			}
			if kept, err := os.ReadFile(moved); err != nil || string(kept) != text {
				t.Errorf("the damaged file was not kept: %q, %v", kept, err)
			}
			save(t, s, 3)
			if w, err := Load(s, "doc", 1, &got); w != nil || err != nil || got.N != 3 {
				t.Errorf("afterwards: %+v, %v, %v", got, w, err)
			}
		})
		t.Run(name+", alone", func(t *testing.T) {
			s := open(t, t.TempDir())
			write(t, s, "doc.json", text)
			got := doc{N: 9}
			w, err := Load(s, "doc", 1, &got)
			if !errors.Is(err, ErrAbsent) || w == nil || w.Recovered || got.N != 9 {
				t.Fatalf("got %+v, %v, %v; want ErrAbsent and a warning", got, w, err)
			}
			if f := files(t, s); f != "doc.json.corrupt-1 lock" {
				t.Errorf("files %s", f)
			}
		})
		t.Run(name+", both", func(t *testing.T) {
			s := open(t, t.TempDir())
			write(t, s, "doc.json", text)
			write(t, s, "doc.json.last", text)
			var got doc
			if w, err := Load(s, "doc", 1, &got); !errors.Is(err, ErrAbsent) || w == nil || w.Recovered {
				t.Fatalf("%v, %v", w, err)
			}
			if f := files(t, s); f != "doc.json.corrupt-1 doc.json.last.corrupt-1 lock" {
				t.Errorf("files %s", f)
			}
		})
	}
}

func TestDamagedFilesAreBounded(t *testing.T) {
	s := open(t, t.TempDir())
	for n := range 3 * maxCorrupt {
		write(t, s, "doc.json", fmt.Sprint("damage ", n))
		var got doc
		if _, err := Load(s, "doc", 1, &got); !errors.Is(err, ErrAbsent) {
			t.Fatal(err)
		}
	}
	if got := strings.Count(files(t, s), "corrupt"); got != maxCorrupt {
		t.Errorf("%d damaged files kept, want %d", got, maxCorrupt)
	}
	for file, want := range map[string]string{"1": "damage 0", strconv.Itoa(maxCorrupt): fmt.Sprint("damage ", 3*maxCorrupt-1)} {
		b, err := os.ReadFile(filepath.Join(s.Dir(), "doc.json.corrupt-"+file))
		if err != nil || string(b) != want {
			t.Errorf("corrupt-%s holds %q, %v; want %q", file, b, err, want)
		}
	}
}

// TestCrashBetweenRenames is the one moment of Save at which the document itself is missing.
func TestCrashBetweenRenames(t *testing.T) {
	s := open(t, t.TempDir())
	save(t, s, 1)
	if err := os.Rename(s.path("doc"), s.path("doc")+lastGood); err != nil {
		t.Fatal(err)
	}
	write(t, s, tempPrefix+"doc-123", "half")
	var got doc
	if w, err := Load(s, "doc", 1, &got); w != nil || err != nil || got.N != 1 {
		t.Fatalf("%+v, %v, %v", got, w, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, s.Dir())
	if f := files(t, s); f != "doc.json.last lock" {
		t.Errorf("files %s: the unfinished one was not removed", f)
	}
}

func TestNewerIsRefused(t *testing.T) {
	for _, file := range []string{"doc.json", "doc.json.last"} {
		s := open(t, t.TempDir())
		const text = `{"version":3,"checksum":"new in version 3","data":{"M":1}}`
		write(t, s, file, text)
		var got doc
		_, err := Load(s, "doc", 2, &got)
		var newer *NewerError
		if !errors.As(err, &newer) || newer.Have != 3 || newer.Known != 2 || newer.Path != filepath.Join(s.Dir(), file) {
			t.Fatalf("%s: %v", file, err)
		}
		if err := Save(s, "doc", 2, &got); !errors.As(err, &newer) {
			t.Errorf("Save overwrites a newer document: %v", err)
		}
		if b, err := os.ReadFile(filepath.Join(s.Dir(), file)); err != nil || string(b) != text {
			t.Errorf("%s was touched: %q, %v", file, b, err)
		}
	}
}

func TestMigrations(t *testing.T) {
	rename := func(old json.RawMessage) (json.RawMessage, error) {
		return json.RawMessage(strings.Replace(string(old), `"Count"`, `"N"`, 1)), nil
	}
	double := func(old json.RawMessage) (json.RawMessage, error) {
		var d doc
		if err := json.Unmarshal(old, &d); err != nil {
			return nil, err
		}
		d.N *= 2
		return json.Marshal(d)
	}
	broken := func(json.RawMessage) (json.RawMessage, error) { return nil, errors.New("cannot") }
	tests := []struct {
		name, text string
		migrations []Migration
		want       int // -1 damaged
	}{
		{"from 1", `{"version":1,"data":{"Count":4}}`, []Migration{rename, double}, 8},
		{"from 2", `{"version":2,"data":{"N":4}}`, []Migration{rename, double}, 8},
		{"same", `{"version":3,"data":{"N":4}}`, []Migration{rename, double}, 4},
		{"too old", `{"version":1,"data":{"Count":4}}`, []Migration{double}, -1},
		{"fails", `{"version":2,"data":{"N":4}}`, []Migration{broken}, -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, t.TempDir())
			write(t, s, "doc.json", tt.text)
			var got doc
			w, err := Load(s, "doc", 3, &got, tt.migrations...)
			if tt.want < 0 {
				if !errors.Is(err, ErrAbsent) || w == nil {
					t.Fatalf("%+v, %v, %v", got, w, err)
				}
				return
			}
			if err != nil || w != nil || got.N != tt.want {
				t.Fatalf("%+v, %v, %v; want N=%d", got, w, err, tt.want)
			}
		})
	}
}

func TestNames(t *testing.T) {
	s := open(t, t.TempDir())
	for _, name := range []string{"", "../x", "a/b", "A", ".x", "lock.json", "a\x00", strings.Repeat("a", 65)} {
		if err := Save(s, name, 1, &doc{}); err == nil {
			t.Errorf("Save takes the name %q", name)
		}
		if _, err := Load(s, name, 1, &doc{}); err == nil || errors.Is(err, ErrAbsent) {
			t.Errorf("Load takes the name %q: %v", name, err)
		}
	}
	if err := Save(s, "doc", 0, &doc{}); err == nil {
		t.Error("Save takes version 0")
	}
	if err := Save(s, "doc", 1, &map[string]func(){"f": nil}); err == nil {
		t.Error("Save takes what JSON cannot hold")
	}
	if f := files(t, s); f != "lock" {
		t.Errorf("files %s", f)
	}
}

func TestBusy(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	_, err := Open(dir)
	var busy *BusyError
	if !errors.As(err, &busy) || busy.PID != os.Getpid() || busy.Dir != dir {
		t.Fatalf("second Open: %v", err)
	}
	if !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Errorf("%q does not name the holder", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	if err := Save(s, "doc", 1, &doc{}); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Save without the lock: %v", err)
	}
	again := open(t, dir)
	save(t, again, 1)
}

// TestBusyProcess has another process hold the directory and then die without a word.
func TestBusyProcess(t *testing.T) {
	dir := os.Getenv("STORE_TEST_HOLD")
	if dir != "" {
		if _, err := Open(dir); err != nil {
			t.Fatal(err)
		}
		fmt.Println("held")
		select {}
	}
	dir = t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestBusyProcess$")
	cmd.Env = append(os.Environ(), "STORE_TEST_HOLD="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fscan(out, new(string)); err != nil {
		t.Fatal(err)
	}
	_, err = Open(dir)
	var busy *BusyError
	if !errors.As(err, &busy) || busy.PID != cmd.Process.Pid {
		t.Errorf("Open: %v, want it held by %d", err, cmd.Process.Pid)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the holder was not killed")
	}
	open(t, dir)
}

// TestFaults has each step of Save fail. Load then reads what was saved before, and nothing is left lying about.
func TestFaults(t *testing.T) {
	full := &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
	faults := map[string]func(*os.File, []byte) error{
		"nothing written":   func(*os.File, []byte) error { return full },
		"half of it":        func(f *os.File, b []byte) error { _, err := f.Write(b[:len(b)/2]); return errors.Join(err, full) },
		"all of it, unsafe": func(f *os.File, b []byte) error { _, err := f.Write(b); return errors.Join(err, syscall.EIO) },
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			save(t, s, 1)
			before := files(t, s)
			s.write = fault
			err := Save(s, "doc", 1, &doc{N: 2})
			if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EIO) {
				t.Fatalf("Save: %v", err)
			}
			if got := files(t, s); got != before {
				t.Errorf("files %s, before %s", got, before)
			}
			var got doc
			if w, err := Load(s, "doc", 1, &got); w != nil || err != nil || got.N != 1 {
				t.Errorf("%+v, %v, %v", got, w, err)
			}
			s.write = fill
			save(t, s, 3)
			if _, err := Load(s, "doc", 1, &got); err != nil || got.N != 3 {
				t.Errorf("with room again: %+v, %v", got, err)
			}
		})
	}
}

// TestFullDisk fills a real file system.
func TestFullDisk(t *testing.T) {
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("needs Linux and root to mount a small file system; TestFaults has the same with an injected fault")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=64k", "minehound-test", dir).CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("may not mount: %v: %s", err, out)
		}
		t.Skipf("may not mount: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	save(t, s, 1)
	err = Save(s, "doc", 1, &doc{N: 2, Texts: []string{strings.Repeat("x", 128<<10)}})
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("Save on a full disk: %v", err)
	}
	var got doc
	if w, err := Load(s, "doc", 1, &got); w != nil || err != nil || got.N != 1 {
		t.Errorf("%+v, %v, %v", got, w, err)
	}
	if f := files(t, s); f != "doc.json lock" {
		t.Errorf("files %s", f)
	}
	save(t, s, 3)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// A disk that was filled by somebody else before the start.
	if err := os.WriteFile(filepath.Join(dir, "ballast"), make([]byte, 128<<10), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	if s, err = Open(dir); err != nil {
		t.Fatalf("Open on a full disk: %v", err)
	}
	if _, err := Load(s, "doc", 1, &got); err != nil || got.N != 3 {
		t.Errorf("%+v, %v", got, err)
	}
	if err := Save(s, "doc", 1, &doc{N: 4}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Save: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(file); err == nil {
		t.Errorf("a file is no directory: %v", s)
	}
	if s, err := Open(filepath.Join(file, "state")); err == nil {
		t.Errorf("below a file is no directory: %v", s)
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"version":1,"data":{"N":3,"Texts":["a"]}}`, `{"version":2,"data":null}`, `{"version":9}`, `{`, ``, `[]`,
		`{"version":1e3,"data":{}}`, `{"version":1,"version":2,"data":{"N":1}}`,
	} {
		f.Add([]byte(seed))
	}
	same := func(old json.RawMessage) (json.RawMessage, error) { return old, nil }
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := decode[doc](b, 2, []Migration{same})
		var broken *brokenError
		var newer *NewerError
		switch {
		case err == nil:
			again, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(envelope{2, again})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := decode[doc](text, 2, nil); err != nil {
				t.Fatalf("what was read cannot be read again: %v", err)
			}
		case !errors.As(err, &broken) && !errors.As(err, &newer):
			t.Fatalf("%v is neither damage nor a newer version", err)
		}
	})
}

func BenchmarkSave(b *testing.B) {
	s, err := Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	d := doc{Texts: make([]string, 1000)}
	for b.Loop() {
		if err := Save(s, "doc", 1, &d); err != nil {
			b.Fatal(err)
		}
	}
}
