package sigma

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"go.yaml.in/yaml/v3"
)

// attributes are the top-level keys a rule may have: those of the specification, ours, and two that SigmaHQ puts into its
// own rules for its own tests.
var attributes = []string{
	"title", "id", "name", "related", "taxonomy", "status", "description", "license", "author", "references", "date", "modified",
	"logsource", "detection", "correlation", "generate", "fields", "falsepositives", "level", "tags", "scope",
	"minehound", "regression_tests_path", "simulation",
}

// Parse reads every rule of a file. On any mistake it returns no rules and every Error it found, joined: a file is taken
// whole or not at all.
//
// The specification allows custom attributes at the top level of a rule, which would let a misspelled one pass. So a key
// that looks like a misspelling of a known one is refused anywhere; any other unknown key is refused in a rule with a
// minehound block, which is written for this program, and listed in [Rule.Custom] in the rules of others.
func Parse(file string, data []byte) ([]*Rule, error) {
	r := &reader{file: file, budget: maxNodes}
	if len(data) > MaxFile {
		return nil, r.errorf(0, "the file has %d bytes, more than %d", len(data), MaxFile)
	}
	var rules []*Rule
	var errs []error
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			errs = append(errs, yamlError(file, err))
			break
		}
		if len(doc.Content) != 1 || kindOf(doc.Content[0]) == yaml.ScalarNode && doc.Content[0].ShortTag() == "!!null" {
			continue
		}
		r.rule = ""
		rule, e := r.document(doc.Content[0], len(rules)+len(errs))
		if e != nil {
			errs = append(errs, e)
			continue
		}
		rules = append(rules, rule)
	}
	if len(errs) == 0 && len(rules) == 0 {
		errs = append(errs, r.errorf(0, "there is no rule in the file"))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return rules, nil
}

// yamlError gives a syntax error its place. The library has the line only in its text.
func yamlError(file string, err error) *Error {
	reason := strings.TrimPrefix(err.Error(), "yaml: ")
	e := &Error{File: file}
	if n, _ := fmt.Sscanf(reason, "line %d:", &e.Line); n == 1 {
		_, reason, _ = strings.Cut(reason, ": ")
	}
	e.Reason = "not YAML: " + reason
	return e
}

// document reads one rule, the nth of its file.
func (r *reader) document(n *yaml.Node, nth int) (*Rule, *Error) {
	pairs, err := r.mapping(n, "a rule")
	if err != nil {
		return nil, err
	}
	base := strings.TrimSuffix(path.Base(strings.ReplaceAll(r.file, "\\", "/")), path.Ext(r.file))
	rule := &Rule{File: r.file, Line: n.Line, Name: base}
	if nth > 0 {
		rule.Name = fmt.Sprintf("%s#%d", base, nth+1)
	}
	ours := false
	for _, p := range pairs {
		if p.key == "name" && kindOf(p.value) == yaml.ScalarNode {
			if s, err := r.name(p.value, "name"); err == nil {
				rule.Name = s
			}
		}
		ours = ours || p.key == "minehound"
	}
	r.rule = rule.Name
	has := map[string]bool{}
	for _, p := range pairs {
		has[p.key] = true
		known, err := r.attribute(rule, p)
		if err == nil && !known {
			err = r.unknownKey(rule, p, "", attributes, ours)
		}
		if err != nil {
			return nil, err
		}
	}
	return rule, r.complete(rule, has)
}

// complete checks that nothing that must be there is missing.
func (r *reader) complete(rule *Rule, has map[string]bool) *Error {
	switch {
	case !has["title"]:
		return r.errorf(rule.Line, "the rule has no title")
	case has["detection"] && has["correlation"]:
		return r.hintf(r.errorf(rule.Line, "a rule is either a detection or a correlation"), "make two documents of it, separated by ---")
	case !has["detection"] && !has["correlation"]:
		return r.errorf(rule.Line, "the rule has neither detection nor correlation")
	case has["detection"] && !has["logsource"]:
		return r.errorf(rule.Line, "the rule has no logsource")
	case has["generate"] && !has["correlation"]:
		return r.errorf(rule.Line, "generate belongs to a correlation")
	}
	return nil
}

func (r *reader) unknownKey(rule *Rule, p pair, prefix string, known []string, ours bool) *Error {
	near := nearest(p.key, known)
	if near == "" && !ours {
		rule.Custom = append(rule.Custom, prefix+p.key)
		return nil
	}
	e := r.errorf(p.line, "unknown key %q", prefix+p.key)
	if near != "" {
		e.Hint = "did you mean " + prefix + near + "?"
	}
	return e
}

