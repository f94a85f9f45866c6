package trace

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/minehound/minehound/agent/host"
)

// Defaults of a trace written by hand, and the most looks one line may stand for: a week at every 2 seconds is 302,400.
const (
	handUptime = 240 * time.Hour
	handEvery  = 2 * time.Second
	handCPUs   = 4
	maxRepeat  = 1 << 20
)

// hand plays a trace written by hand.
type hand struct {
	processes map[int]*worker
	busy      float64 // cores used beside the processes
	every     time.Duration
	left      int // looks the line still stands for
	begun     bool
}

// worker is how a process goes on by itself.
type worker struct {
	since     time.Duration // uptime of its first look
	looks     int
	rate      float64
	userPart  float64
	faults    float64 // per second
	wave      waveLine
	wobble    float64
	team      *workersLine
	memory    *host.Memory
	fresh     bool // its counters were given by the line, so they do not grow up to this look
	faultRest float64
}

func (h *hand) begin(s *host.Snapshot, l *headerLine) error {
	s.Machine.CPUs, s.Machine.Busy = handCPUs, 0
	s.Uptime = handUptime
	set(&s.Uptime, l.Uptime, toTime)
	if err := onward(0, s.Uptime); err != nil {
		return err
	}
	s.At = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if l.At != nil {
		s.At = l.At.UTC()
	}
	h.every = handEvery
	return h.machine(s, l.Machine)
}

func (h *hand) machine(s *host.Snapshot, l *machineLine) error {
	if l != nil && l.Rate != nil {
		if err := rateOK(*l.Rate); err != nil {
			return err
		}
		h.busy = *l.Rate
	}
	return applyMachine(&s.Machine, l)
}

func rateOK(f float64) error {
	if math.IsNaN(f) || f < 0 || f > 1e9 {
		return fmt.Errorf("a rate of %v is not between 0 and 1e9", f)
	}
	return nil
}

// look applies a line and makes its first look.
func (h *hand) look(r *Reader, rec *record) error {
	if rec.At != nil || rec.Uptime != nil || rec.Details != nil || rec.Drop != nil || rec.Same != nil {
		return errors.New(`at, uptime, details, drop and same belong to the form "recorded"`)
	}
	if err := h.pace(rec); err != nil {
		return err
	}
	s := &r.snap
	step := h.every
	set(&step, rec.After, toTime)
	switch {
	case step < 0:
		return errors.New("after is negative")
	case !h.begun:
		step, h.begun = 0, true
	}
	if err := onward(s.Uptime, s.Uptime+step); err != nil {
		return err
	}
	s.Uptime += step
	s.At = s.At.Add(step)
	if err := h.machine(s, rec.Machine); err != nil {
		return err
	}
	if err := r.remove(rec.Gone); err != nil {
		return err
	}
	for _, pid := range rec.Gone {
		delete(h.processes, pid)
	}
	for i := range rec.Processes {
		if err := h.change(r, &rec.Processes[i]); err != nil {
			return fmt.Errorf("process %d: %w", rec.Processes[i].PID, err)
		}
	}
	slices.SortStableFunc(s.Processes, func(a, b host.Process) int { return a.ID.PID - b.ID.PID })
	applyGaps(s, rec.Gaps)
	h.grow(s, step)
	return h.events(s, rec.Events)
}

func (h *hand) pace(rec *record) error {
	h.left = 0
	if rec.Every != nil {
		if *rec.Every <= 0 {
			return errors.New("every is not above 0")
		}
		h.every = dur(rec.Every)
	}
	if rec.For == nil {
		return nil
	}
	n := int64(dur(rec.For) / h.every)
	if n < 0 || n > maxRepeat || h.every > longest {
		return fmt.Errorf("%w: a line for %d looks", ErrTooLarge, n)
	}
	h.left = int(n)
	return nil
}

// again makes the next look of a line that stands for several.
func (h *hand) again(s *host.Snapshot) bool {
	if h.left == 0 {
		return false
	}
	h.left--
	s.Uptime += h.every
	s.At = s.At.Add(h.every)
	s.Events = s.Events[:0]
	h.grow(s, h.every)
	return true
}

