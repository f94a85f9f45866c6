package sigma

import (
	"slices"
	"strings"
)

// modifiers lists every value modifier of the specification's appendix, version 2.1.
var modifiers = []string{
	"all", "base64", "base64offset", "cased", "cidr", "contains", "day", "endswith", "exists", "expand", "fieldref", "gt", "gte",
	"hour", "i", "lt", "lte", "m", "minute", "month", "neq", "re", "s", "startswith", "utf16", "utf16be", "utf16le", "week", "wide",
	"windash", "year",
}

// item is one `field|modifier: values` of a search.
type item struct {
	key    string // as written
	field  string // "" for keywords
	line   int
	values []scalar

	steps    []string // modifiers that change the value, in the order written
	all      bool
	neq      bool
	cased    bool
	expand   bool
	regexp   bool
	flags    string // of the regular expression, from i m s
	cidr     bool
	exists   bool
	fieldref bool
	numeric  bool // one of gt gte lt lte
	compare  compareOp
	part     datePart
}

// parseModifiers reads the key of an item.
func (r *reader) parseModifiers(it *item) *Error {
	names := strings.Split(it.key, "|")
	it.field = names[0]
	seen := map[string]bool{}
	before := ""
	for _, name := range names[1:] {
		if seen[name] {
			return r.errorf(it.line, "%s has the modifier %s twice", it.key, name)
		}
		seen[name] = true
		if err := r.modifier(it, name, before); err != nil {
			return err
		}
		before = name
	}
	return r.checkModifiers(it)
}

// modifier takes one modifier in; before is the one that stands before it.
func (r *reader) modifier(it *item, name, before string) *Error {
	switch name {
	case "contains", "startswith", "endswith", "windash", "base64", "base64offset", "utf16", "utf16le", "utf16be", "wide":
		it.steps = append(it.steps, name)
	case "expand":
		it.steps = append(it.steps, name)
		it.expand = true
	case "all":
		it.all = true
	case "neq":
		it.neq = true
	case "cased":
		it.cased = true
	case "re":
		it.regexp = true
	case "i", "m", "s":
		if before != "re" && before != "i" && before != "m" && before != "s" {
			return r.errorf(it.line, "%s: the modifier %s must follow re", it.key, name)
		}
		it.flags += name
	case "cidr":
		it.cidr = true
	case "exists":
		it.exists = true
	case "fieldref":
		it.fieldref = true
	case "gt", "gte", "lt", "lte":
		if it.numeric {
			return r.hintf(r.errorf(it.line, "%s has two comparisons", it.key), "write each on its own line")
		}
		it.numeric = true
		it.compare = map[string]compareOp{"gt": greaterThan, "gte": atLeast, "lt": lessThan, "lte": atMost}[name]
	case "minute", "hour", "day", "week", "month", "year":
		if it.part != wholeValue {
			return r.errorf(it.line, "%s takes two parts of a date", it.key)
		}
		it.part = map[string]datePart{"minute": datePartMinute, "hour": datePartHour, "day": datePartDay,
			"week": datePartWeek, "month": datePartMonth, "year": datePartYear}[name]
	default:
		e := r.errorf(it.line, "%s: there is no modifier %q in Sigma", it.key, name)
		if near := nearest(name, modifiers); near != "" {
			e.Hint = "did you mean " + near + "?"
		}
		return e
	}
	return nil
}

// checkModifiers refuses combinations that have no meaning.
func (r *reader) checkModifiers(it *item) *Error {
	var types []string
	for name, on := range map[string]bool{"re": it.regexp, "cidr": it.cidr, "exists": it.exists, "fieldref": it.fieldref,
		"a comparison": it.numeric} {
		if on {
			types = append(types, name)
		}
	}
	slices.Sort(types)
	places := 0
	for _, s := range it.steps {
		if s == "contains" || s == "startswith" || s == "endswith" {
			places++
		}
	}
	var hint string
	var reason string
	switch {
	case len(types) > 1:
		reason = strings.Join(types, " and ") + " exclude each other"
	case places > 1:
		reason = "contains, startswith and endswith exclude each other"
	case it.all && it.neq:
		reason, hint = "all and neq together can be read in two ways", "write a search of its own and `not` in the condition"
	case it.regexp && len(it.steps) > 0:
		reason, hint = "re cannot be joined with "+it.steps[0], "a regular expression matches anywhere already; use ^ and $"
	case it.regexp && it.cased:
		reason = "re is case-sensitive already"
	case (it.cidr || it.exists || it.numeric || it.part != wholeValue) && (len(it.steps) > 0 || it.cased):
		reason = "modifiers for text cannot be joined with cidr, exists, comparisons or parts of a date"
	case it.exists && (it.all || it.neq):
		reason, hint = "exists takes no other modifier", "use exists: false"
	case it.fieldref && len(it.steps) != places:
		reason = "fieldref can only be joined with contains, startswith, endswith, cased, neq and all"
	case it.part != wholeValue && (it.regexp || it.cidr || it.exists || it.fieldref):
		reason = "a part of a date is a number and can only be compared"
	case it.numeric && it.neq:
		reason = "neq cannot be joined with another comparison"
	case it.field == "" && (it.cidr || it.exists || it.numeric || it.fieldref || it.part != wholeValue):
		reason = "this modifier needs a field"
	default:
		return nil
	}
	e := r.errorf(it.line, "%s: %s", it.key, reason)
	e.Hint = hint
	return e
}
