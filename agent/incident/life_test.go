package incident

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/feature"
	"github.com/minehound/minehound/agent/host"
)

// TestLife tells how long cases last. Each story is what happens on one machine.
func TestLife(t *testing.T) {
	stories := []struct {
		name string
		tell func(m *machine)
	}{
		{"evidence of a notice ages out, and does not add up over hours", func(m *machine) {
			m.start(100, 1, "/opt/x", leads)
			m.find(100, "mention", "gone")
			m.want(m.look(soon), "A 1 open notice info: 100 of 100: mention gone")
			m.wait(Hold-5*time.Minute, "100 gone")
			m.want(m.wait(20*time.Minute, "100 gone"), "")
			m.find(100, "flat")
			m.want(m.look(soon), "A 2 updated notice info: 100 of 100: flat gone")
			m.want(m.wait(Hold), "")
			m.want(m.wait(time.Minute), "A 3 closed notice info: 100 of 100: flat")
		}},
		{"a case that was told keeps its evidence while anything is seen", func(m *machine) {
			m.start(100, 1, "/opt/x", leads)
			m.find(100, "wallet", "flat")
			m.want(m.look(soon), "A 1 open suspected medium: 100 of 100: wallet flat")
			m.want(m.wait(5*time.Hour, "100 wallet"), "")
			m.find(100, "temp")
			m.want(m.look(soon), "A 2 updated suspected medium: 100 of 100: wallet flat temp")
			m.want(m.wait(Hold-time.Minute), "")
			m.want(m.wait(2*time.Minute), "A 3 closed suspected medium: 100 of 100: wallet flat temp")
		}},
		{"a miner that works at night", func(m *machine) {
			m.start(100, 1, "/opt/x", leads)
			m.find(100, "wallet", "flat")
			m.want(m.look(soon), "A 1 open suspected medium: 100 of 100: wallet flat")
			m.want(m.wait(Hold+time.Minute), "A 2 closed suspected medium: 100 of 100: wallet flat")
			m.wait(20 * time.Hour)
			m.find(100, "temp")
			got := m.look(soon)
			m.want(got, "A 3 open notice info: 100 of 100: temp")
			if !got[0].FirstSeen.Equal(noon) {
				m.t.Errorf("first seen %v", got[0].FirstSeen)
			}
			m.find(100, "wallet")
			m.want(m.look(soon), "A 4 updated exposed low: 100 of 100: wallet temp")
		}},
		{"a miner that comes back after a holiday", func(m *machine) {
			m.start(100, 1, "/opt/x", leads)
			m.find(100, "wallet", "flat")
			m.look(soon)
			m.end(100)
			m.want(m.wait(Grace+time.Minute), "A 2 closed suspected medium: 100 of 100: wallet flat")
			m.at = m.at.Add(Reopen)
			m.start(200, 1, "/opt/x", leads)
			m.find(200, "wallet")
			back := m.at
			got := m.look(soon)
			m.want(got, "A 3 open exposed low: 200 of 200: wallet")
			if !got[0].FirstSeen.Equal(back) || got[0].CPUSeconds != 0 {
				m.t.Errorf("it did not begin anew: %+v", got[0])
			}
		}},
		{"a machine that sleeps closes nothing", func(m *machine) {
			m.start(100, 1, "/opt/x", leads)
			m.find(100, "wallet", "flat")
			m.look(9 * time.Hour)
			m.want(m.wait(Hold-2*time.Minute), "")
			m.find(100, "wallet")
			m.want(m.look(soon), "")
		}},
		{"a clock that is set back, and forth again", func(m *machine) {
			m.start(100, 1, "/opt/x", leads)
			m.find(100, "wallet", "flat")
			m.look(soon)
			m.at = m.at.AddDate(-3, 0, 0)
			m.find(100, "temp")
			m.want(m.look(soon), "A 2 updated suspected medium: 100 of 100: wallet flat temp")
			m.start(101, 1, "/opt/x", leads)
			m.find(101, "temp")
			m.want(m.look(soon), "")
			m.want(m.wait(Hold+time.Minute), `
				A 3 updated suspected medium: 100 of 100 101: wallet flat temp
				A 4 closed suspected medium: 100 of 100 101: wallet flat temp`)
			m.at = m.at.AddDate(3, 0, 0)
			m.find(100, "temp")
			m.want(m.look(soon), "A 5 open notice info: 100 of 100: temp")
		}},
		{"a watchdog alone keeps a case open for a while", func(m *machine) {
			m.start(100, 1, "/usr/bin/dash", leads, runs("w.sh"))
			m.start(101, 100, "/tmp/x")
			m.find(101, "wallet", "flat")
			m.want(m.look(soon), "A 1 open suspected medium: 101 of 100 101: wallet flat")
			m.end(101)
			m.want(m.wait(Grace+time.Minute), "")
			m.want(m.wait(Hold-Grace), "A 2 closed suspected medium: 101 of 100 101: wallet flat")
		}},
		{"restart in the middle", func(m *machine) {
			m.start(100, 1, "/opt/x", leads)
			m.find(100, "wallet", "flat")
			m.want(m.look(soon), "A 1 open suspected medium: 100 of 100: wallet flat")
			m.restart(6*time.Hour, "boot-1")
			m.find(100, "wallet", "flat")
			m.want(m.look(soon), "")
			m.find(100, "proof")
			m.want(m.look(soon), "A 2 updated mining critical: 100 of 100: proof wallet flat")
			m.end(100)
			m.restart(time.Minute, "boot-1")
			m.want(m.wait(Grace-time.Minute), "")
			m.start(101, 1, "/opt/x", leads)
			m.find(101, "wallet")
			m.want(m.look(soon), "")
			m.end(101)
			m.want(m.wait(Grace+time.Minute), "A 3 closed mining critical: 100 of 100 101: proof wallet flat")
			m.restart(time.Minute, "boot-1")
			m.start(102, 1, "/opt/x", leads)
			m.find(102, "wallet")
			m.want(m.look(soon), "A 4 open exposed low: 102 of 102: wallet")
		}},
		{"a reboot", func(m *machine) {
			m.start(100, 1, "/opt/x", leads)
			m.find(100, "wallet", "flat")
			m.look(soon)
			m.restart(time.Minute, "boot-2") // the process table is new: the same numbers are somebody else
			m.want(m.wait(Grace+time.Minute), "A 2 closed suspected medium: 100 of 100: wallet flat")
		}},
		{"the same id without a state", func(m *machine) {
			m.start(100, 1, "/opt/x", leads)
			m.find(100, "wallet")
			before := m.look(soon)
			again := newMachine(m.t)
			again.start(2, 1, "/opt/other", leads)
			again.start(777, 1, "/opt/x", leads)
			again.find(2, "flat")
			again.find(777, "wallet", "temp")
			after := again.look(soon)
			if before[0].ID != after[0].ID {
				m.t.Errorf("%s and %s", before[0].ID, after[0].ID)
			}
			elsewhere := newMachine(m.t)
			elsewhere.tr.host.ID = "host-2"
			elsewhere.start(100, 1, "/opt/x", leads)
			elsewhere.find(100, "wallet")
			if got := elsewhere.look(soon); got[0].ID == before[0].ID {
				m.t.Errorf("%s on two machines", got[0].ID)
			}
		}},
		{"a case that was taken in leads to the one that took it", func(m *machine) {
			m.start(100, 1, "/opt/launch", leads)
			m.find(100, "pinned")
			m.want(m.look(soon), "A 1 open notice info: 100 of 100: pinned")
			m.start(101, 100, "/opt/x")
			m.find(101, "flat")
			m.want(m.look(soon), "B 1 open notice info: 101 of 101: flat")
			m.find(100, "wallet")
			m.want(m.look(soon), `
				A 2 updated suspected medium: 100 of 100 101: wallet flat pinned
				B 2 closed notice info: 101 of 101: flat (now A)`)
			m.end(100, 101)
			m.want(m.wait(Grace+time.Minute), "A 3 closed suspected medium: 100 of 100 101: wallet flat pinned")
			m.start(102, 1, "/opt/x", leads)
			m.find(102, "flat")
			m.want(m.look(soon), "A 4 open notice info: 102 of 102: flat")
		}},
		{"the one that paged takes in the older one that did not", func(m *machine) {
			m.start(100, 1, "/opt/launch", leads)
			m.start(101, 100, "/opt/x", leads)
			m.find(100, "flat")
			m.want(m.look(soon), "A 1 open notice info: 100 of 100: flat")
			m.find(101, "wallet", "flat")
			m.want(m.look(soon), "B 1 open suspected medium: 101 of 101: wallet flat")
			m.find(100, "mention")
			m.want(m.look(soon), `
				B 2 updated suspected medium: 101 of 100 101: wallet flat mention
				A 2 closed notice info: 100 of 100: flat (now B)`)
		}},
		{"processor time", func(m *machine) {
			m.start(100, 1, "/usr/bin/dash", leads, runs("w.sh"))
			m.start(101, 100, "/tmp/x")
			m.start(102, 100, "/tmp/x")
			m.proc(100).Proc.User = time.Hour // not the miner's
			m.proc(101).Proc.User = 40 * time.Second
			m.proc(102).Proc.System = 2 * time.Second
			m.find(101, "wallet")
			m.find(102, "wallet")
			if got := m.look(soon); got[0].CPUSeconds != 42 {
				m.t.Errorf("%v seconds, want 42", got[0].CPUSeconds)
			}
			m.proc(101).Proc.User = 100 * time.Second
			m.want(m.look(soon), "")
			m.end(101)
			m.start(103, 100, "/tmp/x")
			m.proc(103).Proc.User = 10 * time.Second
			m.find(103, "temp")
			if got := m.look(soon); got[0].CPUSeconds != 112 {
				m.t.Errorf("%v seconds, want 112", got[0].CPUSeconds)
			}
			m.end(102, 103)
			m.wait(2 * Hold)
			m.restart(0, "boot-1")
			m.start(104, 1, "/tmp/x")
			m.proc(104).Proc.User = time.Second
			m.find(104, "temp")
			if got := m.look(soon); got[0].CPUSeconds != 113 {
				m.t.Errorf("%v seconds after a re-opening, want 113", got[0].CPUSeconds)
			}
		}},
	}
	for _, tt := range stories {
		t.Run(tt.name, func(t *testing.T) { tt.tell(newMachine(t)) })
	}
}

