package sigma

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/minehound/minehound/agent/host"
)

// FuzzParse: no file makes the parser fail otherwise than with errors that name the file, and what it takes compiles.
func FuzzParse(f *testing.F) {
	f.Add([]byte(wholeRule))
	f.Add([]byte(baseRules + "---\n" + correlationText("type: temporal\nrules: [a, b]\ngroup-by: [field]\ntimespan: 10s\ncondition: a and not b")))
	f.Add([]byte(itemRule("field|windash|contains|all: [' -a ', \"/b\"]")))
	f.Add([]byte(itemRule("'|re|i': 'a{2,5}|b$'")))
	f.Add([]byte(itemRule("field|expand: '%a%b'")))
	f.Add([]byte("title: &a [*a]\n<<: *a\n"))
	f.Add([]byte("a: !!binary x\n? [b]\n: c\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		rules, err := Parse("f.yml", data)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f.yml:") {
				t.Errorf("%q: %v", data, err)
			}
			if rules != nil {
				t.Error("rules and an error")
			}
			return
		}
		set, errs := Compile(rules, testSchema())
		for _, err := range errs {
			var e *Error
			if !errors.As(err, &e) || !strings.Contains(e.Reason, "expand") && !strings.Contains(e.Reason, "placeholder") {
				t.Errorf("%q passed Parse: %v", data, err)
			}
		}
		for i := range set.Rules() {
			if set.Explain(record{}, i).Truth == True {
				// Only what asks for nothing can be true of a record that knows nothing.
				if len(set.Rules()[i].FieldNames()) > 0 {
					t.Errorf("%q fires on the unknown", data)
				}
			}
		}
		NewCorrelator(rules, set)
	})
}

// FuzzCondition: the parser ends, and what it takes resolves or says why not.
func FuzzCondition(f *testing.F) {
	for _, s := range []string{"a and not (b or 1 of c*)", "all of them", "1 of *x*", "not not a", "a | count() > 5", "((("} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := parseCondition(s)
		var e *condError
		if err != nil {
			if !errors.As(err, &e) || e.reason == "" {
				t.Errorf("%q: %v", s, err)
			}
			return
		}
		n, err := c.resolve([]string{"a", "b", "c1", "_d"}, func(name string) *node {
			if !slices.Contains([]string{"a", "b", "c1", "_d"}, name) {
				return nil
			}
			return testNode(&test{field: name})
		})
		if (n == nil) == (err == nil) {
			t.Errorf("%q: %v, %v", s, n, err)
		}
	})
}

// fuzzRule has an item with the value and the modifiers chosen.
func fuzzRule(mods uint8, val string) string {
	chains := []string{"", "|contains", "|startswith", "|endswith", "|re", "|cased", "|contains|cased", "|windash|contains", "|re|i",
		"|base64offset|contains", "|wide", "|gt", "|cidr", "|hour", "|neq", "|contains|windash|cased"}
	var b strings.Builder
	for _, r := range val {
		if r == '\'' {
			b.WriteByte('\'')
		}
		b.WriteRune(r)
	}
	quoted := "'" + b.String() + "'"
	if mods&0x80 != 0 {
		quoted = val
	}
	key := "field" + chains[int(mods&0x0f)]
	if mods&0x10 != 0 {
		key = "'" + strings.TrimPrefix(key, "field") + "'"
		return ruleText("s:\n    " + key + ": " + quoted + "\nother: {other: ab}\ncondition: s or not other")
	}
	return ruleText("s:\n    " + key + ": " + quoted + "\nother: {other: ab}\ncondition: s and not other")
}

// FuzzMatch holds the prefiltered Set against plain evaluation and against the reference, one item and one record at a time.
func FuzzMatch(f *testing.F) {
	f.Add(uint8(0), "a*b?c", "axxbyc", "ab", uint8(0))
	f.Add(uint8(1), "Straße", "STRAßE und Kelvin \u212A", "", uint8(1))
	f.Add(uint8(4), `(?i)foo.*bar|baz{2,3}$`, "FOO\nbar bazz", "ab", uint8(2))
	f.Add(uint8(7), " -a/b ", "x —a–b y", "ab", uint8(3))
	f.Add(uint8(0x90), "0x17", "\xff\xfe", "AB", uint8(4))
	f.Add(uint8(3), `\\*\?\*x`, `\\yy?*X`, "é", uint8(5))
	f.Add(uint8(15), "a-*-b", "a—xx/b", "ab", uint8(0))
	f.Add(uint8(0x80), "-0", "0", "", uint8(2))
	f.Fuzz(func(t *testing.T, mods uint8, val, text, other string, kinds uint8) {
		if len(val) > 200 || len(text) > 2000 || len(other) > 2000 {
			return
		}
		rules, err := Parse("f.yml", []byte(fuzzRule(mods, val)))
		if err != nil {
			return
		}
		set, errs := Compile(rules, testSchema())
		if errs != nil {
			t.Fatal(errs)
		}
		rec := record{host.Text(text), host.Text(other), host.Absent()}
		switch kinds % 6 {
		case 1:
			rec[0] = host.Texts([]string{other, text})
		case 2:
			n, _ := parseNumber(text)
			rec[0] = host.Number(n)
		case 3:
			rec[0], rec[1] = host.Absent(), host.Value{}
		case 4:
			rec[1] = host.Bool(len(other) > 2)
		case 5:
			rec[0] = host.Numbers([]float64{23, float64(len(text))})
		}
		truth(t, set, rec)
		for _, m := range set.Evidence(rec, 0) {
			if len(m.Value) > MaxEvidence {
				t.Errorf("evidence of %d bytes", len(m.Value))
			}
		}
	})
}
