package tree

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/minehound/minehound/agent/host"
)

// Both trees must say the same about the same directory.
func TestLiveAndFSAgree(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"1", "20", "3", "x", "012", "4294967296000", "7x"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "20/file"), []byte(strings.Repeat("0123456789", 2000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../somewhere (deleted)", filepath.Join(dir, "20/link")); err != nil {
		t.Fatal(err)
	}
	live, err := OpenLive(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	for name, tr := range map[string]Tree{"live": live, "fs": FS(os.DirFS(dir), ".")} {
		for range 2 { // the second time from the kept descriptor
			if n, err := tr.Numbers([]int{5}, []byte(".")); err != nil || !slices.Equal(n, []int{5, 1, 3, 20}) {
				t.Errorf("%s: numbers %v, %v", name, n, err)
			}
		}
		if b, err := tr.Read([]byte("a"), []byte("20/file"), 1<<20); err != nil || len(b) != 20001 || string(b[:3]) != "a01" {
			t.Errorf("%s: read %d bytes, %v", name, len(b), err)
		}
		if b, err := tr.Read(nil, []byte("20/file"), 19999); !errors.Is(err, ErrLonger) || len(b) != 19999 {
			t.Errorf("%s: read %d bytes, %v", name, len(b), err)
		}
		if b, err := tr.Read(nil, []byte("20/file"), 20000); err != nil || len(b) != 20000 {
			t.Errorf("%s: read %d bytes, %v", name, len(b), err)
		}
		if b, err := tr.Link(nil, []byte("20/link")); err != nil || string(b) != "../somewhere (deleted)" {
			t.Errorf("%s: link %q, %v", name, b, err)
		}
		if _, err := tr.Stat([]byte("20/link")); !Gone(err) {
			t.Errorf("%s: a link to nowhere: %v", name, err)
		}
		if _, err := tr.Read(nil, []byte("20/none"), 10); !Gone(err) {
			t.Errorf("%s: no file: %v", name, err)
		}
		if _, err := tr.Numbers(nil, []byte("none")); !Gone(err) {
			t.Errorf("%s: no directory: %v", name, err)
		}
		f, err := tr.Open([]byte("20/file"))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if b, err := io.ReadAll(f); err != nil || len(b) != 20000 {
			t.Errorf("%s: opened file has %d bytes, %v", name, len(b), err)
		}
		_ = f.Close()
	}
	a, err := live.Stat([]byte("20/file"))
	b, err2 := FS(os.DirFS(dir), ".").Stat([]byte("20/file"))
	if err != nil || err2 != nil || a != b || a.ID.Ino == 0 {
		t.Errorf("live says %+v, %v; fs says %+v, %v", a, err, b, err2)
	}
}

func TestLiveKeepsFilesAndNoticesTheDead(t *testing.T) {
	live, err := OpenLive("/proc")
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	cmd := exec.Command("/bin/sleep", "100")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	fd, err := live.Keep([]byte(strconv.Itoa(cmd.Process.Pid) + "/stat"))
	if err != nil {
		t.Fatal(err)
	}
	defer live.Drop(fd)
	buf := make([]byte, 4096)
	first, err := live.Again(fd, buf)
	if err != nil || !strings.HasPrefix(string(buf[:first]), strconv.Itoa(cmd.Process.Pid)+" (") {
		t.Fatalf("%q, %v", buf[:first], err)
	}
	if again, err := live.Again(fd, buf); err != nil || again == 0 {
		t.Errorf("read again: %d bytes, %v", again, err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if _, err := live.Again(fd, buf); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a dead process: %v", err)
	}
}

func TestLiveDoesNotAllocate(t *testing.T) {
	live, err := OpenLive("/proc")
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	pids, buf := make([]int, 0, 1<<16), make([]byte, 0, 64<<10)
	dot, stat, exe := []byte("."), []byte("self/stat"), []byte("self/exe")
	if n := testing.AllocsPerRun(20, func() {
		pids, _ = live.Numbers(pids[:0], dot)
		buf, _ = live.Read(buf[:0], stat, 4000)
		buf, _ = live.Link(buf[:0], exe)
		_, _ = live.Read(buf[:0], []byte("0/none"), 10)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if len(pids) == 0 || len(buf) == 0 {
		t.Error("nothing was read")
	}
}

// Nothing that has to be asked for is told, and no link is followed, so that nobody can hold up the caller.
func TestLiveBelowFindsWhatIsKnownOnly(t *testing.T) {
	dir := t.TempDir()
	live, err := OpenLive(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	if err := os.MkdirAll(filepath.Join(dir, "root/a"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "root/a/b"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a", filepath.Join(dir, "root/link")); err != nil {
		t.Fatal(err)
	}
	want, err := live.Stat([]byte("root/a/b"))
	if err != nil || want.Unlinked != host.No || want.Changed == 0 {
		t.Fatalf("%+v, %v", want, err)
	}
	if f, err := live.Below([]byte("root"), []byte("/a/b")); err != nil || f != want {
		t.Errorf("%+v, %v", f, err)
	}
	for _, name := range []string{"/a/none", "/link/b", "/../root/a/b"} {
		if f, err := live.Below([]byte("root"), []byte(name)); err == nil {
			t.Errorf("%s: %+v", name, f)
		}
	}
	f, err := live.Open([]byte("root/a/b"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Remove(filepath.Join(dir, "root/a/b")); err != nil {
		t.Fatal(err)
	}
	if got, err := f.File(); err != nil || got.ID != want.ID || got.Unlinked != host.Yes {
		t.Errorf("without a name: %+v, %v", got, err)
	}
}

// Who replaces what is in a file can put back its size and its time of modification, but not its time of change, on which
// the memory of hashes relies.
func TestLiveNoticesAFileThatWasMadeToLookUnchanged(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(name, []byte("honest"), 0o600); err != nil {
		t.Fatal(err)
	}
	live, err := OpenLive(filepath.Dir(name))
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	before, err := live.Stat([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond) // the kernel's clock for files is no finer than its tick
	if err := os.WriteFile(name, []byte("evil!!"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(name, time.Time{}, time.Unix(0, before.Modified)); err != nil {
		t.Fatal(err)
	}
	after, err := live.Stat([]byte("x"))
	if err != nil || after.Size != before.Size || after.Modified != before.Modified || after == before {
		t.Errorf("%+v, then %+v, %v", before, after, err)
	}
}
