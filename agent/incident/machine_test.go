package incident

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/feature"
	"github.com/minehound/minehound/agent/host"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// ruleOf are the rules that stories use.
func ruleOf(name string) detect.Finding {
	f := map[string]detect.Finding{
		"proof":    {Class: detect.Proof, Weight: 600},
		"geometry": {Class: detect.Capability, Weight: 150},
		"wallet":   {Class: detect.Capability, Weight: 200},
		"mention":  {Class: detect.Capability, Weight: 90},
		"flat":     {Class: detect.Conduct, Weight: 120},
		"pinned":   {Class: detect.Conduct, Weight: 60},
		"temp":     {Class: detect.Concealment, Weight: 30},
		"gone":     {Class: detect.Concealment, Weight: 80, Group: "exe-gone"},
		"fetch":    {Class: detect.Concealment, Weight: 90},
		"foreign":  {Class: detect.Conduct, Weight: 0},
	}[name]
	f.Rule, f.Title = name, "about "+name
	return f
}

// machine is a made-up machine and the tracker that watches it.
type machine struct {
	t      *testing.T
	tr     *Tracker
	opts   Options
	at     time.Time
	procs  []feature.Vector
	events []feature.Occurrence
	found  []detect.Finding
	born   uint64
	letter map[string]string // short names of ids, in the order in which they were told
}

func newMachine(t *testing.T, allow ...Allow) *machine {
	t.Helper()
	opts := Options{Host: host.Identity{ID: "host-1", BootID: "boot-1"}, Self: 50, Allow: allow}
	tr, err := NewTracker(opts)
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, tr: tr, opts: opts, at: noon, letter: map[string]string{}}
	m.start(1, 0, "/sbin/init", leads)
	m.start(50, 1, "/usr/bin/minehound", leads)
	m.events = nil
	return m
}

// A trait says how a process differs from what a fork and exec by its parent gives.
type trait func(v *feature.Vector)

func leads(v *feature.Vector)  { v.Proc.Session, v.Proc.Group = v.Proc.ID.PID, v.Proc.ID.PID }
func ownJob(v *feature.Vector) { v.Proc.Group = v.Proc.ID.PID }
func jobless(v *feature.Vector) {
	v.Proc.Session, v.Proc.Group = 0, 0
}
func deleted(v *feature.Vector) { v.Proc.Detail.ExeDeleted = host.Yes }
func user(name string) trait    { return func(v *feature.Vector) { v.Subject.User = name } }
func sum(s string) trait {
	return func(v *feature.Vector) { v.Subject.ExeSHA256 = strings.Repeat(s, 64) }
}
func in(c string) trait {
	return func(v *feature.Vector) {
		v.Subject.Container = strings.Repeat(c, 64)
		v.Subject.Key += " in " + v.Subject.Container
	}
}
func runs(what string) trait {
	return func(v *feature.Vector) { v.Subject.Key += " " + what }
}

// start starts a process, which the machine also tells as an event. A parent that is not there is the first process.
func (m *machine) start(pid, parent int, exe string, traits ...trait) {
	m.t.Helper()
	m.born += 10
	d := &host.Detail{Exe: exe, ExeDeleted: host.No}
	v := feature.Vector{
		Subject: host.Subject{
			Kind: host.SubjectProcess, ID: host.ProcID{PID: pid, Born: m.born}, Name: exe[strings.LastIndex(exe, "/")+1:],
			Exe: exe, Key: exe, User: "alice", Args: []string{exe},
		},
		Proc: host.Process{ID: host.ProcID{PID: pid, Born: m.born}, Parent: parent, Group: pid, Session: pid, Detail: d},
	}
	if p := m.proc(parent); p != nil {
		v.Proc.Session, v.Proc.Group = p.Proc.Session, p.Proc.Group
		v.Subject.Ancestors = append([]host.Ancestor{{ID: p.Proc.ID, Name: p.Subject.Name, Exe: p.Subject.Exe}}, p.Subject.Ancestors...)
	}
	for _, tr := range traits {
		tr(&v)
	}
	if m.proc(pid) != nil {
		m.t.Fatalf("process %d is there already", pid)
	}
	m.procs = append(m.procs, v)
	slices.SortFunc(m.procs, func(a, b feature.Vector) int { return cmp.Compare(a.Proc.ID.PID, b.Proc.ID.PID) })
	e := host.Event{At: m.at, Kind: host.ProcessStarted, ID: v.Proc.ID, Detail: d}
	if len(v.Subject.Ancestors) > 0 {
		e.Parent = v.Subject.Ancestors[0].ID
	}
	m.events = append(m.events, feature.Occurrence{Event: e, Subject: v.Subject})
}

func (m *machine) proc(pid int) *feature.Vector {
	i := slices.IndexFunc(m.procs, func(v feature.Vector) bool { return v.Proc.ID.PID == pid })
	if i < 0 {
		return nil
	}
	return &m.procs[i]
}

