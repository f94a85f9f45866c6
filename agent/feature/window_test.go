package feature

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/minehound/minehound/agent/host"
)

// start is the uptime of the first look in these tests.
const start = 100 * time.Hour

// sim is a machine whose looks are written in Go.
type sim struct {
	s     host.Snapshot
	w     *Window
	every time.Duration
	rate  map[int]float64 // cores, by PID
	look  *Look
}

func newSim(cpus int) *sim {
	m := &sim{w: NewWindow(), every: 2 * time.Second, rate: map[int]float64{}}
	m.s.Uptime = start
	m.s.At = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	m.s.Machine = host.Machine{CPUs: cpus, Steal: -1, Memory: -1, HugePages: -1, HugeFree: -1, HugeSize: -1}
	return m
}

// proc adds a process of that age which has used so much CPU time.
func (m *sim) proc(pid int, name string, age, cpu time.Duration) *host.Process {
	p := host.Process{
		ID: host.ProcID{PID: pid, Born: uint64((m.s.Uptime - age) / host.Tick)}, Name: name, Looked: m.s.Uptime,
		User: cpu, Threads: 1, RSS: -1, VSize: -1, Policy: -1, Parent: 1,
	}
	at, _ := slices.BinarySearchFunc(m.s.Processes, pid, func(p host.Process, pid int) int { return p.ID.PID - pid })
	m.s.Processes = slices.Insert(m.s.Processes, at, p)
	return &m.s.Processes[at]
}

func (m *sim) end(pid int) {
	m.s.Processes = slices.DeleteFunc(m.s.Processes, func(p host.Process) bool { return p.ID.PID == pid })
}

// step lets time pass and looks; everybody is read.
func (m *sim) step(dt time.Duration) *Look {
	m.s.Uptime += dt
	m.s.At = m.s.At.Add(dt)
	for i := range m.s.Processes {
		p := &m.s.Processes[i]
		used := time.Duration(m.rate[p.ID.PID] * float64(dt))
		p.User += used
		m.s.Machine.Busy += used
		p.Looked = m.s.Uptime
	}
	m.look = m.w.Add(&m.s)
	return m.look
}

// run looks every two seconds for d.
func (m *sim) run(d time.Duration) *Look {
	for range d / m.every {
		m.step(m.every)
	}
	return m.look
}

func (m *sim) vector(tb testing.TB, pid int) *Vector {
	tb.Helper()
	for i := range m.look.Vectors {
		if m.look.Vectors[i].Proc.ID.PID == pid {
			return &m.look.Vectors[i]
		}
	}
	tb.Fatalf("no vector of process %d", pid)
	return nil
}

