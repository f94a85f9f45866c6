package sense

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/minehound/minehound/agent/host"
	"github.com/minehound/minehound/agent/sense/procfs"
	"github.com/minehound/minehound/agent/sense/tree"
)

const (
	// ringSize is how many events wait for the next look; two seconds of two thousand starts and ends.
	ringSize = 4096
	// maxParents is how many parents are remembered, so that a shell that starts many programs is read once.
	maxParents = 512
	// atOnce bounds the messages that are taken before the budget is asked again.
	atOnce = 64
	// rest is how long nothing is read when the budget for events is used up.
	rest = 100 * time.Millisecond
	// waitAgain is how often it may begin anew to wait for programs that hold up the look at them.
	waitAgain = 2 * time.Second
	// answerWithin is how long the kernel may take to answer the request to listen. It answers at once or, outside the
	// machine's own PID namespace, never.
	answerWithin = 300 * time.Millisecond
)

// connector is the sensor of starting and ending processes. Its goroutine reads a program at the moment the kernel says
// that it was executed.
type connector struct {
	fd, wake int
	at       places
	look     *aside
	waited   time.Duration // uptime at which it began to count for how many programs it waits
	asked    time.Duration // CPU time used elsewhere
	freed    []int
	clock    clock
	pay      budget
	parents  map[int]parent
	line     []byte
	in       []byte
	changes  []procfs.Change

	listening atomic.Bool
	waiting   atomic.Int64 // bytes, about, of the Details in the ring
	ended     chan struct{}
	closing   sync.Once

	mu      sync.Mutex
	ring    []host.Event // at most ringSize
	lost    tally        // no room
	skipped tally        // no budget
	dropped tally        // by the kernel, times
	missed  tally        // ended too soon
	escaped bool         // starts were not told of, at the look before
	err     error        // why it does not listen any more
}

type parent struct {
	id     host.ProcID
	name   string
	detail *host.Detail
}

// connectorSensor opens the connector where it is wanted and permitted, and otherwise a sensor that says why not.
func connectorSensor(o Options) (Sensor, herald) {
	if !o.Connector {
		return blind{"events", fmt.Errorf("process events are switched off: starts are seen at looks only: %w", ErrUnsupported)}, silence{}
	}
	c, err := openConnector(o)
	if err != nil {
		return blind{"events", fmt.Errorf("process events: starts are seen at looks only: %w", err)}, silence{}
	}
	return c, c
}

func openConnector(o Options) (*connector, error) {
	at, err := live(o)
	if err != nil {
		return nil, err
	}
	c := &connector{
		fd: -1, wake: -1, at: at, look: liveAside(at, o), clock: liveClock(), pay: newBudget(o.EventBudget, 50*time.Second),
		parents: make(map[int]parent), line: make([]byte, 4096), in: make([]byte, 8192), ended: make(chan struct{}),
	}
	if err := c.open(); err != nil {
		c.free()
		return nil, err
	}
	c.listening.Store(true)
	go c.run()
	return c, nil
}

// receive reads one message from the kernel; none when there is none. Nobody else is believed.
func (c *connector) receive() ([]procfs.Change, error) {
	n, from, err := unix.Recvfrom(c.fd, c.in, 0)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return nil, nil
	case errors.Is(err, unix.ENOBUFS):
		c.mu.Lock()
		c.dropped.n++
		c.mu.Unlock()
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("receive: %w", err)
	}
	if sender, ok := from.(*unix.SockaddrNetlink); !ok || sender.Pid != 0 {
		return nil, nil
	}
	c.changes, err = procfs.ParseConnector(c.in[:n], c.changes[:0])
	if err != nil {
		c.mu.Lock()
		c.lost.n++
		c.mu.Unlock()
	}
	return c.changes, nil
}

// run waits for the kernel until it is told to end.
func (c *connector) run() {
	runtime.LockOSThread() // its CPU time is measured by thread
	defer runtime.UnlockOSThread()
	defer close(c.ended)
	defer c.listening.Store(false)
	if _, up, err := c.clock.now(); err == nil {
		c.pay.last = up
	}
	for {
		polls := []unix.PollFd{{Fd: int32(c.wake), Events: unix.POLLIN}, {Fd: int32(c.fd), Events: unix.POLLIN}}
		timeout := -1
		if c.pay.credit < 0 { // the kernel keeps what comes, as far as its buffer goes
			polls, timeout = polls[:1], int(rest/time.Millisecond)
		}
		if _, err := unix.Poll(polls, timeout); err != nil && !errors.Is(err, unix.EINTR) {
			c.fail(fmt.Errorf("poll: %w", err))
			return
		}
		if polls[0].Revents != 0 {
			return
		}
		if err := c.batch(); err != nil {
			c.fail(err)
			return
		}
	}
}

func (c *connector) fail(err error) {
	c.mu.Lock()
	c.err = fmt.Errorf("process events ended: starts are seen at looks only: %w", err)
	c.mu.Unlock()
}

