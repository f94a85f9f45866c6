package feature

import (
	"math"
	"time"

	"github.com/minehound/minehound/agent/host"
)

// MinThreadLooks is how many looks at hot threads it takes to say in which part of them something was the case.
const MinThreadLooks = 10

const (
	workLooks = 32 // a minute of looks two seconds apart
	maxNames  = 32 // different names of hot threads are counted up to here
)

// work is how the threads of a busy process worked, from one look at them to the next.
type work struct {
	at      time.Duration
	threads []mark
	n       int // looks so far, the ring holds the last of them
	ring    [workLooks]workLook

	known                     bool
	hot, spread, names, bound float64
}

// mark is a thread as it was last read.
type mark struct {
	tid                    int
	cpu                    time.Duration
	voluntary, involuntary int64
}

type workLook struct {
	at                     time.Duration
	cpu                    float32 // CPU seconds of the hot threads whose switches are known
	voluntary, involuntary float32
	hot, stopped           uint16
}

// study takes what was read of the threads.
func (w *Window) study(r *record, p *host.Process) {
	e := p.Effort
	if e == nil || len(e.Threads) == 0 {
		if r.work != nil && r.last.at-r.work.at > 2*window1m {
			r.work = nil
		}
		return
	}
	if r.work == nil {
		r.work = &work{at: -1}
	}
	k := r.work
	if e.Looked <= k.at {
		return
	}
	hole := k.at < w.holeEnd && e.Looked >= w.holeEnd
	if k.at >= 0 && !hole {
		k.compare(e, &w.scratch)
	}
	k.at = e.Looked
	k.threads = k.threads[:0]
	for i := range e.Threads {
		t := &e.Threads[i]
		k.threads = append(k.threads, mark{t.TID, t.User + t.System, t.Voluntary, t.Involuntary})
	}
}

// scratch is reused from look to look.
type scratch struct {
	names []string
	cpus  []uint64 // one bit per CPU
}

func (s *scratch) reset() {
	s.names = s.names[:0]
	clear(s.cpus)
}

func (s *scratch) name(n string) {
	if len(s.names) == maxNames {
		return
	}
	for _, have := range s.names {
		if have == n {
			return
		}
	}
	s.names = append(s.names, n)
}

// cpu marks a CPU and tells whether it was not marked before.
func (s *scratch) cpu(n int) bool {
	if n < 0 || n >= 1<<16 {
		return false
	}
	for n/64 >= len(s.cpus) {
		s.cpus = append(s.cpus, 0)
	}
	bit := uint64(1) << (n % 64)
	fresh := s.cpus[n/64]&bit == 0
	s.cpus[n/64] |= bit
	return fresh
}

func (k *work) compare(e *host.Effort, x *scratch) {
	x.reset()
	dt := (e.Looked - k.at).Seconds()
	look := workLook{at: e.Looked}
	var sum, square float64
	hot, bound, old := 0, 0, 0
	for i := range e.Threads {
		t := &e.Threads[i]
		for old < len(k.threads) && k.threads[old].tid < t.TID {
			old++
		}
		if old == len(k.threads) || k.threads[old].tid != t.TID {
			continue // new: nothing to compare it with
		}
		before := &k.threads[old]
		cpu := (t.User + t.System - before.cpu).Seconds()
		if cpu < HotCores*dt {
			continue
		}
		hot++
		sum += cpu / dt
		square += cpu / dt * cpu / dt
		x.name(t.Name)
		if t.OnlyCPU >= 0 && x.cpu(t.OnlyCPU) {
			bound++
		}
		if t.State == 'T' {
			look.stopped++
		}
		if v, i := t.Voluntary-before.voluntary, t.Involuntary-before.involuntary; before.voluntary >= 0 && before.involuntary >= 0 && v >= 0 && i >= 0 {
			look.cpu += float32(cpu)
			look.voluntary += float32(v)
			look.involuntary += float32(i)
		}
	}
	look.hot = uint16(min(hot, math.MaxUint16))
	k.ring[k.n%workLooks] = look
	k.n++
	k.known, k.hot, k.bound, k.names, k.spread = true, float64(hot), float64(bound), float64(len(x.names)), Unknown()
	if hot >= 2 {
		mean := sum / float64(hot)
		k.spread = math.Sqrt(max(square/float64(hot)-mean*mean, 0)) / mean
		if k.spread < 1e-6 { // rounding
			k.spread = 0
		}
	}
}

// fill tells what the threads say. When they are not read any more, only the past minute remains.
func (k *work) fill(c *CPU, now time.Duration, read bool) {
	c.HotThreads, c.HotSpread, c.HotNames, c.Pinned = Unknown(), Unknown(), Unknown(), Unknown()
	c.VoluntaryPerSecond, c.InvoluntaryPerSecond, c.Stopped = Unknown(), Unknown(), Unknown()
	if k == nil {
		return
	}
	if read && k.known {
		c.HotThreads, c.HotSpread, c.HotNames, c.Pinned = k.hot, k.spread, k.names, k.bound
	}
	var cpu, voluntary, involuntary, hot, stopped float64
	for i := range min(k.n, workLooks) {
		l := &k.ring[i]
		if l.at <= now-window1m {
			continue
		}
		cpu += float64(l.cpu)
		voluntary += float64(l.voluntary)
		involuntary += float64(l.involuntary)
		hot += float64(l.hot)
		stopped += float64(l.stopped)
	}
	if hot < MinThreadLooks {
		return
	}
	c.Stopped = stopped / hot
	if cpu > 0 {
		c.VoluntaryPerSecond, c.InvoluntaryPerSecond = voluntary/cpu, involuntary/cpu
	}
}
