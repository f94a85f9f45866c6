package incident

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/minehound/minehound/agent/detect"
)

// evidenceOf makes findings of the given weights in decibans, each of a rule of its own.
func evidenceOf(proof, capability, conduct, concealment float64) []detect.Finding {
	var out []detect.Finding
	for class, w := range map[detect.Class]float64{
		detect.Proof: proof, detect.Capability: capability, detect.Conduct: conduct, detect.Concealment: concealment,
	} {
		if w != 0 {
			out = append(out, detect.Finding{Rule: string(class), Class: class, Weight: detect.FromFloat(w)})
		}
	}
	return out
}

// TestJudge is the table of verdicts row by row, each boundary from both sides.
func TestJudge(t *testing.T) {
	tests := []struct {
		name                                    string
		proof, capability, conduct, concealment float64
		verdict                                 Verdict
		severity                                Severity
	}{
		{"nothing", 0, 0, 0, 0, Clean, Info},
		{"the least", 0, 0, 0.1, 0, Notice, Info},

		{"mining: the lightest proof", 43, 0, 0, 0, Mining, Critical},
		{"mining: a proof short of +13 dB is suspected", 42.9, 0, 0, 0, Suspected, Medium},
		{"mining: a proof lifted to +13 dB", 42.9, 0, 0.1, 0, Mining, Critical},
		{"mining: the sample alert", 60, 0, 0, 0, Mining, Critical},
		{"mining: everything without a proof", 0, 25, 20, 20, Mining, High},
		{"mining: without a proof, exactly", 0, 18, 20, 5, Mining, High},
		{"mining: total just short", 0, 18, 19.9, 5, Suspected, Medium},
		{"mining: capability exactly", 0, 15, 20, 8, Mining, High},
		{"mining: capability just short", 0, 14.9, 20, 8.1, Suspected, Medium},
		{"mining: conduct exactly", 0, 25, 5, 13, Mining, High},
		{"mining: conduct just short", 0, 25, 4.9, 13.1, Exposed, Medium},
		{"mining: concealment exactly", 0, 25, 13, 5, Mining, High},
		{"mining: concealment just short", 0, 25, 13.1, 4.9, Suspected, Medium},

		{"suspected: high above +13 dB", 0, 25, 18.1, 0, Suspected, High},
		{"suspected: medium at +13 dB", 0, 25, 18, 0, Suspected, Medium},
		{"suspected: a proof at even odds", 30, 0, 0, 0, Suspected, Medium},
		{"suspected: a proof just short", 29.9, 0, 0, 0, Notice, Info},
		{"suspected: at 0 dB", 0, 10, 20, 0, Suspected, Medium},
		{"suspected: total just short", 0, 10, 19.9, 0, Notice, Info},
		{"suspected: capability just short", 0, 9.9, 20, 10, Notice, Info},
		{"suspected: conduct exactly", 0, 25, 5, 0, Suspected, Medium},
		{"suspected: conduct just short", 0, 25, 4.9, 0.1, Exposed, Low},
		{"suspected: memory geometry and conduct alone", 0, 20, 15, 0, Suspected, Medium},

		{"exposed: exactly", 0, 15, 0, 0, Exposed, Low},
		{"exposed: just short", 0, 14.9, 0, 0, Notice, Info},
		{"exposed: hidden", 0, 15, 0, 10, Exposed, Medium},
		{"exposed: hidden, just short", 0, 15, 0, 9.9, Exposed, Low},
		{"exposed: at rest, well hidden", 0, 25, 0, 20, Exposed, Medium},

		{"load alone", 0, 0, 1000, 0, Notice, Info},
		{"a disguise alone", 0, 0, 0, 1000, Notice, Info},
		{"load in a disguise", 0, 0, 1000, 1000, Notice, Info},
		{"an honest hot program that mentions a miner", 0, 9, 20, 3, Notice, Info},
		{"capability is capped", 0, 1000, 0, 0, Exposed, Low},
		{"weights below zero count as none", 0, 15, -20, -5, Exposed, Low},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := Weigh(evidenceOf(tt.proof, tt.capability, tt.conduct, tt.concealment))
			if v, sev := Judge(s); v != tt.verdict || sev != tt.severity {
				t.Errorf("%v, %v; want %v, %v (sum %+v)", v, sev, tt.verdict, tt.severity, s)
			}
			if s.Total != s.Prior+s.Proof+s.Capability+s.Conduct+s.Concealment {
				t.Errorf("%+v does not add up", s)
			}
		})
	}
}

