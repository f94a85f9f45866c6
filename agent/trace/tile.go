package trace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/minehound/minehound/agent/host"
)

// Tiled repeats a recording back to back, so that an hour's windows can be tried on a minute's recording. The last look
// of one round is the first of the next. Whoever was there at the recording's first look and still at its last stays the
// same process: it keeps its birth and grows older, and its counters go on growing. Everybody else comes anew in every
// round, born as much later as the rounds before took.
//
// It is a source of Snapshots, not safe for concurrent use.
type Tiled struct {
	seek  io.ReadSeeker
	begin int64 // where the trace begins in seek
	until time.Duration
	in    *Reader
	snap  host.Snapshot
	err   error // sticky

	round   int
	first   time.Duration // uptime of the first look
	span    time.Duration // of one round
	spanAt  time.Duration // the same on the clock of At
	machine [2]host.Machine
	stay    map[host.ProcID]*growth

	efforts  []*host.Effort // one per process slot of snap
	memories map[*host.Memory]*host.Memory
}

// growth is what a process that stays adds to its counters in one round.
type growth struct {
	look     int // that saw it last
	cpu      cpuGrowth
	faults   counter
	switches [2]counter
	threads  map[int]*threadGrowth
}

type threadGrowth struct {
	cpu      cpuGrowth
	switches [2]counter
}

// counter is the first and the last value of a counter; negative values are unknown and not counted.
type counter struct {
	first, last int64
	seen        bool
}

func (c *counter) see(n int64) {
	if n < 0 {
		return
	}
	if !c.seen {
		c.first, c.seen = n, true
	}
	c.last = n
}

// in is n in a later round.
func (c *counter) in(round int, n int64) int64 {
	if n < 0 || !c.seen {
		return n
	}
	return n + int64(round)*max(c.last-c.first, 0)
}

type cpuGrowth struct{ user, system counter }

func (c *cpuGrowth) see(user, system time.Duration) {
	c.user.see(int64(user))
	c.system.see(int64(system))
}

func (c *cpuGrowth) in(round int, user, system *time.Duration) {
	*user = time.Duration(c.user.in(round, int64(*user)))
	*system = time.Duration(c.system.in(round, int64(*system)))
}

// Tile repeats the trace in r until so much time has passed since its first look. It reads the trace once from where r
// stands, to learn what grows, and again for each round. A trace without two looks at different times cannot be tiled.
func Tile(r io.ReadSeeker, until time.Duration) (*Tiled, error) {
	begin, err := r.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, fmt.Errorf("tile trace: %w", err)
	}
	t := &Tiled{seek: r, begin: begin, until: min(until, longest), stay: map[host.ProcID]*growth{}, memories: map[*host.Memory]*host.Memory{}}
	if err := t.survey(); err != nil {
		return nil, fmt.Errorf("tile trace: %w", err)
	}
	return t, nil
}

// Next is the next look, valid until the one after. It ends with io.EOF.
func (t *Tiled) Next(ctx context.Context) (*host.Snapshot, error) {
	if t.err != nil {
		return nil, t.err
	}
	s, err := t.in.Next(ctx)
	if errors.Is(err, io.EOF) {
		t.round++
		clear(t.memories)
		if err = t.rewind(); err == nil {
			if _, err = t.in.Next(ctx); err == nil { // the look that joins the rounds
				s, err = t.in.Next(ctx)
			}
		}
	}
	if err == nil && s.Uptime+time.Duration(t.round)*t.span-t.first > t.until {
		err = io.EOF
	}
	if err != nil {
		if ctx.Err() == nil {
			t.err = err
		}
		return nil, err
	}
	t.shift(s)
	return &t.snap, nil
}

func (t *Tiled) rewind() (err error) {
	if _, err = t.seek.Seek(t.begin, io.SeekStart); err != nil {
		return err
	}
	t.in, err = NewReader(t.seek)
	return err
}

// survey reads the whole recording and learns what grows in it.
func (t *Tiled) survey() error {
	if err := t.rewind(); err != nil {
		return err
	}
	var firstAt, lastAt time.Time
	var last time.Duration
	looks := 0
	for {
		s, err := t.in.Next(context.Background())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		looks++
		if looks == 1 {
			t.first, firstAt, t.machine[0] = s.Uptime, s.At, s.Machine
		}
		last, lastAt, t.machine[1] = s.Uptime, s.At, s.Machine
		for i := range s.Processes {
			t.learn(&s.Processes[i], looks)
		}
	}
	t.span, t.spanAt = last-t.first, lastAt.Sub(firstAt)
	if looks < 2 || t.span <= 0 {
		return errors.New("the recording has no two looks at different times")
	}
	for id, g := range t.stay {
		if g.look != looks {
			delete(t.stay, id)
		}
	}
	return t.rewind()
}

