package feature

import (
	"math"
	"time"
)

// Definitions that the measures need. None of them is a threshold for guilt.
const (
	// Coverage is the part of a window that must have been watched for its measures to be known.
	Coverage = 0.9
	// Hole is the longest time between two looks that counts as watched: three times the longest interval at which a
	// quiet process is read (10 s).
	Hole = 30 * time.Second
	// WorkingCores is when a process counts as working at all. A process that only waits and polls stays below one
	// percent; a miner throttled to a tenth of a core is still above.
	WorkingCores = 0.1
	// BusyCores is what a process must use without a break for cpu.busy_s to count.
	BusyCores = 0.5
	// HotCores is what a thread must use to count as hot: with cpulimit at 30 % on two CPUs each of xmrig's two threads
	// was measured at 0.34 cores, with SIGSTOP and SIGCONT at 30 % at 0.25.
	HotCores = 0.2
	// QuietCPU is the CPU time that a process or program may use before a history of it is kept. Below that its CPU
	// time counts as spread evenly over the time watched, which is wrong by at most QuietCPU per window.
	QuietCPU = 250 * time.Millisecond
	// MinLooks is how many looks a measure of flatness needs.
	MinLooks = 5
)

// The windows, and the width of the buckets that each is made of: a thirtieth, so that the bucket at the edge, of which
// a part is taken, is wrong by at most 3 % of the window.
const (
	window10s = 10 * time.Second
	window1m  = time.Minute
	window10m = 10 * time.Minute
	window1h  = time.Hour

	fineStep   = window1m / 30
	mediumStep = window10m / 30
	coarseStep = window1h / 30
	slots      = 32 // 30 whole ones and the two that the edges cut
)

// sample is what happened in some time.
type sample struct {
	cpu     float64 // CPU seconds
	user    float64 // the part in user mode (of the machine: stolen by a hypervisor)
	working float64 // seconds in which it was working
	square  float64 // share squared times seconds
	watched float64 // seconds
	looks   float64
	faults  float64
}

// bucket is a sample at rest: 28 bytes. Nothing accumulates in it for longer than its step, so that float32 is exact
// to a millionth.
type bucket struct{ cpu, user, working, square, watched, looks, faults float32 }

func (b *bucket) add(s *sample, part float64) {
	b.cpu += float32(s.cpu * part)
	b.user += float32(s.user * part)
	b.working += float32(s.working * part)
	b.square += float32(s.square * part)
	b.watched += float32(s.watched * part)
	b.looks += float32(s.looks * part)
	b.faults += float32(s.faults * part)
}

func (s *sample) add(b *bucket, part float64) {
	s.cpu += float64(b.cpu) * part
	s.user += float64(b.user) * part
	s.working += float64(b.working) * part
	s.square += float64(b.square) * part
	s.watched += float64(b.watched) * part
	s.looks += float64(b.looks) * part
	s.faults += float64(b.faults) * part
}

// ring is the recent past in buckets that are aligned to multiples of the step, so that what several processes did can
// be added up in one ring.
type ring struct {
	last int64 // number of the newest bucket
	b    [slots]bucket
}

// add spreads s evenly over the time from..to.
func (r *ring) add(step, from, to time.Duration, s *sample) {
	newest := int64((to - 1) / step)
	if newest-r.last >= slots {
		*r = ring{last: newest}
	}
	for r.last < newest {
		r.last++
		r.b[r.last%slots] = bucket{}
	}
	total := float64(to - from)
	for n := max(int64(from/step), r.last-slots+1); n <= newest; n++ {
		start := time.Duration(n) * step
		part := float64(min(to, start+step)-max(from, start)) / total
		r.b[n%slots].add(s, part)
	}
}

// sum is what happened in from..to. Of the bucket that from cuts, a part is taken.
func (r *ring) sum(step, from, to time.Duration) (s sample) {
	if to <= 0 {
		return s
	}
	from = max(from, 0)
	for n := max(int64(from/step), r.last-slots+1); n <= min(int64((to-1)/step), r.last); n++ {
		part := 1.0
		if start := time.Duration(n) * step; start < from {
			part = float64(start+step-from) / float64(step)
		}
		s.add(&r.b[n%slots], part)
	}
	return s
}

// history is what is kept of a process or program that has worked.
type history struct{ fine, medium, coarse ring }

func (h *history) add(from, to time.Duration, s *sample) {
	h.fine.add(fineStep, from, to, s)
	h.medium.add(mediumStep, from, to, s)
	h.coarse.add(coarseStep, from, to, s)
}

// sum is what happened in the window of that length that ends at to.
func (h *history) sum(length, to time.Duration) sample {
	return h.between(length, to-length, to)
}

// between is what happened in from..to, which is no longer than length.
func (h *history) between(length, from, to time.Duration) sample {
	switch {
	case length <= window1m:
		return h.fine.sum(fineStep, from, to)
	case length <= window10m:
		return h.medium.sum(mediumStep, from, to)
	}
	return h.coarse.sum(coarseStep, from, to)
}

// enough tells whether so many seconds of a window are enough to know. The millisecond is for rounding.
func enough(watched float64, window time.Duration) bool {
	return watched >= Coverage*window.Seconds()-1e-3
}

func (s *sample) share() float64 { return s.cpu / s.watched }

// variation is the standard deviation of the share over its mean, each look weighing as long as it was.
func (s *sample) variation() float64 {
	mean := s.share()
	if s.looks < MinLooks-1e-3 || mean < WorkingCores {
		return Unknown()
	}
	v := s.square/s.watched/(mean*mean) - 1
	if v < 1e-6 { // below a thousandth: rounding, the counters are no finer
		return 0
	}
	return math.Sqrt(v)
}

// per is a quantity per CPU second, unknown for a process that hardly worked.
func (s *sample) per(quantity float64) float64 {
	if s.share() < WorkingCores {
		return Unknown()
	}
	return quantity / s.cpu
}

// day is CPU seconds by the hour.
type day struct {
	last  int64 // number of the newest hour
	hours [25]float64
}

func (d *day) add(from, to time.Duration, cpu float64) {
	newest := int64((to - 1) / time.Hour)
	if newest-d.last >= int64(len(d.hours)) {
		*d = day{last: newest}
	}
	for d.last < newest {
		d.last++
		d.hours[d.last%25] = 0
	}
	if to <= from {
		d.hours[max(newest, d.last-24)%25] += cpu
		return
	}
	for n := max(int64(from/time.Hour), d.last-24); n <= newest; n++ {
		start := time.Duration(n) * time.Hour
		d.hours[n%25] += cpu * float64(min(to, start+time.Hour)-max(from, start)) / float64(to-from)
	}
}

// sum is the CPU seconds of the 24 hours up to now.
func (d *day) sum(now time.Duration) (s float64) {
	from := max(now-24*time.Hour, 0)
	for n := max(int64(from/time.Hour), d.last-24); n <= d.last; n++ {
		part := 1.0
		if start := time.Duration(n) * time.Hour; start < from {
			part = float64(start+time.Hour-from) / float64(time.Hour)
		}
		s += d.hours[n%25] * part
	}
	return s
}