// near allows for the float32 of the buckets.
func near(t interface {
	Helper()
	Errorf(string, ...any)
}, what string, got, want float64) {
	t.Helper()
	if math.IsNaN(want) != math.IsNaN(got) || math.Abs(got-want) > 2e-5*math.Max(1, math.Abs(want)) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func TestSharesOfASteadyProcess(t *testing.T) {
	u := Unknown()
	for _, tt := range []struct {
		watched                    time.Duration
		s10, s1m, s10m, s1h, busy  float64
		variation1m, duty1m, day24 float64
	}{
		{0, u, u, u, u, u, u, u, u},
		{8 * time.Second, u, u, u, u, 8, u, u, 12},
		{10 * time.Second, 1.5, u, u, u, 10, u, u, 15},
		{52 * time.Second, 1.5, u, u, u, 52, u, u, 78},
		{54 * time.Second, 1.5, 1.5, u, u, 54, 0, 1, 81},
		{10 * time.Minute, 1.5, 1.5, 1.5, u, 600, 0, 1, 900},
		{53 * time.Minute, 1.5, 1.5, 1.5, u, 3180, 0, 1, 4770},
		{54 * time.Minute, 1.5, 1.5, 1.5, 1.5, 3240, 0, 1, 4860},
		{3 * time.Hour, 1.5, 1.5, 1.5, 1.5, 10800, 0, 1, 16200},
		{30 * time.Hour, 1.5, 1.5, 1.5, 1.5, 108000, 0, 1, 129600},
	} {
		t.Run(tt.watched.String(), func(t *testing.T) {
			m := newSim(4)
			m.proc(7, "steady", 50*time.Hour, 20*time.Second)
			m.rate[7] = 1.5
			m.look = m.w.Add(&m.s)
			m.run(tt.watched)
			c := m.vector(t, 7).CPU
			near(t, "10s", c.Share10s, tt.s10)
			near(t, "1m", c.Share1m, tt.s1m)
			near(t, "10m", c.Share10m, tt.s10m)
			near(t, "1h", c.Share1h, tt.s1h)
			near(t, "busy", c.BusyFor, tt.busy)
			near(t, "variation", c.Variation1m, tt.variation1m)
			near(t, "duty", c.Duty1m, tt.duty1m)
			near(t, "24h", c.Seconds24h, tt.day24)
			near(t, "life", c.ShareLife, (20+1.5*tt.watched.Seconds())/(50*time.Hour+tt.watched).Seconds())
			near(t, "total", c.Total, 20+1.5*tt.watched.Seconds())
		})
	}
}

func TestUnreadProcessesKeepTheirShare(t *testing.T) {
	m := newSim(4)
	m.proc(7, "seldom", 50*time.Hour, 0)
	m.look = m.w.Add(&m.s)
	p := &m.s.Processes[0]
	for i := 1; i <= 60; i++ {
		m.s.Uptime += 2 * time.Second
		if i%5 == 0 { // read every 10 s
			p.Looked = m.s.Uptime
			p.User += 4 * time.Second
		}
		m.look = m.w.Add(&m.s)
		c := m.vector(t, 7).CPU
		if m.vector(t, 7).Fresh != (i%5 == 0) {
			t.Fatalf("look %d: fresh is %v", i, m.vector(t, 7).Fresh)
		}
		switch {
		case i < 5:
			near(t, "10s", c.Share10s, Unknown())
		default:
			near(t, "10s", c.Share10s, 0.4)
			near(t, "group 10s", m.vector(t, 7).Group.Share10s, 0.4)
		}
	}
	near(t, "1m", m.vector(t, 7).CPU.Share1m, 0.4)
	near(t, "variation", m.vector(t, 7).CPU.Variation1m, 0)
}

func TestQuietProcessesHaveNoHistory(t *testing.T) {
	m := newSim(1)
	m.proc(7, "idle", 50*time.Hour, time.Hour)
	m.proc(8, "poll", 50*time.Hour, time.Hour)
	m.look = m.w.Add(&m.s)
	m.rate[8] = 0.00005
	m.run(time.Hour)
	for i, want := range []float64{0, 0.00005} {
		c := m.look.Vectors[i].CPU
		near(t, "10s", c.Share10s, want)
		near(t, "1h", c.Share1h, want)
		near(t, "duty", c.Duty10m, 0)
		near(t, "user fraction", c.UserFraction1m, Unknown())
		near(t, "variation", c.Variation1m, Unknown())
		near(t, "busy", c.BusyFor, 0)
		near(t, "24h", c.Seconds24h, want*3600)
		if m.w.order[i].history != nil {
			t.Errorf("process %d has a history", i)
		}
	}
	// One burst, then an hour and a half of rest: the history comes and goes.
	m.rate[7] = 1
	m.step(2 * time.Second)
	m.rate[7] = 0
	if m.w.order[0].history == nil {
		t.Fatal("no history after two CPU seconds")
	}
	near(t, "10s", m.vector(t, 7).CPU.Share10s, 0.2)
	near(t, "1h", m.vector(t, 7).CPU.Share1h, 2.0/3600)
	m.run(20 * time.Second)
	near(t, "10s", m.vector(t, 7).CPU.Share10s, 0)
	near(t, "1m", m.vector(t, 7).CPU.Share1m, 2.0/60)
	near(t, "duty", m.vector(t, 7).CPU.Duty1m, 2.0/60)
	m.run(2 * time.Hour)
	if m.w.order[0].history != nil {
		t.Error("the history stays although it did not work for two hours")
	}
	near(t, "1h", m.vector(t, 7).CPU.Share1h, 0)
	near(t, "24h", m.vector(t, 7).CPU.Seconds24h, 2)
	if g := m.w.order[0].group; g.history != nil {
		t.Error("the program's history stays")
	}
}

func TestYoungProcesses(t *testing.T) {
	u := Unknown()
	t.Run("born while watched", func(t *testing.T) {
		m := newSim(2)
		m.look = m.w.Add(&m.s)
		m.run(time.Minute)
		m.s.Uptime += 2 * time.Second
		m.proc(9, "new", time.Second, time.Second)
		m.look = m.w.Add(&m.s)
		v := m.vector(t, 9)
		near(t, "life", v.CPU.ShareLife, 1)
		near(t, "10s", v.CPU.Share10s, u)
		near(t, "busy", v.CPU.BusyFor, 1)
		near(t, "24h", v.CPU.Seconds24h, 1)
		near(t, "group 24h", v.Group.Seconds24h, 1)
		near(t, "started", v.Group.Started1h, 1)
		m.rate[9] = 1
		m.run(8 * time.Second)
		near(t, "10s after 9s", m.vector(t, 9).CPU.Share10s, 1)
		near(t, "1m after 9s", m.vector(t, 9).CPU.Share1m, u)
		m.run(44 * time.Second)
		near(t, "1m after 53s", m.vector(t, 9).CPU.Share1m, u)
		m.run(2 * time.Second)
		near(t, "1m after 55s", m.vector(t, 9).CPU.Share1m, 1)
		near(t, "group 1m after 55s", m.vector(t, 9).Group.Share1m, 1)
	})
	t.Run("as old as the window at the first look", func(t *testing.T) {
		m := newSim(2)
		m.proc(9, "old", 57*time.Second, 38*time.Second)
		m.look = m.w.Add(&m.s)
		c := m.vector(t, 9).CPU
		near(t, "1m", c.Share1m, 38.0/57)
		near(t, "10s", c.Share10s, u)
		near(t, "10m", c.Share10m, u)
		near(t, "24h", c.Seconds24h, 38)
		near(t, "started", m.vector(t, 9).Group.Started1h, 0)
		near(t, "group 24h", m.vector(t, 9).Group.Seconds24h, 38)
	})
}

func TestFlatness(t *testing.T) {
	for _, tt := range []struct {
		name                         string
		rates                        []float64 // one per look, repeated
		mean, variation, duty, share float64
	}{
		{"flat", []float64{0.8}, 0.8, 0, 1, 0.8},
		{"wobble", []float64{1.2, 0.8}, 1, 0.2, 1, 1},
		{"square wave", []float64{1, 1, 1, 1, 1, 0, 0, 0, 0, 0}, 0.5, 1, 0.5, 0.5},
		{"one in three", []float64{0.9, 0, 0}, 0.3, math.Sqrt2, 1.0 / 3, 0.3},
		{"never working", []float64{0.08, 0.04}, 0.06, Unknown(), 0, 0.06},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newSim(4)
			m.proc(7, "x", 50*time.Hour, 0)
			m.look = m.w.Add(&m.s)
			for i := range 600 {
				m.rate[7] = tt.rates[i%len(tt.rates)]
				m.step(2 * time.Second)
			}
			c := m.vector(t, 7).CPU
			near(t, "1m", c.Share1m, tt.share)
			near(t, "variation 1m", c.Variation1m, tt.variation)
			near(t, "variation 10m", c.Variation10m, tt.variation)
			near(t, "duty 1m", c.Duty1m, tt.duty)
			near(t, "duty 10m", c.Duty10m, tt.duty)
		})
	}
}

