package incident

import (
	"cmp"
	"slices"
	"time"

	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/host"
)

// Bounds of one case.
const (
	MaxMembers  = 128 // a miner that forks a worker per core of a large machine
	MaxFindings = 128 // rules; there are a few dozen of ours, and those of others weigh little
	maxKeys     = 64
)

// dossier is one open case.
type dossier struct {
	id          string
	keys        []string // of the programs it is about, the one that founded it first
	first, last time.Time
	held        []evidence // by rule
	version     uint64     // of what held weighs, from 1
	members     []*member  // by age
	more        int        // members forgotten
	crowd       crowd
	spent       time.Duration // CPU time of members forgotten
	watched     time.Duration // when evidence was last seen, in watched time
	deserted    bool          // its last process has gone
	desert      time.Duration // when, in watched time
	verdict     Verdict
	severity    Severity
	sum         Sum
	allowed     *Allowance
	stranger    bool // a member that the allow-list did not cover was forgotten
	changed     bool // evidence has changed since it was judged
	pending     bool // there may be something to tell
	grown       bool // a process joined since its starter was looked for
	revision    int
	told        told
	everPaged   bool
	over        bool // closed, or taken in by another
}

// evidence is one rule that held.
type evidence struct {
	finding detect.Finding
	watched time.Duration // when it was last seen, in watched time
	told    bool
}

// told is what the outside knows.
type told struct {
	open     bool // since the case was opened this time
	at       time.Time
	verdict  Verdict
	severity Severity
	allowed  bool
}

// weighs tells whether a finding is more than conduct: what a process is, not only how busy.
func weighs(f *detect.Finding) bool {
	return f.Weight > 0 && (f.Class == detect.Concealment || tells(f))
}

// tells tells whether a finding is about mining itself and not about hiding, which others do as well.
func tells(f *detect.Finding) bool {
	return f.Weight > 0 && (f.Class == detect.Capability || f.Class == detect.Proof)
}

func (d *dossier) find(rule string) (int, bool) {
	return slices.BinarySearchFunc(d.held, rule, func(e evidence, rule string) int { return cmp.Compare(e.finding.Rule, rule) })
}

// shares tells whether the case holds evidence of the same group (or rule) and class.
func (d *dossier) shares(f *detect.Finding) bool {
	return slices.ContainsFunc(d.held, func(e evidence) bool {
		return e.finding.Class == f.Class && e.finding.Weight > 0 && sameGroup(&e.finding, f)
	})
}

// hold adds a finding about m. Of one rule the case keeps the strongest finding, of equal ones the first as long as its
// process lives, with its newest evidence.
func (d *dossier) hold(m *member, f *detect.Finding, at time.Time, watched time.Duration) {
	d.first, d.last, d.watched = earlier(d.first, at), later(d.last, at), watched
	i, known := d.find(f.Rule)
	if !known {
		i = d.room(i, f)
		if i < 0 {
			return
		}
		d.held = slices.Insert(d.held, i, evidence{finding: brief(f)})
		d.reweigh()
	}
	e := &d.held[i]
	e.watched = watched
	switch {
	case f.Weight > e.finding.Weight:
		e.finding = brief(f)
		d.reweigh()
	case f.Weight == e.finding.Weight && (f.Subject.ID == e.finding.Subject.ID || d.isGone(e.finding.Subject.ID)):
		e.finding = brief(f)
	}
	m.note(f)
}

// reweigh notes that the evidence weighs something else now.
func (d *dossier) reweigh() {
	d.changed, d.pending = true, true
	d.version++
}

// brief is a finding that does not hold on to all that is known of its process: the member does that once.
func brief(f *detect.Finding) detect.Finding {
	b := *f
	b.Subject = host.Subject{Kind: f.Subject.Kind, ID: f.Subject.ID, Name: f.Subject.Name, Exe: f.Subject.Exe}
	return b
}

