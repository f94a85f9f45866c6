package feature

import (
	"time"

	"github.com/minehound/minehound/agent/host"
)

// memoryStale is how long what was read of a process's memory is believed after the last look at it: a miner that rests
// is no longer busy and no longer looked into.
const memoryStale = 10 * time.Minute

// record is what is kept of a living process.
type record struct {
	id    host.ProcID
	look  uint64        // number of the last look that saw it
	since time.Duration // watched since then

	last     counters // as last read
	from     counters // since when CPU time counts as spread evenly, while there is no history
	busyFrom time.Duration
	read     bool // something was read at this look
	measured bool // its counters were read twice, or since its birth
	history  *history
	day      *day
	work     *work

	name   string
	detail *host.Detail
	text   *text
	memory *host.Memory
	large  []float64

	group *group

	parentPID  int
	parent     *record // as long as it lives
	parentName string
	parentText *text
	up         *lineage // its ancestors
	down       *lineage // what its children have as ancestors
	traced     uint64   // look at which up was brought up to date
}

// counters are what a stat line tells, and when it was read.
type counters struct {
	at        time.Duration
	cpu, user time.Duration
	faults    uint64
}

// counters are those of p, within what is possible: a trace may say anything.
func (w *Window) counters(p *host.Process) counters {
	user := max(p.User, 0)
	return counters{min(max(p.Looked, 0), w.now), user + max(p.System, 0), user, p.MinFault}
}

// measure takes the counters of a process that was seen before. It returns false when they went backwards: then this is
// not the process it was.
func (w *Window) measure(r *record, p *host.Process) bool {
	now := w.counters(p)
	if now.at <= r.last.at {
		r.read = false
		return now.cpu >= r.last.cpu || now.at < r.last.at
	}
	if now.cpu < r.last.cpu || now.faults < r.last.faults {
		return false
	}
	r.read = true
	w.advance(r, now)
	return true
}

// advance accounts for the time between the last counters and now.
func (w *Window) advance(r *record, now counters) {
	before := r.last
	r.last, r.measured = now, true
	cpu := now.cpu - before.cpu
	share := float64(cpu) / float64(now.at-before.at)
	hole := before.at < w.holeEnd && now.at >= w.holeEnd
	switch {
	case share < BusyCores:
		r.busyFrom = -1
	case r.busyFrom < 0:
		r.busyFrom = before.at
		if hole {
			r.busyFrom = now.at
		}
	}
	if cpu > 0 {
		w.charge(r, before.at, now.at, cpu.Seconds(), hole)
	}
	if hole {
		if r.history == nil && cpu > 0 {
			r.from = now
		}
		return
	}
	if r.history == nil {
		if now.cpu-r.from.cpu < QuietCPU {
			return
		}
		r.history = w.newHistory()
		if before.at > r.from.at {
			r.remember(r.from, before)
		}
		r.from = now
	}
	r.remember(before, now)
	r.forget()
}

// remember puts the time between two readings into the history.
func (r *record) remember(a, b counters) {
	s := sampleOf(b.at-a.at, b.cpu-a.cpu)
	s.user = max(b.user-a.user, 0).Seconds()
	s.faults = float64(b.faults - a.faults)
	r.history.add(a.at, b.at, &s)
}

func sampleOf(dt, cpu time.Duration) sample {
	s := sample{cpu: cpu.Seconds(), watched: dt.Seconds(), looks: 1}
	share := s.cpu / s.watched
	s.square = share * share * s.watched
	if share >= WorkingCores {
		s.working = s.watched
	}
	return s
}

// forget drops the history of a process that has not worked for an hour. With a history, from is when that was last
// looked at.
func (r *record) forget() {
	if r.last.at-r.from.at < window1h+coarseStep {
		return
	}
	s := r.history.sum(window1h, r.last.at)
	if s.cpu >= QuietCPU.Seconds() {
		r.from.at = r.last.at - window1h/2
		return
	}
	used := min(time.Duration(s.cpu*float64(time.Second)), r.last.user)
	r.from = counters{r.last.at - window1h, r.last.cpu - used, r.last.user - used, r.last.faults}
	r.history = nil
}

// charge books CPU time to the long sums of the process and its program.
func (w *Window) charge(r *record, from, to time.Duration, cpu float64, hole bool) {
	if r.day == nil && (r.last.cpu-r.from.cpu >= QuietCPU || hole) {
		r.day = &day{}
	}
	if r.day != nil {
		r.day.add(from+w.offset, to+w.offset, cpu)
	}
	r.group.charge(w, from, to, cpu, hole)
}

