package feature

import (
	"time"
)

// MaxIdleGroups is how many programs are remembered that have no living process.
const MaxIdleGroups = 1024

// group is a program: all processes of one key.
type group struct {
	key     string
	members int
	since   time.Duration // watched since
	latest  time.Duration // when the counters of any member were last read
	ended   time.Duration // when the last member was gone
	pending float64       // CPU seconds without a history, since
	from    time.Duration // then
	history *history
	day     day
	started starts

	measured uint64 // look that sums was made at
	sums     Group

	older, newer *group // in the list of those without members
}

// starts counts by five minutes.
type starts struct {
	last int64
	n    [13]uint16
}

const startStep = 5 * time.Minute

func (s *starts) advance(t time.Duration) {
	newest := int64(t / startStep)
	if newest-s.last >= int64(len(s.n)) {
		*s = starts{last: newest}
	}
	for s.last < newest {
		s.last++
		s.n[s.last%13] = 0
	}
}

func (s *starts) add(t time.Duration) {
	s.advance(t)
	if n := &s.n[s.last%13]; *n < 1<<16-1 {
		*n++
	}
}

// sum is the starts in the hour up to now: twelve whole steps and the one that has begun.
func (s *starts) sum(now time.Duration) (total float64) {
	newest := int64(now / startStep)
	for n := max(newest-12, s.last-12); n <= s.last; n++ {
		if n >= 0 {
			total += float64(s.n[n%13])
		}
	}
	return total
}

// charge books CPU time of a member.
func (g *group) charge(w *Window, from, to time.Duration, cpu float64, hole bool) {
	g.day.add(from+w.offset, to+w.offset, cpu)
	if hole {
		return
	}
	if g.history == nil {
		g.pending += cpu
		if g.pending < QuietCPU.Seconds() {
			return
		}
		g.history = w.newHistory()
		if rest := g.pending - cpu; rest > 0 && from > g.from {
			g.history.add(g.from, from, &sample{cpu: rest})
		}
		g.pending, g.from = 0, w.now
	}
	g.history.add(from, to, &sample{cpu: cpu})
}

// measure fills in the sums once per look.
func (g *group) measure(w *Window) *Group {
	if g.measured == w.number {
		return &g.sums
	}
	g.measured = w.number
	u := Unknown()
	g.sums = Group{Processes: float64(g.members), Started1h: g.started.sum(w.now), Share10s: u, Share1m: u, Share10m: u, Share1h: u}
	g.sums.Seconds24h = g.day.sum(w.now + w.offset)
	if g.latest <= g.since {
		return &g.sums
	}
	g.forget(w)
	g.sums.Share10s = g.share(w, window10s)
	g.sums.Share1m = g.share(w, window1m)
	g.sums.Share10m = g.share(w, window10m)
	g.sums.Share1h = g.share(w, window1h)
	return &g.sums
}

// forget drops the history of a program that has not worked for an hour. With a history, from is when that was last
// looked at.
func (g *group) forget(w *Window) {
	if g.history == nil || w.now-g.from < window1h+coarseStep {
		return
	}
	s := g.history.sum(window1h, g.latest)
	if s.cpu >= QuietCPU.Seconds() {
		g.from = w.now - window1h/2
		return
	}
	g.history, g.pending, g.from = nil, s.cpu, max(g.latest-window1h, 0)
}

func (g *group) share(w *Window, window time.Duration) float64 {
	seen := w.machine.between(window, max(g.latest-window, g.since), g.latest).watched
	if !enough(seen, window) {
		return Unknown()
	}
	if g.history == nil {
		if g.latest <= g.from {
			return 0
		}
		return g.pending / (g.latest - g.from).Seconds()
	}
	s := g.history.sum(window, g.latest)
	return s.cpu / seen
}

// groups is the table of programs.
type groups struct {
	table  map[string]*group
	idle   int
	oldest *group
	newest *group
}

// join is the group of that key with one more member.
func (t *groups) join(key string, now time.Duration) *group {
	g := t.table[key]
	if g == nil {
		g = &group{key: key, since: now, from: now}
		t.table[key] = g
	} else if g.members == 0 {
		t.unlink(g)
	}
	g.members++
	return g
}

// leave takes one member away.
func (t *groups) leave(g *group, now time.Duration) {
	g.members--
	if g.members > 0 {
		return
	}
	g.ended = now
	t.link(g)
	for t.idle > MaxIdleGroups {
		old := t.oldest
		t.unlink(old)
		delete(t.table, old.key)
	}
}

func (t *groups) link(g *group) {
	g.older, g.newer = t.newest, nil
	if t.newest != nil {
		t.newest.newer = g
	} else {
		t.oldest = g
	}
	t.newest = g
	t.idle++
}

func (t *groups) unlink(g *group) {
	if g.older != nil {
		g.older.newer = g.newer
	} else {
		t.oldest = g.newer
	}
	if g.newer != nil {
		g.newer.older = g.older
	} else {
		t.newest = g.older
	}
	g.older, g.newer = nil, nil
	t.idle--
}

// cool drops the histories of programs that ended more than an hour ago and forgets those of which nothing is left.
func (t *groups) cool(w *Window) {
	for g := t.oldest; g != nil; {
		next := g.newer
		if w.now-g.ended < window1h+coarseStep {
			return
		}
		g.history, g.pending, g.from = nil, 0, g.latest
		if g.day.sum(w.now+w.offset) == 0 {
			t.unlink(g)
			delete(t.table, g.key)
		}
		g = next
	}
}
