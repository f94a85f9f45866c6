package sigma

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// glob is a pattern ready to match: segments between `*`s. The zero glob matches the empty text.
type glob struct {
	segs      []segment
	openStart bool // the pattern begins with `*`
	openEnd   bool
}

// segment is what stands between two `*`s: texts, single characters and dashes in a row.
type segment struct {
	lit   []byte // of a segment that is text only
	parts []part
}

// newGlob prepares a pattern, folded unless cased.
func newGlob(p pattern, cased bool) glob {
	var g glob
	var seg segment
	flush := func() {
		switch {
		case len(seg.parts) == 0:
			return
		case len(seg.parts) == 1 && seg.parts[0].kind == partText:
			seg.lit = []byte(seg.parts[0].text)
		}
		g.segs = append(g.segs, seg)
		seg = segment{}
	}
	for i, x := range p {
		if x.kind == partMany {
			flush()
			g.openStart = g.openStart || i == 0
			g.openEnd = i == len(p)-1
			continue
		}
		if !cased {
			x.text = foldString(x.text)
		}
		seg.parts = append(seg.parts, x)
	}
	flush()
	return g
}

// match tells whether the whole text matches. Taking the earliest place for each segment is enough: a segment is a fixed
// number of characters, so what starts first also ends first.
func (g *glob) match(text []byte) bool {
	if len(g.segs) == 0 {
		return g.openStart || len(text) == 0
	}
	at, last := 0, len(g.segs)-1
	for i := range g.segs {
		s := &g.segs[i]
		if i == 0 && !g.openStart {
			if at = s.matchAt(text, 0); at < 0 {
				return false
			}
			if i == last && !g.openEnd {
				return at == len(text)
			}
			continue
		}
		if i == last && !g.openEnd {
			return s.ends(text, at)
		}
		if at = s.find(text, at); at < 0 {
			return false
		}
	}
	return true
}

// find is the end of the first match that starts at or after from, or -1.
func (s *segment) find(text []byte, from int) int {
	if s.lit != nil {
		i := bytes.Index(text[from:], s.lit)
		if i < 0 {
			return -1
		}
		return from + i + len(s.lit)
	}
	for from <= len(text) {
		if end := s.matchAt(text, from); end >= 0 {
			return end
		}
		from = nextRune(text, from)
	}
	return -1
}

// ends tells whether the text ends with a match that starts at or after from.
func (s *segment) ends(text []byte, from int) bool {
	if s.lit != nil {
		return bytes.HasSuffix(text[from:], s.lit)
	}
	for from <= len(text) {
		if s.matchAt(text, from) == len(text) {
			return true
		}
		from = nextRune(text, from)
	}
	return false
}

// matchAt is the end of the match that starts at from, or -1.
func (s *segment) matchAt(text []byte, from int) int {
	if s.lit != nil {
		if !bytes.HasPrefix(text[from:], s.lit) {
			return -1
		}
		return from + len(s.lit)
	}
	for i := range s.parts {
		switch x := &s.parts[i]; x.kind {
		case partText:
			if len(text)-from < len(x.text) || string(text[from:from+len(x.text)]) != x.text {
				return -1
			}
			from += len(x.text)
		default:
			if from >= len(text) {
				return -1
			}
			r, n := utf8.DecodeRune(text[from:])
			if x.kind == partDash && !strings.ContainsRune(dashes, r) {
				return -1
			}
			from += n
		}
	}
	return from
}

func nextRune(text []byte, i int) int {
	if i >= len(text) {
		return len(text) + 1
	}
	_, n := utf8.DecodeRune(text[i:])
	return i + n
}
