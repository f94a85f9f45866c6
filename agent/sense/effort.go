package sense

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/minehound/minehound/agent/host"
	"github.com/minehound/minehound/agent/sense/procfs"
	"github.com/minehound/minehound/agent/sense/tree"
)

// The memory of a process is read when it gets busy, 2 s and 10 s later, and then every minute or, at most every ten
// seconds, when its size has changed: a dataset is mapped soon after the start and stays.
const (
	mapsSoon  = 2 * time.Second
	mapsLater = 10 * time.Second
	mapsRest  = time.Minute
)

// efforts looks at how the busy processes work, those first that have waited longest, for at most half of what is left, but
// always at one.
func (p *processes) efforts() {
	p.hot = p.hot[:0]
	for i := range p.procs {
		if p.held[i].hot && !p.held[i].dead {
			p.hot = append(p.hot, i)
		}
	}
	if len(p.hot) == 0 {
		return
	}
	slices.SortFunc(p.hot, func(a, b int) int { return cmp.Or(cmp.Compare(p.effortAt(a), p.effortAt(b)), a-b) })
	limit := p.used() + p.left()/2
	for k, i := range p.hot {
		if k > 0 && !p.first && p.used() >= limit {
			p.deferred++
			continue
		}
		p.effort(i)
	}
}

func (p *processes) effortAt(i int) time.Duration {
	if e := p.held[i].effort; e != nil {
		return e.Looked
	}
	return -1
}

// effort reads threads and, when it is time, memory of one process.
func (p *processes) effort(i int) {
	q, h := &p.procs[i], &p.held[i]
	next := h.spare
	if next == nil {
		next = &host.Effort{}
	}
	*next = host.Effort{Looked: p.now(), Threads: next.Threads[:0], Voluntary: -1, Involuntary: -1}
	if h.effort != nil {
		next.Memory = h.effort.Memory
	}
	if !p.threads(q.ID.PID, h, next) {
		return
	}
	if p.memoryDue(q, h) {
		next.Memory = p.memory(q, h, next.Memory)
	}
	h.effort, h.spare = next, h.effort
	q.Effort = next
}

// of makes the path of a file of a process in the kept buffer.
func (p *processes) of(pid int, file string) []byte {
	p.path = strconv.AppendInt(p.path[:0], int64(pid), 10)
	p.path = append(append(p.path, '/'), file...)
	return p.path
}

func (p *processes) ofThread(pid, tid int, file string) []byte {
	p.path = append(strconv.AppendInt(p.path[:0], int64(pid), 10), "/task/"...)
	p.path = append(append(strconv.AppendInt(p.path, int64(tid), 10), '/'), file...)
	return p.path
}

// threads reads the threads of a process into e. It fails when the process has ended.
func (p *processes) threads(pid int, h *held, e *host.Effort) bool {
	var err error
	if p.tids, err = p.at.proc.Numbers(p.tids[:0], p.of(pid, "task")); err != nil {
		return false
	}
	var before []host.Thread
	if h.effort != nil {
		before = h.effort.Threads
	}
	e.ThreadsMore = max(len(p.tids)-p.o.MaxThreads, 0)
	if e.ThreadsMore > 0 {
		p.window(h)
	}
	h.worked = h.worked[:0]
	for _, tid := range p.tids {
		for len(before) > 0 && before[0].TID < tid {
			before = before[1:]
		}
		var old *host.Thread
		if len(before) > 0 && before[0].TID == tid {
			old = &before[0]
		}
		t, worked, ok := p.thread(pid, tid, old)
		if !ok {
			continue
		}
		if worked && e.ThreadsMore > 0 {
			h.worked = append(h.worked, tid)
		}
		e.Threads = append(e.Threads, t)
		if t.Voluntary >= 0 && t.Involuntary >= 0 {
			e.Voluntary, e.Involuntary = max(e.Voluntary, 0)+t.Voluntary, max(e.Involuntary, 0)+t.Involuntary
		}
	}
	return len(e.Threads) > 0
}

