package sigma

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const wholeRule = `title: A title
id: 929a690e-bef0-4204-a928-ef5e620d6fcc
name: the-name
related:
  - {id: 08fbc97d-0a2f-491c-ae21-8ffcfd3174e9, type: derived}
taxonomy: sigma
status: experimental
description: |
  Two
  lines
license: MIT
author: Somebody
references:
  - https://example.org/
date: 2024-08-08
modified: 2024-08-09
logsource: {product: minehound, category: process_activity, definition: prose}
detection:
  sel: {field: x}
  condition: sel
fields: [field]
falsepositives: [none]
level: high
tags: [attack.t1496.001]
scope: [server]
minehound: {class: concealment, weight: 12.5, group: exe-gone}
`

func TestParse(t *testing.T) {
	rules, err := Parse("rules/x.yml", []byte(wholeRule))
	if err != nil {
		t.Fatal(err)
	}
	r := rules[0]
	r.searches, r.conditions, r.conditionLine = nil, nil, 0
	want := &Rule{
		File: "rules/x.yml", Line: 1, Name: "the-name", ID: "929a690e-bef0-4204-a928-ef5e620d6fcc", Title: "A title",
		Description: "Two\nlines\n", Author: "Somebody", License: "MIT", Status: "experimental", Level: "high", Date: "2024-08-08",
		Modified: "2024-08-09", Tags: []string{"attack.t1496.001"}, References: []string{"https://example.org/"},
		FalsePositives: []string{"none"}, Fields: []string{"field"}, Related: []Related{{"08fbc97d-0a2f-491c-ae21-8ffcfd3174e9", "derived"}},
		LogSource: LogSource{"process_activity", "minehound", "", "prose"}, Weighing: &Weighing{"concealment", 12.5, "exe-gone"},
	}
	if d := cmp.Diff(want, r, cmp.AllowUnexported(Rule{})); d != "" {
		t.Error(d)
	}
}

func TestParseDocuments(t *testing.T) {
	rules, err := Parse("dir/many.yml", []byte("---\n"+ruleText("s: {field: x}\ncondition: s")+"---\n# nothing\n---\nname: second\n"+ruleText("s: {field: y}\ncondition: s")))
	if err != nil {
		t.Fatal(err)
	}
	if len(rules) != 2 || rules[0].Name != "many" || rules[1].Name != "second" || rules[1].Line < 8 {
		t.Errorf("%+v", rules)
	}
}

// TestCustomKeys: the rules of others may have attributes of their own, ours may not, and nobody may misspell one.
func TestCustomKeys(t *testing.T) {
	rules, err := Parse("t.yml", []byte(ruleText("s: {field: x}\ncondition: s")+"x_internal: {a: 1}\n"))
	if err != nil || !cmp.Equal(rules[0].Custom, []string{"x_internal"}) {
		t.Errorf("%v, %v", rules, err)
	}
	_, err = Parse("t.yml", []byte(ruleText("s: {field: x}\ncondition: s")+"x_internal: 1\nminehound: {class: proof, weight: 43}\n"))
	if err == nil || err.Error() != `t.yml:6: rule t: unknown key "x_internal"` {
		t.Error(err)
	}
}