// TestNoticesAreLimited: so many at once and then one now and then, and nothing that matters waits.
func TestNoticesAreLimited(t *testing.T) {
	m := newMachine(t)
	const n = 3 * NoticeBurst
	for i := range n {
		m.start(100+i, 1, fmt.Sprintf("/opt/x%03d", i), leads)
		m.find(100+i, "temp")
	}
	if got := m.look(soon); len(got) != NoticeBurst {
		t.Fatalf("%d notices at once", len(got))
	}
	if s := m.tr.Stats(); s.Open != n || s.Withheld != n-NoticeBurst {
		t.Errorf("%+v", s)
	}
	silent := slices.IndexFunc(m.tr.Cases(), func(in Incident) bool { return in.Revision == 0 })
	m.find(m.tr.Cases()[silent].Subject.ID.PID, "wallet", "flat")
	if got := m.look(soon); len(got) != 1 || got[0].Verdict != Suspected || got[0].Status != Open {
		t.Errorf("told\n%s", m.told(got))
	}
	var still []string
	for i := range n {
		still = append(still, fmt.Sprint(100+i, " temp"))
	}
	if got := m.wait(10*NoticeEvery+10*time.Second, still...); len(got) != 10 {
		t.Errorf("%d notices in the time of ten", len(got))
	}
	if cases := m.tr.Cases(); len(cases) != n || cases[0].Verdict != Suspected || cases[n-1].Revision != 0 {
		t.Errorf("%d cases", len(cases))
	}
	// What was never told is not told of when it ends either.
	for i := range n {
		m.end(100 + i)
	}
	closed := 0
	for _, in := range m.wait(Hold + time.Minute) {
		if in.Status == Closed {
			closed++
		}
	}
	if most := NoticeBurst + 11 + int(Hold/NoticeEvery) + 1; closed < NoticeBurst || closed > most {
		t.Errorf("%d closed", closed)
	}
}

