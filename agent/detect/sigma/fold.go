package sigma

import (
	"unicode"
	"unicode/utf8"
)

// appendFold appends s with every letter replaced by the one that stands for all its cases, so that two texts are equal
// regardless of case (Unicode simple folding, as in regexp's i flag) exactly when their folded bytes are. Bytes that are
// no UTF-8 stay as they are.
func appendFold(dst []byte, s string) []byte {
	from := len(dst)
	dst = append(dst, s...)
	var all byte
	for i, c := range dst[from:] {
		all |= c
		if c-'A' < 26 {
			dst[from+i] = c + ('a' - 'A')
		}
	}
	if all < utf8.RuneSelf {
		return dst
	}
	return foldRunes(dst[:from], s)
}

func foldRunes(dst []byte, s string) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c-'A' < 26 {
				c += 'a' - 'A'
			}
			dst = append(dst, c)
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n <= 1 {
			dst = append(dst, c)
		} else {
			dst = utf8.AppendRune(dst, foldRune(r))
		}
		i += n
	}
	return dst
}

// foldRune is the least rune of those that differ from r by case only, in lower case when that is an ASCII letter.
func foldRune(r rune) rune {
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	if 'A' <= least && least <= 'Z' {
		least += 'a' - 'A'
	}
	return least
}

func foldString(s string) string { return string(appendFold(nil, s)) }
