package sigma

import (
	"errors"
	"strings"
	"testing"

	"github.com/minehound/minehound/agent/host"
)

// TestConditions evaluates conditions over searches a1, a2, b, _c that each hold when the field has their letter and digit.
func TestConditions(t *testing.T) {
	searches := "a1: {field|contains: a1}\na2: {field|contains: a2}\nb: {field|contains: b}\n_c: {field|contains: cc}\n"
	cases := []struct {
		condition string
		yes, no   string // space-separated texts; "-" is the text without any
	}{
		{"a1", "a1 a1b", "- b"},
		{"a1 and b", "a1b", "a1 b"},
		{"a1 or b", "a1 b", "-"},
		{"not a1", "- b", "a1"},
		{"not not a1", "a1", "-"},
		{"a1 or a2 and b", "a1 a2b", "a2 b"}, // and binds closer
		{"(a1 or a2) and b", "a1b a2b", "a1 b"},
		{"not a1 and b", "b", "a1b -"}, // not binds closest
		{"not (a1 and b)", "a1 b -", "a1b"},
		{"1 of a*", "a1 a2", "b -"},
		{"any of a*", "a1 a2", "b -"},
		{"all of a*", "a1a2", "a1 a2"},
		{"all of a* and not b", "a1a2", "a1a2b"},
		{"not 1 of a*", "b -", "a1 a2"},
		{"1 of them", "a1 a2 b", "- cc"}, // not _c
		{"all of them", "a1a2b", "a1b a1a2cc"},
		{"1 of *1", "a1", "a2"},
		{"1 of _*", "cc", "a1"},
		{"1 of *", "cc a1", "-"},
		{"1 of b", "b", "a1"},
		{"all of _c", "cc", "-"},
		{"A1 OR (a2) AND NOT b", "", ""}, // identifiers keep their case: refused
		{"a1 AND NOT b", "a1", "a1b b"},
		{"((a1))or((b))", "a1 b", "-"},
		{"[a1 and b, a2]", "a1b a2", "a1 b"},
	}
	for _, c := range cases {
		rules, err := Parse("t.yml", []byte(ruleText(searches+"condition: "+c.condition)))
		if c.yes == "" {
			if err == nil || !strings.Contains(err.Error(), "`A1`, which is not defined (did you mean a1?)") {
				t.Errorf("%s: %v", c.condition, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.condition, err)
			continue
		}
		set, errs := Compile(rules, testSchema())
		if errs != nil {
			t.Fatal(errs)
		}
		for want, list := range map[Truth]string{True: c.yes, False: c.no} {
			for _, text := range strings.Fields(list) {
				if got := truth(t, set, record{host.Text(text), host.Absent(), host.Absent()}); got != want {
					t.Errorf("%s with %q is %v", c.condition, text, got)
				}
			}
		}
	}
}

// TestKleene holds not, and, or against the tables of three-valued logic.
func TestKleene(t *testing.T) {
	values := map[Truth]host.Value{True: host.Text("x"), False: host.Text("y"), Unknown: {}}
	and := func(a, b Truth) Truth {
		switch {
		case a == False || b == False:
			return False
		case a == True && b == True:
			return True
		}
		return Unknown
	}
	not := func(a Truth) Truth { return [...]Truth{Unknown, True, False}[a] }
	detection := "a: {field: x}\nb: {other: x}\ncondition: "
	for _, c := range []struct {
		condition string
		want      func(a, b Truth) Truth
	}{
		{"a and b", and},
		{"a or b", func(a, b Truth) Truth { return not(and(not(a), not(b))) }},
		{"not a", func(a, _ Truth) Truth { return not(a) }},
		{"not (a and b)", func(a, b Truth) Truth { return not(and(a, b)) }},
		{"not (a or b)", func(a, b Truth) Truth { return and(not(a), not(b)) }},
		{"not (not a and not b)", func(a, b Truth) Truth { return not(and(not(a), not(b))) }},
		{"a and not b", func(a, b Truth) Truth { return and(a, not(b)) }},
		{"all of them", and},
	} {
		set := compileOne(t, detection+c.condition)
		for a, va := range values {
			for b, vb := range values {
				if got := truth(t, set, record{va, vb, host.Absent()}); got != c.want(a, b) {
					t.Errorf("%s with %v, %v is %v, want %v", c.condition, a, b, got, c.want(a, b))
				}
			}
		}
	}
}

// TestSearches has the forms a search can take, from "Lists", "Maps" and "Keywords search".
func TestSearches(t *testing.T) {
	text := func(a, b string) record { return record{host.Text(a), host.Text(b), host.Absent()} }
	cases := []struct {
		name, detection string
		yes, no         []record
	}{
		{"map is and", "sel:\n    field: a\n    other: b\ncondition: sel",
			[]record{text("a", "b")}, []record{text("a", "x"), text("x", "b")}},
		{"list of maps is or", "sel:\n    - field|endswith: '\\\\example.exe'\n    - other|contains: 'Test executable'\ncondition: sel",
			[]record{text(`c:\example.exe`, ""), text("", "a test executable")}, []record{text("example.exe", "test")}},
		{"keywords", "keywords:\n    - 'EVILSERVICE'\n    - 'svchost.exe -n evil'\ncondition: keywords",
			[]record{text("an EvilService ran", ""), text("", "svchost.exe -n evil"), {host.Absent(), host.Texts([]string{"a", "evilservice"}), host.Absent()}},
			[]record{text("evil service", "svchost.exe"), {host.Number(5), host.Absent(), host.Bool(true)}}},
		{"keywords all", "k:\n    '|all':\n        - 'OabVirtualDirectory'\n        - ' -ExternalUrl '\ncondition: k",
			[]record{text("set oabvirtualdirectory", "x -externalurl y"), text("OabVirtualDirectory -ExternalUrl x", "")}, []record{text("OabVirtualDirectory", "")}},
		{"keyword regexp", "k:\n    '|re': 'ev[io]l'\ncondition: k", []record{text("", "an evol")}, []record{text("EVIL", "")}},
		{"one keyword", "k: mimikatz\ncondition: k", []record{text("", "x mimikatz y")}, []record{text("mimi", "katz")}},
		{"keyword with wildcard", "k:\n    - 'a*z'\ncondition: k", []record{text("xxabczxx", "")}, []record{text("a", "z")}},
		{"keyword number", "k:\n    - 4625\ncondition: k", []record{text("id 4625 failed", "")}, []record{text("id 462", "")}},
		{"list of both", "sel:\n    - field: a\n    - word\ncondition: sel", []record{text("a", ""), text("", "a word here")}, []record{text("b", "")}},
	}
	for _, c := range cases {
		set := compileOne(t, c.detection)
		for want, recs := range map[Truth][]record{True: c.yes, False: c.no} {
			for _, rec := range recs {
				if got := truth(t, set, rec); got != want {
					t.Errorf("%s: %v is %v", c.name, rec, got)
				}
			}
		}
	}
	// A keyword that was not found may stand in the field that was not seen.
	set := compileOne(t, "k:\n    - evil\ncondition: not k")
	if got := truth(t, set, record{host.Text("good"), {}, host.Absent()}); got != Unknown {
		t.Errorf("not keywords with an unknown field is %v", got)
	}
}

func TestConditionErrors(t *testing.T) {
	for condition, reason := range map[string]string{
		"":                             "the condition is empty",
		"a1 |  count() > 5":            "aggregation that version 2 of Sigma has dropped",
		"a1 and":                       "ends where a search identifier was expected",
		"and a1":                       "has `and` where a search identifier was expected",
		"(a1":                          "is not closed",
		"a1)":                          "does not go on with `)`",
		"a1 a2":                        "does not go on with `a2`",
		"2 of a*":                      "`2 of` is not in the specification",
		"1 of":                         "`of` must be followed",
		"1 of (a1)":                    "`of` must be followed",
		"a*":                           "without `1 of` or `all of`",
		"()":                           "has `)` where",
		"not":                          "ends where",
		strings.Repeat("(", 70) + "a1": "nests too deep",
		strings.Repeat("not ", 70):     "nests too deep",
		strings.Repeat("a or ", 2000):  "too long",
	} {
		_, err := parseCondition(condition)
		var e *condError
		if !errors.As(err, &e) || !strings.Contains(e.reason, reason) {
			t.Errorf("%q: %v, want %q", clip(condition, 40), err, reason)
		}
	}
}
