package sense

import (
	"context"
	"hash/maphash"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minehound/minehound/agent/host"
	"github.com/minehound/minehound/agent/sense/tree"
)

// sticky is a tree in which reading the arguments and mappings of some processes does not return until they let go.
type sticky struct {
	tree.Tree
	hold map[string]chan struct{}
}

func (s sticky) Read(dst, path []byte, limit int) ([]byte, error) {
	s.wait(path)
	return s.Tree.Read(dst, path, limit)
}

func (s sticky) Open(path []byte) (tree.Opened, error) {
	s.wait(path)
	return s.Tree.Open(path)
}

func (s sticky) wait(path []byte) {
	if pid, file, _ := strings.Cut(string(path), "/"); file == "cmdline" || file == "environ" || file == "maps" || file == "exe" {
		if c := s.hold[pid]; c != nil {
			<-c
		}
	}
}

// stickyWatch is a Looker on a machine where the processes in hold do not let themselves be read.
func stickyWatch(t *testing.T, o Options, text string, hold map[string]chan struct{}) (*world, *Looker) {
	t.Helper()
	w := &world{}
	w.be(t, text)
	at := places{proc: tree.FS(w, "proc"), sys: tree.FS(w, "sys"), etc: tree.FS(w, "etc"), pageSize: 4096, os: "linux"}
	slow := at
	slow.proc = sticky{at.proc, hold}
	seed := maphash.MakeSeed()
	c := clock{now: at.clock, since: still, cost: still}
	look := newAside(newCloser(at, o, seed), func() (*closer, error) { return newCloser(slow, o, seed), nil })
	p := newProcesses(at, c, o, look, newHasher(o.HashLimit, slow.proc, true), silence{})
	return w, &Looker{sensors: []Sensor{newProcMachine(at, c), p}}
}

func TestAProcessThatHoldsUpItsReadersHoldsUpNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := func(pid int) proc {
			return proc{pid: pid, parent: 1, born: 500, name: "x", cpu: 300_000, cmdline: "x\\0--me\\0\\\n", exe: "/tmp/x", exeBody: "dev 8 ino 40\n", threads: []string{""},
				maps: "7f0000000000-7f0008000000 rw-p 00000000 00:00 0 \n"}
		}
		hold := map[string]chan struct{}{"40": make(chan struct{})}
		w, l := stickyWatch(t, DefaultOptions(), base(3600)+initProcess.text()+busy(40).text()+busy(41).text(), hold)
		look := func() *host.Snapshot {
			began := time.Now()
			s, err := l.Look(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took > maxWaits*patience {
				t.Errorf("a look took %v", took)
			}
			return s
		}
		s := look()
		if d := process(t, s, 41).Detail; d == nil || !slices.Equal(d.Args, []string{"x", "--me"}) {
			t.Errorf("the other: %+v", d)
		}
		if e := process(t, s, 41).Effort; e == nil || e.Memory == nil || !e.Memory.Known {
			t.Errorf("the other's memory: %+v", e)
		}
		if d := process(t, s, 40).Detail; d == nil || d.Exe != "/tmp/x" || d.ArgsKnown || d.EnvKnown {
			t.Errorf("itself: %+v", d)
		}
		if e := process(t, s, 40).Effort; e == nil || e.Memory != nil && e.Memory.Known {
			t.Errorf("its memory: %+v", e)
		}
		gap := host.Gap{Sensor: "processes", Reason: "processes that hold up whoever reads their arguments, environment or mappings, which stay unknown: 1"}
		if !slices.Contains(s.Gaps, gap) {
			t.Errorf("gaps %q", s.Gaps)
		}
		close(hold["40"])
		synctest.Wait()
		w.be(t, base(3602)+initProcess.text()+busy(40).text()+busy(41).text())
		s = look()
		if d := process(t, s, 40).Detail; !slices.Equal(d.Args, []string{"x", "--me"}) {
			t.Errorf("after it let go: %+v", d)
		}
		if slices.Contains(s.Gaps, gap) {
			t.Errorf("gaps after it let go %q", s.Gaps)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestManyThatHoldUpTheirReadersCostABoundedNumberOfThreads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := map[string]chan struct{}{}
		text := initProcess.text()
		for pid := 100; pid < 200; pid++ {
			p := proc{pid: pid, parent: 1, born: 500, name: "x", cmdline: "x\\0\\\n", exe: "/tmp/x", exeBody: "dev 8 ino 40\n"}
			hold[strconv.Itoa(pid)] = make(chan struct{})
			text += p.text()
		}
		late := proc{pid: 300, parent: 1, born: 500, name: "late", cmdline: "late\\0\\\n", exe: "/tmp/late", exeBody: "dev 8 ino 41\n"}
		w, l := stickyWatch(t, DefaultOptions(), base(3600)+text, hold)
		before := runtime.NumGoroutine()
		for i := range 60 {
			w.be(t, base(3600+2*i)+text+late.text())
			s, err := l.Look(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if i == 59 {
				if d := process(t, s, 300).Detail; d == nil || d.Exe != "/tmp/late" {
					t.Errorf("the one behind them: %+v", d)
				}
			}
		}
		if n := runtime.NumGoroutine() - before; n > maxStuck {
			t.Errorf("%d goroutines wait", n)
		}
		if err := l.Close(); err != nil { // although they still wait
			t.Error(err)
		}
		for _, c := range hold {
			close(c)
		}
	})
}

func TestAnExecutableThatCannotBeReadHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := proc{pid: 40, parent: 1, born: 500, name: "x", cpu: 300_000, cmdline: "x\\0\\\n", exe: "/tmp/x", exeBody: "dev 8 ino 40 size 5\n", threads: []string{""}}
		hold := map[string]chan struct{}{"40": make(chan struct{})}
		w, l := stickyWatch(t, DefaultOptions(), base(3600)+p.text(), hold)
		told := false
		for i := range 60 {
			w.be(t, base(3600+2*i)+p.text())
			p.cpu += 200
			s, err := l.Look(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			told = told || slices.ContainsFunc(s.Gaps, func(g host.Gap) bool { return g.Sensor == "hash" })
		}
		if !told {
			t.Error("nothing tells that hashing waits")
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		close(hold["40"])
	})
}

// crier is a herald that tells what it is told to.
type crier struct {
	says    []host.Event
	missing bool
}

func (c *crier) telling() bool { return true }
func (c *crier) lossy() bool   { return c.missing }
func (c *crier) Name() string  { return "events" }
func (c *crier) Sense(_ context.Context, s *host.Snapshot) error {
	s.Events = append(s.Events, c.says...)
	c.says = nil
	return nil
}

func TestAStartThatEscapedIsToldOfOnce(t *testing.T) {
	w, c := &world{}, &crier{}
	o := DefaultOptions()
	at := places{proc: tree.FS(w, "proc"), sys: tree.FS(w, "sys"), etc: tree.FS(w, "etc"), pageSize: 4096, os: "linux"}
	clk := clock{now: at.clock, since: still, cost: still}
	p := newProcesses(at, clk, o, newAside(newCloser(at, o, maphash.MakeSeed()), nil), newHasher(0, nil, false), c)
	l := &Looker{sensors: []Sensor{newProcMachine(at, clk), c, p}}
	told := map[int]int{}
	escaped := proc{pid: 50, parent: 1, born: 360_100, name: "x", cmdline: "/tmp/x\\0\\\n", exe: "/tmp/x", exeBody: "dev 1 ino 3\n"}
	late, quiet := escaped, escaped
	late.pid, quiet.pid, quiet.born = 51, 52, 360_900
	look := func(up int, text string) {
		w.be(t, base(up)+initProcess.text()+text)
		s, err := l.Look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range s.Events {
			if e.Kind == host.ProcessStarted {
				told[e.ID.PID]++
				if e.Detail == nil || e.Detail.Exe != "/tmp/x" {
					t.Errorf("%+v", e)
				}
			}
		}
	}
	look(3600, "")
	c.missing = true
	look(3602, escaped.text()+late.text())
	if len(told) != 0 {
		t.Errorf("told too early: %v", told)
	}
	// What the herald tells of one of them comes only now.
	c.missing, c.says = false, []host.Event{{Kind: host.ProcessStarted, ID: host.ProcID{PID: 51, Born: 360_100}, Detail: &host.Detail{Exe: "/tmp/x", ArgsKnown: true}}}
	look(3604, escaped.text()+late.text())
	look(3606, escaped.text()+late.text())
	look(3610, escaped.text()+late.text()+quiet.text()) // nothing is said to have escaped
	look(3612, escaped.text()+late.text()+quiet.text())
	if want := map[int]int{50: 1, 51: 1}; !maps.Equal(told, want) {
		t.Errorf("told of %v, not %v", told, want)
	}
}

func TestNobodyHidesBehindEverMoreOthers(t *testing.T) {
	w := &world{}
	o := DefaultOptions()
	at := places{proc: tree.FS(w, "proc"), sys: tree.FS(w, "sys"), etc: tree.FS(w, "etc"), pageSize: 4096, os: "linux"}
	var used time.Duration
	clk := clock{now: at.clock, since: still, cost: func() time.Duration { used += time.Millisecond; return used }}
	p := newProcesses(at, clk, o, newAside(newCloser(at, o, maphash.MakeSeed()), nil), newHasher(0, nil, false), silence{})
	l := &Looker{sensors: []Sensor{newProcMachine(at, clk), p}}
	hidden := proc{pid: 30_000, parent: 1, born: 360_100, name: "x", cmdline: "/tmp/x\\0\\\n", exe: "/tmp/x", exeBody: "dev 1 ino 3\n"}
	w.be(t, base(3600)+initProcess.text())
	for i := range 6 {
		if _, err := l.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
		text := base(3602+2*i) + initProcess.text() + hidden.text()
		for k := range 3 * leastClose { // new ones every time, with lower numbers
			text += proc{pid: 100 + 1000*i + k, parent: 1, born: 360_000 + 200*i, name: "decoy", cmdline: "decoy\\0\\\n", exe: "/bin/true", exeBody: "dev 1 ino 4\n"}.text()
		}
		w.be(t, text)
	}
	s, err := l.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if process(t, s, 30_000).Detail == nil {
		t.Error("it was never looked at")
	}
}

func TestArgumentsOfManyProcessesDoNotFillTheMemory(t *testing.T) {
	w := &world{}
	text := base(3600) + initProcess.text()
	const n, long = 200, 100_000 // 20 MB
	for i := range n {
		text += proc{pid: 100 + i, parent: 1, born: 500, name: "x", cmdline: "x\\0" + strings.Repeat("a", long) + "\\0\\\n", exe: "/tmp/x", exeBody: "dev 8 ino 40\n"}.text()
	}
	w.be(t, text)
	l, err := FromFS(w, DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, err := l.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	kept, cut := 0, 0
	for i := range s.Processes {
		d := s.Processes[i].Detail
		kept += size(d)
		if d.Args[len(d.Args)-1] == "…" {
			cut++
		}
	}
	if kept > maxDetails+2*long+n*(shortText+1024) {
		t.Errorf("%d bytes are kept", kept)
	}
	if cut == 0 || cut == n || !slices.ContainsFunc(s.Gaps, func(g host.Gap) bool { return strings.Contains(g.Reason, "more arguments than are read") }) {
		t.Errorf("%d of %d were cut, gaps %q", cut, n, s.Gaps)
	}
}