func TestParseErrors(t *testing.T) {
	sel := ruleText("s: {field: x}\ncondition: s")
	cases := []struct {
		name, text, want string
	}{
		{"misspelled key", sel + "falsepositive: [x]\n", `t.yml:6: rule t: unknown key "falsepositive" (did you mean falsepositives?)`},
		{"misspelled block", sel + "minehuond: {}\n", `t.yml:6: rule t: unknown key "minehuond" (did you mean minehound?)`},
		{"unknown key in the block", sel + "minehound: {class: proof, wieght: 5}\n", `t.yml:6: rule t: unknown key "minehound.wieght" (did you mean minehound.weight?)`},
		{"weight as text", sel + "minehound: {class: proof, weight: '5'}\n", `t.yml:6: rule t: minehound.weight must be a number of decibans, not "5"`},
		{"no class", sel + "minehound: {weight: 5}\n", "t.yml:6: rule t: minehound needs class and weight"},
		{"block as text", sel + "minehound: proof\n", `t.yml:6: rule t: minehound must be a map, not "proof"`},
		{"double key", "title: a\ntitle: b\n", `t.yml:2: a rule has the key "title" twice (put the values into one list)`},
		{"double item", ruleText("s:\n    field: a\n    field: b\ncondition: s"), `t.yml:6: rule t: s has the key "field" twice (put the values into one list)`},
		{"no title", strings.TrimPrefix(sel, "title: t\n"), "t.yml:1: rule t: the rule has no title"},
		{"no logsource", "title: t\ndetection:\n  s: {field: x}\n  condition: s\n", "t.yml:1: rule t: the rule has no logsource"},
		{"empty logsource", "title: t\nlogsource: {definition: x}\n", "t.yml:2: rule t: logsource names no category, product or service"},
		{"misspelled logsource", "title: t\nlogsource: {catgory: x}\n", `t.yml:2: rule t: unknown key "logsource.catgory" (did you mean logsource.category?)`},
		{"no detection", "title: t\nlogsource: {category: x}\n", "t.yml:1: rule t: the rule has neither detection nor correlation"},
		{"status", sel + "status: good\n", `t.yml:6: rule t: status is "good", must be one of stable, test, experimental, deprecated, unsupported`},
		{"level", sel + "level: 5\n", `t.yml:6: rule t: level is "5", must be one of informational, low, medium, high, critical`},
		{"tags", sel + "tags: attack.t1496\n", `t.yml:6: rule t: tags must be a list, not "attack.t1496"`},
		{"list as title", "title: [a]\n", "t.yml:1: rule t: title must be a single value, not a list"},
		{"taxonomy", sel + "taxonomy: ecs\n", `t.yml:6: rule t: taxonomy "ecs" is not known, only sigma is`},
		{"filter", "title: t\nfilter: {}\n", "t.yml:2: rule t: a Sigma filter is no rule (use the allow list of the configuration, or `and not` in the rule)"},
		{"action", "title: t\naction: global\n", "t.yml:2: rule t: `action` is the rule collection of version 1 of Sigma, which version 2 has dropped"},
		{"related", sel + "related: [{id: x, type: cousin}]\n", `t.yml:6: rule t: related.type is "cousin", must be one of derived, obsolete, obsoletes, merged, renamed, similar`},
		{"generate", sel + "generate: true\n", "t.yml:1: rule t: generate belongs to a correlation"},
		{"not YAML", "title: [\n", "t.yml:1: not YAML: did not find expected node content"},
		{"nothing", "# nothing\n", "t.yml: there is no rule in the file"},
		{"a list", "- a\n", "t.yml:1: a rule must be a map, not a list"},
		{"tag", "title: !!binary aGk=\n", "t.yml:1: rule t: title has the YAML tag !!binary, which means nothing in a rule"},
		{"merge", "a: &a {x: y}\n<<: *a\n", "t.yml:2: merge keys (<<) are not part of YAML 1.2"},

		{"no condition", ruleText("s: {field: x}"), "t.yml:3: rule t: the detection has no condition"},
		{"no search", ruleText("condition: s"), "t.yml:3: rule t: the detection has a condition but no search"},
		{"unknown search", ruleText("sel: {field: x}\ncondition: sle"), "t.yml:5: rule t: the condition names `sle`, which is not defined (did you mean sel?)"},
		{"empty pattern", ruleText("sel: {field: x}\ncondition: 1 of filter*"), "t.yml:5: rule t: no search identifier is one of `filter*`"},
		{"timeframe", ruleText("s: {field: x}\ntimeframe: 5m\ncondition: s"), "t.yml:5: rule t: timeframe belongs to the aggregation that version 2 of Sigma has dropped (write a correlation rule)"},
		{"empty list", ruleText("s: {field: []}\ncondition: s"), "t.yml:4: rule t: field has an empty list of values"},
		{"empty search", ruleText("s: {}\ncondition: s"), "t.yml:4: rule t: s is an empty map"},
		{"map as value", ruleText("s: {field: {a: b}}\ncondition: s"), "t.yml:4: rule t: a value of field must be a single value, not a map"},
		{"list in list", ruleText("s: [[a]]\ncondition: s"), "t.yml:4: rule t: s has a list inside a list"},

		{"modifier", itemRule("field|contain: x"), "t.yml:5: rule t: field|contain: there is no modifier \"contain\" in Sigma (did you mean contains?)"},
		{"modifier twice", itemRule("field|all|all: x"), "t.yml:5: rule t: field|all|all has the modifier all twice"},
		{"flag alone", itemRule("field|i: x"), "t.yml:5: rule t: field|i: the modifier i must follow re"},
		{"two places", itemRule("field|contains|endswith: x"), "t.yml:5: rule t: field|contains|endswith: contains, startswith and endswith exclude each other"},
		{"two kinds", itemRule("field|re|cidr: x"), "t.yml:5: rule t: field|re|cidr: cidr and re exclude each other"},
		{"all and neq", itemRule("field|all|neq: [x, y]"), "t.yml:5: rule t: field|all|neq: all and neq together can be read in two ways (write a search of its own and `not` in the condition)"},
		{"re and contains", itemRule("field|re|contains: x"), "t.yml:5: rule t: field|re|contains: re cannot be joined with contains (a regular expression matches anywhere already; use ^ and $)"},
		{"keyword cidr", itemRule("'|cidr': 10.0.0.0/8"), "t.yml:5: rule t: |cidr: this modifier needs a field"},
		{"null contains", itemRule("field|contains: null"), "t.yml:5: rule t: field|contains: null cannot be changed or compared"},
		{"number", itemRule("field|gt: many"), "t.yml:5: rule t: field|gt: \"many\" is not a number"},
		{"network", itemRule("field|cidr: 10.0.0.0"), "t.yml:5: rule t: field|cidr: \"10.0.0.0\" is not a network like 10.0.0.0/8 or fe80::/10"},
		{"exists", itemRule("field|exists: 'true'"), "t.yml:5: rule t: field|exists: exists takes one value, true or false"},
		{"exists yes", itemRule("field|exists: yes"), "t.yml:5: rule t: field|exists: exists takes one value, true or false"},
		{"encoded wildcard", itemRule("field|base64: 'a*'"), "t.yml:5: rule t: field|base64: a wildcard cannot be encoded by base64 (escape it as \\* or \\?, and put contains after base64)"},
		{"wrong order", itemRule("field|contains|base64: a"), "t.yml:5: rule t: field|contains|base64: a wildcard cannot be encoded by base64 (escape it as \\* or \\?, and put contains after base64)"},
		{"short base64", itemRule("field|base64offset|contains: a"), "t.yml:5: rule t: field|base64offset|contains: \"a\" is too short to be recognized inside Base64"},
		{"dashes", itemRule("field|windash|base64: '-----'"), "t.yml:5: rule t: field|windash|base64: too many dashes to spell them all out for base64"},
		{"program", itemRule("field|re: '((a{100}){100}){10}'"), "t.yml:5: rule t: field|re: \"((a{100}){100}){10}\" is not a regular expression this program runs: error parsing regexp: invalid repeat count: `{100}`"},
		{"long program", itemRule("field|re: '(abcdefghijk){1000}'"), "t.yml:5: rule t: field|re: the regular expression grows to 13000 instructions, more than 10000"},
		{"empty regexp", itemRule("field|re: ''"), "t.yml:5: rule t: field|re: an empty regular expression matches everything"},
		{"empty keyword", ruleText("s: ['']\ncondition: s"), "t.yml:4: rule t: an empty keyword matches everything"},
	}
	for _, c := range cases {
		rules, err := Parse("t.yml", []byte(c.text))
		if err == nil || rules != nil {
			t.Errorf("%s: no error", c.name)
			continue
		}
		var e *Error
		if !errors.As(err, &e) || err.Error() != c.want {
			t.Errorf("%s:\ngot  %v\nwant %s", c.name, err, c.want)
		}
	}
	for _, lookaround := range []string{"a(?=b)", "(?!a)b", "(?<=a)b", "(?<!a)b", "(?>a)b", "a++", `(a)\1`} {
		_, err := Parse("t.yml", []byte(itemRule("field|re: '"+lookaround+"'")))
		if err == nil || !strings.Contains(err.Error(), "t.yml:5: rule t: field|re:") {
			t.Errorf("%s: %v", lookaround, err)
		}
	}
}

