package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/minehound/minehound/agent"
	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/detect/sigma"
	"github.com/minehound/minehound/agent/feature"
	"github.com/minehound/minehound/agent/host"
	"github.com/minehound/minehound/agent/report"
)

func (p *program) rulesTest() *cobra.Command {
	var f replayFlags
	var file string
	cmd := &cobra.Command{
		Use: "test DIR... | test --trace FILE [RULE]...", Short: "try rules on recordings: which fire, which stay silent, which cannot know",
		Long: "With directories: plays the recordings beside the rules there. On DIR/testdata/RULE.fires.jsonl the rule must\n" +
			"fire, on RULE.quiet.jsonl it must not. Exits with 1 when one does otherwise, or has no recordings.\n\n" +
			"With --trace: plays one recording to every rule, or to those named, and tells which fired, which stayed silent,\n" +
			"and which could not know at its end, for want of what. Exits with 1 when a rule that was named did not fire.",
		Example: "  minehound rules test ./rules\n  minehound rules test --trace busy.jsonl.gz",
		RunE: func(cmd *cobra.Command, list []string) error {
			if file != "" {
				return p.tryRules(cmd.Context(), file, f, list)
			}
			if len(list) == 0 {
				return usageError{errors.New("rules test: on what?"), "name a directory of rules, or a recording with --trace"}
			}
			return p.tryFixtures(cmd.Context(), list, f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&file, "trace", "", "the recording, a `file`")
	flags.StringVar(&f.rules, "rules", "", "try the rules in this `directory` beside the built-in ones")
	flags.BoolVar(&f.only, "only", false, "use the rules of --rules alone")
	flags.StringVar(&f.tile, "tile", "", "repeat the recording until it is this `long`")
	flags.StringVarP(&f.output, "output", "o", "table", "table or json")
	return cmd
}

// trial is what became of one rule.
type trial struct {
	Rule     string            `json:"rule"`
	Outcome  string            `json:"outcome"` // fired, silent, unknown or inactive
	Times    int               `json:"times"`   // looks and events in which it held
	First    time.Time         `json:"first,omitzero"`
	On       string            `json:"on,omitempty"` // who it fired on first
	Evidence []detect.Evidence `json:"evidence,omitempty"`
	Because  string            `json:"because,omitempty"` // why it is unknown or inactive
}

func (p *program) tryRules(ctx context.Context, file string, f replayFlags, names []string) error {
	if f.output != "table" && f.output != "json" {
		return badOutput(f.output, "table", "json")
	}
	c, err := p.config(ruleFlag(f.rules)...)
	if err != nil {
		return err
	}
	source, done, err := p.recording(file, f.tile)
	if err != nil {
		return err
	}
	defer done()
	first, err := agent.Peek(ctx, source)
	if err != nil {
		return traceError(file, err)
	}
	rs, err := p.replayRules(c, f, first.First.Machine.OS)
	if err != nil {
		return err
	}
	for _, n := range names {
		if rs.Rule(n) == nil {
			return usageError{fmt.Errorf("there is no rule %q", n), "minehound rules list shows the names"}
		}
	}
	b, err := newBench(rs)
	if err != nil {
		return err
	}
	stop := b.play(ctx, first)
	trials := b.finish(names)
	if f.output == "json" {
		err = p.json(trials)
	} else {
		err = p.page().trials(trials)
	}
	switch {
	case err != nil:
		return err
	case stop != nil:
		return traceError(file, stop)
	case len(names) > 0 && slices.ContainsFunc(trials, func(t trial) bool { return t.Outcome != "fired" }):
		return foundError{}
	}
	return nil
}

// bench plays a recording to every rule.
type bench struct {
	rules    *detect.Ruleset
	detector *detect.Detector
	trials   map[string]*trial
	sets     map[detect.Kind]*sigma.Set
	needs    map[string]map[string]int // rule, field: how often its value would have been needed
}

func newBench(rs *detect.Ruleset) (*bench, error) {
	b := &bench{
		rules: rs, detector: detect.New(rs), trials: map[string]*trial{}, sets: map[detect.Kind]*sigma.Set{},
		needs: map[string]map[string]int{},
	}
	var activity, events []sigma.Field
	for _, f := range feature.Fields() {
		activity = append(activity, sigma.Field{Name: f.Name, Sigma: f.Sigma})
	}
	for _, f := range feature.EventFields() {
		events = append(events, sigma.Field{Name: f.Name, Sigma: f.Sigma})
	}
	for kind, fields := range map[detect.Kind][]sigma.Field{detect.Activity: activity, detect.Started: events, detect.Ended: events} {
		var list []*sigma.Rule
		for i := range rs.Rules {
			if r := &rs.Rules[i]; r.Kind == kind && r.Inactive == "" {
				list = append(list, r.Rule)
			}
		}
		set, errs := sigma.Compile(list, sigma.NewSchema(fields...))
		if err := errors.Join(errs...); err != nil {
			return nil, ruleError(err)
		}
		b.sets[kind] = set
	}
	return b, nil
}

func (b *bench) play(ctx context.Context, source agent.Source) error {
	window := feature.NewWindow()
	var look *feature.Look
	for {
		snap, err := source.Next(ctx)
		if err != nil {
			if look != nil {
				for i := range look.Vectors {
					b.explain(detect.Activity, &look.Vectors[i])
				}
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		look = window.Add(snap)
		for _, f := range b.detector.Judge(look) {
			b.fired(&f)
		}
		for i := range look.Occurrences {
			kind := detect.Started
			if look.Occurrences[i].Event.Kind == host.ProcessEnded {
				kind = detect.Ended
			}
			b.explain(kind, &look.Occurrences[i])
		}
	}
}

func (b *bench) fired(f *detect.Finding) {
	t := b.trials[f.Rule]
	if t == nil {
		t = &trial{
			Rule: f.Rule, Outcome: "fired", First: f.At, Evidence: f.Evidence,
			On: report.Clean(fmt.Sprintf("%d %s", f.Subject.ID.PID, f.Subject.Name), 100),
		}
		b.trials[f.Rule] = t
	}
	t.Times++
}

// explain notes what rules that have not fired would have had to know.
func (b *bench) explain(kind detect.Kind, rec host.Record) {
	set := b.sets[kind]
	for i, r := range set.Rules() {
		if b.trials[r.Name] != nil {
			continue
		}
		e := set.Explain(rec, i)
		if e.Truth != sigma.Unknown {
			continue
		}
		if b.needs[r.Name] == nil {
			b.needs[r.Name] = map[string]int{}
		}
		for _, f := range e.Unknown {
			b.needs[r.Name][f]++
		}
	}
}

func (b *bench) finish(names []string) []trial {
	list := []trial{}
	for i := range b.rules.Rules {
		r := &b.rules.Rules[i]
		if len(names) > 0 && !slices.Contains(names, r.Name) {
			continue
		}
		needs := b.needs[r.Name]
		switch t := b.trials[r.Name]; {
		case t != nil:
			list = append(list, *t)
		case r.Inactive != "":
			list = append(list, trial{Rule: r.Name, Outcome: "inactive", Because: r.Inactive})
		case len(needs) > 0:
			var fields []string
			for f := range needs {
				fields = append(fields, f)
			}
			slices.Sort(fields)
			list = append(list, trial{Rule: r.Name, Outcome: "unknown", Because: "needs " + strings.Join(fields, ", ")})
		default:
			list = append(list, trial{Rule: r.Name, Outcome: "silent"})
		}
	}
	return list
}

// trials shows what became of each rule: those that fired first.
func (t *page) trials(list []trial) error {
	names := 0
	for _, r := range list {
		names = max(names, min(len(r.Rule), 34))
	}
	room := t.width - 10 - names - 2
	for _, outcome := range []string{"fired", "unknown", "inactive", "silent"} {
		colour := map[string]string{"fired": bold, "unknown": yellow}[outcome]
		for _, r := range list {
			if r.Outcome != outcome {
				continue
			}
			why := r.Because
			if outcome == "fired" {
				why = fmt.Sprintf("%s, first at %s on %s", count(r.Times, "time", "times"), r.First.UTC().Format("15:04:05"), r.On)
			}
			lines := wrap(report.Clean(why, 500), room)
			t.linef("%s%s  %s", t.paint(colour, pad(outcome, 10)), pad(cut(r.Rule, names), names), lines[0])
			for _, l := range lines[1:] {
				t.linef("%s%s", strings.Repeat(" ", 12+names), l)
			}
			for _, e := range r.Evidence {
				t.linef("%s%s", strings.Repeat(" ", 12+names), t.paint(dim, cut(e.Field+" = "+report.Clean(e.Value, 200), room)))
			}
		}
	}
	return t.err
}
