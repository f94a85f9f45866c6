package trace

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/minehound/minehound/agent/host"
)

// flushEvery is how many looks may be lost when the program that records is killed: a minute of them, two seconds apart.
const flushEvery = 30

// Options are how a trace is written.
type Options struct {
	Gzip  bool
	Agent string // version of the program that records
}

// Writer records Snapshots. It is not safe for concurrent use.
type Writer struct {
	options Options
	out     *bufio.Writer
	zip     *gzip.Writer // nil without
	sink    io.Writer    // zip or out
	line    bytes.Buffer
	json    *json.Encoder
	err     error // sticky: after a failed write the trace is cut

	looks    int
	identity host.Identity
	snap     host.Snapshot // what the trace says so far: machine, gaps, and processes by PID
	efforts  []*host.Effort
	refs     map[*host.Detail]*use
	byHash   map[[32]byte]*interned
	byRef    map[int]*interned
	last     int // ref
	idle     []int
}

// NewWriter is a Writer to w. Nothing is written before the first look, because only that tells which machine it is.
func NewWriter(w io.Writer, o Options) *Writer {
	t := &Writer{
		options: o, out: bufio.NewWriterSize(w, 64<<10),
		refs: map[*host.Detail]*use{}, byHash: map[[32]byte]*interned{}, byRef: map[int]*interned{},
	}
	t.sink = t.out
	if o.Gzip {
		t.zip = gzip.NewWriter(t.out)
		t.sink = t.zip
	}
	t.json = json.NewEncoder(&t.line)
	t.json.SetEscapeHTML(false)
	return t
}

// Write adds a look. The Snapshot's processes must be sorted by PID, and it must be of the same machine as the first.
// After an error the trace is cut off there and takes nothing more.
func (t *Writer) Write(s *host.Snapshot) error {
	if t.err != nil {
		return t.err
	}
	if err := t.write(s); err != nil {
		t.err = fmt.Errorf("write trace: %w", err)
	}
	return t.err
}

func (t *Writer) write(s *host.Snapshot) error {
	if t.looks == 0 {
		t.identity = s.Machine.Identity
		t.snap.Machine = host.Machine{CPUs: 1, Busy: -1, Steal: -1, Memory: -1, HugePages: -1, HugeFree: -1, HugeSize: -1}
		h := Header{Schema: Schema, Minor: Minor, Form: Recorded, Agent: t.options.Agent, Identity: s.Machine.Identity}
		if err := t.put(&h); err != nil {
			return err
		}
	}
	if s.Machine.Identity != t.identity {
		return errors.New("the look is of another machine than the first")
	}
	if err := onward(t.snap.Uptime, s.Uptime); err != nil {
		return err
	}
	at, uptime := s.At.UTC(), seconds(s.Uptime)
	rec := record{At: &at, Uptime: &uptime, Machine: diffMachine(&t.snap.Machine, &s.Machine)}
	t.snap.Machine, t.snap.Uptime = s.Machine, s.Uptime
	if !slices.Equal(t.snap.Gaps, s.Gaps) {
		gaps := make([]gapLine, len(s.Gaps))
		for i, g := range s.Gaps {
			gaps[i] = gapLine{blob(g.Sensor), blob(g.Reason)}
		}
		rec.Gaps = &gaps
		t.snap.Gaps = append(t.snap.Gaps[:0], s.Gaps...)
	}
	if err := t.processes(&rec, s); err != nil {
		return err
	}
	if err := t.events(&rec, s); err != nil {
		return err
	}
	t.drop(&rec)
	if err := t.put(&rec); err != nil {
		return err
	}
	t.looks++
	if t.looks%flushEvery == 0 {
		return t.flush()
	}
	return nil
}

func (t *Writer) put(line any) error {
	t.line.Reset()
	if err := t.json.Encode(line); err != nil {
		return err
	}
	if t.line.Len() > maxLine {
		return fmt.Errorf("%w: a look of %d bytes", ErrTooLarge, t.line.Len())
	}
	_, err := t.sink.Write(t.line.Bytes())
	return err
}

func (t *Writer) flush() error {
	if t.zip != nil {
		if err := t.zip.Flush(); err != nil {
			return err
		}
	}
	return t.out.Flush()
}

// Close writes the end line, without which a trace counts as cut off. It does not close what it writes to. A trace
// without a look has no header and is no trace.
func (t *Writer) Close() error {
	if t.err != nil {
		return t.err
	}
	t.err = errors.New("write trace: it is closed")
	if err := t.finish(); err != nil {
		return fmt.Errorf("close trace: %w", err)
	}
	return nil
}