// attribute reads one top-level key; known is false when there is no such.
func (r *reader) attribute(rule *Rule, p pair) (known bool, err *Error) {
	switch p.key {
	case "title":
		rule.Title, err = r.name(p.value, p.key)
	case "id":
		rule.ID, err = r.name(p.value, p.key)
	case "name":
		rule.Name, err = r.name(p.value, p.key)
	case "description":
		rule.Description, err = r.text(p.value, p.key)
	case "author":
		rule.Author, err = r.text(p.value, p.key)
	case "license":
		rule.License, err = r.text(p.value, p.key)
	case "date":
		rule.Date, err = r.text(p.value, p.key)
	case "modified":
		rule.Modified, err = r.text(p.value, p.key)
	case "status":
		rule.Status, err = r.oneOf(p.value, p.key, "stable", "test", "experimental", "deprecated", "unsupported")
	case "level":
		rule.Level, err = r.oneOf(p.value, p.key, "informational", "low", "medium", "high", "critical")
	case "tags":
		rule.Tags, err = r.texts(p.value, p.key)
	case "references":
		rule.References, err = r.textsOrOne(p.value, p.key)
	case "falsepositives":
		rule.FalsePositives, err = r.textsOrOne(p.value, p.key)
	case "fields":
		rule.Fields, err = r.textsOrOne(p.value, p.key)
	case "scope":
		_, err = r.textsOrOne(p.value, p.key)
	default:
		return r.section(rule, p)
	}
	return true, err
}

// section reads the top-level keys that have keys of their own, and refuses those whose meaning this program would lose.
func (r *reader) section(rule *Rule, p pair) (known bool, err *Error) {
	switch p.key {
	case "related":
		rule.Related, err = r.related(p.value)
	case "logsource":
		err = r.logSource(rule, p.value)
	case "minehound":
		rule.Weighing, err = r.weighing(p)
	case "detection":
		err = r.detection(rule, p)
	case "correlation":
		err = r.correlation(rule, p)
	case "generate":
		_, err = r.truth(p.value, p.key) // read by correlation, which may stand before it
	case "taxonomy":
		var s string
		if s, err = r.text(p.value, p.key); err == nil && s != "sigma" {
			err = r.errorf(p.line, "taxonomy %q is not known, only sigma is", s)
		}
	case "regression_tests_path", "simulation":
	case "filter":
		err = r.hintf(r.errorf(p.line, "a Sigma filter is no rule"), "use the allow list of the configuration, or `and not` in the rule")
	case "action":
		err = r.errorf(p.line, "`action` is the rule collection of version 1 of Sigma, which version 2 has dropped")
	default:
		return false, nil
	}
	return true, err
}

func (r *reader) related(n *yaml.Node) ([]Related, *Error) {
	list, err := r.elements(n, "related")
	if err != nil {
		return nil, err
	}
	var out []Related
	for _, e := range list {
		pairs, err := r.mapping(e, "an entry of related")
		if err != nil {
			return nil, err
		}
		var rel Related
		for _, p := range pairs {
			switch p.key {
			case "id":
				rel.ID, err = r.name(p.value, "related.id")
			case "type":
				rel.Type, err = r.oneOf(p.value, "related.type", "derived", "obsolete", "obsoletes", "merged", "renamed", "similar")
			default:
				err = r.errorf(p.line, "unknown key %q", "related."+p.key)
			}
			if err != nil {
				return nil, err
			}
		}
		out = append(out, rel)
	}
	return out, nil
}

func (r *reader) logSource(rule *Rule, n *yaml.Node) *Error {
	pairs, err := r.mapping(n, "logsource")
	if err != nil {
		return err
	}
	named := false
	for _, p := range pairs {
		switch p.key {
		case "category":
			rule.LogSource.Category, err = r.name(p.value, "logsource.category")
			named = true
		case "product":
			rule.LogSource.Product, err = r.name(p.value, "logsource.product")
			named = true
		case "service":
			rule.LogSource.Service, err = r.name(p.value, "logsource.service")
			named = true
		case "definition":
			rule.LogSource.Definition, err = r.text(p.value, "logsource.definition")
		default:
			err = r.unknownKey(rule, p, "logsource.", []string{"category", "product", "service", "definition"}, false)
		}
		if err != nil {
			return err
		}
	}
	if !named {
		return r.errorf(n.Line, "logsource names no category, product or service")
	}
	return nil
}

func (r *reader) weighing(block pair) (*Weighing, *Error) {
	pairs, err := r.mapping(block.value, "minehound")
	if err != nil {
		return nil, err
	}
	w := &Weighing{}
	weighed := false
	for _, p := range pairs {
		switch p.key {
		case "class":
			w.Class, err = r.name(p.value, "minehound.class")
		case "group":
			w.Group, err = r.name(p.value, "minehound.group")
		case "weight":
			var s scalar
			if s, err = r.scalar(p.value, "minehound.weight"); err == nil {
				if w.Weight, weighed = parseNumber(s.text); !weighed || s.kind != scalarNumber {
					err = r.errorf(s.line, "minehound.weight must be a number of decibans, not %q", s.text)
				}
			}
		default:
			e := r.errorf(p.line, "unknown key %q", "minehound."+p.key)
			if near := nearest(p.key, []string{"class", "weight", "group"}); near != "" {
				e.Hint = "did you mean minehound." + near + "?"
			}
			err = e
		}
		if err != nil {
			return nil, err
		}
	}
	if w.Class == "" || !weighed {
		return nil, r.errorf(block.line, "minehound needs class and weight")
	}
	return w, nil
}