func TestWeigh(t *testing.T) {
	f := func(rule, group string, class detect.Class, weight float64) detect.Finding {
		return detect.Finding{Rule: rule, Group: group, Class: class, Weight: detect.FromFloat(weight)}
	}
	tests := []struct {
		name     string
		findings []detect.Finding
		want     string // proof capability conduct concealment total
	}{
		{"nothing", nil, "0.0 0.0 0.0 0.0 -30.0"},
		{"rules of one class add up", []detect.Finding{f("a", "", detect.Conduct, 3), f("b", "", detect.Conduct, 4.5)}, "0.0 0.0 7.5 0.0 -22.5"},
		{"of a group the strongest counts", []detect.Finding{f("a", "g", detect.Conduct, 3), f("b", "g", detect.Conduct, 5), f("c", "g", detect.Conduct, 4)}, "0.0 0.0 5.0 0.0 -25.0"},
		{"one rule on several members counts once", []detect.Finding{f("a", "", detect.Capability, 9), f("a", "", detect.Capability, 9)}, "0.0 9.0 0.0 0.0 -21.0"},
		{"a group reaches over one class", []detect.Finding{f("a", "g", detect.Capability, 9), f("b", "g", detect.Conduct, 10)}, "0.0 9.0 10.0 0.0 -11.0"},
		{"a rule named like a group is another", []detect.Finding{f("g", "", detect.Conduct, 3), f("b", "g", detect.Conduct, 4)}, "0.0 0.0 7.0 0.0 -23.0"},
		{"capability is capped", []detect.Finding{f("a", "", detect.Capability, 24.9), f("b", "", detect.Capability, 20)}, "0.0 25.0 0.0 0.0 -5.0"},
		{"conduct is capped", []detect.Finding{f("a", "", detect.Conduct, 19.9), f("b", "", detect.Conduct, 0.2)}, "0.0 0.0 20.0 0.0 -10.0"},
		{"concealment is capped", []detect.Finding{f("a", "", detect.Concealment, 12), f("b", "", detect.Concealment, 12)}, "0.0 0.0 0.0 20.0 -10.0"},
		{"proof is not", []detect.Finding{f("a", "", detect.Proof, 60), f("b", "", detect.Proof, 50)}, "110.0 0.0 0.0 0.0 80.0"},
		{"below zero counts as zero", []detect.Finding{f("a", "", detect.Conduct, 5), f("b", "", detect.Conduct, -3)}, "0.0 0.0 5.0 0.0 -25.0"},
		{"no class", []detect.Finding{f("a", "", "", 50), f("b", "", "novel", 50)}, "0.0 0.0 0.0 0.0 -30.0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for range 3 {
				s := Weigh(tt.findings)
				if got := fmt.Sprint(s.Proof, s.Capability, s.Conduct, s.Concealment, s.Total); got != tt.want {
					t.Errorf("%s, want %s", got, tt.want)
				}
				rand.Shuffle(len(tt.findings), func(i, j int) {
					tt.findings[i], tt.findings[j] = tt.findings[j], tt.findings[i]
				})
			}
		})
	}
}

