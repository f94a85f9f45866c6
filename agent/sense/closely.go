package sense

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/minehound/minehound/agent/host"
	"github.com/minehound/minehound/agent/sense/tree"
)

// closely looks closely at those that are due: first the busy ones, then those that are new or changed, of both those first
// that have waited longest, so that nobody hides behind ever more others.
func (p *processes) closely(ctx context.Context) error {
	p.todo = p.todo[:0]
	for i := range p.procs {
		q, h := &p.procs[i], &p.held[i]
		if h.dead || !p.due(q, h) {
			continue
		}
		if h.asked == 0 {
			h.asked = p.uptime
		}
		p.todo = append(p.todo, i)
	}
	slices.SortFunc(p.todo, func(a, b int) int {
		x, y := &p.held[a], &p.held[b]
		if x.hot != y.hot {
			if x.hot {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(x.asked, y.asked), a-b)
	})
	for done, i := range p.todo {
		// Enough may also have been waited for processes that hold up the look at them.
		if !p.first && done >= leastClose && p.left() <= 0 || !p.look.patient() {
			p.deferred += len(p.todo) - done
			return nil
		}
		if done%64 == 63 && ctx.Err() != nil {
			return fmt.Errorf("look at processes: %w", ctx.Err())
		}
		p.closer(&p.procs[i], &p.held[i])
	}
	return nil
}

// due tells whether a process should be looked at closely now, and settles those where there is nothing to see.
func (p *processes) due(q *host.Process, h *held) bool {
	switch {
	case q.ID.Born == 0 || q.State == 'Z' || q.State == 'X': // of a dead one only the counters are left
		return false
	case q.Kernel:
		q.Detail, h.want = p.kernelDetail, false
		return false
	case h.want:
		return true
	case h.withheld && p.uptime-h.checked >= p.o.SweepMax && !p.look.holds(q.ID.PID):
		return true
	case h.again && p.uptime-bornUptime(q.ID) >= 2*young: // what it was going to run it runs by now; a new name would show
		h.again = false
	case h.again && !p.herald.telling() && p.uptime-h.checked >= p.o.SweepMin*9/10:
		return true
	}
	return h.hot && p.uptime-h.checked >= recheck
}

// closer looks closely at one process.
func (p *processes) closer(q *host.Process, h *held) {
	old := q.Detail
	deep := whole
	if p.details-h.size > maxDetails {
		deep = short
	}
	a, ok := p.look.put(question{pid: q.ID.PID, now: p.uptime, old: old, mark: h.print, deep: deep})
	p.elsewhere += a.cost
	if h.withheld = !ok; h.withheld {
		a = p.briefly(q, h)
	}
	if a.err != nil {
		h.dead = tree.Gone(a.err)
		return
	}
	d := a.detail
	// A process that has just been forked still shows its parent's program; one that changed its name may have done so
	// before its new arguments were in place.
	h.again = !h.again && p.uptime-bornUptime(q.ID) < young
	h.asked = 0
	h.want, h.checked, h.print, h.blind = false, p.uptime, a.mark, a.blind
	if d == old {
		return
	}
	if old != nil && d.ExeFile == old.ExeFile && d.ExeSHA256 == "" {
		d.ExeSHA256 = old.ExeSHA256
	}
	if old != nil && (d.Exe != old.Exe || d.ExeFile != old.ExeFile) {
		h.announce, h.hashFailed, h.hashTries = true, false, 0
		h.mapsReads = 0
	}
	q.Detail = d
	p.details -= h.size
	h.size = size(d)
	p.details += h.size
}

// briefly looks at what a process cannot hold up. While that is what it was, so is the rest.
func (p *processes) briefly(q *host.Process, h *held) (a answer) {
	a.detail, a.mark, a.blind, a.err = p.look.here.look(q.ID.PID, p.uptime, nil, 0, brief)
	if old := q.Detail; a.err == nil && old != nil && a.detail.Exe == old.Exe && a.detail.ExeFile == old.ExeFile {
		a.detail, a.mark, a.blind = old, h.print, h.blind
	}
	return a
}

// takeBack has those looked at again that held up the look at them until now.
func (p *processes) takeBack() {
	p.tids = p.look.back(p.tids[:0])
	for _, pid := range p.tids {
		if i := p.find(pid); i >= 0 {
			p.held[i].want = true
		}
	}
}

// nameEnded completes what the kernel told about processes that ended: who they were is only known here. Those that never
// ran a program of their own, and so were never told of, are taken out.
func (p *processes) nameEnded(snap *host.Snapshot) {
	n := 0
	for _, e := range snap.Events {
		if e.Kind == host.ProcessEnded && e.ID.Born == 0 && !p.whoEnded(&e, snap.Events[:n]) {
			continue
		}
		snap.Events[n] = e
		n++
	}
	clear(snap.Events[n:])
	snap.Events = snap.Events[:n]
}

func (p *processes) whoEnded(e *host.Event, before []host.Event) bool {
	end := func(start *host.Event) bool {
		at := e.At
		*e = *start
		e.Kind, e.At = host.ProcessEnded, at
		return true
	}
	if j := started(before, e.ID.PID); j >= 0 {
		return end(&before[j])
	}
	i := p.find(e.ID.PID)
	if i < 0 || p.procs[i].ID.Born == 0 {
		if j := started(p.missed, e.ID.PID); j >= 0 {
			return end(&p.missed[j])
		}
		return false
	}
	q := &p.procs[i]
	e.ID, e.Name, e.Detail = q.ID, q.Name, q.Detail
	p.parent(e, q.Parent)
	return true
}

// started finds the last event that says that a PID started.
func started(events []host.Event, pid int) int {
	for i := len(events) - 1; i >= 0; i-- {
		if events[i].Kind == host.ProcessStarted && events[i].ID.PID == pid {
			return i
		}
	}
	return -1
}

// parent fills in who the parent is.
func (p *processes) parent(e *host.Event, pid int) {
	e.Parent = host.ProcID{PID: pid}
	if i := p.find(pid); i >= 0 {
		e.Parent, e.ParentName, e.ParentDetail = p.procs[i].ID, p.procs[i].Name, p.procs[i].Detail
	}
}

// adopt takes over what was read when a program started: it is known already, and it is what was really started. What
// could not be read then is read now.
func (p *processes) adopt(events []host.Event) {
	clear(p.missed)
	p.missed = p.missed[:0]
	for k := range events {
		e := &events[k]
		if e.Kind != host.ProcessStarted {
			continue
		}
		i := p.find(e.ID.PID)
		if i < 0 || p.procs[i].ID != e.ID {
			p.missed = append(p.missed, *e)
			continue
		}
		q, h := &p.procs[i], &p.held[i]
		h.announce, h.hashFailed, h.hashTries, h.mapsReads = false, false, 0, 0
		if e.Detail == nil {
			h.want = true
			continue
		}
		h.size = size(e.Detail)
		q.Detail, h.print, h.want, h.again, h.checked = e.Detail, 0, h.hot || !e.Detail.ArgsKnown, false, p.uptime
	}
}

// tell makes events of the differences between two looks.
func (p *processes) tell(snap *host.Snapshot) {
	first := len(snap.Events)
	for i := range p.procs {
		q, h := &p.procs[i], &p.held[i]
		if h.announce && (!h.want || q.State == 'Z') && q.ID.Born != 0 {
			p.tellStart(snap, q, h)
		}
	}
	for _, e := range p.ended {
		e.At = snap.At
		if e.Kind == host.ProcessStarted {
			e.At = snap.At.Add(min(bornUptime(e.ID)-p.uptime, 0))
		}
		p.parent(&e, e.Parent.PID)
		snap.Events = append(snap.Events, e)
	}
	slices.SortStableFunc(snap.Events[first:], func(a, b host.Event) int { return a.At.Compare(b.At) })
}

func (p *processes) tellStart(snap *host.Snapshot, q *host.Process, h *held) {
	h.announce = false
	if q.Kernel {
		return
	}
	e := host.Event{Kind: host.ProcessStarted, ID: q.ID, Name: q.Name, Detail: q.Detail, At: snap.At.Add(min(bornUptime(q.ID)-p.uptime, 0))}
	p.parent(&e, q.Parent)
	snap.Events = append(snap.Events, e)
}

// tellEscaped makes up for what escaped the herald: whoever starts ten thousand programs to use up its budget must not get
// one past it that stays. A process is owed for a look, because what the herald tells of it may come after it was listed.
func (p *processes) tellEscaped(snap *host.Snapshot) {
	first := len(snap.Events)
	for i := range p.procs {
		if q, h := &p.procs[i], &p.held[i]; h.owed && h.announce && !h.want && !h.dead && q.ID.Born != 0 {
			p.tellStart(snap, q, h)
		}
	}
	if len(snap.Events) > first {
		slices.SortStableFunc(snap.Events, func(a, b host.Event) int { return a.At.Compare(b.At) })
	}
}

// settle counts what the Gaps tell. Where somebody else tells of starts, and misses none, nobody waits for them here.
func (p *processes) settle() {
	told, lossy := p.herald.telling(), p.herald.lossy()
	p.denied.n, p.unreadable.n, p.late.n, p.longArgs.n, p.longEnv.n, p.longMaps.n, p.manyThreads.n, p.damaged.n, p.withheld.n = 0, 0, 0, 0, 0, 0, 0, 0, 0
	p.waiting.n = p.deferred
	unborn := 0
	p.details = 0
	for i := range p.procs {
		q, h := &p.procs[i], &p.held[i]
		h.announce = h.announce && (!told || lossy || h.owed)
		h.owed = h.announce && told
		q.Effort = h.effort
		count := func(t *tally, yes bool) {
			if yes {
				t.n++
			}
		}
		p.details += h.size
		if q.ID.Born == 0 {
			unborn++
		}
		count(&p.denied, h.refused && q.ID.Born == 0)
		count(&p.unreadable, h.blind&noRights != 0)
		count(&p.longArgs, h.blind&argsCut != 0)
		count(&p.longEnv, h.blind&envCut != 0)
		count(&p.damaged, h.blind&notParsed != 0)
		count(&p.longMaps, h.longMaps)
		count(&p.withheld, h.withheld)
		count(&p.manyThreads, h.effort != nil && h.effort.ThreadsMore > 0)
		// A look more is granted: looks do not come on the dot.
		count(&p.late, q.ID.Born != 0 && p.uptime-q.Looked > p.o.SweepMax+2*p.o.SweepMin)
	}
	if unborn > 0 {
		p.forget()
	}
}

// forget takes those out of the table of which nothing is known but the PID: not even which process that is.
func (p *processes) forget() {
	n := 0
	for i := range p.procs {
		if p.procs[i].ID.Born == 0 {
			p.drop(&p.held[i])
			continue
		}
		p.procs[n], p.held[n] = p.procs[i], p.held[i]
		n++
	}
	clear(p.procs[n:])
	clear(p.held[n:])
	p.procs, p.held = p.procs[:n], p.held[:n]
}

// gaps says what was not seen.
func (p *processes) gaps(snap *host.Snapshot) {
	add := func(sensor, reason string) {
		if reason != "" {
			snap.Gaps = append(snap.Gaps, host.Gap{Sensor: sensor, Reason: reason})
		}
	}
	name := p.Name()
	if len(p.pids) > 0 && p.pids[0] != 1 {
		add(name, "process 1 is not listed: processes of other users are hidden (hidepid)")
	}
	add(name, p.denied.reason("processes that may not be looked at (hidepid)"))
	add(name, p.unreadable.reason("processes that show neither executable nor environment nor memory, which takes more rights"))
	add(name, p.longArgs.reason("processes with more arguments than are read"))
	add(name, p.longEnv.reason("processes with more environment than is read"))
	add(name, p.longMaps.reason("processes with more memory mappings than are read, so that what they map is unknown"))
	add(name, p.manyThreads.reason("busy processes with more threads than are read at once, so that they are read in turns"))
	add(name, p.withheld.reason("processes that hold up whoever reads their arguments, environment or mappings, which stay unknown"))
	add(name, p.damaged.reason("processes with files that are not understood"))
	add("budget", p.late.reason("quiet processes looked at more seldom than they should be, to stay within the CPU budget"))
	add("budget", p.waiting.reason("closer looks that had to wait, to stay within the CPU budget"))
	add("hash", p.hash.gap())
	add("hash", p.hash.slow.reason("executables that do not let themselves be read, so that others wait"))
}
