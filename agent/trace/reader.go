package trace

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/minehound/minehound/agent/host"
)

// Bounds on what a trace may hold at one time: well above a real machine (the kernel's largest pid_max is 4,194,304, but
// a machine with 100,000 processes is rare), well below what hurts whoever replays a file from elsewhere.
const (
	maxProcesses = 1 << 18
	maxThreads   = 1 << 16
	maxDetails   = 1 << 19
	maxRetained  = 1 << 30 // bytes of the lines that brought details still in use
)

// Reader replays a trace. It is a source of Snapshots, not safe for concurrent use.
type Reader struct {
	header Header
	lines  *lines
	snap   host.Snapshot
	err    error // sticky

	details  map[int]detail
	retained int
	efforts  []*host.Effort // free to be used again
	looks    int
	byHand   *hand // nil for a recorded trace
}

type detail struct {
	*host.Detail
	cost int
}

// NewReader reads the header. It fails with ErrSchema when r is no trace, and with ErrTruncated when it is cut off.
func NewReader(r io.Reader) (*Reader, error) {
	l, err := newLines(r)
	if err != nil {
		return nil, err
	}
	rd := &Reader{lines: l, details: map[int]detail{}}
	text, whole, err := l.next()
	if errors.Is(err, io.EOF) {
		return nil, &Error{1, fmt.Errorf("%w: it is empty", ErrTruncated)}
	}
	if err != nil {
		return nil, err
	}
	if err := rd.readHeader(text); err != nil {
		if !whole && !errors.Is(err, ErrSchema) {
			err = fmt.Errorf("%w: %w", ErrTruncated, err)
		}
		return nil, &Error{l.first, err}
	}
	return rd, nil
}

// Header is the first line.
func (r *Reader) Header() Header { return r.header }

func (r *Reader) readHeader(text []byte) error {
	var probe struct {
		Schema string `json:"schema"`
		Minor  int    `json:"minor"`
	}
	if err := json.Unmarshal(text, &probe); err != nil {
		if text[0] != '{' {
			return fmt.Errorf("%w: it does not begin with a header", ErrSchema)
		}
		return fmt.Errorf("header: %w", err)
	}
	if probe.Schema != Schema {
		return fmt.Errorf("%w: %.40q instead of %q", ErrSchema, probe.Schema, Schema)
	}
	r.header.Minor = probe.Minor
	var h headerLine
	if err := r.decode(text, &h); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	r.header = h.Header
	switch h.Form {
	case Recorded:
		if h.At != nil || h.Uptime != nil || h.Machine != nil {
			return errors.New(`header: at, uptime and machine belong to the form "written"`)
		}
	case Written:
		r.byHand = &hand{processes: map[int]*worker{}}
	default:
		return fmt.Errorf("header: form %.40q is neither %q nor %q", h.Form, Recorded, Written)
	}
	r.snap.Machine = host.Machine{Identity: h.Identity, CPUs: 1, Busy: -1, Steal: -1, Memory: -1, HugePages: -1, HugeFree: -1, HugeSize: -1}
	if r.byHand != nil {
		return r.byHand.begin(&r.snap, &h)
	}
	return nil
}

// decode is strict unless a newer minor version wrote the trace.
func (r *Reader) decode(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	if r.header.Minor <= Minor {
		d.DisallowUnknownFields()
	}
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value on a line")
	}
	return nil
}

// Next is the next look, valid until the one after. It ends with io.EOF, or with an *Error that says which line is
// wrong; ErrTruncated when the trace just stops. An error stays.
func (r *Reader) Next(ctx context.Context) (*host.Snapshot, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if r.err == nil {
		r.err = r.advance()
	}
	if r.err != nil {
		return nil, r.err
	}
	r.looks++
	return &r.snap, nil
}

