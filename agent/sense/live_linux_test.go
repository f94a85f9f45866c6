package sense

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/minehound/minehound/agent/host"
	"github.com/minehound/minehound/agent/sense/tree"
)

// roleVariable makes a second run of the test binary a process to look at.
const roleVariable = "MINEHOUND_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "work-then-stop":
		workThenStop()
	default:
		os.Exit(m.Run())
	}
}

// workThenStop uses half a second of CPU time in two threads, holds 128 MiB, and stops itself, so that nothing about it
// changes any more.
func workThenStop() {
	b, err := syscall.Mmap(-1, 0, 128<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		os.Exit(3)
	}
	b[0] = 1
	for usedBySelf() < 300*time.Millisecond {
		b[1]++
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	time.Sleep(time.Minute) // another thread may be the one that is stopped first
	os.Exit(0)
}

// child starts a process that ends with the test.
func child(tb testing.TB, env []string, name string, args ...string) *exec.Cmd {
	tb.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = env
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// capture writes the files of the machine and of one process as a text machine.
func capture(t *testing.T, pid int) []byte {
	t.Helper()
	var out []byte
	file := func(name string) {
		b, err := os.ReadFile("/" + name)
		if err != nil {
			t.Fatal(err)
		}
		out = fmt.Appendf(out, "-- %s --\n%s", name, tree.Escape(b))
	}
	link := func(name string) {
		to, err := os.Readlink("/" + name)
		if err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat("/" + name)
		if err != nil {
			t.Fatal(err)
		}
		sys, ok := st.Sys().(*syscall.Stat_t)
		if !ok {
			t.Fatalf("what stat says of %s is a %T", name, st.Sys())
		}
		out = fmt.Appendf(out, "-- %s -> %s --\ndev %d ino %d size %d mtime %d\n", name, to, sys.Dev, sys.Ino, sys.Size, st.ModTime().Unix())
	}
	for _, name := range []string{"proc/uptime", "proc/stat", "proc/meminfo", "proc/sys/kernel/hostname", "proc/sys/kernel/random/boot_id", "etc/passwd"} {
		file(name)
	}
	for _, name := range []string{"etc/machine-id", "sys/module/msr/parameters/allow_writes"} {
		if _, err := os.Stat("/" + name); err == nil {
			file(name)
		}
	}
	dir := "proc/" + strconv.Itoa(pid) + "/"
	for _, name := range []string{"stat", "status", "cmdline", "environ", "cgroup", "maps"} {
		file(dir + name)
	}
	link(dir + "exe")
	link(dir + "cwd")
	tasks, err := os.ReadDir("/" + dir + "task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		file(dir + "task/" + task.Name() + "/stat")
		file(dir + "task/" + task.Name() + "/status")
	}
	return out
}

// The reader of the live machine, the same files as a text machine, and the same directory as an fs.FS must show the same
// process.
func TestReadersAgree(t *testing.T) {
	cmd := child(t, []string{roleVariable + "=work-then-stop", "LD_LIBRARY_PATH=/none", "TOKEN=geheim"}, os.Args[0], "--pass", "geheim", "a\nb", "", "-o", "stratum+tcp://u:p@h:1")
	pid := cmd.Process.Pid
	until(t, "all its threads have stopped", func() bool {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		return err == nil && len(tasks) > 0 && !slices.ContainsFunc(tasks, func(name string) bool {
			b, err := os.ReadFile(name)
			return err != nil || !strings.Contains(string(b), ") T ")
		})
	})
	o := DefaultOptions()
	o.Connector, o.HotShare = false, 0.001 // however little of the machine it got, it counts as busy
	live, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	text, err := Txtar(capture(t, pid))
	if err != nil {
		t.Fatal(err)
	}
	lookers := map[string]*Looker{"live": live}
	for name, fsys := range map[string]fs.FS{"text": text, "directory": os.DirFS("/")} {
		if lookers[name], err = FromFS(fsys, o); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = lookers[name].Close() })
	}
	seen := map[string]host.Process{}
	machines := map[string]host.Machine{}
	for name, l := range lookers {
		s, err := l.Look(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		p := *process(t, s, pid)
		if p.Effort == nil || p.Effort.Memory == nil || p.Detail == nil {
			t.Fatalf("%s did not look closely: %+v", name, p)
		}
		if d := p.CPU(); d < 200*time.Millisecond || p.State != 'T' {
			t.Errorf("%s: %v of CPU, state %c", name, d, p.State)
		}
		effort, memory := *p.Effort, *p.Effort.Memory
		p.Looked, effort.Looked, memory.Looked = 0, 0, 0
		effort.Memory, p.Effort = &memory, &effort
		seen[name] = p
		m := s.Machine
		m.Busy, m.Steal = 0, 0
		machines[name] = m
	}
	for _, name := range []string{"text", "directory"} {
		if diff := cmp.Diff(seen["live"], seen[name]); diff != "" {
			t.Errorf("%s (-live +%s):\n%s", name, name, diff)
		}
		if diff := cmp.Diff(machines["live"], machines[name]); diff != "" {
			t.Errorf("%s (-live +%s):\n%s", name, name, diff)
		}
	}
	d := seen["live"].Detail
	if !slices.Equal(d.Args, []string{os.Args[0], "--pass", "***", "a\nb", "", "-o", "stratum+tcp://***:***@h:1"}) {
		t.Errorf("arguments %q", d.Args)
	}
	if want := []host.EnvVar{{Name: "LD_LIBRARY_PATH", Value: "/none"}, {Name: roleVariable}, {Name: "TOKEN"}}; !slices.Equal(d.Env, want) {
		t.Errorf("environment %q", d.Env)
	}
	if m := seen["live"].Effort.Memory; !slices.Contains(m.Large, 128<<20) {
		t.Errorf("mappings %v", m.Large)
	}
}

func TestDeletedExecutable(t *testing.T) {
	for _, c := range []struct {
		name   string
		remove bool
		again  bool // another file takes its name, with the mark
	}{{"tool", true, false}, {"tool", false, false}, {"tool (deleted)", false, false}, {"tool (deleted)", true, false}, {"tool", true, true}} {
		exe := filepath.Join(t.TempDir(), c.name)
		b, err := os.ReadFile("/bin/sleep")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(exe, b, 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := child(t, nil, exe, "100")
		if c.remove {
			if err := os.Remove(exe); err != nil {
				t.Fatal(err)
			}
		}
		if c.again {
			if err := os.WriteFile(exe+" (deleted)", b, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		o := DefaultOptions()
		o.Connector = false
		l, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		s, err := l.Look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		d := process(t, s, cmd.Process.Pid).Detail
		if d == nil || d.Exe != exe || d.ExeDeleted != host.FactOf(c.remove) || d.ExeFile.Ino == 0 {
			t.Errorf("%+v: %+v", c, d)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

// In the steady state a look at the live machine allocates nothing. Others use this machine too, so the best of a few
// rounds counts: what this code allocates by itself it allocates in each.
func TestLookDoesNotAllocate(t *testing.T) {
	for range 50 {
		child(t, nil, "/bin/sleep", "1000")
	}
	o := DefaultOptions()
	o.SweepMin, o.CPUBudget = 0, 1 // every look reads every process
	l, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx := context.Background()
	read := 0
	look := func() {
		s, err := l.Look(ctx)
		if err != nil {
			t.Fatal(err)
		}
		read = 0
		for i := range s.Processes {
			if s.Processes[i].Looked >= s.Uptime {
				read++
			}
		}
	}
	for range 5 {
		look()
	}
	best := 1000.0
	for range 40 {
		if best = min(best, testing.AllocsPerRun(3, look)); best == 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if best != 0 {
		t.Errorf("%v allocations", best)
	}
	if read < 50 {
		t.Errorf("only %d processes were read", read)
	}
}

func TestDescriptorsAreBounded(t *testing.T) {
	for range 30 {
		child(t, nil, "/bin/sleep", "1000")
	}
	open := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	before := open()
	o := DefaultOptions()
	o.MaxKeptFDs, o.Connector = 10, false
	l, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		s, err := l.Look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Processes) < 31 {
			t.Errorf("%d processes", len(s.Processes))
		}
	}
	if n := open() - before; n > 10+3+3+1 { // and the directories of the looker, of the closer look and of the hasher
		t.Errorf("%d descriptors are open", n)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if n := open() - before; n != 0 {
		t.Errorf("%d descriptors are left open", n)
	}
}

// listening is a Looker that hears of process events; without the right to, the test is skipped, but not in CI.
func listening(t *testing.T, o Options) *Looker {
	t.Helper()
	l, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if b, ok := l.sensors[1].(blind); ok {
		if os.Getenv("CI") == "true" && os.Getuid() == 0 {
			t.Fatal(b.err)
		}
		t.Skip(b.err)
	}
	return l
}

func TestConnectorReadsAProgramThatIsGoneAtTheLook(t *testing.T) {
	o := DefaultOptions()
	o.EventBudget = 1 // whatever else starts on this machine
	l := listening(t, o)
	if _, err := l.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", "/bin/sleep 2; exit 0", "--token", "geheim")
	cmd.Dir = "/"
	if err := cmd.Run(); err != nil { // and nobody looks meanwhile
		t.Fatal(err)
	}
	pid := cmd.ProcessState.Pid()
	var events []host.Event
	until(t, "its end is told", func() bool {
		s, err := l.Look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, s.Events...)
		return slices.ContainsFunc(events, func(e host.Event) bool { return e.Kind == host.ProcessEnded && e.ID.PID == pid })
	})
	var shell, sleep, ended *host.Event
	for i := range events {
		switch e := &events[i]; {
		case e.Kind == host.ProcessEnded && e.ID.PID == pid:
			ended = e
		case e.Kind == host.ProcessStarted && e.ID.PID == pid:
			shell = e
		case e.Kind == host.ProcessStarted && e.Parent.PID == pid:
			sleep = e
		}
	}
	if shell == nil || sleep == nil {
		t.Fatalf("not told of in %d events", len(events))
	}
	if shell.Detail == nil || !slices.Equal(shell.Detail.Args, []string{"/bin/sh", "-c", "/bin/sleep 2; exit 0", "--token", "***"}) || shell.Detail.Cwd != "/" ||
		shell.Parent.PID != os.Getpid() || shell.ParentDetail == nil || shell.ParentDetail.Exe == "" || shell.ID.Born == 0 {
		t.Errorf("shell %+v", shell)
	}
	if sleep.ParentDetail != shell.Detail || sleep.Parent != shell.ID || sleep.Name != "sleep" {
		t.Errorf("sleep %+v", sleep)
	}
	if ended.ID != shell.ID || ended.Name != "sh" || ended.Detail != shell.Detail || ended.At.Before(shell.At) {
		t.Errorf("end %+v", ended)
	}
}

func TestRunningProcessesAreEventsBesideTheConnectorToo(t *testing.T) {
	o := DefaultOptions()
	o.Running, o.EventBudget = true, 1
	l := listening(t, o)
	count := func() (n int) {
		s, err := l.Look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range s.Events {
			if e.ID.PID == os.Getpid() {
				n++
			}
		}
		return n
	}
	if first, second := count(), count(); first != 1 || second != 0 {
		t.Errorf("told %d times on the first look and %d times on the second", first, second)
	}
}

func TestConnectorAndTableAgree(t *testing.T) {
	o := DefaultOptions()
	o.EventBudget = 1 // whatever else starts on this machine
	l := listening(t, o)
	if _, err := l.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	cmd := child(t, nil, "/bin/sleep", "1000")
	var told *host.Event
	until(t, "its start is told", func() bool {
		s, err := l.Look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, e := range s.Events {
			if e.Kind == host.ProcessStarted && e.ID.PID == cmd.Process.Pid {
				told = &e
				n++
			}
		}
		if n > 1 {
			t.Errorf("told %d times", n)
		}
		return told != nil
	})
	s, err := l.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if p := process(t, s, cmd.Process.Pid); p.ID != told.ID || p.Detail != told.Detail {
		t.Errorf("%+v is told of as %+v", p, told)
	}
	if slices.ContainsFunc(s.Events, func(e host.Event) bool { return e.ID == told.ID }) {
		t.Error("told again")
	}
}

func TestConnectorInAStormStaysWithinItsBudgetAndSaysSo(t *testing.T) {
	o := DefaultOptions()
	o.EventBudget = 0.000_01
	l := listening(t, o)
	if _, err := l.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err := exec.Command("/bin/true").Run(); err != nil {
			t.Fatal(err)
		}
	}
	var gaps []host.Gap
	until(t, "it says so", func() bool {
		s, err := l.Look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		gaps = append(gaps, s.Gaps...)
		return slices.ContainsFunc(s.Gaps, func(g host.Gap) bool { return g.Sensor == "events" && strings.Contains(g.Reason, "budget") })
	})
}

func TestConnectorRingIsBounded(t *testing.T) {
	c := &connector{}
	for range ringSize + 3 {
		c.put(host.Event{Kind: host.ProcessStarted})
	}
	var s host.Snapshot
	if err := c.Sense(t.Context(), &s); err != nil {
		t.Fatal(err)
	}
	if want := []host.Gap{{Sensor: "events", Reason: "events lost: more than wait for a look: 3"}}; len(s.Events) != ringSize || !slices.Equal(s.Gaps, want) {
		t.Errorf("%d events, gaps %q", len(s.Events), s.Gaps)
	}
	s = host.Snapshot{}
	if err := c.Sense(t.Context(), &s); err != nil || len(s.Events)+len(s.Gaps) != 0 {
		t.Errorf("what was handed over comes again: %+v, %v", s, err)
	}
}

func TestCloseEndsEverything(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 3 {
		l, err := New(DefaultOptions())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if err := l.Close(); err != nil {
			t.Errorf("closed again: %v", err)
		}
	}
	until(t, "its goroutines have ended", func() bool { return runtime.NumGoroutine() <= before })
}

func TestNewWithoutProc(t *testing.T) {
	o := DefaultOptions()
	o.Proc = t.TempDir()
	if _, err := New(o); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty directory: %v", err)
	}
	o.Proc = filepath.Join(o.Proc, "none")
	if _, err := New(o); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

// usedBySelf is the CPU time that this process has used.
func usedBySelf() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

var _ io.Closer = (*processes)(nil)
