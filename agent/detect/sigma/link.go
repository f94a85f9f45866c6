package sigma

import (
	"fmt"
	"slices"
)

// NewCorrelator prepares the correlations among rules. The sets hold the detections they refer to, compiled, each in one
// set. It returns one *Error for each correlation that it had to refuse; one that builds on a refused one is refused too.
func NewCorrelator(rules []*Rule, sets ...*Set) (*Correlator, []error) {
	l := &linker{c: &Correlator{feeds: map[*Rule][]feed{}, silent: map[*Rule]bool{}}, named: map[string][]*Rule{},
		schemas: map[*Rule]*Schema{}, linked: map[*Rule]bool{}}
	for _, set := range sets {
		for _, r := range set.rules {
			l.schemas[r] = set.schema
			l.linked[r] = true
			l.name(r)
		}
	}
	var waiting []*Rule
	for _, r := range rules {
		if r.Correlation != nil {
			l.name(r)
			waiting = append(waiting, r)
		}
	}
	errs := l.linkAll(waiting)
	l.silence()
	return l.c, errs
}

type linker struct {
	c       *Correlator
	named   map[string][]*Rule
	schemas map[*Rule]*Schema // of detections
	linked  map[*Rule]bool    // rules that can be built on
}

func (l *linker) name(r *Rule) {
	l.named[r.Name] = append(l.named[r.Name], r)
	if r.ID != "" && r.ID != r.Name {
		l.named[r.ID] = append(l.named[r.ID], r)
	}
}

// linkAll links correlations after those they build on.
func (l *linker) linkAll(waiting []*Rule) []error {
	var errs []error
	for progress := true; progress; {
		progress = false
		var later []*Rule
		for _, r := range waiting {
			parts, ready, err := l.parts(r)
			switch {
			case err != nil:
				errs = append(errs, err)
				progress = true
			case !ready:
				later = append(later, r)
			default:
				progress = true
				if err := l.link(r, parts); err != nil {
					errs = append(errs, err)
				}
			}
		}
		waiting = later
	}
	for _, r := range waiting {
		errs = append(errs, r.errorf("the correlation builds on one that was refused, or on itself"))
	}
	return errs
}

func (r *Rule) errorf(format string, args ...any) *Error {
	return &Error{File: r.File, Line: r.Line, Rule: r.Name, Reason: fmt.Sprintf(format, args...)}
}

// parts finds the rules a correlation refers to; ready is false while one of them is not linked.
func (l *linker) parts(r *Rule) (parts []*Rule, ready bool, err error) {
	ready = true
	for _, name := range r.Correlation.Rules {
		found := l.named[name]
		switch {
		case len(found) == 0:
			return nil, false, r.errorf("the correlation refers to %q, which is no rule here", name)
		case len(found) > 1:
			return nil, false, r.errorf("the correlation refers to %q, which several rules are called", name)
		}
		parts = append(parts, found[0])
		ready = ready && l.linked[found[0]]
	}
	return parts, ready, nil
}

func (l *linker) link(r *Rule, parts []*Rule) error {
	spec := r.Correlation
	if err := checkAliases(r, parts); err != nil {
		return err
	}
	k := &correlation{rule: r, spec: spec, groups: map[string]*window{}}
	k.bounds, k.closing = decidable(spec)
	feeds := make([]feed, len(parts))
	for i, part := range parts {
		f := feed{to: k, rule: i, value: noSource}
		for _, field := range spec.GroupBy {
			s, err := l.source(r, part, spec.fieldFor(field, part))
			if err != nil {
				return err
			}
			f.group = append(f.group, s)
		}
		if spec.Field != "" {
			s, err := l.source(r, part, spec.fieldFor(spec.Field, part))
			if err != nil {
				return err
			}
			f.value = s
		}
		feeds[i] = f
	}
	for i, part := range parts {
		l.c.feeds[part] = append(l.c.feeds[part], feeds[i])
	}
	l.c.correlations = append(l.c.correlations, k)
	l.linked[r] = true
	return nil
}

// checkAliases wants every alias to be told for rules of the correlation only.
func checkAliases(r *Rule, parts []*Rule) error {
	for _, a := range r.Correlation.Aliases {
		for _, f := range a.Fields {
			named := func(part *Rule) bool { return part.Name == f.Rule || part.ID == f.Rule }
			if !slices.ContainsFunc(parts, named) {
				return r.errorf("alias %s is for rule %q, which the correlation does not refer to", a.Name, f.Rule)
			}
		}
	}
	return nil
}

// fieldFor is what a field or alias is called in the records of a rule.
func (c *Correlation) fieldFor(name string, rule *Rule) string {
	for _, a := range c.Aliases {
		if a.Name == name {
			for _, f := range a.Fields {
				if f.Rule == rule.Name || f.Rule == rule.ID {
					return f.Field
				}
			}
		}
	}
	return name
}

// source finds a field of the findings of part. A correlation's hits have its group-by fields.
func (l *linker) source(r, part *Rule, field string) (source, error) {
	if part.Correlation != nil {
		if i := slices.Index(part.Correlation.GroupBy, field); i >= 0 {
			return source(i), nil
		}
		return noSource, r.errorf("the correlation needs the field %q of rule %s, which does not group by it", field, part.Name)
	}
	if i, ok := l.schemas[part].Index(field); ok {
		return source(i), nil
	}
	return noSource, r.errorf("the correlation needs the field %q of rule %s, whose records do not have it", field, part.Name)
}

// decidable simplifies the bounds and tells whether the correlation has to wait for the end of its timespan.
func decidable(c *Correlation) (bounds []Bound, closing bool) {
	if c.condition != nil {
		return nil, c.condition.negates()
	}
	all := float64(len(c.Rules))
	for _, b := range c.Bounds {
		if c.Type == Temporal {
			switch {
			case b == Bound{"eq", all}:
				b.Op = "gte"
			case b.Op == "lte" && b.Value >= all, b.Op == "lt" && b.Value > all:
				continue // there are no more rules than that
			}
		}
		// Sums and averages go either way whatever the bound; they are told as they stand.
		counts := c.Type == EventCount || c.Type == ValueCount || c.Type == Temporal
		closing = closing || counts && b.Op != "gt" && b.Op != "gte"
		bounds = append(bounds, b)
	}
	return bounds, closing
}

// silence marks the rules that only serve correlations.
func (l *linker) silence() {
	loud := map[*Rule]bool{}
	for part, feeds := range l.c.feeds {
		for _, f := range feeds {
			loud[part] = loud[part] || f.to.spec.Generate
		}
		l.c.silent[part] = !loud[part]
	}
}
