package incident

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/feature"
	"github.com/minehound/minehound/agent/host"
)

// recorded is one look of a random machine.
type recorded struct {
	look  *feature.Look
	found []detect.Finding
}

// drawMachine makes up a machine: a few programs start each other, fork, die, and have rules hold for them.
func drawMachine(t *testing.T, rt *rapid.T) []recorded {
	m := newMachine(t)
	var out []recorded
	rules := []string{"proof", "geometry", "wallet", "mention", "flat", "pinned", "temp", "gone", "fetch", "foreign"}
	traits := []trait{leads, ownJob, jobless, func(*feature.Vector) {}, func(*feature.Vector) {}, deleted, in("a"), sum("7"), user("bob")}
	exes := []string{"/opt/a", "/opt/b", "/opt/c", "/usr/bin/bash"}
	pick := func(label string) int {
		pids := make([]int, len(m.procs))
		for i := range m.procs {
			pids[i] = m.procs[i].Proc.ID.PID
		}
		return rapid.SampledFrom(pids).Draw(rt, label)
	}
	next := 100
	for range rapid.IntRange(1, 25).Draw(rt, "looks") {
		for range rapid.IntRange(0, 3).Draw(rt, "starts") {
			next++
			parent := pick("parent")
			m.start(next, parent, rapid.SampledFrom(exes).Draw(rt, "exe"), rapid.SampledFrom(traits).Draw(rt, "trait"))
		}
		for range rapid.IntRange(0, 4).Draw(rt, "finds") {
			m.find(pick("who"), rapid.SampledFrom(rules).Draw(rt, "rule"))
		}
		if len(m.procs) > 2 && rapid.Bool().Draw(rt, "ends") {
			if pid := pick("end"); pid > 50 {
				m.end(pid)
			}
		}
		for i := range m.procs {
			m.procs[i].Proc.User += time.Duration(i) * time.Second
		}
		out = append(out, recorded{
			&feature.Look{At: m.at, Vectors: slices.Clone(m.procs), Occurrences: slices.Clone(m.events)}, dedupe(m.found),
		})
		m.events, m.found = nil, nil
		m.at = m.at.Add(rapid.SampledFrom([]time.Duration{2 * time.Second, time.Minute, time.Minute, time.Hour, -time.Hour}).Draw(rt, "pause"))
		for range rapid.SampledFrom([]int{0, 0, 0, 6, 61}).Draw(rt, "quiet") {
			out = append(out, recorded{&feature.Look{At: m.at, Vectors: slices.Clone(m.procs)}, nil})
			m.at = m.at.Add(time.Minute)
		}
	}
	return out
}

// dedupe keeps one finding per rule and process, as a Detector gives.
func dedupe(list []detect.Finding) []detect.Finding {
	var out []detect.Finding
	for _, f := range list {
		if !slices.ContainsFunc(out, func(o detect.Finding) bool { return o.Rule == f.Rule && o.Subject.ID == f.Subject.ID }) {
			out = append(out, f)
		}
	}
	return out
}

// TestRandomMachines: whatever happens, what is told of a case makes a story, a replay tells the same, and so do
// another order of findings and an agent that is restarted after any look.
func TestRandomMachines(t *testing.T) {
	opts := Options{Host: host.Identity{ID: "host-1", BootID: "boot-1"}, Self: 50, Allow: []Allow{
		{User: "bob", Reason: "b", Expires: noon.Add(40 * time.Minute)}, {Exe: "/opt/c", Rule: "flat", Reason: "c"},
	}}
	rapid.Check(t, func(rt *rapid.T) {
		looks := drawMachine(t, rt)
		told := replay(rt, opts, looks, func(tr *Tracker, _ []detect.Finding) *Tracker { return tr })
		again := replay(rt, opts, looks, func(tr *Tracker, found []detect.Finding) *Tracker {
			slices.Reverse(found)
			return tr
		})
		restarted := replay(rt, opts, looks, func(tr *Tracker, _ []detect.Finding) *Tracker {
			if !rapid.Bool().Draw(rt, "restart") {
				return tr
			}
			fresh, err := NewTracker(opts)
			if err != nil {
				rt.Fatal(err)
			}
			if err := fresh.Restore(throughJSON(t, tr.State())); err != nil {
				rt.Fatal(err)
			}
			return fresh
		})
		for i := range told {
			if told[i] != again[i] {
				rt.Fatalf("look %d: in another order\n%s", i, cmp.Diff(decoded(rt, told[i]), decoded(rt, again[i])))
			}
			if told[i] != restarted[i] {
				rt.Fatalf("look %d: restarted\n%s", i, cmp.Diff(decoded(rt, told[i]), decoded(rt, restarted[i])))
			}
		}
	})
}

