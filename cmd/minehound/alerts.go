package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/minehound/minehound/agent/config"
	"github.com/minehound/minehound/agent/incident"
	"github.com/minehound/minehound/agent/report"
)

func (p *program) alertsCommand() *cobra.Command {
	return group("alerts", "look at what was found", p.alertsList(), p.alertsShow(), p.alertsExplain())
}

// cases reads the newest revision of every case in the alert log, the newest first.
func (p *program) cases() ([]report.Alert, error) {
	c, err := p.config()
	if err != nil {
		return nil, err
	}
	if c.Log.Path == "" {
		return nil, usageError{errors.New("there is no alert log"), "set log.path"}
	}
	list, read, err := report.Latest(os.DirFS(filepath.Dir(c.Log.Path)), filepath.Base(c.Log.Path), 0)
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(p.stderr, "minehound: there is no alert log at %s: minehound run writes it\n", c.Log.Path)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if read.Torn > 0 {
		fmt.Fprintf(p.stderr, "minehound: warning: %s of the alert log could not be read whole\n", count(read.Torn, "line", "lines"))
	}
	if read.Foreign > 0 {
		fmt.Fprintf(p.stderr, "minehound: warning: %s of the alert log came from something else\n", count(read.Foreign, "line", "lines"))
	}
	return list, nil
}

// one is the case of that id, or of the one id that begins like that.
func (p *program) one(id string) (report.Alert, error) {
	list, err := p.cases()
	if err != nil {
		return report.Alert{}, err
	}
	fits := slices.DeleteFunc(list, func(a report.Alert) bool { return !strings.HasPrefix(a.ID, id) })
	if i := slices.IndexFunc(fits, func(a report.Alert) bool { return a.ID == id }); i >= 0 {
		return fits[i], nil
	}
	switch len(fits) {
	case 0:
		return report.Alert{}, usageError{fmt.Errorf("there is no case %q", id), "minehound alerts list shows them"}
	case 1:
		return fits[0], nil
	default:
		return report.Alert{}, usageError{fmt.Errorf("%d cases begin with %q", len(fits), id), "write more of the id"}
	}
}

func (p *program) alertsList() *cobra.Command {
	var least, since, output string
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "show the cases in the alert log, the newest first", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if !slices.Contains([]string{"table", "json", "jsonl"}, output) {
				return badOutput(output, "table", "json", "jsonl")
			}
			v, err := verdictFlag("--verdict", least)
			if err != nil {
				return err
			}
			var after time.Time
			if since != "" {
				d, err := config.ParseDuration(since)
				if err != nil {
					return usageError{fmt.Errorf("--since: %w", err), "write it as 24h or 7d"}
				}
				after = time.Now().Add(-d)
			}
			list, err := p.cases()
			if err != nil {
				return err
			}
			list = slices.DeleteFunc(list, func(a report.Alert) bool {
				w, err := incident.ParseVerdict(a.Verdict)
				return err == nil && w < v || a.LastSeen.Before(after)
			})
			if limit > 0 && len(list) > limit {
				fmt.Fprintf(p.stderr, "minehound: the newest %d of %d cases; --limit 0 shows all\n", limit, len(list))
				list = list[:limit]
			}
			return p.showCases(list, output)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&least, "verdict", "notice", "the least `verdict` to show: notice, exposed, suspected, mining")
	flags.StringVar(&since, "since", "", "only what was seen in the last, as in 24h or 7d (`long`)")
	flags.IntVarP(&limit, "limit", "n", 50, "show at most so many; 0 is all")
	flags.StringVarP(&output, "output", "o", "table", "table, json or jsonl")
	return cmd
}

func (p *program) showCases(list []report.Alert, output string) error {
	switch output {
	case "json":
		if list == nil {
			list = []report.Alert{}
		}
		return p.json(list)
	case "jsonl":
		for _, a := range list {
			if err := p.jsonLine(a); err != nil {
				return err
			}
		}
		return nil
	}
	if len(list) == 0 {
		return p.print("no cases\n")
	}
	return p.print("%s", report.List(list, p.textOptions()))
}

// textOptions is how texts are laid out for whoever reads stdout.
func (p *program) textOptions() report.TextOptions {
	return report.TextOptions{Width: width(p.stdout), Color: p.colour(p.stdout)}
}

func (p *program) alertsShow() *cobra.Command {
	return &cobra.Command{
		Use: "show CASE", Short: "show a case as it was told to the outside, as JSON", Args: args(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, list []string) error {
			a, err := p.one(list[0])
			if err != nil {
				return err
			}
			return p.json(a)
		},
	}
}

func (p *program) alertsExplain() *cobra.Command {
	return &cobra.Command{
		Use: "explain CASE", Short: "say why a case is what it is, and what to do", Args: args(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, list []string) error {
			a, err := p.one(list[0])
			if err != nil {
				return err
			}
			return p.print("%s", report.Explain(a, p.textOptions()))
		},
	}
}
