package incident

import (
	"fmt"
	"testing"
	"time"

	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/feature"
)

// flood is n programs with the same rules about each.
func flood(tb testing.TB, n int, rules ...string) (*Tracker, *feature.Look, []detect.Finding) {
	tb.Helper()
	tr, look := quiet(tb, n)
	for i := range look.Vectors {
		look.Vectors[i].Subject.ID = look.Vectors[i].Proc.ID
	}
	return tr, look, about(look, rules...)
}

func about(look *feature.Look, rules ...string) []detect.Finding {
	var found []detect.Finding
	for i := range look.Vectors {
		for _, r := range rules {
			f := ruleOf(r)
			f.Subject = look.Vectors[i].Subject
			found = append(found, f)
		}
	}
	return found
}

// TestFloodOfOneJob: the workers for which a case has no room any more do not open cases of their own, however many
// there are and whatever else is known of them.
func TestFloodOfOneJob(t *testing.T) {
	tr, look, _ := flood(t, 5*MaxMembers)
	for i := range look.Vectors {
		look.Vectors[i].Proc.Group, look.Vectors[i].Proc.Session = 7, 7
	}
	found := about(look, "wallet", "flat", "temp")
	for range 20 {
		look.At = look.At.Add(2 * time.Second)
		out := tr.Update(look, found)
		if s := tr.Stats(); s.Open != 1 || s.Evicted != 0 || len(out) > 1 {
			t.Fatalf("%+v, %d told", s, len(out))
		}
	}
	if c := tr.Cases()[0]; len(c.Members) != MaxMembers || c.MembersMore != 4*MaxMembers || c.Verdict != Suspected {
		t.Errorf("%d members and %d more, %s", len(c.Members), c.MembersMore, c.Verdict)
	}
}

// TestMinerInAFlood: a miner that comes after thousands of decoys is told of at the look that sees it, is kept, and
// nobody else is put into its case.
func TestMinerInAFlood(t *testing.T) {
	for _, decoy := range [][]string{{"gone"}, {"gone", "temp", "flat"}} {
		tr, look, found := flood(t, 1500, decoy...)
		look.At = look.At.Add(2 * time.Second)
		tr.Update(look, found)
		last := &look.Vectors[1499]
		for _, r := range []string{"geometry", "flat"} {
			f := ruleOf(r)
			f.Weight += 40
			f.Subject = last.Subject
			found = append(found, f)
		}
		told := 0
		for range 5 {
			look.At = look.At.Add(2 * time.Second)
			for _, in := range tr.Update(look, found) {
				if in.Verdict > Notice {
					told++
					if in.Subject.ID != last.Proc.ID || len(in.Members) != 1 || in.Verdict != Mining {
						t.Errorf("%v: %s about %d with %d members", decoy, in.Verdict, in.Subject.ID.PID, len(in.Members))
					}
				}
			}
		}
		if told != 1 || tr.Stats().Open != MaxOpen {
			t.Errorf("%v: told %d times, %+v", decoy, told, tr.Stats())
		}
	}
}

// TestWhatIsOverStaysOver: a case that was given up is not filled again through a process group that one of its members
// had left before.
func TestWhatIsOverStaysOver(t *testing.T) {
	m := newMachine(t)
	m.start(100, 1, "/opt/a", ownJob)
	m.find(100, "mention")
	m.look(soon)
	m.proc(100).Proc.Group = 101
	m.look(soon)
	m.end(100)
	m.wait(Hold + time.Minute)
	if s := m.tr.Stats(); s.Open != 0 {
		t.Fatalf("%+v", s)
	}
	m.start(102, 1, "/opt/b", func(v *feature.Vector) { v.Proc.Group = 100 })
	m.find(102, "mention", "wallet", "flat")
	if got := m.look(soon); len(got) != 1 || got[0].Status != Open || got[0].Subject.Exe != "/opt/b" || got[0].Verdict != Suspected {
		t.Errorf("told %s", m.told(got))
	}
}

// BenchmarkFlood is what an attacker costs us who runs 10,000 suspicious programs: strangers to each other, or one job.
func BenchmarkFlood(b *testing.B) {
	for _, rules := range [][]string{{"gone"}, {"wallet"}, {"wallet", "flat"}} {
		for _, group := range []int{0, 7} {
			b.Run(fmt.Sprint(rules, group), func(b *testing.B) {
				tr, look, _ := flood(b, 10_000)
				for i := range look.Vectors {
					look.Vectors[i].Proc.Group, look.Vectors[i].Proc.Session = group, group
				}
				found := about(look, rules...)
				b.ReportAllocs()
				for b.Loop() {
					look.At = look.At.Add(2 * time.Second)
					tr.Update(look, found)
				}
			})
		}
	}
}