func TestUserFractionAndFaults(t *testing.T) {
	m := newSim(4)
	m.proc(7, "x", 50*time.Hour, time.Hour)
	m.look = m.w.Add(&m.s)
	for range 40 {
		p := &m.s.Processes[0]
		p.User += 900 * time.Millisecond
		p.System += 600 * time.Millisecond
		p.MinFault += 300
		m.step(2 * time.Second)
	}
	c := m.vector(t, 7).CPU
	near(t, "share", c.Share1m, 0.75)
	near(t, "user fraction", c.UserFraction1m, 0.6)
	near(t, "faults", c.FaultsPerSecond, 200)
}

func TestCountersThatGoBackwards(t *testing.T) {
	m := newSim(4)
	m.proc(7, "x", 50*time.Hour, time.Hour)
	m.rate[7] = 1
	m.look = m.w.Add(&m.s)
	m.run(2 * time.Minute)
	near(t, "before", m.vector(t, 7).CPU.Share1m, 1)
	m.s.Processes[0].User = time.Minute
	m.step(2 * time.Second)
	c := m.vector(t, 7).CPU
	near(t, "10s", c.Share10s, Unknown())
	near(t, "1m", c.Share1m, Unknown())
	near(t, "busy", c.BusyFor, Unknown())
	m.run(time.Minute)
	near(t, "after", m.vector(t, 7).CPU.Share1m, 1)

	t.Run("the PID comes back", func(t *testing.T) {
		old := m.s.Processes[0].ID
		m.s.Uptime += 2 * time.Second
		m.end(7)
		m.proc(7, "y", time.Second, 0)
		m.look = m.w.Add(&m.s)
		if !slices.Equal(m.look.Gone, []host.ProcID{old}) {
			t.Errorf("gone %v, want %v", m.look.Gone, old)
		}
		near(t, "10s", m.vector(t, 7).CPU.Share10s, Unknown())
		near(t, "total", m.vector(t, 7).CPU.Total, 0)
	})
	t.Run("the machine is started again", func(t *testing.T) {
		m.s.Uptime, m.s.Processes[0].ID.Born, m.s.Processes[0].Looked = time.Minute, 100, time.Minute
		m.s.At = m.s.At.Add(time.Hour)
		m.look = m.w.Add(&m.s)
		m.run(time.Minute)
		near(t, "10s", m.vector(t, 7).CPU.Share10s, 1)
		near(t, "busy of the machine", m.look.Host.Busy1m, 0.25)
	})
}

