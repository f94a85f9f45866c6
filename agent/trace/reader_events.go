package trace

import (
	"fmt"
	"strings"

	"github.com/minehound/minehound/agent/host"
)

func (r *Reader) events(es []eventLine) error {
	r.snap.Events = r.snap.Events[:0]
	for i := range es {
		l := &es[i]
		if l.At == nil || l.detailLine != (detailLine{}) || l.Parent != nil && l.Parent.detailLine != (detailLine{}) {
			return fmt.Errorf(`event %d lacks a time or has what belongs to the form "written"`, i+1)
		}
		e := host.Event{At: l.At.UTC()}
		var err error
		if e.Kind, err = kindOf(l.Kind); err != nil {
			return err
		}
		if e.ID, e.Name, e.Detail, err = r.person(&l.personLine); err != nil {
			return err
		}
		if l.Parent != nil {
			if e.Parent, e.ParentName, e.ParentDetail, err = r.person(l.Parent); err != nil {
				return err
			}
		}
		r.snap.Events = append(r.snap.Events, e)
	}
	return nil
}

func (r *Reader) person(l *personLine) (host.ProcID, string, *host.Detail, error) {
	id := host.ProcID{PID: l.PID}
	if l.Born != nil {
		id.Born = *l.Born
	}
	d, err := r.ref(l.Detail)
	return id, str(l.Name), d, err
}

func kindOf(s string) (host.EventKind, error) {
	switch s {
	case "started":
		return host.ProcessStarted, nil
	case "ended":
		return host.ProcessEnded, nil
	}
	return 0, fmt.Errorf("event kind %.40q is not started or ended", strings.ToValidUTF8(s, "?"))
}
