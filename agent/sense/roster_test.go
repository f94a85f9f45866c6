package sense

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/minehound/minehound/agent/host"
)

// fakeMachine is a machine that a test moves on; it is the lister and the machineReader.
type fakeMachine struct {
	at      time.Time
	cost    time.Duration // that one list takes
	table   []entry
	listErr error
	details map[int]*host.Detail
	denied  map[int]bool
	asked   []int // PIDs whose detail was read
	lists   int
	cpu     time.Duration
	cpuErr  error
}

func (f *fakeMachine) now() time.Time { return f.at }

func (f *fakeMachine) list(_ context.Context, into []entry) ([]entry, error) {
	f.lists++
	f.at = f.at.Add(f.cost)
	return append(into, f.table...), f.listErr
}

func (f *fakeMachine) detail(_ context.Context, pid int) (*host.Detail, error) {
	f.asked = append(f.asked, pid)
	if f.denied[pid] {
		return &host.Detail{UID: -1}, fmt.Errorf("process %d: %w", pid, ErrPermission)
	}
	return f.details[pid], nil
}

func (f *fakeMachine) facts(context.Context) (facts, []host.Gap, error) {
	return facts{Boot: boot, CPUs: 4, Memory: -1, Identity: host.Identity{OS: "fake"}},
		[]host.Gap{{Sensor: "machine", Reason: "size of the memory: no"}}, nil
}

func (f *fakeMachine) busy(context.Context) (time.Duration, error) { return f.cpu, f.cpuErr }

var boot = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

// running lists one process that started at the second given and has used the CPU time given.
func running(pid, parent int, name string, started float64, used time.Duration) entry {
	e := entry{Started: boot.Add(time.Duration(started * float64(time.Second))), Counted: true}
	e.ID.PID, e.Parent, e.Name, e.User, e.Threads, e.RSS, e.VSize = pid, parent, name, used, 1, 1<<20, 2<<20
	return e
}

