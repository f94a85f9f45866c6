package trace

import (
	"time"

	"github.com/minehound/minehound/agent/host"
)

// grow lets every process work for step, up to the look at s.Uptime, and reads it.
func (h *hand) grow(s *host.Snapshot, step time.Duration) {
	busy := time.Duration(h.busy * float64(step))
	for i := range s.Processes {
		p := &s.Processes[i]
		w := h.processes[p.ID.PID]
		p.Looked = s.Uptime
		worked := step
		if w.fresh {
			worked = 0
		}
		factor := w.factor(s.Uptime, worked)
		user, system := split(w.rate*factor*float64(worked), w.userPart)
		p.User += user
		p.System += system
		busy += user + system
		w.faultRest += w.faults * worked.Seconds()
		whole := uint64(w.faultRest)
		w.faultRest -= float64(whole)
		p.MinFault += whole
		w.effort(p, s, worked, factor)
		w.fresh = false
		w.looks++
	}
	if s.Machine.Busy >= 0 {
		s.Machine.Busy += busy
	}
}

// factor is by how much the rate is more or less in the time worked up to now, for wave and wobble.
func (w *worker) factor(now, worked time.Duration) float64 {
	f := 1.0
	if w.wave.On > 0 && worked > 0 {
		f = float64(w.on(now)-w.on(now-worked)) / float64(worked)
	}
	if w.looks%2 == 1 {
		return f * (1 + w.wobble)
	}
	return f * (1 - w.wobble)
}

// on is how much of the time between its first look and t the wave was on.
func (w *worker) on(t time.Duration) time.Duration {
	t -= w.since
	on, period := time.Duration(w.wave.On), time.Duration(w.wave.On+w.wave.Off)
	whole := int64(t / period)
	return time.Duration(whole*int64(on)) + min(t%period, on)
}

// effort reads the threads of a process with workers, and its memory.
func (w *worker) effort(p *host.Process, s *host.Snapshot, worked time.Duration, factor float64) {
	if w.team == nil && w.memory == nil {
		return
	}
	if p.Effort == nil {
		p.Effort = &host.Effort{Voluntary: -1, Involuntary: -1}
	}
	e := p.Effort
	e.Looked, e.Memory = s.Uptime, w.memory
	if w.team == nil {
		return
	}
	n := w.team.Count
	if len(e.Threads) != n+1 {
		e.Threads = append(e.Threads[:0], host.Thread{TID: p.ID.PID, Name: p.Name, State: 'S', CPUs: s.Machine.CPUs, OnlyCPU: -1})
		for i := range n {
			e.Threads = append(e.Threads, host.Thread{TID: p.ID.PID + 1 + i})
		}
	}
	if p.Threads < n+1 {
		p.Threads = n + 1
	}
	e.Voluntary, e.Involuntary = 0, 0
	for i := range n {
		t := &e.Threads[i+1]
		w.work(t, p, s, i, worked, factor)
		e.Voluntary += t.Voluntary
		e.Involuntary += t.Involuntary
	}
}

// work is one worker thread.
func (w *worker) work(t *host.Thread, p *host.Process, s *host.Snapshot, i int, worked time.Duration, factor float64) {
	t.Name, t.State = p.Name, 'R'
	set(&t.Name, w.team.Name, toString)
	set(&t.State, w.team.State, toByte)
	if part := w.team.Stopped; int(part*float64(w.looks+1)) > int(part*float64(w.looks)) {
		t.State = 'T'
	}
	t.CPUs, t.OnlyCPU = s.Machine.CPUs, -1
	if w.team.Pinned {
		t.CPUs, t.OnlyCPU = 1, i%s.Machine.CPUs
	}
	rate := w.rate / float64(w.team.Count)
	set(&rate, w.team.Rate, same[float64])
	switch {
	case i < w.team.Count/2:
		rate *= 1 + w.team.Spread
	case i >= (w.team.Count+1)/2:
		rate *= 1 - w.team.Spread
	}
	user, system := split(rate*factor*float64(worked), w.userPart)
	t.User += user
	t.System += system
	sec := (s.Uptime - w.since).Seconds()
	t.Voluntary = int64(w.team.Voluntary * sec)
	t.Involuntary = int64(w.team.Involuntary * sec)
}
