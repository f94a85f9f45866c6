package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/feature"
	"github.com/minehound/minehound/agent/host"
	"github.com/minehound/minehound/agent/incident"
	"github.com/minehound/minehound/agent/report"
)

// SaveEvery is how much of the long windows a crash may cost. Cases are saved whenever they change.
const SaveEvery = time.Minute

// Pipeline is what a Run is made of. Source, Window, Detector and Tracker are needed.
type Pipeline struct {
	Source   Source
	Window   *feature.Window
	Detector *detect.Detector
	Tracker  *incident.Tracker
	Sink     report.Sink // nil tells nobody

	// Only tells whether findings about a subject count; nil counts all.
	Only func(*host.Subject) bool
	// Changes brings new rules and a new allow-list, which are taken over between two looks. What was seen and the open
	// cases stay.
	Changes <-chan Change
	// Save keeps what must survive a restart; nil keeps nothing. It runs beside the loop, one call at a time.
	Save func(State) error
	// Watch is told about every look after it was judged; nil tells nobody. What it is given is valid until it returns.
	Watch func(*Seen)
	// Trouble is told what went wrong without ending the Run; nil tells nobody. It must be safe for concurrent use.
	Trouble func(error)
}

// Change is what can be exchanged while the agent runs.
type Change struct {
	Detector *detect.Detector
	Allow    []incident.Allow
}

// State is what must survive a restart.
type State struct {
	Window feature.State
	Cases  incident.State
}

// Seen is one look and what came of it.
type Seen struct {
	Snapshot *host.Snapshot
	Look     *feature.Look
	Changed  []incident.Incident
}

// Run takes Snapshots until the Source ends, which is no error, or until ctx does: then it returns the cause. Either way
// the state was saved. A sink that fails does not end it.
func Run(ctx context.Context, p Pipeline) error {
	var k *keeper
	if p.Save != nil {
		k = p.startKeeper()
	}
	err := p.loop(ctx, k)
	if k != nil {
		k.last(p.state())
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (p *Pipeline) loop(ctx context.Context, k *keeper) error {
	var saved time.Duration // Uptime of the last save
	for first := true; ; first = false {
		p.change()
		snap, err := p.Source.Next(ctx)
		if err != nil {
			return err
		}
		changed := p.step(ctx, snap)
		if first {
			saved = snap.Uptime
		}
		if k != nil && (changed || snap.Uptime-saved >= SaveEvery || snap.Uptime < saved) {
			saved = snap.Uptime
			k.keep(p.state())
		}
	}
}

// step takes one Snapshot through every stage and tells whether a case changed.
func (p *Pipeline) step(ctx context.Context, snap *host.Snapshot) bool {
	look := p.Window.Add(snap)
	found := p.Detector.Judge(look)
	if p.Only != nil {
		kept := found[:0]
		for i := range found {
			if p.Only(&found[i].Subject) {
				kept = append(kept, found[i])
			}
		}
		found = kept
	}
	changed := p.Tracker.Update(look, found)
	for _, in := range changed {
		if p.Sink == nil {
			break
		}
		// A stop must not tear an alert from a sink that is about to keep it.
		alert := report.NewAlert(in, snap.Machine.Identity, snap.Gaps)
		if err := p.Sink.Report(context.WithoutCancel(ctx), alert); err != nil {
			p.trouble(fmt.Errorf("report case %s: %w", in.ID, err))
		}
	}
	if p.Watch != nil {
		p.Watch(&Seen{snap, look, changed})
	}
	return len(changed) > 0
}

func (p *Pipeline) change() {
	select {
	case c := <-p.Changes:
		if err := p.Tracker.SetAllow(c.Allow); err != nil {
			p.trouble(fmt.Errorf("allow-list: %w", err))
			return
		}
		p.Detector = c.Detector
	default:
	}
}

func (p *Pipeline) state() State { return State{p.Window.State(), p.Tracker.State()} }

func (p *Pipeline) trouble(err error) {
	if p.Trouble != nil {
		p.Trouble(err)
	}
}

// keeper saves states beside the loop, so that a disk that hangs does not blind the agent. Only the newest state waits.
type keeper struct {
	states chan State
	done   chan struct{}
}

func (p *Pipeline) startKeeper() *keeper {
	k := &keeper{states: make(chan State, 1), done: make(chan struct{})}
	go func() {
		defer close(k.done)
		for s := range k.states {
			if err := p.Save(s); err != nil {
				p.trouble(fmt.Errorf("save state: %w", err))
			}
		}
	}()
	return k
}

func (k *keeper) keep(s State) {
	select {
	case <-k.states: // an older one that nobody has got to yet
	default:
	}
	k.states <- s
}

// last saves s as the last state, and waits until it is saved.
func (k *keeper) last(s State) {
	k.keep(s)
	close(k.states)
	<-k.done
}
