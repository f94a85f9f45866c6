package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// reader reads one layer and gathers everything that is wrong with it.
type reader struct {
	from  Origin
	known []option
	errs  Errors
}

// origin is where node n stands.
func (r *reader) origin(n *yaml.Node) Origin {
	o := r.from
	if o.Layer == File && n != nil {
		o.Line = n.Line
	}
	return o
}

func (r *reader) refuse(n *yaml.Node, key, reason, hint string, err error) {
	r.errs = append(r.errs, &Error{Origin: r.origin(n), Key: key, Reason: reason, Hint: hint, Err: err})
}

// parse is the one document in data, nil when there is none.
func parse(data []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, err
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		if err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("line %d: a second document; a file holds one", more.Line)
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	return doc.Content[0], nil
}

// file reads a whole configuration file into c.
func (r *reader) file(c *Config, data []byte) {
	root, err := parse(data)
	if err != nil {
		r.refuse(nil, "", "no valid YAML", "", err)
		return
	}
	if root != nil {
		r.section(c, root, "")
	}
}

// section reads a mapping whose keys begin with prefix.
func (r *reader) section(c *Config, n *yaml.Node, prefix string) {
	if isNull(n) {
		return // everything in it is commented out
	}
	r.mapping(n, strings.TrimSuffix(prefix, "."), func(k, v *yaml.Node) {
		key := prefix + k.Value
		if i := slices.IndexFunc(r.known, func(o option) bool { return o.key == key }); i >= 0 {
			before := len(r.errs)
			r.known[i].read(r, c, v)
			if len(r.errs) == before {
				c.origins[key] = r.origin(k)
			}
			return
		}
		if slices.ContainsFunc(r.known, func(o option) bool { return strings.HasPrefix(o.key, key+".") }) {
			r.section(c, v, key+".")
			return
		}
		r.refuse(k, key, "unknown option", r.hint(key, prefix), nil)
	})
}

// hint says what an unknown key was probably meant to be.
func (r *reader) hint(key, prefix string) string {
	var all, here []string
	for _, o := range r.known {
		all = append(all, o.key)
		section, _, nested := strings.Cut(o.key, ".")
		if nested && !slices.Contains(all, section) {
			all = append(all, section)
		}
		if name, ok := strings.CutPrefix(o.key, prefix); ok {
			name, _, _ = strings.Cut(name, ".")
			if !slices.Contains(here, name) {
				here = append(here, name)
			}
		}
	}
	if best := nearest(key, all); best != "" {
		return fmt.Sprintf("did you mean %s?", best)
	}
	return "options here: " + strings.Join(here, ", ")
}

// mapping calls each for every key of n, which must be a mapping without anything said twice.
func (r *reader) mapping(n *yaml.Node, key string, each func(k, v *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		r.refuse(n, key, "is "+kindOf(n)+", a section with options is needed", "", nil)
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		name := k.Value
		if key != "" {
			name = key + "." + name
		}
		switch first, twice := seen[k.Value]; {
		case k.Kind != yaml.ScalarNode:
			r.refuse(k, key, "a key that is no plain text", "", nil)
		case twice:
			r.refuse(k, name, fmt.Sprintf("is said twice, first in line %d", first), "keep one of them", nil)
		case v.Kind == yaml.AliasNode || v.Anchor != "":
			r.refuse(v, name, "anchors and aliases are not used here", "write the value out", nil)
		default:
			seen[k.Value] = k.Line
			each(k, v)
		}
	}
}

// field is one key of an entry in a list.
type field struct {
	name string
	read func(n *yaml.Node, key string)
}

// entries reads a list of mappings, each with the fields that fieldsOf gives for it.
func (r *reader) entries(n *yaml.Node, key string, each func(n *yaml.Node, key string)) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.SequenceNode {
		r.refuse(n, key, "is "+kindOf(n)+", a list is needed", "begin each entry with a dash", nil)
		return
	}
	for i, e := range n.Content {
		each(e, fmt.Sprintf("%s[%d]", key, i))
	}
}

