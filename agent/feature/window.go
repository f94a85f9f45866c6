package feature

import (
	"time"

	"github.com/minehound/minehound/agent/host"
)

// Look is what one Snapshot became: it belongs to the Window, which reuses it at the next look.
type Look struct {
	At          time.Time
	Vectors     []Vector      // one for each process of the Snapshot, in its order: by PID
	Occurrences []Occurrence  // one for each event, in its order
	Gone        []host.ProcID // processes of the look before that are no longer there, by PID
	Host        Host
}

// Window remembers the recent past. It is not safe for concurrent use.
type Window struct {
	look    Look
	number  uint64 // of the look, from 1
	boot    string
	at      time.Time
	now     time.Duration // uptime of this look
	before  time.Duration // of the look before
	holeEnd time.Duration // first look after the last hole; 0 none
	offset  time.Duration // added to the uptime it is the clock of the long sums, which goes on over boots

	machine        history // of all CPUs together: cpu is busy, user is stolen
	busy, steal    time.Duration
	leastHugePages float64

	order   []*record // by PID
	next    []*record
	dead    []*record // gone at this look
	free    []*record
	spare   []*history
	groups  groups
	births  births
	scratch scratch

	restored *restored
	cooled   time.Duration
}

// maxFree is how many records of dead processes are kept for new ones.
const maxFree = 256

// firstClock is where the clock of the long sums begins, so that a day before it is not below zero.
const firstClock = 25 * time.Hour

// NewWindow is a Window that has seen nothing yet.
func NewWindow() *Window {
	return &Window{
		offset: firstClock, leastHugePages: Unknown(),
		groups: groups{table: map[string]*group{}},
		births: births{of: map[host.ProcID]*birth{}},
	}
}

// Add takes the next Snapshot. Snapshots come in the order they were taken, their processes sorted by PID. What Add
// returns is valid until it is called again.
func (w *Window) Add(s *host.Snapshot) *Look {
	w.tick(s)
	w.look.At = s.At
	w.measureMachine(&s.Machine)
	w.look.Occurrences = w.look.Occurrences[:0]
	for i := range s.Events {
		w.note(&s.Events[i])
		w.occur(&s.Events[i])
	}
	w.match(s)
	for i, r := range w.order {
		w.update(r, &s.Processes[i])
	}
	n := len(s.Processes)
	if cap(w.look.Vectors) < n || cap(w.look.Vectors) > 4*n+1024 {
		w.look.Vectors = make([]Vector, n, n+n/4)
	}
	w.look.Vectors = w.look.Vectors[:n]
	for i, r := range w.order {
		w.vector(&w.look.Vectors[i], r, &s.Processes[i], s)
	}
	if w.now-w.cooled > startStep {
		w.cooled = w.now
		w.groups.cool(w)
	}
	w.bury()
	w.restored = nil
	return &w.look
}

// tick moves the clock.
func (w *Window) tick(s *host.Snapshot) {
	w.number++
	first := w.number == 1
	if !first && (s.Uptime < w.now || s.Machine.BootID != w.boot) {
		clock, since := w.now+w.offset, s.At.Sub(w.at)
		w.restart()
		w.offset = clock + max(since, 0) - s.Uptime
		first = true
	}
	w.before, w.now, w.at, w.boot = w.now, s.Uptime, s.At, s.Machine.BootID
	if first {
		w.before, w.holeEnd, w.cooled = w.now, 0, w.now
		w.busy, w.steal = -1, -1
		w.resume()
	}
	if w.now-w.before > Hole {
		w.holeEnd = w.now
	}
}

// restart forgets all that counts on the uptime of a boot that is over.
func (w *Window) restart() {
	for _, r := range w.order {
		w.groups.leave(r.group, 0)
	}
	clear(w.order)
	w.order = w.order[:0]
	w.machine = history{}
	for _, g := range w.groups.table {
		g.history, g.pending, g.from, g.since, g.latest, g.ended = nil, 0, 0, 0, 0, 0
		g.started = starts{}
	}
	w.births = births{of: map[host.ProcID]*birth{}}
}

