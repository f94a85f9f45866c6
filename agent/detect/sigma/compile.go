package sigma

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"unicode/utf8"

	"github.com/minehound/minehound/agent/host"
)

// Placeholder gives the values of one %name% for the expand modifier.
type Placeholder struct {
	Name   string
	Values []string // Sigma strings: wildcards work
}

// Set is many rules compiled against one Schema. It keeps scratch space: it is not for concurrent use.
//
// Compiling shares work between rules. Tests that ask the same are asked once per record; all texts that rules look for
// are looked for in one pass over each field (see prefilter.go); and a rule that needs one of these texts is evaluated only
// when it was there.
type Set struct {
	schema     *Schema
	rules      []*Rule
	trees      []*node // of each rule
	holds      []func(*machine) bool
	predicates []predicate
	atoms      []atom
	scans      []fieldScan
	always     []uint64 // rules to evaluate whatever was seen, a bit each
	ids        map[*test]int32
	m          *machine
}

// Compile compiles every detection among rules (correlations are the [Correlator]'s) and returns one *Error for each that
// it had to refuse. The Set holds the others in the order given.
func Compile(rules []*Rule, schema *Schema, placeholders ...Placeholder) (*Set, []error) {
	s := &Set{schema: schema, ids: map[*test]int32{}}
	var errs []error
	for _, r := range rules {
		if r.Correlation != nil {
			continue
		}
		tree, err := r.build(placeholders)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.rules = append(s.rules, r)
		s.trees = append(s.trees, tree)
	}
	c := &compiler{set: s, shared: map[string]int32{}, atomIDs: map[atomKey]int32{}}
	for _, tree := range s.trees {
		tree.eachTest(c.addTest)
	}
	c.popularity()
	s.always = make([]uint64, (len(s.rules)+63)/64)
	for i, tree := range s.trees {
		s.holds = append(s.holds, c.holds(tree))
		wake, ok := c.wakers(tree)
		if !ok {
			s.always[i>>6] |= 1 << (i & 63)
			continue
		}
		for _, a := range wake.atoms {
			if a := &s.atoms[a]; len(a.rules) == 0 || a.rules[len(a.rules)-1] != int32(i) {
				a.rules = append(a.rules, int32(i))
			}
		}
	}
	c.scans()
	s.m = newMachine(s, schema.Len())
	return s, errs
}

// Rules lists the rules of the set; Match's indexes point into it.
func (s *Set) Rules() []*Rule { return s.rules }

// Match appends the indexes of the rules that hold for rec, ascending. It does not allocate when hits has room, save for
// texts longer than all before.
func (s *Set) Match(rec host.Record, hits []int) []int { return s.m.run(rec, hits) }

type atomKey struct {
	field int
	place place
	text  string
}

type compiler struct {
	set     *Set
	shared  map[string]int32 // predicates by what they ask
	atomIDs map[atomKey]int32
	popular []int // by atom: how many rules have it
}

// fieldIndex is the index of a name, that of the keyword search for "", or -1.
func (c *compiler) fieldIndex(name string) int {
	if name == "" {
		return c.set.schema.Len()
	}
	if i, ok := c.set.schema.Index(name); ok {
		return i
	}
	return -1
}

// addTest makes a predicate of a test or finds the one that asks the same.
func (c *compiler) addTest(t *test) {
	if _, done := c.set.ids[t]; done {
		return
	}
	field := c.fieldIndex(t.field)
	key := fmt.Sprintf("%d %s", field, t.identity())
	id, have := c.shared[key]
	if !have {
		id = int32(len(c.set.predicates))
		c.set.predicates = append(c.set.predicates, c.predicate(t, field))
		c.shared[key] = id
	}
	c.set.ids[t] = id
}

// identity is what a test asks, field aside.
func (t *test) identity() string {
	switch t.kind {
	case testPattern:
		s := fmt.Sprintf("pattern %v %v", t.cased, t.number)
		for _, x := range t.pat {
			s += " " + strconv.Itoa(int(x.kind)) + strconv.Quote(x.text)
		}
		return s
	case testRegexp:
		return "re " + t.re.String()
	case testCompare:
		return fmt.Sprintf("compare %d %d %x", t.compare, t.part, math.Float64bits(t.against))
	case testCIDR:
		return "cidr " + t.network.String()
	case testField:
		return fmt.Sprintf("field %v %d %q", t.cased, t.place, t.other)
	default:
		return strconv.Itoa(int(t.kind))
	}
}

// What a predicate costs, roughly: the cheap ones of a rule are asked first.
const (
	costAtom   = 1
	costValue  = 2
	costGlob   = 10
	costRegexp = 100
)

func (c *compiler) predicate(t *test, field int) predicate {
	p := predicate{test: t, field: field, other: -1, atom: -1, cost: costValue}
	switch t.kind {
	case testField:
		p.other = c.fieldIndex(t.other)
		p.cost = costGlob
	case testRegexp:
		p.cost = costRegexp
		if field >= 0 && t.needs != nil {
			p.needs = c.atomsOf(field, t.needs)
		}
	case testPattern:
		p.cost = costGlob
		c.pattern(&p)
	default:
	}
	return p
}

