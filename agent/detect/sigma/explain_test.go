package sigma

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/minehound/minehound/agent/host"
)

func TestExplain(t *testing.T) {
	set := compileOne(t, "sel:\n    field|endswith: /xmrig\n    third|gt: 5\nfilter:\n    other: root\nk:\n    - word\ncondition: sel and not filter or k")
	got := set.Explain(record{host.Text("/tmp/xmrig"), {}, host.Number(7)}, 0)
	want := Explanation{Truth: Unknown, Unknown: []string{"keywords", "other"}, Tests: []Tested{
		{5, "field|endswith: /xmrig", True}, {6, "third|gt: 5", True}, {8, "other: root", Unknown}, {10, "word", Unknown},
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	// What is decided without the unknown field is not blamed on it.
	got = set.Explain(record{host.Text("/bin/sh"), {}, host.Number(7)}, 0)
	if got.Truth != Unknown || !cmp.Equal(got.Unknown, []string{"keywords"}) {
		t.Errorf("%+v", got)
	}
	got = set.Explain(record{host.Text("/tmp/xmrig"), host.Text("www"), host.Number(7)}, 0)
	if got.Truth != True || got.Unknown != nil {
		t.Errorf("%+v", got)
	}
}

func TestEvidence(t *testing.T) {
	long := strings.Repeat("é", 300) + " --donate-level=1 " + strings.Repeat("x", 300)
	set := compileOne(t, `sel:
    field|contains|all:
        - '--DONATE-level'
        - 'xx'
    third|gte: 0.5
    other|exists: true
gone:
    other: nothing
also:
    - field|re: 'donate-\w+'
    - field: unseen
k:
    - donate
condition: sel and not gone and also and k`)
	rec := record{host.Text(long), host.Texts([]string{"a", "\xff\xfe\xff\xff"}), host.Number(0.912345678)}
	got := set.Evidence(rec, 0)
	if len(got) < 4 {
		t.Fatalf("%+v", got)
	}
	fields := map[string]string{}
	for _, m := range got {
		if len(m.Value) > MaxEvidence || !utf8.ValidString(m.Value) {
			t.Errorf("%+v", m)
		}
		fields[m.Field] += "|" + m.Value
	}
	if fields["third"] != "|0.912346" || fields["other"] != "|a" || !strings.Contains(fields["field"], "--donate-level=1") {
		t.Errorf("%+v", got)
	}
	if got := set.Evidence(record{host.Text("x"), {}, {}}, 0); got != nil {
		t.Errorf("evidence of a rule that does not hold: %v", got)
	}
}

func TestEvidenceValues(t *testing.T) {
	for _, c := range []struct {
		item  string
		value host.Value
		want  string
	}{
		{"field: null", host.Absent(), "(none)"},
		{"field|gt: 1", host.Numbers([]float64{2, 0.25}), "2 0.25"},
		{"field: true", host.Bool(true), "true"},
		{"field: b", host.Texts([]string{"a", "B"}), "B"},
		{"field|cidr: 10.0.0.0/8", host.Texts([]string{"1.1.1.1", "10.0.0.1"}), "10.0.0.1"},
		{"field|gt: 5", host.Texts([]string{"1", "9"}), "9"},
		{"field|contains|cased: B", host.Texts([]string{"b", "aB"}), "aB"},
		{"field|exists: true", host.Text("\xff\xff"), "?"},
	} {
		set := compileOne(t, "s:\n"+indent(c.item)+"condition: s")
		got := set.Evidence(record{c.value, {}, {}}, 0)
		if len(got) != 1 || got[0] != (Match{"field", c.want}) {
			t.Errorf("%s: %+v, want %q", c.item, got, c.want)
		}
	}
}

func TestMissing(t *testing.T) {
	for _, c := range []struct {
		detection string
		missing   []string
		can       bool
	}{
		{"s: {field: x, Hashes: y, Signed: z}\ncondition: s", []string{"Hashes", "Signed"}, false},
		{"s: {field: x}\nf: {Hashes: y}\ncondition: s or f", []string{"Hashes"}, true},
		{"s: {field: x}\nf: {Hashes: y}\ncondition: s and not f", []string{"Hashes"}, false},
		{"s: {field: x}\nf: {Hashes: y}\ncondition: s and not (f and s)", []string{"Hashes"}, true},
		{"s: {field|fieldref: Hashes}\ncondition: s", []string{"Hashes"}, false},
		{"s: [word]\ncondition: s", nil, true},
		{"s: {field|expand: '%x%'}\ncondition: not s", nil, true},
	} {
		rules, err := Parse("t.yml", []byte(ruleText(c.detection)))
		if err != nil {
			t.Fatal(err)
		}
		if got := rules[0].Missing(testSchema()); !cmp.Equal(got, c.missing) {
			t.Errorf("%s: missing %v", c.detection, got)
		}
		if got := rules[0].CanFire(testSchema()); got != c.can {
			t.Errorf("%s: can fire %v", c.detection, got)
		}
	}
	// A field the schema does not have is unknown in every record.
	set := compileOne(t, "s: {field: x}\nf: {Hashes: y}\ncondition: s and not f")
	if x := set.Explain(record{host.Text("x")}, 0); x.Truth != Unknown || !cmp.Equal(x.Unknown, []string{"Hashes"}) {
		t.Errorf("%+v", x)
	}
}

// TestLongText: where a regular expression does not look, there may be a match.
func TestLongText(t *testing.T) {
	pad := strings.Repeat("x ", maxRegexText/2)
	for _, c := range []struct {
		re, text string
		want     Truth
	}{
		{"stratum", "stratum " + pad, True},
		{"stratum", pad + "stratum", Unknown},
		{"stratum", pad, False},
		{"x $", pad + "y", Unknown}, // the cut is not the end
		{"x $", pad, True},
	} {
		set := compileOne(t, "s:\n    field|re: '"+c.re+"'\ncondition: s")
		rec := record{host.Text(c.text), host.Absent(), host.Absent()}
		if got := set.Explain(rec, 0).Truth; got != c.want {
			t.Errorf("%s in %d bytes is %v", c.re, len(c.text), got)
		}
		if got := len(set.Match(rec, nil)) == 1; got != (c.want == True) {
			t.Errorf("%s in %d bytes matches: %v", c.re, len(c.text), got)
		}
	}
}

// TestNoAllocations is the promise of Match, on real rules. Those with regular expressions are left to the benchmark: the
// race detector makes regexp's pools forget at random.
func TestNoAllocations(t *testing.T) {
	var rules []*Rule
	for _, r := range processRules(t, 1000) {
		tree, err := r.build(nil)
		if err != nil {
			t.Fatal(err)
		}
		expressions := 0
		tree.eachTest(func(t *test) {
			if t.kind == testRegexp {
				expressions++
			}
		})
		if expressions == 0 {
			rules = append(rules, r)
		}
	}
	if len(rules) < 900 {
		t.Fatalf("only %d rules are left", len(rules))
	}
	set, _ := Compile(rules, processSchema())
	hits := make([]int, 0, 64)
	for i, rec := range processRecords() {
		set.Match(rec, hits) // once for the scratch space to grow
		if n := testing.AllocsPerRun(50, func() { hits = set.Match(rec, hits[:0]) }); n > 0 {
			t.Errorf("record %d: %g allocations", i, n)
		}
	}
}

// TestGenerations: nothing of a record may be left over after the counter of records has gone round.
func TestGenerations(t *testing.T) {
	set := compileOne(t, "s: {field|contains: xmrig, other: y}\ncondition: s")
	yes, no := record{host.Text("xmrig"), host.Text("y"), {}}, record{host.Text("nothing"), host.Text("z"), {}}
	set.m.gen = 0
	set.Match(yes, nil) // generation 1
	set.m.gen = ^uint32(0)
	if hits := set.Match(no, nil); len(hits) > 0 {
		t.Error("a record of the first round still counts")
	}
	if hits := set.Match(yes, nil); len(hits) != 1 {
		t.Error("the record after the turn does not match")
	}
}
