package sense

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/minehound/minehound/agent/host"
)

// entry is one process as a platform lists it.
type entry struct {
	host.Process           // without Looked, Detail and Effort; ID.Born is not filled in
	Started      time.Time // wall clock; zero when unknown
	Counted      bool      // whether the counters could be read
	Each         []host.Thread
}

// lister is the processes as a platform tells them.
type lister interface {
	// list appends one entry for every process. What it appends is valid until the next call.
	list(ctx context.Context, into []entry) ([]entry, error)
	// detail takes the closer look at a process. What could not be read is left unknown; the error, which may come with a
	// detail, says why. Arguments come unmasked.
	detail(ctx context.Context, pid int) (*host.Detail, error)
}

// detailTries is how often the closer look at a process is tried while it finds no executable: one that has just been
// made may not have it yet, one that is protected never will.
const detailTries = 3

// roster is the sensor of the processes: all of them by one list, the new and the renamed by a closer look, the busy with
// their threads. Starts and ends are what differs between two lists.
type roster struct {
	o     Options
	from  lister
	now   func() time.Time
	mask  func([]string) []string // see Mask
	list  []entry
	known map[int]*member
	round uint64
	pace  pace
	gaps  []host.Gap // of the last list
}

// member is a process that is known from earlier looks.
type member struct {
	proc    host.Process
	started time.Time
	counted bool
	hotAt   time.Duration // uptime at which it was last hot
	hot     bool
	tries   int
	effort  host.Effort
	round   uint64 // of the list that it was last in
}

func newRoster(o Options, from lister, now func() time.Time, mask func([]string) []string) *roster {
	return &roster{o: o, from: from, now: now, mask: mask, known: map[int]*member{}, pace: pace{o: o}}
}

// Name implements [Sensor].
func (r *roster) Name() string { return "processes" }

// Sense implements [Sensor].
func (r *roster) Sense(ctx context.Context, snap *host.Snapshot) error {
	if r.pace.due(snap.Uptime) {
		if err := r.look(ctx, snap); err != nil {
			return err
		}
	} // else the part of the Snapshot that is ours still holds the last list
	snap.Gaps = append(snap.Gaps, r.gaps...)
	return nil
}

// look takes a new list.
func (r *roster) look(ctx context.Context, snap *host.Snapshot) error {
	start := r.now()
	var err error
	if r.list, err = r.from.list(ctx, r.list[:0]); err != nil {
		return fmt.Errorf("list processes: %w", err)
	}
	r.pace.took(snap.Uptime, r.now().Sub(start))
	first := r.round == 0
	r.round++
	var started []*member
	uncounted, unseen := false, false
	for i := range r.list {
		m, isNew := r.meet(snap, &r.list[i])
		if isNew {
			started = append(started, m)
		}
		r.lookCloser(ctx, m)
		uncounted = uncounted || !m.counted
		unseen = unseen || !m.proc.Kernel && !m.seen() && m.tries >= detailTries
	}
	r.publish(snap)
	if first && !r.o.Running {
		started = nil
	}
	r.tellEvents(snap, started)
	r.tellGaps(uncounted, unseen)
	return nil
}

// meet updates what is known with one entry of the list and tells whether the process is new.
func (r *roster) meet(snap *host.Snapshot, e *entry) (m *member, isNew bool) {
	pid := e.ID.PID
	m = r.known[pid]
	if m != nil && !m.started.Equal(e.Started) { // the PID came back
		r.end(snap, m, e.Started)
		m = nil
	}
	if m == nil {
		m, isNew = &member{started: e.Started}, true
		r.known[pid] = m
	}
	m.round = r.round
	before := m.proc
	born := before.ID.Born
	if isNew {
		born = bornAt(snap, e.Started)
	}
	m.proc = e.Process
	m.proc.ID.Born = born
	m.proc.Detail = before.Detail
	m.proc.Effort = nil
	if before.Name != e.Name { // it executes another program now
		m.proc.Detail, m.tries = nil, 0
	}
	if !e.Counted {
		m.proc.Looked, m.proc.User, m.proc.System = before.Looked, before.User, before.System
		m.proc.Threads, m.proc.RSS, m.proc.VSize = -1, -1, -1
		m.counted = false
		return m, isNew
	}
	m.proc.Looked = snap.Uptime
	r.heat(m, &before, isNew)
	m.counted = true
	if m.hot && e.Each != nil {
		r.threads(m, e.Each, snap.Uptime)
	}
	return m, isNew
}

