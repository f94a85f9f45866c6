package sense

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/minehound/minehound/agent/host"
	"github.com/minehound/minehound/agent/sense/procfs"
	"github.com/minehound/minehound/agent/sense/tree"
)

const (
	// young is the age up to which a process is looked at in every look: what is going to be busy mostly is by then.
	young = 10 * time.Second
	// leastQuiet and leastClose are how many quiet processes get their counters read and how many new ones a closer look
	// in every look, however dear looking has become: slow is better than never.
	leastQuiet, leastClose = 32, 8
	// idleSweep is how many times less often than others a process is read that did nothing since it was read before. On
	// most machines that is nearly all of them; one that wakes up is noticed after four seconds instead of two.
	idleSweep = 2
	// recheck is how often a busy process is asked whether it still runs the same program with the same arguments.
	recheck = time.Minute
)

// processes is the sensor of processes under Linux. It lists them in every look, reads the counters of those that are hot
// or young in every look and those of the others in turn, as its budget allows, and looks more closely at the few that are
// worth it. In the steady state it allocates nothing.
type processes struct {
	o     Options
	at    places
	clock clock
	keep  tree.Keeper // nil where files cannot be kept open
	look  *aside
	hash  *hasher
	// herald tells of processes that start and end. Where nobody does, the differences between two looks have to do.
	herald herald

	procs, spareProcs []host.Process // sorted by PID
	held, spareHeld   []held         // what is remembered about each
	pids, hot, todo   []int
	ended             []host.Event
	missed            []host.Event // told of as started in the look before, and gone before that look: their end is still to come
	path, line        []byte
	tids              []int
	kernelDetail      *host.Detail

	pay         budget
	paidFrom    time.Duration // what the clock said the thread had used when this look began
	elsewhere   time.Duration // what others used for it since
	began       time.Duration
	uptime      time.Duration
	kept        int
	maxKept     int
	first       bool
	next        int // PID at which the round over quiet processes goes on
	deferred    int
	details     int // bytes, about, of all Details together
	denied      tally
	unreadable  tally
	late        tally
	waiting     tally
	longArgs    tally
	longEnv     tally
	longMaps    tally
	withheld    tally
	manyThreads tally
	damaged     tally
}

// herald tells of programs that start and end at the moment they do. Both answers are those of the look that goes on.
type herald interface {
	telling() bool
	lossy() bool // starts escaped it since the look before
}

// silence is a herald that tells nothing.
type silence struct{}

func (silence) telling() bool { return false }
func (silence) lossy() bool   { return false }

// held is what is remembered about a process from look to look.
type held struct {
	kept     int // its stat file, -1 when it is not kept open
	seen     time.Duration
	hot      bool
	hotSince time.Duration
	hotLast  time.Duration

	want     bool          // a closer look is due
	announce bool          // nobody was told yet that it started
	owed     bool          // and the herald had its chance
	asked    time.Duration // uptime since when a closer look is due; 0 when none is
	again    bool          // it was so young at its closer look that it is looked at once more
	idle     bool          // it used no CPU time between the last two times its counters were read
	refused  bool          // its counters may not be read
	dead     bool
	withheld bool // what it can hold up could not be read
	blind    blindness
	size     int // of the Detail, about, in bytes
	print    uint64
	checked  time.Duration

	effort, spare *host.Effort
	worked        []int // threads that were seen working, when there are too many to read them all
	turn          int   // how often a window of them has been read
	longMaps      bool
	mapsAt        time.Duration
	mapsSize      int64
	mapsRSS       int64
	mapsReads     int
	hashFailed    bool
	hashTries     int
}

func newProcesses(at places, c clock, o Options, look *aside, h *hasher, told herald) *processes {
	p := &processes{
		o: o, at: at, clock: c, look: look, hash: h, herald: told, maxKept: o.MaxKeptFDs, first: true,
		pay:          newBudget(o.CPUBudget, o.SweepMax),
		line:         make([]byte, 32<<10),
		kernelDetail: &host.Detail{Args: []string{}, ArgsKnown: true, Env: []host.EnvVar{}, EnvKnown: true, User: "root"},
	}
	p.keep, _ = at.proc.(tree.Keeper)
	return p
}

// Name implements [Sensor].
func (p *processes) Name() string { return "processes" }

// Close implements [io.Closer].
func (p *processes) Close() error {
	for i := range p.held {
		p.drop(&p.held[i])
	}
	p.look.close()
	p.hash.close()
	return nil
}