// cpu fills in how the process uses the processors.
func (w *Window) cpu(r *record, p *host.Process, c *CPU, age time.Duration) {
	c.Total = r.last.cpu.Seconds()
	c.ShareLife = Unknown()
	if age > 0 {
		c.ShareLife = c.Total / age.Seconds()
	}
	c.Seconds24h = w.seconds24h(r, age)
	c.BusyFor = Unknown()
	if r.measured {
		c.BusyFor = 0
		if r.busyFrom >= 0 {
			c.BusyFor = (r.last.at - r.busyFrom).Seconds()
		}
	}
	if r.history == nil {
		w.quiet(r, c, age)
	} else {
		w.loaded(r, c, age)
	}
	r.work.fill(c, r.last.at, p.Effort != nil)
}

func (w *Window) seconds24h(r *record, age time.Duration) float64 {
	switch {
	case age <= 24*time.Hour:
		return r.last.cpu.Seconds() // all of it is within the day
	case !r.measured:
		return Unknown()
	case r.day == nil:
		return (r.last.cpu - r.from.cpu).Seconds()
	}
	return r.day.sum(r.last.at + w.offset)
}

// quiet is for a process without history.
func (w *Window) quiet(r *record, c *CPU, age time.Duration) {
	share := Unknown()
	if r.last.at > r.from.at {
		share = float64(r.last.cpu-r.from.cpu) / float64(r.last.at-r.from.at)
	}
	of := func(window time.Duration) float64 {
		if Known(share) && w.watched(window, r.since, r.last.at) {
			return share
		}
		return wholeLife(r, window, age)
	}
	c.Share10s, c.Share1m, c.Share10m, c.Share1h = of(window10s), of(window1m), of(window10m), of(window1h)
	c.Duty1m, c.Duty10m = idle(c.Share1m), idle(c.Share10m)
	c.Variation1m, c.Variation10m, c.UserFraction1m, c.FaultsPerSecond = Unknown(), Unknown(), Unknown(), Unknown()
}

// idle is the duty of a process without history: none, if its share is known.
func idle(share float64) float64 {
	if Known(share) {
		return 0
	}
	return share
}

// loaded is for a process with history.
func (w *Window) loaded(r *record, c *CPU, age time.Duration) {
	of := func(window time.Duration) (sample, float64) {
		s := r.history.sum(window, r.last.at)
		if enough(s.watched, window) {
			share := s.share()
			return s, share
		}
		return sample{}, wholeLife(r, window, age)
	}
	_, c.Share10s = of(window10s)
	_, c.Share1h = of(window1h)
	var m, m10 sample
	m, c.Share1m = of(window1m)
	m10, c.Share10m = of(window10m)
	c.Variation1m, c.Variation10m = m.variation(), m10.variation()
	c.Duty1m, c.Duty10m = m.duty(), m10.duty()
	c.UserFraction1m = min(m.per(m.user), 1)
	c.FaultsPerSecond = m.per(m.faults)
}

func (s *sample) duty() float64 {
	if s.watched == 0 {
		return Unknown()
	}
	return s.working / s.watched
}

// wholeLife is the share of a process whose life is the window: its counters say it all, watched or not.
func wholeLife(r *record, window, age time.Duration) float64 {
	if age > window || float64(age) < Coverage*float64(window) {
		return Unknown()
	}
	return r.last.cpu.Seconds() / age.Seconds()
}

// fillMemory tells the address space.
func (r *record) fillMemory(p *host.Process, m *Memory) {
	u := Unknown()
	*m = Memory{RSS: mib(p.RSS), RSSAnon: u, Hugetlb: u, LargeTotal: u, ExecKiB: u, ExecMaps: u, WriteExecKiB: u}
	k := r.memory
	if k == nil {
		return
	}
	m.RSSAnon, m.Hugetlb = mib(k.RSSAnon), mib(k.Hugetlb)
	if !k.Known {
		return
	}
	m.Large, m.LargeTotal = r.large, 0
	for _, n := range k.Large {
		m.LargeTotal += mib(n)
	}
	m.ExecKiB, m.ExecMaps, m.WriteExecKiB = float64(k.Exec)/1024, float64(k.ExecMaps), float64(k.WriteExec)/1024
}

func mib(n int64) float64 {
	if n < 0 {
		return Unknown()
	}
	return float64(n) / (1 << 20)
}

// observe takes the memory that was read, and believes it for a while.
func (r *record) observe(p *host.Process, now time.Duration) {
	if p.Effort == nil || p.Effort.Memory == nil {
		if r.memory != nil && now-r.memory.Looked > memoryStale {
			r.memory, r.large = nil, nil
		}
		return
	}
	if r.memory == p.Effort.Memory {
		return
	}
	r.memory = p.Effort.Memory
	r.large = nil
	if len(r.memory.Large) > 0 {
		r.large = make([]float64, len(r.memory.Large))
		for i, n := range r.memory.Large {
			r.large[i] = float64(n >> 20)
		}
	}
}
