package sigma

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds on what a rule file may hold. The largest of SigmaHQ's rules has 30 KiB and nests 6 deep.
const (
	MaxFile  = 1 << 20 // bytes of a file
	maxDepth = 24      // nested lists and maps, aliases followed
	maxNodes = 50_000  // YAML nodes visited in one file, aliases followed: an alias bomb ends here
)

// scalarKind is what YAML takes a plain scalar for. Quoted ones are always strings.
type scalarKind uint8

const (
	scalarString scalarKind = iota
	scalarNumber
	scalarBool
	scalarNull
)

// scalar is one value with its source text: `0o17`, `2024-01-01` and `NO` stay what the author wrote.
type scalar struct {
	text string
	kind scalarKind
	line int
}

// pair is one entry of a map, in the order written.
type pair struct {
	key   string
	line  int
	value *yaml.Node
}

// reader walks the nodes of one file and makes every complaint an Error with its place.
type reader struct {
	file   string
	rule   string
	budget int
}

func (r *reader) errorf(line int, format string, args ...any) *Error {
	return &Error{File: r.file, Line: line, Rule: r.rule, Reason: fmt.Sprintf(format, args...)}
}

func (r *reader) hintf(e *Error, format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// visit follows an alias and charges the node to the budget.
func (r *reader) visit(n *yaml.Node) (*yaml.Node, *Error) {
	line := n.Line
	for hops := 0; n.Kind == yaml.AliasNode; hops++ {
		if hops > maxDepth || n.Alias == nil {
			return nil, r.errorf(line, "an alias leads nowhere")
		}
		n = n.Alias
	}
	if r.budget--; r.budget < 0 {
		return nil, r.errorf(line, "more than %d values, aliases counted as often as they are used", maxNodes)
	}
	return n, nil
}

func (r *reader) mapping(n *yaml.Node, what string) ([]pair, *Error) {
	line := n.Line
	n, err := r.visit(n)
	if err != nil {
		return nil, err
	}
	if n.Kind != yaml.MappingNode {
		return nil, r.errorf(line, "%s must be a map, not %s", what, nodeName(n))
	}
	pairs := make([]pair, 0, len(n.Content)/2)
	seen := make(map[string]bool, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, err := r.visit(n.Content[i])
		if err != nil {
			return nil, err
		}
		if k.Kind != yaml.ScalarNode {
			return nil, r.errorf(n.Content[i].Line, "a key of %s must be text, not %s", what, nodeName(k))
		}
		if k.ShortTag() == "!!merge" {
			return nil, r.errorf(k.Line, "merge keys (<<) are not part of YAML 1.2")
		}
		if seen[k.Value] {
			return nil, r.hintf(r.errorf(n.Content[i].Line, "%s has the key %q twice", what, k.Value), "put the values into one list")
		}
		seen[k.Value] = true
		pairs = append(pairs, pair{k.Value, n.Content[i].Line, n.Content[i+1]})
	}
	return pairs, nil
}

func (r *reader) scalar(n *yaml.Node, what string) (scalar, *Error) {
	line := n.Line
	n, err := r.visit(n)
	if err != nil {
		return scalar{}, err
	}
	if n.Kind != yaml.ScalarNode {
		return scalar{}, r.errorf(line, "%s must be a single value, not %s", what, nodeName(n))
	}
	s := scalar{text: n.Value, line: line}
	switch n.ShortTag() {
	case "!!int", "!!float":
		s.kind = scalarNumber
	case "!!bool":
		s.kind = scalarBool
	case "!!null":
		s.kind = scalarNull
	case "!!str", "!!timestamp":
	default:
		return scalar{}, r.errorf(line, "%s has the YAML tag %s, which means nothing in a rule", what, n.ShortTag())
	}
	return s, nil
}

// text is a scalar that is not null.
func (r *reader) text(n *yaml.Node, what string) (string, *Error) {
	s, err := r.scalar(n, what)
	if err != nil {
		return "", err
	}
	if s.kind == scalarNull {
		return "", r.errorf(s.line, "%s has no value", what)
	}
	return s.text, nil
}

// name is a text that is not empty.
func (r *reader) name(n *yaml.Node, what string) (string, *Error) {
	s, err := r.text(n, what)
	if err == nil && strings.TrimSpace(s) == "" {
		err = r.errorf(n.Line, "%s is empty", what)
	}
	return s, err
}

func (r *reader) oneOf(n *yaml.Node, what string, choices ...string) (string, *Error) {
	s, err := r.text(n, what)
	if err != nil {
		return "", err
	}
	if !slices.Contains(choices, s) {
		return "", r.errorf(n.Line, "%s is %q, must be one of %s", what, s, strings.Join(choices, ", "))
	}
	return s, nil
}

func (r *reader) truth(n *yaml.Node, what string) (bool, *Error) {
	s, err := r.scalar(n, what)
	if err != nil {
		return false, err
	}
	if s.kind != scalarBool {
		return false, r.errorf(s.line, "%s must be true or false, not %q", what, s.text)
	}
	return strings.EqualFold(s.text, "true"), nil
}

// elements are the members of a list.
func (r *reader) elements(n *yaml.Node, what string) ([]*yaml.Node, *Error) {
	line := n.Line
	n, err := r.visit(n)
	if err != nil {
		return nil, err
	}
	if n.Kind != yaml.SequenceNode {
		return nil, r.errorf(line, "%s must be a list, not %s", what, nodeName(n))
	}
	return n.Content, nil
}

func (r *reader) texts(n *yaml.Node, what string) ([]string, *Error) {
	list, err := r.elements(n, what)
	if err != nil {
		return nil, err
	}
	out := make([]string, 0, len(list))
	for _, e := range list {
		s, err := r.text(e, "an entry of "+what)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// textsOrOne accepts a single text for a list of one.
func (r *reader) textsOrOne(n *yaml.Node, what string) ([]string, *Error) {
	if kindOf(n) != yaml.ScalarNode {
		return r.texts(n, what)
	}
	s, err := r.scalar(n, what)
	if err != nil || s.kind == scalarNull {
		return nil, err
	}
	return []string{s.text}, nil
}

// kindOf is the kind of the node an alias stands for.
func kindOf(n *yaml.Node) yaml.Kind {
	for hops := 0; n.Kind == yaml.AliasNode && n.Alias != nil && hops <= maxDepth; hops++ {
		n = n.Alias
	}
	return n.Kind
}

func nodeName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a map"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
		if n.ShortTag() == "!!null" {
			return "nothing"
		}
		return fmt.Sprintf("%q", clip(n.Value, 40))
	default:
		return "something else"
	}
}

// clip shortens s to at most n bytes without cutting a rune.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}

// nearest is the one of known that s is probably a misspelling of, or "".
func nearest(s string, known []string) string {
	best, at := "", 3
	for _, k := range known {
		if d := editDistance(strings.ToLower(s), strings.ToLower(k), at); d < at && d < len(k)/2+1 {
			best, at = k, d
		}
	}
	return best
}

// editDistance is the number of letters to change, insert, drop or swap with the next, or limit when it is no less.
func editDistance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return min(rows[len(a)][len(b)], limit)
}