func (t *Writer) finish() error {
	if t.looks == 0 {
		return nil
	}
	if err := t.put(&record{End: &endLine{Looks: t.looks}}); err != nil {
		return err
	}
	if t.zip != nil {
		if err := t.zip.Close(); err != nil {
			return err
		}
	}
	return t.out.Flush()
}

// processes writes what changed; both lists are sorted by PID.
func (t *Writer) processes(rec *record, s *host.Snapshot) error {
	old := t.snap.Processes
	next := make([]host.Process, 0, len(s.Processes))
	i := 0
	for j := range s.Processes {
		p := &s.Processes[j]
		if p.ID.PID < 0 || p.Threads < -1 {
			return fmt.Errorf("process %d with %d threads", p.ID.PID, p.Threads)
		}
		if j > 0 && s.Processes[j-1].ID.PID >= p.ID.PID {
			return fmt.Errorf("process %d comes after %d", p.ID.PID, s.Processes[j-1].ID.PID)
		}
		for ; i < len(old) && old[i].ID.PID < p.ID.PID; i++ {
			t.gone(rec, &old[i])
		}
		l := processLine{PID: p.ID.PID}
		before := newProcess(p.ID)
		switch {
		case i == len(old) || old[i].ID.PID != p.ID.PID:
			l.Born = &p.ID.Born
		case old[i].ID != p.ID:
			l.Born = &p.ID.Born
			t.forget(&old[i])
			i++
		default:
			before = old[i]
			i++
		}
		kept, err := t.process(rec, &l, &before, p)
		if err != nil {
			return err
		}
		next = append(next, kept)
		t.list(rec, &l, before.Looked, kept.Looked)
	}
	for ; i < len(old); i++ {
		t.gone(rec, &old[i])
	}
	t.snap.Processes = next
	return nil
}

// list puts a process where it belongs: among the changed, the same, or nowhere when it was not read.
func (t *Writer) list(rec *record, l *processLine, before, looked time.Duration) {
	now := t.snap.Uptime
	if *l == (processLine{PID: l.PID}) {
		if looked == before {
			return
		}
		if looked == now {
			rec.Same = append(rec.Same, l.PID)
			return
		}
	}
	if looked != now {
		l.Looked = ptr(seconds(looked))
	}
	rec.Processes = append(rec.Processes, *l)
}

func (t *Writer) gone(rec *record, p *host.Process) {
	rec.Gone = append(rec.Gone, p.ID.PID)
	t.forget(p)
}

// process fills in l and returns what the trace now says of the process.
func (t *Writer) process(rec *record, l *processLine, before, p *host.Process) (host.Process, error) {
	diffProcess(l, before, p)
	kept := *p
	was := 0
	if u := t.refs[before.Detail]; u != nil {
		was = u.in.ref
	}
	ref, err := t.intern(rec, p.Detail)
	if err != nil {
		return kept, err
	}
	if was != ref {
		l.Detail = &ref
	}
	t.release(before.Detail)
	kept.Effort, err = t.effort(l, before.Effort, p.Effort)
	if err != nil {
		err = fmt.Errorf("process %d: %w", p.ID.PID, err)
	}
	return kept, err
}

// effort fills in l and returns what the trace now says of the threads, in memory of its own.
func (t *Writer) effort(l *processLine, before, now *host.Effort) (*host.Effort, error) {
	if now == nil {
		if before != nil {
			l.NoEffort = true
			t.efforts = append(t.efforts, before)
		}
		return nil, nil
	}
	last := before
	if last == nil {
		last = t.blank()
	}
	e, err := diffEffort(last, now, t.snap.Uptime)
	if err != nil {
		return nil, err
	}
	if e == nil && before == nil {
		e = &effortLine{}
	}
	if e != nil && now.Looked != t.snap.Uptime {
		e.Looked = ptr(seconds(now.Looked))
	}
	l.Effort = e
	threads := last.Threads[:0]
	threads = append(threads, now.Threads...)
	*last = *now
	last.Threads = threads
	return last, nil
}

// blank is an Effort of which nothing is known.
func (t *Writer) blank() *host.Effort {
	e := &host.Effort{}
	if n := len(t.efforts); n > 0 {
		e = t.efforts[n-1]
		t.efforts = t.efforts[:n-1]
	}
	*e = host.Effort{Threads: e.Threads[:0], Voluntary: -1, Involuntary: -1}
	return e
}

func ptr[T any](v T) *T { return &v }

// forget lets go of what a process that ended held.
func (t *Writer) forget(p *host.Process) {
	t.release(p.Detail)
	if p.Effort != nil {
		t.efforts = append(t.efforts, p.Effort)
	}
}