// bornAt is the tick a process was born at. One that started before the boot time that is known (the wall clock was wrong
// at first) was born with the machine.
func bornAt(snap *host.Snapshot, started time.Time) uint64 {
	if started.IsZero() {
		return 0
	}
	since := snap.Uptime - snap.At.Round(0).Sub(started.Round(0))
	return uint64(max(0, since) / host.Tick)
}

// heat decides whether the process is worth a look at its threads.
func (r *roster) heat(m *member, before *host.Process, isNew bool) {
	spent, over := m.proc.CPU()-before.CPU(), m.proc.Looked-before.Looked
	if isNew || !m.counted { // since birth is all that is known
		spent, over = m.proc.CPU(), m.proc.Looked-time.Duration(m.proc.ID.Born)*host.Tick
	}
	if over > 0 && spent.Seconds() >= r.o.HotShare*over.Seconds() {
		m.hot, m.hotAt = true, m.proc.Looked
	} else if m.hot && m.proc.Looked-m.hotAt > r.o.HotHold {
		m.hot = false
	}
}

// threads fills in how a busy process works.
func (r *roster) threads(m *member, each []host.Thread, at time.Duration) {
	n := min(len(each), r.o.MaxThreads)
	m.effort = host.Effort{
		Looked: at, Threads: append(m.effort.Threads[:0], each[:n]...), ThreadsMore: len(each) - n,
		Voluntary: -1, Involuntary: -1,
	}
	slices.SortFunc(m.effort.Threads, func(a, b host.Thread) int { return cmp.Compare(a.TID, b.TID) })
	m.proc.Effort = &m.effort
}

// seen tells whether the closer look found a program.
func (m *member) seen() bool { return m.proc.Detail != nil && m.proc.Detail.Exe != "" }

// lookCloser reads the detail of m when it has none yet.
func (r *roster) lookCloser(ctx context.Context, m *member) {
	if m.proc.Kernel || m.seen() || m.tries >= detailTries {
		return
	}
	m.tries++
	d, err := r.from.detail(ctx, m.proc.ID.PID)
	if errors.Is(err, ErrPermission) {
		m.tries = detailTries
	}
	if d == nil {
		return
	}
	if d.ArgsKnown {
		d.Args = r.mask(d.Args)
	}
	m.proc.Detail = d
}

// publish writes the processes into the Snapshot and forgets those that are gone.
func (r *roster) publish(snap *host.Snapshot) {
	snap.Processes = snap.Processes[:0]
	var gone []*member
	for pid, m := range r.known {
		if m.round != r.round {
			gone = append(gone, m)
			delete(r.known, pid)
			continue
		}
		snap.Processes = append(snap.Processes, m.proc)
	}
	slices.SortFunc(gone, func(a, b *member) int { return cmp.Compare(a.proc.ID.PID, b.proc.ID.PID) })
	for _, m := range gone {
		r.end(snap, m, snap.At)
	}
	slices.SortFunc(snap.Processes, func(a, b host.Process) int { return cmp.Compare(a.ID.PID, b.ID.PID) })
	for i := range snap.Processes {
		p := &snap.Processes[i]
		if r.parent(p) == nil {
			p.Parent = 0
		}
	}
}

// parent is the parent of p, nil when it is not there. Where a parent's number outlives it, the number may name a younger
// process by now, which is nobody's parent.
func (r *roster) parent(p *host.Process) *member {
	m := r.known[p.Parent]
	if m == nil || p.Parent == p.ID.PID || m.proc.ID.Born > p.ID.Born {
		return nil
	}
	return m
}