// pattern chooses how the prefilter helps with a pattern: an atom that is all of it, or one that it cannot do without.
func (c *compiler) pattern(p *predicate) {
	t := p.test
	p.glob = newGlob(t.pat, t.cased)
	if text, ok := t.pat.plain(); ok && t.number {
		p.exact = true
		p.value, p.isNum = parseNumber(text)
	}
	if p.field < 0 {
		return
	}
	if at, text, ok := t.pat.anchored(); ok && !t.cased {
		folded := foldString(text)
		spelled := !p.isNum || string(appendNumber(nil, p.value)) == folded
		if spelled && scannable(at, folded) {
			p.atom = c.atomID(p.field, at, folded)
			p.cost = costAtom
			return
		}
	}
	longest := ""
	for _, x := range t.pat {
		if len(x.text) > len(longest) && (!t.cased || utf8.ValidString(x.text)) {
			longest = x.text
		}
	}
	// A number may be spelled otherwise than the rule spells it.
	if !p.isNum {
		p.needs = c.atomsOf(p.field, []string{foldString(longest)})
	}
}

// anchored takes apart a pattern that is one text with or without a `*` on either side.
func (p pattern) anchored() (place, string, bool) {
	at := placeWhole
	if len(p) > 0 && p[len(p)-1].kind == partMany {
		at, p = placeStart, p[:len(p)-1]
	}
	if len(p) > 0 && p[0].kind == partMany {
		p = p[1:]
		if at == placeStart {
			at = placeAnywhere
		} else {
			at = placeEnd
		}
	}
	text, ok := p.plain()
	return at, text, ok && text != ""
}

// atomsOf are the atoms for texts that may be anywhere, or nil when one of them is too short for the scan.
func (c *compiler) atomsOf(field int, texts []string) []int32 {
	for _, s := range texts {
		if !scannable(placeAnywhere, s) {
			return nil
		}
	}
	ids := make([]int32, len(texts))
	for i, s := range texts {
		ids[i] = c.atomID(field, placeAnywhere, s)
	}
	return ids
}

func (c *compiler) atomID(field int, at place, text string) int32 {
	key := atomKey{field, at, text}
	id, ok := c.atomIDs[key]
	if !ok {
		id = int32(len(c.set.atoms))
		c.set.atoms = append(c.set.atoms, atom{field: field, place: at, text: text})
		c.atomIDs[key] = id
	}
	return id
}

// popularity counts the rules that have each atom: what many rules look for is likely to be there.
func (c *compiler) popularity() {
	c.popular = make([]int, len(c.set.atoms))
	for _, tree := range c.set.trees {
		seen := map[int32]bool{}
		tree.eachTest(func(t *test) {
			if a := c.set.predicates[c.set.ids[t]].atom; a >= 0 && !seen[a] {
				seen[a] = true
				c.popular[a]++
			}
		})
	}
}

// scans builds the tables of each field that has atoms.
func (c *compiler) scans() {
	byField := map[int][]int32{}
	var fields []int
	for id := range c.set.atoms {
		f := c.set.atoms[id].field
		if byField[f] == nil {
			fields = append(fields, f)
		}
		byField[f] = append(byField[f], int32(id))
	}
	sort.Ints(fields)
	for _, f := range fields {
		c.set.scans = append(c.set.scans, newFieldScan(f, c.set.atoms, byField[f]))
	}
}

// wakers are atoms one of which was seen whenever a rule holds.
type wakers struct {
	atoms []int32
	odds  float64 // a guess at how often one of them is seen
}

// wakers finds the least likely such list; ok is false when there is none.
func (c *compiler) wakers(n *node) (w wakers, ok bool) {
	switch n.op {
	case opTest:
		p := &c.set.predicates[c.set.ids[n.test]]
		switch {
		case p.field < 0 || n.test.kind == testField && p.other < 0:
			return w, true // never holds
		case p.atom >= 0:
			w.atoms = []int32{p.atom}
		case p.needs != nil:
			w.atoms = p.needs
		default:
			return w, false
		}
		for _, a := range w.atoms {
			w.odds += c.odds(a)
		}
		return w, true
	case opAnd:
		for _, k := range n.kids {
			if kw, kok := c.wakers(k); kok && (!ok || kw.odds < w.odds) {
				w, ok = kw, true
			}
		}
		return w, ok
	case opOr:
		for _, k := range n.kids {
			kw, kok := c.wakers(k)
			if !kok {
				return wakers{}, false
			}
			w.atoms = append(slices.Clip(w.atoms), kw.atoms...)
			w.odds += kw.odds
		}
		return w, true
	default:
		return w, false
	}
}

// odds guesses how often an atom is seen: the shorter and the more popular, the more often.
func (c *compiler) odds(a int32) float64 {
	return math.Exp2(-float64(len(c.set.atoms[a].text))/2) + float64(c.popular[a])/float64(len(c.set.rules)+1)
}
