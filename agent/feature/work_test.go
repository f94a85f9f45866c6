package feature

import (
	"math"
	"testing"
	"time"

	"github.com/minehound/minehound/agent/host"
)

// crew gives a process threads that work at these rates.
type crew struct {
	p       *host.Process
	rates   []float64
	pins    []int
	names   []string
	state   func(look, thread int) byte
	switchv float64 // voluntary switches per second and thread
	look    int
}

func (c *crew) work(m *sim, dt time.Duration) {
	e := c.p.Effort
	if e == nil {
		e = &host.Effort{}
		for i := range c.rates {
			e.Threads = append(e.Threads, host.Thread{TID: 100 + i, CPUs: m.s.Machine.CPUs, OnlyCPU: -1, Name: "w", State: 'R'})
		}
		c.p.Effort = e
	}
	c.look++
	e.Looked = m.s.Uptime + dt
	total := 0.0
	for i, rate := range c.rates {
		t := &e.Threads[i]
		t.User += time.Duration(rate * float64(dt))
		t.Voluntary += int64(c.switchv * dt.Seconds())
		t.Involuntary += int64(10 * rate * dt.Seconds())
		if i < len(c.pins) && c.pins[i] >= 0 {
			t.OnlyCPU, t.CPUs = c.pins[i], 1
		}
		if c.names != nil {
			t.Name = c.names[i]
		}
		if c.state != nil {
			t.State = c.state(c.look, i)
		}
		total += rate
	}
	m.rate[c.p.ID.PID] = total
	m.step(dt)
}

func TestThreads(t *testing.T) {
	u := Unknown()
	for _, tt := range []struct {
		name                                       string
		rates                                      []float64
		pins                                       []int
		names                                      []string
		switches                                   float64
		hot, spread, hotNames, pinned, perCPU, inv float64
	}{
		{"two pinned workers", []float64{0, 0.95, 0.95}, []int{-1, 0, 1}, nil, 0, 2, 0, 1, 2, 0, 10},
		{"unequal", []float64{0.9, 0.3}, nil, []string{"a", "b"}, 0, 2, 0.5, 2, 0, 0, 10},
		{"all on one CPU", []float64{0.5, 0.5}, []int{1, 1}, nil, 0, 2, 0, 1, 1, 0, 10},
		{"one", []float64{1, 0.1, 0.1}, nil, nil, 5, 1, u, 1, 0, 5, 10},
		{"waits much", []float64{0.5, 0.5}, nil, nil, 50, 2, 0, 1, 0, 100, 10},
		{"none", []float64{0.1, 0.15}, nil, nil, 1, 0, u, 0, 0, u, u},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newSim(4)
			c := &crew{p: m.proc(7, "x", 50*time.Hour, 0), rates: tt.rates, pins: tt.pins, names: tt.names, switchv: tt.switches}
			c.work(m, 2*time.Second)
			near(t, "hot threads at the first look", m.vector(t, 7).CPU.HotThreads, u)
			for range 30 {
				c.work(m, 2*time.Second)
			}
			v := m.vector(t, 7)
			near(t, "hot threads", v.CPU.HotThreads, tt.hot)
			near(t, "spread", v.CPU.HotSpread, tt.spread)
			near(t, "names", v.CPU.HotNames, tt.hotNames)
			near(t, "pinned", v.CPU.Pinned, tt.pinned)
			near(t, "voluntary", v.CPU.VoluntaryPerSecond, tt.perCPU)
			if math.IsNaN(tt.inv) != math.IsNaN(v.CPU.InvoluntaryPerSecond) || math.Abs(v.CPU.InvoluntaryPerSecond-tt.inv) > 2 {
				t.Errorf("involuntary %v, want about %v", v.CPU.InvoluntaryPerSecond, tt.inv)
			}
			f, _ := v.Field("cpu.hot_threads_per_core")
			near(t, "per core", f.Number, tt.hot/4)
			if tt.hot > 0 {
				near(t, "stopped", v.CPU.Stopped, 0)
			}
		})
	}
}

func TestStoppedThreadsThatWork(t *testing.T) {
	m := newSim(2)
	c := &crew{p: m.proc(7, "x", 50*time.Hour, 0), rates: []float64{0.34, 0.34}}
	c.state = func(look, thread int) byte {
		if (look+thread)%5 == 0 {
			return 'R'
		}
		return 'T'
	}
	for range 41 {
		c.work(m, 2*time.Second)
	}
	near(t, "stopped", m.vector(t, 7).CPU.Stopped, 0.8)

	// Stopped for good, it uses nothing: that is not the same.
	c.rates = []float64{0, 0}
	c.state = func(int, int) byte { return 'T' }
	for range 40 {
		c.work(m, 2*time.Second)
	}
	near(t, "stopped for good", m.vector(t, 7).CPU.Stopped, Unknown())

	// No longer looked at: nothing about now, and nothing for ever.
	c.p.Effort = nil
	m.step(2 * time.Second)
	near(t, "hot threads", m.vector(t, 7).CPU.HotThreads, Unknown())
	m.run(3 * time.Minute)
	if m.w.order[0].work != nil {
		t.Error("what its threads did is kept")
	}
}

