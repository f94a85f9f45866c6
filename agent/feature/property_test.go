package feature

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/minehound/minehound/agent/host"
)

// truth is what a process really did: CPU time used up to each look.
type truth struct {
	at  []time.Duration
	cpu []time.Duration
}

// used is the CPU time used up to t, evenly between looks.
func (x *truth) used(t time.Duration) float64 {
	for i := len(x.at) - 1; i >= 0; i-- {
		if x.at[i] > t {
			continue
		}
		if i == len(x.at)-1 {
			return x.cpu[i].Seconds()
		}
		part := float64(t-x.at[i]) / float64(x.at[i+1]-x.at[i])
		return x.cpu[i].Seconds() + part*(x.cpu[i+1]-x.cpu[i]).Seconds()
	}
	return 0
}

func TestWindowsAgreeWithTheTruth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const cpus = 4
		m := newSim(cpus)
		truths := map[int]*truth{}
		pids := rapid.IntRange(1, 4).Draw(t, "processes")
		for pid := 1; pid <= pids; pid++ {
			m.proc(pid, fmt.Sprint("p", pid%3), 50*time.Hour, time.Duration(rapid.Int64Range(0, 1e12).Draw(t, "cpu")))
			truths[pid] = &truth{[]time.Duration{m.s.Uptime}, []time.Duration{m.s.Processes[pid-1].CPU()}}
		}
		m.look = m.w.Add(&m.s)
		begin := m.s.Uptime
		longestStep := 2 * time.Second
		for range rapid.IntRange(1, 60).Draw(t, "phases") {
			step := time.Duration(rapid.Int64Range(1, 100).Draw(t, "step")) * 100 * time.Millisecond
			longestStep = max(longestStep, step)
			for pid := 1; pid <= pids; pid++ {
				m.rate[pid] = rapid.SampledFrom([]float64{0, 0, 0.01, 0.3, 0.9, 1}).Draw(t, "rate") * cpus / float64(pids)
			}
			for range rapid.IntRange(1, 30).Draw(t, "looks") {
				m.step(step)
				for i := range m.s.Processes {
					x := truths[m.s.Processes[i].ID.PID]
					x.at, x.cpu = append(x.at, m.s.Uptime), append(x.cpu, m.s.Processes[i].CPU())
				}
			}
			check(t, m, truths, begin, longestStep, cpus)
		}
	})
}

func check(t *rapid.T, m *sim, truths map[int]*truth, begin, longestStep time.Duration, cpus float64) {
	windows := []time.Duration{window10s, window1m, window10m, window1h}
	widths := []time.Duration{fineStep, fineStep, mediumStep, coarseStep}
	var sums, groups [4]float64
	seen := map[string]bool{}
	for i := range m.look.Vectors {
		v := &m.look.Vectors[i]
		x := truths[v.Proc.ID.PID]
		for k, got := range []float64{v.CPU.Share10s, v.CPU.Share1m, v.CPU.Share10m, v.CPU.Share1h} {
			now := m.s.Uptime
			if enoughSeen := now-begin >= windows[k]*9/10; Known(got) != enoughSeen {
				t.Fatalf("%v after %v: known is %v", windows[k], now-begin, Known(got))
			}
			if !Known(got) {
				continue
			}
			sums[k] += got
			from := max(now-windows[k], begin)
			want := (x.used(now) - x.used(from)) / (now - from).Seconds()
			// Of the bucket at the edge a part is taken, so what happened in it may be on the wrong side.
			slack := widths[k].Seconds() / windows[k].Seconds() * cpus
			if got < 0 || got > want+slack+QuietCPU.Seconds()/windows[k].Seconds() || got < want-slack-QuietCPU.Seconds()/windows[k].Seconds() {
				t.Fatalf("share over %v is %v, the truth is %v ± %v", windows[k], got, want, slack)
			}
		}
		if !seen[v.Subject.Key] {
			seen[v.Subject.Key] = true
			for k, g := range []float64{v.Group.Share10s, v.Group.Share1m, v.Group.Share10m, v.Group.Share1h} {
				groups[k] += g
			}
		}
		for what, part := range map[string]float64{"duty": v.CPU.Duty1m, "duty 10m": v.CPU.Duty10m, "user": v.CPU.UserFraction1m, "busy": v.Host.Busy1m} {
			if Known(part) && (part < 0 || part > 1+1e-6) {
				t.Fatalf("%s is %v", what, part)
			}
		}
		if v.CPU.BusyFor < 0 || v.CPU.Variation1m < 0 || v.CPU.Seconds24h < 0 {
			t.Fatalf("negative: %+v", v.CPU)
		}
	}
	for k := range sums {
		slack := 1e-4 + QuietCPU.Seconds()*float64(len(m.look.Vectors))/windows[k].Seconds()
		if sums[k] > cpus+slack || groups[k] > cpus+slack {
			t.Fatalf("over %v processes sum up to %v cores, programs to %v, of %v", windows[k], sums[k], groups[k], cpus)
		}
	}
}

