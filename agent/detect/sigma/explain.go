package sigma

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/minehound/minehound/agent/host"
)

// MaxEvidence is the greatest length of [Match.Value] in bytes.
const MaxEvidence = 200

// maxMatches bounds the evidence of one rule.
const maxMatches = 16

// Match is one field that made a rule hold.
type Match struct {
	Field string // as the rule calls it; of a keyword, the field it was found in
	Value string // at most MaxEvidence bytes, around what matched
}

// Evidence tells which fields made a rule hold, in the order of the rule. What the rule says must not be has no evidence.
// It is nil when the rule does not hold.
func (s *Set) Evidence(rec host.Record, rule int) []Match {
	m := s.inspect(rec)
	defer m.done()
	if m.tree(s.trees[rule]) != True {
		return nil
	}
	return m.evidence(s.trees[rule], nil)
}

// inspect turns the machine to a record for a look at one rule.
func (s *Set) inspect(rec host.Record) *machine {
	s.m.plain = true
	s.m.begin(rec)
	return s.m
}

func (m *machine) done() { m.plain = false }

// tree evaluates a tree with three values and without the prefilter: min, max and reversal over false < unknown < true
// (Kleene, Introduction to Metamathematics, 1952).
func (m *machine) tree(n *node) Truth {
	switch n.op {
	case opTest:
		return m.truth(m.set.ids[n.test])
	case opNot:
		switch m.tree(n.kids[0]) {
		case True:
			return False
		case False:
			return True
		default:
			return Unknown
		}
	default:
	}
	decisive, out := False, True
	if n.op == opOr {
		decisive, out = True, False
	}
	for _, k := range n.kids {
		switch m.tree(k) {
		case decisive:
			return decisive
		case Unknown:
			out = Unknown
		default:
		}
	}
	return out
}

func (m *machine) evidence(n *node, out []Match) []Match {
	switch n.op {
	case opNot:
		return out
	case opAnd, opOr:
		for _, k := range n.kids {
			if len(out) < maxMatches && m.tree(k) == True {
				out = m.evidence(k, out)
			}
		}
		return out
	default:
	}
	if match := m.shown(n.test); !slices.Contains(out, match) {
		out = append(out, match)
	}
	return out
}

// shown is the field and the value for which a test holds.
func (m *machine) shown(t *test) Match {
	p := &m.set.predicates[m.set.ids[t]]
	if t.field != "" {
		return Match{t.field, m.value(p, &m.field(p.field).value)}
	}
	for i := range m.set.schema.Len() {
		v := m.field(i).value
		for _, s := range textsOf(&v) {
			if holdsFor(p, s) {
				return Match{m.set.schema.Name(i), excerpt(p, s)}
			}
		}
	}
	return Match{}
}

func textsOf(v *host.Value) []string {
	switch v.Kind {
	case host.KindText:
		return []string{v.Text}
	case host.KindTexts:
		return v.Texts
	default:
		return nil
	}
}

// holdsFor asks a pattern or a regular expression about one text.
func holdsFor(p *predicate, s string) bool {
	switch {
	case p.test.kind == testRegexp:
		return p.test.re.MatchString(clip(s, maxRegexText))
	case p.test.kind == testCIDR:
		return inNetwork(p.test.network, s)
	case p.test.kind == testCompare:
		return compareText(p.test, s)
	case p.test.kind != testPattern:
		return true
	case p.test.cased:
		return p.glob.match([]byte(s))
	}
	return p.glob.match(appendFold(nil, s))
}

func (m *machine) value(p *predicate, v *host.Value) string {
	switch v.Kind {
	case host.KindAbsent:
		return "(none)"
	case host.KindNumber:
		return formatNumber(v.Number)
	case host.KindBool:
		return strconv.FormatBool(v.Bool)
	case host.KindNumbers:
		list := make([]string, 0, len(v.Numbers))
		for _, n := range v.Numbers {
			list = append(list, formatNumber(n))
		}
		return clip(strings.Join(list, " "), MaxEvidence)
	default:
	}
	texts := textsOf(v)
	for _, s := range texts {
		if holdsFor(p, s) {
			return excerpt(p, s)
		}
	}
	if len(texts) == 0 {
		return "(none)"
	}
	return excerpt(p, texts[0])
}

func formatNumber(f float64) string {
	if f == math.Trunc(f) && math.Abs(f) < 1e15 {
		return strconv.FormatFloat(f, 'f', 0, 64)
	}
	return strconv.FormatFloat(f, 'g', 6, 64)
}

// excerpt is at most MaxEvidence bytes of s, those around the match when s is longer.
func excerpt(p *predicate, s string) string {
	if len(s) <= MaxEvidence {
		return clip(strings.ToValidUTF8(s, "?"), MaxEvidence)
	}
	at := 0
	switch p.test.kind {
	case testRegexp:
		if loc := p.test.re.FindStringIndex(clip(s, maxRegexText)); loc != nil {
			at = loc[0]
		}
	case testPattern:
		var longest string
		for _, x := range p.test.pat {
			if len(x.text) > len(longest) {
				longest = x.text
			}
		}
		// Folding may move bytes; then the excerpt is off by as much, which only costs context.
		at = max(0, bytes.Index(appendFold(nil, s), []byte(foldString(longest))))
	default:
	}
	from := max(0, min(at-MaxEvidence/4, len(s)-MaxEvidence))
	for from > 0 && from < len(s) && !utf8.RuneStart(s[from]) {
		from++
	}
	return clip(strings.ToValidUTF8(clip(s[from:], MaxEvidence), "?"), MaxEvidence)
}

// Truth is a truth value of three-valued logic.
type Truth uint8

// The three truth values. Unknown is the zero value.
const (
	Unknown Truth = iota
	False
	True
)

func (t Truth) String() string { return [...]string{"unknown", "false", "true"}[t] }

// Explanation is why a rule holds or not.
type Explanation struct {
	Truth   Truth
	Unknown []string // fields that would have to be known to tell, sorted; "keywords" for the keyword search; nil unless Truth is Unknown
	Tests   []Tested // every test of the rule in its order
}

// Tested is one test of a rule and how it came out.
type Tested struct {
	Line  int
	Test  string // as in the rule: `Image|endswith: /xmrig`
	Truth Truth
}

// Explain tells how a rule comes out for rec and why.
func (s *Set) Explain(rec host.Record, rule int) Explanation {
	m := s.inspect(rec)
	defer m.done()
	tree := s.trees[rule]
	e := Explanation{Truth: m.tree(tree)}
	seen := map[*test]bool{}
	tree.eachTest(func(t *test) {
		if !seen[t] {
			seen[t] = true
			e.Tests = append(e.Tests, Tested{t.line, t.label, m.truth(s.ids[t])})
		}
	})
	slices.SortStableFunc(e.Tests, func(a, b Tested) int { return a.Line - b.Line })
	if e.Truth == Unknown {
		e.Unknown = m.blockers(tree, nil)
		slices.Sort(e.Unknown)
		e.Unknown = slices.Compact(e.Unknown)
	}
	return e
}

// blockers are the fields whose being unknown makes n unknown.
func (m *machine) blockers(n *node, out []string) []string {
	for _, k := range n.kids {
		if m.tree(k) == Unknown {
			out = m.blockers(k, out)
		}
	}
	if n.op != opTest {
		return out
	}
	t := n.test
	p := &m.set.predicates[m.set.ids[t]]
	switch {
	case t.field == "":
		return append(out, "keywords")
	case t.kind == testField && p.field >= 0 && m.field(p.field).value.Kind != host.KindUnknown:
		return append(out, t.other)
	}
	return append(out, t.field)
}