func itemRule(s string) string { return ruleText("s:\n    " + s + "\ncondition: s") }

// TestParseAllErrors: one look tells of every bad document of a file.
func TestParseAllErrors(t *testing.T) {
	_, err := Parse("t.yml", []byte("title: a\n---\n"+ruleText("s: {field: x}\ncondition: s")+"---\ntitle: b\nbad: 1\n"))
	want := "t.yml:1: rule t: the rule has neither detection nor correlation\nt.yml:9: rule t#3: the rule has neither detection nor correlation"
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

// TestParseBounds: what a hostile file can ask for ends at a bound.
func TestParseBounds(t *testing.T) {
	bomb := "title: t\nlogsource: {category: x}\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 9; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [%s*a%d]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9), i-1)
	}
	many := strings.Repeat("x, ", 900)
	wide := "title: t\nlogsource: {category: x}\nv: &v [" + many + "x]\ndetection:\n"
	for i := range 90 {
		wide += fmt.Sprintf("  s%d: {field: *v}\n", i)
	}
	for name, c := range map[string]struct{ text, want string }{
		"alias bomb":      {bomb + "detection: {s: *a8, condition: s}\n", "s has a list inside a list"},
		"aliases of many": {wide + "  condition: s1\n", "more than 50000 values"},
		"self":            {"title: &a [*a]\n", "title must be a single value"},
		"self in search":  {"title: t\nlogsource: {category: x}\ndetection:\n  s: &a [*a]\n  condition: s\n", "list inside a list"},
		"large":           {"# " + strings.Repeat("x", MaxFile), "more than 1048576"},
		"long value":      {itemRule("field: " + strings.Repeat("x", 9000)), "a value has 9000 bytes, more than 8192"},
		"deep":            {"title: " + strings.Repeat("[", 20000), "not YAML"},
	} {
		_, err := Parse("t.yml", []byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
