package sense

import (
	"runtime"
	"time"

	"github.com/minehound/minehound/agent/host"
	"github.com/minehound/minehound/agent/sense/procfs"
)

const (
	// patience is how long a closer look may take. Arguments, environment and mappings are read under a lock of the
	// process, which it can hold for as long as it likes: a page fault on a file system that does not answer is enough.
	patience = 500 * time.Millisecond
	// maxWaits is how often that may happen in one look at the machine; the rest comes in the next.
	maxWaits = 2
	// maxStuck is how many looks that have not come back are left alone. Each holds a thread.
	maxStuck = 16
)

// aside takes closer looks in a goroutine of its own and gives up on those that do not come back, so that no process can
// hold up the look at the others. It is not safe for concurrent use.
type aside struct {
	here  *closer                 // for what nobody can hold up
	make  func() (*closer, error) // for another goroutine; nil takes every look at once
	idle  *errand
	away  []*errand // that did not come back yet
	waits int       // in this look at the machine
	timer *time.Timer
	wait  time.Duration
}

// errand is a goroutine that looks closer. Its closer is its own until it has answered.
type errand struct {
	look   *closer
	ask    chan question
	answer chan answer // has room for one, so that it ends although nobody waits any more
	pid    int         // whom it is looking at
}

type question struct {
	pid  int
	now  time.Duration
	old  *host.Detail
	mark uint64
	deep depth
	maps int // lines at most; 0 asks for a Detail
}

type answer struct {
	detail *host.Detail
	mark   uint64
	blind  blindness
	err    error

	maps *procfs.Maps // valid until the next question; nil when they could not be read
	long bool         // because there are more than asked for

	cost time.Duration // CPU time used elsewhere
}

func newAside(here *closer, more func() (*closer, error)) *aside {
	return &aside{here: here, make: more, wait: patience}
}

// put asks and waits. It fails when the answer did not come in time, when the one before about the same process is still to
// come, or when nobody is left to ask.
func (a *aside) put(q question) (answer, bool) {
	if a.make == nil {
		return a.here.answer(q), true
	}
	if a.holds(q.pid) || a.waits >= maxWaits || !a.ready() {
		return answer{}, false
	}
	e := a.idle
	e.pid = q.pid
	e.ask <- q
	if a.timer == nil {
		a.timer = time.NewTimer(a.wait)
	} else {
		a.timer.Reset(a.wait)
	}
	select {
	case r := <-e.answer:
		a.timer.Stop()
		return r, true
	case <-a.timer.C:
	}
	a.waits++
	a.idle = nil
	a.away = append(a.away, e)
	return answer{}, false
}

// patient tells whether one more process may be waited for in this look at the machine.
func (a *aside) patient() bool { return a.waits < maxWaits }

func (a *aside) holds(pid int) bool {
	for _, e := range a.away {
		if e.pid == pid {
			return true
		}
	}
	return false
}

// ready makes sure that there is somebody to ask.
func (a *aside) ready() bool {
	if a.idle != nil {
		return true
	}
	if len(a.away) >= maxStuck {
		return false
	}
	c, err := a.make()
	if err != nil { // no more descriptors, most likely: what is known without has to do
		return false
	}
	e := &errand{look: c, ask: make(chan question), answer: make(chan answer, 1)}
	go e.run()
	a.idle = e
	return true
}

// back begins a new look at the machine and appends the processes to pids that can be asked about again.
func (a *aside) back(pids []int) []int {
	a.waits = 0
	n := 0
	for _, e := range a.away {
		select {
		case <-e.answer:
			pids = append(pids, e.pid)
			if a.idle == nil {
				a.idle = e
			} else {
				close(e.ask)
			}
		default:
			a.away[n] = e
			n++
		}
	}
	clear(a.away[n:])
	a.away = a.away[:n]
	return pids
}

// close ends whoever is idle; those that are stuck end when they come back.
func (a *aside) close() {
	for _, e := range a.away {
		close(e.ask)
	}
	a.away = nil
	if a.idle != nil {
		close(a.idle.ask)
		<-a.idle.answer // closed when all is let go of
		a.idle = nil
	}
}

func (e *errand) run() {
	defer close(e.answer)
	defer func() { _ = e.look.at.close() }() // only read from
	runtime.LockOSThread()                   // its CPU time is measured by thread
	defer runtime.UnlockOSThread()
	for q := range e.ask {
		e.answer <- e.look.answer(q)
	}
}

// answer looks at a process.
func (c *closer) answer(q question) (r answer) {
	began := c.cost()
	if q.maps > 0 {
		if known, long, blind := c.readMaps(q.pid, q.maps); known {
			r.maps = &c.maps
		} else {
			r.long, r.blind = long, blind
		}
	} else {
		r.detail, r.mark, r.blind, r.err = c.look(q.pid, q.now, q.old, q.mark, q.deep)
	}
	r.cost = c.cost() - began
	return r
}
