package report

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minehound/minehound/agent/incident"
)

// plainAlert is an alert with nothing in it but what tells it from others.
func plainAlert(id string, revision int, severity string) Alert {
	return Alert{
		Schema: Schema, ID: id, Revision: revision, Status: "open", Verdict: "mining", Severity: severity,
		Time: time.Date(2026, 3, 1, 12, 0, revision, 0, time.UTC),
	}
}

// notes collects what a sink tells.
type notes struct {
	mu   sync.Mutex
	list []Note
}

func (n *notes) tell(note Note) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, note)
}

func (n *notes) count(k NoteKind) (sum int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, note := range n.list {
		if note.Kind == k {
			sum++
		}
	}
	return sum
}

func newLog(t *testing.T, o LogOptions) *Log {
	t.Helper()
	l, err := NewLog(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close(t.Context()) })
	return l
}

func ids(t *testing.T, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for line := range bytes.Lines(data) {
		var a Alert
		if err := json.Unmarshal(line, &a); err != nil {
			t.Fatalf("%s: %q: %v", path, line, err)
		}
		list = append(list, a.ID)
	}
	return list
}

func TestLogSyncsEveryAlert(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "alerts.jsonl")
	l := newLog(t, LogOptions{Path: path, MaxSize: 3000})
	var written, synced []int64 // sizes of the file
	size := func(f *os.File) int64 {
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	l.write = func(f *os.File, b []byte) (int, error) {
		n, err := f.Write(b)
		written = append(written, size(f))
		return n, err
	}
	l.sync = func(f *os.File) error {
		synced = append(synced, size(f))
		return f.Sync()
	}
	for i := range 20 {
		if err := l.Report(t.Context(), plainAlert(fmt.Sprint(i), 1, "high")); err != nil {
			t.Fatal(err)
		}
		if len(synced) != i+1 {
			t.Fatalf("after %d alerts %d syncs", i+1, len(synced))
		}
	}
	if !slices.Equal(written, synced) {
		t.Errorf("sizes after writing %v, at sync %v", written, synced)
	}
	if list, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "alerts-*-size.jsonl.gz")); len(list) < 2 {
		t.Errorf("not rotated: %v", list)
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm()&0o027 != 0 {
		t.Errorf("%v, mode %v", err, info.Mode())
	}
}

func TestLogRotates(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "alerts.jsonl")
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	o := LogOptions{Path: path, RotateEvery: 24 * time.Hour, MaxFiles: 2, Now: func() time.Time { return now }}
	l := newLog(t, o)
	for i := range 5 {
		if err := l.Report(t.Context(), plainAlert(fmt.Sprint(i), 1, "high")); err != nil {
			t.Fatal(err)
		}
		// A new run finds out how old the file is.
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		l = newLog(t, o)
		now = now.Add(25 * time.Hour)
		time.Sleep(2 * time.Millisecond) // rotated files are named after milliseconds
	}
	if got := ids(t, path); !slices.Equal(got, []string{"4"}) {
		t.Errorf("the current file has %v", got)
	}
	list, err := filepath.Glob(filepath.Join(dir, "alerts-*-time.jsonl.gz"))
	if err != nil || len(list) != 2 {
		t.Errorf("rotated files: %v, %v", list, err)
	}
	var seen []string
	read, err := ReadLog(os.DirFS(dir), "alerts.jsonl", func(a Alert) bool { seen = append(seen, a.ID); return true })
	if err != nil || !slices.Equal(seen, []string{"2", "3", "4"}) || read.Files != 3 {
		t.Errorf("read %v, %+v, %v", seen, read, err)
	}
}