func (t *Tiled) learn(p *host.Process, look int) {
	g := t.stay[p.ID]
	if g == nil {
		if look > 1 {
			return
		}
		g = &growth{}
		t.stay[p.ID] = g
	}
	g.look = look
	g.cpu.see(p.User, p.System)
	g.faults.see(int64(min(p.MinFault, 1<<62)))
	e := p.Effort
	if e == nil {
		return
	}
	g.switches[0].see(e.Voluntary)
	g.switches[1].see(e.Involuntary)
	if g.threads == nil {
		g.threads = map[int]*threadGrowth{}
	}
	for i := range e.Threads {
		th := &e.Threads[i]
		x := g.threads[th.TID]
		if x == nil {
			x = &threadGrowth{}
			g.threads[th.TID] = x
		}
		x.cpu.see(th.User, th.System)
		x.switches[0].see(th.Voluntary)
		x.switches[1].see(th.Involuntary)
	}
}

// shift makes of a recorded look the one of this round.
func (t *Tiled) shift(s *host.Snapshot) {
	by := time.Duration(t.round) * t.span
	processes, events := t.snap.Processes[:0], t.snap.Events[:0]
	t.snap = *s
	t.snap.At = s.At.Add(time.Duration(t.round) * t.spanAt)
	t.snap.Uptime += by
	m := &t.snap.Machine
	busy := counter{int64(t.machine[0].Busy), int64(t.machine[1].Busy), t.machine[0].Busy >= 0}
	steal := counter{int64(t.machine[0].Steal), int64(t.machine[1].Steal), t.machine[0].Steal >= 0}
	m.Busy = time.Duration(busy.in(t.round, int64(m.Busy)))
	m.Steal = time.Duration(steal.in(t.round, int64(m.Steal)))
	processes = append(processes, s.Processes...)
	t.snap.Processes = processes
	for i := range t.snap.Processes {
		t.process(&t.snap.Processes[i], i, by)
	}
	events = append(events, s.Events...)
	t.snap.Events = events
	for i := range t.snap.Events {
		e := &t.snap.Events[i]
		e.At = e.At.Add(time.Duration(t.round) * t.spanAt)
		e.ID, e.Parent = t.reborn(e.ID, by), t.reborn(e.Parent, by)
	}
}

// reborn is who a process is in this round.
func (t *Tiled) reborn(id host.ProcID, by time.Duration) host.ProcID {
	if t.stay[id] == nil && id.Born != 0 {
		id.Born += uint64(by / host.Tick)
	}
	return id
}

func (t *Tiled) process(p *host.Process, slot int, by time.Duration) {
	g := t.stay[p.ID]
	p.ID = t.reborn(p.ID, by)
	p.Looked += by
	if g != nil {
		g.cpu.in(t.round, &p.User, &p.System)
		p.MinFault = uint64(g.faults.in(t.round, int64(min(p.MinFault, 1<<62))))
	}
	if p.Effort == nil {
		return
	}
	for len(t.efforts) <= slot {
		t.efforts = append(t.efforts, &host.Effort{})
	}
	e := t.efforts[slot]
	threads := e.Threads[:0]
	threads = append(threads, p.Effort.Threads...)
	*e = *p.Effort
	e.Threads = threads
	e.Looked += by
	e.Memory = t.memory(e.Memory, by)
	p.Effort = e
	if g == nil {
		return
	}
	e.Voluntary = g.switches[0].in(t.round, e.Voluntary)
	e.Involuntary = g.switches[1].in(t.round, e.Involuntary)
	for i := range e.Threads {
		th := &e.Threads[i]
		x := g.threads[th.TID]
		x.cpu.in(t.round, &th.User, &th.System)
		th.Voluntary = x.switches[0].in(t.round, th.Voluntary)
		th.Involuntary = x.switches[1].in(t.round, th.Involuntary)
	}
}

// memory is m as it was read in this round; one Memory stays one Memory.
func (t *Tiled) memory(m *host.Memory, by time.Duration) *host.Memory {
	if m == nil || by == 0 {
		return m
	}
	if n := t.memories[m]; n != nil {
		return n
	}
	n := *m
	n.Looked += by
	t.memories[m] = &n
	return &n
}
