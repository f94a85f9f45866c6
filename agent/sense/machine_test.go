package sense

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/minehound/minehound/agent/host"
)

// world is a machine whose files change between two looks.
type world struct {
	mu sync.RWMutex
	fs fs.FS
}

func (w *world) now() fs.FS {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.fs
}

// Open implements [fs.FS].
func (w *world) Open(name string) (fs.File, error) { return w.now().Open(name) }

// ReadDir implements [fs.ReadDirFS].
func (w *world) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(w.now(), name) }

// ReadLink implements [fs.ReadLinkFS].
func (w *world) ReadLink(name string) (string, error) { return fs.ReadLink(w.now(), name) }

// Lstat implements [fs.ReadLinkFS].
func (w *world) Lstat(name string) (fs.FileInfo, error) { return fs.Lstat(w.now(), name) }

// Stat implements [fs.StatFS].
func (w *world) Stat(name string) (fs.FileInfo, error) { return fs.Stat(w.now(), name) }

func (w *world) be(t *testing.T, text string) {
	t.Helper()
	fsys, err := Txtar([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fs = fsys
}

// base is a machine without processes that has been up for so many seconds.
func base(up int) string {
	return fmt.Sprintf(`-- etc/machine-id --
0123456789abcdef0123456789abcdef
-- etc/passwd --
root:x:0:0::/root:/bin/sh
www-data:x:33:33::/:/bin/false
-- proc/uptime --
%d.00 1.00
-- proc/stat --
cpu  100 20 30 4000 50 6 7 8 0 0
cpu0 50 10 15 2000 25 3 3 4 0 0
cpu1 50 10 15 2000 25 3 4 4 0 0
btime 1700000000
-- proc/meminfo --
MemTotal: 1000 kB
HugePages_Total: 1170
HugePages_Free: 0
Hugepagesize: 2048 kB
-- proc/sys/kernel/hostname --
box
-- proc/sys/kernel/random/boot_id --
781eb9fc-b858-49b3-90d0-96051df88231
-- sys/module/msr/parameters/allow_writes --
on
`, up)
}

// proc is what one process is made of in a text machine; what is left out is not there.
type proc struct {
	pid, parent, born int
	name              string // as it stands between the brackets
	state             string
	flags             int
	cpu               int // ticks, user
	cmdline, environ  string
	exe, exeBody      string
	uid               int
	cgroup            string
	threads           []string // stat tails of threads, "" the process's own
	maps, status      string
}

func (p proc) text() string {
	var b strings.Builder
	dir := fmt.Sprintf("proc/%d", p.pid)
	state := p.state
	if state == "" {
		state = "S"
	}
	stat := func(id, cpu int) string {
		return fmt.Sprintf("%d (%s) %s %d %d %d 0 -1 %d 100 0 0 0 %d 0 0 0 20 0 1 0 %d 1048576 256 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
			id, p.name, state, p.parent, p.pid, p.pid, p.flags, cpu, p.born)
	}
	fmt.Fprintf(&b, "-- %s/stat --\n%s", dir, stat(p.pid, p.cpu))
	fmt.Fprintf(&b, "-- %s/status --\nUid:\t%d\t0\t0\t0\nTracerPid:\t0\n%s", dir, p.uid, p.status)
	fmt.Fprintf(&b, "-- %s/cmdline --\n%s", dir, p.cmdline)
	if p.environ != "" {
		fmt.Fprintf(&b, "-- %s/environ --\n%s", dir, p.environ)
	}
	if p.exe != "" {
		fmt.Fprintf(&b, "-- %s/exe -> %s --\n%s", dir, p.exe, p.exeBody)
		fmt.Fprintf(&b, "-- %s/root -> / --\n-- %s/cwd -> /srv --\n", dir, dir)
	}
	if p.cgroup != "" {
		fmt.Fprintf(&b, "-- %s/cgroup --\n%s", dir, p.cgroup)
	}
	for i, status := range p.threads {
		fmt.Fprintf(&b, "-- %s/task/%d/stat --\n%s", dir, p.pid+i, stat(p.pid+i, p.cpu/len(p.threads)))
		fmt.Fprintf(&b, "-- %s/task/%d/status --\n%s", dir, p.pid+i, status)
	}
	if p.maps != "" {
		fmt.Fprintf(&b, "-- %s/maps --\n%s", dir, p.maps)
	}
	return b.String()
}

var initProcess = proc{pid: 1, born: 1, name: "init", cmdline: "/sbin/init\\0\\\n", exe: "/sbin/init", exeBody: "dev 1 ino 1\n"}

// watch is a Looker on a world.
func watch(t *testing.T, o Options, text string) (*world, func() *host.Snapshot) {
	t.Helper()
	w := &world{}
	w.be(t, text)
	l, err := FromFS(w, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return w, func() *host.Snapshot {
		t.Helper()
		s, err := l.Look(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

func process(t *testing.T, s *host.Snapshot, pid int) *host.Process {
	t.Helper()
	for i := range s.Processes {
		if s.Processes[i].ID.PID == pid {
			return &s.Processes[i]
		}
	}
	t.Fatalf("there is no process %d", pid)
	return nil
}

// noGaps are the Gaps of a machine on which everything can be seen.
func noGaps() []host.Gap {
	return []host.Gap{{Sensor: "gpu", Reason: "load on graphics cards has no sensor yet: not supported here"}}
}

func wantGaps(t *testing.T, s *host.Snapshot, want ...host.Gap) {
	t.Helper()
	if diff := cmp.Diff(append(noGaps(), want...), s.Gaps); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
}

func TestMachine(t *testing.T) {
	_, look := watch(t, DefaultOptions(), base(3600)+initProcess.text())
	s := look()
	want := host.Machine{
		Identity: host.Identity{ID: disguise("0123456789abcdef0123456789abcdef"), Name: "box", OS: "linux", BootID: "781eb9fc-b858-49b3-90d0-96051df88231"},
		CPUs:     2, Busy: 1710 * time.Millisecond, Steal: 80 * time.Millisecond,
		Memory: 1000 << 10, HugePages: 1170, HugeFree: 0, HugeSize: 2 << 20, MSRWritable: host.Yes,
	}
	if diff := cmp.Diff(want, s.Machine); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !s.At.Equal(time.Unix(1700000000+3600, 0)) || s.Uptime != time.Hour {
		t.Errorf("at %v, up %v", s.At, s.Uptime)
	}
	if strings.Contains(s.Machine.ID, "0123456789abcdef") {
		t.Errorf("the machine id shows in %q", s.Machine.ID)
	}
	wantGaps(t, s)
	first := slices.Clone(s.Gaps)
	if diff := cmp.Diff(first, look().Gaps); diff != "" {
		t.Errorf("a lasting gap is repeated as it was (-first +second):\n%s", diff)
	}
}

func TestMachineWithoutItsFiles(t *testing.T) {
	_, look := watch(t, DefaultOptions(), "-- proc/uptime --\n5.00 1.00\n-- proc/stat --\nnonsense\n"+initProcess.text())
	s := look()
	unknown := host.Machine{Identity: host.Identity{ID: disguise(""), OS: "linux"}, CPUs: 1, Busy: -1, Steal: -1, Memory: -1, HugePages: -1, HugeFree: -1, HugeSize: -1, MSRWritable: host.No}
	if diff := cmp.Diff(unknown, s.Machine); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(s.Gaps) != 4 || s.Gaps[1].Sensor != "machine" || s.Gaps[2].Sensor != "machine" || s.Gaps[3].Sensor != "machine" {
		t.Errorf("gaps %q", s.Gaps)
	}
}

func TestNoProcIsAnError(t *testing.T) {
	for name, text := range map[string]string{"none": "-- etc/passwd --\n", "empty": "-- proc/other --\n"} {
		fsys, err := Txtar([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := FromFS(fsys, DefaultOptions()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestProcThatDeniesEverythingIsAGap(t *testing.T) {
	o := DefaultOptions()
	fsys, err := Txtar([]byte("-- proc/uptime --\n9.00 1.00\n-- proc (denied) --\n"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := FromFS(fsys, o)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, err := l.Look(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var sensors []string
	for _, g := range s.Gaps {
		sensors = append(sensors, g.Sensor)
		if g.Sensor != "gpu" && !strings.Contains(g.Reason, ErrPermission.Error()) {
			t.Errorf("%s: %s", g.Sensor, g.Reason)
		}
	}
	if diff := cmp.Diff([]string{"gpu", "machine", "processes"}, sensors); diff != "" || len(s.Processes) != 0 {
		t.Errorf("gaps %q, %d processes", s.Gaps, len(s.Processes))
	}
}

func TestOptionsThatCannotWork(t *testing.T) {
	for name, spoil := range map[string]func(*Options){
		"hot share":   func(o *Options) { o.HotShare = 0 },
		"sweep":       func(o *Options) { o.SweepMax = o.SweepMin - 1 },
		"budget":      func(o *Options) { o.CPUBudget = 0 },
		"much budget": func(o *Options) { o.EventBudget = 2 },
		"threads":     func(o *Options) { o.MaxThreads = 0 },
		"hash":        func(o *Options) { o.HashLimit = -1 },
	} {
		o := DefaultOptions()
		spoil(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// failing is a sensor that fails.
type failing struct {
	name string
	err  error
}

func (f failing) Name() string                                { return f.name }
func (f failing) Sense(context.Context, *host.Snapshot) error { return f.err }

func TestLookTurnsErrorsIntoGaps(t *testing.T) {
	odd := errors.New("odd")
	l := &Looker{sensors: []Sensor{
		failing{"clock", nil}, failing{"z", fmt.Errorf("z: %w", ErrPermission)}, failing{"a", odd}, failing{"a", odd}, failing{"a", ErrUnsupported},
	}}
	for range 2 {
		s, err := l.Look(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		want := []host.Gap{{Sensor: "a", Reason: "not supported here"}, {Sensor: "a", Reason: "odd"}, {Sensor: "z", Reason: "z: not permitted"}}
		if diff := cmp.Diff(want, s.Gaps); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	l = &Looker{sensors: []Sensor{failing{"clock", odd}}}
	if _, err := l.Look(context.Background()); !errors.Is(err, odd) {
		t.Errorf("a first sensor that fails: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := l.Look(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a look that was called off: %v", err)
	}
}
