package sense

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/minehound/minehound/agent/host"
)

func TestProcessesOfAnOddMachine(t *testing.T) {
	const id = "3f1c2b5d8e7a90123456789abcdef0123456789abcdef0123456789abcdef012"
	_, look := watch(t, DefaultOptions(), base(3600)+initProcess.text()+
		proc{pid: 2, born: 1, name: "kthreadd", flags: 0x208040}.text()+
		proc{pid: 3, parent: 2, born: 1, name: "kworker/0:0", flags: 0x4208060}.text()+
		proc{pid: 40, parent: 1, born: 500, name: `a) S 1 (b\nc`, cmdline: "./x\\0--pass\\0geheim\\0\\\n", exe: "/tmp/x (deleted)", exeBody: "dev 8 ino 40\n", uid: 33}.text()+
		proc{pid: 41, parent: 1, born: 600, name: `\xff\xfe`, cmdline: "\\xff\\0\\\n", exe: "/srv/y (deleted)", exeBody: "dev 8 ino 41\n", uid: 4242}.text()+
		"-- srv/y (deleted) -> nowhere --\ndev 8 ino 41\n"+ // really called so
		proc{pid: 42, parent: 41, born: 700, name: "gone", state: "Z"}.text()+
		proc{pid: 43, parent: 2, born: 800, name: "kworker/1:1", cmdline: "[kworker/1:1]\\0\\\n", exe: "/dev/shm/k", exeBody: "dev 8 ino 43\n",
			environ: "WALLET=x\\0POOL_PASS=geheim\\0HOME=/root\\0LD_PRELOAD=/tmp/l.so\\0POOL_URL=http://a:b@c\\0\\\n",
			cgroup:  "0::/system.slice/docker-" + id + ".scope\n"}.text()+
		"-- proc/notapid/stat --\n-- proc/99/stat --\ntorn\n")
	s := look()
	var got []host.Process
	for _, p := range s.Processes {
		p.Looked = 0
		got = append(got, p)
	}
	kernel := &host.Detail{Args: []string{}, ArgsKnown: true, Env: []host.EnvVar{}, EnvKnown: true, User: "root"}
	process := func(pid, parent, group int, born uint64, name string, d *host.Detail) host.Process {
		return host.Process{ID: host.ProcID{PID: pid, Born: born}, Parent: parent, Group: group, Session: group, Name: name, State: 'S',
			Threads: 1, RSS: 256 * 4096, VSize: 1048576, MinFault: 100, Detail: d}
	}
	kthreadd, kworker := process(2, 0, 2, 1, "kthreadd", kernel), process(3, 2, 3, 1, "kworker/0:0", kernel)
	kthreadd.Kernel, kworker.Kernel = true, true
	zombie := process(42, 41, 42, 700, "gone", nil)
	zombie.State = 'Z'
	want := []host.Process{
		process(1, 0, 1, 1, "init", &host.Detail{Exe: "/sbin/init", ExeDeleted: host.No, ExeFile: host.FileID{Dev: 1, Ino: 1}, Cwd: "/srv", Args: []string{"/sbin/init"}, ArgsKnown: true, User: "root"}),
		kthreadd, kworker,
		process(40, 1, 40, 500, "a) S 1 (b\nc", &host.Detail{Exe: "/tmp/x", ExeDeleted: host.Yes, ExeFile: host.FileID{Dev: 8, Ino: 40}, Cwd: "/srv", Args: []string{"./x", "--pass", "***"}, ArgsKnown: true, UID: 33, User: "www-data"}),
		process(41, 1, 41, 600, "\xff\xfe", &host.Detail{Exe: "/srv/y (deleted)", ExeDeleted: host.No, ExeFile: host.FileID{Dev: 8, Ino: 41}, Cwd: "/srv", Args: []string{"\xff"}, ArgsKnown: true, UID: 4242, User: "4242"}),
		zombie,
		process(43, 2, 43, 800, "kworker/1:1", &host.Detail{Exe: "/dev/shm/k", ExeDeleted: host.No, ExeFile: host.FileID{Dev: 8, Ino: 43}, Cwd: "/srv", Args: []string{"[kworker/1:1]"}, ArgsKnown: true, User: "root",
			Env:      []host.EnvVar{{Name: "HOME"}, {Name: "LD_PRELOAD", Value: "/tmp/l.so"}, {Name: "POOL_PASS"}, {Name: "POOL_URL", Value: "http://***:***@c"}, {Name: "WALLET", Value: "x"}},
			EnvKnown: true, Cgroup: "/system.slice/docker-" + id + ".scope", Container: host.Container{ID: id, Runtime: "docker"}}),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(s.Events) != 0 {
		t.Errorf("events on the first look: %+v", s.Events)
	}
	wantGaps(t, s, host.Gap{Sensor: "processes", Reason: "processes with files that are not understood: 1"})
}

func TestRunningProcessesAreEventsWhenAskedFor(t *testing.T) {
	o := DefaultOptions()
	o.Running = true
	_, look := watch(t, o, base(3600)+initProcess.text()+proc{pid: 2, born: 1, name: "kthreadd", flags: 0x208040}.text()+
		proc{pid: 40, parent: 1, born: 500, name: "x", cmdline: "x\\0\\\n"}.text())
	s := look()
	if len(s.Events) != 2 || s.Events[0].ID.PID != 1 || s.Events[1].ID.PID != 40 || s.Events[1].ParentName != "init" {
		t.Errorf("%+v", s.Events)
	}
	if n := len(look().Events); n != 0 {
		t.Errorf("%d events on the second look", n)
	}
}

func TestEventsFromTheDifferencesBetweenLooks(t *testing.T) {
	shell := proc{pid: 50, parent: 1, born: 360_100, name: "sh", cmdline: "sh\\0\\\n", exe: "/bin/sh", exeBody: "dev 1 ino 2\n"}
	w, look := watch(t, DefaultOptions(), base(3600)+initProcess.text()+proc{pid: 30, parent: 1, born: 900, name: "old"}.text())
	look()
	w.be(t, base(3602)+initProcess.text()+shell.text())
	s := look()
	if len(s.Events) != 2 {
		t.Fatalf("%+v", s.Events)
	}
	start, end := s.Events[0], s.Events[1]
	if start.Kind != host.ProcessStarted || start.ID != (host.ProcID{PID: 50, Born: 360_100}) || start.Name != "sh" || start.Detail != process(t, s, 50).Detail ||
		start.Detail.Exe != "/bin/sh" || start.Parent != (host.ProcID{PID: 1, Born: 1}) || start.ParentName != "init" || start.ParentDetail.Exe != "/sbin/init" ||
		!start.At.Equal(time.Unix(1700000000+3601, 0)) {
		t.Errorf("start %+v", start)
	}
	if end.Kind != host.ProcessEnded || end.ID != (host.ProcID{PID: 30, Born: 900}) || end.Name != "old" || !end.At.Equal(s.At) {
		t.Errorf("end %+v", end)
	}

	// The same process runs another program.
	other := shell
	other.name, other.exe, other.exeBody, other.cmdline = "x", "/tmp/x", "dev 1 ino 3\n", "/tmp/x\\0\\\n"
	w.be(t, base(3604)+initProcess.text()+other.text())
	s = look()
	if len(s.Events) != 1 || s.Events[0].Kind != host.ProcessStarted || s.Events[0].Detail.Exe != "/tmp/x" {
		t.Errorf("another program: %+v", s.Events)
	}

	// Its PID comes back as another process.
	again := other
	again.born = 360_500
	w.be(t, base(3606)+initProcess.text()+again.text())
	s = look()
	if len(s.Events) != 2 || process(t, s, 50).ID.Born != 360_500 {
		t.Fatalf("the PID came back: %+v", s.Events)
	}
	for _, e := range s.Events {
		if want := map[host.EventKind]uint64{host.ProcessStarted: 360_500, host.ProcessEnded: 360_100}[e.Kind]; e.ID.Born != want {
			t.Errorf("the PID came back: %+v", e)
		}
	}
}

func TestAnotherProgramOfTheSameNameIsNoticedWhileYoung(t *testing.T) {
	p := proc{pid: 50, parent: 1, born: 360_100, name: "sh", cmdline: "sh\\0\\\n", exe: "/bin/sh", exeBody: "dev 1 ino 2\n"}
	w, look := watch(t, DefaultOptions(), base(3600)+initProcess.text())
	look()
	w.be(t, base(3602)+initProcess.text()+p.text())
	look()
	p.exe, p.exeBody = "/tmp/sh", "dev 1 ino 9\n"
	w.be(t, base(3604)+initProcess.text()+p.text())
	if s := look(); process(t, s, 50).Detail.Exe != "/tmp/sh" || len(s.Events) != 1 {
		t.Errorf("%+v, events %+v", process(t, s, 50).Detail, s.Events)
	}
}

func TestDetailIsTheSameUntilItChanges(t *testing.T) {
	p := proc{pid: 50, parent: 1, born: 10, name: "x", cmdline: "x\\0\\\n", exe: "/bin/x", exeBody: "dev 1 ino 2\n", cpu: 300_000, threads: []string{""}}
	w, look := watch(t, DefaultOptions(), base(3600)+initProcess.text()+p.text())
	old := process(t, look(), 50).Detail
	for i := 1; i <= 40; i++ {
		p.cpu += 200
		w.be(t, base(3600+2*i)+initProcess.text()+p.text())
		if process(t, look(), 50).Detail != old {
			t.Fatalf("after %d looks it is another", i)
		}
	}
	// A busy process that writes over its arguments is found out within a minute.
	p.cmdline = "innocent\\0\\\n"
	var found bool
	for i := 41; i <= 72; i++ {
		p.cpu += 200
		w.be(t, base(3600+2*i)+initProcess.text()+p.text())
		found = found || process(t, look(), 50).Detail.Args[0] == "innocent"
	}
	if !found {
		t.Error("new arguments were not noticed")
	}
}

func TestEffortOfBusyProcesses(t *testing.T) {
	const maps = "10000000-92000000 rw-p 00000000 00:11 1 /anon_hugepage (deleted)\na0000000-b0000000 rw-p 00000000 00:00 0 \nc0000000-c0040000 rwxp 00000000 00:00 0 \n"
	p := proc{pid: 50, parent: 1, born: 10, name: "x", cmdline: "x\\0\\\n", cpu: 100, maps: maps, status: "RssAnon:\t100 kB\nHugetlbPages:\t2129920 kB\n",
		threads: []string{"Cpus_allowed_list:\t0\nvoluntary_ctxt_switches:\t3\nnonvoluntary_ctxt_switches:\t5\n", "Cpus_allowed_list:\t0-1\nvoluntary_ctxt_switches:\t4\nnonvoluntary_ctxt_switches:\t6\n"}}
	w, look := watch(t, DefaultOptions(), base(3600)+initProcess.text()+p.text())
	if s := look(); process(t, s, 50).Effort != nil {
		t.Error("a quiet process has an effort")
	}
	p.cpu += 100 // half a core over two seconds
	w.be(t, base(3602)+initProcess.text()+p.text())
	s := look()
	if e := process(t, s, 50).Effort; e != nil {
		t.Error("a process found busy in turn gets its closer look in the next look")
	}
	p.cpu += 100
	w.be(t, base(3604)+initProcess.text()+p.text())
	s = look()
	thread := func(tid int, cpu time.Duration, v, i int64, cpus, only int) host.Thread {
		return host.Thread{TID: tid, Name: "x", State: 'S', User: cpu, Voluntary: v, Involuntary: i, CPUs: cpus, OnlyCPU: only}
	}
	want := &host.Effort{
		Looked: 3604 * time.Second, Voluntary: 7, Involuntary: 11,
		Threads: []host.Thread{thread(50, 1500*time.Millisecond, 3, 5, 1, 0), thread(51, 1500*time.Millisecond, 4, 6, 2, -1)},
		Memory: &host.Memory{Looked: 3604 * time.Second, Hugetlb: 2129920 << 10, RSSAnon: 100 << 10, Large: []int64{2080 << 20, 256 << 20},
			Exec: 256 << 10, ExecMaps: 1, WriteExec: 256 << 10, Known: true},
	}
	if diff := cmp.Diff(want, process(t, s, 50).Effort); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	// Its switches are not read again while a thread rests.
	p.threads[0] = "voluntary_ctxt_switches:\t99\n"
	w.be(t, base(3606)+initProcess.text()+p.text())
	if e := process(t, look(), 50).Effort; e == nil || e.Threads[0].Voluntary != 3 {
		t.Errorf("a resting thread: %+v", e)
	}
	w.be(t, base(3604+60)+initProcess.text()+p.text())
	look()
	if e := process(t, look(), 50).Effort; e != nil {
		t.Errorf("long quiet, and still an effort: %+v", e)
	}
}

func TestMemoryThatCannotBeReadIsUnknown(t *testing.T) {
	p := proc{pid: 50, parent: 1, born: 10, name: "x", cpu: 300_000, threads: []string{""}}
	text := base(3600) + initProcess.text() + p.text()
	_, look := watch(t, DefaultOptions(), text+"-- proc/50/maps (denied) --\n")
	if e := process(t, look(), 50).Effort; e == nil || e.Memory != nil {
		t.Errorf("denied: %+v", e)
	}
	o := DefaultOptions()
	o.MaxMaps = 2
	_, look = watch(t, o, text+"-- proc/50/maps --\n"+strings.Repeat("10000000-18000000 rw-p 00000000 00:00 0 \n", 5))
	s := look()
	if e := process(t, s, 50).Effort; e == nil || e.Memory != nil {
		t.Errorf("too many: %+v", e)
	}
	wantGaps(t, s, host.Gap{Sensor: "processes", Reason: "processes with more memory mappings than are read, so that what they map is unknown: 1"})
	_, look = watch(t, DefaultOptions(), text+"-- proc/50/maps --\n10000000-18000000 r--p 00000000 fe:00 7 /"+strings.Repeat("long/", 20_000)+"\n20000000-28000000 rw-p 00000000 00:00 0 \n")
	if m := process(t, look(), 50).Effort.Memory; m == nil || !m.Known || !slices.Equal(m.Large, []int64{128 << 20}) {
		t.Errorf("a line longer than the buffer: %+v", m)
	}
}

func TestManyThreadsAreReadInTurns(t *testing.T) {
	o := DefaultOptions()
	o.MaxThreads = 8
	p := proc{pid: 1000, parent: 1, born: 10, name: "x", cpu: 300_000}
	const all, worker = 40, 1033
	at := func(up int) string {
		p.cpu += 200
		var b strings.Builder
		b.WriteString(base(up) + initProcess.text() + p.text())
		for i := range all {
			tid, cpu := 1000+i, 0
			if tid == worker {
				cpu = p.cpu - 300_000
			}
			line := strings.Replace(strings.SplitAfterN(p.text(), "\n", 3)[1], "1000 (", fmt.Sprint(tid)+" (", 1)
			line = strings.Replace(line, fmt.Sprintf(" 0 0 0 %d 0 ", p.cpu), fmt.Sprintf(" 0 0 0 %d 0 ", cpu), 1)
			fmt.Fprintf(&b, "-- proc/1000/task/%d/stat --\n%s-- proc/1000/task/%d/status --\n", tid, line, tid)
		}
		return b.String()
	}
	w, look := watch(t, o, at(3600))
	seen := map[int]bool{}
	shown := 0
	for i := range 24 {
		w.be(t, at(3602+2*i))
		s := look()
		e := process(t, s, 1000).Effort
		if len(e.Threads) != 8 || e.ThreadsMore != all-8 || !slices.IsSortedFunc(e.Threads, func(a, b host.Thread) int { return a.TID - b.TID }) {
			t.Fatalf("look %d: %d threads and %d more", i, len(e.Threads), e.ThreadsMore)
		}
		for _, th := range e.Threads {
			seen[th.TID] = true
			if th.TID == worker {
				shown++
			}
		}
		wantGaps(t, s, host.Gap{Sensor: "processes", Reason: "busy processes with more threads than are read at once, so that they are read in turns: 1"})
	}
	if len(seen) != all || shown < 12 {
		t.Errorf("%d of %d threads were seen, the one that works %d times", len(seen), all, shown)
	}
}

func TestHashOfAProcessThatStaysBusy(t *testing.T) {
	p := proc{pid: 50, parent: 1, born: 10, name: "x", cmdline: "x\\0\\\n", exe: "/bin/x", exeBody: "dev 1 ino 2 size 7\n", cpu: 300_000, threads: []string{""}}
	at := func(up int) string {
		p.cpu += 200
		return base(up) + initProcess.text() + p.text() + "-- bin/x --\nbinary\n"
	}
	w, look := watch(t, DefaultOptions(), at(3600))
	first := process(t, look(), 50).Detail
	for up := 3602; up < 3610; up += 2 {
		w.be(t, at(up))
		if process(t, look(), 50).Detail != first {
			t.Fatal("it was hashed too early")
		}
	}
	w.be(t, at(3612))
	look()
	sum := sha256.Sum256([]byte("binary\n"))
	got := process(t, look(), 50).Detail
	if got.ExeSHA256 != hex.EncodeToString(sum[:]) || first.ExeSHA256 != "" {
		t.Errorf("hash %q, and in the older detail %q", got.ExeSHA256, first.ExeSHA256)
	}
	wantGaps(t, look())

	o := DefaultOptions()
	o.HashLimit = 6
	w, look = watch(t, o, at(3700))
	look()
	w.be(t, at(3712))
	look()
	if d := process(t, look(), 50).Detail; d.ExeSHA256 != "" {
		t.Errorf("a file above the limit has the hash %q", d.ExeSHA256)
	}
}

func TestGapsOfAViewerWithFewRights(t *testing.T) {
	denied := func(pid int) string {
		return proc{pid: pid, parent: 1, born: 10, name: "x", cmdline: "x\\0\\\n"}.text() +
			fmt.Sprintf("-- proc/%d/exe (denied) --\n-- proc/%d/environ (denied) --\n", pid, pid)
	}
	_, look := watch(t, DefaultOptions(), base(3600)+initProcess.text()+denied(50)+denied(51))
	s := look()
	wantGaps(t, s, host.Gap{Sensor: "processes", Reason: "processes that show neither executable nor environment nor memory, which takes more rights: 2"})
	if d := process(t, s, 50).Detail; d.Exe != "" || d.ExeDeleted != host.Unknown || d.EnvKnown || d.Env != nil || !d.ArgsKnown {
		t.Errorf("%+v", d)
	}

	_, look = watch(t, DefaultOptions(), base(3600)+proc{pid: 50, parent: 1, born: 10, name: "x"}.text())
	wantGaps(t, look(), host.Gap{Sensor: "processes", Reason: "process 1 is not listed: processes of other users are hidden (hidepid)"})

	_, look = watch(t, DefaultOptions(), base(3600)+initProcess.text()+"-- proc/50 (denied) --\n-- proc/51 (denied) --\n")
	s = look()
	wantGaps(t, s, host.Gap{Sensor: "processes", Reason: "processes that may not be looked at (hidepid): 2"})
	if len(s.Processes) != 1 {
		t.Errorf("%d processes", len(s.Processes))
	}
}

func TestLongArgumentsAreCutAndSaidSo(t *testing.T) {
	o := DefaultOptions()
	o.MaxArgs, o.MaxEnv = 12, 10
	_, look := watch(t, o, base(3600)+initProcess.text()+
		proc{pid: 50, parent: 1, born: 10, name: "x", cmdline: "x\\0arguments\\0more\\0\\\n", environ: "A=1\\0B=22222222\\0\\\n"}.text())
	s := look()
	if got := process(t, s, 50).Detail.Args; !slices.Equal(got, []string{"x", "arguments", "…"}) {
		t.Errorf("%q", got)
	}
	wantGaps(t, s,
		host.Gap{Sensor: "processes", Reason: "processes with more arguments than are read: 1"},
		host.Gap{Sensor: "processes", Reason: "processes with more environment than is read: 1"})
}

// A machine on which every read of counters costs a millisecond: the budget of 0.2 % pays for 20 in 10 s.
func TestBudget(t *testing.T) {
	o := DefaultOptions()
	const many = 500
	crowd := func(up int) string {
		var b strings.Builder
		b.WriteString(base(up) + initProcess.text())
		for pid := 100; pid < 100+many; pid++ {
			b.WriteString(proc{pid: pid, parent: 1, born: 10, name: "x"}.text())
		}
		return b.String()
	}
	w, _ := watch(t, o, crowd(3600))
	l, err := FromFS(w, o)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	sensor, ok := l.sensors[1].(*processes)
	if !ok {
		t.Fatalf("the second sensor is a %T", l.sensors[1])
	}
	asked := time.Duration(0)
	sensor.clock.cost = func() time.Duration { asked += 16 * time.Millisecond; return asked } // asked once for 16 reads
	looks := func(s *host.Snapshot) (fresh int) {
		for _, p := range s.Processes {
			if p.Looked == s.Uptime {
				fresh++
			}
		}
		return fresh
	}
	s, err := l.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := looks(s); n != many+1 {
		t.Errorf("the first look read %d", n)
	}
	oldest := time.Duration(0)
	for i := 1; i <= 60; i++ {
		w.be(t, crowd(3600+2*i))
		if s, err = l.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := looks(s); n > leastQuiet+16 {
			t.Errorf("look %d read %d", i, n)
		}
		for _, p := range s.Processes {
			oldest = max(oldest, s.Uptime-p.Looked)
		}
	}
	if oldest > 18*2*time.Second {
		t.Errorf("somebody was not looked at for %v", oldest)
	}
	if !slices.ContainsFunc(s.Gaps, func(g host.Gap) bool { return g.Sensor == "budget" }) {
		t.Errorf("nothing about the budget in %q", s.Gaps)
	}

	// With looks that cost nothing everybody is read as often as one that does nothing ever is.
	sensor.clock.cost = still
	for i := 61; i <= 70; i++ {
		w.be(t, crowd(3600+2*i))
		if s, err = l.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range s.Processes {
		if age := s.Uptime - p.Looked; age >= idleSweep*DefaultOptions().SweepMin {
			t.Fatalf("free of charge %d was not read for %v", p.ID.PID, age)
		}
	}
	wantGaps(t, s)
}

// One that does nothing is read every second time; one that works at all, every time.
func TestIdleProcessesAreReadLessOften(t *testing.T) {
	idle, working := proc{pid: 40, parent: 1, born: 500, name: "idle"}, proc{pid: 41, parent: 1, born: 500, name: "working"}
	w, look := watch(t, DefaultOptions(), base(3600)+idle.text()+working.text())
	read := map[int]int{}
	for i := range 10 {
		s := look()
		for _, p := range s.Processes {
			if p.Looked == s.Uptime {
				read[p.ID.PID]++
			}
		}
		working.cpu++
		w.be(t, base(3602+2*i)+idle.text()+working.text())
	}
	if read[41] != 10 || read[40] != 6 { // it takes two reads to know
		t.Errorf("read %v times", read)
	}
}

func TestTally(t *testing.T) {
	var c tally
	for _, s := range []struct {
		n    int
		want string
	}{{0, ""}, {1, "x: 1"}, {10, "x: 10"}, {11, "x: at least 10"}, {19, "x: at least 10"}, {20, "x: at least 20"}, {4999, "x: at least 2000"}, {3, "x: 3"}, {0, ""}} {
		c.n = s.n
		if got := c.reason("x"); got != s.want {
			t.Errorf("%d: %q, want %q", s.n, got, s.want)
		}
	}
}

// The kernel tells of an end after the PID is free again, so a look may fall between the two.
func TestEndToldAfterTheLookThatSawTheStart(t *testing.T) {
	w := &world{}
	w.be(t, base(3600)+initProcess.text())
	l, err := FromFS(w, DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, ok := l.sensors[1].(*processes)
	if !ok {
		t.Fatalf("the second sensor is a %T", l.sensors[1])
	}
	p.herald = &crier{}
	start := host.Event{Kind: host.ProcessStarted, ID: host.ProcID{PID: 50, Born: 7}, Name: "sh", Detail: &host.Detail{Exe: "/bin/sh"}}
	end := host.Event{Kind: host.ProcessEnded, ID: host.ProcID{PID: 50}, At: time.Unix(9, 0)}
	unknown := host.Event{Kind: host.ProcessEnded, ID: host.ProcID{PID: 51}}
	want := start
	want.Kind, want.At = host.ProcessEnded, end.At
	for name, c := range map[string]struct{ first, second, want []host.Event }{
		"in one look":         {nil, []host.Event{start, unknown, end}, []host.Event{start, want}},
		"one look later":      {[]host.Event{start}, []host.Event{end, unknown}, []host.Event{want}},
		"somebody else's end": {[]host.Event{start}, []host.Event{unknown}, nil},
	} {
		s := &host.Snapshot{Events: c.first, Uptime: time.Hour}
		if err := p.Sense(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		s = &host.Snapshot{Events: c.second, Uptime: time.Hour}
		if err := p.Sense(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if len(c.want)+len(s.Events) > 0 && !cmp.Equal(c.want, s.Events) {
			t.Errorf("%s (-want +got):\n%s", name, cmp.Diff(c.want, s.Events))
		}
	}
}

// Anybody may start a program with more empty arguments than are read, or clear its arguments afterwards.
func TestArgumentsThatAreNothingButNULs(t *testing.T) {
	o := DefaultOptions()
	o.MaxArgs = 8
	_, look := watch(t, o, base(3600)+proc{pid: 40, parent: 1, born: 500, name: "x", cmdline: strings.Repeat("\\0", 20) + "\\\n", exe: "/tmp/x", exeBody: "dev 8 ino 40\n"}.text())
	if d := process(t, look(), 40).Detail; d == nil || !slices.Equal(d.Args, []string{"…"}) {
		t.Errorf("%+v", d)
	}
}
