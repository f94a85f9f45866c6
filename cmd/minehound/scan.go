package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/minehound/minehound/agent"
	"github.com/minehound/minehound/agent/config"
	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/feature"
	"github.com/minehound/minehound/agent/host"
	"github.com/minehound/minehound/agent/incident"
	"github.com/minehound/minehound/agent/report"
	"github.com/minehound/minehound/agent/sense"
)

type scanFlags struct {
	duration string
	pids     []int
	output   string
	failOn   string
	strict   bool
	rules    string
}

func (p *program) scanCommand() *cobra.Command {
	var f scanFlags
	cmd := &cobra.Command{
		Use: "scan", Short: "look at this machine for a while and tell what mines here", Args: noArgs,
		Long: "Looks at every process for a while and tells which ones mine, may mine or could mine, with the whole sum.\n" +
			"Ten seconds tell names, memory and the load of ten seconds; one minute and more tell steady load apart from a\n" +
			"burst. Without root it sees less and says what.\n\n" +
			"Exits with 0 when nothing was found, 1 when something was at or above --fail-on, 3 when what was asked for\n" +
			"could not be looked at.",
		Example: "  minehound scan\n  minehound scan --duration 70s --fail-on exposed\n  minehound scan --pid 4242 --output json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return p.scan(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.duration, "duration", "d", "10s", "how `long` to look")
	flags.IntSliceVar(&f.pids, "pid", nil, "judge only this process; can be repeated")
	flags.StringVarP(&f.output, "output", "o", "table", "table, json, or jsonl: every alert when it is made, then the result")
	flags.StringVar(&f.failOn, "fail-on", "suspected", "the least `verdict` to exit with 1 for: notice, exposed, suspected, mining")
	flags.BoolVar(&f.strict, "strict", false, "exit with 3 when anything could not be seen")
	flags.StringVar(&f.rules, "rules", "", "use the rules in this `directory` beside the built-in ones")
	return cmd
}

// verdictFlag reads a verdict that can be asked for.
func verdictFlag(flag, s string) (incident.Verdict, error) {
	v, err := incident.ParseVerdict(s)
	if err != nil || !slices.Contains(config.Verdicts(), s) {
		return 0, usageError{fmt.Errorf("%s %q is no verdict", flag, s), "use one of " + strings.Join(config.Verdicts(), ", ")}
	}
	return v, nil
}

// judging checks the flags that scan and trace replay have in common and reads the configuration.
func (p *program) judging(failOn, output, rules string) (incident.Verdict, *config.Config, error) {
	v, err := verdictFlag("--fail-on", failOn)
	if err != nil {
		return 0, nil, err
	}
	if !slices.Contains([]string{"table", "json", "jsonl"}, output) {
		return 0, nil, badOutput(output, "table", "json", "jsonl")
	}
	c, err := p.config(ruleFlag(rules)...)
	return v, c, err
}

// ruleFlag is what --rules means: a directory instead of those of the configuration.
func ruleFlag(dir string) []config.Override {
	if dir == "" {
		return nil
	}
	list, err := json.Marshal([]string{dir})
	if err != nil {
		return nil // a string always encodes
	}
	return []config.Override{{Name: "--rules", Key: "rules.dirs", Value: string(list)}}
}

func (p *program) scan(ctx context.Context, f scanFlags) error {
	length, err := config.ParseDuration(f.duration)
	if err != nil || length < 0 {
		return usageError{fmt.Errorf("--duration: %w", err), "write it as 10s, 70s or 15m"}
	}
	if err := checkPIDs(f.pids); err != nil {
		return err
	}
	failOn, c, err := p.judging(f.failOn, f.output, f.rules)
	if err != nil {
		return err
	}
	rs, err := p.ruleset(c, thisOS())
	if err != nil {
		return err
	}
	missing := &missing{pids: f.pids}
	r, stop, err := p.look(ctx, c, rs, length, f.output, missing)
	if err != nil {
		return err
	}
	if err := p.tell(r, f.output); err != nil {
		return err
	}
	if stop != nil {
		return stop
	}
	return p.judge(r, failOn, f.strict, missing.err())
}

// look looks at this machine for that long. stop is why it was ended early, nil when it was not: an interrupted scan tells
// what it has seen so far.
func (p *program) look(
	ctx context.Context, c *config.Config, rs *detect.Ruleset, length time.Duration, output string, missing *missing,
) (r *result, stop, err error) {
	live, done, err := p.live(c, senseOptions(c, true), nil)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	progress := p.progress(length)
	defer progress.stop()

	found := newOutcome(working(rs))
	first, err := agent.Peek(ctx, &agent.Span{Source: live, For: length, Step: c.Look.Every})
	if err != nil {
		return nil, nil, sensing(err)
	}
	line, tracker, err := p.pipeline(rs, allowList(c), first.First.Machine.Identity, os.Getpid())
	if err != nil {
		return nil, nil, err
	}
	line.Source = first
	if output == "jsonl" {
		line.Sink = jsonLines{p}
	}
	line.Only = missing.wants
	line.Watch = func(s *agent.Seen) {
		found.see(s)
		missing.see(s.Snapshot)
	}
	stop = agent.Run(ctx, line)
	if stop != nil && !errors.As(stop, new(interrupted)) {
		return nil, nil, sensing(stop)
	}
	whole := found.finish(tracker.Cases())
	return &whole, stop, nil
}

// judge is how a command ends that came to this result, and could not look at something: what was found counts more, and
// both are told.
func (p *program) judge(r *result, failOn incident.Verdict, strict bool, missing error) error {
	verdict, err := incident.ParseVerdict(r.Verdict)
	if err != nil {
		return err
	}
	switch {
	case verdict >= failOn:
		if missing != nil {
			p.complain(missing, hintFor(missing))
		}
		return foundError{}
	case missing != nil:
		return missing
	case strict && len(r.Gaps) > 0:
		return incompleteError{fmt.Errorf("could not see everything: %s", gapList(r.Gaps)), "leave out --strict to accept that"}
	}
	return nil
}

// pipeline is everything but the ends.
func (p *program) pipeline(rs *detect.Ruleset, allow []incident.Allow, id host.Identity, self int) (agent.Pipeline, *incident.Tracker, error) {
	tracker, err := incident.NewTracker(incident.Options{Host: id, Self: self, Allow: allow})
	if err != nil {
		return agent.Pipeline{}, nil, usageError{fmt.Errorf("allow-list: %w", err), ""}
	}
	return agent.Pipeline{Window: feature.NewWindow(), Detector: detect.New(rs), Tracker: tracker}, tracker, nil
}

// senseOptions is how closely to look, as the configuration says. A scan wants to know about programs that run already.
func senseOptions(c *config.Config, running bool) sense.Options {
	o := sense.DefaultOptions()
	o.SweepMin = min(o.SweepMin, c.Look.Every)
	o.SweepMax = max(c.Look.SweepMax, o.SweepMin)
	o.CPUBudget = float64(c.Look.Budget) / 100
	o.Connector = c.Events
	o.Running = running
	return o
}

// sensing is an error of the sensors, for the user. A request to stop stays what it is.
func sensing(err error) error {
	if errors.As(err, new(interrupted)) {
		return err
	}
	return incompleteError{fmt.Errorf("look at this machine: %w", err), ""}
}

// live looks at the running machine. done frees it.
func (p *program) live(c *config.Config, o sense.Options, failed func(error)) (live *agent.Live, done func(), err error) {
	looker, err := sense.New(o)
	if err != nil {
		return nil, nil, sensing(err)
	}
	live = &agent.Live{Looker: looker, Every: c.Look.Every, Self: &agent.Self{PID: os.Getpid()}, Failed: failed}
	return live, func() {
		live.Stop()
		_ = looker.Close() // the program is about to end, and has told what it saw
	}, nil
}

// tell shows a result.
func (p *program) tell(r *result, output string) error {
	switch output {
	case "json":
		return p.json(r)
	case "jsonl":
		last := struct {
			Schema  string     `json:"schema"`
			Verdict string     `json:"verdict"`
			Gaps    []host.Gap `json:"gaps"`
			Stats   stats      `json:"stats"`
		}{r.Schema, r.Verdict, r.Gaps, r.Stats}
		return p.jsonLine(last)
	default:
		return p.page().result(r, headline(r))
	}
}

// headline is the first line of a result without a case.
func headline(r *result) string {
	if slices.ContainsFunc(r.Gaps, func(g host.Gap) bool { return g.Sensor == "time" }) {
		return "Nothing found so far."
	}
	return "Nothing found."
}

// jsonLines is a sink that writes every alert on stdout, a line each.
type jsonLines struct{ p *program }

func (j jsonLines) Report(_ context.Context, a report.Alert) error { return j.p.jsonLine(a) }

func (p *program) jsonLine(v any) error {
	enc := json.NewEncoder(p.stdout)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// checkPIDs refuses what can be no process.
func checkPIDs(pids []int) error {
	for _, pid := range pids {
		if pid < 1 {
			return usageError{fmt.Errorf("--pid %d: process ids begin at 1", pid), "name a process, as in --pid 4242"}
		}
	}
	return nil
}

// missing are processes that were asked for and have not been seen.
type missing struct {
	pids []int
	seen map[int]bool
}

func (m *missing) wants(s *host.Subject) bool {
	return len(m.pids) == 0 || s.Kind == host.SubjectProcess && slices.Contains(m.pids, s.ID.PID)
}

func (m *missing) see(snap *host.Snapshot) {
	if m.seen == nil {
		m.seen = map[int]bool{}
	}
	for _, pid := range m.pids {
		_, ok := slices.BinarySearchFunc(snap.Processes, pid, func(p host.Process, pid int) int { return p.ID.PID - pid })
		m.seen[pid] = m.seen[pid] || ok
	}
}

func (m *missing) err() error {
	var gone []int
	for _, pid := range m.pids {
		if !m.seen[pid] {
			gone = append(gone, pid)
		}
	}
	switch len(gone) {
	case 0:
		return nil
	case 1:
		return incompleteError{fmt.Errorf("there is no process %d", gone[0]), ""}
	default:
		return incompleteError{fmt.Errorf("there are no processes %v", gone), ""}
	}
}

// progress shows on a terminal how long it still takes.
type progress struct {
	p     *program
	halt  chan struct{}
	ended chan struct{}
}

func (p *program) progress(length time.Duration) *progress {
	g := &progress{p: p, halt: make(chan struct{}), ended: make(chan struct{})}
	if !isTerminal(p.stderr) || p.getenv("TERM") == "dumb" {
		close(g.ended)
		return g
	}
	go g.run(length)
	return g
}

func (g *progress) run(length time.Duration) {
	defer close(g.ended)
	begin := time.Now()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		left := max(length-time.Since(begin), 0)
		fmt.Fprintf(g.p.stderr, "\rlooking, %s left \x1b[K", spell(left+time.Second/2))
		select {
		case <-g.halt:
			fmt.Fprint(g.p.stderr, "\r\x1b[K")
			return
		case <-tick.C:
		}
	}
}

// stop removes the line. It may be called again.
func (g *progress) stop() {
	select {
	case <-g.halt:
	default:
		close(g.halt)
	}
	<-g.ended
}