func (r *Reader) advance() error {
	if r.byHand != nil && r.byHand.again(&r.snap) {
		return nil
	}
	text, whole, err := r.lines.next()
	if errors.Is(err, io.EOF) {
		if r.byHand != nil {
			return io.EOF
		}
		return &Error{r.lines.n + 1, fmt.Errorf("%w: there is no end line after %d looks", ErrTruncated, r.looks)}
	}
	if err != nil {
		return err
	}
	line := r.lines.first
	var rec record
	if err := r.decode(text, &rec); err != nil {
		if !whole {
			err = fmt.Errorf("%w: %w", ErrTruncated, err)
		}
		return &Error{line, err}
	}
	switch {
	case rec.End != nil:
		err = r.end(&rec)
		if errors.Is(err, io.EOF) {
			return err
		}
	case r.byHand != nil:
		err = r.byHand.look(r, &rec)
	default:
		err = r.look(&rec, len(text))
	}
	if err != nil {
		return &Error{line, err}
	}
	return nil
}

// end checks that the trace ends here as it says.
func (r *Reader) end(rec *record) error {
	if rec.End.Looks != r.looks && r.byHand == nil {
		return fmt.Errorf("the end line counts %d looks, there were %d", rec.End.Looks, r.looks)
	}
	switch _, _, err := r.lines.next(); {
	case err == nil:
		return errors.New("there is more after the end line")
	case !errors.Is(err, io.EOF):
		return err
	}
	return io.EOF
}

// look applies a recorded line to the Snapshot.
func (r *Reader) look(rec *record, cost int) error {
	s := &r.snap
	if rec.After != nil || rec.Every != nil || rec.For != nil {
		return errors.New(`after, every and for belong to the form "written"`)
	}
	if rec.At == nil || rec.Uptime == nil {
		return errors.New("a look needs at and uptime")
	}
	if err := onward(s.Uptime, dur(rec.Uptime)); err != nil {
		return err
	}
	s.At, s.Uptime = rec.At.UTC(), dur(rec.Uptime)
	if err := applyMachine(&s.Machine, rec.Machine); err != nil {
		return err
	}
	if err := r.define(rec.Details, cost); err != nil {
		return err
	}
	if err := r.remove(rec.Gone); err != nil {
		return err
	}
	if err := r.change(rec.Processes); err != nil {
		return err
	}
	for _, pid := range rec.Same {
		i, ok := r.find(pid)
		if !ok {
			return fmt.Errorf("process %d is the same, but it is not there", pid)
		}
		s.Processes[i].Looked = s.Uptime
	}
	if err := r.events(rec.Events); err != nil {
		return err
	}
	applyGaps(s, rec.Gaps)
	for _, ref := range rec.Drop {
		r.retained -= r.details[ref].cost
		delete(r.details, ref)
	}
	return nil
}

// longest is more than any machine has been up: a century.
const longest = 100 * 365 * 24 * time.Hour

// onward tells whether a look may follow another.
func onward(before, now time.Duration) error {
	if now < before || now > longest {
		return fmt.Errorf("an uptime of %v after %v", now, before)
	}
	return nil
}

func applyGaps(s *host.Snapshot, gaps *[]gapLine) {
	if gaps == nil {
		return
	}
	s.Gaps = s.Gaps[:0]
	for _, g := range *gaps {
		s.Gaps = append(s.Gaps, host.Gap{Sensor: string(g.Sensor), Reason: string(g.Reason)})
	}
}

func (r *Reader) define(details []refDetail, cost int) error {
	for i := range details {
		d := &details[i]
		if _, ok := r.details[d.Ref]; ok || d.Ref <= 0 {
			return fmt.Errorf("detail %d is not a new number above 0", d.Ref)
		}
		hd := host.Detail{UID: -1}
		applyDetail(&hd, &d.detailLine)
		c := cost / len(details)
		r.details[d.Ref] = detail{&hd, c}
		r.retained += c
	}
	if len(r.details) > maxDetails || r.retained > maxRetained {
		return fmt.Errorf("%w: %d details of %d bytes in use", ErrTooLarge, len(r.details), r.retained)
	}
	return nil
}

func (r *Reader) ref(n *int) (*host.Detail, error) {
	if n == nil || *n == 0 {
		return nil, nil
	}
	d, ok := r.details[*n]
	if !ok {
		return nil, fmt.Errorf("there is no detail %d", *n)
	}
	return d.Detail, nil
}