func TestLogReopens(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows does not let others move a file that is open")
	}
	for _, how := range []string{"told", "by itself"} {
		t.Run(how, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "alerts.jsonl")
			l := newLog(t, LogOptions{Path: path})
			report := func(id string) {
				t.Helper()
				if err := l.Report(t.Context(), plainAlert(id, 1, "high")); err != nil {
					t.Fatal(err)
				}
			}
			report("a")
			if err := os.Rename(path, path+".1"); err != nil {
				t.Fatal(err)
			}
			if how == "told" {
				if err := l.Reopen(); err != nil {
					t.Fatal(err)
				}
			}
			report("b")
			if err := os.Truncate(path, 0); err != nil { // logrotate's copytruncate
				t.Fatal(err)
			}
			report("c")
			if old, now := ids(t, path+".1"), ids(t, path); !slices.Equal(old, []string{"a"}) || !slices.Equal(now, []string{"c"}) {
				t.Errorf("old %v, new %v", old, now)
			}
		})
	}
}

func TestLogEndsATornLine(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "alerts.jsonl")
	if err := os.WriteFile(path, []byte(`{"schema":"minehound.al`), 0o600); err != nil {
		t.Fatal(err)
	}
	var n notes
	l := newLog(t, LogOptions{Path: path, Tell: n.tell})
	if err := l.Report(t.Context(), plainAlert("a", 1, "high")); err != nil {
		t.Fatal(err)
	}
	got, read, err := Latest(os.DirFS(dir), "alerts.jsonl", 0)
	if err != nil || read.Torn != 1 || len(got) != 1 || got[0].ID != "a" {
		t.Errorf("read %v, %+v, %v", got, read, err)
	}
	if n.count(NoteRepaired) != 1 {
		t.Errorf("told %v", n.list)
	}
}

// TestLogLeaves: what could not be written is given back, once, and is not counted as lost.
func TestLogLeaves(t *testing.T) {
	l := newLog(t, LogOptions{Path: filepath.Join(t.TempDir(), "alerts.jsonl")})
	l.write = func(*os.File, []byte) (int, error) { return 0, syscall.ENOSPC }
	for _, id := range []string{"a", "b"} {
		if err := l.Report(t.Context(), plainAlert(id, 1, "high")); !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	left, err := AtLeast(incident.Clean, l).Leave(t.Context())
	if !errors.Is(err, syscall.ENOSPC) || len(left) != 2 || left[0].ID != "a" || left[1].ID != "b" {
		t.Errorf("left %v, %v", left, err)
	}
	left, err = l.Leave(t.Context())
	if st := l.Stats()[0]; err != nil || len(left) > 0 || l.Close(t.Context()) != nil || st.Dropped != 0 || st.Queued != 0 {
		t.Errorf("again: %v, %v, %+v", left, err, st)
	}
	if err := l.Report(t.Context(), plainAlert("c", 1, "high")); !errors.Is(err, ErrClosed) {
		t.Errorf("after leaving: %v", err)
	}
}

// TestLogFullDisk lets writes and syncs fail half way, as a full disk does, and checks that nothing is lost or torn.
func TestLogFullDisk(t *testing.T) {
	for _, fail := range []string{"write", "part", "sync", "part and truncate"} {
		t.Run(fail, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "alerts.jsonl")
				var n notes
				l := newLog(t, LogOptions{Path: path, MaxWaiting: 3, Tell: n.tell})
				var full atomic.Bool
				full.Store(true)
				l.write = func(f *os.File, b []byte) (int, error) {
					switch {
					case !full.Load() || fail == "sync":
						return f.Write(b)
					case fail == "write":
						return 0, syscall.ENOSPC
					}
					written, _ := f.Write(b[:len(b)/2])
					if fail == "part and truncate" {
						_ = f.Close() // Truncate fails, too
					}
					return written, syscall.ENOSPC
				}
				l.sync = func(f *os.File) error {
					if full.Load() && fail == "sync" {
						return syscall.EIO
					}
					return f.Sync()
				}
				for i, severity := range []string{"low", "high", "info", "high", "high"} {
					err := l.Report(t.Context(), plainAlert(fmt.Sprint(i), 1, severity))
					var storage *StorageError
					if !errors.As(err, &storage) || storage.Path != path {
						t.Fatalf("alert %d: %v", i, err)
					}
					if fail != "sync" && (storage.Op != "write" && storage.Op != "repair" || !strings.Contains(err.Error(), "disk is full")) {
						t.Fatalf("alert %d: %v", i, err)
					}
				}
				// Three fit: the info went first, then the low.
				if st := l.Stats()[0]; st.Queued != 3 || st.Dropped != 2 || n.count(NoteDropped) != 2 {
					t.Fatalf("%+v, told %v", st, n.list)
				}
				full.Store(false)
				time.Sleep(time.Minute + time.Second) // no alert comes, still they are written
				if st := l.Stats()[0]; st.Queued != 0 || st.Delivered != 3 || n.count(NoteRestored) != 1 {
					t.Fatalf("%+v, told %v", st, n.list)
				}
				var got []string
				read, err := ReadLog(os.DirFS(filepath.Dir(path)), "alerts.jsonl", func(a Alert) bool { got = append(got, a.ID); return true })
				if err != nil || !slices.Equal(got, []string{"1", "3", "4"}) || fail != "part and truncate" && read.Torn > 0 {
					t.Errorf("read %v, %+v, %v", got, read, err)
				}
			})
		})
	}
}

