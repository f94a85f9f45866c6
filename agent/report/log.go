package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// LogOptions says where the alert log stands and how large it may grow.
type LogOptions struct {
	Path        string
	MaxSize     int64         // bytes; a file that would grow beyond is rotated first; 0 is 10 MiB
	RotateEvery time.Duration // a file whose first alert is older is rotated; 0 never
	MaxAge      time.Duration // rotated files older than this are removed, in whole days; 0 keeps them
	MaxFiles    int           // rotated files kept; 0 keeps all
	MaxWaiting  int           // alerts kept in memory while the file does not take them; 0 is 1024
	RetryEvery  time.Duration // between attempts to write these; 0 is a minute

	Now  func() time.Time // nil is time.Now
	Tell func(Note)       // nil tells nobody
}

// Log is the alert log: a file with one alert per line, JSON, of mode 0640. Each line is on the disk (fsync) before
// Report returns. A file that was moved or removed by somebody else is opened anew. When the file cannot be written,
// Report says so, keeps the alert in memory, and the Log writes it as soon as it can; what does not fit there is
// dropped, counted and told.
//
// One program writes the file at a time.
type Log struct {
	o LogOptions

	mu        sync.Mutex
	file      *os.File // nil until opened
	first     time.Time
	torn      bool // the last line lacks its end
	unrotated bool // the last rotation failed and was told
	waiting   backlog
	retry     *time.Timer // set while something waits
	closed    bool
	stats     Stats

	// What a test replaces to see each write and sync, and to make them fail.
	write func(*os.File, []byte) (int, error)
	sync  func(*os.File) error
}

// NewLog makes the log; the file is opened by the first alert, or by [Log.Reopen]. The error is about the options.
func NewLog(o LogOptions) (*Log, error) {
	if o.Path == "" {
		return nil, errors.New("alert log: no path")
	}
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return nil, fmt.Errorf("alert log: %w", err)
	}
	o.Path = path
	if o.MaxSize <= 0 {
		o.MaxSize = 10 << 20
	}
	if o.MaxWaiting <= 0 {
		o.MaxWaiting = 1024
	}
	if o.RetryEvery <= 0 {
		o.RetryEvery = time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Tell == nil {
		o.Tell = func(Note) {}
	}
	return &Log{
		o: o, waiting: backlog{most: o.MaxWaiting}, stats: Stats{Sink: "log"},
		write: (*os.File).Write, sync: (*os.File).Sync,
	}, nil
}

// Report writes a. It does not look at ctx: a local write is not worth abandoning. The error is a [StorageError]; the
// alert then waits in memory, unless it is [ErrFull] or [ErrClosed].
func (l *Log) Report(_ context.Context, a Alert) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	dropped, full := l.waiting.push(a)
	if full {
		l.stats.Dropped++
		l.o.Tell(Note{Kind: NoteDropped, Sink: l.stats.Sink, Alert: dropped.ID, Count: 1, Err: ErrFull})
	}
	if err := l.drain(); err != nil {
		if full && dropped.Key() == a.Key() {
			err = fmt.Errorf("%w: %w", ErrFull, err)
		}
		return err
	}
	return nil
}

// Reopen closes the file and opens what stands at its path now, for logrotate and for a first look at whether it can be
// written. What waits in memory is written.
func (l *Log) Reopen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	l.shut()
	if err := l.open(); err != nil {
		l.stats.failed(err, l.o.Now())
		return err
	}
	return l.drain()
}

// Close writes what waits and closes the file. Its error says what could not be written and is lost.
func (l *Log) Close(ctx context.Context) error {
	left, err := l.Leave(ctx)
	if n := len(left); n > 0 {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.stats.Dropped += uint64(n)
		return fmt.Errorf("%d alerts are lost: %w", n, err)
	}
	return err
}

// Leave writes what waits, closes the file, and gives back what could not be written; see [Leaver].
func (l *Log) Leave(context.Context) ([]Alert, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, nil
	}
	err := l.drain()
	l.closed = true
	if l.retry != nil {
		l.retry.Stop()
	}
	left := l.waiting.list
	l.waiting.list = nil
	l.shut()
	return left, err
}

// Stats tells how the log is doing.
func (l *Log) Stats() []Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.Queued = len(l.waiting.list)
	return []Stats{s}
}

// drain writes all that waits, oldest first.
func (l *Log) drain() error {
	behind := len(l.waiting.list)
	for len(l.waiting.list) > 0 {
		a := l.waiting.list[0]
		line, err := json.Marshal(a)
		if err != nil { // no alert of ours; writing it again is no use
			l.waiting.pop()
			l.stats.Failed++
			return fmt.Errorf("alert %s: %w", a.ID, err)
		}
		if err := l.append(append(line, '\n')); err != nil {
			l.stats.failed(err, l.o.Now())
			if l.retry == nil {
				l.retry = time.AfterFunc(l.o.RetryEvery, l.again)
			}
			return err
		}
		l.waiting.pop()
		l.stats.Delivered++
	}
	if l.retry != nil {
		l.retry.Stop()
		l.retry = nil
		l.o.Tell(Note{Kind: NoteRestored, Sink: l.stats.Sink, Count: behind})
	}
	return nil
}

// again tries to write what waits although no alert came.
func (l *Log) again() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.retry == nil {
		return
	}
	l.retry.Reset(l.o.RetryEvery)
	_ = l.drain() // in the stats, and told when Report said it
}

// append puts one line on the disk, or leaves the file as it was.
func (l *Log) append(line []byte) error {
	if err := l.ready(int64(len(line))); err != nil {
		return err
	}
	info, err := l.file.Stat()
	if err != nil {
		return l.fail("stat", err)
	}
	if l.torn {
		line = append([]byte{'\n'}, line...)
	}
	if n, err := l.write(l.file, line); err != nil {
		if n > 0 {
			l.undo(info.Size())
		}
		return l.fail("write", err)
	}
	if err := l.sync(l.file); err != nil {
		// After a failed fsync nobody knows what is on the disk, and a second one may claim success: write it again.
		l.undo(info.Size())
		l.shut()
		return l.fail("sync", err)
	}
	l.torn = false
	if l.first.IsZero() {
		l.first = l.o.Now()
	}
	return nil
}

// undo takes back a line of which only a part was written. Where that fails, the next line begins on one of its own.
func (l *Log) undo(size int64) { l.torn = l.file.Truncate(size) != nil }

// ready opens the file if need be and rotates it if it is time.
func (l *Log) ready(more int64) error {
	if l.file != nil {
		here, err1 := l.file.Stat()
		there, err2 := os.Stat(l.o.Path)
		if err1 != nil || err2 != nil || !os.SameFile(here, there) {
			l.shut()
		}
	}
	if l.file == nil {
		if err := l.open(); err != nil {
			return err
		}
	}
	info, err := l.file.Stat()
	switch {
	case err != nil:
		return l.fail("stat", err)
	case info.Size() == 0:
		return nil
	case info.Size()+more > l.o.MaxSize:
		return l.rotate("size")
	case l.o.RotateEvery > 0 && !l.first.IsZero() && l.o.Now().Sub(l.first) >= l.o.RotateEvery:
		return l.rotate("time")
	}
	return nil
}

func (l *Log) shut() {
	if l.file != nil {
		_ = l.file.Close() // every line was synced
		l.file = nil
	}
}

func (l *Log) fail(op string, err error) *StorageError {
	return NewStorageError(op, l.o.Path, err)
}
