package incident

import (
	"cmp"
	"slices"
	"time"

	"github.com/minehound/minehound/agent/host"
)

// tell puts out what has changed, the strongest cases first: they come first where notices are limited.
func (t *Tracker) tell() {
	var list []*dossier
	for _, d := range t.open {
		if d.changed {
			d.judge()
		}
		if d.pending {
			t.cover(d)
			list = append(list, d)
		}
	}
	slices.SortFunc(list, func(a, b *dossier) int {
		return cmp.Or(cmp.Compare(b.shown(), a.shown()), cmp.Compare(b.sum.Total, a.sum.Total), cmp.Compare(a.id, b.id))
	})
	t.stats.Withheld = 0
	for _, d := range list {
		news, waits := d.news(t.now)
		switch {
		case !news:
			d.pending = waits
		case d.shown() == Info && !t.mayNotice():
			t.stats.Withheld++
		default:
			t.out = append(t.out, t.report(d))
		}
	}
}

// news tells whether a reader wants to know how the case stands now, or else may want to later, because a process has
// joined shortly after something was told.
func (d *dossier) news(now time.Time) (news, waits bool) {
	was := told{open: true, at: d.told.at, verdict: d.verdict, severity: d.shown(), allowed: d.allowed != nil}
	if d.told != was || slices.ContainsFunc(d.held, func(e evidence) bool { return !e.told }) {
		return true, false
	}
	if !slices.ContainsFunc(d.members, func(m *member) bool { return !m.told }) {
		return false, false
	}
	since := now.Sub(d.told.at)
	return since >= MemberPause || since < 0, true
}

// mayNotice takes one from the limit for notices, if there is one left.
func (t *Tracker) mayNotice() bool {
	free := later(t.notices, t.now)
	if free.Sub(t.now) > (NoticeBurst-1)*NoticeEvery {
		return false
	}
	t.notices = free.Add(NoticeEvery)
	return true
}

// report makes the next revision of an open case.
func (t *Tracker) report(d *dossier) Incident {
	status := Updated
	if !d.told.open {
		status = Open
	}
	in := t.incident(d, status)
	d.told = told{open: true, at: t.now, verdict: d.verdict, severity: d.shown(), allowed: d.allowed != nil}
	d.everPaged = d.everPaged || d.paged()
	for i := range d.held {
		d.held[i].told = true
	}
	for _, m := range d.members {
		m.told = true
	}
	d.pending = false
	return in
}

// incident is the next revision of a case as told.
func (t *Tracker) incident(d *dossier, status Status) Incident {
	if d.changed {
		d.judge()
	}
	d.revision++
	return d.incident(status)
}

func (d *dossier) incident(status Status) Incident {
	in := Incident{
		ID: d.id, Revision: d.revision, Status: status, Verdict: d.verdict, Severity: d.shown(), Sum: d.sum,
		FirstSeen: d.first, LastSeen: d.last, MembersMore: d.more + d.crowd.n, Findings: d.findings(), CPUSeconds: d.cpu().Seconds(),
	}
	if m := d.named(); m != nil {
		in.Subject = m.subject
	}
	in.Members = make([]host.Subject, 0, len(d.members))
	for _, m := range d.members {
		if m.subject.Kind == host.SubjectProcess {
			in.Members = append(in.Members, m.subject)
		}
	}
	if d.allowed != nil {
		a := *d.allowed
		in.Allowed = &a
	}
	return in
}

func (d *dossier) cpu() time.Duration {
	sum := d.spent
	for _, m := range d.members {
		sum += m.cost()
	}
	return sum
}

// Cases are all open cases as they stand, told or not, in the order of Update. Their Revision is the last one told, 0
// when none was.
func (t *Tracker) Cases() []Incident {
	out := make([]Incident, 0, len(t.open))
	for _, d := range t.open {
		out = append(out, d.incident(Open))
	}
	slices.SortFunc(out, compareIncidents)
	return out
}

// cover finds out whether the allow-list covers a case: each process that gave it evidence has to be covered. Of
// several entries the one that ends first is shown.
func (t *Tracker) cover(d *dossier) {
	covered, first := !d.stranger, (*Allow)(nil)
	for _, m := range d.members {
		if len(m.rules) == 0 {
			continue
		}
		a := t.allow.covering(t.now, &m.subject, m.deleted)
		m.covered = a != nil
		switch {
		case a == nil:
			covered = false
		case first == nil || outlasts(first, a):
			first = a
		}
	}
	d.allowed = nil
	if covered && first != nil {
		d.allowed = &Allowance{Reason: first.Reason, Expires: first.Expires}
	}
}

// SetAllow replaces the allow-list. Open cases are judged anew at the next Update: one that is covered now is told with
// Allowed set, evidence that a rule's entry takes away is dropped, which is the only way for a verdict to fall. An error
// (see [Allow.Check]) leaves the old list in force.
func (t *Tracker) SetAllow(list []Allow) error {
	allow, err := newAllowances(list)
	if err != nil {
		return err
	}
	t.allow = allow
	t.allow.tick(t.now)
	for _, d := range t.open {
		t.withdraw(d)
	}
	t.reconsider()
	return nil
}

// reconsider has every case held against the allow-list again.
func (t *Tracker) reconsider() {
	for _, d := range t.open {
		d.pending = true
	}
}

// withdraw drops the evidence that an entry with a rule takes away.
func (t *Tracker) withdraw(d *dossier) {
	var gone []string
	for _, m := range d.members {
		for _, rule := range slices.Clone(m.rules) {
			if t.allow.drops(t.now, rule, &m.subject, m.deleted) {
				d.release(m, rule)
				gone = append(gone, rule)
			}
		}
	}
	for _, rule := range gone {
		held := slices.ContainsFunc(d.members, func(m *member) bool { return slices.Contains(m.rules, rule) })
		if i, ok := d.find(rule); ok && !held {
			d.drop(i)
			d.verdict, d.severity = Clean, Info
		}
	}
}
