package trace

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

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

// interned is a detail that was written.
type interned struct {
	ref, uses int
	hash      [32]byte
}

// use is one Detail in memory that is interned; producers may make several equal ones.
type use struct {
	in *interned
	n  int
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
			rec.Gone = append(rec.Gone, old[i].ID.PID)
			t.forget(&old[i])
		}
		l := processLine{PID: p.ID.PID}
		before := newProcess(p.ID)
		known := false
		if i < len(old) && old[i].ID.PID == p.ID.PID {
			if known = old[i].ID == p.ID; known {
				before = old[i]
			} else {
				t.forget(&old[i])
			}
			i++
		}
		if !known {
			l.Born = &p.ID.Born
		}
		kept, err := t.process(rec, &l, &before, p)
		if err != nil {
			return err
		}
		next = append(next, kept)
		switch {
		case l != (processLine{PID: l.PID}):
			if p.Looked != s.Uptime {
				l.Looked = (*seconds)(&kept.Looked)
			}
			rec.Processes = append(rec.Processes, l)
		case p.Looked == s.Uptime && before.Looked != s.Uptime:
			rec.Same = append(rec.Same, l.PID)
		case p.Looked != before.Looked:
			l.Looked = (*seconds)(&kept.Looked)
			rec.Processes = append(rec.Processes, l)
		}
	}
	for ; i < len(old); i++ {
		rec.Gone = append(rec.Gone, old[i].ID.PID)
		t.forget(&old[i])
	}
	t.snap.Processes = next
	return nil
}

// process fills in l and returns what the trace now says of the process.
func (t *Writer) process(rec *record, l *processLine, before, p *host.Process) (host.Process, error) {
	diffProcess(l, before, p)
	kept := *p
	kept.Effort = before.Effort
	ref, err := t.intern(rec, p.Detail)
	if err != nil {
		return kept, err
	}
	was := 0
	if u := t.refs[before.Detail]; u != nil {
		was = u.in.ref
	}
	if was != ref {
		l.Detail = &ref
	}
	t.release(before.Detail)
	if p.Effort == nil {
		l.NoEffort = before.Effort != nil
		if before.Effort != nil {
			t.efforts = append(t.efforts, before.Effort)
		}
		kept.Effort = nil
		return kept, nil
	}
	last := before.Effort
	if last == nil {
		last = &host.Effort{Voluntary: -1, Involuntary: -1}
		if n := len(t.efforts); n > 0 {
			last = t.efforts[n-1]
			t.efforts = t.efforts[:n-1]
			*last = host.Effort{Threads: last.Threads[:0], Voluntary: -1, Involuntary: -1}
		}
	}
	e, err := diffEffort(last, p.Effort, t.snap.Uptime)
	if err != nil {
		return kept, fmt.Errorf("process %d: %w", p.ID.PID, err)
	}
	if e != nil || before.Effort == nil {
		if e == nil {
			e = &effortLine{}
		}
		if p.Effort.Looked != t.snap.Uptime {
			e.Looked = ptr(seconds(p.Effort.Looked))
		}
		l.Effort = e
	}
	threads := append(last.Threads[:0], p.Effort.Threads...)
	*last = *p.Effort
	last.Threads = threads
	kept.Effort = last
	return kept, nil
}

func ptr[T any](v T) *T { return &v }

// forget lets go of what a process that ended held.
func (t *Writer) forget(p *host.Process) {
	t.release(p.Detail)
	if p.Effort != nil {
		t.efforts = append(t.efforts, p.Effort)
	}
}

// intern is the number of a detail, 0 for none, and counts one more use of it. Equal details have one number.
func (t *Writer) intern(rec *record, d *host.Detail) (int, error) {
	if d == nil {
		return 0, nil
	}
	if u := t.refs[d]; u != nil {
		u.n++
		u.in.uses++
		return u.in.ref, nil
	}
	l := detailOf(d)
	text, err := json.Marshal(&l)
	if err != nil {
		return 0, err
	}
	hash := sha256.Sum256(text)
	in, ok := t.byHash[hash]
	if !ok {
		t.last++
		in = &interned{ref: t.last, hash: hash}
		t.byHash[hash], t.byRef[in.ref] = in, in
		rec.Details = append(rec.Details, refDetail{in.ref, l})
	}
	in.uses++
	t.refs[d] = &use{in, 1}
	return in.ref, nil
}

func (t *Writer) release(d *host.Detail) {
	if d == nil {
		return
	}
	u := t.refs[d]
	if u.n--; u.n == 0 {
		delete(t.refs, d)
	}
	if u.in.uses--; u.in.uses == 0 {
		t.idle = append(t.idle, u.in.ref)
	}
}

// drop says which details are not referred to any more.
func (t *Writer) drop(rec *record) {
	slices.Sort(t.idle)
	for _, ref := range slices.Compact(t.idle) {
		in := t.byRef[ref]
		if in.uses > 0 {
			continue
		}
		rec.Drop = append(rec.Drop, ref)
		delete(t.byHash, in.hash)
		delete(t.byRef, ref)
	}
	t.idle = t.idle[:0]
}

func (t *Writer) events(rec *record, s *host.Snapshot) error {
	for i := range s.Events {
		e := &s.Events[i]
		l := eventLine{At: ptr(e.At.UTC())}
		switch e.Kind {
		case host.ProcessStarted:
			l.Kind = "started"
		case host.ProcessEnded:
			l.Kind = "ended"
		default:
			return fmt.Errorf("event of kind %d", e.Kind)
		}
		var err error
		if l.personLine, err = t.person(rec, e.ID, e.Name, e.Detail); err != nil {
			return err
		}
		if e.Parent != (host.ProcID{}) || e.ParentName != "" || e.ParentDetail != nil {
			p, err := t.person(rec, e.Parent, e.ParentName, e.ParentDetail)
			if err != nil {
				return err
			}
			l.Parent = &p
		}
		rec.Events = append(rec.Events, l)
	}
	// An event holds its details for one look only.
	for i := range s.Events {
		t.release(s.Events[i].Detail)
		t.release(s.Events[i].ParentDetail)
	}
	return nil
}

func (t *Writer) person(rec *record, id host.ProcID, name string, d *host.Detail) (personLine, error) {
	l := personLine{PID: id.PID}
	if id.Born != 0 {
		l.Born = &id.Born
	}
	if name != "" {
		l.Name = ptr(blob(name))
	}
	ref, err := t.intern(rec, d)
	if ref != 0 {
		l.Detail = &ref
	}
	return l, err
}
