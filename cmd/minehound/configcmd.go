package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/minehound/minehound/agent/config"
	"github.com/minehound/minehound/agent/report"
)

func (p *program) configCommand() *cobra.Command {
	return group("config", "check or show the configuration", p.configCheck(), p.configShow())
}

func (p *program) configCheck() *cobra.Command {
	return &cobra.Command{
		Use: "check", Short: "read the configuration and the rules as the service would", Args: noArgs,
		Long: "Reads every layer of the configuration, the rules and the places of secrets, as the service does when it\n" +
			"starts. Exits with 2 and every mistake when something cannot be honoured.",
		RunE: func(*cobra.Command, []string) error {
			c, err := p.config()
			if err != nil {
				return err
			}
			for _, w := range c.Warnings {
				fmt.Fprintln(p.stderr, "minehound: warning:", report.Clean(w, 1000))
			}
			if err := p.checkSecrets(c); err != nil {
				return err
			}
			rs, err := p.ruleset(c, thisOS())
			if err != nil {
				return err
			}
			n := count(working(rs), "rule", "rules")
			if len(c.Files) == 0 {
				return p.print("no configuration file: the built-in values and %s are in force\n", n)
			}
			for _, name := range c.Files {
				if err := p.print("read %s\n", name); err != nil {
					return err
				}
			}
			return p.print("the configuration is good, %s\n", n)
		},
	}
}

// checkSecrets looks whether every secret is where the configuration says.
func (p *program) checkSecrets(c *config.Config) error {
	var errs config.Errors
	for i := range c.Webhooks {
		w := &c.Webhooks[i]
		_, err := p.webhook(w)
		var wrong config.Errors
		switch {
		case err == nil:
		case w.SecretEnv != "" && p.getenv(w.SecretEnv) == "":
			// The service may well have it while the shell of whoever checks does not.
			fmt.Fprintf(p.stderr, "minehound: warning: webhook %s: $%s is not set here\n", w.Name, w.SecretEnv)
		case errors.As(err, &wrong):
			errs = append(errs, wrong...)
		default:
			return err
		}
	}
	if len(errs) > 0 {
		return errs
	}
	return nil
}

func (p *program) configShow() *cobra.Command {
	var (
		origin bool
		output string
	)
	cmd := &cobra.Command{
		Use: "show", Short: "show every value that is in force", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := p.config()
			if err != nil {
				return err
			}
			settings := c.Settings()
			switch output {
			case "json":
				return p.json(settings)
			case "text":
			default:
				return badOutput(output, "text", "json")
			}
			keys, values := 0, 0
			for _, s := range settings {
				keys, values = max(keys, len(s.Key)), max(values, min(len(s.Value), 40))
			}
			for _, s := range settings {
				line := fmt.Sprintf("%-*s  %s", keys, s.Key, report.Clean(s.Value, 1000))
				if origin {
					line = fmt.Sprintf("%-*s  %-*s  %s", keys, s.Key, values, report.Clean(s.Value, 1000), report.Clean(s.Origin, 1000))
				}
				if err := p.print("%s\n", line); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&origin, "origin", false, "also show where each value comes from")
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return cmd
}