// TestBounds: however many cases come and go, memory stays bounded, and none that paged is given up.
func TestBounds(t *testing.T) {
	m := newMachine(t)
	m.start(2, 1, "/opt/miner", leads)
	m.find(2, "wallet", "flat")
	m.want(m.look(soon), "A 1 open suspected medium: 2 of 2: wallet flat")
	pid := 100
	for range 40 {
		for range 200 {
			pid++
			m.start(pid, 1, fmt.Sprint("/opt/x", pid), leads)
			m.find(pid, "temp")
			m.end(pid)
		}
		m.find(2, "wallet")
		m.look(time.Minute)
	}
	s := m.tr.Stats()
	if s.Open != MaxOpen || s.Evicted != 40*200-MaxOpen+1 || s.Closed > MaxClosed {
		t.Errorf("%+v", s)
	}
	if c := m.tr.Cases(); c[0].Subject.Exe != "/opt/miner" || c[0].Verdict != Suspected {
		t.Errorf("the miner was given up for notices: %+v", c[0])
	}
	if n := len(m.tr.kin.order); n > maxKin {
		t.Errorf("%d kin", n)
	}

	// More miners than there is room for: they are told of in one more case.
	for range MaxOpen + 50 {
		pid++
		m.start(pid, 1, fmt.Sprint("/opt/y", pid), leads)
		m.find(pid, "wallet", "flat")
	}
	got := m.look(soon)
	last := m.tr.Stats()
	if last.Open != MaxOpen+1 || last.Lumped == 0 {
		t.Errorf("%+v", last)
	}
	paged := map[int]bool{}
	more := 0
	for _, in := range got {
		if in.Verdict < Suspected {
			continue
		}
		for _, s := range in.Members {
			paged[s.ID.PID] = true
		}
		more += in.MembersMore
	}
	if len(paged)+more != MaxOpen+50 {
		t.Errorf("%d of %d miners told of", len(paged)+more, MaxOpen+50)
	}
	if err := newMachine(t).tr.Restore(throughJSON(t, m.tr.State())); err != nil {
		t.Errorf("the largest state cannot be restored: %v", err)
	}
}

