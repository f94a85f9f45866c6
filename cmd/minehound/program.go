package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/minehound/minehound/agent/config"
)

// program is what every command shares: its streams, its environment and the flags that all of them know.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	env            []string

	configPath string
	set        []string
}

// root is the command tree.
func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "minehound",
		Short:         "finds programs that mine cryptocurrency on this machine, and says why",
		SilenceErrors: true,
		SilenceUsage:  true,

		SuggestionsMinimumDistance: 2,
		Args:                       subcommand,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{err, cmd.CommandPath() + " --help lists the options"}
	})
	flags := root.PersistentFlags()
	flags.StringVar(&p.configPath, "config", p.getenv("MINEHOUND_CONFIG"),
		"configuration `file` or directory, instead of the usual places")
	flags.StringArrayVar(&p.set, "set", nil, "set one option, as in --set look.every=5s; can be repeated")
	root.AddCommand(
		p.scanCommand(),
		p.runCommand(),
		p.alertsCommand(),
		p.rulesCommand(),
		p.traceCommand(),
		p.configCommand(),
		p.versionCommand(),
	)
	return root
}

// group is a command that only holds others.
func group(use, short string, children ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: subcommand, SuggestionsMinimumDistance: 2,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usageError{fmt.Errorf("%s: which one?", cmd.CommandPath()), cmd.CommandPath() + " --help lists them"}
		},
	}
	cmd.AddCommand(children...)
	return cmd
}

// subcommand refuses the name of a command that does not exist.
func subcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := cmd.CommandPath() + " --help lists the commands"
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return usageError{fmt.Errorf("%s has no command %q", cmd.CommandPath(), args[0]), hint}
}

// noArgs refuses arguments.
func noArgs(cmd *cobra.Command, list []string) error {
	if len(list) == 0 {
		return nil
	}
	return usageError{fmt.Errorf("%s takes no argument, %q is one", cmd.CommandPath(), list[0]), "usage: " + cmd.UseLine()}
}

// args turns cobra's complaint about arguments into ours.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, list []string) error {
		if err := check(cmd, list); err != nil {
			return usageError{err, "usage: " + cmd.UseLine()}
		}
		return nil
	}
}

// getenv is the value of a variable, "" when there is none.
func (p *program) getenv(name string) string {
	for i := len(p.env) - 1; i >= 0; i-- { // the last one counts, as in exec
		if value, ok := strings.CutPrefix(p.env[i], name+"="); ok {
			return value
		}
	}
	return ""
}

// config loads the configuration. more are values that flags of one command stand for.
func (p *program) config(more ...config.Override) (*config.Config, error) {
	in := config.Input{
		Paths: config.PathsFor(runtime.GOOS, p.getenv), Path: p.configPath, Env: p.env, Now: time.Now(),
	}
	for _, s := range p.set {
		key, value, ok := strings.Cut(s, "=")
		if !ok {
			return nil, usageError{fmt.Errorf("--set %s: no value", s), "write it as --set look.every=5s"}
		}
		in.Set = append(in.Set, config.Override{Name: "--set", Key: strings.TrimSpace(key), Value: value})
	}
	in.Set = append(in.Set, more...)
	return config.Load(in)
}

// log is the program's own log: for people on a terminal, JSON otherwise.
func (p *program) log() zerolog.Logger {
	w := p.stderr
	if isTerminal(p.stderr) {
		w = zerolog.ConsoleWriter{Out: p.stderr, TimeFormat: time.TimeOnly, NoColor: !p.colour(p.stderr)}
	}
	return zerolog.New(w).With().Timestamp().Logger()
}

// isTerminal tells whether a person is looking at the stream.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colour tells whether the stream may be coloured, see no-color.org.
func (p *program) colour(stream any) bool {
	return isTerminal(stream) && p.getenv("NO_COLOR") == "" && p.getenv("TERM") != "dumb"
}

// width is how many columns to use: those of the terminal, 60 to 100, and 100 where there is none.
func width(stream any) int {
	if f, ok := stream.(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			return min(max(w, 60), 100)
		}
	}
	return 100
}
