package report

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/flate"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// LogRead is what reading an alert log came across.
type LogRead struct {
	Files   int // read, the rotated ones included
	Alerts  int // lines that are alerts
	Torn    int // lines, and ends of compressed files, that are no whole JSON: a crash or a full disk cut them
	Foreign int // lines that are something else, or of a version this program does not know
}

// mostLine is the longest line that is read, in bytes; the longest that [Log] writes has some 200,000.
const mostLine = 1 << 20

// ReadLog calls each for every alert of a log until it returns false: the rotated files (also compressed with gzip, also
// those that logrotate made) from the oldest on, then the current one, whose name in fsys is given. It holds one line at
// a time. What cannot be read is counted and skipped; the error is about files, and wraps [fs.ErrNotExist] when there is
// no log at all.
func ReadLog(fsys fs.FS, name string, each func(Alert) bool) (LogRead, error) {
	var r LogRead
	files, err := openLog(fsys, name)
	if err != nil {
		return r, fmt.Errorf("alert log: %w", err)
	}
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	for _, f := range files {
		r.Files++
		more, err := r.file(f, each)
		if err != nil {
			return r, fmt.Errorf("alert log: %s: %w", f.name, err)
		}
		if !more {
			break
		}
	}
	return r, nil
}

// Latest is the newest revision of each case in a log, the newest case first, at most so many cases; 0 is 10,000.
func Latest(fsys fs.FS, name string, most int) ([]Alert, LogRead, error) {
	if most <= 0 {
		most = 10_000
	}
	newest := map[string]Alert{}
	r, err := ReadLog(fsys, name, func(a Alert) bool {
		if old, ok := newest[a.ID]; !ok || a.Revision >= old.Revision {
			newest[a.ID] = a
		}
		if len(newest) > 2*most {
			for _, a := range byTime(newest)[most:] {
				delete(newest, a.ID)
			}
		}
		return true
	})
	list := byTime(newest)
	return list[:min(most, len(list))], r, err
}

// byTime is the newest first.
func byTime(m map[string]Alert) []Alert {
	list := make([]Alert, 0, len(m))
	for _, a := range m {
		list = append(list, a)
	}
	slices.SortFunc(list, func(a, b Alert) int { return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(a.ID, b.ID)) })
	return list
}

type logFile struct {
	fs.File
	name string
}

// openLog opens all files of a log, the oldest first, so that a rotation in the meantime moves none of them away.
func openLog(fsys fs.FS, name string) ([]logFile, error) {
	const tries = 3 // a file that is gone was rotated between listing and opening
	var err error
	for range tries {
		var names []string
		if names, err = logNames(fsys, name); err != nil {
			return nil, err
		}
		var files []logFile
		for _, n := range names {
			var f fs.File
			if f, err = fsys.Open(n); err != nil {
				break
			}
			files = append(files, logFile{f, n})
		}
		if err == nil {
			return files, nil
		}
		for _, f := range files {
			_ = f.Close()
		}
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return nil, err
}

// logNames lists the files of a log, the oldest first.
func logNames(fsys fs.FS, name string) ([]string, error) {
	dir, base := path.Split(name)
	entries, err := fs.ReadDir(fsys, path.Clean(dir))
	if err != nil {
		return nil, err
	}
	type rotated struct {
		name string
		age  logAge
	}
	var list []rotated
	for _, e := range entries {
		age, ours := ageOf(e.Name(), base)
		plainToo := strings.HasSuffix(e.Name(), ".gz") && slices.ContainsFunc(entries, func(o fs.DirEntry) bool {
			return o.Name() == strings.TrimSuffix(e.Name(), ".gz") // compressed and not yet removed
		})
		if ours && !plainToo && e.Type()&^fs.ModeSymlink == 0 {
			list = append(list, rotated{dir + e.Name(), age})
		}
	}
	if len(list) == 0 {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	slices.SortFunc(list, func(a, b rotated) int {
		return cmp.Or(cmp.Compare(b.age.number, a.age.number), cmp.Compare(a.age.stamp, b.age.stamp), cmp.Compare(a.name, b.name))
	})
	names := make([]string, 0, len(list))
	for _, f := range list {
		names = append(names, f.name)
	}
	return names, nil
}

// logAge orders the files of a log: those with a number, the higher the older, then those with a date, then the current.
type logAge struct {
	number int
	stamp  string
}

// ageOf tells whether a file belongs to the log: NAME itself, NAME-DATE-REASON.EXT as [Log] rotates, NAME.EXT.3 or
// NAME.EXT-20270131 as logrotate does, each also with .gz.
func ageOf(file, base string) (logAge, bool) {
	const current = "\uffff" // after every date
	if file == base {
		return logAge{stamp: current}, true
	}
	ext := path.Ext(base)
	file = strings.TrimSuffix(file, ".gz")
	if rest, ok := strings.CutPrefix(file, base); ok && len(rest) > 1 {
		n, err := strconv.ParseUint(rest[1:], 10, 31)
		switch {
		case err != nil:
			return logAge{}, false
		case rest[0] == '.':
			return logAge{number: int(n) + 1}, true
		}
		return logAge{stamp: rest[1:]}, rest[0] == '-'
	}
	rest, ok1 := strings.CutPrefix(file, strings.TrimSuffix(base, ext)+"-")
	rest, ok2 := strings.CutSuffix(rest, ext)
	return logAge{stamp: strings.ReplaceAll(rest, "-", "")}, ok1 && ok2 && len(rest) > 4 && strings.Trim(rest[:4], "0123456789") == ""
}

// file reads one file and tells whether more is wanted.
func (r *LogRead) file(f logFile, each func(Alert) bool) (bool, error) {
	var in io.Reader = f
	if strings.HasSuffix(f.name, ".gz") {
		z, err := gzip.NewReader(f)
		if err != nil {
			r.Torn++
			return true, nil //nolint:nilerr // a file cut by a crash is counted, not an error: the others can be read
		}
		in = z
	}
	lines := bufio.NewReaderSize(in, 1<<16)
	for {
		line, end, err := r.line(lines)
		if len(line) > 0 {
			if a, ok := r.alert(line); ok && !each(a) {
				return false, nil
			}
		}
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader), errors.As(err, new(flate.CorruptInputError)):
			r.Torn++
			return true, nil
		case err != nil:
			return true, err
		case end:
			return true, nil
		}
	}
}

// line is the next line without white space around it; one that is too long is counted and empty.
func (r *LogRead) line(in *bufio.Reader) (line []byte, end bool, err error) {
	long := false
	for {
		part, err := in.ReadSlice('\n')
		if long = long || len(line)+len(part) > mostLine; !long {
			line = append(line, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if long {
			r.Torn++
			line = nil
		}
		if errors.Is(err, io.EOF) {
			return bytes.TrimSpace(line), true, nil
		}
		return bytes.TrimSpace(line), false, err
	}
}

// alert reads one line.
func (r *LogRead) alert(line []byte) (Alert, bool) {
	var a Alert
	err := json.Unmarshal(line, &a)
	switch {
	case err != nil && !json.Valid(line):
		r.Torn++
		return Alert{}, false
	case err != nil || a.Schema != Schema || a.ID == "":
		r.Foreign++
		return Alert{}, false
	}
	r.Alerts++
	return a, true
}