func TestMembersAreBounded(t *testing.T) {
	m := newMachine(t)
	m.start(100, 1, "/opt/x", leads)
	m.find(100, "wallet", "flat", "proof")
	for pid := 101; pid < 101+2*MaxMembers; pid++ {
		m.start(pid, 100, "/opt/x")
		m.proc(pid).Proc.User = time.Second
		m.find(pid, "wallet")
	}
	got := m.look(soon)
	if len(got) != 1 || len(got[0].Members) != MaxMembers || got[0].MembersMore != MaxMembers+1 || got[0].Subject.ID.PID != 100 || got[0].CPUSeconds != MaxMembers-1 {
		t.Fatalf("told\n%s%v", m.told(got), got[0].CPUSeconds)
	}
	rich := 0
	for _, s := range got[0].Members {
		if len(s.Args) > 0 {
			rich++
		}
	}
	if rich > maxRich || len(got[0].Subject.Args) == 0 {
		t.Errorf("%d members with arguments", rich)
	}
	// Those for which there was no room come again with every look, and are no more than they were.
	for range 10 {
		for pid := 101; pid < 101+2*MaxMembers; pid++ {
			m.find(pid, "wallet", "flat")
		}
		m.look(soon)
	}
	if in := m.tr.Cases()[0]; in.MembersMore != MaxMembers+1 || in.CPUSeconds > 2*MaxMembers {
		t.Errorf("%d more, %v seconds", in.MembersMore, in.CPUSeconds)
	}
	// One that has more evidence than the least of them is not refused.
	m.start(1000, 100, "/opt/x")
	m.find(1000, "wallet", "flat", "proof", "temp")
	if got = m.look(soon); len(got) != 1 || got[0].Subject.ID.PID != 1000 {
		t.Errorf("told\n%s", m.told(got))
	}
}

func TestFindingsAreBounded(t *testing.T) {
	m := newMachine(t)
	m.start(100, 1, "/opt/x", leads)
	for i := range 2 * MaxFindings {
		m.find(100, "foreign")
		m.found[len(m.found)-1].Rule = fmt.Sprint("foreign-", i)
	}
	m.find(100, "wallet", "flat")
	got := m.look(soon)
	if len(got) != 1 || len(got[0].Findings) != MaxFindings || got[0].Verdict != Suspected {
		t.Fatalf("told\n%s", m.told(got))
	}
}

