package sigma

import (
	"net/netip"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"
)

// Bounds on what one value may grow to.
const (
	maxPattern   = 8 << 10 // bytes of a value or regular expression as written
	maxSpellings = 625     // patterns from one value: four dashes of five kinds, written out for an encoding
	maxExpanded  = 10_000  // patterns from one item after expand
)

// build turns an item into tests. Placeholders are only looked at when the item has the expand modifier.
func (r *reader) build(it *item, placeholders []Placeholder) (*node, *Error) {
	var kids []*node
	total := 0
	for _, v := range it.values {
		if len(v.text) > maxPattern {
			return nil, r.errorf(v.line, "%s: a value has %d bytes, more than %d", it.key, len(v.text), maxPattern)
		}
		tests, err := r.buildValue(it, v, placeholders)
		if err != nil {
			return nil, err
		}
		if total += len(tests); total > maxExpanded {
			return nil, r.errorf(v.line, "%s becomes more than %d patterns", it.key, maxExpanded)
		}
		alternatives := make([]*node, len(tests))
		for i, t := range tests {
			t.field, t.line = it.field, v.line
			t.label = v.text
			if it.key != "" {
				t.label = it.key + ": " + v.text
			}
			alternatives[i] = testNode(t)
		}
		if len(alternatives) > 0 {
			kids = append(kids, group(opOr, alternatives))
		}
	}
	if len(kids) == 0 {
		return nil, r.errorf(it.line, "%s has no value that could match", it.key)
	}
	op := opOr
	if it.all {
		op = opAnd
	}
	n := group(op, kids)
	if it.neq {
		n = notNode(n)
	}
	return n, nil
}

// buildValue is the tests one value stands for, or-ed.
func (r *reader) buildValue(it *item, v scalar, placeholders []Placeholder) ([]*test, *Error) {
	if v.kind == scalarNull {
		if len(it.steps) > 0 || it.regexp || it.cidr || it.exists || it.fieldref || it.numeric || it.part != wholeValue || it.field == "" {
			return nil, r.errorf(v.line, "%s: null cannot be changed or compared", it.key)
		}
		return []*test{{kind: testNull}}, nil
	}
	switch {
	case it.regexp:
		return r.buildRegexp(it, v)
	case it.cidr:
		p, err := netip.ParsePrefix(v.text)
		if err != nil {
			return nil, r.errorf(v.line, "%s: %q is not a network like 10.0.0.0/8 or fe80::/10", it.key, v.text)
		}
		return []*test{{kind: testCIDR, network: p.Masked()}}, nil
	case it.exists:
		if v.kind != scalarBool || len(it.values) > 1 {
			return nil, r.errorf(v.line, "%s: exists takes one value, true or false", it.key)
		}
		// What must not exist is null: both ask the same.
		if strings.EqualFold(v.text, "true") {
			return []*test{{kind: testExists}}, nil
		}
		return []*test{{kind: testNull}}, nil
	case it.fieldref:
		t := &test{kind: testField, other: v.text, cased: it.cased}
		if v.text == "" {
			return nil, r.errorf(v.line, "%s: fieldref needs the name of a field", it.key)
		}
		if len(it.steps) > 0 {
			t.place = map[string]place{"contains": placeAnywhere, "startswith": placeStart, "endswith": placeEnd}[it.steps[0]]
		}
		return []*test{t}, nil
	case it.numeric || it.part != wholeValue:
		f, ok := parseNumber(v.text)
		if !ok {
			return nil, r.errorf(v.line, "%s: %q is not a number", it.key, v.text)
		}
		return []*test{{kind: testCompare, compare: it.compare, part: it.part, against: f}}, nil
	}
	return r.buildPatterns(it, v, placeholders)
}

func (r *reader) buildPatterns(it *item, v scalar, placeholders []Placeholder) ([]*test, *Error) {
	var list []pattern
	if it.expand {
		var err *Error
		if list, err = r.expand(it, v, placeholders); err != nil {
			return nil, err
		}
	} else {
		list = []pattern{parsePattern(v.text)}
	}
	for _, step := range it.steps {
		var next []pattern
		for _, p := range list {
			changed, err := r.apply(it, v, step, p)
			if err != nil {
				return nil, err
			}
			next = append(next, changed...)
		}
		if list = next; len(list) > maxExpanded {
			return nil, r.errorf(v.line, "%s becomes more than %d patterns", it.key, maxExpanded)
		}
	}
	tests := make([]*test, len(list))
	for i, p := range list {
		if it.field == "" {
			if len(p) == 0 {
				return nil, r.errorf(v.line, "an empty keyword matches everything")
			}
			p = join(many, p, many) // a keyword may be anywhere
		}
		tests[i] = &test{kind: testPattern, pat: p, cased: it.cased, number: len(it.steps) == 0}
	}
	return tests, nil
}

// apply runs one modifier over one pattern.
func (r *reader) apply(it *item, v scalar, step string, p pattern) ([]pattern, *Error) {
	switch step {
	case "contains":
		return []pattern{join(many, p, many)}, nil
	case "startswith":
		return []pattern{join(p, many)}, nil
	case "endswith":
		return []pattern{join(many, p)}, nil
	case "windash":
		return []pattern{p.windash()}, nil
	case "expand":
		return []pattern{p}, nil
	}
	spelled, ok := p.spellings(maxSpellings)
	if !ok {
		return nil, r.errorf(v.line, "%s: too many dashes to spell them all out for %s", it.key, step)
	}
	var out []pattern
	for _, q := range spelled {
		text, ok := q.plain()
		if !ok {
			return nil, r.hintf(r.errorf(v.line, "%s: a wildcard cannot be encoded by %s", it.key, step),
				"escape it as \\* or \\?, and put contains after %s", step)
		}
		switch step {
		case "base64":
			out = append(out, literal(base64Text(text)))
		case "base64offset":
			offsets := base64Offsets(text)
			if len(offsets) < 3 {
				return nil, r.errorf(v.line, "%s: %q is too short to be recognized inside Base64", it.key, text)
			}
			for _, o := range offsets {
				out = append(out, literal(o))
			}
		case "utf16":
			out = append(out, literal(utf16Bytes(text, false, true)))
		case "utf16be":
			out = append(out, literal(utf16Bytes(text, true, false)))
		default: // utf16le and its alias wide
			out = append(out, literal(utf16Bytes(text, false, false)))
		}
	}
	return out, nil
}

