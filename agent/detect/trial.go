package detect

import (
	"fmt"
	"slices"
	"time"

	"github.com/minehound/minehound/agent/detect/sigma"
	"github.com/minehound/minehound/agent/feature"
	"github.com/minehound/minehound/agent/host"
)

// MaxFirings bounds how many subjects a [Trial] lists one by one.
const MaxFirings = 100

// Trial holds one rule against look after look and can say in the end when it held, or what it did not get to see.
type Trial struct {
	rule     *Rule
	set      *sigma.Set // of the rule alone; nil for a correlation
	detector *Detector  // of a correlation and what it reads; nil for others
	parts    []*Trial   // of a correlation: the rules it reads
	out      Outcome
	seen     map[host.ProcID]bool
	best     int
}

// Outcome is how a rule came out over a trace.
type Outcome struct {
	Rule    *Rule
	Looks   int
	Records int      // processes or events it was held against, one count for each look
	Fired   []Firing // the first time for each subject, at most MaxFirings
	More    int      // subjects beyond these
	// Unknown lists the fields that were not seen where the rule could not be decided, sorted.
	Unknown []string
	// Nearest is the record that came closest without the rule holding: the most tests true. Its Tests say what was
	// missing. Nil when the rule held, for correlations, and without records.
	Nearest *Near
	Parts   []Outcome // of a correlation: the rules it reads
}

// Firing is one subject for which the rule held.
type Firing struct {
	At      time.Time
	Finding Finding
}

// Near is a record for which a rule almost held.
type Near struct {
	At      time.Time
	Subject host.Subject
	Truth   sigma.Truth
	Tests   []sigma.Tested
}

// NewTrial prepares to try the rule of that name. It fails when there is none, or when it is inactive, with the reason.
func NewTrial(rs *Ruleset, name string) (*Trial, error) {
	r := rs.Rule(name)
	switch {
	case r == nil:
		return nil, fmt.Errorf("there is no rule named %q", name)
	case r.Inactive != "":
		return nil, fmt.Errorf("rule %s is inactive: %s", name, r.Inactive)
	}
	t := &Trial{rule: r, out: Outcome{Rule: r}, seen: map[host.ProcID]bool{}, best: -1}
	if r.Kind != Correlation {
		schema := activitySchema()
		if r.Kind != Activity {
			schema = eventSchema(false)
		}
		var errs []error
		if t.set, errs = sigma.Compile([]*sigma.Rule{r.Rule}, schema); len(errs) > 0 {
			return nil, errs[0]
		}
		return t, nil
	}
	t.detector = New(&Ruleset{Rules: needed(rs, r)})
	for _, part := range reads(rs, r) {
		p, err := NewTrial(rs, part.Name)
		if err != nil {
			return nil, err
		}
		t.parts = append(t.parts, p)
	}
	return t, nil
}

// reads lists the rules that a correlation refers to.
func reads(rs *Ruleset, c *Rule) []*Rule {
	var l []*Rule
	for i := range rs.Rules {
		r := &rs.Rules[i]
		if slices.Contains(c.Correlation.Rules, r.Name) || r.ID != "" && slices.Contains(c.Correlation.Rules, r.ID) {
			l = append(l, r)
		}
	}
	return l
}

// needed lists a correlation and all it reads, directly or by other correlations.
func needed(rs *Ruleset, c *Rule) []Rule {
	l := []Rule{*c}
	for i := 0; i < len(l); i++ {
		if l[i].Kind != Correlation {
			continue
		}
		for _, r := range reads(rs, &l[i]) {
			if !slices.ContainsFunc(l, func(o Rule) bool { return o.Name == r.Name }) {
				l = append(l, *r)
			}
		}
	}
	return l
}

// Add holds the rule against one look.
func (t *Trial) Add(look *feature.Look) {
	t.out.Looks++
	for _, p := range t.parts {
		p.Add(look)
	}
	switch t.rule.Kind {
	case Activity:
		for i := range look.Vectors {
			t.record(&look.Vectors[i], &look.Vectors[i].Subject, look.At)
		}
	case Started, Ended:
		for i := range look.Occurrences {
			o := &look.Occurrences[i]
			if (o.Event.Kind == host.ProcessEnded) == (t.rule.Kind == Ended) {
				t.record(o, &o.Subject, o.Event.At)
			}
		}
	case Correlation:
		t.out.Records += len(look.Vectors) + len(look.Occurrences)
		for _, f := range t.detector.Judge(look) {
			if f.Rule == t.rule.Name {
				t.fired(f)
			}
		}
	case NoKind:
	}
}

func (t *Trial) record(rec host.Record, s *host.Subject, at time.Time) {
	t.out.Records++
	if len(t.set.Match(rec, nil)) > 0 {
		if !t.seen[s.ID] {
			t.fired(t.rule.finding(evidenceOf(t.set.Evidence(rec, 0)), s, at))
		}
		return
	}
	e := t.set.Explain(rec, 0)
	for _, f := range e.Unknown {
		if i, ok := slices.BinarySearch(t.out.Unknown, f); !ok {
			t.out.Unknown = slices.Insert(t.out.Unknown, i, f)
		}
	}
	n := 0
	for _, test := range e.Tests {
		if test.Truth == sigma.True {
			n++
		}
	}
	if n > t.best {
		t.best, t.out.Nearest = n, &Near{At: at, Subject: *s, Truth: e.Truth, Tests: e.Tests}
	}
}

func (t *Trial) fired(f Finding) {
	if t.seen[f.Subject.ID] {
		return
	}
	t.seen[f.Subject.ID] = true
	if len(t.out.Fired) == MaxFirings {
		t.out.More++
		return
	}
	t.out.Fired = append(t.out.Fired, Firing{At: f.At, Finding: f})
}

// Outcome is how the rule came out so far.
func (t *Trial) Outcome() Outcome {
	o := t.out
	if len(o.Fired) > 0 {
		o.Nearest = nil
	}
	for _, p := range t.parts {
		o.Parts = append(o.Parts, p.Outcome())
	}
	return o
}
