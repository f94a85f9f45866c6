package rules_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/feature"
	"github.com/minehound/minehound/agent/trace"
	"github.com/minehound/minehound/rules"
)

func load(tb testing.TB) *detect.Ruleset {
	tb.Helper()
	rs, err := detect.Load(detect.Source{Name: "rules", FS: rules.FS()})
	if err != nil {
		tb.Fatal(err)
	}
	return rs
}

// replay plays a trace against all rules as they work on the system it is about and tells every finding, by rule.
func replay(t *testing.T, rs *detect.Ruleset, file string) map[string][]detect.Finding {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]detect.Finding{}
	for look, d := range looks(t, rs, data) {
		for _, f := range d.Judge(look) {
			found[f.Rule] = append(found[f.Rule], f)
		}
	}
	return found
}

// looks measures a trace and gives each look with the detector that is to judge it.
func looks(t *testing.T, rs *detect.Ruleset, data []byte) func(func(*feature.Look, *detect.Detector) bool) {
	t.Helper()
	return func(yield func(*feature.Look, *detect.Detector) bool) {
		r, err := trace.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		w := feature.NewWindow()
		d := detect.New(rs.For(system(r.Header().Identity.OS)))
		for {
			s, err := r.Next(context.Background())
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !yield(w.Add(s), d) {
				return
			}
		}
	}
}

func system(os string) string {
	if os == "" {
		return "linux"
	}
	return os
}

// weighs tells whether a rule is reported on its own: the halves of correlations are not.
func weighs(r *detect.Rule) bool { return r.Class != "" }

func TestEveryRuleFiresAndStaysQuiet(t *testing.T) {
	rs := load(t)
	n := 0
	for i := range rs.Rules {
		r := &rs.Rules[i]
		if !weighs(r) {
			continue
		}
		n++
		t.Run(r.Name, func(t *testing.T) {
			t.Parallel()
			fires := replay(t, rs, filepath.Join("testdata", r.Name+".fires.jsonl"))
			got := fires[r.Name]
			if len(got) == 0 {
				t.Fatalf("it does not hold where it must; these do: %v", names(fires))
			}
			f := got[0]
			if f.Weight != r.Weight || f.Class != r.Class || f.Group != r.Group || f.Title != r.Title || f.Author != "" || !slices.Equal(f.Attack, r.Attack) {
				t.Errorf("finding %+v does not say what the rule says", f)
			}
			if len(f.Evidence) == 0 {
				t.Error("it holds without evidence")
			}
			for _, e := range f.Evidence {
				if e.Field == "" || e.Value == "" || len(e.Value) > detect.MaxEvidenceValue {
					t.Errorf("evidence %+v", e)
				}
			}
			quiet := replay(t, rs, filepath.Join("testdata", r.Name+".quiet.jsonl"))
			for _, f := range quiet[r.Name] {
				t.Errorf("it holds for the honest %s (%s) at %s: %v", f.Subject.Name, f.Subject.Exe, f.At, f.Evidence)
				break
			}
		})
	}
	if n < 60 {
		t.Errorf("%d rules weigh something, at least 60 were there", n)
	}
}

func names(m map[string][]detect.Finding) []string {
	var l []string
	for n := range m {
		l = append(l, n)
	}
	slices.Sort(l)
	return l
}

func TestNoTraceWithoutRule(t *testing.T) {
	rs := load(t)
	files, err := filepath.Glob("testdata/*.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name, _, _ := strings.Cut(filepath.Base(f), ".")
		if rs.Rule(name) == nil {
			t.Errorf("%s belongs to no rule", f)
		}
	}
}

var (
	uuid4     = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	technique = regexp.MustCompile(`^T[0-9]{4}(\.[0-9]{3})?$`)
)

// TestEveryRuleIsComplete holds what a reader of a rule needs: who it is, why it is there, what it mistakes for a miner.
func TestEveryRuleIsComplete(t *testing.T) {
	rs := load(t)
	ids := map[string]string{}
	for i := range rs.Rules {
		r := &rs.Rules[i]
		if r.Inactive != "" {
			t.Errorf("%s is inactive: %s", r.Name, r.Inactive)
		}
		if !uuid4.MatchString(r.ID) {
			t.Errorf("%s: id %q is not a version 4 UUID", r.Name, r.ID)
		}
		if other := ids[r.ID]; other != "" {
			t.Errorf("%s has the id of %s", r.Name, other)
		}
		ids[r.ID] = r.Name
		if r.Title == "" || len(r.Description) < 40 || r.Author != detect.House || r.Date == "" || r.Status == "" || r.Level == "" {
			t.Errorf("%s: title, description, author, date, status and level are needed", r.Name)
		}
		if len(r.FalsePositives) == 0 {
			t.Errorf("%s does not say what it mistakes for a miner", r.Name)
		}
		if len(r.Attack) == 0 {
			t.Errorf("%s has no ATT&CK technique", r.Name)
		}
		for _, a := range r.Attack {
			if !technique.MatchString(a) {
				t.Errorf("%s: technique %q", r.Name, a)
			}
		}
		for _, u := range r.Uses() {
			if !u.Known || !u.Told {
				t.Errorf("%s asks for %s, which no sensor tells", r.Name, u.Field)
			}
		}
		if weighs(r) && (r.Weight <= 0 || r.Group == "") {
			t.Errorf("%s: weight %s, group %q", r.Name, r.Weight, r.Group)
		}
	}
}

// TestFilesAreNamedAfterTheirRule keeps a rule findable: the file NAME.yml begins with the rule NAME.
func TestFilesAreNamedAfterTheirRule(t *testing.T) {
	rs := load(t)
	err := fs.WalkDir(rules.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if rs.Rule(strings.TrimSuffix(p, ".yml")) == nil {
			t.Errorf("%s holds no rule of its name", p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestRulesAgree holds together what several rules have to spell out alike, because Sigma has no way to share it.
func TestRulesAgree(t *testing.T) {
	for _, c := range []struct {
		begins string
		least  int
	}{
		{"    process.name|re: '^([efzu]?grep|", 7}, // programs that carry other people's arguments
		{"    memory.large_mib: [2080, 2081, 2082,", 2},
		{"    memory.large_mib: [256, 257, 258,", 2},
	} {
		lines := map[string][]string{}
		n := 0
		err := fs.WalkDir(rules.FS(), ".", func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := fs.ReadFile(rules.FS(), p)
			for line := range strings.Lines(string(b)) {
				if strings.HasPrefix(line, c.begins) {
					lines[line] = append(lines[line], p)
					n++
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(lines) != 1 || n < c.least {
			t.Errorf("%d rules spell %q in %d ways: %v", n, c.begins, len(lines), lines)
		}
	}
}
