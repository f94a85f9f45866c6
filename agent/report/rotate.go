package report

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/DeRuina/timberjack"
)

// open opens the file for appending, makes it and its directory if need be, and ends a line that a crash left torn.
func (l *Log) open() error {
	dir := filepath.Dir(l.o.Path)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return l.fail("create directory of", err)
	}
	if info, err := os.Stat(l.o.Path); err == nil && !info.Mode().IsRegular() {
		return l.fail("open", errors.New("not a regular file"))
	}
	f, err := os.OpenFile(l.o.Path, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o640) // the group adm reads logs
	if err != nil {
		return l.fail("open", err)
	}
	if err := SyncDir(dir); err != nil {
		_ = f.Close()
		return l.fail("sync directory of", err)
	}
	if err := l.repair(f); err != nil {
		_ = f.Close()
		return l.fail("repair", err)
	}
	l.file, l.torn, l.first = f, false, oldest(f)
	return nil
}

// repair ends a last line that has no end.
func (l *Log) repair(f *os.File) error {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	var last [1]byte
	if _, err := f.ReadAt(last[:], info.Size()-1); err != nil {
		return err
	}
	if last[0] == '\n' {
		return nil
	}
	if _, err := l.write(f, []byte{'\n'}); err != nil {
		return err
	}
	if err := l.sync(f); err != nil {
		return err
	}
	l.o.Tell(Note{Kind: NoteRepaired, Sink: l.stats.Sink, Err: errors.New("the last line of " + l.o.Path + " was cut off, by a crash or a full disk")})
	return nil
}

// oldest is the time of the first alert in f, zero when there is none.
func oldest(f *os.File) time.Time {
	var a struct {
		Time time.Time `json:"time"`
	}
	line, err := bufio.NewReader(io.NewSectionReader(f, 0, 1<<20)).ReadBytes('\n')
	if err != nil || json.Unmarshal(line, &a) != nil {
		return time.Time{}
	}
	return a.Time
}

// rotate moves the file aside, named after the time and the reason, and opens a new one. Moving, compressing and removing
// is timberjack's; writing is not, because it opens new files without O_APPEND. A rotation that fails is told, once, and
// the file grows on: a log that is too long is better than one with a hole.
func (l *Log) rotate(reason string) error {
	l.shut()
	t := &timberjack.Logger{
		Filename: l.o.Path, FileMode: 0o640, Compression: "gzip",
		MaxBackups: l.o.MaxFiles, MaxAge: int((l.o.MaxAge + 24*time.Hour - 1) / (24 * time.Hour)),
	}
	err := errors.Join(t.RotateWithReason(reason), t.Close())
	if err != nil && !l.unrotated {
		l.o.Tell(Note{Kind: NoteStorage, Sink: l.stats.Sink, Err: l.fail("rotate", err)})
	}
	l.unrotated = err != nil
	return l.open()
}