func TestThreadIDsThatComeBack(t *testing.T) {
	m := newSim(2)
	c := &crew{p: m.proc(7, "x", 50*time.Hour, 0), rates: []float64{1, 1}}
	for range 20 {
		c.work(m, 2*time.Second)
	}
	c.p.Effort.Threads[1].User = 0 // another thread with its id
	c.p.Effort.Threads[1].Voluntary = -1
	c.work(m, 2*time.Second)
	near(t, "hot", m.vector(t, 7).CPU.HotThreads, 1)
	near(t, "voluntary", m.vector(t, 7).CPU.VoluntaryPerSecond, 0)
}

func TestMemoryOfAProcess(t *testing.T) {
	u := Unknown()
	m := newSim(2)
	p := m.proc(7, "x", 50*time.Hour, 0)
	p.RSS = 10 << 20
	m.step(2 * time.Second)
	v := m.vector(t, 7)
	near(t, "rss", v.Memory.RSS, 10)
	near(t, "hugetlb", v.Memory.Hugetlb, u)
	near(t, "large", v.Memory.LargeTotal, u)
	if f, _ := v.Field("memory.large_mib"); f.Kind != host.KindUnknown {
		t.Errorf("large %+v before it was read", f)
	}

	c := &crew{p: p, rates: []float64{0.9, 0.9}}
	c.work(m, 2*time.Second)
	p.Effort.Memory = &host.Memory{Looked: m.s.Uptime, Known: true, Hugetlb: 2340 << 20, RSSAnon: 9 << 20,
		Large: []int64{2080<<20 + 4096, 256 << 20}, Exec: 640 << 10, ExecMaps: 3, WriteExec: 512 << 10}
	c.work(m, 2*time.Second)
	v = m.vector(t, 7)
	near(t, "large", v.Memory.LargeTotal, 2336+4096.0/(1<<20))
	for name, want := range map[string]float64{
		"memory.hugetlb_mib": 2340, "memory.hugetlb_over_rss": 234, "memory.exec_anon_kib": 640, "memory.exec_anon_maps": 3,
		"memory.write_exec_kib": 512, "memory.rss_anon_mib": 9, "memory.hugetlb_rest_mib": 4 - 4096.0/(1<<20),
		"memory.hugetlb_rest_per_hot_thread": 2 - 2048.0/(1<<20),
	} {
		f, ok := v.Field(name)
		if !ok {
			t.Errorf("no field %s", name)
		}
		near(t, name, f.Number, want)
	}
	f, _ := v.Field("memory.large_mib")
	if f.Kind != host.KindNumbers || len(f.Numbers) != 2 || f.Numbers[0] != 2080 || f.Numbers[1] != 256 {
		t.Errorf("large %+v", f)
	}

	t.Run("it rests", func(t *testing.T) {
		p.Effort, m.rate[7] = nil, 0
		m.run(5 * time.Minute)
		near(t, "hugetlb", m.vector(t, 7).Memory.Hugetlb, 2340)
		m.run(6 * time.Minute)
		near(t, "hugetlb", m.vector(t, 7).Memory.Hugetlb, u)
	})
	t.Run("maps that cannot be read", func(t *testing.T) {
		p.Effort = &host.Effort{Looked: m.s.Uptime, Memory: &host.Memory{Looked: m.s.Uptime, Hugetlb: 0, RSSAnon: -1}}
		m.step(2 * time.Second)
		v := m.vector(t, 7)
		near(t, "hugetlb", v.Memory.Hugetlb, 0)
		near(t, "anon", v.Memory.RSSAnon, u)
		near(t, "exec", v.Memory.ExecKiB, u)
		near(t, "large", v.Memory.LargeTotal, u)
	})
	t.Run("it runs another program", func(t *testing.T) {
		p.Effort.Memory = &host.Memory{Looked: m.s.Uptime, Known: true, Large: []int64{64 << 20}}
		p.Detail = &host.Detail{Exe: "/a"}
		m.step(2 * time.Second)
		p.Detail, p.Effort = &host.Detail{Exe: "/b"}, nil
		m.step(2 * time.Second)
		near(t, "large", m.vector(t, 7).Memory.LargeTotal, u)
	})
}
