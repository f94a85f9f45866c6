package incident

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/minehound/minehound/agent/detect"
)

// Verdict is what the evidence says, weakest first so that verdicts compare.
type Verdict uint8

// The verdicts. See [Judge] for when each holds.
const (
	Clean Verdict = iota
	Notice
	Exposed
	Suspected
	Mining
)

// Severity is how much a verdict should hurry a person. Info is logged and never pages anybody.
type Severity uint8

// The severities, weakest first.
const (
	Info Severity = iota
	Low
	Medium
	High
	Critical
)

// The scale on which evidence is weighed. Prior says how rare a miner is among the programs that any rule ever fires
// for: one in a thousand. The caps keep one kind of evidence, of which rules see many sides that depend on each other,
// from making a case alone. All are tenths of a deciban.
const (
	Prior          detect.Decibans = -300
	CapCapability  detect.Decibans = 250
	CapConduct     detect.Decibans = 200
	CapConcealment detect.Decibans = 200
)

// What a sum must reach, in tenths of a deciban. 13 dB are odds of 20 to 1, 0 dB are even odds.
const (
	likely = 130
	even   = 0
)

// Sum is how the score came about, so that a person can check it. Weights are after the caps.
type Sum struct {
	Prior       detect.Decibans `json:"prior"`
	Proof       detect.Decibans `json:"proof"`
	Capability  detect.Decibans `json:"capability"`
	Conduct     detect.Decibans `json:"conduct"`
	Concealment detect.Decibans `json:"concealment"`
	Total       detect.Decibans `json:"total"`
}

// Weigh adds findings up. Of the findings of one class that share a group (or, without one, a rule) only the strongest
// counts, so the same rule on several processes counts once. A group reaches over one class only: otherwise a finding
// could push out a weaker one of a class that the verdict needs, and more evidence would say less. For the same reason
// a weight below zero counts as zero. A class that is none of the four weighs nothing. The order does not matter.
func Weigh(findings []detect.Finding) Sum {
	s := Sum{Prior: Prior}
	strongest := make([]*detect.Finding, 0, len(findings))
	for i := range findings {
		f := &findings[i]
		j := slices.IndexFunc(strongest, func(o *detect.Finding) bool { return o.Class == f.Class && sameGroup(o, f) })
		switch {
		case j < 0:
			strongest = append(strongest, f)
		case f.Weight > strongest[j].Weight:
			strongest[j] = f
		}
	}
	for _, f := range strongest {
		w := max(0, f.Weight)
		switch f.Class {
		case detect.Proof:
			s.Proof += w
		case detect.Capability:
			s.Capability = min(s.Capability+w, CapCapability)
		case detect.Conduct:
			s.Conduct = min(s.Conduct+w, CapConduct)
		case detect.Concealment:
			s.Concealment = min(s.Concealment+w, CapConcealment)
		}
	}
	s.Total = s.Prior + s.Proof + s.Capability + s.Conduct + s.Concealment
	return s
}

// sameGroup tells whether two findings do not add up.
func sameGroup(a, b *detect.Finding) bool {
	if a.Group == "" && b.Group == "" {
		return a.Rule == b.Rule
	}
	return a.Group == b.Group
}

// Judge says what a sum means. The first line that holds is the verdict:
//
//	mining     total ≥ +13 dB and (a proof, or capability ≥ 15 with conduct ≥ 5 and concealment ≥ 5)
//	           critical with a proof, else high
//	suspected  total ≥ 0 dB and (a proof, or capability ≥ 10 with conduct ≥ 5)
//	           high above +13 dB, else medium
//	exposed    capability ≥ 15, whatever else: a miner that rests
//	           medium with concealment ≥ 10, else low
//	notice     any other sum above the prior
//	           info
//	clean      the prior alone
//
// A sum whose Proof is above zero has a proof. So load alone, a disguise alone and both together never page, and
// neither verdict nor severity falls when a part of the sum grows.
func Judge(s Sum) (Verdict, Severity) {
	proof := s.Proof > 0
	switch {
	case s.Total >= likely && proof:
		return Mining, Critical
	case s.Total >= likely && s.Capability >= 150 && s.Conduct >= 50 && s.Concealment >= 50:
		return Mining, High
	case s.Total >= even && (proof || s.Capability >= 100 && s.Conduct >= 50):
		if s.Total > likely {
			return Suspected, High
		}
		return Suspected, Medium
	case s.Capability >= 150:
		if s.Concealment >= 100 {
			return Exposed, Medium
		}
		return Exposed, Low
	case s.Total > s.Prior:
		return Notice, Info
	default:
		return Clean, Info
	}
}

// Score is the posterior probability of mining in percent, 100/(1+10^(-total/10)), rounded to one decimal and kept
// between 0.1 and 99.9: no rule is measured on so many traces that a further digit would mean something, and evidence
// never makes certain. Who wants to rank cases compares totals.
func Score(total detect.Decibans) float64 {
	p := 100 / (1 + math.Pow(10, -total.Float()/10))
	return min(max(math.Round(p*10)/10, 0.1), 99.9)
}

func verdictNames() []string  { return []string{"clean", "notice", "exposed", "suspected", "mining"} }
func severityNames() []string { return []string{"info", "low", "medium", "high", "critical"} }

// String is the verdict as alerts spell it: clean, notice, exposed, suspected, mining.
func (v Verdict) String() string { return spell(v, verdictNames()) }

// String is the severity as alerts spell it: info, low, medium, high, critical.
func (s Severity) String() string { return spell(s, severityNames()) }

// ParseVerdict reads what [Verdict.String] writes.
func ParseVerdict(s string) (Verdict, error) { return parse[Verdict]("verdict", s, verdictNames()) }

// ParseSeverity reads what [Severity.String] writes.
func ParseSeverity(s string) (Severity, error) {
	return parse[Severity]("severity", s, severityNames())
}

// MarshalText writes the verdict as [Verdict.String] spells it. A value that is none of the verdicts is an error.
func (v Verdict) MarshalText() ([]byte, error) { return marshal("verdict", v, verdictNames()) }

// UnmarshalText reads what MarshalText writes.
func (v *Verdict) UnmarshalText(b []byte) (err error) {
	*v, err = ParseVerdict(string(b))
	return err
}

// MarshalText writes the severity as [Severity.String] spells it. A value that is none of the severities is an error.
func (s Severity) MarshalText() ([]byte, error) { return marshal("severity", s, severityNames()) }

// UnmarshalText reads what MarshalText writes.
func (s *Severity) UnmarshalText(b []byte) (err error) {
	*s, err = ParseSeverity(string(b))
	return err
}

func spell[T ~uint8](v T, names []string) string {
	if int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprintf("unknown(%d)", uint8(v))
}

func marshal[T ~uint8](what string, v T, names []string) ([]byte, error) {
	if int(v) >= len(names) {
		return nil, fmt.Errorf("%s %d does not exist", what, uint8(v))
	}
	return []byte(names[v]), nil
}

func parse[T ~uint8](what, s string, names []string) (T, error) {
	if i := slices.Index(names, s); i >= 0 {
		return T(i), nil
	}
	return 0, fmt.Errorf("%s %q is none of %v", what, s, names)
}

// compareFindings orders findings strongest first, then by rule.
func compareFindings(a, b detect.Finding) int {
	return cmp.Or(cmp.Compare(b.Weight, a.Weight), cmp.Compare(a.Rule, b.Rule))
}
