package sense

import (
	"hash/maphash"
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
	p := newProcesses(at, c, o, look, newHasher(o.HashLimit, slow.proc, true), func() bool { return false })
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
