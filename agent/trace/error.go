package trace

import (
	"errors"
	"fmt"
)

// What can be wrong with a trace, to be checked with errors.Is.
var (
	ErrTruncated = errors.New("the trace is cut off") // everything before the cut was replayed
	ErrTooLarge  = errors.New("the trace is larger than this program takes")
	ErrSchema    = errors.New("not a trace of a known schema")
)

// Error says where in a trace something is wrong.
type Error struct {
	Line int // of the file, uncompressed, from 1
	Err  error
}

func (e *Error) Error() string { return fmt.Sprintf("trace line %d: %v", e.Line, e.Err) }

// Unwrap is what is wrong there.
func (e *Error) Unwrap() error { return e.Err }
