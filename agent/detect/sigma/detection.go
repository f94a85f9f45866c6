package sigma

import (
	"errors"

	"go.yaml.in/yaml/v3"
)

// search is one search identifier with its definition, not yet compiled: placeholders are only known then.
type search struct {
	name string
	line int
	def  *definition
}

// definition is a search as written: items and-ed or definitions or-ed.
type definition struct {
	items []*item
	any   []*definition
}

// detection reads the searches and the condition and compiles them once, so that what is wrong is said with its place.
func (r *reader) detection(rule *Rule, block pair) *Error {
	pairs, err := r.mapping(block.value, "detection")
	if err != nil {
		return err
	}
	var condition pair
	for _, p := range pairs {
		switch p.key {
		case "condition":
			condition = p
			continue
		case "timeframe":
			return r.hintf(r.errorf(p.line, "timeframe belongs to the aggregation that version 2 of Sigma has dropped"), "write a correlation rule")
		}
		def, err := r.definition(p.value, p.key, 0)
		if err != nil {
			return err
		}
		rule.searches = append(rule.searches, search{p.key, p.line, def})
	}
	if condition.value == nil {
		return r.errorf(block.line, "the detection has no condition")
	}
	if len(rule.searches) == 0 {
		return r.errorf(block.line, "the detection has a condition but no search")
	}
	if rule.conditions, err = r.conditions(condition); err != nil {
		return err
	}
	rule.conditionLine = condition.line
	for _, s := range rule.searches {
		for _, it := range s.def.allItems(nil) {
			if !it.expand {
				if _, err := r.build(it, nil); err != nil {
					return err
				}
			}
		}
	}
	_, err = r.tree(rule, func(s search) (*node, *Error) { return testNode(&test{}), nil })
	return err
}

func (r *reader) conditions(p pair) ([]*condNode, *Error) {
	nodes := []*yaml.Node{p.value}
	if kindOf(p.value) == yaml.SequenceNode {
		var err *Error
		if nodes, err = r.elements(p.value, "condition"); err != nil {
			return nil, err
		}
		if len(nodes) == 0 {
			return nil, r.errorf(p.line, "the condition is empty")
		}
	}
	var out []*condNode
	for _, n := range nodes {
		s, err := r.text(n, "condition")
		if err != nil {
			return nil, err
		}
		c, cerr := parseCondition(s)
		if cerr != nil {
			return nil, r.conditionError(n.Line, cerr)
		}
		out = append(out, c)
	}
	return out, nil
}

func (r *reader) conditionError(line int, err error) *Error {
	e := r.errorf(line, "%v", err)
	var c *condError
	if errors.As(err, &c) {
		e.Hint = c.hint
	}
	return e
}

// tree puts the conditions of a rule together from what make builds of each search.
func (r *reader) tree(rule *Rule, build func(search) (*node, *Error)) (*node, *Error) {
	names := make([]string, len(rule.searches))
	built := make(map[string]*node, len(rule.searches))
	for i, s := range rule.searches {
		n, err := build(s)
		if err != nil {
			return nil, err
		}
		names[i], built[s.name] = s.name, n
	}
	kids := make([]*node, len(rule.conditions))
	for i, c := range rule.conditions {
		n, err := c.resolve(names, func(name string) *node { return built[name] })
		if err != nil {
			return nil, r.conditionError(rule.conditionLine, err)
		}
		kids[i] = n
	}
	return group(opOr, kids), nil
}

// definition reads a search: a map, a list of maps and keywords, or one keyword.
func (r *reader) definition(n *yaml.Node, name string, depth int) (*definition, *Error) {
	if depth > maxDepth {
		return nil, r.errorf(n.Line, "%s nests too deep", name)
	}
	switch kindOf(n) {
	case yaml.MappingNode:
		return r.itemMap(n, name)
	case yaml.SequenceNode:
		list, err := r.elements(n, name)
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			return nil, r.errorf(n.Line, "%s is an empty list", name)
		}
		def := &definition{}
		for _, e := range list {
			if kindOf(e) == yaml.SequenceNode {
				return nil, r.errorf(e.Line, "%s has a list inside a list", name)
			}
			d, err := r.definition(e, name, depth+1)
			if err != nil {
				return nil, err
			}
			def.any = append(def.any, d)
		}
		return def, nil
	default:
	}
	s, err := r.scalar(n, name)
	if err != nil {
		return nil, err
	}
	if s.kind == scalarNull {
		return nil, r.errorf(n.Line, "%s is empty", name)
	}
	return &definition{items: []*item{{line: s.line, values: []scalar{s}}}}, nil
}

func (r *reader) itemMap(n *yaml.Node, name string) (*definition, *Error) {
	pairs, err := r.mapping(n, name)
	if err != nil {
		return nil, err
	}
	if len(pairs) == 0 {
		return nil, r.errorf(n.Line, "%s is an empty map", name)
	}
	def := &definition{}
	for _, p := range pairs {
		it := &item{key: p.key, line: p.line}
		if err := r.parseModifiers(it); err != nil {
			return nil, err
		}
		nodes := []*yaml.Node{p.value}
		if kindOf(p.value) == yaml.SequenceNode {
			if nodes, err = r.elements(p.value, p.key); err != nil {
				return nil, err
			}
			if len(nodes) == 0 {
				return nil, r.errorf(p.line, "%s has an empty list of values", p.key)
			}
		}
		for _, v := range nodes {
			s, err := r.scalar(v, "a value of "+p.key)
			if err != nil {
				return nil, err
			}
			it.values = append(it.values, s)
		}
		def.items = append(def.items, it)
	}
	return def, nil
}

func (d *definition) allItems(out []*item) []*item {
	out = append(out, d.items...)
	for _, k := range d.any {
		out = k.allItems(out)
	}
	return out
}

// node compiles a definition.
func (r *reader) node(d *definition, placeholders []Placeholder) (*node, *Error) {
	var kids []*node
	for _, it := range d.items {
		n, err := r.build(it, placeholders)
		if err != nil {
			return nil, err
		}
		kids = append(kids, n)
	}
	if len(d.any) == 0 {
		return group(opAnd, kids), nil
	}
	for _, k := range d.any {
		n, err := r.node(k, placeholders)
		if err != nil {
			return nil, err
		}
		kids = append(kids, n)
	}
	return group(opOr, kids), nil
}

// build compiles a rule's detection to a tree.
func (r *Rule) build(placeholders []Placeholder) (*node, *Error) {
	rd := &reader{file: r.File, rule: r.Name}
	return rd.tree(r, func(s search) (*node, *Error) { return rd.node(s.def, placeholders) })
}
