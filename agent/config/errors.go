package config

import (
	"fmt"
	"strings"
)

// Layer is where a value can come from.
type Layer string

// The layers, weakest first.
const (
	BuiltIn Layer = "built-in"
	File    Layer = "file"
	Env     Layer = "environment"
	Flag    Layer = "flag"
)

// Origin is where a value came from.
type Origin struct {
	Layer Layer
	Name  string // the file, the variable or the flag
	Line  int    // in a file, from 1
}

func (o Origin) String() string {
	switch {
	case o.Layer == BuiltIn || o.Name == "":
		return string(BuiltIn)
	case o.Line > 0:
		return fmt.Sprintf("%s:%d", o.Name, o.Line)
	case o.Layer == Env:
		return "$" + o.Name
	default:
		return o.Name
	}
}

// Error is one thing in a configuration that cannot be honoured.
type Error struct {
	Origin Origin
	Key    string // "look.every", "webhooks[0].url"; "" when the whole layer is meant
	Reason string
	Hint   string // what to do about it, "" for none
	Err    error  // the cause, nil for none
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Origin.String())
	b.WriteString(": ")
	if e.Key != "" {
		b.WriteString(e.Key)
		b.WriteString(": ")
	}
	b.WriteString(e.Reason)
	if e.Err != nil {
		if e.Reason != "" {
			b.WriteString(": ")
		}
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// Errors are all things in a configuration that cannot be honoured, in the order they were met.
type Errors []*Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives errors.Is and errors.As every one of them.
func (e Errors) Unwrap() []error {
	errs := make([]error, len(e))
	for i, one := range e {
		errs[i] = one
	}
	return errs
}

// nearest is the candidate that word was probably meant to be, or "". At most a third of the letters may be wrong.
func nearest(word string, candidates []string) string {
	best, at := "", len(word)/3+1
	for _, c := range candidates {
		if d := distance(word, c); d < at || (d == at && best == "") {
			best, at = c, d
		}
	}
	return best
}

// distance is how many letters must be added, removed, replaced or swapped with their neighbour to make a into b
// (optimal string alignment).
func distance(a, b string) int {
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := 1; i <= len(a); i++ {
		two, one, row := rows[0], rows[1], rows[2]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(one[j]+1, row[j-1]+1, one[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], two[j-2]+1)
			}
		}
		rows[0], rows[1], rows[2] = one, row, two
	}
	return rows[1][len(b)]
}
