package tree

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// Escape spells bytes so that [Txtar] reads them back, with a newline at the end as a txtar file has it.
func Escape(b []byte) []byte {
	out := make([]byte, 0, len(b)+len(b)/8+2)
	for i, c := range b {
		switch {
		case c == '\n':
			out = append(out, '\n')
		case c == '\\':
			out = append(out, `\\`...)
		case c == 0:
			out = append(out, `\0`...)
		case c == '-' && (i == 0 || b[i-1] == '\n'): // might look like the header of a file
			out = append(out, `\x2d`...)
		case c < ' ' && c != '\t' || c >= 0x7f:
			out = fmt.Appendf(out, `\x%02x`, c)
		default:
			out = append(out, c)
		}
	}
	if len(b) > 0 && b[len(b)-1] != '\n' {
		out = append(out, '\\', '\n')
	}
	return out
}

// Unescape undoes [Escape].
func Unescape(b []byte) ([]byte, error) {
	if bytes.IndexByte(b, '\\') < 0 {
		return bytes.Clone(b), nil
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' {
			out = append(out, b[i])
			continue
		}
		i++
		if i == len(b) {
			return nil, errors.New(`a \ at the end`)
		}
		switch b[i] {
		case '0':
			out = append(out, 0)
		case 'n':
			out = append(out, '\n')
		case 't':
			out = append(out, '\t')
		case '\\':
			out = append(out, '\\')
		case '\n':
		case 'x':
			if i+3 > len(b) {
				return nil, errors.New(`\x without two digits`)
			}
			n, err := strconv.ParseUint(string(b[i+1:i+3]), 16, 8)
			if err != nil {
				return nil, fmt.Errorf(`\x without two digits: %w`, err)
			}
			out = append(out, byte(n))
			i += 2
		default:
			return nil, fmt.Errorf(`\%c is no escape`, b[i])
		}
	}
	return out, nil
}
