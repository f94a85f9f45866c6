package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/report"
)

func (p *program) rulesCommand() *cobra.Command {
	return group("rules", "list, check and try the rules", p.rulesList(), p.rulesCheck(), p.rulesTest())
}

// listedRule is a rule as `rules list --output json` shows it.
type listedRule struct {
	Name     string          `json:"name"`
	Title    string          `json:"title"`
	Source   string          `json:"source"`
	File     string          `json:"file"`
	Kind     string          `json:"kind"`
	Class    detect.Class    `json:"class"`
	Weight   detect.Decibans `json:"weight"`
	Group    string          `json:"group"`
	Attack   []string        `json:"attack"`
	Author   string          `json:"author"`
	Inactive string          `json:"inactive"` // why it cannot fire here, "" when it can
}

func (p *program) rulesList() *cobra.Command {
	var dir, output string
	var all bool
	cmd := &cobra.Command{
		Use: "list", Short: "show the rules that are in force, strongest evidence first", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if output != "table" && output != "json" {
				return badOutput(output, "table", "json")
			}
			c, err := p.config(ruleFlag(dir)...)
			if err != nil {
				return err
			}
			rs, err := p.ruleset(c, thisOS())
			if err != nil {
				return err
			}
			if output == "json" {
				return p.json(listRules(rs))
			}
			return p.page().rules(rs, all)
		},
	}
	cmd.Flags().StringVar(&dir, "rules", "", "use the rules in this `directory` beside the built-in ones")
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	cmd.Flags().BoolVarP(&all, "all", "a", false, "also show why each inactive rule cannot fire here")
	return cmd
}

func listRules(rs *detect.Ruleset) []listedRule {
	list := make([]listedRule, 0, len(rs.Rules))
	for i := range rs.Rules {
		r := &rs.Rules[i]
		attack := r.Attack
		if attack == nil {
			attack = []string{}
		}
		list = append(list, listedRule{
			Name: r.Name, Title: r.Title, Source: r.Source, File: r.File, Kind: r.Kind.String(), Class: r.Class,
			Weight: r.Weight, Group: r.Group, Attack: attack, Author: r.Author, Inactive: r.Inactive,
		})
	}
	return list
}

// rules shows a rule set: the class, the weight, the name, the title.
func (t *page) rules(rs *detect.Ruleset, all bool) error {
	order := []detect.Class{detect.Proof, detect.Capability, detect.Conduct, detect.Concealment, ""}
	inactive := rs.Inactive()
	names := 0
	for i := range rs.Rules {
		if rs.Rules[i].Inactive == "" {
			names = max(names, min(len(rs.Rules[i].Name), 34))
		}
	}
	for _, class := range order {
		of := slices.DeleteFunc(slices.Clone(rs.Rules), func(r detect.Rule) bool { return r.Class != class || r.Inactive != "" })
		slices.SortStableFunc(of, func(a, b detect.Rule) int { return int(b.Weight - a.Weight) })
		name := string(class)
		if class == "" {
			name = "no weight"
		}
		for i := range of {
			title := cut(report.Clean(of[i].Title, 300), t.width-12-7-names-3)
			t.linef("%s %6s  %s %s", t.paint(dim, pad(name, 12)), of[i].Weight, pad(cut(of[i].Name, names), names), title)
			name = ""
		}
	}
	t.linef("")
	t.linef("%s", count(len(rs.Rules)-len(inactive), "rule at work", "rules at work"))
	if len(inactive) > 0 && !all {
		t.linef("%s here: --all shows why", count(len(inactive), "more rule cannot fire", "more rules cannot fire"))
	}
	if all {
		for i := range inactive {
			t.linef("inactive  %s: %s", inactive[i].Name, report.Clean(inactive[i].Inactive, 300))
		}
	}
	for _, o := range rs.Overrides {
		t.linef("%s from %s takes the place of the one from %s", o.Name, o.By, o.Over)
	}
	return t.err
}

func (p *program) rulesCheck() *cobra.Command {
	return &cobra.Command{
		Use: "check [PATH]...", Short: "check rule files or directories, or the rules that are in force",
		Long: "Reads rules as the service would and tells every mistake with file and line. Exits with 2 when there is one.",
		RunE: func(_ *cobra.Command, paths []string) error {
			if len(paths) == 0 {
				c, err := p.config()
				if err != nil {
					return err
				}
				rs, err := p.ruleset(c, thisOS())
				if err != nil {
					return err
				}
				return p.checked(rs, nil)
			}
			var all detect.Ruleset
			var errs []error
			for _, path := range paths {
				rs, found, err := checkPath(path)
				if err != nil {
					return err
				}
				all.Rules = append(all.Rules, rs.Rules...)
				errs = append(errs, found...)
			}
			return p.checked(&all, errs)
		},
	}
}

func checkPath(path string) (*detect.Ruleset, []error, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, fmt.Errorf("rules: %w", err)
	}
	if !info.IsDir() {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, nil, fmt.Errorf("rules: %w", err)
		}
		rs, errs := detect.CheckFile(path, data)
		return rs, errs, nil
	}
	if _, err := os.ReadDir(path); err != nil {
		return nil, nil, fmt.Errorf("rules: %w", err)
	}
	rs, errs := detect.Check(detect.Source{Name: filepath.Clean(path), FS: os.DirFS(path)})
	return rs, errs, nil
}

// checked tells what a check came to.
func (p *program) checked(rs *detect.Ruleset, errs []error) error {
	if len(errs) > 0 {
		return usageError{
			errors.Join(errs...),
			fmt.Sprintf("%s; docs/fields.md lists every field", count(len(errs), "mistake", "mistakes")),
		}
	}
	good := fmt.Sprintf("%s good", count(len(rs.Rules), "rule is", "rules are"))
	if n := len(rs.Inactive()); n > 0 {
		good += fmt.Sprintf(", %d of them cannot fire here", n)
	}
	if err := p.print("%s\n", good); err != nil {
		return err
	}
	for _, r := range rs.Inactive() {
		if err := p.print("  %s: %s\n", r.Name, report.Clean(strings.TrimSpace(r.Inactive), 300)); err != nil {
			return err
		}
	}
	return nil
}
