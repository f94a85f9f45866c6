package sigma

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Bounds on a correlation.
const (
	maxCorrelated = 32                  // rules of one correlation
	maxTimespan   = 31 * 24 * time.Hour // of one correlation
	maxCount      = 4096                // events or values that one group can be asked to count
)

// correlation reads the correlation block.
func (r *reader) correlation(rule *Rule, block pair) *Error {
	pairs, err := r.mapping(block.value, "correlation")
	if err != nil {
		return err
	}
	c := &Correlation{}
	rule.Correlation = c
	var condition pair
	for _, p := range pairs {
		switch p.key {
		case "type":
			err = r.correlationType(c, p)
		case "rules":
			c.Rules, err = r.textsOrOne(p.value, "correlation.rules")
		case "group-by":
			c.GroupBy, err = r.textsOrOne(p.value, "correlation.group-by")
		case "timespan":
			c.Timespan, err = r.timespan(p)
		case "aliases":
			c.Aliases, err = r.aliases(p.value)
		case "generate":
			c.Generate, err = r.truth(p.value, "correlation.generate")
		case "condition":
			condition = p
		default:
			e := r.errorf(p.line, "unknown key %q", "correlation."+p.key)
			if near := nearest(p.key, []string{"type", "rules", "group-by", "timespan", "aliases", "generate", "condition"}); near != "" {
				e.Hint = "did you mean correlation." + near + "?"
			}
			err = e
		}
		if err != nil {
			return err
		}
	}
	if err := r.completeCorrelation(c, block.line); err != nil {
		return err
	}
	return r.correlationCondition(c, block, condition)
}

func (r *reader) completeCorrelation(c *Correlation, line int) *Error {
	switch {
	case c.Type == "":
		return r.errorf(line, "the correlation has no type")
	case len(c.Rules) == 0:
		return r.errorf(line, "the correlation names no rules")
	case len(c.Rules) > maxCorrelated:
		return r.errorf(line, "the correlation names %d rules, more than %d", len(c.Rules), maxCorrelated)
	case c.Timespan == 0:
		return r.errorf(line, "the correlation has no timespan")
	}
	for i, name := range c.Rules {
		if slices.Contains(c.Rules[:i], name) {
			return r.errorf(line, "the correlation names rule %s twice", name)
		}
	}
	return nil
}

func (r *reader) correlationType(c *Correlation, p pair) *Error {
	s, err := r.text(p.value, "correlation.type")
	if err != nil {
		return err
	}
	switch c.Type = CorrelationType(s); c.Type {
	case EventCount, ValueCount, ValueSum, ValueAvg, ValueMedian, Temporal, TemporalOrdered:
		return nil
	case "value_percentile":
		return r.hintf(r.errorf(p.line, "correlation type value_percentile is not supported: the specification does not say what it is compared to"),
			"use value_median or value_count")
	}
	return r.errorf(p.line, "correlation type %q is not one of event_count, value_count, value_sum, value_avg, value_median, temporal, temporal_ordered", s)
}

// timespan reads a number and a unit: s, m, h, d, w.
func (r *reader) timespan(p pair) (time.Duration, *Error) {
	s, err := r.text(p.value, "correlation.timespan")
	if err != nil {
		return 0, err
	}
	var unit time.Duration
	if s != "" {
		unit = map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour,
			'w': 7 * 24 * time.Hour}[s[len(s)-1]]
	}
	n, bad := 0, true
	if unit > 0 {
		var nerr error
		n, nerr = strconv.Atoi(s[:len(s)-1])
		bad = nerr != nil || n <= 0
	}
	if bad {
		return 0, r.errorf(p.line, "timespan %q is not a number followed by s, m, h, d or w", s)
	}
	if n > int(maxTimespan/unit) {
		return 0, r.errorf(p.line, "timespan %s is longer than %s", s, "31d")
	}
	return time.Duration(n) * unit, nil
}

func (r *reader) aliases(n *yaml.Node) ([]Alias, *Error) {
	pairs, err := r.mapping(n, "correlation.aliases")
	if err != nil {
		return nil, err
	}
	var out []Alias
	for _, p := range pairs {
		fields, err := r.mapping(p.value, "alias "+p.key)
		if err != nil {
			return nil, err
		}
		a := Alias{Name: p.key}
		for _, f := range fields {
			name, err := r.name(f.value, "alias "+p.key)
			if err != nil {
				return nil, err
			}
			a.Fields = append(a.Fields, AliasField{Rule: f.key, Field: name})
		}
		out = append(out, a)
	}
	return out, nil
}

