package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/minehound/minehound/agent"
	"github.com/minehound/minehound/agent/config"
	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/host"
	"github.com/minehound/minehound/agent/trace"
)

func (p *program) traceCommand() *cobra.Command {
	return group("trace", "record what this machine does, and judge a recording", p.traceRecord(), p.traceReplay())
}

func (p *program) traceRecord() *cobra.Command {
	var duration string
	var pids []int
	cmd := &cobra.Command{
		Use: "record FILE", Short: "record what the sensors see", Args: args(cobra.ExactArgs(1)),
		Long: "Records every look into FILE, compressed when its name ends in .gz. Arguments are masked as everywhere: a\n" +
			"recording holds no passwords, but it does hold the names and paths of what runs here. Ctrl-C ends it cleanly.",
		Example: "  minehound trace record busy.jsonl.gz --duration 2m",
		RunE: func(cmd *cobra.Command, list []string) error {
			length, err := config.ParseDuration(duration)
			if err != nil {
				return usageError{fmt.Errorf("--duration: %w", err), "write it as 30s, 2m or 1h"}
			}
			if err := checkPIDs(pids); err != nil {
				return err
			}
			return p.record(cmd.Context(), list[0], length, pids)
		},
	}
	cmd.Flags().StringVarP(&duration, "duration", "d", "1m", "how `long` to record")
	cmd.Flags().IntSliceVar(&pids, "pid", nil, "record only this process and those above it; can be repeated")
	return cmd
}

