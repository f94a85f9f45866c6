package e2e

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/feature"
	"github.com/minehound/minehound/agent/incident"
	"github.com/minehound/minehound/agent/trace"
	"github.com/minehound/minehound/rules"
)

// tiled is how long every trace is made for the scoreboard, so that the long windows count.
const tiled = 2 * time.Hour

// A score is what one rule did over all traces.
type score struct {
	rule          detect.Rule
	miner, honest int // programs it held for, each counted once in a trace
}

// weight is the weight that the hits support, in decibans: ten times the logarithm of the ratio of both rates, each with
// half a hit added so that none is zero or certain (Krichevsky and Trofimov, 1981).
func (s score) weight(miners, honest int) float64 {
	rate := func(hits, of int) float64 { return (float64(hits) + 0.5) / (float64(of) + 1) }
	return 10 * math.Log10(rate(s.miner, miners)/rate(s.honest, honest))
}

// play judges a trace and returns which rules held for each program that worked or was found, and how bad its case became.
func play(t *testing.T, rs *detect.Ruleset, file string) (held map[string]map[string]bool, worst map[string]incident.Verdict) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	source, err := trace.Tile(f, tiled)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	window, detector := feature.NewWindow(), detect.New(rs)
	tracker, err := incident.NewTracker(incident.Options{})
	if err != nil {
		t.Fatal(err)
	}
	held, worst = map[string]map[string]bool{}, map[string]incident.Verdict{}
	for {
		snap, err := source.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return held, worst
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		look := window.Add(snap)
		for i := range look.Vectors {
			if v := &look.Vectors[i]; held[v.Subject.Key] == nil && v.CPU.Share1m >= feature.BusyCores {
				held[v.Subject.Key] = map[string]bool{}
			}
		}
		found := detector.Judge(look)
		for _, f := range found {
			if held[f.Subject.Key] == nil {
				held[f.Subject.Key] = map[string]bool{}
			}
			held[f.Subject.Key][f.Rule] = true
		}
		for _, in := range tracker.Update(look, found) {
			worst[in.Subject.Key] = max(worst[in.Subject.Key], in.Verdict)
		}
	}
}

// TestScoreboard prints, for every rule, how many programs of miners and of honest work it held for, and the weight
// that this supports. The honest traces are chosen for being hard, all of them heavy work: among all programs of a machine
// the rules about load are rarer than here, so their weight is a lower bound. It fails only where a miner stays unseen or honest work would page somebody: the weights are for a
// person to read. A program in a miner's trace counts as a miner when its case was exposed or worse.
func TestScoreboard(t *testing.T) {
	rs, err := detect.Load(detect.Source{Name: "built-in", FS: rules.FS()})
	if err != nil {
		t.Fatal(err)
	}
	scores := map[string]*score{}
	for _, r := range rs.For("linux").Rules {
		scores[r.Name] = &score{rule: r}
	}
	var miners, honest int
	for _, file := range recordings(t, "miners") {
		held, worst := play(t, rs.For("linux"), file)
		found := incident.Clean
		for key, v := range worst {
			found = max(found, v)
			if v >= incident.Exposed {
				miners++
				count(scores, held[key], func(s *score) { s.miner++ })
			}
		}
		if found < incident.Suspected {
			t.Errorf("%s: no miner found, at most %s", file, found)
		}
	}
	for _, file := range recordings(t, "honest") {
		held, worst := play(t, rs.For("linux"), file)
		for key, v := range worst {
			if v > incident.Notice {
				t.Errorf("%s: %q is %s by %v", file, key, v, held[key])
			}
		}
		honest += len(held)
		for _, rules := range held {
			count(scores, rules, func(s *score) { s.honest++ })
		}
	}
	if miners == 0 || honest == 0 {
		t.Fatalf("%d miners, %d honest programs", miners, honest)
	}
	board(t, scores, miners, honest)
}

func count(scores map[string]*score, held map[string]bool, add func(*score)) {
	for name := range held {
		add(scores[name])
	}
}

// recordings are the traces of a kind: those recorded from the real thing and those written by hand.
func recordings(t *testing.T, kind string) []string {
	t.Helper()
	recorded, err := filepath.Glob(filepath.Join("testdata", kind, "*.jsonl.gz"))
	if err != nil {
		t.Fatal(err)
	}
	written, err := filepath.Glob(filepath.Join("..", "rules", "testdata", kind, "*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if len(recorded) == 0 || len(written) == 0 {
		t.Fatalf("%s: %d recorded, %d written traces", kind, len(recorded), len(written))
	}
	return append(recorded, written...)
}

func board(t *testing.T, scores map[string]*score, miners, honest int) {
	list := make([]*score, 0, len(scores))
	for _, s := range scores {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *score) int {
		return cmp.Or(cmp.Compare(a.rule.Class, b.rule.Class), cmp.Compare(b.rule.Weight, a.rule.Weight), strings.Compare(a.rule.Name, b.rule.Name))
	})
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "rule\tclass\tweight\tsupported\tminers of %d\thonest of %d\n", miners, honest)
	for _, s := range list {
		supported := "no hits"
		if s.miner+s.honest > 0 {
			supported = fmt.Sprintf("%+.1f", s.weight(miners, honest))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\n", s.rule.Name, s.rule.Class, s.rule.Weight, supported, s.miner, s.honest)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", b.String())
}
