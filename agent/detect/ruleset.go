package detect

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/minehound/minehound/agent/detect/sigma"
)

// MaxRuleFile is the largest rule file that is read, in bytes: five times the longest of the 1,460 in SigmaHQ's
// collection with room for a list of names.
const MaxRuleFile = 1 << 20

// Source is a place that rules come from: every .yml and .yaml file in FS, below subdirectories too, names that begin
// with a dot or an underscore left out.
type Source struct {
	Name string // shown before the path of a file: "built-in", "/etc/minehound/rules.d"
	FS   fs.FS
}

// Override is a rule that took the place of another with the same name from an earlier source.
type Override struct {
	Name     string // of the rule
	By, Over string // the files
}

// Ruleset is rules that were read, checked and found good. It is immutable.
type Ruleset struct {
	Rules     []Rule     // sorted by name, inactive ones included
	Overrides []Override // sorted by name
}

// Load reads the rules of all sources; of rules with the same name the later source's counts. Any mistake in any rule
// makes it fail: the error joins one *sigma.Error for each mistake, see [Check] for the list.
func Load(sources ...Source) (*Ruleset, error) {
	rs, errs := Check(sources...)
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("load rules: %w", err)
	}
	return rs, nil
}

// Check is Load that tells every mistake and what there was without the mistaken rules.
func Check(sources ...Source) (*Ruleset, []error) {
	l := loader{byName: map[string]int{}}
	for _, s := range sources {
		l.source(s)
	}
	l.compile()
	rs := &Ruleset{Rules: l.rules, Overrides: l.overrides}
	slices.SortStableFunc(rs.Rules, func(a, b Rule) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(rs.Overrides, func(a, b Override) int { return strings.Compare(a.Name, b.Name) })
	return rs, l.errs
}

// CheckFile checks the rules of one file's contents as if it were a source of its own.
func CheckFile(name string, data []byte) (*Ruleset, []error) {
	l := loader{byName: map[string]int{}}
	l.file(name, name, data)
	l.compile()
	return &Ruleset{Rules: l.rules}, l.errs
}

// For is the Ruleset as it works on an operating system (GOOS): rules about another product are inactive.
func (rs *Ruleset) For(os string) *Ruleset {
	out := &Ruleset{Rules: slices.Clone(rs.Rules), Overrides: rs.Overrides}
	for i := range out.Rules {
		r := &out.Rules[i]
		if want := systemOf(r.LogSource.Product); r.Inactive == "" && r.Kind != Correlation && want != "any" && want != os {
			r.Inactive = fmt.Sprintf("it is about %s, this machine runs %s", r.LogSource.Product, os)
		}
	}
	spread(out.Rules)
	return out
}

// Rule is the rule of that name, nil for none.
func (rs *Ruleset) Rule(name string) *Rule {
	i, ok := slices.BinarySearchFunc(rs.Rules, name, func(r Rule, n string) int { return strings.Compare(r.Name, n) })
	if !ok {
		return nil
	}
	return &rs.Rules[i]
}

// Inactive lists the rules that can never hold here, by name; [Rule.Inactive] says why.
func (rs *Ruleset) Inactive() []Rule {
	return slices.DeleteFunc(slices.Clone(rs.Rules), func(r Rule) bool { return r.Inactive == "" })
}

type loader struct {
	rules     []Rule
	byName    map[string]int
	overrides []Override
	errs      []error
}

func (l *loader) source(s Source) {
	err := fs.WalkDir(s.FS, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			l.errs = append(l.errs, fmt.Errorf("read rules in %s: %w", s.Name, err))
			return nil
		}
		base := path.Base(p)
		if p != "." && (base[0] == '.' || base[0] == '_') {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if ext := path.Ext(p); d.IsDir() || ext != ".yml" && ext != ".yaml" {
			return nil
		}
		name := s.Name + "/" + p
		if data, err := readLimited(s.FS, p); err != nil {
			l.errs = append(l.errs, &sigma.Error{File: name, Reason: err.Error()})
		} else {
			l.file(s.Name, name, data)
		}
		return nil
	})
	if err != nil {
		l.errs = append(l.errs, fmt.Errorf("read rules in %s: %w", s.Name, err))
	}
}

func readLimited(fsys fs.FS, name string) ([]byte, error) {
	st, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	if st.Size() > MaxRuleFile {
		return nil, fmt.Errorf("the file has %d bytes, more than %d", st.Size(), MaxRuleFile)
	}
	return fs.ReadFile(fsys, name)
}

func (l *loader) file(source, name string, data []byte) {
	parsed, err := sigma.Parse(name, data)
	if err != nil {
		l.errs = append(l.errs, split(err)...)
	}
	for _, r := range parsed {
		rule := Rule{Rule: r, Source: source, Attack: attackOf(r.Tags)}
		rule.Kind, rule.Inactive = kindOf(r)
		if errs := weigh(&rule); len(errs) > 0 {
			l.errs = append(l.errs, errs...)
			continue
		}
		l.add(rule)
	}
}

// split takes a joined error apart, so that every mistake is counted and shown on its own.
func split(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		var l []error
		for _, e := range j.Unwrap() {
			l = append(l, split(e)...)
		}
		return l
	}
	return []error{err}
}

func (l *loader) add(r Rule) {
	i, taken := l.byName[r.Name]
	switch {
	case !taken:
		l.byName[r.Name] = len(l.rules)
		l.rules = append(l.rules, r)
	case l.rules[i].Source == r.Source:
		l.errs = append(l.errs, &sigma.Error{File: r.File, Line: r.Line, Rule: r.Name,
			Reason: "another rule has this name: " + l.rules[i].File, Hint: "give it a name of its own with the name attribute"})
	default:
		l.overrides = append(l.overrides, Override{Name: r.Name, By: r.File, Over: l.rules[i].File})
		l.rules[i] = r
	}
}

// compile tries what New will do, so that a Ruleset is known to work.
func (l *loader) compile() {
	for i := range l.rules {
		r := &l.rules[i]
		if r.Inactive != "" || r.Kind == Correlation {
			continue
		}
		if s := told(r.Kind); !r.CanFire(s) {
			r.Inactive = "no sensor tells what it asks for: " + strings.Join(r.Missing(s), ", ")
		}
	}
	spread(l.rules)
	// Inactive rules are compiled as well: a rule that is mistaken is refused wherever it would work.
	_, errs := build(l.rules, true)
	l.errs = append(l.errs, errs...)
	l.rules = slices.DeleteFunc(l.rules, func(r Rule) bool {
		return slices.ContainsFunc(errs, func(err error) bool {
			var e *sigma.Error
			return errors.As(err, &e) && e.Rule == r.Name && e.File == r.File
		})
	})
}

func told(k Kind) *sigma.Schema {
	if k == Activity {
		return activitySchema()
	}
	return eventSchema(true)
}

// spread makes a correlation inactive when a rule it needs is.
func spread(rules []Rule) {
	for changed := true; changed; {
		changed = false
		for i := range rules {
			c := &rules[i]
			if c.Kind != Correlation || c.Inactive != "" {
				continue
			}
			for j := range rules {
				r := &rules[j]
				if r.Inactive != "" && (slices.Contains(c.Correlation.Rules, r.Name) || r.ID != "" && slices.Contains(c.Correlation.Rules, r.ID)) {
					c.Inactive, changed = "it needs "+r.Name+", which is inactive", true
					break
				}
			}
		}
	}
}
