package detect

import (
	"slices"
	"strings"

	"github.com/minehound/minehound/agent/detect/sigma"
	"github.com/minehound/minehound/agent/feature"
)

// House is the author of the rules that ship with Minehound; a finding of theirs names no author.
const House = "Minehound"

// Kind is what a rule is held against.
type Kind uint8

// The kinds of rules. NoKind is a rule for records that no sensor here makes.
const (
	NoKind      Kind = iota
	Activity         // Vectors: category process_activity of product minehound
	Started          // process start events: category process_creation
	Ended            // process end events: category process_termination
	Correlation      // findings of other rules over time
)

func (k Kind) String() string {
	return [...]string{"none", "activity", "process start", "process end", "correlation"}[k]
}

// Rule is one rule of a [Ruleset]. It is immutable.
type Rule struct {
	*sigma.Rule
	Source   string // name of the Source it came from
	Kind     Kind
	Class    Class // "" and no weight for a rule without a minehound block: it is told and does not count
	Weight   Decibans
	Group    string
	Attack   []string // MITRE ATT&CK techniques of the tags: T1496.001
	Inactive string   // why it can never hold here; "" for a rule that is at work
}

// foreign is the author whom a finding has to name, "" for a rule of ours.
func (r *Rule) foreign() string {
	if r.Author == House {
		return ""
	}
	return r.Author
}

// FieldUse is a field that a rule asks for.
type FieldUse struct {
	Field string // as the rule calls it
	Known bool   // whether records of the rule's kind have such a field
	Told  bool   // whether any sensor fills it
	Doc   string // what it is, "" for one that is not known
}

// Uses lists the fields that a rule asks for, sorted. A correlation asks for none of its own here.
func (r *Rule) Uses() []FieldUse {
	names := r.FieldNames()
	uses := make([]FieldUse, 0, len(names))
	for _, n := range names {
		u := FieldUse{Field: n}
		switch r.Kind {
		case Activity:
			for _, f := range feature.Fields() {
				if n == f.Name || n == f.Sigma {
					u.Known, u.Told, u.Doc = true, true, f.Doc
					break
				}
			}
		case Started, Ended:
			for _, f := range feature.EventFields() {
				if n == f.Name || n == f.Sigma {
					u.Known, u.Told, u.Doc = true, f.Told(), f.Doc
					break
				}
			}
		case NoKind, Correlation:
		}
		uses = append(uses, u)
	}
	return uses
}

// kindOf is what a rule is held against, or why nothing here is.
func kindOf(r *sigma.Rule) (k Kind, why string) {
	if r.Correlation != nil {
		return Correlation, ""
	}
	l := r.LogSource
	if l.Service != "" {
		return NoKind, "no sensor for the log service " + l.Service
	}
	switch {
	case l.Product == "minehound" && l.Category == "process_activity":
		return Activity, ""
	case l.Category == "process_creation" && systemOf(l.Product) != "":
		return Started, ""
	case l.Category == "process_termination" && systemOf(l.Product) != "":
		return Ended, ""
	case l.Category == "process_creation" || l.Category == "process_termination":
		return NoKind, "no sensor for the product " + l.Product
	case l.Category != "":
		return NoKind, "no sensor for the log source category " + l.Category
	}
	return NoKind, "no sensor for the product " + l.Product + " without a category"
}

// systemOf is the operating system (GOOS) that a Sigma product is about: "any" for all of them, "" for one not known here.
func systemOf(product string) string {
	switch product {
	case "", "minehound":
		return "any"
	case "linux", "windows":
		return product
	case "macos":
		return "darwin"
	}
	return ""
}

// attackOf takes the techniques out of Sigma tags: attack.t1496.001 is T1496.001.
func attackOf(tags []string) []string {
	var l []string
	for _, t := range tags {
		id, ok := strings.CutPrefix(strings.ToLower(t), "attack.t")
		if !ok || id == "" || strings.Trim(id, "0123456789.") != "" {
			continue
		}
		if id = "T" + id; !slices.Contains(l, id) {
			l = append(l, id)
		}
	}
	return l
}

// eventSchema and activitySchema are the fields of the two kinds of records.
func eventSchema(toldOnly bool) *sigma.Schema {
	l := make([]sigma.Field, 0, len(feature.EventFields()))
	for _, f := range feature.EventFields() {
		if f.Told() || !toldOnly {
			l = append(l, sigma.Field{Name: f.Name, Sigma: f.Sigma})
		}
	}
	return sigma.NewSchema(l...)
}

func activitySchema() *sigma.Schema {
	l := make([]sigma.Field, 0, len(feature.Fields()))
	for _, f := range feature.Fields() {
		l = append(l, sigma.Field{Name: f.Name, Sigma: f.Sigma})
	}
	return sigma.NewSchema(l...)
}
