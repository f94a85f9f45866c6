package sigma

import (
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/minehound/minehound/agent/host"
)

// corpusRules is how many rules the corpus has: SigmaHQ's rules for Linux, macOS and Windows processes.
const corpusRules = 1460

// readCorpus parses every rule of the corpus. Without the corpus the test is skipped, in CI it fails.
func readCorpus(tb testing.TB) []*Rule {
	tb.Helper()
	shared := os.Getenv("MINEHOUND_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "..", "shared")
	}
	root := filepath.Join(shared, "data", "sigma", "rules")
	if _, err := os.Stat(root); err != nil {
		if os.Getenv("CI") == "true" {
			tb.Fatalf("the Sigma corpus is missing: %v", err)
		}
		tb.Skipf("the Sigma corpus is missing: %v", err)
	}
	var rules []*Rule
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".yml") {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		more, perr := Parse(rel, data)
		if perr != nil {
			tb.Errorf("refused: %v", perr)
		}
		rules = append(rules, more...)
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return rules
}

func TestCorpusLoads(t *testing.T) {
	rules := readCorpus(t)
	if len(rules) != corpusRules {
		t.Errorf("%d of %d rules load", len(rules), corpusRules)
	}
}

// corpusSchema has every field that the rules ask for.
func corpusSchema(rules []*Rule) *Schema {
	seen := map[string]bool{"Message": true}
	for _, r := range rules {
		for _, f := range r.FieldNames() {
			seen[f] = true
		}
	}
	names := slices.Sorted(maps.Keys(seen))
	fields := make([]Field, len(names))
	for i, n := range names {
		fields[i] = Field{Sigma: n}
	}
	return NewSchema(fields...)
}

func compileCorpus(tb testing.TB) *Set {
	tb.Helper()
	rules := readCorpus(tb)
	set, errs := Compile(rules, corpusSchema(rules))
	for _, err := range errs {
		tb.Errorf("refused: %v", err)
	}
	return set
}

// TestCorpusMatches makes a record from each rule and wants the rule to match it, to give evidence of it, and not to match
// the empty record.
func TestCorpusMatches(t *testing.T) {
	set := compileCorpus(t)
	g := &generator{rng: rand.New(rand.NewPCG(1, 2)), schema: set.schema}
	nothing, absent := make(record, set.schema.Len()), make(record, set.schema.Len())
	for i := range absent {
		absent[i] = host.Absent()
	}
	matched := 0
	for i, rule := range set.Rules() {
		rec, ok := g.generate(set.trees[i])
		if !ok {
			t.Errorf("%s: no record could be made from the rule", rule.File)
			continue
		}
		hits := set.Match(rec, nil)
		if !slices.Contains(hits, i) {
			t.Errorf("%s: does not match %v", rule.File, rec)
			continue
		}
		matched++
		for _, e := range set.Evidence(rec, i) {
			if e.Field == "" || len(e.Value) > MaxEvidence {
				t.Errorf("%s: evidence %+v", rule.File, e)
			}
		}
		if x := set.Explain(rec, i); x.Truth != True || x.Unknown != nil || len(x.Tests) == 0 {
			t.Errorf("%s: explained as %v", rule.File, x)
		}
	}
	if matched != corpusRules {
		t.Errorf("%d of %d rules match a record made from them", matched, corpusRules)
	}
	if hits := set.Match(nothing, nil); len(hits) > 0 {
		t.Errorf("the record that knows nothing matches %s", set.Rules()[hits[0]].File)
	}
	for _, i := range set.Match(absent, nil) {
		t.Errorf("the record of which all is known to be missing matches %s", set.Rules()[i].File)
	}
}

// TestCorpusPrefilter holds the prefiltered Set against plain evaluation of every rule, on records made from the rules
// and on mutations of them.
func TestCorpusPrefilter(t *testing.T) {
	set := compileCorpus(t)
	rng := rand.New(rand.NewPCG(3, 4))
	g := &generator{rng: rng, schema: set.schema}
	var pool []record
	for _, tree := range set.trees {
		if rec, ok := g.generate(tree); ok {
			pool = append(pool, rec)
		}
	}
	hits, records := 0, 0
	for round := range 3 {
		for k, rec := range pool {
			if k%8 != round {
				continue
			}
			if round > 0 {
				rec = mutate(rng, rec, pool)
			}
			got := set.Match(rec, nil)
			want := plainMatch(set, rec)
			if !slices.Equal(got, want) {
				t.Fatalf("record %v:\nprefiltered %v\nplain       %v", rec, files(set, got), files(set, want))
			}
			hits, records = hits+len(got), records+1
			if k%128 < 3 {
				judge := oracle{set.schema, map[string]string{}}
				for i, tree := range set.trees {
					if truth := judge.tree(tree, rec); (truth == True) != slices.Contains(got, i) {
						t.Fatalf("record %v: %s is %v by the reference", rec, set.rules[i].File, truth)
					}
				}
			}
		}
	}
	if hits < records/2 {
		t.Errorf("%d hits in %d records: the records are too dull to prove anything", hits, records)
	}
}

// plainMatch evaluates every rule with three values and without the prefilter.
func plainMatch(set *Set, rec host.Record) []int {
	m := set.inspect(rec)
	defer m.done()
	var out []int
	for i, tree := range set.trees {
		if m.tree(tree) == True {
			out = append(out, i)
		}
	}
	return out
}

func files(set *Set, hits []int) []string {
	out := make([]string, len(hits))
	for k, i := range hits {
		out[k] = set.rules[i].File
	}
	return out
}

// mutate changes some values of a record, or takes them from another.
func mutate(rng *rand.Rand, rec record, pool []record) record {
	rec = slices.Clone(rec)
	other := pool[rng.IntN(len(pool))]
	for i, v := range rec {
		switch rng.IntN(12) {
		case 0:
			rec[i] = host.Value{}
		case 1:
			rec[i] = other[i]
		case 2:
			rec[i] = host.Text(v.Text + other[i].Text)
		case 3:
			rec[i] = host.Texts([]string{other[i].Text, v.Text})
		case 4:
			if len(v.Text) > 1 {
				at := rng.IntN(len(v.Text))
				rec[i] = host.Text(v.Text[:at] + string([]byte{byte(rng.IntN(256))}) + v.Text[at+rng.IntN(2):])
			}
		case 5:
			rec[i] = host.Text(strings.ToUpper(v.Text))
		case 6:
			rec[i] = host.Text(v.Text[:rng.IntN(len(v.Text)+1)])
		case 7:
			rec[i] = host.Number(float64(rng.IntN(70000)))
		}
	}
	return rec
}