// How often one looks does not matter to steady work.
func TestMeasuresDoNotDependOnTheInterval(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Float64Range(0.11, 8).Draw(t, "rate")
		looks := rapid.SliceOfN(rapid.Int64Range(50, 9000), 10, 10).Draw(t, "milliseconds")
		m := newSim(8)
		m.proc(7, "x", 50*time.Hour, 0)
		m.rate[7] = rate
		m.look = m.w.Add(&m.s)
		for i := 0; m.s.Uptime < start+12*time.Minute; i++ {
			m.step(time.Duration(looks[i%len(looks)]) * time.Millisecond)
		}
		c := m.look.Vectors[0].CPU
		for what, got := range map[string]float64{"10s": c.Share10s, "1m": c.Share1m, "10m": c.Share10m} {
			near(t, what, got, rate)
		}
		// The counters are read to the microsecond, which over looks of 50 ms is not quite flat.
		if v := c.Variation10m; !(v < 0.005) {
			t.Fatalf("variation is %v", v)
		}
		near(t, "duty", c.Duty10m, 1)
	})
}

// Whatever a Snapshot holds, nothing panics, nothing is negative, and every look has its vectors.
func TestAnySnapshot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := NewWindow()
		d := rapid.SampledFrom([]*host.Detail{nil, {Exe: "/a"}, {Exe: "/bin/sh", Args: []string{"sh", "-c"}, ArgsKnown: true}, {}})
		n := rapid.Int64Range(-1, 1<<50)
		var s host.Snapshot
		for range rapid.IntRange(1, 12).Draw(t, "looks") {
			s.Uptime = time.Duration(rapid.Int64Range(0, 1<<46).Draw(t, "uptime"))
			s.Machine = host.Machine{CPUs: rapid.IntRange(1, 3).Draw(t, "cpus"), Busy: time.Duration(n.Draw(t, "busy")), Steal: time.Duration(n.Draw(t, "steal")),
				HugePages: n.Draw(t, "huge"), HugeFree: n.Draw(t, "free"), HugeSize: n.Draw(t, "size")}
			s.Processes, s.Events = s.Processes[:0], s.Events[:0]
			for pid := range 6 {
				if rapid.Bool().Draw(t, "there") {
					p := host.Process{ID: host.ProcID{PID: pid, Born: rapid.Uint64Range(0, 1<<44).Draw(t, "born")}, Parent: rapid.IntRange(-1, 6).Draw(t, "parent"),
						Looked: time.Duration(n.Draw(t, "looked")), User: time.Duration(n.Draw(t, "user")), System: time.Duration(n.Draw(t, "system")), Detail: d.Draw(t, "detail")}
					if rapid.Bool().Draw(t, "effort") {
						p.Effort = &host.Effort{Looked: time.Duration(n.Draw(t, "looked")), Threads: []host.Thread{{TID: 1, User: time.Duration(n.Draw(t, "user")), Voluntary: n.Draw(t, "v"), OnlyCPU: int(n.Draw(t, "cpu"))}}}
					}
					s.Processes = append(s.Processes, p)
				}
				if rapid.IntRange(0, 3).Draw(t, "event") == 0 {
					s.Events = append(s.Events, host.Event{Kind: host.EventKind(rapid.IntRange(0, 3).Draw(t, "kind")), ID: host.ProcID{PID: pid}, Parent: host.ProcID{PID: rapid.IntRange(0, 6).Draw(t, "parent")}, Detail: d.Draw(t, "detail")})
				}
			}
			look := w.Add(&s)
			if len(look.Vectors) != len(s.Processes) || len(look.Occurrences) != len(s.Events) {
				t.Fatalf("%d vectors of %d processes, %d occurrences of %d events", len(look.Vectors), len(s.Processes), len(look.Occurrences), len(s.Events))
			}
			for i := range look.Vectors {
				v := &look.Vectors[i]
				if v.Proc.ID != s.Processes[i].ID || v.Subject.ID != v.Proc.ID {
					t.Fatalf("vector %d is of %v, not %v", i, v.Proc.ID, s.Processes[i].ID)
				}
				for k, f := range Fields() {
					if x := v.Get(k); x.Kind == host.KindNumber && x.Number < 0 && f.Name != "process.nice" {
						t.Fatalf("%s is %v", f.Name, x.Number)
					}
				}
			}
		}
	})
}
