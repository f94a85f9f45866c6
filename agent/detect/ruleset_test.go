package detect_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/detect/sigma"
	"github.com/minehound/minehound/agent/feature"
	"github.com/minehound/minehound/rules"
)

const anyName = "  s: {process.name: x}\n  condition: s\n"

func block(class, weight, group string) string {
	return "minehound: {class: " + class + ", weight: " + weight + ", group: " + group + "}\n"
}

func TestLoadOverrides(t *testing.T) {
	rs, err := detect.Load(
		source("built-in", map[string]string{"a.yml": rule("a", activity, anyName, block("conduct", "3", "g")), "sub/b.yaml": rule("b", activity, anyName, "")}),
		source("/etc/rules.d", map[string]string{"mine.yml": rule("a", activity, anyName, block("conduct", "1", "g")), ".hidden.yml": "!", "_draft/x.yml": "!", "notes.txt": "!"}),
	)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]detect.Override{{Name: "a", By: "/etc/rules.d/mine.yml", Over: "built-in/a.yml"}}, rs.Overrides); diff != "" {
		t.Error(diff)
	}
	if a := rs.Rule("a"); a == nil || a.Weight != 10 || a.Source != "/etc/rules.d" || a.Kind != detect.Activity {
		t.Errorf("%+v", a)
	}
	if len(rs.Rules) != 2 || rs.Rule("b") == nil || rs.Rule("c") != nil {
		t.Errorf("%d rules", len(rs.Rules))
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"class":          {map[string]string{"a.yml": rule("a", activity, anyName, block("guilt", "3", "g"))}, []string{"a.yml:1: rule a: minehound: class \"guilt\" is none of"}},
		"weak proof":     {map[string]string{"a.yml": rule("a", activity, anyName, block("proof", "42.9", "g"))}, []string{"weight 42.9 is outside of 43.0 to 100.0"}},
		"above the cap":  {map[string]string{"a.yml": rule("a", activity, anyName, block("conduct", "20.1", "g"))}, []string{"weight 20.1 is outside of 0.0 to 20.0"}},
		"negative":       {map[string]string{"a.yml": rule("a", activity, anyName, block("capability", "-1", "g"))}, []string{"weight -1 is outside"}},
		"not a number":   {map[string]string{"a.yml": rule("a", activity, anyName, block("capability", ".nan", "g"))}, []string{"a.yml"}},
		"too fine":       {map[string]string{"a.yml": rule("a", activity, anyName, block("capability", "1.25", "g"))}, []string{"finer than a tenth"}},
		"group":          {map[string]string{"a.yml": rule("a", activity, anyName, block("capability", "1", "'A b'"))}, []string{"group \"A b\""}},
		"unknown key":    {map[string]string{"a.yml": rule("a", activity, anyName, block("capability", "1", "g, wieght: 3"))}, []string{"wieght"}},
		"no YAML":        {map[string]string{"a.yml": "title: [\n"}, []string{"a.yml"}},
		"same name":      {map[string]string{"a.yml": rule("a", activity, anyName, ""), "b.yml": rule("a", activity, anyName, "")}, []string{"b.yml:1: rule a: another rule has this name: test/a.yml"}},
		"modifier":       {map[string]string{"a.yml": rule("a", activity, "  s: {process.name|sounds_like: x}\n  condition: s\n", "")}, []string{"sounds_like"}},
		"inactive, too":  {map[string]string{"a.yml": rule("a", "category: dns_query", "  s: {process.name|sounds_like: x}\n  condition: s\n", "")}, []string{"sounds_like"}},
		"every mistake":  {map[string]string{"a.yml": "title: [\n", "b.yml": rule("b", activity, anyName, block("guilt", "3", "g")), "c.yml": rule("c", activity, anyName, block("proof", "1", "'?'"))}, []string{"a.yml", "b.yml", "c.yml:1: rule c: minehound: weight", "c.yml:1: rule c: minehound: group"}},
		"lost reference": {map[string]string{"p.yml": pair}, []string{"pair"}},
	} {
		t.Run(name, func(t *testing.T) {
			rs, err := detect.Load(source("test", c.files))
			if err == nil || rs != nil {
				t.Fatal("loaded")
			}
			var se *sigma.Error
			if !errors.As(err, &se) {
				t.Errorf("%T is not a *sigma.Error", err)
			}
			left, errs := detect.Check(source("test", c.files))
			for _, r := range left.Rules {
				if strings.Contains(err.Error(), "rule "+r.Name+": ") && name != "same name" {
					t.Errorf("refused rule %s is still there", r.Name)
				}
			}
			if len(errs) < len(c.want) {
				t.Errorf("%d mistakes told, want %d: %v", len(errs), len(c.want), errs)
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q is not in: %v", w, err)
				}
			}
		})
	}
}

