package main

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/minehound/minehound/agent"
	"github.com/minehound/minehound/agent/host"
	"github.com/minehound/minehound/agent/incident"
	"github.com/minehound/minehound/agent/report"
)

// scanSchema names the wire format of a scan's result.
const scanSchema = "minehound.scan/v1"

// result is what a scan, or a recording that was replayed, came to.
type result struct {
	Schema  string         `json:"schema"`
	Verdict string         `json:"verdict"`
	Alerts  []report.Alert `json:"alerts"`
	Gaps    []host.Gap     `json:"gaps"`
	Stats   stats          `json:"stats"`
}

// stats is what was looked at.
type stats struct {
	Processes int     `json:"processes"` // different ones
	Busy      int     `json:"busy"`      // of these, looked at closely because they used the processor
	Looks     int     `json:"looks"`
	Rules     int     `json:"rules"`
	Files     int     `json:"files"`
	Bytes     int64   `json:"bytes"`
	Seconds   float64 `json:"seconds"`
}

// outcome gathers what a Run sees.
type outcome struct {
	machine     host.Identity
	cases       map[string]incident.Incident
	gaps        map[string][]host.Gap // by sensor, as last told
	processes   map[host.ProcID]bool  // whether it was busy
	looks       int
	first, last time.Duration
	rules       int
}

func newOutcome(rules int) *outcome {
	return &outcome{
		cases: map[string]incident.Incident{}, gaps: map[string][]host.Gap{}, processes: map[host.ProcID]bool{}, rules: rules,
	}
}

// see is a Pipeline's Watch.
func (o *outcome) see(s *agent.Seen) {
	snap := s.Snapshot
	if o.looks == 0 {
		o.first = snap.Uptime
	}
	o.looks++
	o.last, o.machine = snap.Uptime, snap.Machine.Identity
	for i := range snap.Processes {
		p := &snap.Processes[i]
		o.processes[p.ID] = o.processes[p.ID] || p.Effort != nil
	}
	o.take(s.Changed)
	now := map[string][]host.Gap{}
	for _, g := range snap.Gaps {
		now[g.Sensor] = append(now[g.Sensor], g)
	}
	maps.Copy(o.gaps, now)
}

func (o *outcome) take(changed []incident.Incident) {
	for _, in := range changed {
		if in.MergedInto != "" {
			delete(o.cases, in.ID)
			continue
		}
		o.cases[in.ID] = in
	}
}

// finish is the result. open are the cases as they stand, told or not.
func (o *outcome) finish(open []incident.Incident) result {
	for _, in := range open {
		in.Revision = max(in.Revision, 1)
		o.cases[in.ID] = in
	}
	r := result{
		Schema: scanSchema, Verdict: incident.Clean.String(), Alerts: []report.Alert{}, Gaps: []host.Gap{},
		Stats: stats{
			Processes: len(o.processes), Looks: o.looks, Rules: o.rules,
			Seconds: (o.last - o.first).Round(100 * time.Millisecond).Seconds(),
		},
	}
	for _, busy := range o.processes {
		if busy {
			r.Stats.Busy++
		}
	}
	for _, sensor := range slices.Sorted(maps.Keys(o.gaps)) {
		r.Gaps = append(r.Gaps, o.gaps[sensor]...)
	}
	if g, ok := o.tooShort(); ok {
		r.Gaps = append(r.Gaps, g)
	}
	worst := incident.Clean
	list := slices.SortedFunc(maps.Values(o.cases), func(a, b incident.Incident) int {
		return cmp.Or(cmp.Compare(b.Verdict, a.Verdict), cmp.Compare(b.Sum.Total, a.Sum.Total), cmp.Compare(a.ID, b.ID))
	})
	for _, in := range list {
		if in.Allowed == nil {
			worst = max(worst, in.Verdict)
		}
		r.Alerts = append(r.Alerts, report.NewAlert(in, o.machine, r.Gaps))
	}
	r.Verdict = worst.String()
	return r
}

// watched is how long, by the clock of the machine.
func (o *outcome) watched() time.Duration { return o.last - o.first }

// tooShort is the Gap of a look that was shorter than what some rules need. Nine tenths of a window are enough for it.
func (o *outcome) tooShort() (host.Gap, bool) {
	windows := []time.Duration{10 * time.Second, time.Minute, 10 * time.Minute, time.Hour}
	for _, w := range windows {
		if o.watched() < w*9/10 {
			if o.looks < 2 {
				return host.Gap{Sensor: "time", Reason: "looked once: load is not known yet"}, true
			}
			reason := "watched " + spell(o.watched()) + ": load over " + spell(w) + " and more is not known yet"
			return host.Gap{Sensor: "time", Reason: reason}, true
		}
	}
	return host.Gap{}, false
}