// correlationCondition reads the bounds, the field and the extended condition, and checks them against the type.
func (r *reader) correlationCondition(c *Correlation, block, p pair) *Error {
	temporal := c.Type == Temporal || c.Type == TemporalOrdered
	switch {
	case p.value == nil && temporal:
		c.Bounds = []Bound{{Op: "gte", Value: float64(len(c.Rules))}}
		return nil
	case p.value == nil:
		return r.errorf(block.line, "correlation type %s needs a condition", c.Type)
	case kindOf(p.value) == yaml.ScalarNode && temporal:
		return r.extendedCondition(c, p)
	}
	pairs, err := r.mapping(p.value, "correlation.condition")
	if err != nil {
		return err
	}
	for _, b := range pairs {
		switch b.key {
		case "gt", "gte", "lt", "lte", "eq", "neq":
			s, err := r.scalar(b.value, "correlation.condition."+b.key)
			if err != nil {
				return err
			}
			f, ok := parseNumber(s.text)
			if !ok || s.kind != scalarNumber {
				return r.errorf(b.line, "correlation.condition.%s must be a number, not %q", b.key, s.text)
			}
			c.Bounds = append(c.Bounds, Bound{Op: b.key, Value: f})
		case "field":
			if kindOf(b.value) != yaml.ScalarNode {
				return r.errorf(b.line, "correlation.condition.field with more than one field is not supported")
			}
			if c.Field, err = r.name(b.value, "correlation.condition.field"); err != nil {
				return err
			}
		default:
			return r.errorf(b.line, "unknown key %q", "correlation.condition."+b.key)
		}
	}
	return r.checkBounds(c, p.line)
}

func (r *reader) checkBounds(c *Correlation, line int) *Error {
	values := strings.HasPrefix(string(c.Type), "value_")
	switch {
	case len(c.Bounds) == 0:
		return r.errorf(line, "the correlation's condition has no gt, gte, lt, lte, eq or neq")
	case values && c.Field == "":
		return r.errorf(line, "correlation type %s needs condition.field", c.Type)
	case !values && c.Field != "":
		return r.errorf(line, "correlation type %s has no use for condition.field", c.Type)
	}
	for _, b := range c.Bounds {
		counts := c.Type == EventCount || c.Type == ValueCount
		switch all := float64(len(c.Rules)); {
		case counts && b.Value >= maxCount:
			return r.errorf(line, "the correlation counts to %g, %d is the most", b.Value, maxCount-1)
		case c.Type == TemporalOrdered && b != (Bound{"gte", all}) && b != (Bound{"eq", all}) && b != (Bound{"gt", all - 1}):
			return r.errorf(line, "temporal_ordered with fewer than all rules is not supported: which order should hold is not said")
		}
	}
	if c.Type == TemporalOrdered {
		c.Bounds = []Bound{{Op: "gte", Value: float64(len(c.Rules))}}
	}
	return nil
}

// extendedCondition reads a condition over names of rules.
func (r *reader) extendedCondition(c *Correlation, p pair) *Error {
	s, err := r.text(p.value, "correlation.condition")
	if err != nil {
		return err
	}
	n, cerr := parseCondition(s)
	if cerr == nil {
		_, cerr = n.resolve(c.Rules, func(name string) *node {
			if !slices.Contains(c.Rules, name) {
				return nil
			}
			return testNode(&test{field: name})
		})
	}
	if cerr != nil {
		return r.conditionError(p.line, cerr)
	}
	if c.Type == TemporalOrdered {
		named := map[string]bool{}
		if !n.conjunction(named) || len(named) != len(c.Rules) {
			return r.errorf(p.line, "temporal_ordered with a condition other than all its rules and-ed is not supported: which order should hold is not said")
		}
		c.Bounds = []Bound{{Op: "gte", Value: float64(len(c.Rules))}}
		return nil
	}
	c.condition = n
	return nil
}

// conjunction tells whether c is names joined by and only, and collects them.
func (c *condNode) conjunction(names map[string]bool) bool {
	switch c.op {
	case condName:
		names[c.name] = true
		return true
	case condAnd:
		for _, k := range c.kids {
			if !k.conjunction(names) {
				return false
			}
		}
		return true
	default:
		return false
	}
}
