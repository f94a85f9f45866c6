package trace

import (
	"errors"

	"github.com/minehound/minehound/agent/host"
)

// events are those of a line written by hand: they happened at the line's first look.
func (h *hand) events(s *host.Snapshot, es []eventLine) error {
	s.Events = s.Events[:0]
	for i := range es {
		l := &es[i]
		kind, err := kindOf(l.Kind)
		if err != nil {
			return err
		}
		e := host.Event{At: s.At, Kind: kind}
		if l.At != nil {
			e.At = l.At.UTC()
		}
		if e.ID, e.Name, e.Detail, err = written(s, &l.personLine); err != nil {
			return err
		}
		if at, ok := findPID(s.Processes, l.PID); ok {
			if q, ok := findPID(s.Processes, s.Processes[at].Parent); ok {
				e.Parent, e.ParentName, e.ParentDetail = s.Processes[q].ID, s.Processes[q].Name, s.Processes[q].Detail
			}
		}
		if l.Parent != nil {
			if e.Parent, e.ParentName, e.ParentDetail, err = written(s, l.Parent); err != nil {
				return err
			}
		}
		s.Events = append(s.Events, e)
	}
	return nil
}

// written is a process that an event names; what the line leaves out is taken from the process of that pid, if there is
// one.
func written(s *host.Snapshot, l *personLine) (id host.ProcID, name string, d *host.Detail, err error) {
	if l.Detail != nil {
		return id, "", nil, errors.New(`detail belongs to the form "recorded"`)
	}
	id = host.ProcID{PID: l.PID, Born: uint64(s.Uptime / host.Tick)}
	if at, ok := findPID(s.Processes, l.PID); ok {
		p := &s.Processes[at]
		id, name, d = p.ID, p.Name, p.Detail
	}
	set(&id.Born, l.Born, same[uint64])
	set(&name, l.Name, toString)
	if l.detailLine != (detailLine{}) {
		n := host.Detail{UID: -1}
		applyDetail(&n, &l.detailLine)
		d = &n
	}
	return id, name, d, nil
}