func decoded(rt *rapid.T, told string) (e everything) {
	if err := json.Unmarshal([]byte(told), &e); err != nil {
		rt.Fatal(err)
	}
	return e
}

// replay tells each look's incidents as JSON. Before each look, change may reorder findings or replace the tracker.
func replay(rt *rapid.T, opts Options, looks []recorded, change func(*Tracker, []detect.Finding) *Tracker) []string {
	tr, err := NewTracker(opts)
	if err != nil {
		rt.Fatal(err)
	}
	book := ledger{}
	var out []string
	for _, r := range looks {
		found := slices.Clone(r.found)
		tr = change(tr, found)
		told := tr.Update(r.look, found)
		book.enter(rt, told)
		book.balance(rt, tr)
		b, err := json.Marshal(everything{told, tr.State()})
		if err != nil {
			rt.Fatal(err)
		}
		out = append(out, string(b))
	}
	return out
}

// everything is what a Tracker tells and what it will go by.
type everything struct {
	Told  []Incident
	State State
}

// ledger is what a reader of the alerts knows: the last that was told of each case.
type ledger map[string]Incident

func (l ledger) enter(rt *rapid.T, told []Incident) {
	if !slices.IsSortedFunc(told, compareIncidents) {
		rt.Fatal("out of order")
	}
	for _, in := range told {
		was, known := l[in.ID]
		if in.Revision != was.Revision+1 {
			rt.Fatalf("%s: revision %d after %d", in.ID, in.Revision, was.Revision)
		}
		if open := known && was.Status != Closed; (in.Status == Open) == open {
			rt.Fatalf("%s: %s after %q", in.ID, in.Status, was.Status)
		}
		if in.Status != Open && in.Verdict < was.Verdict {
			rt.Fatalf("%s: %s fell to %s", in.ID, was.Verdict, in.Verdict)
		}
		if in.Status == Updated && in.Allowed == nil && was.Allowed == nil && in.Severity < was.Severity {
			rt.Fatalf("%s: %s fell to %s", in.ID, was.Severity, in.Severity)
		}
		if in.Sum != Weigh(in.Findings) {
			rt.Fatalf("%s: sum %+v, findings weigh %+v", in.ID, in.Sum, Weigh(in.Findings))
		}
		if v, _ := Judge(in.Sum); max(v, Notice) != in.Verdict {
			rt.Fatalf("%s: told as %s, the sum says %s", in.ID, in.Verdict, v)
		}
		if in.MergedInto == in.ID || in.MergedInto != "" && in.Status != Closed {
			rt.Fatalf("%s: %s, merged into %s", in.ID, in.Status, in.MergedInto)
		}
		if len(in.Members) == 0 || len(in.Findings) == 0 || in.LastSeen.Before(in.FirstSeen) {
			rt.Fatalf("%s: %+v", in.ID, in)
		}
		l[in.ID] = in
	}
}

// balance compares the ledger with the tracker: what is above a notice was told, and no process is in two cases.
func (l ledger) balance(rt *rapid.T, tr *Tracker) {
	where := map[host.ProcID]string{}
	for _, in := range tr.Cases() {
		was := l[in.ID]
		if in.Severity > Info && (was.Status == Closed || was.Verdict != in.Verdict || was.Severity != in.Severity) {
			rt.Fatalf("%s is %s %s and was told as %s %s %s", in.ID, in.Verdict, in.Severity, was.Status, was.Verdict, was.Severity)
		}
		if in.Revision != was.Revision {
			rt.Fatalf("%s has revision %d and was told as %d", in.ID, in.Revision, was.Revision)
		}
		for _, m := range in.Members {
			if where[m.ID] != "" {
				rt.Fatalf("%v is in %s and in %s", m.ID, where[m.ID], in.ID)
			}
			where[m.ID] = in.ID
		}
	}
	for id, in := range l {
		if in.Status != Closed && !slices.ContainsFunc(tr.Cases(), func(c Incident) bool { return c.ID == id }) {
			rt.Fatalf("%s was never told to be closed", id)
		}
	}
	if s := tr.Stats(); s.Open != len(tr.Cases()) || s.Evicted != 0 || s.Lumped != 0 {
		rt.Fatalf("%+v", s)
	}
}

// TestReplay: the same looks give the same bytes.
func TestReplay(t *testing.T) {
	run := func() string {
		m := newMachine(t)
		var told []Incident
		for i := range 50 {
			m.start(100+i, 1+49*(i%2), fmt.Sprintf("/opt/%d", i%7), leads)
			m.find(100+i, []string{"wallet", "flat", "temp", "proof"}[i%4])
			told = append(told, m.look(time.Minute)...)
		}
		b, err := json.Marshal(told)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	first := run()
	for range 5 {
		if again := run(); again != first {
			t.Fatal("a replay tells something else")
		}
	}
}
