package agent

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/minehound/minehound/agent/host"
)

// Source gives one Snapshot after another, in the order they were taken; io.EOF ends it. A Snapshot is valid until the
// next call.
type Source interface {
	Next(ctx context.Context) (*host.Snapshot, error)
}

// Looker looks at a machine once.
type Looker interface {
	Look(ctx context.Context) (*host.Snapshot, error)
}

// patience is how many looks in a row may fail before the machine counts as one that cannot be looked at: ten seconds at
// the usual pace, time enough for a shortage of memory or of descriptors to pass.
const patience = 5

// Live looks at the running machine at a steady pace. It is the one ticker of the agent.
type Live struct {
	Looker Looker
	Every  time.Duration // from one look to the next; a look that takes longer makes the next one late, never two at once
	Self   *Self         // left out of every Snapshot; nil leaves nothing out
	// Failed is told about a look that failed and will be made again; nil tells nobody.
	Failed func(error)

	ticker   *time.Ticker
	failures int
}

// Next looks at once the first time and then at every tick. When ctx ends it returns its cause.
func (l *Live) Next(ctx context.Context) (*host.Snapshot, error) {
	for {
		if err := l.wait(ctx); err != nil {
			return nil, err
		}
		snap, err := l.Looker.Look(ctx)
		switch {
		case err == nil:
			l.failures = 0
			if l.Self != nil {
				snap = l.Self.leaveOut(snap)
			}
			return snap, nil
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		}
		if l.failures++; l.failures >= patience {
			return nil, fmt.Errorf("%d looks in a row failed: %w", l.failures, err)
		}
		if l.Failed != nil {
			l.Failed(err)
		}
	}
}

func (l *Live) wait(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if l.ticker == nil {
		l.ticker = time.NewTicker(l.Every)
		return nil
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-l.ticker.C:
		return nil
	}
}

// Stop ends the ticker.
func (l *Live) Stop() {
	if l.ticker != nil {
		l.ticker.Stop()
	}
}

// Self is this program among the processes: itself, and every other process of the same executable. It is known by
// process id and start, and by device and inode, never by a name, which anybody can take.
type Self struct {
	PID int // as the sensors count

	id   host.ProcID
	exe  host.FileID
	kept host.Snapshot // reused
}

// leaveOut is the Snapshot without this program. The Snapshot it is given is not changed.
func (s *Self) leaveOut(snap *host.Snapshot) *host.Snapshot {
	s.learn(snap)
	if s.id.PID == 0 {
		return snap
	}
	ours := func(id host.ProcID, d *host.Detail) bool {
		return id == s.id || (d != nil && s.exe != host.FileID{} && d.ExeFile == s.exe)
	}
	processes, events := s.kept.Processes[:0], s.kept.Events[:0]
	for i := range snap.Processes {
		if p := &snap.Processes[i]; !ours(p.ID, p.Detail) {
			processes = append(processes, *p)
		}
	}
	for i := range snap.Events {
		if e := &snap.Events[i]; !ours(e.ID, e.Detail) {
			events = append(events, *e)
		}
	}
	clear(s.kept.Processes[min(len(processes), len(s.kept.Processes)):]) // so that what has ended is not held
	clear(s.kept.Events[min(len(events), len(s.kept.Events)):])
	s.kept = *snap
	s.kept.Processes, s.kept.Events = processes, events
	return &s.kept
}

// learn finds this program by its process id the first time, and its executable as soon as that was read.
func (s *Self) learn(snap *host.Snapshot) {
	if s.id.PID != 0 && s.exe != (host.FileID{}) {
		return
	}
	i, ok := slices.BinarySearchFunc(snap.Processes, s.PID, func(p host.Process, pid int) int { return p.ID.PID - pid })
	if !ok {
		return
	}
	p := &snap.Processes[i]
	if s.id.PID == 0 {
		s.id = p.ID
	}
	if p.ID == s.id && p.Detail != nil {
		s.exe = p.Detail.ExeFile
	}
}

// Span is the part of a Source that lasts for a while, counted on the clock of the machine from its first Snapshot.
type Span struct {
	Source Source
	For    time.Duration
	Step   time.Duration // between Snapshots: the last may come half of it early

	started     bool
	first, last time.Duration
}

// Next ends with io.EOF when the time is over.
func (s *Span) Next(ctx context.Context) (*host.Snapshot, error) {
	if s.started && s.last-s.first >= s.For-s.Step/2 {
		return nil, io.EOF
	}
	snap, err := s.Source.Next(ctx)
	if err != nil {
		return nil, err
	}
	if !s.started {
		s.started, s.first = true, snap.Uptime
	}
	s.last = snap.Uptime
	return snap, nil
}

// Watched is how long it has lasted so far.
func (s *Span) Watched() time.Duration { return s.last - s.first }

// Peeked is a Source whose first Snapshot was looked at before.
type Peeked struct {
	First  *host.Snapshot // nil once it was given
	source Source
}

// Peek takes the first Snapshot of a Source, for those who must know the machine before they can begin. The Source it
// returns begins with that same Snapshot.
func Peek(ctx context.Context, s Source) (*Peeked, error) {
	first, err := s.Next(ctx)
	if err != nil {
		return nil, err
	}
	return &Peeked{First: first, source: s}, nil
}

// Next is the next Snapshot.
func (p *Peeked) Next(ctx context.Context) (*host.Snapshot, error) {
	if first := p.First; first != nil {
		p.First = nil
		return first, nil
	}
	return p.source.Next(ctx)
}
