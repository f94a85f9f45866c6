package detect

import (
	"slices"
	"strings"
	"time"

	"github.com/minehound/minehound/agent/detect/sigma"
	"github.com/minehound/minehound/agent/feature"
	"github.com/minehound/minehound/agent/host"
)

// Detector holds the rules of a Ruleset against what was looked at. What one look says is judged on its own; only
// correlations remember, in sigma's Correlator. It is not safe for concurrent use.
type Detector struct {
	fixed, mixed, moving, started, ended bench
	correlations                         map[*sigma.Rule]*Rule
	correlator                           *sigma.Correlator
	memo                                 map[host.ProcID]*memory
	partial                              partial
	hits                                 []int
	linked, waited                       []sigma.Hit
}

// bench is rules of one kind, compiled; rules[i] is the i-th of set.
type bench struct {
	set    *sigma.Set
	rules  []*Rule
	silent []bool // serves correlations only
	linked []bool // a correlation refers to it
}

// memory is what was found about a process, kept because most of what rules read of a process never changes, and most
// processes do nothing between two looks. It saves time and changes no finding.
type memory struct {
	detail, parent *host.Detail
	name           string
	fixed          []Finding // of rules over what never changes; At and Subject are those of the look that found them
	fixedHits      []int     // indexes of the rules behind them and of silent ones
	moving         bool      // some rule over what moves held at the last evaluation
	looks          uint8     // at the process as it is, up to settled
	hopeless       bool      // what is fixed about it rules every mixed rule out
}

// New compiles the active rules of rs. The Ruleset was compiled when it was loaded, so nothing can be refused here.
func New(rs *Ruleset) *Detector {
	d, _ := build(rs.Rules, false)
	return d
}

// build compiles rules, all of them or the active ones only, and tells what had to be refused.
func build(rules []Rule, all bool) (*Detector, []error) {
	d := &Detector{memo: map[host.ProcID]*memory{}, correlations: map[*sigma.Rule]*Rule{}}
	sorted := make([]*Rule, 0, len(rules))
	for i := range rules {
		if all || rules[i].Inactive == "" {
			sorted = append(sorted, &rules[i])
		}
	}
	slices.SortStableFunc(sorted, func(a, b *Rule) int { return strings.Compare(a.Name, b.Name) })
	activity, event, still := activitySchema(), eventSchema(false), fixedSchema()
	var errs []error
	fill := func(b *bench, schema *sigma.Schema, want func(*Rule) bool) {
		var err []error
		b.set, b.rules, err = compile(sorted, schema, want)
		errs = append(errs, err...)
	}
	fill(&d.fixed, activity, func(r *Rule) bool { return r.Kind == Activity && isFixed(r, still) })
	fill(&d.mixed, activity, func(r *Rule) bool { return r.Kind == Activity && isMixed(r, still) })
	fill(&d.moving, activity, func(r *Rule) bool { return r.Kind == Activity && !isFixed(r, still) && !isMixed(r, still) })
	d.partial.fixed = fixedFields()
	fill(&d.started, event, func(r *Rule) bool { return r.Kind == Started })
	fill(&d.ended, event, func(r *Rule) bool { return r.Kind == Ended })
	if all {
		// Rules that nothing here makes records for are compiled against what events have, to find their mistakes.
		_, _, err := compile(sorted, event, func(r *Rule) bool { return r.Kind == NoKind })
		errs = append(errs, err...)
	}
	errs = append(errs, d.link(sorted)...)
	return d, errs
}

func compile(sorted []*Rule, schema *sigma.Schema, want func(*Rule) bool) (*sigma.Set, []*Rule, []error) {
	var plain []*sigma.Rule
	byRule := map[*sigma.Rule]*Rule{}
	for _, r := range sorted {
		if want(r) {
			plain = append(plain, r.Rule)
			byRule[r.Rule] = r
		}
	}
	set, errs := sigma.Compile(plain, schema)
	rules := make([]*Rule, 0, len(plain))
	for _, r := range set.Rules() {
		rules = append(rules, byRule[r])
	}
	return set, rules, errs
}