func (m *member) note(f *detect.Finding) {
	if !slices.Contains(m.rules, f.Rule) {
		m.rules = append(m.rules, f.Rule)
	}
	m.weighty = m.weighty || weighs(f)
	m.telling = m.telling || tells(f)
	m.starter = false
}

// room makes room for a finding at i, at the cost of the weakest one when that weighs less; -1 when there is none.
func (d *dossier) room(i int, f *detect.Finding) int {
	if len(d.held) < MaxFindings {
		return i
	}
	weakest := 0
	for j := range d.held {
		if d.held[j].finding.Weight < d.held[weakest].finding.Weight {
			weakest = j
		}
	}
	if d.held[weakest].finding.Weight >= f.Weight {
		return -1
	}
	d.drop(weakest)
	if weakest < i {
		i--
	}
	return i
}

// drop forgets evidence i.
func (d *dossier) drop(i int) {
	rule := d.held[i].finding.Rule
	d.held = slices.Delete(d.held, i, i+1)
	for _, m := range d.members {
		d.release(m, rule)
	}
	d.reweigh()
}

// release takes a rule from what a member holds.
func (d *dossier) release(m *member, rule string) {
	i := slices.Index(m.rules, rule)
	if i < 0 {
		return
	}
	m.rules = slices.Delete(m.rules, i, i+1)
	m.worth = worth{}
	m.weighty, m.telling = false, false
	for _, r := range m.rules {
		if j, ok := d.find(r); ok {
			m.weighty = m.weighty || weighs(&d.held[j].finding)
			m.telling = m.telling || tells(&d.held[j].finding)
		}
	}
}

// key remembers a program of the case. The founding one is never forgotten, then the newest are kept.
func (d *dossier) key(key string) {
	if key == "" || slices.Contains(d.keys, key) {
		return
	}
	if len(d.keys) >= maxKeys {
		d.keys = slices.Delete(d.keys, 1, 2)
	}
	d.keys = append(d.keys, key)
}

func (d *dossier) findings() []detect.Finding {
	out := make([]detect.Finding, len(d.held))
	for i := range d.held {
		out[i] = d.held[i].finding
	}
	slices.SortFunc(out, compareFindings)
	return out
}

// judge weighs the evidence. A case is a notice at least: also one of rules that nobody weighed, or whose evidence the
// owner has taken away.
func (d *dossier) judge() {
	d.sum = Weigh(d.findings())
	v, s := Judge(d.sum)
	d.verdict, d.severity = max(d.verdict, v, Notice), max(d.severity, s)
	d.changed = false
}

// shown is the severity as it is told.
func (d *dossier) shown() Severity {
	if d.allowed != nil {
		return Info
	}
	return d.severity
}

// paged tells whether somebody may have been called about the case.
func (d *dossier) paged() bool { return d.told.open && d.told.severity > Info }

// take moves all of another case into this one.
func (d *dossier) take(o *dossier, l *links) {
	for i := range o.held {
		d.adopt(&o.held[i])
	}
	d.reweigh()
	for _, m := range o.members {
		m.told, m.worth = false, worth{}
		m.rules = slices.DeleteFunc(m.rules, func(r string) bool { _, ok := d.find(r); return !ok })
		d.join(m, l)
	}
	for _, k := range o.keys {
		d.key(k)
	}
	d.first, d.last = earlier(d.first, o.first), later(d.last, o.last)
	d.more += o.more
	d.crowd.n += o.crowd.n
	d.stranger = d.stranger || o.stranger
	d.spent += o.spent
	d.watched = max(d.watched, o.watched)
	d.changed, d.pending = true, true
}

func (d *dossier) adopt(e *evidence) {
	i, known := d.find(e.finding.Rule)
	if !known {
		if i = d.room(i, &e.finding); i >= 0 {
			d.held = slices.Insert(d.held, i, evidence{finding: e.finding, watched: e.watched})
		}
		return
	}
	if e.finding.Weight > d.held[i].finding.Weight {
		d.held[i].finding = e.finding
	}
	d.held[i].watched = max(d.held[i].watched, e.watched)
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