func TestCheckFileTellsEveryMistake(t *testing.T) {
	good := rule("good", activity, anyName, "")
	rs, errs := detect.CheckFile("x.yml", []byte(rule("a", activity, anyName, block("guilt", "3", "'?'"))+"---\n"+good))
	if len(errs) != 2 || len(rs.Rules) != 1 || rs.Rules[0].Name != "good" {
		t.Errorf("%d rules, mistakes %v", len(rs.Rules), errs)
	}
}

func TestUnreadableSources(t *testing.T) {
	big := fstest.MapFS{"a.yml": &fstest.MapFile{Data: make([]byte, detect.MaxRuleFile+1)}, "b.yml": &fstest.MapFile{Mode: fs.ModeNamedPipe}}
	_, errs := detect.Check(detect.Source{Name: "x", FS: big})
	if len(errs) != 2 || !strings.Contains(errs[0].Error(), "more than 1048576") || !strings.Contains(errs[1].Error(), "not a regular file") {
		t.Errorf("%v", errs)
	}
	if _, err := detect.Load(detect.Source{Name: "gone", FS: brokenFS{}}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("%v", err)
	}
}

type brokenFS struct{}

func (brokenFS) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
}

func TestInactive(t *testing.T) {
	rs := mustLoad(t, map[string]string{
		"dns.yml":     rule("dns", "product: windows, category: dns_query", "  s: {QueryName: x}\n  condition: s\n", ""),
		"svc.yml":     rule("svc", "product: linux, service: auditd", "  s: {type: EXECVE}\n  condition: s\n", ""),
		"nothing.yml": rule("nothing", "product: linux", "  s: {type: EXECVE}\n  condition: s\n", ""),
		"told.yml":    rule("told", "category: process_creation", "  s: {OriginalFileName: x.exe}\n  condition: s\n", ""),
		"either.yml":  rule("either", "category: process_creation", "  s: {OriginalFileName: x.exe}\n  o: {Image|endswith: /x}\n  condition: s or o\n", ""),
		"win.yml":     rule("win", "product: windows, category: process_creation", "  s: {Image: x}\n  condition: s\n", ""),
		"first.yml":   rule("first", "product: windows, category: process_creation", "  s: {Image: /a}\n  condition: s\n", ""),
		"second.yml":  rule("second", creation, "  s: {Image: /b}\n  condition: s\n", ""),
		"pair.yml":    pair,
	})
	why := func(rs *detect.Ruleset) map[string]string {
		m := map[string]string{}
		for _, r := range rs.Inactive() {
			m[r.Name] = r.Inactive
		}
		return m
	}
	want := map[string]string{
		"dns":     "no sensor for the log source category dns_query",
		"svc":     "no sensor for the log service auditd",
		"nothing": "no sensor for the product linux without a category",
		"told":    "no sensor tells what it asks for: OriginalFileName",
	}
	if diff := cmp.Diff(want, why(rs)); diff != "" {
		t.Error(diff)
	}
	want["win"] = "it is about windows, this machine runs linux"
	want["first"] = want["win"]
	want["pair"] = "it needs first, which is inactive"
	if diff := cmp.Diff(want, why(rs.For("linux"))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]detect.FieldUse{{Field: "OriginalFileName", Known: true, Doc: rs.Rule("told").Uses()[0].Doc}}, rs.Rule("told").Uses()); diff != "" {
		t.Error(diff)
	}
	if u := rs.Rule("either").Uses(); len(u) != 2 || !u[0].Told || u[1].Told {
		t.Errorf("%+v", u)
	}
}

// TestUnderAnyOS: on every system the rules that ship are at work or say why not.
func TestUnderAnyOS(t *testing.T) {
	for os, least := range map[string]int{"linux": 60, "windows": 40, "darwin": 40} {
		rs, err := detect.Load(detect.Source{Name: "rules", FS: rules.FS()})
		if err != nil {
			t.Fatal(err)
		}
		rs = rs.For(os)
		if n := len(rs.Rules) - len(rs.Inactive()); n < least {
			t.Errorf("%d rules are at work on %s, want %d", n, os, least)
		}
	}
}

// FuzzCheckFile: a file of rules never crashes the loader; what it takes can be held against a look.
func FuzzCheckFile(f *testing.F) {
	f.Add([]byte(rule("a", activity, anyName, block("conduct", "1", "g"))))
	f.Add([]byte(pair + "---\n" + rule("first", creation, "  s: {Image|re: '(a|b){2,5}$'}\n  condition: not s\n", "")))
	f.Add([]byte(rule("k", activity, "  s: [x, y]\n  condition: 1 of s*\n", "")))
	f.Fuzz(func(t *testing.T, data []byte) {
		rs, _ := detect.CheckFile("f.yml", data)
		d := detect.New(rs)
		s := snapshot(0, process(3, "x", detail("/x", "x")))
		s.Events = append(s.Events, event(0, 4, detail("/a"), 3))
		for _, finding := range d.Judge(feature.NewWindow().Add(s)) {
			if finding.Rule == "" {
				t.Error("a finding without a rule")
			}
		}
	})
}
