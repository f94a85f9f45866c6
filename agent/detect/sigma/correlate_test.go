package sigma

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/minehound/minehound/agent/host"
)

// rig is a correlator over base rules a, b, c that see field (the user), other and third.
type rig struct {
	t     *testing.T
	c     *Correlator
	rules map[string]*Rule
	start time.Time
}

const baseRules = `title: a
name: a
id: 5638f7c0-ac70-491d-8465-2a65075e0d86
logsource: {category: x}
detection: {s: {other: a}, condition: s}
---
title: b
name: b
logsource: {category: x}
detection: {s: {other: b}, condition: s}
---
title: c
name: c
logsource: {category: x}
detection: {s: {other: c}, condition: s}
`

func newRig(t *testing.T, correlations string) (*rig, []error) {
	t.Helper()
	rules, err := Parse("t.yml", []byte(baseRules+"---\n"+correlations))
	if err != nil {
		t.Fatal(err)
	}
	set, errs := Compile(rules, testSchema())
	if errs != nil {
		t.Fatal(errs)
	}
	r := &rig{t: t, rules: map[string]*Rule{}, start: time.Date(2024, 8, 10, 0, 0, 0, 0, time.UTC)}
	for _, rule := range rules {
		r.rules[rule.Name] = rule
	}
	r.c, errs = NewCorrelator(rules, set)
	return r, errs
}

// play sends events like "10 a user value" (second, rule, field, third) and "20" (only the time), and returns the hits as
// "second rule group count".
func (r *rig) play(events string) string {
	r.t.Helper()
	var out []string
	for _, line := range strings.Split(events, ",") {
		f := strings.Fields(line)
		var second int
		if _, err := fmt.Sscan(f[0], &second); err != nil {
			r.t.Fatal(err)
		}
		at := r.start.Add(time.Duration(second) * time.Second)
		var hits []Hit
		if len(f) == 1 {
			hits = r.c.Advance(at, nil)
		} else {
			rec := record{host.Text(f[2]), host.Text(f[1]), {}}
			if f[2] == "?" {
				rec[0] = host.Value{}
			}
			if f[2] == "-" {
				rec[0] = host.Absent()
			}
			if len(f) > 3 {
				rec[2] = host.Text(f[3])
			}
			hits = r.c.Add(at, r.rules[f[1]], rec, nil)
		}
		for _, h := range hits {
			var group []string
			for _, m := range h.Group {
				group = append(group, m.Value)
			}
			out = append(out, fmt.Sprintf("%g %s %s %g", h.At.Sub(r.start).Seconds(), h.Rule.Name, strings.Join(group, "+"), h.Count))
		}
	}
	return strings.Join(out, ", ")
}

func correlationText(body string) string {
	return "title: x\nname: x\ncorrelation:\n" + indent(body)
}

