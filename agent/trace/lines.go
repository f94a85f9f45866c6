package trace

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

// maxLine bounds one line in bytes: 64 MiB is a first look at some 100,000 processes with their details.
const maxLine = 64 << 20

// lines reads the logical lines of a trace: a line and those after it that begin with a blank.
type lines struct {
	r     *bufio.Reader
	buf   []byte
	first int // line number of the logical line last returned
	n     int // physical lines read so far
	max   int
}

func newLines(r io.Reader) (*lines, error) {
	l := &lines{r: bufio.NewReaderSize(r, 64<<10), max: maxLine}
	magic, err := l.r.Peek(2)
	if err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		zr, err := gzip.NewReader(l.r)
		if err != nil {
			return nil, &Error{1, cut(err)}
		}
		l.r = bufio.NewReaderSize(zr, 64<<10)
	}
	return l, nil
}

// cut makes the end of a file in the middle of something an ErrTruncated.
func cut(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %w", ErrTruncated, io.ErrUnexpectedEOF)
	}
	return err
}

// next returns the next logical line that is not empty or a comment, valid until the next call, and io.EOF after the
// last. whole is false when the file ended before the line did.
func (l *lines) next() (line []byte, whole bool, err error) {
	for {
		l.buf = l.buf[:0]
		l.first = l.n + 1
		if whole, err = l.physical(); err != nil {
			return nil, false, err
		}
		text := bytes.TrimSpace(l.buf)
		if len(text) == 0 || text[0] == '#' {
			continue
		}
		for whole && l.continues() {
			if whole, err = l.physical(); err != nil {
				return nil, false, err
			}
		}
		return bytes.TrimSpace(l.buf), whole, nil
	}
}

// continues tells whether the next line belongs to the one before. An error shows when that is read.
func (l *lines) continues() bool {
	b, _ := l.r.Peek(1)
	return len(b) == 1 && (b[0] == ' ' || b[0] == '\t')
}

// physical appends one line of the file to buf.
func (l *lines) physical() (whole bool, err error) {
	start := len(l.buf)
	for {
		part, err := l.r.ReadSlice('\n')
		l.buf = append(l.buf, part...)
		if len(l.buf) > l.max {
			return false, &Error{l.n + 1, fmt.Errorf("%w: a line is longer than %d bytes", ErrTooLarge, l.max)}
		}
		switch {
		case err == nil:
			l.n++
			return true, nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			if len(l.buf) == start {
				return false, io.EOF
			}
			l.n++
			return false, nil
		default:
			return false, &Error{l.n + 1, cut(err)}
		}
	}
}