// Sense implements [Sensor].
func (p *processes) Sense(ctx context.Context, snap *host.Snapshot) error {
	// The clock of CPU time is that of one thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p.paidFrom, p.began, p.uptime = p.clock.cost(), p.clock.since(), snap.Uptime
	p.pay.earn(snap.Uptime)
	p.ended = p.ended[:0]
	p.deferred, p.elsewhere = 0, 0
	p.nameEnded(snap)
	p.takeBack()
	if err := p.list(); err != nil {
		return fmt.Errorf("list processes: %w", denied(err))
	}
	p.countBusy()
	p.adopt(snap.Events)
	if err := p.closely(ctx); err != nil {
		return err
	}
	p.efforts()
	p.countQuiet()
	p.bury()
	p.hashes()
	if !p.herald.telling() || p.first && p.o.Running { // nobody else tells of those that were there before
		p.tell(snap)
	} else {
		p.tellEscaped(snap)
	}
	p.settle()
	snap.Processes = p.procs
	p.gaps(snap)
	if !p.first { // the first look reads everything once and is not held against the others
		p.pay.spend(p.used())
	}
	p.first = false
	return nil
}

func (p *processes) used() time.Duration { return p.clock.cost() - p.paidFrom + p.elsewhere }

// left is what this look may still use.
func (p *processes) left() time.Duration { return p.pay.credit - p.used() }

// now is the time since boot while the look goes on.
func (p *processes) now() time.Duration { return p.uptime + p.clock.since() - p.began }

var dot = []byte(".")

// list brings the table in line with the processes there are. Those that are new have no birthday yet.
func (p *processes) list() error {
	var err error
	if p.pids, err = p.at.proc.Numbers(p.pids[:0], dot); err != nil {
		return err
	}
	if slices.EqualFunc(p.pids, p.procs, func(pid int, q host.Process) bool { return pid == q.ID.PID }) {
		return nil
	}
	procs, notes := p.spareProcs[:0], p.spareHeld[:0]
	i := 0
	for _, pid := range p.pids {
		for i < len(p.procs) && p.procs[i].ID.PID < pid {
			p.gone(i)
			i++
		}
		if i < len(p.procs) && p.procs[i].ID.PID == pid {
			procs, notes = append(procs, p.procs[i]), append(notes, p.held[i])
			i++
			continue
		}
		procs = append(procs, host.Process{ID: host.ProcID{PID: pid}})
		notes = append(notes, p.newcomer())
	}
	for ; i < len(p.procs); i++ {
		p.gone(i)
	}
	clear(p.procs) // let go of what they point to
	clear(p.held)
	p.procs, p.spareProcs = procs, p.procs
	p.held, p.spareHeld = notes, p.held
	return nil
}

func (p *processes) newcomer() held {
	return held{kept: -1, seen: p.uptime, want: true, announce: !p.first || p.o.Running}
}

// gone lets go of a process that is no more.
func (p *processes) gone(i int) {
	p.drop(&p.held[i])
	q := &p.procs[i]
	if q.ID.Born == 0 || q.Kernel {
		return
	}
	e := host.Event{Kind: host.ProcessStarted, ID: q.ID, Name: q.Name, Detail: q.Detail, Parent: host.ProcID{PID: q.Parent}}
	if p.held[i].announce { // it ended before it could be told of
		p.ended = append(p.ended, e)
	}
	e.Kind = host.ProcessEnded
	p.ended = append(p.ended, e)
}

func (p *processes) drop(h *held) {
	if h.kept >= 0 {
		p.keep.Drop(h.kept)
		h.kept = -1
		p.kept--
	}
}

// countBusy reads the counters of the processes that are looked at in every look.
func (p *processes) countBusy() {
	for i := range p.procs {
		q, h := &p.procs[i], &p.held[i]
		if q.ID.Born == 0 || h.hot || p.uptime-bornUptime(q.ID) < young {
			p.count(i)
		}
	}
}

// bornUptime is when a process was born, on the clock of Snapshot.Uptime.
func bornUptime(id host.ProcID) time.Duration {
	return time.Duration(min(id.Born, 1<<40)) * host.Tick
}

// countQuiet reads the counters of the others in turn, until the budget is used up.
func (p *processes) countQuiet() {
	if len(p.procs) == 0 {
		return
	}
	from, _ := slices.BinarySearchFunc(p.procs, p.next, func(q host.Process, pid int) int { return q.ID.PID - pid })
	read := 0
	for k := range p.procs {
		i := (from + k) % len(p.procs)
		q := &p.procs[i]
		p.next = q.ID.PID
		h := &p.held[i]
		due := p.o.SweepMin
		if h.idle {
			due = min(idleSweep*due, p.o.SweepMax)
		}
		if h.dead || p.uptime-q.Looked < due-p.o.SweepMin/10 { // looks come a little early at times
			continue
		}
		// The clock is a system call: asked now and then.
		if read >= leastQuiet && read%16 == 0 && p.left() <= 0 {
			return
		}
		p.count(i)
		read++
	}
	p.next = 0
}

