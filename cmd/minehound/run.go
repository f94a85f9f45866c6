package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/minehound/minehound/agent"
	"github.com/minehound/minehound/agent/config"
	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/feature"
	"github.com/minehound/minehound/agent/host"
	"github.com/minehound/minehound/agent/incident"
	"github.com/minehound/minehound/agent/report"
	"github.com/minehound/minehound/agent/store"
)

func (p *program) runCommand() *cobra.Command {
	return &cobra.Command{
		Use: "run", Short: "watch this machine until told to stop: the service, in the foreground", Args: noArgs,
		Long: "Watches this machine, writes the alert log and posts to the webhooks. The configuration and the rules are read\n" +
			"again on SIGHUP and when their files change; what cannot be honoured then leaves the last good ones in force.\n" +
			"SIGTERM and Ctrl-C end it cleanly.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := p.serve(cmd.Context())
			if errors.As(err, new(interrupted)) {
				return nil // being told to stop is how a service ends
			}
			return err
		},
	}
}

// service is the running agent.
type service struct {
	p       *program
	log     zerolog.Logger
	config  *config.Config
	plan    *plan // of the sinks in force
	sinks   *exchange
	store   *store.Store
	changes chan agent.Change
	blind   map[string]blindness // by sensor
}

func (p *program) serve(ctx context.Context) (err error) {
	signal.Ignore(syscall.SIGPIPE) // a log reader that goes away must not end the service
	s := &service{p: p, log: p.log(), changes: make(chan agent.Change, 1), blind: map[string]blindness{}}
	if s.config, err = p.config(); err != nil {
		return err
	}
	rs, err := p.ruleset(s.config, thisOS())
	if err != nil {
		return err
	}
	for _, w := range s.config.Warnings {
		s.log.Warn().Msg(w)
	}
	if s.store, err = store.Open(s.config.StateDir); err != nil {
		return ownPlaces(fmt.Errorf("state: %w", err))
	}
	defer func() { err = errors.Join(err, s.store.Close()) }()
	if s.plan, err = p.planSinks(s.config, s.log); err != nil {
		return ownPlaces(err)
	}
	opened, err := s.plan.sinks()
	s.sinks = &exchange{now: opened}
	defer func() { s.closeSinks() }()
	if err != nil {
		return err
	}
	line, done, err := s.prepare(ctx, rs)
	if err != nil {
		return err
	}
	defer done()
	p.slim()
	c := s.config // from here on the one in force is the reloader's
	defer s.watch(ctx)()
	s.log.Info().Str("version", readVersion().Version).Int("rules", working(rs)).Strs("config", c.Files).
		Str("alerts", c.Log.Path).Int("webhooks", len(c.Webhooks)).Msg("watching")
	err = agent.Run(ctx, line)
	s.log.Info().AnErr("why", err).Msg("stopping")
	return err
}

// slim keeps the service small: what compiling rules and the first look left behind goes back to the system, and garbage
// is collected at half as much growth as usual, which at its low rate of allocation costs next to nothing. Whoever set
// GOGC or GOMEMLIMIT knows better.
func (p *program) slim() {
	if p.getenv("GOGC") == "" && p.getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(50)
	}
	debug.FreeOSMemory()
}

// ownPlaces tells whoever is not permitted what would be.
func ownPlaces(err error) error {
	if !errors.Is(err, fs.ErrPermission) || runtime.GOOS == "windows" {
		return err
	}
	return usageError{err, "run it as root, or with places of your own: --set state_dir=$HOME/.minehound --set log.path=$HOME/.minehound/alerts.jsonl"}
}

// prepare takes the first look and builds everything that needs to know the machine.
func (s *service) prepare(ctx context.Context, rs *detect.Ruleset) (agent.Pipeline, func(), error) {
	var none agent.Pipeline
	live, done, err := s.p.live(s.config, senseOptions(s.config, true), func(err error) { s.log.Error().Err(err).Msg("a look failed") })
	if err != nil {
		return none, nil, err
	}
	first, err := agent.Peek(ctx, live)
	if err != nil {
		done()
		return none, nil, sensing(err)
	}
	line, tracker, err := s.p.pipeline(rs, allowList(s.config), first.First.Machine.Identity, os.Getpid())
	if err != nil {
		done()
		return none, nil, err
	}
	s.restore(line.Window, tracker)
	line.Source, line.Sink, line.Changes = first, s.sinks, s.changes
	line.Save, line.Watch = s.save, s.see
	line.Trouble = func(err error) { s.log.Error().Err(err).Msg("trouble") }
	return line, done, nil
}

