package rules_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/feature"
	"github.com/minehound/minehound/agent/host"
	"github.com/minehound/minehound/agent/incident"
)

// start is when a trace written by hand begins, unless it says otherwise.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// sums plays a trace and calls see, after each look, with what all findings of each process so far come to.
func sums(t *testing.T, rs *detect.Ruleset, file string, see func(since time.Duration, id host.ProcID, sum incident.Sum, found []detect.Finding)) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	so := map[host.ProcID]map[string]detect.Finding{}
	var order []host.ProcID
	play := func(look *feature.Look, d *detect.Detector) {
		for _, f := range d.Judge(look) {
			if so[f.Subject.ID] == nil {
				so[f.Subject.ID] = map[string]detect.Finding{}
				order = append(order, f.Subject.ID)
			}
			so[f.Subject.ID][f.Rule] = f
		}
		for _, id := range order {
			var l []detect.Finding
			for _, f := range so[id] {
				l = append(l, f)
			}
			see(look.At.Sub(start), id, incident.Weigh(l), l)
		}
	}
	for look, d := range looks(t, rs, data) {
		play(look, d)
	}
}

func ruleNames(l []detect.Finding) string {
	m := map[string][]detect.Finding{}
	for _, f := range l {
		m[f.Rule] = nil
	}
	return strings.Join(names(m), " ")
}

// TestHonestWork holds the sums of programs that others took for miners, every two hours of their work: nothing that
// mining needs, hardly anything that hides. Conduct is theirs to have; it is printed.
func TestHonestWork(t *testing.T) {
	rs := load(t)
	files, err := filepath.Glob("testdata/honest/*.jsonl")
	if err != nil || len(files) < 15 {
		t.Fatalf("%d traces of honest work, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".jsonl"), func(t *testing.T) {
			t.Parallel()
			var most incident.Sum
			last := ""
			sums(t, rs, file, func(since time.Duration, id host.ProcID, sum incident.Sum, found []detect.Finding) {
				if sum.Total > most.Total || last == "" {
					most, last = sum, ruleNames(found)
				}
				if !t.Failed() && (sum.Capability != 0 || sum.Proof != 0 || sum.Concealment > 30) {
					t.Errorf("after %s process %d has capability %s, concealment %s: %s", since, id.PID, sum.Capability, sum.Concealment, ruleNames(found))
				}
			})
			t.Logf("conduct %s, concealment %s: %s", most.Conduct, most.Concealment, last)
		})
	}
}

// TestMiners holds how soon real layouts of miners add up. hashing is when they begin to hash, 42 s into the traces.
func TestMiners(t *testing.T) {
	rs := load(t)
	const hashing = 42 * time.Second
	for _, c := range []struct {
		name                           string
		by                             time.Duration // since the first look
		total                          detect.Decibans
		capability, conduct, concealed detect.Decibans // at least
		concealedMost                  detect.Decibans
		without                        string // a rule that must not have been needed
	}{
		{"renamed", hashing + 60*time.Second, 0, 100, 50, 0, 0, "miner-name"},
		{"renamed-contended", hashing + 60*time.Second, 0, 100, 50, 0, 0, "miner-name"},
		{"named", 15 * time.Second, 0, 250, 50, 0, 0, ""},
		{"disguised", hashing + 60*time.Second, 130, 150, 50, 50, 200, "miner-name"},
		{"light", 75 * time.Minute, 0, 100, 50, 0, 0, "miner-name"},
		{"huge-pages", 60 * time.Second, 0, 250, 50, 0, 0, "miner-name"},
		{"minerd", 70 * time.Second, 0, 250, 50, 0, 0, ""},
		{"scan", 16 * time.Second, 20, 250, 70, 0, 0, "miner-name"},
		{"throttled", 20 * time.Second, 20, 250, 70, 0, 0, "miner-name"},
		{"throttled-quarter", 90 * time.Second, 60, 250, 110, 0, 0, "miner-name"},
		{"waves", 90 * time.Second, 20, 250, 70, 0, 0, "miner-name"},
		{"grown-node", 90 * time.Second, 60, 250, 110, 0, 0, "miner-name"},
		{"carrier", 100 * time.Second, 0, 200, 100, 0, 0, "miner-name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var at incident.Sum
			var why string
			first := time.Duration(-1)
			sums(t, rs, filepath.Join("testdata", "miners", c.name+".jsonl"), func(since time.Duration, id host.ProcID, sum incident.Sum, found []detect.Finding) {
				if id.PID != 4242 {
					return
				}
				if first < 0 && sum.Total >= 0 && sum.Capability >= 100 && sum.Conduct >= 50 {
					first = since
				}
				if since <= c.by {
					at, why = sum, ruleNames(found)
				}
			})
			t.Logf("suspected after %s; at %s: total %s, capability %s, conduct %s, concealment %s: %s", first, c.by, at.Total, at.Capability, at.Conduct, at.Concealment, why)
			if at.Total < c.total || at.Capability < c.capability || at.Conduct < c.conduct || at.Concealment < c.concealed || at.Concealment > c.concealedMost {
				t.Errorf("not what it must be: total %s, capability %s, conduct %s, concealment %s", c.total, c.capability, c.conduct, c.concealed)
			}
			if c.without != "" && strings.Contains(why, c.without) {
				t.Errorf("it was %s that told", c.without)
			}
		})
	}
}

// TestMemoryChangesNothing: what the detector remembers of processes saves time and nothing else. Each look is judged by
// the detector that saw all before and by one that saw nothing.
func TestMemoryChangesNothing(t *testing.T) {
	rs := load(t)
	for _, name := range []string{"miners/disguised", "memfd-exe.fires", "service-child-computes.fires", "temp-exe-gone.quiet"} {
		data, err := os.ReadFile(filepath.Join("testdata", filepath.FromSlash(name)+".jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		n, found := 0, 0
		fresh := rs.For("linux")
		for look, d := range looks(t, rs, data) {
			a := d.Judge(look)
			if n++; n%5 != 0 { // a detector that saw nothing has to be made each time
				continue
			}
			found += len(a)
			if diff := cmp.Diff(detect.New(fresh).Judge(look), a); diff != "" {
				t.Fatalf("%s at %s: %s", name, look.At, diff)
			}
		}
		if found == 0 && !strings.HasSuffix(name, "quiet") {
			t.Errorf("%s: nothing found", name)
		}
	}
}
