package feature

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/minehound/minehound/agent/host"
)

// StateVersion is the version of State.
const StateVersion = 1

// Bounds on a State.
const (
	maxStateGroups    = 1024
	maxStateProcesses = 4096
	leastState        = 1.0 // CPU seconds below which it is not worth keeping
)

// State is what survives a restart of the agent: the CPU seconds of each program in the last day.
type State struct {
	Version   int            `json:"version"`
	BootID    string         `json:"boot_id"`
	At        time.Time      `json:"at"`
	Uptime    time.Duration  `json:"uptime"`
	Clock     time.Duration  `json:"clock"`
	Groups    []GroupState   `json:"groups"`    // by key
	Processes []ProcessState `json:"processes"` // by PID
}

// GroupState is one program.
type GroupState struct {
	Key   string    `json:"key"`
	Hours []float64 `json:"hours"` // CPU seconds of the 25 hours of the clock that end with the present one, oldest first
}

// ProcessState is how far the CPU time of a living process is contained in Groups.
type ProcessState struct {
	ID  host.ProcID   `json:"id"`
	CPU time.Duration `json:"cpu"`
}

// restored is a State until the first look.
type restored struct {
	state     State
	sameBoot  bool
	processes map[host.ProcID]time.Duration
}

// State is what to keep over a restart.
func (w *Window) State() State {
	clock := w.now + w.offset
	s := State{Version: StateVersion, BootID: w.boot, At: w.at, Uptime: w.now, Clock: clock}
	type sum struct {
		g   *group
		cpu float64
	}
	var sums []sum
	for _, g := range w.groups.table {
		if cpu := g.day.sum(clock); cpu >= leastState {
			sums = append(sums, sum{g, cpu})
		}
	}
	slices.SortFunc(sums, func(a, b sum) int {
		return cmp.Or(cmp.Compare(b.cpu, a.cpu), cmp.Compare(a.g.key, b.g.key))
	})
	for _, x := range sums[:min(len(sums), maxStateGroups)] {
		s.Groups = append(s.Groups, GroupState{x.g.key, x.g.day.list(clock)})
	}
	slices.SortFunc(s.Groups, func(a, b GroupState) int { return cmp.Compare(a.Key, b.Key) })
	for _, r := range w.order {
		if r.last.cpu.Seconds() >= leastState {
			s.Processes = append(s.Processes, ProcessState{r.id, r.last.cpu})
		}
	}
	if len(s.Processes) > maxStateProcesses {
		slices.SortStableFunc(s.Processes, func(a, b ProcessState) int { return cmp.Compare(b.CPU, a.CPU) })
		s.Processes = s.Processes[:maxStateProcesses]
		slices.SortFunc(s.Processes, func(a, b ProcessState) int { return cmp.Compare(a.ID.PID, b.ID.PID) })
	}
	return s
}

// list is the hours up to clock, oldest first.
func (d *day) list(clock time.Duration) []float64 {
	l := make([]float64, len(d.hours))
	now := int64(clock / time.Hour)
	for i := range l {
		if n := now - int64(len(l)-1-i); n >= 0 && n <= d.last && n > d.last-int64(len(l)) {
			l[i] = d.hours[n%25]
		}
	}
	return l
}

// Restore takes what an earlier agent kept, before the first look. A State that cannot be is refused and changes nothing.
func (w *Window) Restore(s State) error {
	if w.number > 0 {
		return fmt.Errorf("state restored after the first look")
	}
	if s.Version != StateVersion {
		return fmt.Errorf("state of version %d, this program knows %d", s.Version, StateVersion)
	}
	if s.Clock < 0 || s.Clock > math.MaxInt64/4 || s.Uptime < 0 || len(s.Groups) > maxStateGroups || len(s.Processes) > maxStateProcesses {
		return fmt.Errorf("state with a clock of %v, %d programs and %d processes", s.Clock, len(s.Groups), len(s.Processes))
	}
	for _, g := range s.Groups {
		if len(g.Hours) != len(day{}.hours) {
			return fmt.Errorf("state of %q has %d hours", g.Key, len(g.Hours))
		}
		for _, cpu := range g.Hours {
			if !(cpu >= 0 && cpu < 1e12) {
				return fmt.Errorf("state of %q has an hour with %v CPU seconds", g.Key, cpu)
			}
		}
	}
	w.restored = &restored{state: s}
	return nil
}

// resume puts the restored sums where the clock is now.
func (w *Window) resume() {
	r := w.restored
	if r == nil {
		return
	}
	s := &r.state
	r.sameBoot = s.BootID == w.boot && w.now >= s.Uptime
	clock := max(s.Clock, firstClock)
	if r.sameBoot {
		clock += w.now - s.Uptime
	} else {
		clock += max(w.at.Sub(s.At), 0)
	}
	w.offset = clock - w.now
	last := int64(s.Clock / time.Hour)
	for _, gs := range s.Groups {
		g := w.groups.join(gs.Key, w.now)
		g.day = day{last: last}
		for i, cpu := range gs.Hours {
			if n := last - int64(len(gs.Hours)-1-i); n >= 0 {
				g.day.hours[n%25] = cpu
			}
		}
		w.groups.leave(g, w.now)
	}
	if r.sameBoot {
		r.processes = make(map[host.ProcID]time.Duration, len(s.Processes))
		for _, p := range s.Processes {
			r.processes[p.ID] = p.CPU
		}
	}
}

// credit books what a process used before it was first seen, as far as that lies within the last day for sure.
func (w *Window) credit(r *record, born time.Duration, now counters) {
	if x := w.restored; x != nil && x.sameBoot {
		if counted, ok := x.processes[r.id]; ok {
			from := x.state.Uptime
			if used := now.cpu - counted; used > 0 && now.at > from {
				r.group.day.add(from+w.offset, now.at+w.offset, used.Seconds())
			}
			return
		}
	}
	if now.at > born && now.at-born <= 24*time.Hour && now.cpu > 0 {
		r.group.day.add(born+w.offset, now.at+w.offset, now.cpu.Seconds())
	}
}
