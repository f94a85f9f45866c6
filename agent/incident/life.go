package incident

import (
	"slices"

	"github.com/minehound/minehound/agent/host"
)

// live brings members up to date.
func (t *Tracker) live(s *sight) {
	for _, d := range t.open {
		alive := len(d.members) == 0
		for _, m := range d.members {
			if !m.gone && m.subject.Kind == host.SubjectProcess {
				d.pending = s.update(m) || d.pending
			}
			alive = alive || !m.gone
		}
		switch {
		case alive:
			d.deserted, d.desert = false, 0
		case !d.deserted:
			d.deserted, d.desert = true, t.watched
		}
	}
}

// age forgets the evidence of notices and closes what has ended. A case above a notice keeps its evidence while it is
// open: what was told stays told, and its sum is always the sum of what it lists.
func (t *Tracker) age() {
	for _, d := range slices.Clone(t.open) {
		if d.changed {
			d.judge()
		}
		deserted := d.verdict > Notice && d.deserted && t.watched-d.desert >= Grace
		if deserted || t.watched-d.watched >= Hold || len(d.held) == 0 {
			t.close(d)
			continue
		}
		if d.verdict > Notice {
			continue
		}
		for i := len(d.held) - 1; i >= 0; i-- {
			if t.watched-d.held[i].watched >= Hold {
				d.drop(i)
			}
		}
	}
}

func (t *Tracker) close(d *dossier) {
	if d.told.open {
		t.out = append(t.out, t.incident(d, Closed))
	}
	t.past.file(d, t.now, "")
	t.remove(d)
}

// grow looks for more processes of cases that matter.
func (t *Tracker) grow(s *sight) {
	if len(t.open) == 0 {
		t.kin.forget()
		return
	}
	if t.links.stale {
		t.links.rebuild(t.open)
	}
	var grown []*dossier
	for _, d := range t.open {
		if d.changed {
			d.judge()
		}
		if d.grown && d.verdict > Notice {
			grown = append(grown, d)
			d.grown = false
		}
	}
	if len(grown) > 0 {
		s.starters(grown, &t.links)
	}
	if len(s.look.Occurrences) > 0 {
		t.kin.follow(s, &t.links)
	}
}