func TestRestoreRefuses(t *testing.T) {
	m := newMachine(t)
	m.start(100, 1, "/opt/x", leads)
	m.find(100, "wallet", "flat")
	m.look(soon)
	good := m.tr.State()
	damage := map[string]func(s *State){
		"another machine":       func(s *State) { s.Host = "host-2" },
		"too many cases":        func(s *State) { s.Open = make([]SavedCase, MaxOpen+2) },
		"too many closed":       func(s *State) { s.Closed = make([]SavedClosed, MaxClosed+1) },
		"a closed case of none": func(s *State) { s.Closed = []SavedClosed{{}} },
		"negative time":         func(s *State) { s.Watched = -1 },
		"no id":                 func(s *State) { s.Open[0].ID = "" },
		"no key":                func(s *State) { s.Open[0].Keys = nil },
		"a revision below 0":    func(s *State) { s.Open[0].Revision = -1 },
		"no such verdict":       func(s *State) { s.Open[0].Verdict = 77 },
		"too many members":      func(s *State) { s.Open[0].Members = make([]SavedMember, MaxMembers+1) },
		"a rule twice":          func(s *State) { s.Open[0].Evidence = append(s.Open[0].Evidence, s.Open[0].Evidence...) },
		"a case twice":          func(s *State) { s.Open = append(s.Open, s.Open...) },
	}
	for name, harm := range damage {
		t.Run(name, func(t *testing.T) {
			tr, err := NewTracker(m.opts)
			if err != nil {
				t.Fatal(err)
			}
			s := throughJSON(t, good)
			harm(&s)
			if err := tr.Restore(s); !errors.Is(err, ErrState) {
				t.Errorf("%v", err)
			}
			if len(tr.Cases()) != 0 || tr.Stats().Closed != 0 {
				t.Error("it was taken over in part")
			}
		})
	}
}

// TestQuiet: with nothing found and no case open, a look costs nothing.
func TestQuiet(t *testing.T) {
	tr, look := quiet(t, 2000)
	if n := testing.AllocsPerRun(10, func() { tr.Update(look, nil) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

func quiet(tb testing.TB, n int) (*Tracker, *feature.Look) {
	tb.Helper()
	tr, err := NewTracker(Options{Host: host.Identity{ID: "h"}})
	if err != nil {
		tb.Fatal(err)
	}
	look := &feature.Look{At: noon, Vectors: make([]feature.Vector, n)}
	for i := range look.Vectors {
		look.Vectors[i].Proc.ID = host.ProcID{PID: i + 1, Born: uint64(i)}
		look.Vectors[i].Subject = host.Subject{Kind: host.SubjectProcess, ID: look.Vectors[i].Proc.ID, Exe: "/opt/x", Key: fmt.Sprint("/opt/x", i)}
	}
	return tr, look
}

func BenchmarkUpdateQuiet2000(b *testing.B) {
	tr, look := quiet(b, 2000)
	b.ReportAllocs()
	for b.Loop() {
		tr.Update(look, nil)
	}
}

// BenchmarkUpdateMiner2000 is the steady state with one miner of 64 workers, 5 rules each, among 2,000 processes.
func BenchmarkUpdateMiner2000(b *testing.B) {
	tr, look := quiet(b, 2000)
	found := ordinaryFindings(look)
	b.ReportAllocs()
	for b.Loop() {
		look.At = look.At.Add(2 * time.Second)
		for i := range found {
			found[i].At = look.At
		}
		tr.Update(look, found)
	}
}

func ordinaryFindings(look *feature.Look) []detect.Finding {
	var out []detect.Finding
	for i := 1000; i < 1064; i++ {
		look.Vectors[i].Subject.Key = "/opt/miner"
		for _, r := range []string{"wallet", "geometry", "flat", "pinned", "temp"} {
			f := ruleOf(r)
			f.Subject = look.Vectors[i].Subject
			out = append(out, f)
		}
	}
	return out
}