// measureMachine fills in what is the same for all processes.
func (w *Window) measureMachine(m *host.Machine) {
	u := Unknown()
	h := &w.look.Host
	*h = Host{CPUs: float64(m.CPUs), Busy10s: u, Busy1m: u, Steal1m: u, HugePages: u, HugePagesUsed: u, HugePagesGrown: u, MSRWritable: m.MSRWritable}
	dt := w.now - w.before
	if dt > 0 && dt <= Hole {
		smp := sample{watched: dt.Seconds(), looks: 1}
		if w.busy >= 0 && m.Busy >= w.busy {
			smp.cpu, smp.working = (m.Busy - w.busy).Seconds(), dt.Seconds()
			if w.steal >= 0 && m.Steal >= w.steal {
				smp.user = (m.Steal - w.steal).Seconds()
			}
		}
		w.machine.add(w.before, w.now, &smp)
	}
	w.busy, w.steal = m.Busy, m.Steal
	// working is, for the machine, the time in which its counters could be read.
	if s := w.machine.sum(window10s, w.now); enough(s.working, window10s) {
		h.Busy10s = min(s.cpu/s.working/h.CPUs, 1)
	}
	if s := w.machine.sum(window1m, w.now); enough(s.working, window1m) {
		h.Busy1m = min(s.cpu/s.working/h.CPUs, 1)
		if m.Steal >= 0 {
			h.Steal1m = min(s.user/s.working/h.CPUs, 1)
		}
	}
	if m.HugePages < 0 || m.HugeSize <= 0 {
		return
	}
	page := float64(m.HugeSize) / (1 << 20)
	h.HugePages = float64(m.HugePages) * page
	if m.HugeFree >= 0 && m.HugeFree <= m.HugePages {
		h.HugePagesUsed = float64(m.HugePages-m.HugeFree) * page
	}
	if !(h.HugePages >= w.leastHugePages) {
		w.leastHugePages = h.HugePages
	}
	h.HugePagesGrown = h.HugePages - w.leastHugePages
}

// match pairs the processes with what is known of them: both are sorted by PID.
func (w *Window) match(s *host.Snapshot) {
	w.look.Gone = w.look.Gone[:0]
	w.next = w.next[:0]
	old := 0
	for i := range s.Processes {
		p := &s.Processes[i]
		for old < len(w.order) && w.order[old].id.PID < p.ID.PID {
			w.gone(w.order[old])
			old++
		}
		var r *record
		if old < len(w.order) && w.order[old].id.PID == p.ID.PID {
			r = w.order[old]
			old++
			if r.id != p.ID {
				w.gone(r)
				r = nil
			}
		}
		if r == nil {
			r = w.fresh(p)
		}
		r.look = w.number
		w.next = append(w.next, r)
	}
	for ; old < len(w.order); old++ {
		w.gone(w.order[old])
	}
	w.order, w.next = w.next, w.order
	clear(w.next)
}

func (w *Window) gone(r *record) {
	w.look.Gone = append(w.look.Gone, r.id)
	w.groups.leave(r.group, w.now)
	w.dead = append(w.dead, r)
}

// bury keeps the memory of dead records for other processes. It comes at the end of a look, because until then their
// children point at them and can tell that they are gone.
func (w *Window) bury() {
	for _, r := range w.dead {
		if r.history != nil && len(w.spare) < maxFree/4 {
			w.spare = append(w.spare, r.history)
		}
		*r = record{}
		if len(w.free) < maxFree {
			w.free = append(w.free, r)
		}
	}
	clear(w.dead)
	w.dead = w.dead[:0]
}

// fresh is the record of a process that is seen for the first time.
func (w *Window) fresh(p *host.Process) *record {
	r := &record{}
	if n := len(w.free); n > 0 {
		r = w.free[n-1]
		w.free = w.free[:n-1]
	}
	*r = record{id: p.ID, busyFrom: -1, parentPID: -1}
	r.name = p.Name
	return r
}

// newHistory is an empty history.
func (w *Window) newHistory() *history {
	n := len(w.spare)
	if n == 0 {
		return &history{}
	}
	h := w.spare[n-1]
	w.spare = w.spare[:n-1]
	*h = history{}
	return h
}