// window picks the threads that are read of a process that has too many: up to half of them those that were seen working,
// for the rest a window that moves on, so that work cannot hide behind idle threads. It rests for two looks: one look alone
// shows no work.
func (p *processes) window(h *held) {
	n := 0
	for _, tid := range h.worked {
		if k, ok := slices.BinarySearch(p.tids[n:], tid); ok && n < p.o.MaxThreads/2 {
			k += n
			copy(p.tids[n+1:k+1], p.tids[n:k])
			p.tids[n] = tid
			n++
		}
	}
	rest := p.tids[n:]
	n = p.o.MaxThreads - n
	from := h.turn / 2 * n % len(rest)
	h.turn++
	for k := range min(n, len(rest)-from) {
		rest[k], rest[from+k] = rest[from+k], rest[k]
	}
	p.tids = p.tids[:p.o.MaxThreads]
	slices.Sort(p.tids)
}

// thread reads one thread. Its switches and the CPUs it may use cost as much again and are read only when it is new or has
// worked since.
func (p *processes) thread(pid, tid int, old *host.Thread) (t host.Thread, worked, ok bool) {
	b, err := p.at.proc.Read(p.line[:0], p.ofThread(pid, tid, "stat"), cap(p.line)-1)
	if err != nil {
		return t, false, false
	}
	var s procfs.Stat
	if err := procfs.ParseStat(b, &s); err != nil {
		return t, false, false
	}
	cpu := s.User + s.System
	if old != nil {
		t = *old
		worked = cpu != t.User+t.System
	} else {
		t = host.Thread{TID: tid, Voluntary: -1, Involuntary: -1, CPUs: -1, OnlyCPU: -1}
		age := p.uptime - bornUptime(host.ProcID{Born: s.Born})
		worked = float64(cpu) >= p.o.HotShare*float64(max(age, host.Tick))
	}
	if t.Name != string(s.Comm) {
		t.Name = string(s.Comm)
	}
	t.State, t.User, t.System = s.State, s.User, s.System
	if old != nil && !worked {
		return t, false, true
	}
	b, err = p.at.proc.Read(p.line[:0], p.ofThread(pid, tid, "status"), cap(p.line)-1)
	if err != nil && !errors.Is(err, tree.ErrLonger) {
		return t, worked, !tree.Gone(err)
	}
	st := procfs.ParseStatus(b)
	t.Voluntary, t.Involuntary, t.CPUs, t.OnlyCPU = st.Voluntary, st.Involuntary, st.CPUs, st.OnlyCPU
	return t, worked, true
}

func (p *processes) memoryDue(q *host.Process, h *held) bool {
	age := p.uptime - h.mapsAt
	switch h.mapsReads {
	case 0:
		return true
	case 1:
		return age >= mapsSoon*9/10
	case 2:
		return age >= (mapsLater-mapsSoon)*9/10
	}
	changed := q.VSize != h.mapsSize || max(q.RSS-h.mapsRSS, h.mapsRSS-q.RSS) >= host.LargeMapping
	return age >= mapsRest || changed && age >= mapsLater
}

// memory reads the address space of a process. It returns old when nothing but the time has changed.
func (p *processes) memory(q *host.Process, h *held, old *host.Memory) *host.Memory {
	h.mapsAt, h.mapsSize, h.mapsRSS = p.uptime, q.VSize, q.RSS
	h.mapsReads++
	mem := host.Memory{Looked: p.now(), Hugetlb: -1, RSSAnon: -1}
	b, err := p.at.proc.Read(p.line[:0], p.of(q.ID.PID, "status"), cap(p.line)-1)
	if err == nil || errors.Is(err, tree.ErrLonger) {
		st := procfs.ParseStatus(b)
		mem.Hugetlb, mem.RSSAnon = st.Hugetlb, st.RSSAnon
	}
	a, ok := p.look.put(question{pid: q.ID.PID, maps: p.o.MaxMaps})
	p.elsewhere += a.cost
	h.withheld, h.longMaps, mem.Known = !ok, a.long, a.maps != nil
	h.blind |= a.blind
	switch {
	case !ok && old != nil:
		return old
	case !mem.Known:
		if mem.Hugetlb < 0 && mem.RSSAnon < 0 {
			return nil
		}
	case old != nil && old.Known && a.maps.Same(old):
		mem.Large, mem.Exec, mem.ExecMaps, mem.WriteExec = old.Large, old.Exec, old.ExecMaps, old.WriteExec
	default:
		a.maps.Fill(&mem)
	}
	return &mem
}