func TestLogBadPlaces(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "file", "alerts.jsonl"): "a part of the path is a file",
		dir: "not a regular file",
	} {
		l := newLog(t, LogOptions{Path: path})
		for _, err := range []error{l.Reopen(), l.Report(t.Context(), plainAlert("a", 1, "high"))} {
			var storage *StorageError
			if !errors.As(err, &storage) || !strings.Contains(err.Error(), want) || strings.Count(err.Error(), path) != 1 {
				t.Errorf("%s: %v", path, err)
			}
		}
		if err := l.Close(t.Context()); err == nil || !strings.Contains(err.Error(), "1 alerts are lost") {
			t.Errorf("%s: closed with %v", path, err)
		}
		if st := l.Stats()[0]; st.Dropped != 1 || st.LastError == "" {
			t.Errorf("%+v", st)
		}
	}
	if _, err := NewLog(LogOptions{}); err == nil {
		t.Error("a log without a path")
	}
}

// tmpfs mounts a file system of so many bytes.
func tmpfs(t *testing.T, size string) string {
	t.Helper()
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Skip("a small file system takes root on Linux")
	}
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("mount: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return dir
}

func TestLogOnARealFullDisk(t *testing.T) {
	dir := tmpfs(t, "64k")
	path := filepath.Join(dir, "alerts.jsonl")
	l := newLog(t, LogOptions{Path: path})
	var n int
	for ; n < 1000; n++ {
		if err := l.Report(t.Context(), plainAlert(fmt.Sprint(n), 1, "high")); err != nil {
			if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "the disk is full") {
				t.Fatal(err)
			}
			break
		}
	}
	if n == 0 || n == 1000 {
		t.Fatalf("full after %d alerts", n)
	}
	written := ids(t, path) // fails when a line is torn
	if len(written) != n {
		t.Errorf("%d lines, %d reported as written", len(written), n)
	}
	if err := os.Rename(path, filepath.Join(t.TempDir(), "x")); err != nil {
		_ = os.Remove(path) // another file system: room is all that is needed
	}
	if err := l.Report(t.Context(), plainAlert("last", 1, "high")); err != nil {
		t.Fatal(err)
	}
	if got := ids(t, path); !slices.Equal(got, []string{fmt.Sprint(n), "last"}) {
		t.Errorf("after there was room: %v", got)
	}
}

func TestRotatedFilesAreWholeGzip(t *testing.T) {
	dir := t.TempDir()
	l := newLog(t, LogOptions{Path: filepath.Join(dir, "alerts.jsonl"), MaxSize: 1})
	for i := range 3 {
		if err := l.Report(t.Context(), plainAlert(fmt.Sprint(i), 1, "high")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Millisecond)
	}
	list, _ := filepath.Glob(filepath.Join(dir, "*.gz"))
	if len(list) != 2 {
		t.Fatalf("rotated: %v", list)
	}
	for _, name := range list {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		if line, err := io.ReadAll(z); err != nil || !bytes.HasSuffix(line, []byte("}\n")) {
			t.Errorf("%s: %q, %v", name, line, err)
		}
		f.Close()
	}
}