// link prepares the correlations and finds out which rules they read.
func (d *Detector) link(sorted []*Rule) []error {
	var plain []*sigma.Rule
	wanted := map[string]bool{}
	for _, r := range sorted {
		if r.Kind != Correlation {
			continue
		}
		plain = append(plain, r.Rule)
		d.correlations[r.Rule] = r
		for _, n := range r.Correlation.Rules {
			wanted[n] = true
		}
	}
	var errs []error
	d.correlator, errs = sigma.NewCorrelator(plain, d.fixed.set, d.mixed.set, d.moving.set, d.started.set, d.ended.set)
	for _, b := range []*bench{&d.fixed, &d.mixed, &d.moving, &d.started, &d.ended} {
		b.silent, b.linked = make([]bool, len(b.rules)), make([]bool, len(b.rules))
		for i, r := range b.rules {
			b.linked[i] = wanted[r.Name] || r.ID != "" && wanted[r.ID]
			b.silent[i] = b.linked[i] && d.correlator.Silent(r.Rule)
		}
	}
	return errs
}

// Judge tells which rules hold for what a look saw: for events in their order, then for processes by PID, for one
// subject by the name of the rule, and last what correlations waited for. Rules over processes are found again at every
// look while they hold; rules over events and correlations once, when it happens. A rule over what a process does is held against Vectors that are Fresh, and against
// others while it last held: what nobody read again cannot have begun.
func (d *Detector) Judge(look *feature.Look) []Finding {
	var out []Finding
	for i := range look.Occurrences {
		out = d.event(out, &look.Occurrences[i])
	}
	for i := range look.Vectors {
		out = d.process(out, look.At, &look.Vectors[i])
	}
	out = d.advance(out, look)
	for _, id := range look.Gone {
		delete(d.memo, id)
	}
	if len(d.memo) > len(look.Vectors)+slack {
		d.forget(look)
	}
	return out
}

// slack is how many processes more than there are may be remembered before those that are gone are looked for.
const slack = 256

// forget drops what is remembered of processes that are not there, for callers whose looks do not tell who is gone.
func (d *Detector) forget(look *feature.Look) {
	there := make(map[host.ProcID]*memory, len(look.Vectors))
	for i := range look.Vectors {
		id := look.Vectors[i].Proc.ID
		if m := d.memo[id]; m != nil {
			there[id] = m
		}
	}
	d.memo = there
}

func (d *Detector) event(out []Finding, o *feature.Occurrence) []Finding {
	b := &d.started
	if o.Event.Kind == host.ProcessEnded {
		b = &d.ended
	}
	d.hits = b.set.Match(o, d.hits[:0])
	for _, h := range d.hits {
		if !b.silent[h] {
			out = append(out, b.finding(h, o, &o.Subject, o.Event.At))
		}
		if b.linked[h] {
			out = d.correlate(out, o.Event.At, b.rules[h], o, &o.Subject)
		}
	}
	return out
}

func (d *Detector) process(out []Finding, at time.Time, v *feature.Vector) []Finding {
	m := d.memo[v.Proc.ID]
	if m == nil {
		m = &memory{}
		d.memo[v.Proc.ID] = m
		d.refresh(m, v, at)
	} else if m.detail != v.Proc.Detail || m.parent != v.Parent || m.name != v.Proc.Name {
		d.refresh(m, v, at)
	}
	if !v.Fresh && !m.moving && len(m.fixedHits) == 0 {
		return out
	}
	start := len(out)
	for i := range m.fixed {
		f := m.fixed[i]
		f.At, f.Subject = at, v.Subject
		out = append(out, f)
	}
	for _, h := range m.fixedHits {
		if d.fixed.linked[h] {
			out = d.correlate(out, at, d.fixed.rules[h], v, &v.Subject)
		}
	}
	if v.Fresh || m.moving {
		m.moving = false
		out = d.hold(out, &d.moving, m, v, at)
		if !d.hopeless(m, v) {
			out = d.hold(out, &d.mixed, m, v, at)
		}
	}
	if len(out)-start > 1 {
		slices.SortStableFunc(out[start:], func(a, b Finding) int { return strings.Compare(a.Rule, b.Rule) })
	}
	return out
}

