package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"

	"github.com/minehound/minehound/agent/config"
	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/detect/sigma"
	"github.com/minehound/minehound/agent/incident"
	"github.com/minehound/minehound/rules"
)

// ruleset loads the built-in rules and those of the configuration, as they work on the operating system goos.
func (p *program) ruleset(c *config.Config, goos string) (*detect.Ruleset, error) {
	sources := []detect.Source{{Name: "built-in", FS: rules.FS()}}
	for _, dir := range c.Rules.Dirs {
		s, ok, err := ruleDir(dir, c.OriginOf("rules.dirs"))
		if err != nil {
			return nil, err
		}
		if ok {
			sources = append(sources, s)
		}
	}
	rs, err := detect.Load(sources...)
	if err != nil {
		return nil, ruleError(err)
	}
	if err := disable(rs, c); err != nil {
		return nil, err
	}
	return rs.For(goos), nil
}

// ruleDir opens a directory of rules. The built-in place need not exist, one that somebody named must.
func ruleDir(dir string, from config.Origin) (s detect.Source, ok bool, err error) {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && from.Layer == config.BuiltIn:
		return s, false, nil
	case err != nil:
		return s, false, fmt.Errorf("rules: %w", err)
	case !info.IsDir():
		return s, false, usageError{fmt.Errorf("rules: %s is no directory", dir), "name the directory that the rules are in"}
	}
	if _, err := os.ReadDir(dir); err != nil {
		return s, false, fmt.Errorf("rules: %w", err)
	}
	return detect.Source{Name: dir, FS: os.DirFS(dir)}, true, nil
}

// ruleError is what is wrong with rules, for the user: every mistake on a line of its own.
func ruleError(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return err
	}
	hint := "minehound rules check tells more"
	var one *sigma.Error
	if errors.As(err, &one) && one.Hint != "" {
		hint = one.Hint
	}
	return usageError{err, hint}
}

// disable switches off the rules that the configuration names.
func disable(rs *detect.Ruleset, c *config.Config) error {
	for _, name := range c.Rules.Disable {
		i := slices.IndexFunc(rs.Rules, func(r detect.Rule) bool { return r.Name == name || (r.ID != "" && r.ID == name) })
		if i < 0 {
			return config.Errors{{
				Origin: c.OriginOf("rules.disable"), Key: "rules.disable",
				Reason: fmt.Sprintf("there is no rule %q", name), Hint: "minehound rules list shows the names",
			}}
		}
		rs.Rules[i].Inactive = "switched off by " + c.OriginOf("rules.disable").String()
	}
	return nil
}

// working is how many rules can fire here.
func working(rs *detect.Ruleset) int { return len(rs.Rules) - len(rs.Inactive()) }

// allowList is the allow-list as cases know it.
func allowList(c *config.Config) []incident.Allow {
	list := make([]incident.Allow, len(c.Allow))
	for i, a := range c.Allow {
		list[i] = incident.Allow{
			Exe: a.Exe, SHA256: a.SHA256, User: a.User, Container: a.Container, Rule: a.Rule, Reason: a.Reason, Expires: a.Expires,
		}
	}
	return list
}

// thisOS is the operating system whose rules apply to the running machine.
func thisOS() string { return runtime.GOOS }