func TestHole(t *testing.T) {
	m := newSim(4)
	m.proc(7, "x", 50*time.Hour, 0)
	m.proc(8, "sleeps", 50*time.Hour, 0)
	m.rate[7] = 1
	m.look = m.w.Add(&m.s)
	m.run(time.Hour)
	m.rate[7] = 0.001 // the machine is suspended: nothing runs, the clock does
	m.step(8 * time.Hour)
	m.rate[7] = 1
	c := m.vector(t, 7).CPU
	near(t, "10s", c.Share10s, Unknown())
	near(t, "1h", c.Share1h, Unknown())
	near(t, "24h", c.Seconds24h, 3600+28.8)
	near(t, "busy", c.BusyFor, 0)
	near(t, "group 10s", m.vector(t, 7).Group.Share10s, Unknown())
	near(t, "group 24h", m.vector(t, 7).Group.Seconds24h, 3600+28.8)
	near(t, "machine", m.look.Host.Busy1m, Unknown())
	near(t, "sleeper 10s", m.vector(t, 8).CPU.Share10s, Unknown())
	m.run(10 * time.Second)
	near(t, "10s", m.vector(t, 7).CPU.Share10s, 1)
	near(t, "sleeper 10s", m.vector(t, 8).CPU.Share10s, 0)
	m.run(50 * time.Second)
	near(t, "1m", m.vector(t, 7).CPU.Share1m, 1)
	near(t, "group 1m", m.vector(t, 7).Group.Share1m, 1)
	near(t, "busy", m.vector(t, 7).CPU.BusyFor, 60)
	near(t, "machine", m.look.Host.Busy1m, 0.25)

	t.Run("a short one leaves the hour known", func(t *testing.T) {
		m.run(time.Hour)
		m.step(40 * time.Second)
		c := m.vector(t, 7).CPU
		near(t, "1h", c.Share1h, 1)
		near(t, "10s", c.Share10s, Unknown())
		near(t, "busy goes on", c.BusyFor, 60+3600+40)
		near(t, "sleeper 1h", m.vector(t, 8).CPU.Share1h, 0)
	})
}

func TestMachine(t *testing.T) {
	m := newSim(4)
	m.s.Machine.HugePages, m.s.Machine.HugeFree, m.s.Machine.HugeSize, m.s.Machine.Steal = 0, 0, 2<<20, 0
	m.s.Machine.MSRWritable = host.Yes
	m.proc(7, "x", time.Hour, 0)
	m.rate[7] = 3
	m.look = m.w.Add(&m.s)
	near(t, "grown", m.look.Host.HugePagesGrown, 0)
	m.s.Machine.HugePages, m.s.Machine.HugeFree = 1170, 10
	for range 30 {
		m.s.Machine.Steal += 400 * time.Millisecond
		m.step(2 * time.Second)
	}
	h := m.look.Host
	near(t, "CPUs", h.CPUs, 4)
	near(t, "busy 10s", h.Busy10s, 0.75)
	near(t, "busy", h.Busy1m, 0.75)
	near(t, "steal", h.Steal1m, 0.05)
	near(t, "huge pages", h.HugePages, 2340)
	near(t, "used", h.HugePagesUsed, 2320)
	near(t, "grown", h.HugePagesGrown, 2340)
	if v := m.vector(t, 7); v.Host != h {
		t.Errorf("the vector has %+v", v.Host)
	}
}