// The documents in the store. The version of one goes up when an older program could not read it.
const (
	windowDocument, windowVersion = "window", 1
	casesDocument, casesVersion   = "cases", 1
)

// restore goes on where the last run ended. What cannot be read is told and begun anew.
func (s *service) restore(w *feature.Window, t *incident.Tracker) {
	var window feature.State
	if loadDocument(s, windowDocument, windowVersion, &window) {
		if err := w.Restore(window); err != nil {
			s.log.Error().Err(err).Msg("the long windows begin anew")
		}
	}
	var cases incident.State
	if loadDocument(s, casesDocument, casesVersion, &cases) {
		if err := t.Restore(cases); err != nil {
			s.log.Error().Err(err).Msg("the open cases are lost")
		}
	}
}

func loadDocument[T any](s *service, name string, version int, v *T) bool {
	warning, err := store.Load(s.store, name, version, v)
	if warning != nil {
		s.log.Error().Err(warning.Reason).Str("document", warning.Name).Str("kept_as", warning.Moved).Msg("a damaged document was set aside")
	}
	if err != nil && !errors.Is(err, store.ErrAbsent) {
		s.log.Error().Err(err).Str("document", name).Msg("saved state cannot be used")
	}
	return err == nil
}

// save keeps the state. A case that was saved is not told again after a restart, so its alerts must be safe first; when
// the sinks do not take them in time, the cases stay as they were saved before, and the next save tries again.
func (s *service) save(st agent.State) error {
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	err := store.Save(s.store, windowDocument, windowVersion, &st.Window)
	if late := s.sinks.Flush(ctx); late != nil {
		return errors.Join(err, fmt.Errorf("the cases are not saved before their alerts are: %w", late))
	}
	return errors.Join(err, store.Save(s.store, casesDocument, casesVersion, &st.Cases))
}

// see logs what changed.
func (s *service) see(seen *agent.Seen) {
	for i := range seen.Changed {
		in := &seen.Changed[i]
		event := s.log.Info()
		if in.Verdict >= incident.Exposed && in.Allowed == nil && in.Status != incident.Closed {
			event = s.log.Warn()
		}
		event.Str("case", in.ID).Str("status", string(in.Status)).Stringer("verdict", in.Verdict).
			Float64("score", incident.Score(in.Sum.Total)).Int("pid", in.Subject.ID.PID).
			Str("name", report.Clean(in.Subject.Name, 64)).Str("exe", report.Clean(in.Subject.Exe, 256)).
			Bool("allowed", in.Allowed != nil).Msg("case " + string(in.Status))
	}
	s.tellGaps(seen.Snapshot.At, seen.Snapshot.Gaps)
}

// How often a sensor that cannot see is logged, and for how long it must see before that is.
const (
	gapAgain = time.Hour
	gapGone  = 10 * time.Minute
)

// blindness is what was logged about a sensor that cannot see.
type blindness struct{ told, last time.Time }

// tellGaps logs sensors that cannot see. Some fail for a moment every now and then, which is no news.
func (s *service) tellGaps(at time.Time, gaps []host.Gap) {
	for _, g := range gaps {
		b, known := s.blind[g.Sensor]
		if !known || at.Sub(b.told) >= gapAgain {
			s.log.Warn().Str("sensor", g.Sensor).Str("reason", report.Clean(g.Reason, 400)).Msg("cannot see")
			b.told = at
		}
		b.last = at
		s.blind[g.Sensor] = b
	}
	for _, sensor := range slices.Sorted(maps.Keys(s.blind)) {
		if at.Sub(s.blind[sensor].last) >= gapGone {
			s.log.Info().Str("sensor", sensor).Msg("can see again")
			delete(s.blind, sensor)
		}
	}
}

