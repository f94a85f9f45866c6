package feature

import "github.com/minehound/minehound/agent/host"

// occur makes an Occurrence of an event. It comes before the processes of the Snapshot are taken, so what is known of
// the process is what the look before knew.
func (w *Window) occur(e *host.Event) {
	o := Occurrence{Event: *e}
	r := w.byPID(w.order, e.ID.PID)
	if r != nil && r.id != e.ID {
		r = nil
	}
	d, name := e.Detail, e.Name
	var up *lineage
	if r != nil {
		if d == nil {
			d = r.detail
		}
		if name == "" {
			name = r.name
		}
		up = r.up
		o.parentText = r.parentText
		if o.Event.ParentName == "" {
			o.Event.ParentName = r.parentName
		}
		o.text = r.text
	} else if b := w.births.of[e.ID]; b != nil {
		up = b.up
		o.parentText = b.parentText
		if o.Event.ParentName == "" {
			o.Event.ParentName = b.parentName
		}
	} else {
		up = w.ancestry(e)
	}
	if o.text == nil || o.text.detail != d {
		o.text = newText(d, o.text)
	}
	if e.ParentDetail != nil && (o.parentText == nil || o.parentText.detail != e.ParentDetail) {
		o.parentText = newText(e.ParentDetail, nil)
	}
	o.Subject = host.Subject{Kind: host.SubjectProcess, ID: e.ID, Name: name, Key: GroupKey(name, false, d)}
	if up != nil {
		o.Subject.Ancestors, o.ancestors = up.ancestors, up.names
	}
	describe(&o.Subject, d)
	w.look.Occurrences = append(w.look.Occurrences, o)
}

func describe(s *host.Subject, d *host.Detail) {
	if d == nil {
		return
	}
	s.Exe, s.ExeSHA256, s.Args, s.User, s.Container = d.Exe, d.ExeSHA256, d.Args, d.User, d.Container.ID
}
