package report

import (
	"context"
	"sync"

	"github.com/minehound/minehound/agent/host"
	"github.com/minehound/minehound/agent/incident"
)

// Gate lets only some alerts through to a sink. See [AtLeast].
type Gate struct {
	least incident.Verdict
	sink  Sink

	mu     sync.Mutex
	passed map[string]bool // ids of cases that went through
	order  []string        // the same, oldest first
}

// mostPassed bounds what a Gate remembers. A forgotten case only misses being told that it was allowed.
const mostPassed = 4096

// AtLeast passes on alerts with that verdict or a stronger one. Three things go beyond the verdict: every later revision
// of a case that went through once goes through too, so that whoever was told of its opening is told of its end; an
// allowed case does not (it is kept and shown, never paged); an alert about the machine always does, and so does one
// whose verdict is not known here. AtLeast(incident.Clean, s) passes everything.
func AtLeast(least incident.Verdict, s Sink) *Gate {
	return &Gate{least: least, sink: s, passed: map[string]bool{}}
}

// Report passes a on, or does nothing.
func (g *Gate) Report(ctx context.Context, a Alert) error {
	if g.sink == nil || !g.pass(a) {
		return nil
	}
	return g.sink.Report(ctx, a)
}

func (g *Gate) pass(a Alert) bool {
	v, err := incident.ParseVerdict(a.Verdict)
	meant := err != nil || a.Subject.Kind == host.SubjectHost || v >= g.least && a.Allowed == nil
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.least == incident.Clean || g.passed[a.ID] {
		return true
	}
	if !meant {
		return false
	}
	g.passed[a.ID] = true
	g.order = append(g.order, a.ID)
	if len(g.order) > mostPassed {
		delete(g.passed, g.order[0])
		g.order = g.order[1:]
	}
	return true
}

// Close closes the sink.
func (g *Gate) Close(ctx context.Context) error {
	if c, ok := g.sink.(Closer); ok {
		return c.Close(ctx)
	}
	return nil
}

// Leave closes the sink and gives back what it left, see [Leaver].
func (g *Gate) Leave(ctx context.Context) ([]Alert, error) {
	if l, ok := g.sink.(Leaver); ok {
		return l.Leave(ctx)
	}
	return nil, g.Close(ctx)
}

// Stats are the sink's.
func (g *Gate) Stats() []Stats {
	if t, ok := g.sink.(Teller); ok {
		return t.Stats()
	}
	return nil
}
