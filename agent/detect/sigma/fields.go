package sigma

// skeleton is the rule's tree with tests that only know their fields.
func (r *Rule) skeleton() *node {
	rd := &reader{file: r.File, rule: r.Name}
	n, err := rd.tree(r, func(s search) (*node, *Error) { return s.def.skeleton(), nil })
	if err != nil {
		return group(opOr, nil) // a correlation: it has no searches of its own
	}
	return n
}

func (d *definition) skeleton() *node {
	var kids []*node
	for _, it := range d.items {
		if !it.fieldref {
			kids = append(kids, testNode(&test{field: it.field}))
			continue
		}
		for _, v := range it.values {
			kids = append(kids, testNode(&test{kind: testField, field: it.field, other: v.text}))
		}
	}
	if len(d.any) == 0 {
		return group(opAnd, kids)
	}
	for _, k := range d.any {
		kids = append(kids, k.skeleton())
	}
	return group(opOr, kids)
}

// FieldNames lists the fields that the rule's searches ask for, sorted; for a correlation, none.
func (r *Rule) FieldNames() []string { return r.skeleton().fields() }

// Missing lists the fields that the rule asks for and the schema does not have, sorted. They are unknown in every record.
func (r *Rule) Missing(schema *Schema) []string {
	var out []string
	for _, f := range r.FieldNames() {
		if _, ok := schema.Index(f); !ok {
			out = append(out, f)
		}
	}
	return out
}

// CanFire tells whether a record of the schema could make the rule hold. A detection that cannot is inactive; for a
// correlation it says nothing and is false.
func (r *Rule) CanFire(schema *Schema) bool { return r.skeleton().can(schema, true) }

// can tells whether some record makes n true, or false.
func (n *node) can(schema *Schema, be bool) bool {
	switch n.op {
	case opTest:
		for _, f := range [...]string{n.test.field, n.test.other} {
			if _, ok := schema.Index(f); f != "" && !ok {
				return false
			}
		}
		return n.test.field != "" || schema.Len() > 0
	case opNot:
		return n.kids[0].can(schema, !be)
	default:
	}
	every := (n.op == opAnd) == be // a true `and` and a false `or` need each of their children
	for _, k := range n.kids {
		if k.can(schema, be) != every {
			return !every
		}
	}
	return every
}