func (r *reader) fields(n *yaml.Node, key string, known []field) {
	r.mapping(n, key, func(k, v *yaml.Node) {
		for _, f := range known {
			if f.name == k.Value {
				f.read(v, key+"."+k.Value)
				return
			}
		}
		var names []string
		for _, f := range known {
			names = append(names, f.name)
		}
		hint := "options here: " + strings.Join(names, ", ")
		if best := nearest(k.Value, names); best != "" {
			hint = fmt.Sprintf("did you mean %s?", best)
		}
		if k.Value == "secret" && slices.Contains(names, "secret_file") {
			hint = "a secret is not written here: name its place with secret_file or secret_env"
		}
		r.refuse(k, key+"."+k.Value, "unknown option", hint, nil)
	})
}

func (r *reader) scalar(n *yaml.Node, key string) (string, bool) {
	switch {
	case isNull(n):
		r.refuse(n, key, "has no value", "give one, or remove the line", nil)
	case n.Kind != yaml.ScalarNode:
		r.refuse(n, key, "is "+kindOf(n)+", one value is needed", "", nil)
	default:
		return n.Value, true
	}
	return "", false
}

func (r *reader) text(n *yaml.Node, key string, to *string) {
	s, ok := r.scalar(n, key)
	switch {
	case !ok:
	case n.ShortTag() != "!!str" && n.ShortTag() != "!!timestamp":
		r.refuse(n, key, fmt.Sprintf("%s is %s, a text is needed", s, kindOf(n)), fmt.Sprintf("if it is meant, quote it: %q", s), nil)
	case strings.ContainsRune(s, 0):
		r.refuse(n, key, "holds a zero byte", "", nil)
	default:
		*to = s
	}
}

func (r *reader) truth(n *yaml.Node, key string, to *bool) {
	switch s, ok := r.scalar(n, key); {
	case !ok:
	case s == "true":
		*to = true
	case s == "false":
		*to = false
	default:
		r.refuse(n, key, fmt.Sprintf("%q is no truth value", s), "write true or false", nil)
	}
}

func (r *reader) verdict(n *yaml.Node, key string, to *string) {
	s, ok := r.scalar(n, key)
	if !ok {
		return
	}
	if !slices.Contains(Verdicts(), s) {
		r.refuse(n, key, fmt.Sprintf("%q is no verdict", s), "use one of "+strings.Join(Verdicts(), ", "), nil)
		return
	}
	*to = s
}

// ranged reads a value that parse understands and that is not out of range.
func ranged[T cmp.Ordered](r *reader, n *yaml.Node, key string, least, most T, parse func(string) (T, error), show func(T) string) (v T, ok bool) {
	s, ok := r.scalar(n, key)
	if !ok {
		return v, false
	}
	v, err := parse(s)
	switch {
	case err != nil:
		r.refuse(n, key, "", "", err)
	case v < least || v > most:
		r.refuse(n, key, show(v)+" is out of range", fmt.Sprintf("use %s to %s", show(least), show(most)), nil)
	default:
		return v, true
	}
	return v, false
}

func (r *reader) texts(n *yaml.Node, key string, to *[]string) {
	if isNull(n) {
		r.refuse(n, key, "has no value", "write [] for none", nil)
		return
	}
	if n.Kind != yaml.SequenceNode {
		r.refuse(n, key, "is "+kindOf(n)+", a list is needed", "write it as [one, two]", nil)
		return
	}
	list := make([]string, len(n.Content))
	before := len(r.errs)
	for i, e := range n.Content {
		r.text(e, fmt.Sprintf("%s[%d]", key, i), &list[i])
	}
	if len(r.errs) == before {
		*to = list
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// kindOf names what a node is, for people.
func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a section"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch n.ShortTag() {
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "a truth value"
	case "!!null":
		return "nothing"
	}
	return "a text"
}
