package trace

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/minehound/minehound/agent/host"
)

// interned is a detail that was written.
type interned struct {
	ref, uses int
	hash      [32]byte
}

// use is one Detail in memory that is interned; producers may make several equal ones.
type use struct {
	in *interned
	n  int
}

// intern is the number of a detail, 0 for none, and counts one more use of it. Equal details have one number.
func (t *Writer) intern(rec *record, d *host.Detail) (int, error) {
	if d == nil {
		return 0, nil
	}
	if u := t.refs[d]; u != nil {
		u.n++
		u.in.uses++
		return u.in.ref, nil
	}
	l := detailOf(d)
	text, err := json.Marshal(&l)
	if err != nil {
		return 0, err
	}
	hash := sha256.Sum256(text)
	in, ok := t.byHash[hash]
	if !ok {
		t.last++
		in = &interned{ref: t.last, hash: hash}
		t.byHash[hash], t.byRef[in.ref] = in, in
		rec.Details = append(rec.Details, refDetail{in.ref, l})
	}
	in.uses++
	t.refs[d] = &use{in, 1}
	return in.ref, nil
}

func (t *Writer) release(d *host.Detail) {
	if d == nil {
		return
	}
	u := t.refs[d]
	if u.n--; u.n == 0 {
		delete(t.refs, d)
	}
	if u.in.uses--; u.in.uses == 0 {
		t.idle = append(t.idle, u.in.ref)
	}
}

// drop says which details are not referred to any more.
func (t *Writer) drop(rec *record) {
	slices.Sort(t.idle)
	for _, ref := range slices.Compact(t.idle) {
		in := t.byRef[ref]
		if in.uses > 0 {
			continue
		}
		rec.Drop = append(rec.Drop, ref)
		delete(t.byHash, in.hash)
		delete(t.byRef, ref)
	}
	t.idle = t.idle[:0]
}

func (t *Writer) events(rec *record, s *host.Snapshot) error {
	for i := range s.Events {
		e := &s.Events[i]
		l := eventLine{At: ptr(e.At.UTC())}
		switch e.Kind {
		case host.ProcessStarted:
			l.Kind = "started"
		case host.ProcessEnded:
			l.Kind = "ended"
		default:
			return fmt.Errorf("event of kind %d", e.Kind)
		}
		var err error
		if l.personLine, err = t.person(rec, e.ID, e.Name, e.Detail); err != nil {
			return err
		}
		if e.Parent != (host.ProcID{}) || e.ParentName != "" || e.ParentDetail != nil {
			p, err := t.person(rec, e.Parent, e.ParentName, e.ParentDetail)
			if err != nil {
				return err
			}
			l.Parent = &p
		}
		rec.Events = append(rec.Events, l)
	}
	// An event holds its details for one look only.
	for i := range s.Events {
		t.release(s.Events[i].Detail)
		t.release(s.Events[i].ParentDetail)
	}
	return nil
}

func (t *Writer) person(rec *record, id host.ProcID, name string, d *host.Detail) (personLine, error) {
	l := personLine{PID: id.PID}
	if id.Born != 0 {
		l.Born = &id.Born
	}
	if name != "" {
		l.Name = ptr(blob(name))
	}
	ref, err := t.intern(rec, d)
	if ref != 0 {
		l.Detail = &ref
	}
	return l, err
}