// watch reads the configuration again whenever that is asked for. What it returns ends that.
func (s *service) watch(ctx context.Context) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	w, err := newWatcher(s.targets())
	if err != nil {
		s.log.Error().Err(err).Msg("changed files are not noticed; SIGHUP still works")
		w = &watcher{changed: make(chan struct{})}
	}
	done := make(chan struct{}, 2)
	go func() {
		defer func() { done <- struct{}{} }()
		if w.notify != nil {
			w.run(ctx, func(err error) { s.log.Error().Err(err).Msg("watching files") })
		}
	}()
	go func() {
		defer func() { done <- struct{}{} }()
		for {
			why := "files changed"
			select {
			case <-ctx.Done():
				return
			case <-hup:
				why = "SIGHUP"
				if err := s.sinks.reopenLog(); err != nil {
					s.log.Error().Err(err).Msg("alert log")
				}
			case <-w.changed:
			}
			s.reload(why)
			w.retarget(s.targets())
		}
	}()
	return func() {
		signal.Stop(hup)
		cancel()
		<-done
		<-done
		if w.notify != nil {
			_ = w.close() // nothing is watched any more
		}
	}
}

// targets is what a change of must be noticed.
func (s *service) targets() []string {
	return slices.Concat(s.config.Files, s.config.Dirs, s.config.Rules.Dirs, secretFiles(s.config))
}

// reload reads configuration and rules again and puts them in force between two looks; when anything in them cannot be
// honoured, everything stays as it is.
func (s *service) reload(why string) {
	c, err := s.p.config()
	if err != nil {
		s.refused(why, err)
		return
	}
	rs, err := s.p.ruleset(c, thisOS())
	if err != nil {
		s.refused(why, err)
		return
	}
	allow := allowList(c)
	if _, err := incident.NewTracker(incident.Options{Allow: allow}); err != nil {
		s.refused(why, err)
		return
	}
	if s.config.Look != c.Look || s.config.Events != c.Events || s.config.StateDir != c.StateDir {
		s.log.Warn().Msg("look, events and state_dir take effect at the next start")
		c.StateDir = s.config.StateDir
	}
	if err := s.exchangeSinks(c); err != nil {
		s.refused(why, err)
		return
	}
	select {
	case <-s.changes: // one that was not taken over yet
	default:
	}
	s.changes <- agent.Change{Detector: detect.New(rs), Allow: allow}
	for _, w := range c.Warnings {
		s.log.Warn().Msg(w)
	}
	s.config = c
	s.log.Info().Str("why", why).Int("rules", working(rs)).Strs("config", c.Files).Msg("configuration and rules read again")
}

// exchangeSinks puts the sinks of c in force where they are others. An error leaves everything as it is.
func (s *service) exchangeSinks(c *config.Config) error {
	next, err := s.p.planSinks(c, s.log)
	if err != nil {
		return err
	}
	if next.same(s.plan) {
		return next.drop()
	}
	s.plan = next
	if err := s.sinks.swap(next.sinks); err != nil {
		s.log.Error().Err(err).Msg("exchanging sinks")
	}
	return nil
}

func (s *service) refused(why string, err error) {
	var errs config.Errors
	if errors.As(err, &errs) {
		for _, e := range errs {
			s.log.Error().Str("why", why).Str("hint", e.Hint).Err(e).Msg("the last good configuration stays in force")
		}
		return
	}
	s.log.Error().Str("why", why).Str("hint", hintFor(err)).Err(err).Msg("the last good configuration stays in force")
}

// closeSinks brings home what is queued, and tells what could not be.
func (s *service) closeSinks() {
	begin := time.Now()
	if err := s.sinks.close(); err != nil {
		s.log.Error().Err(err).Msg("closing sinks")
	}
	for _, st := range s.sinks.now.all.Stats() {
		s.log.Info().Str("sink", st.Sink).Uint64("delivered", st.Delivered).Int("waiting", st.Queued).
			Uint64("dropped", st.Dropped).Msg("sink closed")
	}
	s.log.Info().Dur("took", time.Since(begin)).Msg("stopped")
}
