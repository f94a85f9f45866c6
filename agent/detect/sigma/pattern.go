package sigma

import (
	"strings"
	"unicode/utf8"
)

type partKind uint8

const (
	partText partKind = iota
	partMany          // `*`: any text, also none
	partOne           // `?`: exactly one character
	partDash          // one of dashes, made by windash
)

// part is a piece of a pattern. Two texts never stand side by side, neither do two partMany.
type part struct {
	kind partKind
	text string // of partText
}

// pattern is a Sigma string: text and wildcards.
type pattern []part

// dashes are the characters that Windows programs take for the start of a flag, as the specification's windash has them:
// hyphen, slash, en dash, em dash, horizontal bar.
const dashes = "-/\u2013\u2014\u2015"

// parsePattern reads wildcards and escapes. A backslash escapes a wildcard or a backslash that follows it and is itself
// before anything else: `\*` is a star, `\\*` a backslash and then a wildcard, `C:\x` and `C:\\x` are the same.
func parsePattern(s string) pattern {
	var p pattern
	var text strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '\\':
			if i+1 < len(s) && (s[i+1] == '*' || s[i+1] == '?' || s[i+1] == '\\') {
				i++
				text.WriteByte(s[i])
			} else {
				text.WriteByte(c)
			}
		case '*', '?':
			p = p.add(part{partText, text.String()})
			text.Reset()
			if c == '*' {
				p = p.add(part{kind: partMany})
			} else {
				p = p.add(part{kind: partOne})
			}
		default:
			text.WriteByte(c)
		}
	}
	return p.add(part{partText, text.String()})
}

// literal is a pattern without wildcards.
func literal(s string) pattern { return pattern(nil).add(part{partText, s}) }

// add appends a part, joining texts and dropping what is redundant.
func (p pattern) add(x part) pattern {
	last := len(p) - 1
	switch {
	case x.kind == partText && x.text == "":
		return p
	case x.kind == partText && last >= 0 && p[last].kind == partText:
		p[last].text += x.text
		return p
	case x.kind == partMany && last >= 0 && p[last].kind == partMany:
		return p
	}
	return append(p, x)
}

func join(ps ...pattern) pattern {
	var out pattern
	for _, p := range ps {
		for _, x := range p {
			out = out.add(x)
		}
	}
	return out
}

// plain is the text of a pattern that has no wildcard.
func (p pattern) plain() (string, bool) {
	switch {
	case len(p) == 0:
		return "", true
	case len(p) == 1 && p[0].kind == partText:
		return p[0].text, true
	}
	return "", false
}

var many = pattern{{kind: partMany}}

// windash lets every dash and slash of the text stand for any of them.
func (p pattern) windash() pattern {
	var out pattern
	for _, x := range p {
		if x.kind != partText {
			out = out.add(x)
			continue
		}
		rest := x.text
		for {
			i := strings.IndexAny(rest, dashes)
			if i < 0 {
				break
			}
			_, n := utf8.DecodeRuneInString(rest[i:])
			out = out.add(part{partText, rest[:i]}).add(part{kind: partDash})
			rest = rest[i+n:]
		}
		out = out.add(part{partText, rest})
	}
	return out
}

// spellings writes out the dashes of a pattern, each of the five for each, at most limit patterns; ok is false beyond.
func (p pattern) spellings(limit int) (list []pattern, ok bool) {
	list = []pattern{nil}
	for _, x := range p {
		if x.kind != partDash {
			for i := range list {
				list[i] = list[i].add(x)
			}
			continue
		}
		var next []pattern
		for _, have := range list {
			for _, d := range dashes {
				next = append(next, join(have, literal(string(d))))
			}
		}
		if list = next; len(list) > limit {
			return nil, false
		}
	}
	return list, true
}