func (r *reader) buildRegexp(it *item, v scalar) ([]*test, *Error) {
	source := v.text
	if it.flags != "" {
		source = "(?" + it.flags + ")" + source
	}
	parsed, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		e := r.errorf(v.line, "%s: %q is not a regular expression this program runs: %v", it.key, v.text, err)
		if strings.Contains(v.text, "(?=") || strings.Contains(v.text, "(?!") || strings.Contains(v.text, "(?<") ||
			strings.Contains(v.text, "(?>") {
			e.Hint = "lookaround and atomic groups are not in the specification's subset and would let a rule take for ever; " +
				"split the rule into two searches joined by and, or and not"
		}
		return nil, e
	}
	if size := regexpSize(parsed); size > maxProgram {
		return nil, r.errorf(v.line, "%s: the regular expression grows to %d instructions, more than %d", it.key, size, maxProgram)
	}
	re, err := regexp.Compile(source)
	if err != nil {
		return nil, r.errorf(v.line, "%s: %v", it.key, err)
	}
	if parsed.Op == syntax.OpEmptyMatch {
		return nil, r.errorf(v.line, "%s: an empty regular expression matches everything", it.key)
	}
	return []*test{{kind: testRegexp, re: re, needs: regexpNeeds(parsed), least: regexpLeast(parsed), atEnd: regexpAtEnd(parsed)}}, nil
}

// expand replaces each %name% of a value by the values given for it. `\%` is a plain percent sign.
func (r *reader) expand(it *item, v scalar, placeholders []Placeholder) ([]pattern, *Error) {
	list := []pattern{nil}
	rest, found := v.text, false
	grow := func(more []pattern) *Error {
		var next []pattern
		for _, have := range list {
			for _, m := range more {
				next = append(next, join(have, m))
			}
		}
		if list = next; len(list) > maxExpanded {
			return r.errorf(v.line, "%s becomes more than %d patterns", it.key, maxExpanded)
		}
		return nil
	}
	for rest != "" {
		plain, name, after, ok := cutPlaceholder(rest)
		if err := grow([]pattern{parsePattern(plain)}); err != nil {
			return nil, err
		}
		if rest = after; !ok {
			continue
		}
		found = true
		var values []pattern
		for _, p := range placeholders {
			if p.Name == name {
				for _, s := range p.Values {
					values = append(values, parsePattern(s))
				}
			}
		}
		if len(values) == 0 {
			return nil, r.hintf(r.errorf(v.line, "%s: the placeholder %%%s%% has no value here", it.key, name),
				"give it one in the configuration, or leave the rule out")
		}
		if err := grow(values); err != nil {
			return nil, err
		}
	}
	if !found {
		return nil, r.errorf(v.line, "%s: %q has no %%placeholder%% to expand", it.key, v.text)
	}
	return list, nil
}

// cutPlaceholder splits s at its first %name%. Escaped percent signs come out plain, other escapes are left for
// parsePattern.
func cutPlaceholder(s string) (plain, name, after string, found bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			if s[i+1] != '%' {
				b.WriteByte('\\')
			}
			i++
			b.WriteByte(s[i])
		case s[i] == '%':
			end := strings.IndexByte(s[i+1:], '%')
			if end > 0 && isName(s[i+1:i+1+end]) {
				return b.String(), s[i+1 : i+1+end], s[i+2+end:], true
			}
			b.WriteByte('%')
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), "", "", false
}

func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return s != ""
}

// parseNumber reads a decimal number or a 0x one. It does not allocate, also not for a text that is no number.
func parseNumber(s string) (float64, bool) {
	if len(s) == 0 || len(s) > 64 {
		return 0, false
	}
	digits := s
	if digits[0] == '-' || digits[0] == '+' {
		digits = digits[1:]
	}
	if len(digits) > 2 && digits[0] == '0' && digits[1]|0x20 == 'x' {
		n := 0.0
		for _, c := range []byte(digits[2:]) {
			d := hexDigit(c)
			if d < 0 {
				return 0, false
			}
			n = n*16 + float64(d)
		}
		if s[0] == '-' {
			n = -n
		}
		return n, true
	}
	if !isDecimal(digits) {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// isDecimal tells whether s is digits with at most one point and at most one exponent.
func isDecimal(s string) bool {
	digits, point, exponent := 0, false, false
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9':
			digits++
		case c == '.' && !point && !exponent:
			point = true
		case c|0x20 == 'e' && digits > 0 && !exponent && i+1 < len(s):
			exponent = true
			if next := s[i+1]; (next == '-' || next == '+') && i+2 == len(s) {
				return false
			}
		case (c == '-' || c == '+') && i > 0 && s[i-1]|0x20 == 'e' && exponent:
		default:
			return false
		}
	}
	last := s
	if last != "" {
		last = s[len(s)-1:]
	}
	return digits > 0 && last != "e" && last != "E"
}
