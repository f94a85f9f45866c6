package sigma

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/minehound/minehound/agent/host"
)

// testSchema is what the tests' records have.
func testSchema() *Schema {
	return NewSchema(Field{"field", "Field"}, Field{"other", ""}, Field{"third", ""})
}

// ruleText is a rule with a detection; lines of the detection are indented by four.
func ruleText(detection string) string {
	return "title: t\nlogsource: {category: process_creation}\ndetection:\n" + indent(detection)
}

func indent(s string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n    ") + "\n"
}

func compileOne(tb testing.TB, detection string, placeholders ...Placeholder) *Set {
	tb.Helper()
	rules, err := Parse("t.yml", []byte(ruleText(detection)))
	if err != nil {
		tb.Fatalf("%s\n%v", detection, err)
	}
	set, errs := Compile(rules, testSchema(), placeholders...)
	if len(errs) > 0 {
		tb.Fatalf("%s\n%v", detection, errs)
	}
	return set
}

// truth asks all three evaluators and wants one answer.
func truth(tb testing.TB, set *Set, rec record) Truth {
	tb.Helper()
	want := set.Explain(rec, 0).Truth
	if got := reference(set.schema, set.trees[0], rec); got != want {
		tb.Fatalf("%v: plain evaluation says %v, the reference %v", rec, want, got)
	}
	if got := len(set.Match(rec, nil)) == 1; got != (want == True) {
		tb.Fatalf("%v: plain evaluation says %v, the prefiltered set %v", rec, want, got)
	}
	return want
}