// looker is a Looker over the fake machine, one hour after its boot.
func looker(t *testing.T, o Options) (*fakeMachine, func() *host.Snapshot) {
	t.Helper()
	f := &fakeMachine{at: boot.Add(time.Hour), details: map[int]*host.Detail{}, denied: map[int]bool{}}
	mask := func(args []string) []string {
		for i, a := range args {
			args[i] = strings.ReplaceAll(a, "secret", "***")
		}
		return args
	}
	l := &Looker{sensors: []Sensor{newPlainMachine(f, f.now), newRoster(o, f, f.now, mask)}}
	return f, func() *host.Snapshot {
		t.Helper()
		s, err := l.Look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

func TestRosterFirstLook(t *testing.T) {
	f, look := looker(t, DefaultOptions())
	f.details[20] = &host.Detail{Exe: `C:\x.exe`, Args: []string{"x", "--pass=secret"}, ArgsKnown: true}
	f.details[3] = &host.Detail{Exe: "/sbin/launchd"}
	f.table = []entry{running(20, 3, "x", 3590.057, time.Second), running(3, 0, "launchd", -0.5, time.Minute)}
	s := look()
	if !s.At.Equal(boot.Add(time.Hour)) || s.Uptime != time.Hour {
		t.Errorf("look at %v, uptime %v", s.At, s.Uptime)
	}
	m := host.Machine{
		Identity: host.Identity{OS: "fake"}, CPUs: 4, Busy: 0, Steal: -1, Memory: -1, HugePages: -1, HugeFree: -1, HugeSize: -1,
	}
	if s.Machine != m {
		t.Errorf("machine %+v, want %+v", s.Machine, m)
	}
	want := []host.Process{
		{ID: host.ProcID{PID: 3, Born: 0}, Name: "launchd", Looked: time.Hour, User: time.Minute, Threads: 1, RSS: 1 << 20, VSize: 2 << 20, Detail: f.details[3]},
		{
			ID: host.ProcID{PID: 20, Born: 359005}, Parent: 3, Name: "x", Looked: time.Hour, User: time.Second, Threads: 1, RSS: 1 << 20, VSize: 2 << 20,
			Detail: &host.Detail{Exe: `C:\x.exe`, Args: []string{"x", "--pass=***"}, ArgsKnown: true},
		},
	}
	if d := cmp.Diff(want, s.Processes); d != "" {
		t.Errorf("processes (-want +got):\n%s", d)
	}
	if len(s.Events) != 0 {
		t.Errorf("the first look tells events %+v: nothing has started since the look before", s.Events)
	}
	if d := cmp.Diff([]host.Gap{{Sensor: "machine", Reason: "size of the memory: no"}}, s.Gaps); d != "" {
		t.Errorf("gaps (-want +got):\n%s", d)
	}
}

func TestRosterRunning(t *testing.T) {
	o := DefaultOptions()
	o.Running = true
	f, look := looker(t, o)
	f.table = []entry{running(7, 0, "late", 200, 0), running(9, 7, "early", 100, 0)}
	s := look()
	if len(s.Events) != 2 || s.Events[0].Name != "early" || s.Events[1].Name != "late" {
		t.Errorf("events %+v, want both in the order they started", s.Events)
	}
}

// TestRosterEvents: starts, ends and a PID that comes back between two looks.
func TestRosterEvents(t *testing.T) {
	f, look := looker(t, DefaultOptions())
	shell := &host.Detail{Exe: "/bin/sh"}
	f.details[5], f.details[6] = shell, &host.Detail{Exe: "/tmp/x"}
	f.table = []entry{running(5, 0, "sh", 10, 0), running(6, 5, "old", 20, 0), running(8, 5, "gone", 30, 0)}
	first := look().Processes[1].ID

	f.at = f.at.Add(2 * time.Second)
	f.table = []entry{running(5, 0, "sh", 10, 0), running(6, 5, "new", 3601, 0)}
	s := look()
	want := []host.Event{
		{At: boot.Add(3601 * time.Second), Kind: host.ProcessEnded, ID: first, Name: "old", Detail: f.details[6]},
		{At: boot.Add(3601 * time.Second), Kind: host.ProcessStarted, ID: host.ProcID{PID: 6, Born: 360100}, Name: "new", Detail: f.details[6]},
		{At: s.At, Kind: host.ProcessEnded, ID: host.ProcID{PID: 8, Born: 3000}, Name: "gone"},
	}
	for i := range want {
		want[i].Parent, want[i].ParentName, want[i].ParentDetail = host.ProcID{PID: 5, Born: 1000}, "sh", shell
	}
	if d := cmp.Diff(want, s.Events); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	if n := len(s.Processes); n != 2 {
		t.Errorf("%d processes, want 2", n)
	}
}

// TestRosterParent: where the number of a parent outlives it, a younger process may have it.
func TestRosterParent(t *testing.T) {
	f, look := looker(t, DefaultOptions())
	f.table = []entry{running(4, 30, "orphan", 10, 0), running(30, 99, "younger", 20, 0), running(31, 31, "own", 5, 0), running(32, 30, "child", 21, 0)}
	want := map[string]int{"orphan": 0, "younger": 0, "own": 0, "child": 30}
	for _, p := range look().Processes {
		if p.Parent != want[p.Name] {
			t.Errorf("parent of %s is %d, want %d", p.Name, p.Parent, want[p.Name])
		}
	}
}

// TestRosterBlind: what could not be read is unknown, and the gap stays as long as it lasts.
func TestRosterBlind(t *testing.T) {
	f, look := looker(t, DefaultOptions())
	f.denied[6] = true
	f.details[5] = &host.Detail{Exe: "x"}
	blind := running(6, 0, "protected", 10, time.Hour)
	blind.Counted = false
	f.table = []entry{running(5, 0, "open", 10, 0), blind}
	for range 4 {
		s := look()
		p := s.Processes[1]
		if p.Looked != 0 || p.User != 0 || p.Threads != -1 || p.RSS != -1 || p.VSize != -1 || p.Detail == nil || p.Detail.Exe != "" {
			t.Errorf("a process that could not be read: %+v", p)
		}
		var reasons []string
		for _, g := range s.Gaps {
			if g.Sensor == "processes" {
				reasons = append(reasons, g.Reason)
			}
		}
		if d := cmp.Diff([]string{"CPU time and memory of some processes: not permitted", "executable and arguments of some processes: not permitted"}, reasons); d != "" {
			t.Errorf("gaps (-want +got):\n%s", d)
		}
		f.at = f.at.Add(2 * time.Second)
	}
	if d := cmp.Diff([]int{5, 6}, f.asked); d != "" {
		t.Errorf("closer looks (-want +got):\n%s\nwhat is not permitted must not be tried at every look", d)
	}
	f.table = f.table[:1]
	if s := look(); len(s.Gaps) != 1 {
		t.Errorf("gaps %+v although nothing is hidden any more", s.Gaps)
	}
}

// TestRosterDetail: a closer look is taken once, again a few times where there was nothing to see yet, and anew when the
// process executes another program.
func TestRosterDetail(t *testing.T) {
	f, look := looker(t, DefaultOptions())
	step := func() *host.Snapshot { f.at = f.at.Add(2 * time.Second); return look() }
	f.table = []entry{running(5, 0, "sh", 10, 0), running(6, 0, "never", 10, 0)}
	f.details[5] = &host.Detail{Exe: "/bin/sh"}
	for range 6 {
		step()
	}
	if d := cmp.Diff([]int{5, 6, 6, 6}, f.asked); d != "" {
		t.Errorf("closer looks (-want +got):\n%s", d)
	}
	f.asked, f.details[5] = nil, &host.Detail{Exe: "/tmp/miner"}
	f.table[0].Name = "miner"
	if s := step(); s.Processes[0].Detail.Exe != "/tmp/miner" || len(f.asked) != 1 {
		t.Errorf("after an exec: detail %+v, closer looks %v", s.Processes[0].Detail, f.asked)
	}
}

// TestRosterThreads: threads are kept for processes that are busy, for as long as HotHold after, within the bound.
func TestRosterThreads(t *testing.T) {
	o := DefaultOptions()
	o.MaxThreads = 2
	f, look := looker(t, o)
	each := []host.Thread{{TID: 9}, {TID: 7}, {TID: 8}}
	e := running(5, 0, "x", 10, time.Second)
	e.Each = each
	f.table = []entry{e}
	if p := look().Processes[0]; p.Effort != nil {
		t.Errorf("idle since birth, but its threads are shown: %+v", p.Effort)
	}
	f.table[0].User += time.Second
	f.at = f.at.Add(2 * time.Second)
	p := look().Processes[0]
	if p.Effort == nil || p.Effort.Looked != p.Looked || p.Effort.ThreadsMore != 1 || p.Effort.Voluntary != -1 || p.Effort.Memory != nil {
		t.Fatalf("busy, effort %+v", p.Effort)
	}
	if d := cmp.Diff([]host.Thread{{TID: 7}, {TID: 9}}, p.Effort.Threads); d != "" {
		t.Errorf("threads (-want +got):\n%s", d)
	}
	for range 15 {
		f.at = f.at.Add(2 * time.Second)
		p = look().Processes[0]
	}
	if p.Effort == nil {
		t.Error("forgotten within HotHold")
	}
	f.at = f.at.Add(2 * time.Second)
	if p = look().Processes[0]; p.Effort != nil {
		t.Error("still shown after HotHold")
	}
}

// TestRosterPace: a list that is dear is taken seldom; the Snapshot then shows the last one, dated as it is.
func TestRosterPace(t *testing.T) {
	f, look := looker(t, DefaultOptions())
	f.table, f.details[5] = []entry{running(5, 0, "x", 10, 0)}, &host.Detail{Exe: "x"}
	f.cost = 16 * time.Millisecond // 0.2 % of 8 s
	for range paceWarm {
		look()
		f.at = f.at.Add(2 * time.Second)
	}
	f.lists = 0
	looked := map[time.Duration]int{}
	for range 9 {
		s := look()
		looked[s.Processes[0].Looked]++
		f.at = f.at.Add(2*time.Second - f.cost)
		if len(s.Gaps) != 1 {
			t.Errorf("gaps %+v within SweepMax", s.Gaps)
		}
	}
	if f.lists != 3 || len(looked) != 3 {
		t.Errorf("%d lists, %d different times looked at, want 3 in 16 s", f.lists, len(looked))
	}
	f.cost = 60 * time.Millisecond
	f.at = f.at.Add(time.Minute)
	if s := look(); len(s.Gaps) != 1 { // one dear list among cheap ones is the machine's doing, not the list's
		t.Errorf("gaps %+v after one dear list", s.Gaps)
	}
	for range paceLists {
		f.at = f.at.Add(time.Minute)
		look()
	}
	if s := look(); !strings.Contains(fmt.Sprint(s.Gaps), "looked at less often than every 10s to stay within 0.2 % of one core") {
		t.Errorf("gaps %+v, want one about the budget", s.Gaps)
	}
	f.cost = time.Hour
	for range paceLists {
		f.at = f.at.Add(time.Minute)
		look()
	}
	lists := f.lists
	f.at = f.at.Add(time.Minute)
	if look(); f.lists != lists+1 {
		t.Error("no list for more than a minute: however dear, it must not blind")
	}
}

func TestRosterError(t *testing.T) {
	f, look := looker(t, DefaultOptions())
	f.table = []entry{running(5, 0, "x", 10, 0)}
	look()
	f.at = f.at.Add(2 * time.Second)
	f.listErr = errors.New("out of order")
	s := look()
	if !strings.Contains(fmt.Sprint(s.Gaps), "list processes: out of order") || len(s.Events) != 0 || len(s.Processes) != 1 {
		t.Errorf("after a failed list: %d processes, events %+v, gaps %+v", len(s.Processes), s.Events, s.Gaps)
	}
}

func TestMachineBusy(t *testing.T) {
	f, look := looker(t, DefaultOptions())
	readings := []struct {
		cpu, want time.Duration
		err       error
	}{
		{cpu: time.Hour, want: time.Hour},
		{cpu: time.Hour + time.Second, want: time.Hour + time.Second},
		{cpu: time.Minute, want: time.Hour + time.Second}, // wrapped
		{cpu: 2 * time.Minute, want: time.Hour + time.Minute + time.Second},
		{err: errors.New("no"), want: -1},
	}
	for i, r := range readings {
		f.cpu, f.cpuErr = r.cpu, r.err
		s := look()
		if s.Machine.Busy != r.want {
			t.Errorf("reading %d: busy %v, want %v", i, s.Machine.Busy, r.want)
		}
		if told := strings.Contains(fmt.Sprint(s.Gaps), "load of the whole machine: no"); told != (r.err != nil) {
			t.Errorf("reading %d: gaps %+v", i, s.Gaps)
		}
	}
}

func TestUptime(t *testing.T) {
	u := uptime{boot: boot}
	steps := []struct {
		name string
		now  time.Time
		want time.Duration
	}{
		{"first", boot.Add(time.Hour), time.Hour},
		{"on", boot.Add(time.Hour + 2*time.Second), time.Hour + 2*time.Second},
		{"slept", boot.Add(3 * time.Hour), 3 * time.Hour},
		{"set back", boot.Add(2 * time.Hour), 3 * time.Hour},
		{"on from there", boot.Add(2*time.Hour + time.Second), 3*time.Hour + time.Second},
	}
	for _, s := range steps {
		if got := u.read(s.now); got != s.want {
			t.Errorf("%s: uptime %v, want %v", s.name, got, s.want)
		}
	}
	if early := (&uptime{boot: boot}).read(boot.Add(-time.Hour)); early != 0 {
		t.Errorf("before its boot the machine is up for %v", early)
	}
}

func TestDisguise(t *testing.T) {
	a, b := disguise("4c4c4544-0042"), disguise("4c4c4544-0043")
	if len(a) != 32 || a == b || a != disguise("4c4c4544-0042") || strings.Contains(a, "4c4c4544") {
		t.Errorf("disguised as %q and %q", a, b)
	}
	if disguise("") != "" {
		t.Error("an unknown id must stay unknown")
	}
}

func TestElsewhereIsNamed(t *testing.T) {
	for _, s := range elsewhere() {
		if err := s.Sense(t.Context(), &host.Snapshot{}); !errors.Is(err, ErrUnsupported) || s.Name() == "" {
			t.Errorf("sensor %q says %v", s.Name(), err)
		}
	}
}