// batch takes what has come, a bounded number of messages, and pays for it.
func (c *connector) batch() error {
	before := c.clock.cost()
	at, up, err := c.clock.now()
	if err != nil {
		return fmt.Errorf("read the clock: %w", err)
	}
	c.pay.earn(up)
	if c.asked = 0; up-c.waited >= waitAgain {
		c.waited, c.freed = up, c.look.back(c.freed[:0])
	}
	for range atOnce {
		changes, err := c.receive()
		if err != nil {
			return err
		}
		if len(changes) == 0 {
			break
		}
		for _, change := range changes {
			switch change.Kind {
			case procfs.Answered:
			case procfs.Executed:
				c.executed(change.PID, at, up, c.pay.credit > c.clock.cost()-before+c.asked)
			case procfs.Exited:
				delete(c.parents, change.PID)
				c.put(host.Event{At: at, Kind: host.ProcessEnded, ID: host.ProcID{PID: change.PID}})
			}
		}
	}
	c.pay.spend(c.clock.cost() - before + c.asked)
	return nil
}

// executed reads a program that has just started. Without budget it is only counted: what still runs at the next look is
// seen then.
func (c *connector) executed(pid int, at time.Time, up time.Duration, affordable bool) {
	if !affordable {
		delete(c.parents, pid)
		c.mu.Lock()
		c.skipped.n++
		c.mu.Unlock()
		return
	}
	self, above, ok := c.read(pid, up)
	if !ok {
		c.mu.Lock()
		c.missed.n++
		c.mu.Unlock()
		return
	}
	e := host.Event{At: at, Kind: host.ProcessStarted, ID: self.id, Name: self.name, Detail: self.detail, Parent: host.ProcID{PID: above}}
	if p, ok := c.parent(above, up); ok {
		e.Parent, e.ParentName, e.ParentDetail = p.id, p.name, p.detail
	}
	c.remember(self)
	c.put(e)
}

// read reads one process and tells its parent.
func (c *connector) read(pid int, up time.Duration) (p parent, above int, ok bool) {
	s, ok := c.stat(pid)
	if !ok {
		return p, 0, false
	}
	p = parent{id: host.ProcID{PID: pid, Born: s.Born}, name: string(s.Comm)}
	deep := whole
	if c.waiting.Load() > maxDetails {
		deep = short
	}
	a, ok := c.look.put(question{pid: pid, now: up, deep: deep})
	c.asked += a.cost
	if !ok {
		a.detail, _, _, a.err = c.look.here.look(pid, up, nil, 0, brief)
	}
	if a.err == nil {
		p.detail = a.detail
	}
	return p, s.Parent, true
}

func (c *connector) stat(pid int) (s procfs.Stat, ok bool) {
	line, err := c.at.proc.Read(c.line[:0], c.look.here.of(pid, "stat"), cap(c.line)-1)
	if err != nil && !errors.Is(err, tree.ErrLonger) {
		return s, false
	}
	return s, procfs.ParseStat(line, &s) == nil
}

// parent reads the parent, or remembers it.
func (c *connector) parent(pid int, up time.Duration) (parent, bool) {
	if pid <= 0 {
		return parent{}, false
	}
	s, ok := c.stat(pid)
	if !ok {
		return parent{}, false
	}
	if p, known := c.parents[pid]; known && p.id.Born == s.Born {
		return p, true
	}
	if s.Kernel {
		return parent{id: host.ProcID{PID: pid, Born: s.Born}, name: string(s.Comm)}, true
	}
	p, _, ok := c.read(pid, up)
	if ok {
		c.remember(p)
	}
	return p, ok
}

func (c *connector) remember(p parent) {
	if len(c.parents) >= maxParents {
		clear(c.parents)
	}
	c.parents[p.id.PID] = p
}

func (c *connector) put(e host.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.ring) >= ringSize {
		c.lost.n++
		return
	}
	c.ring = append(c.ring, e)
	c.waiting.Add(int64(size(e.Detail)))
}

// telling implements [herald].
func (c *connector) telling() bool { return c.listening.Load() }

// lossy implements [herald].
func (c *connector) lossy() bool { return c.escaped }

// Name implements [Sensor].
func (c *connector) Name() string { return "events" }

// Sense implements [Sensor]: it hands over what has come since the look before.
func (c *connector) Sense(_ context.Context, snap *host.Snapshot) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	snap.Events = append(snap.Events, c.ring...)
	clear(c.ring)
	c.ring = c.ring[:0]
	c.waiting.Store(0)
	c.escaped = c.lost.n+c.skipped.n+c.dropped.n > 0
	for _, g := range []struct {
		t    *tally
		what string
	}{
		{&c.lost, "events lost: more than wait for a look"},
		{&c.skipped, "starts not read at once, to stay within the budget for events"},
		{&c.missed, "programs ended before they could be read"},
		{&c.dropped, "times the kernel dropped events: more came than were read"},
	} {
		if r := g.t.reason(g.what); r != "" {
			snap.Gaps = append(snap.Gaps, host.Gap{Sensor: c.Name(), Reason: r})
			g.t.n = 0
		}
	}
	return c.err
}

// Close implements [io.Closer]. It returns when the goroutine has ended.
func (c *connector) Close() error {
	var err error
	c.closing.Do(func() {
		one := [8]byte{1} // any number but 0, in any byte order
		if _, err = unix.Write(c.wake, one[:]); err != nil {
			err = fmt.Errorf("wake the listener: %w", err)
			return
		}
		<-c.ended
		c.free()
	})
	return err
}

func (c *connector) free() {
	for _, fd := range []int{c.fd, c.wake} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
	c.look.close()
	_ = c.at.close()
}
