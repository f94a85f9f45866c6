package sigma

import (
	"encoding/base64"
	"unicode/utf16"
)

// utf16Bytes spells text in UTF-16, low byte first unless big, with a byte order mark when marked. Bytes that are no
// UTF-8 become U+FFFD.
func utf16Bytes(s string, big, marked bool) string {
	units := utf16.Encode([]rune(s))
	if marked {
		units = append([]uint16{0xFEFF}, units...)
	}
	out := make([]byte, 0, 2*len(units))
	for _, u := range units {
		if big {
			out = append(out, byte(u>>8), byte(u))
		} else {
			out = append(out, byte(u), byte(u>>8))
		}
	}
	return string(out)
}

func base64Text(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// base64Offsets is how s looks inside a longer Base64 text when it starts at a multiple of three bytes, one after, and two
// after: only the characters that nothing beside can change. A form that would be empty is left out.
func base64Offsets(s string) []string {
	var out []string
	for shift := range 3 {
		enc := base64.StdEncoding.EncodeToString(append(make([]byte, shift), s...))
		// The first shift bytes fill one and a third (or two thirds) characters each; a partial group at the end shares its
		// last character with what follows, and padding is not there at all then.
		start := [...]int{0, 2, 3}[shift]
		end := len(enc) - [...]int{0, 3, 2}[(shift+len(s))%3]
		if start < end {
			out = append(out, enc[start:end])
		}
	}
	return out
}
