package sigma

import (
	"fmt"
	"strings"
	"time"
)

// Rule is one document of a rule file: either a detection or a correlation. It is immutable after [Parse].
type Rule struct {
	File string // as given to Parse
	Line int    // of the document's first key

	Name           string // the name attribute; the file's base name without extension when there is none
	ID             string
	Title          string
	Description    string
	Author         string
	License        string
	Status         string // stable, test, experimental, deprecated, unsupported or ""
	Level          string // informational, low, medium, high, critical or ""
	Date, Modified string // as written
	Tags           []string
	References     []string
	FalsePositives []string
	Fields         []string // the fields attribute: what an analyst should see
	Related        []Related
	LogSource      LogSource
	Weighing       *Weighing    // the minehound block; nil when the rule has none
	Correlation    *Correlation // nil for a detection
	Custom         []string     // top-level keys that the specification does not know, in the order written; only without a Weighing

	conditions    []*condNode // or-ed
	conditionLine int
	searches      []search // in the order written
}

// Related names another rule and how this one relates to it.
type Related struct{ ID, Type string }

// LogSource is which records a rule is meant for. Definition is prose.
type LogSource struct{ Category, Product, Service, Definition string }

// Weighing is the `minehound:` block: what a finding of the rule weighs. Which classes and weights there are is the
// caller's to check.
type Weighing struct {
	Class  string
	Weight float64 // decibans
	Group  string
}

// CorrelationType is how a correlation puts rules together.
type CorrelationType string

// The types of version 2 of the correlation specification.
const (
	EventCount      CorrelationType = "event_count"
	ValueCount      CorrelationType = "value_count"
	ValueSum        CorrelationType = "value_sum"
	ValueAvg        CorrelationType = "value_avg"
	ValueMedian     CorrelationType = "value_median"
	Temporal        CorrelationType = "temporal"
	TemporalOrdered CorrelationType = "temporal_ordered"
)

// Correlation is the `correlation:` block.
type Correlation struct {
	Type     CorrelationType
	Rules    []string // names or ids
	GroupBy  []string // fields or aliases
	Aliases  []Alias  // in the order written
	Timespan time.Duration
	Field    string // of value_count and the other value types
	Bounds   []Bound
	Generate bool // whether the rules referred to are reported on their own too

	condition *condNode // extended condition of the temporal types, over Rules; nil for all of them
}

// Alias is a name for a field that is called differently in the records of different rules.
type Alias struct {
	Name   string
	Fields []AliasField
}

// AliasField is what an Alias means for one rule.
type AliasField struct{ Rule, Field string }

// Bound is one comparison of a correlation's condition.
type Bound struct {
	Op    string // gt, gte, lt, lte, eq or neq
	Value float64
}

// Error is why a rule is refused.
type Error struct {
	File   string
	Line   int    // 0 when the whole file is meant
	Rule   string // its name, "" when the rule could not be read that far
	Reason string
	Hint   string // what to do about it, "" when there is nothing to say
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	b.WriteString(": ")
	if e.Rule != "" {
		fmt.Fprintf(&b, "rule %s: ", e.Rule)
	}
	b.WriteString(e.Reason)
	if e.Hint != "" {
		fmt.Fprintf(&b, " (%s)", e.Hint)
	}
	return b.String()
}