// end ends processes. Their children become those of the first process, but who started them stays known.
func (m *machine) end(pids ...int) {
	for _, pid := range pids {
		m.procs = slices.DeleteFunc(m.procs, func(v feature.Vector) bool { return v.Proc.ID.PID == pid })
		for i := range m.procs {
			if m.procs[i].Proc.Parent == pid {
				m.procs[i].Proc.Parent = 1
			}
		}
	}
}

// find has rules hold for a process, also for one that was only started and is gone.
func (m *machine) find(pid int, rules ...string) {
	m.t.Helper()
	sub := host.Subject{}
	for i := range m.events {
		if m.events[i].Event.ID.PID == pid {
			sub = m.events[i].Subject
		}
	}
	if v := m.proc(pid); v != nil {
		sub = v.Subject
	}
	if sub.Kind == "" {
		m.t.Fatalf("no process %d", pid)
	}
	for _, r := range rules {
		f := ruleOf(r)
		f.Subject, f.At = sub, m.at
		m.found = append(m.found, f)
	}
}

// look is the next look at the machine, and the time that passes until the one after.
func (m *machine) look(then time.Duration) []Incident {
	m.t.Helper()
	for i := range m.procs {
		m.procs[i].At = m.at
	}
	out := m.tr.Update(&feature.Look{At: m.at, Vectors: m.procs, Occurrences: m.events}, m.found)
	m.events, m.found = nil, nil
	m.at = m.at.Add(then)
	for i := range out {
		m.check(&out[i])
	}
	return out
}

// check holds what is true of every incident told.
func (m *machine) check(in *Incident) {
	m.t.Helper()
	if s := Weigh(in.Findings); s != in.Sum {
		m.t.Errorf("sum %+v of findings that weigh %+v", in.Sum, s)
	}
	v, s := Judge(in.Sum)
	if in.Allowed != nil {
		s = Info
	}
	if max(v, Notice) != in.Verdict || s != in.Severity {
		m.t.Errorf("%v %v told of a sum that is %v %v", in.Verdict, in.Severity, v, s)
	}
	if !slices.IsSortedFunc(in.Findings, compareFindings) {
		m.t.Errorf("findings out of order: %+v", in.Findings)
	}
	if len(in.ID) != 16 || in.Revision < 1 || in.LastSeen.Before(in.FirstSeen) {
		m.t.Errorf("id %q, revision %d, seen from %v to %v", in.ID, in.Revision, in.FirstSeen, in.LastSeen)
	}
}

// wait looks for d, every 10 seconds, with the given findings about processes that live at each look.
func (m *machine) wait(d time.Duration, found ...string) []Incident {
	m.t.Helper()
	var out []Incident
	for end := m.at.Add(d); m.at.Before(end); {
		for _, f := range found {
			var pid int
			var rule string
			if _, err := fmt.Sscan(f, &pid, &rule); err != nil {
				m.t.Fatal(err)
			}
			if m.proc(pid) != nil {
				m.find(pid, rule)
			}
		}
		out = append(out, m.look(10*time.Second)...)
	}
	return out
}

// restart ends the agent and starts it again, with what it saved.
func (m *machine) restart(pause time.Duration, boot string) {
	m.t.Helper()
	m.at = m.at.Add(pause)
	m.opts.Host.BootID = boot
	tr, err := NewTracker(m.opts)
	if err != nil {
		m.t.Fatal(err)
	}
	if err := tr.Restore(throughJSON(m.t, m.tr.State())); err != nil {
		m.t.Fatal(err)
	}
	m.tr = tr
}

// told spells incidents: a letter for the id, revision, status, verdict, severity, the PID of the subject, the PIDs of
// the members, the rules.
func (m *machine) told(ins []Incident) string {
	var b strings.Builder
	for _, in := range ins {
		fmt.Fprintf(&b, "%s %d %s %s %s: %d of", m.name(in.ID), in.Revision, in.Status, in.Verdict, in.Severity, in.Subject.ID.PID)
		for _, s := range in.Members {
			fmt.Fprintf(&b, " %d", s.ID.PID)
		}
		if in.MembersMore > 0 {
			fmt.Fprintf(&b, " +%d", in.MembersMore)
		}
		b.WriteString(":")
		for _, f := range in.Findings {
			b.WriteString(" " + f.Rule)
		}
		if in.Allowed != nil {
			fmt.Fprintf(&b, " (allowed: %s)", in.Allowed.Reason)
		}
		if in.MergedInto != "" {
			fmt.Fprintf(&b, " (now %s)", m.name(in.MergedInto))
		}
		b.WriteString("\n")
	}
	return b.String()
}

func (m *machine) name(id string) string {
	if m.letter[id] == "" {
		m.letter[id] = string(rune('A' + len(m.letter)))
	}
	return m.letter[id]
}

// want holds what was told to lines, given with any indentation.
func (m *machine) want(got []Incident, lines string) {
	m.t.Helper()
	var want strings.Builder
	for l := range strings.Lines(lines) {
		if l = strings.TrimSpace(l); l != "" {
			want.WriteString(l + "\n")
		}
	}
	if got := m.told(got); got != want.String() {
		m.t.Errorf("told\n%swant\n%s", got, want.String())
	}
}
