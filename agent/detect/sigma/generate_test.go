package sigma

import (
	"fmt"
	"math/rand/v2"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/minehound/minehound/agent/host"
)

// generator makes records that a rule must match, from the rule's own tree.
type generator struct {
	rng    *rand.Rand
	schema *Schema
}

type demand struct {
	test *test
	be   bool
}

// generate tries branches of the tree until one gives a record for which the reference says true.
func (g *generator) generate(tree *node) (record, bool) {
	for range 400 {
		rec := g.build(g.demands(tree, true, nil), tree.fields())
		if reference(g.schema, tree, rec) == True {
			return rec, true
		}
	}
	return nil, false
}

// demands picks one way to make n be so.
func (g *generator) demands(n *node, be bool, out []demand) []demand {
	switch {
	case n.op == opTest:
		return append(out, demand{n.test, be})
	case n.op == opNot:
		return g.demands(n.kids[0], !be, out)
	case (n.op == opAnd) == be:
		for _, k := range n.kids {
			out = g.demands(k, be, out)
		}
		return out
	default:
		return g.demands(n.kids[g.rng.IntN(len(n.kids))], be, out)
	}
}

// build makes a record; fields nothing is demanded of get a text of no meaning.
func (g *generator) build(demands []demand, fields []string) record {
	rec := make(record, g.schema.Len())
	for i := range rec {
		rec[i] = host.Absent()
	}
	for _, f := range fields {
		if i, ok := g.schema.Index(f); ok && g.rng.IntN(4) > 0 {
			rec[i] = host.Text(fmt.Sprintf("qq%dzz", i))
		}
	}
	byField := map[string][]*test{}
	for _, d := range demands {
		if d.be {
			byField[d.test.field] = append(byField[d.test.field], d.test)
		}
	}
	for _, f := range sortedKeys(byField) {
		name := f
		if f == "" {
			name = "Message"
		}
		if i, ok := g.schema.Index(name); ok {
			rec[i] = g.value(byField[f])
		}
	}
	for _, d := range demands {
		if d.be && d.test.kind == testField {
			i, _ := g.schema.Index(d.test.field)
			j, _ := g.schema.Index(d.test.other)
			rec[i] = rec[j]
		}
	}
	return rec
}

func sortedKeys(m map[string][]*test) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// value makes a value for which all tests hold, if they can be had by writing one after the other.
func (g *generator) value(tests []*test) host.Value {
	var start, end string
	var middle, whole []string
	for _, t := range tests {
		switch t.kind {
		case testNull:
			return host.Absent()
		case testExists:
			middle = append(middle, "there")
		case testCompare:
			return host.Number(map[compareOp]float64{greaterThan: t.against + 1, lessThan: t.against - 1}[t.compare] +
				map[bool]float64{true: t.against}[t.compare != greaterThan && t.compare != lessThan])
		case testCIDR:
			return host.Text(t.network.Addr().String())
		case testRegexp:
			parsed, err := syntax.Parse(t.re.String(), syntax.Perl)
			if err != nil {
				panic(err)
			}
			middle = append(middle, g.fromRegexp(parsed))
		case testPattern:
			text := g.fromPattern(t.pat)
			open := len(t.pat) > 0 && t.pat[0].kind == partMany
			ends := len(t.pat) == 0 || t.pat[len(t.pat)-1].kind != partMany
			switch {
			case !open && ends:
				whole = append(whole, text)
			case !open:
				start = longer(start, text)
			case ends:
				end = longer(end, text)
			default:
				middle = append(middle, text)
			}
		default:
		}
	}
	g.rng.Shuffle(len(middle), func(i, j int) { middle[i], middle[j] = middle[j], middle[i] })
	glue := []string{" ", "", "qz", "/"}[g.rng.IntN(4)]
	text := start + strings.Join(middle, glue) + end
	switch {
	case len(whole) == 0:
		return host.Text(text)
	case len(whole) == 1 && (text == "" || g.rng.IntN(2) == 0):
		return host.Text(whole[0])
	}
	// A text cannot be two things at once, a list can: one element for each test.
	return host.Texts(append(whole, text))
}

func longer(a, b string) string {
	if len(b) > len(a) {
		return b
	}
	return a
}

func (g *generator) fromPattern(p pattern) string {
	var b strings.Builder
	for i, x := range p {
		switch x.kind {
		case partText:
			b.WriteString(g.recase(x.text))
		case partOne:
			b.WriteByte('k')
		case partDash:
			runes := []rune(dashes)
			b.WriteRune(runes[g.rng.IntN(len(runes))])
		case partMany:
			if i > 0 && i < len(p)-1 {
				b.WriteString([]string{"", "q", "w w"}[g.rng.IntN(3)])
			}
		}
	}
	return b.String()
}

func (g *generator) recase(s string) string {
	switch g.rng.IntN(3) {
	case 0:
		return strings.ToUpper(s)
	case 1:
		return strings.ToLower(s)
	}
	return s
}

// fromRegexp writes a text that the expression matches, anchors aside.
func (g *generator) fromRegexp(re *syntax.Regexp) string {
	switch re.Op {
	case syntax.OpLiteral:
		return string(re.Rune)
	case syntax.OpCharClass:
		pair := 2 * g.rng.IntN(len(re.Rune)/2)
		lo, hi := re.Rune[pair], min(re.Rune[pair+1], 'z')
		if lo < ' ' && hi >= ' ' {
			lo = ' '
		}
		if hi < lo {
			hi = lo
		}
		return string(lo + rune(g.rng.IntN(int(hi-lo)+1)))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return "v"
	case syntax.OpAlternate:
		return g.fromRegexp(re.Sub[g.rng.IntN(len(re.Sub))])
	case syntax.OpStar, syntax.OpQuest, syntax.OpPlus, syntax.OpRepeat:
		least := map[syntax.Op]int{syntax.OpPlus: 1, syntax.OpRepeat: re.Min}[re.Op]
		var b strings.Builder
		for range least + g.rng.IntN(2)*map[bool]int{true: 1}[re.Op != syntax.OpRepeat || re.Max < 0 || re.Max > re.Min] {
			b.WriteString(g.fromRegexp(re.Sub[0]))
		}
		return b.String()
	default:
	}
	var b strings.Builder
	for _, sub := range re.Sub {
		b.WriteString(g.fromRegexp(sub))
	}
	return b.String()
}
