package sigma

import (
	"strings"
)

// Bounds on a condition.
const (
	maxCondition = 8 << 10 // bytes
	maxNesting   = 64      // parentheses and nots within each other
)

type condOp uint8

const (
	condName condOp = iota // a search identifier
	condAnd
	condOr
	condNot
	condOneOf // 1 of PATTERN
	condAllOf // all of PATTERN
)

// condNode is a condition as written, names not yet looked up.
type condNode struct {
	op   condOp
	name string // of condName; the pattern of condOneOf and condAllOf
	kids []*condNode
}

// condParser reads the condition language: or binds least, then and, not, `x of`, parentheses.
type condParser struct {
	tokens []string
	at     int
	depth  int
}

// condError is a complaint about a condition; the caller adds the place.
type condError struct{ reason, hint string }

func (e *condError) Error() string { return e.reason }

// parseCondition reads one condition.
func parseCondition(s string) (*condNode, error) {
	if len(s) > maxCondition {
		return nil, &condError{reason: "the condition is too long"}
	}
	if strings.ContainsRune(s, '|') {
		return nil, &condError{"the condition uses `|`, the aggregation that version 2 of Sigma has dropped", "write a correlation rule"}
	}
	p := &condParser{tokens: condTokens(s)}
	if len(p.tokens) == 0 {
		return nil, &condError{reason: "the condition is empty"}
	}
	n, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.at < len(p.tokens) {
		return nil, &condError{reason: "the condition does not go on with " + quote(p.tokens[p.at]) + " here; and, or or the end was expected"}
	}
	return n, nil
}

func quote(s string) string { return "`" + clip(s, 60) + "`" }

func condTokens(s string) []string {
	s = strings.NewReplacer("(", " ( ", ")", " ) ").Replace(s)
	return strings.Fields(s)
}

// word is the next token in lower case when it is one of the language's words, else the token itself.
func (p *condParser) word() string {
	if p.at >= len(p.tokens) {
		return ""
	}
	t := p.tokens[p.at]
	switch low := strings.ToLower(t); low {
	case "and", "or", "not":
		return low
	}
	return t
}

func (p *condParser) or() (*condNode, error)  { return p.chain("or", condOr, p.and) }
func (p *condParser) and() (*condNode, error) { return p.chain("and", condAnd, p.not) }

func (p *condParser) chain(word string, op condOp, next func() (*condNode, error)) (*condNode, error) {
	first, err := next()
	if err != nil {
		return nil, err
	}
	kids := []*condNode{first}
	for p.word() == word {
		p.at++
		k, err := next()
		if err != nil {
			return nil, err
		}
		kids = append(kids, k)
	}
	if len(kids) == 1 {
		return first, nil
	}
	return &condNode{op: op, kids: kids}, nil
}

func (p *condParser) not() (*condNode, error) {
	if p.word() != "not" {
		return p.primary()
	}
	p.at++
	if p.depth++; p.depth > maxNesting {
		return nil, &condError{reason: "the condition nests too deep"}
	}
	k, err := p.not()
	if err != nil {
		return nil, err
	}
	p.depth--
	return &condNode{op: condNot, kids: []*condNode{k}}, nil
}

func (p *condParser) primary() (*condNode, error) {
	t := p.word()
	switch t {
	case "":
		return nil, &condError{reason: "the condition ends where a search identifier was expected"}
	case "(":
		p.at++
		if p.depth++; p.depth > maxNesting {
			return nil, &condError{reason: "the condition nests too deep"}
		}
		n, err := p.or()
		if err != nil {
			return nil, err
		}
		if p.word() != ")" {
			return nil, &condError{reason: "a parenthesis of the condition is not closed"}
		}
		p.at++
		p.depth--
		return n, nil
	case ")", "and", "or":
		return nil, &condError{reason: "the condition has " + quote(t) + " where a search identifier was expected"}
	}
	if p.at+1 < len(p.tokens) && strings.EqualFold(p.tokens[p.at+1], "of") {
		return p.quantifier()
	}
	if strings.ContainsAny(t, "*?") {
		return nil, &condError{"the condition has the pattern " + quote(t) + " without `1 of` or `all of`", "write `1 of " + clip(t, 60) + "`"}
	}
	p.at++
	return &condNode{op: condName, name: t}, nil
}

func (p *condParser) quantifier() (*condNode, error) {
	n := &condNode{op: condOneOf}
	switch count := strings.ToLower(p.tokens[p.at]); count {
	case "1", "any":
	case "all":
		n.op = condAllOf
	default:
		return nil, &condError{quote(count+" of") + " is not in the specification, which has `1 of` and `all of`",
			"spell the combinations out"}
	}
	p.at += 2
	if p.at >= len(p.tokens) || p.tokens[p.at] == "(" || p.tokens[p.at] == ")" {
		return nil, &condError{reason: "`of` must be followed by them or a pattern of search identifiers"}
	}
	n.name = p.tokens[p.at]
	if strings.EqualFold(n.name, "them") {
		n.name = "them"
	}
	p.at++
	return n, nil
}

// resolve replaces names by what lookup makes of them, and quantifiers by what they range over. names lists all there are.
func (c *condNode) resolve(names []string, lookup func(string) *node) (*node, error) {
	switch c.op {
	case condName:
		if n := lookup(c.name); n != nil {
			return n, nil
		}
		e := &condError{reason: "the condition names " + quote(c.name) + ", which is not defined"}
		if near := nearest(c.name, names); near != "" {
			e.hint = "did you mean " + near + "?"
		}
		return nil, e
	case condOneOf, condAllOf:
		var kids []*node
		for _, name := range names {
			if c.name == "them" && !strings.HasPrefix(name, "_") || c.name != "them" && matchName(c.name, name) {
				kids = append(kids, lookup(name))
			}
		}
		if len(kids) == 0 {
			return nil, &condError{reason: "no search identifier is one of " + quote(c.name)}
		}
		if c.op == condOneOf {
			return group(opOr, kids), nil
		}
		return group(opAnd, kids), nil
	default:
	}
	kids := make([]*node, len(c.kids))
	for i, k := range c.kids {
		n, err := k.resolve(names, lookup)
		if err != nil {
			return nil, err
		}
		kids[i] = n
	}
	switch c.op {
	case condNot:
		return notNode(kids[0]), nil
	case condAnd:
		return group(opAnd, kids), nil
	default:
		return group(opOr, kids), nil
	}
}

// matchName matches a search identifier against a pattern in which `*` is any number of characters.
func matchName(pattern, name string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == name
	}
	if !strings.HasPrefix(name, parts[0]) {
		return false
	}
	name = name[len(parts[0]):]
	for _, mid := range parts[1 : len(parts)-1] {
		i := strings.Index(name, mid)
		if i < 0 {
			return false
		}
		name = name[i+len(mid):]
	}
	return strings.HasSuffix(name, parts[len(parts)-1])
}
