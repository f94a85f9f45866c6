package spool

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/minehound/minehound/agent/report"
)

// TestRealFullDisk fills a small file system: what it takes is on it, the rest waits in memory and arrives, and is written
// once there is room.
func TestRealFullDisk(t *testing.T) {
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Skip("a small file system takes root on Linux")
	}
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("mount: %v: %s", err, out)
	}
	defer func() {
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	}()
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 40<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	var n notes
	var up atomic.Bool
	sink := &target{answer: func(int, report.Alert) error {
		if up.Load() {
			return nil
		}
		return errors.New("refused")
	}}
	s := start(t, sink, Options{Dir: filepath.Join(dir, "spool"), Tell: n.tell, Rand: func() float64 { return 0.01 }})
	const all = 12
	for i := range all {
		put(t, s, alert(fmt.Sprint("case", i, "-"), 1, "high"))
	}
	told := n.of(report.NoteStorage)
	if len(told) != 1 || !errors.Is(told[0].Err, syscall.ENOSPC) {
		t.Fatalf("told %v", n.list)
	}
	written := len(files(t, filepath.Join(dir, "spool")))
	if written == 0 || written == all || s.Stats()[0].Queued != all {
		t.Fatalf("%d files, %+v", written, s.Stats()[0])
	}
	t.Logf("%d of %d fit on the disk", written, all)

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	put(t, s, alert("last-", 1, "high")) // finds room, and so do the others now
	if now := len(files(t, filepath.Join(dir, "spool"))); now <= written || len(n.of(report.NoteRestored)) != 1 {
		t.Errorf("%d files, told %v", now, n.list)
	}
	up.Store(true)
	for deadline := time.Now().Add(20 * time.Second); s.Stats()[0].Queued > 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	stop(t, s)
	if len(sink.got) != all+1 || s.Stats()[0].Dropped != 0 {
		t.Errorf("%d arrived, %+v", len(sink.got), s.Stats()[0])
	}
}