// count reads the counters of one process.
func (p *processes) count(i int) {
	q, h := &p.procs[i], &p.held[i]
	line, err := p.stat(q.ID.PID, h)
	if err != nil {
		h.dead = tree.Gone(err)
		h.refused = !h.dead
		return
	}
	var s procfs.Stat
	if err := procfs.ParseStat(line, &s); err != nil {
		h.blind |= notParsed
		return
	}
	h.refused = false
	if q.ID.Born != s.Born && q.ID.Born != 0 { // the PID has come back as another process
		kept := h.kept
		h.kept = -1
		p.gone(i)
		*q, *h = host.Process{ID: host.ProcID{PID: q.ID.PID}}, p.newcomer()
		h.kept, h.announce = kept, true
	}
	p.update(q, h, &s)
}

// stat reads the stat line of a process into the kept buffer, from the file that was kept open if there is one.
func (p *processes) stat(pid int, h *held) ([]byte, error) {
	if h.kept >= 0 {
		if n, err := p.keep.Again(h.kept, p.line); err == nil {
			return p.line[:n], nil
		}
		p.drop(h) // it has ended; its PID may have come back
	}
	p.path = append(strconv.AppendInt(p.path[:0], int64(pid), 10), "/stat"...)
	if p.keep == nil || p.kept >= p.maxKept {
		b, err := p.at.proc.Read(p.line[:0], p.path, cap(p.line)-1)
		if errors.Is(err, tree.ErrLonger) {
			err = nil
		}
		return b, err
	}
	fd, err := p.keep.Keep(p.path)
	switch {
	case err == nil:
	case tree.Gone(err) || tree.Denied(err):
		return nil, err
	default: // no more descriptors: go on without
		p.maxKept = p.kept
		return p.at.proc.Read(p.line[:0], p.path, cap(p.line)-1)
	}
	h.kept = fd
	p.kept++
	n, err := p.keep.Again(fd, p.line)
	if err != nil {
		p.drop(h)
		return nil, err
	}
	return p.line[:n], nil
}

// update takes over what a stat line says.
func (p *processes) update(q *host.Process, h *held, s *procfs.Stat) {
	now := p.now()
	cpu, looked, known := q.CPU(), q.Looked, q.ID.Born != 0
	q.ID.Born = s.Born
	if string(s.Comm) != q.Name {
		h.want = true // it runs another program, or wants to look so
		q.Name = string(s.Comm)
	}
	q.Parent, q.Group, q.Session, q.State, q.Kernel = s.Parent, s.Group, s.Session, s.State, s.Kernel
	q.Looked, q.User, q.System, q.Threads = now, s.User, s.System, s.Threads
	q.RSS, q.VSize, q.Nice, q.Policy, q.MinFault = s.RSSPages*p.at.pageSize, s.VSize, s.Nice, s.Policy, s.MinFault
	h.idle = known && q.CPU() == cpu
	if !known { // all there is to go by is what it has used since it was born
		cpu, looked = 0, min(bornUptime(q.ID), now-host.Tick)
	}
	if now <= looked {
		return
	}
	switch share := float64(q.CPU()-cpu) / float64(now-looked); {
	case share >= p.o.HotShare && !q.Kernel:
		if !h.hot {
			h.hot, h.hotSince, h.mapsReads, h.want = true, now, 0, true
		}
		h.hotLast = now
	case h.hot && now-h.hotLast > p.o.HotHold:
		h.hot, h.effort, h.spare = false, nil, nil
		q.Effort = nil
	}
}

// bury takes those out of the table that turned out to have ended.
func (p *processes) bury() {
	n := 0
	for i := range p.procs {
		if p.held[i].dead {
			p.gone(i)
			continue
		}
		if n != i {
			p.procs[n], p.held[n] = p.procs[i], p.held[i]
		}
		n++
	}
	clear(p.procs[n:])
	clear(p.held[n:])
	p.procs, p.held = p.procs[:n], p.held[:n]
}

// find is the place of a process in the table, -1 when it is not there.
func (p *processes) find(pid int) int {
	i, ok := slices.BinarySearchFunc(p.procs, pid, func(q host.Process, pid int) int { return q.ID.PID - pid })
	if !ok {
		return -1
	}
	return i
}
