package sigma

import (
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/minehound/minehound/agent/host"
)

// record is a record for tests: values by index, unknown where there are none.
type record []host.Value

func (r record) Get(i int) host.Value {
	if i < len(r) {
		return r[i]
	}
	return host.Value{}
}

// reference evaluates a tree the slow and obvious way, sharing nothing with the compiled rules: no folding ahead, no
// prefilter, no sharing. What it says is what a Set must say.
func reference(s *Schema, n *node, rec record) Truth {
	return oracle{s, map[string]string{}}.tree(n, rec)
}

// oracle is the reference with the texts it has folded before.
type oracle struct {
	schema *Schema
	folds  map[string]string
}

func (o oracle) fold(s string) string {
	f, ok := o.folds[s]
	if !ok {
		f = referenceFold(s)
		o.folds[s] = f
	}
	return f
}

func (o oracle) tree(n *node, rec record) Truth {
	switch n.op {
	case opTest:
		return o.test(n.test, rec)
	case opNot:
		return [...]Truth{Unknown: Unknown, False: True, True: False}[o.tree(n.kids[0], rec)]
	default:
	}
	falses, unknowns := 0, 0
	for _, k := range n.kids {
		switch o.tree(k, rec) {
		case False:
			falses++
		case Unknown:
			unknowns++
		default:
		}
	}
	switch {
	case n.op == opAnd && falses > 0 || n.op == opOr && falses == len(n.kids):
		return False
	case n.op == opAnd && unknowns > 0 || n.op == opOr && falses+unknowns == len(n.kids):
		return Unknown
	}
	return True
}

func (o oracle) test(t *test, rec record) Truth {
	s := o.schema
	if t.field == "" {
		out := False
		for i := range s.Len() {
			switch v := rec.Get(i); v.Kind {
			case host.KindUnknown:
				if out == False {
					out = Unknown
				}
			case host.KindText, host.KindTexts:
				if o.value(t, v, host.Value{}) {
					out = True
				}
			default:
			}
		}
		return out
	}
	i, ok := s.Index(t.field)
	if !ok {
		return Unknown
	}
	v := rec.Get(i)
	var other host.Value
	if t.kind == testField {
		j, ok := s.Index(t.other)
		if !ok || rec.Get(j).Kind == host.KindUnknown {
			return Unknown
		}
		other = rec.Get(j)
	}
	if v.Kind == host.KindUnknown {
		return Unknown
	}
	return truthOf(o.value(t, v, other))
}

func (o oracle) value(t *test, v, other host.Value) bool {
	texts := spellings(v)
	switch t.kind {
	case testNull:
		return len(texts) == 0
	case testExists:
		return len(texts) > 0
	case testField:
		if v.Kind == host.KindNumber && other.Kind == host.KindNumber && t.place == placeWhole {
			return v.Number == other.Number
		}
	default:
	}
	for _, text := range texts {
		switch t.kind {
		case testPattern:
			p := t.pat
			if plain, ok := p.plain(); ok && t.number && (v.Kind == host.KindNumber || v.Kind == host.KindNumbers) {
				if want, isNum := parseNumber(plain); isNum {
					if have, _ := parseNumber(text); have == want {
						return true
					}
					continue
				}
			}
			if o.glob(p, text, t.cased) {
				return true
			}
		case testRegexp:
			if t.re.MatchString(text) {
				return true
			}
		case testCompare:
			var n float64
			ok := v.Kind != host.KindBool && t.part == wholeValue
			if ok {
				n, ok = parseNumber(text)
			} else if v.Kind == host.KindText || v.Kind == host.KindTexts {
				n, ok = dateNumber(text, t.part)
			}
			if ok && t.compare.holds(n, t.against) {
				return true
			}
		case testCIDR:
			if a, err := netip.ParseAddr(text); err == nil && t.network.Contains(a.Unmap().WithZone("")) {
				return true
			}
		case testField:
			for _, with := range spellings(other) {
				if !t.cased {
					text, with = o.fold(text), o.fold(with)
				}
				if map[place]bool{placeWhole: text == with, placeStart: strings.HasPrefix(text, with), placeEnd: strings.HasSuffix(text, with),
					placeAnywhere: strings.Contains(text, with)}[t.place] {
					return true
				}
			}
		default:
		}
	}
	return false
}

func spellings(v host.Value) []string {
	switch v.Kind {
	case host.KindText:
		return []string{v.Text}
	case host.KindTexts:
		return v.Texts
	case host.KindBool:
		return []string{strconv.FormatBool(v.Bool)}
	case host.KindNumber:
		return []string{string(appendNumber(nil, v.Number))}
	case host.KindNumbers:
		var out []string
		for _, n := range v.Numbers {
			out = append(out, string(appendNumber(nil, n)))
		}
		return out
	default:
		return nil
	}
}

// referenceFold maps each rune to the least of those it folds with.
func referenceFold(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			b.WriteByte(s[0])
		} else {
			least := r
			for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
				least = min(least, f)
			}
			b.WriteRune(least)
		}
		s = s[n:]
	}
	return b.String()
}

// glob matches by trying everything.
func (o oracle) glob(p pattern, text string, cased bool) bool {
	if !cased {
		text = o.fold(text)
	}
	// reach[i] tells whether the parts so far can end at byte i.
	reach, next := make([]bool, len(text)+1), make([]bool, len(text)+1)
	reach[0] = true
	for _, x := range p {
		clear(next)
		if !cased {
			x.text = o.fold(x.text)
		}
		for i := range reach {
			if !reach[i] {
				continue
			}
			switch x.kind {
			case partText:
				if strings.HasPrefix(text[i:], x.text) {
					next[i+len(x.text)] = true
				}
			case partMany:
				for j := i; j <= len(text) && !next[j]; {
					next[j] = true
					_, n := utf8.DecodeRuneInString(text[j:])
					j += max(n, 1)
				}
			default:
				r, n := utf8.DecodeRuneInString(text[i:])
				if n > 0 && (x.kind == partOne || strings.ContainsRune("-/–—―", r)) {
					next[i+n] = true
				}
			}
		}
		reach, next = next, reach
	}
	return reach[len(text)]
}
