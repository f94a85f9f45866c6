package report

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// mark stands where a text was cut.
const mark = "…"

// stacked is how many combining marks may follow each other. Written languages stack few (Vietnamese and Hebrew two or
// three); hundreds are made to paint over the lines above and below (Unicode TR36, 2.10.2).
const stacked = 4

// Clean makes a text that somebody else chose safe to show and to send: whatever is invisible, moves the cursor or turns
// the direction of writing around becomes a visible escape (\x1b, \u202e, \U000e0041), a byte that is not UTF-8 becomes
// \xff, and a text longer than limit bytes is cut at a whole character and ends in "…". A backslash stays what it is:
// paths on Windows are full of them.
//
// The result is valid UTF-8 of at most limit bytes; a limit below 3 has no room for the mark and gives "". Clean of a
// clean text changes nothing.
func Clean(s string, limit int) string {
	if limit < len(mark) {
		return ""
	}
	if len(s) <= limit && plain(s) {
		return s
	}
	var b strings.Builder
	cut := 0 // how much of b still leaves room for the mark
	marks := 0
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if unicode.In(r, unicode.Mn, unicode.Me) {
			marks++
		} else {
			marks = 0
		}
		piece := s[i : i+size]
		switch {
		case r == utf8.RuneError && size == 1:
			piece = fmt.Sprintf(`\x%02x`, s[i])
		case !visible(r) || marks > stacked:
			piece = escape(r)
		}
		if b.Len()+len(piece) > limit {
			return b.String()[:cut] + mark
		}
		b.WriteString(piece)
		if b.Len() <= limit-len(mark) {
			cut = b.Len()
		}
		i += size
	}
	return b.String()
}

// plain tells whether s is nothing but visible ASCII, which most texts are.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// visible tells whether r leaves a mark on the screen and does nothing else. Go's IsPrint leaves out control, format
// (bidirectional, zero width, tags), private and unassigned characters and all spaces but one; what is left are the few
// letters and marks that Unicode wants drawn as nothing, and an empty Braille cell.
func visible(r rune) bool {
	return unicode.IsPrint(r) && r != '\u2800' &&
		!unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

func escape(r rune) string {
	switch {
	case r < utf8.RuneSelf:
		return fmt.Sprintf(`\x%02x`, r)
	case r <= 0xffff:
		return fmt.Sprintf(`\u%04x`, r)
	}
	return fmt.Sprintf(`\U%08x`, r)
}
