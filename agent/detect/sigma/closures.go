package sigma

import (
	"slices"

	"github.com/minehound/minehound/agent/host"
)

// Three-valued logic needs no third value at run time: for each node there is one closure that tells whether it is
// certainly true and one that tells whether it is certainly false. Where neither says yes, the node is unknown. `not` swaps
// the two, so an unknown stays unknown under it.

// holds compiles "n is true".
func (c *compiler) holds(n *node) func(*machine) bool {
	switch n.op {
	case opTest:
		return c.testIs(n.test, True)
	case opNot:
		return c.fails(n.kids[0])
	case opAnd:
		return all(c.each(n, c.holds))
	default:
		if atoms := c.onlyAtoms(n); atoms != nil {
			return func(m *machine) bool { return m.sawAny(atoms) }
		}
		return anyOf(c.each(n, c.holds))
	}
}

// fails compiles "n is false".
func (c *compiler) fails(n *node) func(*machine) bool {
	switch n.op {
	case opTest:
		return c.testIs(n.test, False)
	case opNot:
		return c.holds(n.kids[0])
	case opAnd:
		return anyOf(c.each(n, c.fails))
	default:
		return all(c.each(n, c.fails))
	}
}

func (c *compiler) testIs(t *test, want Truth) func(*machine) bool {
	id := c.set.ids[t]
	p := &c.set.predicates[id]
	switch {
	case p.field < 0:
		return func(*machine) bool { return false }
	case p.atom >= 0 && want == True:
		a := p.atom
		return func(m *machine) bool { return m.seen[a] == m.gen }
	case p.atom >= 0 && p.field < c.set.schema.Len():
		a, f := p.atom, p.field
		return func(m *machine) bool { return m.seen[a] != m.gen && m.field(f).value.Kind != host.KindUnknown }
	}
	return func(m *machine) bool { return m.truth(id) == want }
}

// each compiles the children of n, flattened and with the cheap ones first: their order does not change the outcome.
func (c *compiler) each(n *node, compile func(*node) func(*machine) bool) []func(*machine) bool {
	kids := slices.Clone(flatten(n, n.op, nil))
	slices.SortStableFunc(kids, func(a, b *node) int { return c.cost(a) - c.cost(b) })
	fs := make([]func(*machine) bool, len(kids))
	for i, k := range kids {
		fs[i] = compile(k)
	}
	return fs
}

func flatten(n *node, op nodeOp, out []*node) []*node {
	for _, k := range n.kids {
		if k.op == op && op != opNot {
			out = flatten(k, op, out)
		} else {
			out = append(out, k)
		}
	}
	return out
}

func (c *compiler) cost(n *node) int {
	if n.op == opTest {
		return c.set.predicates[c.set.ids[n.test]].cost
	}
	sum := 0
	for _, k := range n.kids {
		sum += c.cost(k)
	}
	return sum
}

// onlyAtoms are the atoms of an `or` of nothing else, or nil.
func (c *compiler) onlyAtoms(n *node) []int32 {
	var out []int32
	for _, k := range flatten(n, opOr, nil) {
		if k.op != opTest {
			return nil
		}
		p := &c.set.predicates[c.set.ids[k.test]]
		if p.atom < 0 {
			return nil
		}
		out = append(out, p.atom)
	}
	return out
}

func all(fs []func(*machine) bool) func(*machine) bool {
	if len(fs) == 2 {
		a, b := fs[0], fs[1]
		return func(m *machine) bool { return a(m) && b(m) }
	}
	return func(m *machine) bool {
		for _, f := range fs {
			if !f(m) {
				return false
			}
		}
		return true
	}
}

func anyOf(fs []func(*machine) bool) func(*machine) bool {
	if len(fs) == 2 {
		a, b := fs[0], fs[1]
		return func(m *machine) bool { return a(m) || b(m) }
	}
	return func(m *machine) bool {
		for _, f := range fs {
			if f(m) {
				return true
			}
		}
		return false
	}
}
