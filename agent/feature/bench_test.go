package feature

import (
	"fmt"
	"reflect"
	"runtime"
	"testing"
	"time"

	"github.com/minehound/minehound/agent/host"
)

// crowd is a machine of n processes: one in ten works, one in a hundred has its threads read, a fifth of the others is
// read at each look.
func crowd(n int) *sim {
	m := newSim(16)
	for i := range n {
		p := m.proc(i+1, fmt.Sprint("p", i%40), 90*time.Hour-time.Duration(i)*time.Second, time.Hour)
		p.Parent = i / 8
		p.Detail = &host.Detail{Exe: fmt.Sprint("/usr/bin/p", i%40), Args: []string{"p", "--id", fmt.Sprint(i)}, ArgsKnown: true, User: "root",
			Cgroup: "/", EnvKnown: true, Env: []host.EnvVar{{Name: "PATH"}, {Name: "HOME"}}}
		if i%100 == 0 {
			p.Effort = &host.Effort{Memory: &host.Memory{Known: true, Hugetlb: -1, RSSAnon: 1 << 20, Large: []int64{256 << 20}}}
			for tid := range 16 {
				p.Effort.Threads = append(p.Effort.Threads, host.Thread{TID: i + tid, Name: "w", OnlyCPU: -1})
			}
		}
	}
	return m
}

func (m *sim) crowdStep(look int) {
	m.s.Uptime += 2 * time.Second
	m.s.At = m.s.At.Add(2 * time.Second)
	for i := range m.s.Processes {
		p := &m.s.Processes[i]
		switch {
		case i%10 == 0:
			p.User += time.Duration(100+(i+look)%50) * time.Millisecond
			p.Looked = m.s.Uptime
		case (i+look)%5 == 0:
			p.Looked = m.s.Uptime
		}
		if p.Effort != nil {
			p.Effort.Looked = m.s.Uptime
			for k := range p.Effort.Threads {
				p.Effort.Threads[k].User += 500 * time.Millisecond
			}
		}
	}
	m.look = m.w.Add(&m.s)
}

func BenchmarkAdd(b *testing.B) {
	for _, n := range []int{200, 2000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			m := crowd(n)
			for look := range 40 {
				m.crowdStep(look)
			}
			b.ReportAllocs()
			for look := 0; b.Loop(); look++ {
				m.crowdStep(look)
			}
		})
	}
}

func BenchmarkFields(b *testing.B) {
	m := crowd(100)
	for look := range 400 {
		m.crowdStep(look)
	}
	v := &m.look.Vectors[0]
	b.ReportAllocs()
	for b.Loop() {
		for i := range fields {
			_ = v.Get(i)
		}
	}
}

func TestTheSteadyStateDoesNotAllocate(t *testing.T) {
	m := crowd(500)
	for look := range 40 {
		m.crowdStep(look)
	}
	look := 40
	if n := testing.AllocsPerRun(100, func() { m.crowdStep(look); look++ }); n > 0 {
		t.Errorf("%v allocations per look", n)
	}
	v := &m.look.Vectors[0]
	if n := testing.AllocsPerRun(10, func() {
		for i := range fields {
			_ = v.Get(i)
		}
	}); n > 0 {
		t.Errorf("%v allocations to read all fields", n)
	}
}

// What is kept per process, quiet and working, beside the Snapshot itself.
func TestBytesPerProcess(t *testing.T) {
	for _, tt := range []struct {
		name  string
		rate  float64
		limit float64
	}{{"quiet", 0, 1024}, {"working", 0.5, 8192}} {
		m := newSim(16)
		const n = 2000
		for i := range n {
			m.proc(i+1, "x", 90*time.Hour, 0)
			m.rate[i+1] = tt.rate
			m.s.Processes[i].Detail = &host.Detail{Exe: "/usr/bin/x", Args: []string{"x"}, ArgsKnown: true}
		}
		before := heap()
		m.w = NewWindow()
		m.look = m.w.Add(&m.s)
		m.run(20 * time.Second)
		all := float64(heap()-before) / n
		clear(m.look.Vectors)
		vectors := float64(cap(m.w.look.Vectors)) * float64(reflect.TypeFor[Vector]().Size()) / n
		t.Logf("%s: %.0f bytes per process, of these %.0f for its Vector", tt.name, all, vectors)
		if all-vectors > tt.limit {
			t.Errorf("%s: %.0f bytes kept per process", tt.name, all-vectors)
		}
		runtime.KeepAlive(m)
	}
}

func heap() int64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}