// change applies a line to one process.
func (h *hand) change(r *Reader, l *processLine) error {
	s := &r.snap
	if l.Detail != nil || l.Looked != nil {
		return errors.New(`detail and looked belong to the form "recorded"`)
	}
	if err := l.check(); err != nil {
		return err
	}
	p, w, isNew, err := h.process(s, l)
	if err != nil {
		return err
	}
	if err := applyProcess(p, l); err != nil {
		return err
	}
	if l.detailLine != (detailLine{}) {
		d := host.Detail{UID: -1}
		if p.Detail != nil {
			d = *p.Detail
		}
		applyDetail(&d, &l.detailLine)
		p.Detail = &d
	}
	if l.NoEffort {
		p.Effort, w.team, w.memory = nil, nil, nil
	}
	if l.Effort != nil {
		if p.Effort == nil {
			p.Effort = r.newEffort()
		}
		if err := applyEffort(p.Effort, l.Effort, s.Uptime); err != nil {
			return err
		}
	}
	w.fresh = isNew || l.User != nil || l.System != nil
	w.apply(&l.writtenLine, s.Uptime)
	if isNew && l.User == nil && l.System == nil {
		age := s.Uptime - time.Duration(p.ID.Born)*host.Tick
		p.User, p.System = split(w.rate*float64(age), w.userPart)
	}
	return nil
}

// process finds the process a line is about, or adds it.
func (h *hand) process(s *host.Snapshot, l *processLine) (p *host.Process, w *worker, isNew bool, err error) {
	at := slices.IndexFunc(s.Processes, func(p host.Process) bool { return p.ID.PID == l.PID })
	if at >= 0 && (l.Born == nil || *l.Born == s.Processes[at].ID.Born) {
		return &s.Processes[at], h.processes[l.PID], false, nil
	}
	id, err := born(s.Uptime, l)
	if err != nil {
		return nil, nil, false, err
	}
	if at < 0 {
		if len(s.Processes) >= maxProcesses {
			return nil, nil, false, fmt.Errorf("%w: more than %d processes", ErrTooLarge, maxProcesses)
		}
		at = len(s.Processes)
		s.Processes = append(s.Processes, host.Process{})
	}
	s.Processes[at] = newProcess(id)
	w = &worker{since: s.Uptime, userPart: 1}
	h.processes[l.PID] = w
	return &s.Processes[at], w, true, nil
}

// born is the identity of a process that appears at uptime now.
func born(now time.Duration, l *processLine) (host.ProcID, error) {
	id := host.ProcID{PID: l.PID}
	age := dur(l.Age)
	switch {
	case l.PID <= 0:
		return id, errors.New("a pid is above 0")
	case l.Born != nil:
		id.Born = *l.Born
		if id.Born > uint64(now/host.Tick) {
			return id, fmt.Errorf("born at tick %d, after the look", id.Born)
		}
	case age < 0 || age > now:
		return id, fmt.Errorf("an age of %v at an uptime of %v", age, now)
	default:
		id.Born = uint64((now - age) / host.Tick)
	}
	return id, nil
}

func (l *writtenLine) check() error {
	for _, f := range []*float64{l.Rate, l.FaultRate} {
		if f != nil {
			if err := rateOK(*f); err != nil {
				return err
			}
		}
	}
	for _, f := range []*float64{l.UserFraction, l.Wobble} {
		if f != nil && !(*f >= 0 && *f <= 1) {
			return fmt.Errorf("%v is not between 0 and 1", *f)
		}
	}
	if l.Wave != nil && (l.Wave.On <= 0 || l.Wave.Off <= 0 || l.Wave.On+l.Wave.Off <= 0) {
		return errors.New("a wave needs on and off above 0")
	}
	if t := l.Workers; t != nil {
		if t.Count < 0 || t.Count >= maxThreads {
			return fmt.Errorf("%d workers", t.Count)
		}
		if t.Rate != nil {
			if err := rateOK(*t.Rate); err != nil {
				return err
			}
		}
		if err := errors.Join(rateOK(t.Voluntary), rateOK(t.Involuntary)); err != nil {
			return err
		}
		if !(t.Spread >= 0 && t.Spread <= 1) || !(t.Stopped >= 0 && t.Stopped <= 1) {
			return errors.New("spread and stopped are between 0 and 1")
		}
	}
	return nil
}

func (w *worker) apply(l *writtenLine, now time.Duration) {
	if l.Workers != nil {
		w.team = l.Workers
		if l.Rate == nil && l.Workers.Rate != nil {
			w.rate = *l.Workers.Rate * float64(l.Workers.Count)
		}
	}
	set(&w.rate, l.Rate, same[float64])
	set(&w.userPart, l.UserFraction, same[float64])
	set(&w.faults, l.FaultRate, same[float64])
	set(&w.wave, l.Wave, same[waveLine])
	set(&w.wobble, l.Wobble, same[float64])
	if l.Memory != nil {
		w.memory = memoryOf(l.Memory, now)
	}
}

func split(cpu, userPart float64) (user, system time.Duration) {
	cpu = min(math.Round(cpu), math.MaxInt64/4)
	user = time.Duration(math.Round(cpu * userPart))
	return user, time.Duration(cpu) - user
}
