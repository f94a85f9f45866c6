package incident

import (
	"fmt"
	"testing"
	"time"

	"github.com/minehound/minehound/agent/host"
)

// TestArchive: closed cases are bounded, those that paged stay longest, and a program leads to the case that has it.
func TestArchive(t *testing.T) {
	a := newArchive()
	file := func(id string, paged bool, into string, keys ...string) {
		a.file(&dossier{id: id, keys: keys, revision: 1, everPaged: paged}, noon, into)
	}
	file("paged", true, "", "k-paged")
	for i := range 2 * MaxClosed {
		file(fmt.Sprint("n", i), false, "", fmt.Sprint("k", i))
	}
	if len(a.records) != MaxClosed || len(a.ids) != MaxClosed || len(a.keys) != MaxClosed {
		t.Errorf("%d records, %d ids, %d keys", len(a.records), len(a.ids), len(a.keys))
	}
	for key, want := range map[string]string{
		"k-paged": "paged", "k0": "", fmt.Sprint("k", MaxClosed): "", fmt.Sprint("k", 2*MaxClosed-1): fmt.Sprint("n", 2*MaxClosed-1),
	} {
		if id, _ := a.find(key); id != want {
			t.Errorf("%s leads to %q, want %q", key, id, want)
		}
	}
	for i := range MaxClosed {
		file(fmt.Sprint("p", i), true, "", "kp")
	}
	if id, _ := a.find("k-paged"); id != "" || len(a.records) != MaxClosed {
		t.Errorf("%q is kept for ever", id)
	}

	a = newArchive()
	file("a", false, "b", "ka")
	file("b", false, "c", "kb", "shared")
	file("c", false, "", "kc", "shared")
	file("lost", false, "gone", "kl")
	for key, want := range map[string][2]string{"ka": {"c", "c"}, "kb": {"c", "c"}, "kc": {"c", ""}, "shared": {"c", ""}, "kl": {"lost", "gone"}, "?": {}} {
		if id, into := a.find(key); id != want[0] || into != want[1] {
			t.Errorf("%s leads to %q and %q, want %q", key, id, into, want)
		}
	}
	a.remove("c")
	if id, into := a.find("shared"); id != "b" || into != "c" {
		t.Errorf("shared leads to %q and %q", id, into)
	}
	circle := newArchive()
	a = circle
	file("x", false, "y", "kx")
	file("y", false, "x", "ky")
	if id, _ := a.find("kx"); id == "" {
		t.Error("a circle leads nowhere")
	}

	many := &dossier{id: "m", revision: 1}
	for i := range maxKeys + 5 {
		many.key(fmt.Sprint(i))
	}
	if len(many.keys) != maxKeys || many.keys[0] != "0" || many.keys[maxKeys-1] != fmt.Sprint(maxKeys+4) {
		t.Errorf("keys %v", many.keys)
	}
	a.file(many, noon, "")
	if r := a.ids["m"]; len(r.Keys) != maxRecordKeys || r.Keys[0] != "0" || r.Keys[maxRecordKeys-1] != fmt.Sprint(maxKeys+4) {
		t.Errorf("keys %v", r.Keys)
	}
	a.file(&dossier{id: "never told", keys: []string{"kn"}}, noon, "")
	if id, _ := a.find("kn"); id != "" {
		t.Error("a case that was never told is remembered")
	}
}

func TestKinAreBounded(t *testing.T) {
	k := kin{roots: map[host.ProcID]host.ProcID{}}
	root := host.ProcID{PID: 1, Born: 1}
	for i := range 3 * maxKin {
		k.add(host.ProcID{PID: i, Born: 2}, root)
		k.add(host.ProcID{PID: i, Born: 2}, root)
	}
	newest := host.ProcID{PID: 3*maxKin - 1, Born: 2}
	if len(k.roots) != len(k.order) || len(k.roots) > maxKin || k.roots[newest] != root {
		t.Errorf("%d roots, %d in order", len(k.roots), len(k.order))
	}
}

// TestStrongestFindingsAreKept: when a case has too many rules, the light ones go.
func TestStrongestFindingsAreKept(t *testing.T) {
	m := newMachine(t)
	m.start(100, 1, "/opt/x", leads)
	m.start(101, 100, "/opt/x")
	for i := range MaxFindings {
		m.find(100, "foreign")
		m.found[len(m.found)-1].Rule = fmt.Sprintf("%c-foreign-%d", 'a'+i%26, i)
	}
	m.look(soon)
	m.find(101, "flat", "foreign", "wallet")
	got := m.look(soon)
	if len(got) != 1 || len(got[0].Findings) != MaxFindings || got[0].Verdict != Suspected || got[0].Findings[0].Rule != "wallet" {
		t.Fatalf("told\n%s", m.told(got))
	}
	// One of a rule that is in already, and stronger now.
	m.find(101, "flat")
	m.found[0].Weight = 190
	got = m.look(soon)
	if len(got) != 0 {
		t.Fatalf("told\n%s", m.told(got))
	}
	m.find(100, "proof")
	if got = m.look(soon); len(got) != 1 || got[0].Sum.Conduct != 190 {
		t.Fatalf("told\n%s%+v", m.told(got), got[0].Sum)
	}
}

// TestMergeOfLargeCases: what two cases hold together is bounded as well.
func TestMergeOfLargeCases(t *testing.T) {
	m := newMachine(t)
	m.start(100, 1, "/opt/a", leads)
	m.start(3000, 100, "/opt/b")
	for i := range MaxMembers {
		m.start(1000+i, 1, "/opt/a", leads)
		m.start(2000+i, 1, "/opt/b", leads)
		m.proc(2000 + i).Proc.User = time.Second
		m.find(1000+i, "pinned")
		m.find(2000+i, "flat")
		m.find(1000+i, "foreign")
		m.found[len(m.found)-1].Rule = fmt.Sprint("a-", i)
		m.find(2000+i, "foreign")
		m.found[len(m.found)-1].Rule = fmt.Sprint("b-", i)
	}
	m.find(100, "pinned")
	m.find(3000, "flat")
	if got := m.look(soon); len(got) != 2 {
		t.Fatalf("told\n%s", m.told(got))
	}
	m.find(100, "wallet")
	got := m.look(soon)
	if len(got) != 2 || got[1].MergedInto != got[0].ID || len(got[0].Members) != MaxMembers ||
		got[0].MembersMore < MaxMembers || len(got[0].Findings) != MaxFindings || got[0].Subject.ID.PID != 100 {
		t.Fatalf("told\n%s%d more, %v s", m.told(got), got[0].MembersMore, got[0].CPUSeconds)
	}
}
