package main

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/minehound/minehound/agent"
	"github.com/minehound/minehound/agent/config"
	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/report"
	"github.com/minehound/minehound/agent/trace"
)

// fixture is what a recording beside a rule came to.
type fixture struct {
	Rule   string `json:"rule"`
	File   string `json:"file"` // "" when there is none
	Good   bool   `json:"good"`
	Reason string `json:"reason"`
}

// tryFixtures plays the recordings beside the rules in each directory.
func (p *program) tryFixtures(ctx context.Context, dirs []string, f replayFlags) error {
	if f.output != "table" && f.output != "json" {
		return badOutput(f.output, "table", "json")
	}
	all := []fixture{}
	for _, dir := range dirs {
		c, err := p.config(ruleFlag(dir)...)
		if err != nil {
			return err
		}
		list, err := p.fixturesOf(ctx, c, dir)
		if err != nil {
			return err
		}
		all = append(all, list...)
	}
	var err error
	if f.output == "json" {
		err = p.json(all)
	} else {
		err = p.page().fixtures(all)
	}
	if err != nil {
		return err
	}
	if slices.ContainsFunc(all, func(x fixture) bool { return !x.Good }) {
		return foundError{}
	}
	return nil
}

func (p *program) fixturesOf(ctx context.Context, c *config.Config, dir string) ([]fixture, error) {
	s, _, err := ruleDir(dir, config.Origin{Layer: config.Flag, Name: dir})
	if err != nil {
		return nil, err
	}
	own, err := detect.Load(s)
	if err != nil {
		return nil, ruleError(err)
	}
	var list []fixture
	feeds := feeders(own)
	bySystem := map[string]*detect.Ruleset{}
	for i := range own.Rules {
		name := own.Rules[i].Name
		for _, kind := range []string{"fires", "quiet"} {
			files, err := filepath.Glob(filepath.Join(dir, "testdata", escapeGlob(name)+"."+kind+"*.jsonl*"))
			if err != nil {
				return nil, fmt.Errorf("rules test: %w", err)
			}
			if len(files) == 0 && !feeds[name] {
				list = append(list, fixture{Rule: name, Reason: "there is no testdata/" + name + "." + kind + ".jsonl"})
			}
			for _, file := range files {
				x, err := p.fixture(ctx, c, bySystem, name, file, kind == "fires")
				if err != nil {
					return nil, err
				}
				list = append(list, x)
			}
		}
	}
	return list, nil
}

// escapeGlob makes name stand for itself in a pattern. On Windows there is no escape, nor are these allowed in names.
func escapeGlob(name string) string {
	if runtime.GOOS == "windows" {
		return name
	}
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(name)
}

// feeders are rules that only serve correlations: they are never told on their own, and tried with these.
func feeders(rs *detect.Ruleset) map[string]bool {
	list := map[string]bool{}
	for i := range rs.Rules {
		c := rs.Rules[i].Correlation
		if c == nil || c.Generate {
			continue
		}
		for j := range rs.Rules {
			r := &rs.Rules[j]
			if slices.Contains(c.Rules, r.Name) || r.ID != "" && slices.Contains(c.Rules, r.ID) {
				list[r.Name] = true
			}
		}
	}
	return list
}

// fixture plays one recording to one rule. The rule sets it had to load are kept in bySystem.
func (p *program) fixture(
	ctx context.Context, c *config.Config, bySystem map[string]*detect.Ruleset, rule, file string, fires bool,
) (fixture, error) {
	x := fixture{Rule: rule, File: file}
	source, done, err := p.recording(file, "")
	if err != nil {
		return x, err
	}
	defer done()
	goos := systemOf(source)
	rs := bySystem[goos]
	if rs == nil {
		if rs, err = p.ruleset(c, goos); err != nil {
			return x, err
		}
		bySystem[goos] = rs
	}
	b, err := newBench(rs)
	if err != nil {
		return x, err
	}
	if err := b.play(ctx, source); err != nil {
		return x, traceError(file, err)
	}
	t := b.finish([]string{rule})[0]
	switch {
	case fires && t.Outcome == "fired":
		x.Good, x.Reason = true, "fires, as it must"
	case fires && t.Because != "":
		x.Reason = "must fire, but is " + t.Outcome + ": " + t.Because
	case fires:
		x.Reason = "must fire, but stays silent"
	case t.Outcome == "fired":
		x.Reason = "must stay silent, but fires on " + t.On
	default:
		x.Good, x.Reason = true, "stays silent, as it must"
	}
	return x, nil
}

func (t *page) fixtures(list []fixture) error {
	bad := 0
	for _, x := range list {
		if x.Good {
			continue
		}
		bad++
		where := x.Rule
		if x.File != "" {
			where = filepath.Base(x.File)
		}
		t.linef("%s  %s", t.paint(red, "wrong"), report.Clean(where, 200))
		for _, l := range wrap(report.Clean(x.Reason, 500), t.width-7) {
			t.linef("       %s", l)
		}
	}
	if bad == 0 {
		t.linef("all good: %s", count(len(list), "recording", "recordings"))
	} else {
		t.linef("%d of %s wrong", bad, count(len(list), "recording", "recordings"))
	}
	return t.err
}

// systemOf is the operating system that a recording is from.
func systemOf(source agent.Source) string {
	if r, ok := source.(*trace.Reader); ok && r.Header().Identity.OS != "" {
		return r.Header().Identity.OS
	}
	return thisOS()
}