func TestCorrelations(t *testing.T) {
	count := "type: event_count\nrules: [a]\ngroup-by: [Field]\ntimespan: 10s\ncondition: {gte: 3}"
	temporal := "type: temporal\nrules: [a, b, c]\ngroup-by: [field]\ntimespan: 10s"
	ordered := "type: temporal_ordered\nrules: [a, b, c]\ngroup-by: [field]\ntimespan: 10s"
	cases := []struct{ name, body, events, want string }{
		{"count", count, "0 a u, 1 a u, 2 a u", "2 x u 3"},
		{"count by id", strings.Replace(count, "[a]", "[5638f7c0-ac70-491d-8465-2a65075e0d86]", 1), "0 a u, 1 a u, 2 a u", "2 x u 3"},
		{"count per group", count, "0 a u, 1 a v, 2 a u, 3 a v", ""},
		{"count of one rule", count, "0 a u, 1 b u, 2 a u, 3 b u", ""},
		{"count slides", count, "0 a u, 9 a u, 11 a u, 12 a u", "12 x u 3"},
		{"count at the edge", count, "0 a u, 5 a u, 10 a u", "10 x u 3"},
		{"count told once", count, "0 a u, 1 a u, 2 a u, 3 a u, 4 a u", "2 x u 3"},
		{"count told each timespan", count, "0 a u, 1 a u, 2 a u, 7 a u, 11 a u, 12 a u, 13 a u", "2 x u 3, 12 x u 4"},
		{"count told again", count, "0 a u, 1 a u, 2 a u, 30 a u, 31 a u, 32 a u", "2 x u 3, 32 x u 3"},
		{"unknown group", count, "0 a ?, 1 a ?, 2 a ?", ""},
		{"absent group", count, "0 a -, 1 a -, 2 a -", "2 x (none) 3"},
		{"no group", strings.Replace(count, "group-by: [Field]\n", "", 1), "0 a u, 1 a v, 2 a ?", "2 x  3"},
		{"clock going back", count, "5 a u, 3 a u, 4 a u", "5 x u 3"},
		{"range", strings.Replace(count, "{gte: 3}", "{gt: 1, lte: 3}", 1), "0 a u, 1 a u, 11, 20 a u, 21 a u, 22 a u, 23 a u, 50", "10 x u 2"},
		{"fewer", strings.Replace(count, "{gte: 3}", "{lt: 2}", 1), "0 a u, 10, 11, 20 a u, 21 a u, 40", "10 x u 1"},
		{"equal", strings.Replace(count, "{gte: 3}", "{eq: 2}", 1), "0 a u, 10 a u, 11", "10 x u 2"},
		{"not equal", strings.Replace(count, "{gte: 3}", "{neq: 2}", 1), "0 a u, 1 a u, 2 a u, 11", "10 x u 3"},

		{"values", "type: value_count\nrules: [a]\ngroup-by: [field]\ntimespan: 10s\ncondition: {field: third, gte: 2}",
			"0 a u 1, 1 a u 1, 2 a u 2", "2 x u 2"},
		{"values slide", "type: value_count\nrules: [a]\ngroup-by: [field]\ntimespan: 10s\ncondition: {field: third, gte: 2}",
			"0 a u 1, 11 a u 2, 12 a u", ""},
		{"sum", "type: value_sum\nrules: [a]\ngroup-by: [field]\ntimespan: 10s\ncondition: {field: third, gt: 500}",
			"0 a u 300, 1 a u 200, 2 a u 0.5", "2 x u 500.5"},
		{"average", "type: value_avg\nrules: [a]\ngroup-by: [field]\ntimespan: 10s\ncondition: {field: third, gt: 500}",
			"0 a u 300, 1 a u 600, 2 a u 900", "2 x u 600"},
		{"median", "type: value_median\nrules: [a]\ngroup-by: [field]\ntimespan: 10s\ncondition: {field: third, gte: 5}",
			"0 a u 1, 1 a u 9, 2 a u 2, 3 a u x, 4 a u 100, 5 a u 8", "1 x u 5, 4 x u 5.5"},

		{"temporal", temporal, "0 c u, 1 a u, 2 b u", "2 x u 3"},
		{"temporal too late", temporal, "0 c u, 1 a u, 11 b u", ""},
		{"temporal late but again", temporal, "0 c u, 1 a u, 11 b u, 11 c u", "11 x u 3"},
		{"temporal other user", temporal, "0 c u, 1 a v, 2 b u", ""},
		{"temporal two of", temporal + "\ncondition: {gte: 2}", "0 a u, 1 a u, 2 c u", "2 x u 2"},
		{"temporal condition", temporal + "\ncondition: a and (b or c)", "0 a u, 1 c u", "1 x u 2"},
		{"temporal condition of", temporal + "\ncondition: all of them", "0 a u, 1 c u, 2 b u", "2 x u 3"},
		{"temporal not", temporal + "\ncondition: a and not b", "0 a u, 5, 11, 20 a u, 21 b u, 40", "10 x u 1"},
		{"temporal equal all", temporal + "\ncondition: {eq: 3}", "0 a u, 1 c u, 2 b u", "2 x u 3"},

		{"ordered", ordered, "0 a u, 1 b u, 2 c u", "2 x u 3"},
		{"ordered wrong", ordered, "0 b u, 1 a u, 2 c u", ""},
		{"ordered mended", ordered, "0 b u, 1 a u, 2 c u, 3 b u, 4 c u", "4 x u 3"},
		{"ordered at once", ordered, "0 c u, 0 a u, 0 b u", "0 x u 3"},
		{"ordered latest start", ordered, "0 a u, 8 a u, 9 b u, 15 c u", "15 x u 3"},
		{"ordered too slow", ordered, "0 a u, 5 b u, 11 c u", ""},
		{"ordered condition", ordered + "\ncondition: a AND b AND c", "0 a u, 1 b u, 2 c u", "2 x u 3"},

		{"aliases", "type: temporal\nrules: [a, b]\ngroup-by: [ip]\ntimespan: 10s\naliases:\n    ip:\n        a: field\n        b: third",
			"0 a 10.0.0.1, 1 b u 10.0.0.2, 2 b u 10.0.0.1", "2 x 10.0.0.1 2"},
		{"two groups", "type: event_count\nrules: [a]\ngroup-by: [field, third]\ntimespan: 1m\ncondition: {gte: 2}",
			"0 a u 1, 1 a u 2, 2 a u 1", "2 x u+1 2"},
	}
	for _, c := range cases {
		r, errs := newRig(t, correlationText(c.body))
		if errs != nil {
			t.Errorf("%s: %v", c.name, errs)
			continue
		}
		if got := r.play(c.events); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// TestCorrelationChain is the specification's example: many failed logins followed by a successful one.
func TestCorrelationChain(t *testing.T) {
	r, errs := newRig(t, `title: Multiple Failed Logins Followed by Successful Login
name: chain
correlation: {type: temporal_ordered, rules: [many, b], group-by: [field], timespan: 10m}
level: high
---
title: Multiple failed logons
name: many
correlation: {type: event_count, rules: [a], group-by: [field], timespan: 10m, condition: {gte: 10}}
`)
	if errs != nil {
		t.Fatal(errs)
	}
	events := "0 b u"
	for i := 1; i <= 10; i++ {
		events += fmt.Sprintf(", %d a u", i)
	}
	if got := r.play(events + ", 11 b v, 12 b u"); got != "12 chain u 2" {
		t.Errorf("%q", got)
	}
	for name, silent := range map[string]bool{"a": true, "b": true, "many": true, "chain": false, "c": false} {
		if r.c.Silent(r.rules[name]) != silent {
			t.Errorf("%s is silent: %v", name, !silent)
		}
	}
	r, _ = newRig(t, correlationText("type: event_count\nrules: [a]\ntimespan: 1m\ncondition: {gte: 2}\ngenerate: true"))
	if r.c.Silent(r.rules["a"]) {
		t.Error("a rule with generate is silent")
	}
}

// TestCorrelationsClose: windows that end between two looks are decided in the order they end, whichever correlation they
// belong to, and feed what builds on them.
func TestCorrelationsClose(t *testing.T) {
	r, errs := newRig(t, `title: few a
name: fewa
correlation: {type: event_count, rules: [a], group-by: [field], timespan: 20s, condition: {lte: 2}, generate: true}
---
title: few b
name: fewb
correlation: {type: event_count, rules: [b], group-by: [field], timespan: 10s, condition: {lte: 2}}
---
title: both
name: both
correlation: {type: temporal_ordered, rules: [fewb, fewa], group-by: [field], timespan: 1m, generate: true}
`)
	if errs != nil {
		t.Fatal(errs)
	}
	if got, want := r.play("0 a u, 1 b u, 3 b v, 100"), "11 fewb u 1, 13 fewb v 1, 20 fewa u 1, 20 both u 2"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestCorrelationValues: what is counted of each kind of value.
func TestCorrelationValues(t *testing.T) {
	long := strings.Repeat("x", 1000)
	for _, c := range []struct {
		value host.Value
		kind  CorrelationType
		want  float64
	}{
		{host.Texts([]string{"1", "2", "2", "x"}), ValueCount, 3},
		{host.Texts([]string{"1", "2", "2", "x"}), ValueSum, 5},
		{host.Numbers([]float64{1, 5, 6}), ValueAvg, 4},
		{host.Numbers([]float64{9, 5, 6}), ValueMedian, 6},
		{host.Numbers([]float64{9, 5, 9}), ValueCount, 2},
		{host.Bool(true), ValueCount, 1},
		{host.Texts([]string{long + "a", long + "b", long + "b"}), ValueCount, 2},
	} {
		r, errs := newRig(t, correlationText("type: "+string(c.kind)+"\nrules: [a]\ntimespan: 10s\ncondition: {field: third, gt: 0}"))
		if errs != nil {
			t.Fatal(errs)
		}
		hits := r.c.Add(r.start, r.rules["a"], record{{}, {}, c.value}, nil)
		if len(hits) != 1 || hits[0].Count != c.want {
			t.Errorf("%s of %v: %+v", c.kind, c.value, hits)
		}
		for _, v := range []host.Value{{}, host.Absent()} {
			r, _ := newRig(t, correlationText("type: "+string(c.kind)+"\nrules: [a]\ntimespan: 10s\ncondition: {field: third, gt: -1}"))
			if hits := r.c.Add(r.start, r.rules["a"], record{{}, {}, v}, nil); hits != nil {
				t.Errorf("%s of %v: %+v", c.kind, v, hits)
			}
		}
	}
}

func TestCorrelationErrors(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"type":       {"type: near\nrules: [a]\ntimespan: 1m", `correlation type "near" is not one of`},
		"percentile": {"type: value_percentile\nrules: [a]\ntimespan: 1m", "value_percentile is not supported"},
		"no type":    {"rules: [a]\ntimespan: 1m", "has no type"},
		"no rules":   {"type: temporal\ntimespan: 1m", "names no rules"},
		"twice":      {"type: temporal\nrules: [a, a]\ntimespan: 1m", "names rule a twice"},
		"timespan":   {"type: temporal\nrules: [a]\ntimespan: 1M", `timespan "1M" is not a number followed by`},
		"negative":   {"type: temporal\nrules: [a]\ntimespan: -1m", `timespan "-1m" is not a number followed by`},
		"long":       {"type: temporal\nrules: [a]\ntimespan: 32d", "longer than 31d"},
		"none":       {"type: temporal\nrules: [a]", "has no timespan"},
		"condition":  {"type: event_count\nrules: [a]\ntimespan: 1m", "needs a condition"},
		"bound":      {"type: event_count\nrules: [a]\ntimespan: 1m\ncondition: {gte: many}", "must be a number"},
		"op":         {"type: event_count\nrules: [a]\ntimespan: 1m\ncondition: {ge: 1}", `unknown key "correlation.condition.ge"`},
		"field":      {"type: value_count\nrules: [a]\ntimespan: 1m\ncondition: {gte: 1}", "needs condition.field"},
		"no field":   {"type: event_count\nrules: [a]\ntimespan: 1m\ncondition: {gte: 1, field: x}", "has no use for condition.field"},
		"large":      {"type: event_count\nrules: [a]\ntimespan: 1m\ncondition: {gte: 100000}", "4095 is the most"},
		"key":        {"type: temporal\nrules: [a]\ntimespan: 1m\ngroupby: [x]", "did you mean correlation.group-by?"},
		"name":       {"type: temporal\nrules: [a, b]\ntimespan: 1m\ncondition: a and d", "which is not defined"},
		"order":      {"type: temporal_ordered\nrules: [a, b]\ntimespan: 1m\ncondition: a or b", "which order should hold is not said"},
		"fewer":      {"type: temporal_ordered\nrules: [a, b]\ntimespan: 1m\ncondition: {gte: 1}", "which order should hold is not said"},
	} {
		_, err := Parse("t.yml", []byte(correlationText(c.body)))
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) || e.Line < 3 || e.Rule != "x" {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]struct{ body, want string }{
		"missing": {correlationText("type: temporal\nrules: [a, zz]\ntimespan: 1m"), `refers to "zz", which is no rule here`},
		"itself":  {correlationText("type: temporal\nrules: [a, x]\ntimespan: 1m"), "builds on one that was refused, or on itself"},
		"group":   {correlationText("type: temporal\nrules: [a]\ntimespan: 1m\ngroup-by: [Computer]"), `needs the field "Computer" of rule a, whose records do not have it`},
		"alias":   {correlationText("type: temporal\nrules: [a]\ntimespan: 1m\ngroup-by: [ip]\naliases: {ip: {q: field}}"), `alias ip is for rule "q"`},
		"chained": {correlationText("type: temporal\nrules: [y]\ntimespan: 1m\ngroup-by: [other]") + "---\n" +
			strings.ReplaceAll(correlationText("type: temporal\nrules: [a]\ntimespan: 1m\ngroup-by: [field]"), ": x", ": y"), "which does not group by it"},
		"same name": {correlationText("type: temporal\nrules: [a]\ntimespan: 1m") + "---\nname: a\n" + ruleText("s: {other: a}\ncondition: s"),
			`refers to "a", which several rules are called`},
	} {
		_, errs := newRig(t, c.body)
		if len(errs) != 1 || !strings.Contains(errs[0].Error(), c.want) {
			t.Errorf("%s: %v", name, errs)
		}
	}
}

// TestCorrelatorBounds: memory stays bounded whatever comes, and what was forgotten is counted.
func TestCorrelatorBounds(t *testing.T) {
	r, _ := newRig(t, correlationText("type: event_count\nrules: [a]\ngroup-by: [field]\ntimespan: 1h\ncondition: {gte: 4000}"))
	k := r.c.correlations[0]
	for i := range 3 * maxGroups {
		r.c.Add(r.start.Add(time.Duration(i)*time.Millisecond), r.rules["a"], record{host.Text(fmt.Sprint("user", i)), {}, {}}, nil)
	}
	if len(k.groups) != maxGroups || r.c.Evicted() != 2*maxGroups || k.entries != maxGroups {
		t.Errorf("%d groups, %d entries, %d evicted", len(k.groups), k.entries, r.c.Evicted())
	}
	for i := range 10_000 {
		r.c.Add(r.start.Add(time.Minute+time.Duration(i)*time.Millisecond), r.rules["a"], record{host.Text(fmt.Sprint("hot", i%3)), {}, {}}, nil)
	}
	if k.entries > maxEntries {
		t.Errorf("%d entries", k.entries)
	}
	sum := 0
	for _, g := range k.groups {
		sum += len(g.events)
	}
	if sum != k.entries {
		t.Errorf("%d entries, counted as %d", sum, k.entries)
	}
	before := r.c.Evicted()
	for i := range 3 * maxEntries { // many events of many groups: whole groups go
		r.c.Add(r.start.Add(2*time.Minute), r.rules["a"], record{host.Text(fmt.Sprint("many", i%20)), {}, {}}, nil)
	}
	if k.entries > maxEntries || r.c.Evicted() == before {
		t.Errorf("%d entries, %d evicted", k.entries, r.c.Evicted()-before)
	}
	r.c.Advance(r.start.Add(3*time.Hour), nil)
	if len(k.groups) != 0 || k.entries != 0 || k.oldest != nil {
		t.Errorf("%d groups and %d entries left after their time", len(k.groups), k.entries)
	}
}