// hold holds the rules of a bench against a process.
func (d *Detector) hold(out []Finding, b *bench, m *memory, v *feature.Vector, at time.Time) []Finding {
	d.hits = b.set.Match(v, d.hits[:0])
	m.moving = m.moving || len(d.hits) > 0
	for _, h := range d.hits {
		if !b.silent[h] {
			out = append(out, b.finding(h, v, &v.Subject, at))
		}
		if b.linked[h] {
			out = d.correlate(out, at, b.rules[h], v, &v.Subject)
		}
	}
	return out
}

// settled is how many looks a process must have been the same for the question to be asked whether mixed rules can hold
// for it at all. Asking costs as much as holding them twenty times, and most processes that are new are soon gone.
const settled = 3

// hopeless tells whether what is fixed about a process already rules out every mixed rule.
func (d *Detector) hopeless(m *memory, v *feature.Vector) bool {
	if m.looks >= settled {
		return m.hopeless
	}
	if m.looks++; m.looks == settled {
		d.partial.v = v
		m.hopeless = true
		for i := range d.mixed.rules {
			if d.mixed.set.Explain(&d.partial, i).Truth != sigma.False {
				m.hopeless = false
				break
			}
		}
	}
	return m.hopeless
}

// refresh holds the rules over what does not change against a process whose details were read anew.
func (d *Detector) refresh(m *memory, v *feature.Vector, at time.Time) {
	m.detail, m.parent, m.name = v.Proc.Detail, v.Parent, v.Proc.Name
	m.fixed, m.fixedHits, m.looks, m.hopeless = nil, nil, 0, false
	d.hits = d.fixed.set.Match(v, d.hits[:0])
	if len(d.hits) == 0 {
		return
	}
	m.fixedHits = slices.Clone(d.hits)
	for _, h := range m.fixedHits {
		if !d.fixed.silent[h] {
			m.fixed = append(m.fixed, d.fixed.finding(h, v, &v.Subject, at))
		}
	}
}

// correlate tells the correlator that a rule held for rec. What that completes is a finding about the same subject; what
// was only waiting for that much time to pass comes from [Detector.advance].
func (d *Detector) correlate(out []Finding, at time.Time, r *Rule, rec host.Record, s *host.Subject) []Finding {
	d.waited = d.correlator.Advance(at, d.waited)
	d.linked = d.correlator.Add(at, r.Rule, rec, d.linked[:0])
	for i := range d.linked {
		h := &d.linked[i]
		out = append(out, d.correlations[h.Rule].finding(correlated(h), s, h.At))
	}
	return out
}

// advance reports the correlations whose condition could only be decided when their timespan had passed. No one process
// completed them: they are about the machine.
func (d *Detector) advance(out []Finding, look *feature.Look) []Finding {
	if len(d.correlations) == 0 {
		return out
	}
	d.waited = d.correlator.Advance(look.At, d.waited)
	for i := range d.waited {
		h := &d.waited[i]
		out = append(out, d.correlations[h.Rule].finding(correlated(h), &host.Subject{Kind: host.SubjectHost}, h.At))
	}
	clear(d.waited)
	d.waited = d.waited[:0]
	return out
}

// Evicted is how many groups of correlations were forgotten before their time because there were too many.
func (d *Detector) Evicted() int { return d.correlator.Evicted() }

func (b *bench) finding(i int, rec host.Record, s *host.Subject, at time.Time) Finding {
	return b.rules[i].finding(evidenceOf(b.set.Evidence(rec, i)), s, at)
}

func (r *Rule) finding(e []Evidence, s *host.Subject, at time.Time) Finding {
	return Finding{
		Rule: r.Name, Title: r.Title, Author: r.foreign(), Class: r.Class, Weight: r.Weight, Group: r.Group,
		Attack: r.Attack, Subject: *s, Evidence: e, At: at,
	}
}