func (r *Reader) find(pid int) (int, bool) { return findPID(r.snap.Processes, pid) }

func findPID(ps []host.Process, pid int) (int, bool) {
	return slices.BinarySearchFunc(ps, pid, func(p host.Process, pid int) int { return p.ID.PID - pid })
}

func (r *Reader) remove(gone []int) error {
	if len(gone) == 0 {
		return nil
	}
	for _, pid := range gone {
		i, ok := r.find(pid)
		if !ok || r.snap.Processes[i].Threads == goneMark {
			return fmt.Errorf("process %d is gone, but it was not there", pid)
		}
		r.recycle(&r.snap.Processes[i])
		r.snap.Processes[i].Threads = goneMark
	}
	r.snap.Processes = slices.DeleteFunc(r.snap.Processes, func(p host.Process) bool { return p.Threads == goneMark })
	return nil
}

// goneMark is a number of threads no line can say.
const goneMark = -2

func (r *Reader) recycle(p *host.Process) {
	if p.Effort != nil {
		r.efforts = append(r.efforts, p.Effort)
		p.Effort = nil
	}
}

// change applies the changed processes and adds the new ones.
func (r *Reader) change(ps []processLine) error {
	added := false
	known := len(r.snap.Processes)
	for i := range ps {
		l := &ps[i]
		if l.writtenLine != (writtenLine{}) || l.detailLine != (detailLine{}) {
			return fmt.Errorf(`process %d has what belongs to the form "written"`, l.PID)
		}
		at, ok := findPID(r.snap.Processes[:known], l.PID)
		if !ok {
			if l.Born == nil || l.PID < 0 {
				return fmt.Errorf("process %d is new and has no born", l.PID)
			}
			at = len(r.snap.Processes)
			r.snap.Processes = append(r.snap.Processes, newProcess(host.ProcID{PID: l.PID}))
			added = true
		}
		p := &r.snap.Processes[at]
		if l.Born != nil && *l.Born != p.ID.Born {
			r.recycle(p)
			*p = newProcess(host.ProcID{PID: l.PID, Born: *l.Born})
		}
		if err := r.process(p, l); err != nil {
			return fmt.Errorf("process %d: %w", l.PID, err)
		}
	}
	if added {
		slices.SortStableFunc(r.snap.Processes, func(a, b host.Process) int { return a.ID.PID - b.ID.PID })
		for i := 1; i < len(r.snap.Processes); i++ {
			if r.snap.Processes[i-1].ID.PID == r.snap.Processes[i].ID.PID {
				return fmt.Errorf("process %d is there twice", r.snap.Processes[i].ID.PID)
			}
		}
	}
	if len(r.snap.Processes) > maxProcesses {
		return fmt.Errorf("%w: more than %d processes", ErrTooLarge, maxProcesses)
	}
	return nil
}

func newProcess(id host.ProcID) host.Process {
	return host.Process{ID: id, Threads: -1, RSS: -1, VSize: -1, Policy: -1}
}

func (r *Reader) process(p *host.Process, l *processLine) error {
	p.Looked = r.snap.Uptime
	if err := applyProcess(p, l); err != nil {
		return err
	}
	if l.Detail != nil {
		d, err := r.ref(l.Detail)
		if err != nil {
			return err
		}
		p.Detail = d
	}
	if l.NoEffort {
		r.recycle(p)
	}
	if l.Effort == nil {
		return nil
	}
	if p.Effort == nil {
		p.Effort = r.newEffort()
	}
	return applyEffort(p.Effort, l.Effort, r.snap.Uptime)
}

func (r *Reader) newEffort() *host.Effort {
	if n := len(r.efforts); n > 0 {
		e := r.efforts[n-1]
		r.efforts = r.efforts[:n-1]
		*e = host.Effort{Threads: e.Threads[:0], Voluntary: -1, Involuntary: -1}
		return e
	}
	return &host.Effort{Voluntary: -1, Involuntary: -1}
}