// end tells that m has ended, at the latest at the time given.
func (r *roster) end(snap *host.Snapshot, m *member, at time.Time) {
	e := host.Event{At: at, Kind: host.ProcessEnded, ID: m.proc.ID, Name: m.proc.Name, Detail: m.proc.Detail}
	if at.IsZero() {
		e.At = snap.At
	}
	r.addParent(&e, &m.proc)
	snap.Events = append(snap.Events, e)
}

// tellEvents tells of the new processes and puts all events into the order they happened in.
func (r *roster) tellEvents(snap *host.Snapshot, started []*member) {
	for _, m := range started {
		e := host.Event{At: m.started, Kind: host.ProcessStarted, ID: m.proc.ID, Name: m.proc.Name, Detail: m.proc.Detail}
		if m.started.IsZero() {
			e.At = snap.At
		}
		r.addParent(&e, &m.proc)
		snap.Events = append(snap.Events, e)
	}
	slices.SortStableFunc(snap.Events, func(a, b host.Event) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(b.Kind, a.Kind), cmp.Compare(a.ID.PID, b.ID.PID))
	})
}

func (r *roster) addParent(e *host.Event, p *host.Process) {
	if m := r.parent(p); m != nil {
		e.Parent, e.ParentName, e.ParentDetail = m.proc.ID, m.proc.Name, m.proc.Detail
	}
}

// tellGaps names what could not be read of processes that are there, and how seldom it is read.
func (r *roster) tellGaps(uncounted, unseen bool) {
	r.gaps = r.gaps[:0]
	if uncounted {
		r.gaps = append(r.gaps, host.Gap{Sensor: r.Name(), Reason: fmt.Sprintf("CPU time and memory of some processes: %v", ErrPermission)})
	}
	if unseen {
		r.gaps = append(r.gaps, host.Gap{Sensor: r.Name(), Reason: fmt.Sprintf("executable and arguments of some processes: %v", ErrPermission)})
	}
	if slow := r.pace.gap(); slow != "" {
		r.gaps = append(r.gaps, host.Gap{Sensor: r.Name(), Reason: slow})
	}
}

// pace keeps the lists within the budget.
type pace struct {
	o     Options
	costs [paceLists]time.Duration // of the last lists
	lists int
	at    time.Duration // uptime of the last list
	every time.Duration // least time between two lists
}

const (
	// paceLists is of how many lists the cheapest says what one costs. Their time is taken by the clock, and on a machine
	// that is mined on, waiting for the processor is most of it; a detector must not be slowed down by that.
	paceLists = 8
	// paceWarm is how many lists are taken before their cost counts: the first find cold caches.
	paceWarm = 3
	// paceMost bounds what one dear list costs in blindness.
	paceMost = time.Minute
)

// due tells whether it is time for a list. Looks come a little early or late; a tenth of the interval forgives that.
func (p *pace) due(at time.Duration) bool { return p.lists == 0 || at-p.at >= p.every-p.every/10 }

// took takes what the list at the uptime given cost and sets the pace.
func (p *pace) took(at, cost time.Duration) {
	p.at = at
	p.costs[p.lists%paceLists] = cost
	p.lists++
	if p.lists <= paceWarm {
		p.every = p.o.SweepMin
		return
	}
	cheapest := slices.Min(p.costs[:min(p.lists, paceLists)])
	p.every = max(p.o.SweepMin, min(time.Duration(float64(cheapest)/p.o.CPUBudget), max(paceMost, p.o.SweepMax)))
}

// gap says that the budget makes looks seldom, or "".
func (p *pace) gap() string {
	if p.every <= p.o.SweepMax {
		return ""
	}
	return fmt.Sprintf("looked at less often than every %v to stay within %.1f %% of one core", p.o.SweepMax, p.o.CPUBudget*100)
}
