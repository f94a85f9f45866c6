package sigma

import (
	"bytes"
	"net/netip"

	"github.com/minehound/minehound/agent/host"
)

// predicate is a test bound to the fields of a schema. Tests that ask the same share one.
type predicate struct {
	test  *test
	field int // -1 when the schema does not have it: always unknown
	other int // testField
	glob  glob
	exact bool    // the glob is one text without wildcards
	value float64 // of an exact glob that is a number
	isNum bool
	atom  int32   // the predicate holds exactly when this atom was seen; -1 for none
	needs []int32 // atoms one of which was seen when the predicate holds; nil when not known
	cost  int
}

// truth is the outcome of a predicate, computed once per record.
func (m *machine) truth(id int32) Truth {
	c := &m.memo[id]
	if c.gen != m.gen {
		c.gen, c.truth = m.gen, m.compute(&m.set.predicates[id])
	}
	return c.truth
}

func truthOf(b bool) Truth {
	if b {
		return True
	}
	return False
}

// compute tells the outcome: what could not be seen is unknown, what is known to be missing is null and nothing else.
func (m *machine) compute(p *predicate) Truth {
	if p.field < 0 || p.test.kind == testField && p.other < 0 {
		return Unknown
	}
	f := m.field(p.field)
	if f.value.Kind == host.KindUnknown {
		return Unknown
	}
	switch p.test.kind {
	case testNull, testExists:
		none := f.value.Kind == host.KindAbsent || f.value.Kind == host.KindTexts && len(f.value.Texts) == 0 ||
			f.value.Kind == host.KindNumbers && len(f.value.Numbers) == 0
		return truthOf(none == (p.test.kind == testNull))
	case testCompare:
		return truthOf(m.compare(p.test, &f.value))
	case testField:
		if m.field(p.other).value.Kind == host.KindUnknown {
			return Unknown
		}
		return truthOf(m.sameField(p))
	default:
	}
	// The keyword search has seen all there is only when no field is unknown.
	if t := m.matchText(p, f); t != False || !f.unknown {
		return t
	}
	return Unknown
}

func (m *machine) matchText(p *predicate, f *loaded) Truth {
	if !m.plain {
		if p.atom >= 0 {
			return truthOf(m.seen[p.atom] == m.gen)
		}
		if p.needs != nil && !m.sawAny(p.needs) {
			return False
		}
	}
	switch p.test.kind {
	case testRegexp:
		return m.matchRegexp(p)
	case testCIDR:
		return truthOf(matchCIDR(p.test.network, &f.value))
	default:
	}
	if p.exact && p.isNum {
		switch f.value.Kind {
		case host.KindNumber:
			return truthOf(f.value.Number == p.value)
		case host.KindNumbers:
			for _, n := range f.value.Numbers {
				if n == p.value {
					return True
				}
			}
			return False
		default:
		}
	}
	for _, s := range m.texts(p.field, p.test.cased) {
		if p.glob.match(m.bytes(s)) {
			return True
		}
	}
	return False
}

func (m *machine) sawAny(atoms []int32) bool {
	for _, a := range atoms {
		if m.seen[a] == m.gen {
			return true
		}
	}
	return false
}

// matchRegexp searches the first maxRegexText bytes. Of a longer text it cannot say that there is no match.
func (m *machine) matchRegexp(p *predicate) Truth {
	out := False
	for _, s := range m.texts(p.field, true) {
		text := m.bytes(s)
		long := len(text) > maxRegexText
		if long {
			text = text[:maxRegexText]
		}
		if len(text) >= p.test.least && p.test.re.Match(text) {
			if !long || !p.test.atEnd {
				return True
			}
			out = Unknown // it may have matched the cut for the end
		} else if long {
			out = Unknown
		}
	}
	return out
}

func (m *machine) compare(t *test, v *host.Value) bool {
	switch v.Kind {
	case host.KindNumber:
		return t.part == wholeValue && t.compare.holds(v.Number, t.against)
	case host.KindNumbers:
		for _, n := range v.Numbers {
			if t.part == wholeValue && t.compare.holds(n, t.against) {
				return true
			}
		}
	case host.KindText:
		return compareText(t, v.Text)
	case host.KindTexts:
		for _, s := range v.Texts {
			if compareText(t, s) {
				return true
			}
		}
	default:
	}
	return false
}

func compareText(t *test, s string) bool {
	var n float64
	var ok bool
	if t.part == wholeValue {
		n, ok = parseNumber(s)
	} else {
		n, ok = dateNumber(s, t.part)
	}
	return ok && t.compare.holds(n, t.against)
}

// sameField compares two fields: numbers as numbers, all else as text; one value of each suffices.
func (m *machine) sameField(p *predicate) bool {
	a, b := m.field(p.field), m.field(p.other)
	if a.value.Kind == host.KindNumber && b.value.Kind == host.KindNumber && p.test.place == placeWhole {
		return a.value.Number == b.value.Number
	}
	left, right := m.texts(p.field, p.test.cased), m.texts(p.other, p.test.cased)
	for _, l := range left {
		for _, r := range right {
			var same bool
			switch x, y := m.bytes(l), m.bytes(r); p.test.place {
			case placeStart:
				same = bytes.HasPrefix(x, y)
			case placeEnd:
				same = bytes.HasSuffix(x, y)
			case placeAnywhere:
				same = bytes.Contains(x, y)
			default:
				same = bytes.Equal(x, y)
			}
			if same {
				return true
			}
		}
	}
	return false
}

func matchCIDR(network netip.Prefix, v *host.Value) bool {
	if v.Kind == host.KindText {
		return inNetwork(network, v.Text)
	}
	for _, s := range v.Texts {
		if inNetwork(network, s) {
			return true
		}
	}
	return false
}

// inNetwork tells whether text is an address in the network. An IPv4 address written as IPv6 counts as IPv4.
func inNetwork(network netip.Prefix, text string) bool {
	if len(text) == 0 || len(text) > 64 {
		return false
	}
	six := false
	for _, c := range []byte(text) {
		six = six || c == ':'
		if c == '%' {
			break
		}
		if hexDigit(c) < 0 && c != ':' && c != '.' {
			return false
		}
	}
	var addr netip.Addr
	if six {
		var err error
		if addr, err = netip.ParseAddr(text); err != nil {
			return false
		}
	} else {
		four, ok := parseIPv4(text)
		if !ok {
			return false
		}
		addr = netip.AddrFrom4(four)
	}
	return network.Contains(addr.Unmap().WithZone(""))
}

// parseIPv4 reads four decimal numbers without allocating.
func parseIPv4(text string) (addr [4]byte, ok bool) {
	part, digits, n := 0, 0, 0
	for i := 0; i <= len(text); i++ {
		if i == len(text) || text[i] == '.' {
			if digits == 0 || part > 3 {
				return addr, false
			}
			addr[part] = byte(n)
			part, digits, n = part+1, 0, 0
			continue
		}
		c := text[i]
		if c < '0' || c > '9' || digits > 0 && n == 0 {
			return addr, false
		}
		digits++
		if n = n*10 + int(c-'0'); n > 255 {
			return addr, false
		}
	}
	return addr, part == 4
}