func (p *program) record(ctx context.Context, name string, length time.Duration, pids []int) (err error) {
	c, err := p.config()
	if err != nil {
		return err
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	defer func() {
		if e := file.Close(); e != nil && err == nil {
			err = fmt.Errorf("trace: %w", e)
		}
	}()
	live, done, err := p.live(c, senseOptions(c, true), nil)
	if err != nil {
		return err
	}
	defer done()
	progress := p.progress(length)
	defer progress.stop()
	missing := &missing{pids: pids}
	source := &agent.Span{Source: live, For: length, Step: c.Look.Every}
	looks, stop, err := p.write(ctx, file, filepath.Ext(name) == ".gz", source, missing)
	progress.stop()
	if err != nil {
		return fmt.Errorf("trace %s: %w", name, err)
	}
	if looks == 0 {
		return stop
	}
	if err := missing.err(); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(p.stderr, "recorded %s, %s\n", count(looks, "look", "looks"), spell(source.Watched())); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// write records the source until it ends. stop is why it was ended early, nil when it was not.
func (p *program) write(ctx context.Context, to io.Writer, compress bool, source agent.Source, m *missing) (looks int, stop, err error) {
	w := trace.NewWriter(to, trace.Options{Gzip: compress, Agent: readVersion().Version})
	for {
		snap, err := source.Next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return looks, nil, w.Close()
		case errors.As(err, new(interrupted)):
			return looks, err, w.Close()
		case err != nil:
			return looks, nil, errors.Join(sensing(err), w.Close())
		}
		m.see(snap)
		if err := w.Write(only(snap, m.pids)); err != nil {
			return looks, nil, err
		}
		looks++
	}
}

// only is the Snapshot reduced to some processes and their ancestors.
func only(snap *host.Snapshot, pids []int) *host.Snapshot {
	if len(pids) == 0 {
		return snap
	}
	parent := map[int]int{}
	for i := range snap.Processes {
		parent[snap.Processes[i].ID.PID] = snap.Processes[i].Parent
	}
	keep := map[int]bool{}
	for _, pid := range pids {
		for ; pid != 0 && !keep[pid]; pid = parent[pid] {
			keep[pid] = true
		}
	}
	out := *snap
	out.Processes = slices.DeleteFunc(slices.Clone(snap.Processes), func(p host.Process) bool { return !keep[p.ID.PID] })
	out.Events = slices.DeleteFunc(slices.Clone(snap.Events), func(e host.Event) bool { return !keep[e.ID.PID] })
	return &out
}

type replayFlags struct {
	rules, output, tile, failOn string
	only                        bool
}

func (p *program) traceReplay() *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use: "replay FILE", Short: "judge a recording as if it happened now", Args: args(cobra.ExactArgs(1)),
		Long: "Judges a recording with the rules of today. The same recording and the same rules give the same alerts, byte\n" +
			"for byte. --tile repeats it until it is that long, so that the long windows are tried too.",
		Example: "  minehound trace replay busy.jsonl.gz\n  minehound trace replay busy.jsonl.gz --rules ./rules --tile 2h",
		RunE:    func(cmd *cobra.Command, list []string) error { return p.replay(cmd.Context(), list[0], f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.rules, "rules", "", "use the rules in this `directory` beside the built-in ones")
	flags.BoolVar(&f.only, "only", false, "use the rules of --rules alone")
	flags.StringVarP(&f.output, "output", "o", "table", "table, json, or jsonl: every alert as it would have been told")
	flags.StringVar(&f.tile, "tile", "", "repeat the recording until it is this `long`")
	flags.StringVar(&f.failOn, "fail-on", "suspected", "the least `verdict` to exit with 1 for: notice, exposed, suspected, mining")
	return cmd
}

func (p *program) replay(ctx context.Context, name string, f replayFlags) error {
	failOn, c, err := p.judging(f.failOn, f.output, f.rules)
	if err != nil {
		return err
	}
	source, done, err := p.recording(name, f.tile)
	if err != nil {
		return err
	}
	defer done()
	first, err := agent.Peek(ctx, source)
	if err != nil {
		return emptyTrace(name, err)
	}
	id := first.First.Machine.Identity
	rs, err := p.replayRules(c, f, id.OS)
	if err != nil {
		return err
	}
	line, tracker, err := p.pipeline(rs, allowList(c), id, 0)
	if err != nil {
		return err
	}
	found := newOutcome(working(rs))
	line.Source, line.Watch = first, found.see
	if f.output == "jsonl" {
		line.Sink = jsonLines{p}
	}
	stop := agent.Run(ctx, line) // what was whole is told, then what was wrong
	r := found.finish(tracker.Cases())
	if err := p.tell(&r, f.output); err != nil {
		return err
	}
	switch {
	case errors.As(stop, new(interrupted)):
		return stop
	case stop != nil:
		stop = traceError(name, stop)
	}
	return p.judge(&r, failOn, false, stop)
}

func (p *program) replayRules(c *config.Config, f replayFlags, goos string) (*detect.Ruleset, error) {
	if goos == "" {
		goos = thisOS()
	}
	if !f.only {
		return p.ruleset(c, goos)
	}
	if f.rules == "" {
		return nil, usageError{errors.New("--only needs --rules"), "name the directory that the rules are in"}
	}
	s, _, err := ruleDir(f.rules, config.Origin{Layer: config.Flag, Name: "--rules"})
	if err != nil {
		return nil, err
	}
	rs, err := detect.Load(s)
	if err != nil {
		return nil, ruleError(err)
	}
	return rs.For(goos), nil
}

// recording opens a trace, repeated until it is tile long where that is given.
func (p *program) recording(name, tile string) (source agent.Source, done func(), err error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, nil, fmt.Errorf("trace: %w", err)
	}
	done = func() { _ = file.Close() } // only read from
	if info, err := file.Stat(); err == nil && info.IsDir() {
		done()
		return nil, nil, usageError{fmt.Errorf("trace %s: is a directory", name), "name one recording"}
	}
	if tile == "" {
		r, err := trace.NewReader(file)
		if err != nil {
			done()
			return nil, nil, emptyTrace(name, err)
		}
		return r, done, nil
	}
	length, err := config.ParseDuration(tile)
	if err != nil {
		done()
		return nil, nil, usageError{fmt.Errorf("--tile: %w", err), "write it as 2h"}
	}
	t, err := trace.Tile(file, length)
	if err != nil {
		done()
		return nil, nil, emptyTrace(name, err)
	}
	return t, done, nil
}

// emptyTrace is what is wrong with a recording of which nothing could be judged.
func emptyTrace(name string, err error) error {
	if errors.Is(err, trace.ErrTruncated) {
		return incompleteError{fmt.Errorf("trace %s: %w", name, err), "there is not one whole look in it: record it again"}
	}
	return traceError(name, err)
}

// traceError is what is wrong with a recording, for the user.
func traceError(name string, err error) error {
	switch {
	case errors.As(err, new(interrupted)):
		return err
	case errors.Is(err, trace.ErrTruncated):
		return incompleteError{fmt.Errorf("trace %s: %w", name, err), "what came before the cut was judged; record it again for the rest"}
	case errors.Is(err, trace.ErrSchema):
		return usageError{fmt.Errorf("trace %s: %w", name, err), "minehound trace record makes one"}
	case errors.As(err, new(*trace.Error)):
		return incompleteError{fmt.Errorf("trace %s: %w", name, err), "what came before that line was judged"}
	}
	return fmt.Errorf("trace %s: %w", name, err)
}