// TestValues has the specification's own examples and the corners around them: one item, values it matches, values it does
// not.
func TestValues(t *testing.T) {
	date := "2024-08-10T18:05:09Z" // a Saturday of ISO week 32
	cases := []struct {
		item    string
		yes, no []any
	}{
		// Case, wildcards and escapes, from "String Wildcard" and "Escaping".
		{`field: EVILSERVICE`, []any{"evilservice", "EvilService"}, []any{"evilservices", "", "xevilservice"}},
		{`field: 'prog?.exe'`, []any{"progA.exe", "progB.exe", "PROGé.EXE"}, []any{"prog.exe", "progAB.exe"}},
		{`field: 'antivirus_V*.exe'`, []any{"antivirus_V1.exe", "antivirus_V21.2.1.exe", "antivirus_v.exe"}, []any{"antivirus_V1.exe2", "antivirusV.exe"}},
		{`field: 'a\*b'`, []any{"a*b"}, []any{"axb", `a\b`, `a\*b`}},
		{`field: 'a\?b'`, []any{"a?b"}, []any{"axb"}},
		{`field: 'a\\*b'`, []any{`a\b`, `a\xyzb`}, []any{"a*b", "axb"}},
		{`field: 'a\\\*b'`, []any{`a\*b`}, []any{`a\xb`, "a*b"}},
		{`field: 'a\b'`, []any{`a\b`}, []any{"ab", `a\\b`}},
		{`field: 'a\\b'`, []any{`a\b`}, []any{`a\\b`}},
		{`field: 'a\\\b'`, []any{`a\\b`}, []any{`a\b`}},
		{`field: 'a\\\\b'`, []any{`a\\b`}, []any{`a\b`}},
		{`field: 'end\'`, []any{`end\`}, []any{"end"}},
		{`field: '*'`, []any{"", "x", 5, true, []string{"a"}}, []any{nil}},
		{`field: '?*?'`, []any{"ab", "éé"}, []any{"a", "é"}},
		{`field: 'a*b*c'`, []any{"abc", "axbxc", "abbc"}, []any{"acb", "ab"}},
		{`field: '*a?c*'`, []any{"abc", "xxaacxx", "aaxc"}, []any{"ac", "xacx"}},
		{`field: STRASSE`, []any{"strasse"}, []any{"straße"}}, // simple folding, as the regular expressions have it
		{`field: kelvin`, []any{"\u212Aelvin", "KELVIN"}, []any{"elvin"}},
		{`field: ΣΊΣΥΦΟΣ`, []any{"σίσυφος", "ΣΊΣΥΦΟΣ"}, []any{"σισυφος"}},

		// Special values.
		{`field: ''`, []any{"", []string{"x", ""}}, []any{nil, "x", 0}},
		{`field: null`, []any{nil, []string{}}, []any{"", "null", 0}},
		{`field:`, []any{nil}, []any{""}},
		{"field:\n    - null\n    - ''\n    - x", []any{nil, "", "X"}, []any{"y"}},
		{`field|exists: true`, []any{"", "x", 0, false}, []any{nil}},
		{`field|exists: false`, []any{nil}, []any{"", "x"}},

		// YAML's traps: what is written is what is meant.
		{`field: NO`, []any{"no", "NO"}, []any{"false", false}},
		{`field: yes`, []any{"YES"}, []any{"true", true}},
		{`field: true`, []any{true, "true", "TRUE"}, []any{false, "1"}},
		{`field: 'false'`, []any{false}, []any{true, 0}},
		{`field: 0o17`, []any{"0o17"}, []any{15, "15"}},
		{`field: 017`, []any{"017", 17}, []any{15, "15"}},
		{`field: 2024-01-01`, []any{"2024-01-01"}, []any{"2024-01-01T00:00:00Z"}},
		{`field: 12:30:45`, []any{"12:30:45"}, []any{45045}},
		{`field: 0x17`, []any{"0x17", 23}, []any{"23", 17}},
		{`field: '0x40810000'`, []any{"0x40810000", 0x40810000}, []any{"40810000"}},
		{`field: 4688`, []any{4688, "4688", []float64{1, 4688}}, []any{46880, "04688", 4688.5}},
		{`field: 1.0`, []any{1, "1.0"}, []any{"1", 1.5}},
		{`field: -5`, []any{-5, "-5"}, []any{5}},
		{`field: 1e3`, []any{1000, "1E3"}, []any{"1000"}},
		{`field|startswith: 46`, []any{4688, "46x"}, []any{1468, 4}},
		{"field:\n    - 517\n    - 1102", []any{517, 1102}, []any{5171102}},

		// Places.
		{`field|contains: lease`, []any{"RELEASED", "lease"}, []any{"leas", ""}},
		{`field|startswith: adm`, []any{"ADMIN", "adm"}, []any{"badm"}},
		{`field|endswith: '\cmd.exe'`, []any{`C:\Windows\System32\CMD.EXE`, `\cmd.exe`}, []any{"cmd.exe", `\cmd.exe.bak`}},
		{`field|endswith: 'a?c'`, []any{"xxabc", "aacaxc"}, []any{"abcd", "ac"}},
		{`field|contains: 'a*b'`, []any{"xaxbx"}, []any{"ba"}},
		{`field|contains: ''`, []any{"", "x"}, []any{nil}},
		{`field|contains: ab`, []any{"ab", "xABx"}, []any{"a b", "a"}}, // shorter than the scan looks for
		{`field|endswith: b`, []any{"ab", "B"}, []any{"ba", ""}},

		// Lists.
		{"field|contains|all:\n    - ' -a '\n    - ' -b '", []any{"x -b  -a y"}, []any{"x -a y", "x -b y"}},
		{"field|all|contains:\n    - one\n    - two", []any{"onetwo", []string{"one", "two"}}, []any{"one"}},
		{`field|contains: x`, []any{[]string{"a", "bxb"}}, []any{[]string{"a", "b"}, []string{}}},
		{`field|cased: Cmd`, []any{"Cmd"}, []any{"cmd", "CMD"}},
		{`field|contains|cased: Cmd`, []any{"xCmdx"}, []any{"xcmdx"}},
		{`field|neq: a`, []any{"b", "", nil, 3}, []any{"a", "A"}},
		{"field|neq:\n    - a\n    - 5", []any{"b", 4}, []any{"A", 5}},
		{`field|contains|neq: a`, []any{"b", nil}, []any{"xax"}},

		// windash: hyphen, slash, en dash, em dash, horizontal bar.
		{`field|windash|contains: ' -f '`, []any{"x -f y", "x /f y", "x –f y", "x —f y", "x ―F y"}, []any{"x _f y", "x f y", "x -f"}},
		{`field|windash|contains: ' /a-b '`, []any{" -a/b ", " /a-b ", " /a/b "}, []any{" a-b "}},
		{`field|windash: '-x'`, []any{"/x", "―X"}, []any{"--x", "x"}},

		// re and its flags.
		{`field|re: '^a.c$'`, []any{"abc"}, []any{"ABC", "a\nc", "xabc"}},
		{`field|re: 'b+'`, []any{"abbbc"}, []any{"ac", nil}},
		{`field|re|i: 'a.c'`, []any{"xABCx"}, []any{"a\nc"}},
		{`field|re|s: 'a.c'`, []any{"a\nc"}, []any{"A\nC"}},
		{`field|re|m: '^b$'`, []any{"a\nb\nc"}, []any{"a\nB\nc"}},
		{`field|re|i|m|s: '^B.c$'`, []any{"a\nb\nC"}, []any{"ab\nC"}},
		{"field|re:\n    - '^x'\n    - 'y$'", []any{"xa", "ay"}, []any{"ax"}},
		{"field|re|all:\n    - '^x'\n    - 'y$'", []any{"xy"}, []any{"xa"}},
		{`field|re: '(?:stratum|donate)\S+'`, []any{"a stratum+tcp://b", "donate-level"}, []any{"STRATUM+tcp", "stratum "}},
		{`field|re: '^4[0-9]{3}$'`, []any{4688, "4688"}, []any{468}},

		// Encodings; the Base64 of the specification's examples was made with base64(1).
		{`field|base64: 'http://'`, []any{"aHR0cDovLw=="}, []any{"http://"}},
		{`field|base64|contains: 'ping'`, []any{"x cGluZw== y"}, []any{"ping"}},
		{`field|base64offset|contains: 'http://'`, []any{"xaHR0cDovLx", "xodHRwOi8vx", "xh0dHA6Ly9x"}, []any{"http://"}},
		{`field|base64offset|contains: '/bin/bash'`, []any{"aWQ7L2Jpbi9iYXNoIC1p", "IC9iaW4vYmFzaCAt", "L2Jpbi9iYXNoIC1p"}, []any{"/bin/bash"}},
		{`field|utf16le: cmd`, []any{"c\x00m\x00d\x00"}, []any{"cmd", "\x00c\x00m\x00d"}},
		{`field|wide: cmd`, []any{"c\x00m\x00d\x00"}, []any{"cmd"}},
		{`field|utf16be: cmd`, []any{"\x00c\x00m\x00d"}, []any{"c\x00m\x00d\x00"}},
		{`field|utf16: cmd`, []any{"\xff\xfec\x00m\x00d\x00"}, []any{"c\x00m\x00d\x00"}},
		{`field|wide|base64offset|contains: 'ping'`, []any{"cABpAG4AZw", "JABwAGkAbgBnA", "cABwAGkAbgBnACAA"}, []any{"cGluZw=="}},
		{`field|windash|base64: '-a'`, []any{"LWE=", "L2E="}, []any{"YQ=="}},

		// Numbers.
		{`field|gt: 5`, []any{5.1, 6, "6", []float64{1, 9}}, []any{5, 4, "x", nil, true, ""}},
		{`field|gte: 5`, []any{5, "5.0"}, []any{4.9}},
		{`field|lt: 5`, []any{-1, "4"}, []any{5}},
		{`field|lte: 0.5`, []any{0.5, 0}, []any{0.51}},
		{"field|gte: 5\nfield|lt: 10", []any{5, 9.9}, []any{10, 4}},

		// Parts of a date.
		{`field|minute: 5`, []any{date}, []any{"2024-08-10T18:06:09Z", "2024-08-10", 5, "5"}},
		{`field|hour: 18`, []any{date, "2024-08-10 18:59"}, []any{"2024-08-10T17:00:00Z"}},
		{`field|hour|gte: 18`, []any{date}, []any{"2024-08-10T17:59:00Z"}},
		{`field|day: 10`, []any{date, "2024-08-10"}, []any{"2024-08-11"}},
		{`field|week: 32`, []any{date}, []any{"2024-08-12"}},
		{`field|month: 8`, []any{date}, []any{"2024-09-10", "2024-13-10"}},
		{`field|year|neq: 2024`, []any{"2023-01-01", "x"}, []any{date}},

		// Networks.
		{`field|cidr: 10.0.0.0/8`, []any{"10.1.2.3", "::ffff:10.1.2.3"}, []any{"11.1.2.3", "10.1.2", "10.1.2.3.4", "010.1.2.3", "x", "", nil}},
		{`field|cidr: 'fe80::/10'`, []any{"fe80::1", "fe80::1%eth0", "FE80::1"}, []any{"ff80::1", "fe80", "10.0.0.1"}},
		{"field|cidr:\n    - 192.168.0.0/16\n    - ::1/128", []any{"192.168.255.1", "::1", []string{"1.1.1.1", "::1"}}, []any{"192.169.0.1"}},

		// Other fields; the other one has "Root".
		{`field|fieldref: other`, []any{"Root", "ROOT"}, []any{"root2", nil}},
		{`field|fieldref|cased: other`, []any{"Root"}, []any{"ROOT"}},
		{`field|fieldref|neq: other`, []any{"user", nil}, []any{"root"}},
		{`field|fieldref|contains: other`, []any{"the root user"}, []any{"user"}},
		{`field|fieldref|startswith: other`, []any{"rooted"}, []any{"uproot"}},
		{`field|fieldref|endswith: other`, []any{"uproot"}, []any{"rooted"}},
		{`field|fieldref: field`, []any{"x", 5}, []any{nil}},

		// Both names of a field.
		{`Field: x`, []any{"x"}, []any{"y"}},
	}
	for _, c := range cases {
		set := compileOne(t, "sel:\n"+indent(c.item)+"condition: sel")
		for want, values := range map[Truth][]any{True: c.yes, False: c.no} {
			for _, v := range values {
				rec := record{value(v), host.Text("Root"), host.Absent()}
				if got := truth(t, set, rec); got != want {
					t.Errorf("%s with %#v is %v, want %v", c.item, v, got, want)
				}
			}
		}
		rec := record{host.Value{}, host.Text("Root"), host.Absent()}
		if got := truth(t, set, rec); got != Unknown {
			t.Errorf("%s with an unknown field is %v", c.item, got)
		}
		negated := compileOne(t, "sel:\n"+indent(c.item)+"condition: not sel")
		if got := truth(t, negated, rec); got != Unknown {
			t.Errorf("not %s with an unknown field is %v", c.item, got)
		}
	}
}

func value(v any) host.Value {
	switch v := v.(type) {
	case nil:
		return host.Absent()
	case string:
		return host.Text(v)
	case int:
		return host.Number(float64(v))
	case float64:
		return host.Number(v)
	case bool:
		return host.Bool(v)
	case []string:
		return host.Texts(v)
	case []float64:
		return host.Numbers(v)
	}
	panic(fmt.Sprintf("%T", v))
}

// TestExpand has the examples of "Placeholders".
func TestExpand(t *testing.T) {
	names := []Placeholder{
		{Name: "Servers", Values: []string{"srv*", "db1"}}, {Name: "name", Values: []string{"root"}}, {Name: "none"},
	}
	cases := []struct {
		item    string
		yes, no []any
	}{
		{`field: '%name%'`, []any{"%name%"}, []any{"root"}},
		{`field|expand: '%name%'`, []any{"ROOT"}, []any{"%name%"}},
		{`field|expand: '\%plain%name%'`, []any{"%plainroot"}, []any{"plainroot", `\%plainroot`}},
		{`field|expand: '%Servers%'`, []any{"srv01", "DB1"}, []any{"db12"}},
		{`field|expand|contains: 'a-%Servers%-%name%'`, []any{"xa-srv-9-rooty", "a-db1-root"}, []any{"a-db2-root"}},
		{`field|expand: '100%-%name%'`, []any{"100%-root"}, []any{"100"}},
		{`field|contains|expand: '%name%'`, []any{"xrooty"}, []any{"x"}},
	}
	for _, c := range cases {
		set := compileOne(t, "sel:\n"+indent(c.item)+"condition: sel", names...)
		for want, values := range map[Truth][]any{True: c.yes, False: c.no} {
			for _, v := range values {
				if got := truth(t, set, record{value(v), host.Absent(), host.Absent()}); got != want {
					t.Errorf("%s with %#v is %v, want %v", c.item, v, got, want)
				}
			}
		}
	}
	for item, reason := range map[string]string{
		`field|expand: '%missing%'`: "the placeholder %missing% has no value here",
		`field|expand: '%none%'`:    "the placeholder %none% has no value here",
		`field|expand: 'plain'`:     "has no %placeholder% to expand",
	} {
		rules, err := Parse("t.yml", []byte(ruleText("sel:\n"+indent(item)+"condition: sel")))
		if err != nil {
			t.Fatal(err)
		}
		set, errs := Compile(rules, testSchema(), names...)
		var e *Error
		if len(errs) != 1 || !errors.As(errs[0], &e) || !strings.Contains(e.Reason, reason) || e.Line != 5 || e.Rule != "t" {
			t.Errorf("%s: %v", item, errs)
		}
		if len(set.Rules()) != 0 {
			t.Errorf("%s: the refused rule is in the set", item)
		}
	}
}