// TestSampleAlert holds the arithmetic to the sample alert of the wire format.
func TestSampleAlert(t *testing.T) {
	s := Weigh([]detect.Finding{{Rule: "fp-rounding-spread", Class: detect.Proof, Weight: detect.FromFloat(60)}})
	got, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"prior":-30.0,"proof":60.0,"capability":0.0,"conduct":0.0,"concealment":0.0,"total":30.0}`; string(got) != want {
		t.Errorf("sum %s, want %s", got, want)
	}
	if v, sev := Judge(s); v != Mining || sev != Critical {
		t.Errorf("%v, %v", v, sev)
	}
	if got := Score(s.Total); got != 99.9 {
		t.Errorf("score %v, want 99.9", got)
	}
}

func TestScore(t *testing.T) {
	for total, want := range map[detect.Decibans]float64{
		-1000000: 0.1, -400: 0.1, -300: 0.1, -200: 1, -100: 9.1, -10: 44.3, 0: 50, 10: 55.7, 100: 90.9, 130: 95.2, 200: 99,
		300: 99.9, 600: 99.9, 1000000: 99.9,
	} {
		if got := Score(total); got != want {
			t.Errorf("Score(%v) = %v, want %v", total, got, want)
		}
	}
}

func drawFindings(t *rapid.T, label string) []detect.Finding {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) detect.Finding {
		return detect.Finding{
			Rule:   rapid.SampledFrom(strings.Split("abcdefghijkl", "")).Draw(t, "rule"),
			Group:  rapid.SampledFrom([]string{"", "", "g", "h"}).Draw(t, "group"),
			Class:  rapid.SampledFrom([]detect.Class{detect.Proof, detect.Capability, detect.Conduct, detect.Concealment, ""}).Draw(t, "class"),
			Weight: detect.Decibans(rapid.IntRange(-50, 700).Draw(t, "weight")),
		}
	}), 0, 12).Draw(t, label)
}

// TestMoreEvidence: more evidence never lowers a verdict, a severity, a score or any part of the sum, and the order in
// which it came does not matter.
func TestMoreEvidence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		some := drawFindings(t, "some")
		more := append(slices.Clone(some), drawFindings(t, "more")...)
		a, b := Weigh(some), Weigh(more)
		if b.Proof < a.Proof || b.Capability < a.Capability || b.Conduct < a.Conduct || b.Concealment < a.Concealment || b.Total < a.Total {
			t.Fatalf("the sum fell from %+v to %+v", a, b)
		}
		va, sa := Judge(a)
		vb, sb := Judge(b)
		if vb < va || sb < sa || Score(b.Total) < Score(a.Total) {
			t.Fatalf("%v %v fell to %v %v", va, sa, vb, sb)
		}
		if got := Weigh(rapid.Permutation(more).Draw(t, "order")); got != b {
			t.Fatalf("in another order the sum is %+v, not %+v", got, b)
		}
		if a.Total < Prior || a.Capability > CapCapability || a.Conduct > CapConduct || a.Concealment > CapConcealment {
			t.Fatalf("out of bounds: %+v", a)
		}
	})
}

func TestTexts(t *testing.T) {
	for v, want := range []string{"clean", "notice", "exposed", "suspected", "mining"} {
		v := Verdict(v)
		back, err := ParseVerdict(want)
		b, merr := json.Marshal(map[string]Verdict{"v": v})
		if v.String() != want || err != nil || back != v || merr != nil || string(b) != `{"v":"`+want+`"}` {
			t.Errorf("verdict %d: %q, %v, %v, %s, %v", v, v, back, err, b, merr)
		}
	}
	for s, want := range []string{"info", "low", "medium", "high", "critical"} {
		s := Severity(s)
		back, err := ParseSeverity(want)
		b, merr := json.Marshal(map[string]Severity{"s": s})
		if s.String() != want || err != nil || back != s || merr != nil || string(b) != `{"s":"`+want+`"}` {
			t.Errorf("severity %d: %q, %v, %v, %s, %v", s, s, back, err, b, merr)
		}
	}
	for _, bad := range []string{"", "Mining", "mining ", "unknown(9)"} {
		if v, err := ParseVerdict(bad); err == nil {
			t.Errorf("ParseVerdict(%q) = %v", bad, v)
		}
		if s, err := ParseSeverity(bad); err == nil {
			t.Errorf("ParseSeverity(%q) = %v", bad, s)
		}
		var in struct {
			V Verdict
			S Severity
		}
		if err := json.Unmarshal(fmt.Appendf(nil, `{"V":%q}`, bad), &in); err == nil {
			t.Errorf("verdict %q is read", bad)
		}
		if err := json.Unmarshal(fmt.Appendf(nil, `{"S":%q}`, bad), &in); err == nil {
			t.Errorf("severity %q is read", bad)
		}
	}
	if _, err := Verdict(9).MarshalText(); err == nil || Verdict(9).String() != "unknown(9)" {
		t.Errorf("verdict 9: %v, %v", Verdict(9), err)
	}
	if _, err := Severity(9).MarshalText(); err == nil || Severity(9).String() != "unknown(9)" {
		t.Errorf("severity 9: %v, %v", Severity(9), err)
	}
}