// byPID finds a record in a list sorted by PID.
func (w *Window) byPID(order []*record, pid int) *record {
	lo, hi := 0, len(order)
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if order[mid].id.PID < pid {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(order) && order[lo].id.PID == pid {
		return order[lo]
	}
	return nil
}

// watched tells whether enough of the window that ends at to was watched.
func (w *Window) watched(window, since, to time.Duration) bool {
	if !enough((to - since).Seconds(), window) {
		return false
	}
	if w.holeEnd <= max(to-window, since) {
		return true
	}
	return enough(w.machine.between(window, max(to-window, since), to).watched, window)
}

// update takes what a Snapshot says of a process.
func (w *Window) update(r *record, p *host.Process) {
	isNew := r.group == nil
	changed := isNew || r.detail != p.Detail || r.name != p.Name
	if isNew {
		w.adopt(r, p)
	}
	if changed {
		w.rename(r, p)
	}
	switch {
	case isNew:
		w.begin(r, p)
	case !w.measure(r, p):
		r.history, r.day, r.work, r.busyFrom = nil, nil, nil, -1
		r.last = w.counters(p)
		r.from, r.since, r.measured, r.read = r.last, r.last.at, false, true
	}
	r.read = r.read || changed
	r.group.latest = max(r.group.latest, r.last.at)
	w.study(r, p)
	r.observe(p, w.now)
}

// rename takes a new name or new details: it is new, was looked at more closely or has executed another program.
func (w *Window) rename(r *record, p *host.Process) {
	if r.detail != p.Detail {
		like := r.text
		if like == nil && r.parent != nil {
			like = r.parent.text
		}
		if r.detail != nil && (p.Detail == nil || r.detail.Exe != p.Detail.Exe) {
			r.memory, r.large, r.work = nil, nil, nil
		}
		r.text = newText(p.Detail, like)
	}
	r.name, r.detail = p.Name, p.Detail
	key := GroupKey(p.Name, p.Kernel, p.Detail)
	if r.group != nil && r.group.key == key {
		return
	}
	g := w.groups.join(key, w.now)
	if r.group != nil {
		w.groups.leave(r.group, w.now)
	}
	r.group = g
}

// adopt finds out who started a process.
func (w *Window) adopt(r *record, p *host.Process) {
	id := host.ProcID{PID: p.Parent}
	if b := w.births.of[p.ID]; b != nil {
		r.up, r.parentName, r.parentText = b.up, b.parentName, b.parentText
		if b.parentID.PID > 0 {
			id = b.parentID
		}
	}
	r.parentPID = id.PID
	q := w.byPID(w.order, id.PID)
	// A parent is not younger than its child: one that is has the PID of another.
	if q != nil && q != r && q.id.Born <= r.id.Born && (id.Born == 0 || q.id.Born == id.Born) {
		r.parent = q
	}
}

// begin takes the first counters of a process.
func (w *Window) begin(r *record, p *host.Process) {
	now := w.counters(p)
	born := time.Duration(p.ID.Born) * host.Tick
	r.read, r.last, r.from, r.since = true, now, now, now.at
	// The second is for the time that a look takes: who is young enough was born since the look before.
	if w.number > 1 && w.before < w.now && born >= w.before-time.Second && born < now.at && w.holeEnd != w.now {
		if g := r.group; g.members == 1 && g.since == w.now {
			g.since, g.from = born, born // the program is as new as the process
		}
		r.group.started.add(w.now)
		r.last, r.from, r.since = counters{at: born}, counters{at: born}, born
		w.advance(r, now)
		return
	}
	w.credit(r, born, now)
}

// vector tells what is known.
func (w *Window) vector(v *Vector, r *record, p *host.Process, s *host.Snapshot) {
	w.trace(r)
	born := time.Duration(p.ID.Born) * host.Tick
	v.At, v.Proc, v.Host = s.At, *p, w.look.Host
	v.Age = max(w.now-born, 0)
	v.Fresh = r.read
	v.Reparented = host.FactOf(p.Parent != r.parentPID)
	v.text, v.parentName, v.parentText = r.text, r.parentName, r.parentText
	v.Parent = nil
	if r.parentText != nil {
		v.Parent = r.parentText.detail
	}
	v.ancestors, v.first = nil, r.parentPID <= 0
	if r.up != nil {
		v.ancestors = r.up.names
	}
	r.subject(&v.Subject)
	w.cpu(r, p, &v.CPU, max(r.last.at-born, 0))
	r.fillMemory(p, &v.Memory)
	v.Group = *r.group.measure(w)
}

func (r *record) subject(s *host.Subject) {
	*s = host.Subject{Kind: host.SubjectProcess, ID: r.id, Name: r.name, Key: r.group.key}
	if r.up != nil {
		s.Ancestors = r.up.ancestors
	}
	describe(s, r.detail)
}
