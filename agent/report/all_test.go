package report

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minehound/minehound/agent/host"
	"github.com/minehound/minehound/agent/incident"
)

// sinkFunc is a sink made of a function.
type sinkFunc func(ctx context.Context, a Alert) error

func (f sinkFunc) Report(ctx context.Context, a Alert) error { return f(ctx, a) }

// closing is a sink that also wants to be closed.
type closing struct {
	sinkFunc
	close func(ctx context.Context) error
}

func (c closing) Close(ctx context.Context) error { return c.close(ctx) }

func TestAllSlowSinkHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var quick []string
		var slow []string
		var n notes
		m := All(AllOptions{Queue: 3, Tell: n.tell},
			sinkFunc(func(ctx context.Context, a Alert) error {
				select {
				case <-time.After(time.Hour):
					slow = append(slow, a.ID)
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}),
			nil,
			sinkFunc(func(_ context.Context, a Alert) error { quick = append(quick, a.ID); return nil }))
		start := time.Now()
		for i, severity := range []string{"high", "high", "low", "critical", "high", "info"} {
			_ = m.Report(t.Context(), plainAlert(fmt.Sprint(i), 1, severity))
			synctest.Wait()
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("reporting took %v", d)
		}
		if want := []string{"0", "1", "2", "3", "4", "5"}; !slices.Equal(quick, want) {
			t.Errorf("the quick sink got %v", quick)
		}
		// The slow one has 0 in hand and room for three: the low one went for 4, and the info for itself.
		st := m.Stats()
		if len(st) != 2 || st[0].Queued != 4 || st[0].Dropped != 2 || st[1].Delivered != 6 || st[0].Sink != "sink 1" || st[1].Sink != "sink 3" {
			t.Errorf("%+v", st)
		}
		if n.count(NoteDropped) != 2 || n.list[0].Alert != "2" || n.list[1].Alert != "5" {
			t.Errorf("told %v", n.list)
		}

		short, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := m.Flush(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("flushed: %v", err)
		}
		if err := m.Flush(t.Context()); err != nil || !slices.Equal(slow, []string{"0", "1", "3", "4"}) {
			t.Errorf("flushed: %v, the slow sink got %v", err, slow)
		}
		if err := m.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := m.Report(t.Context(), plainAlert("late", 1, "high")); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestAllTellsFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n notes
		m := All(AllOptions{Tell: n.tell}, sinkFunc(func(context.Context, Alert) error { return errors.New("no luck") }))
		if err := m.Report(t.Context(), plainAlert("a", 1, "high")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if st := m.Stats()[0]; st.Failed != 1 || st.LastError != "no luck" || st.LastErrorAt.IsZero() || n.count(NoteFailed) != 1 {
			t.Errorf("%+v, told %v", st, n.list)
		}
		if err := m.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestAllCloseEndsByItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n notes
		release := make(chan struct{})
		closed := 0
		m := All(AllOptions{Tell: n.tell},
			closing{
				sinkFunc(func(context.Context, Alert) error { <-release; return nil }), // deaf to its context
				func(context.Context) error { closed++; return errors.New("was busy") },
			})
		for i := range 5 {
			if err := m.Report(t.Context(), plainAlert(fmt.Sprint(i), 1, "high")); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		err := m.Close(ctx)
		if d := time.Since(start); d != 5*time.Second || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("closed after %v: %v", d, err)
		}
		if st := m.Stats()[0]; st.Dropped != 4 || n.count(NoteDropped) != 1 || n.list[0].Count != 4 {
			t.Errorf("%+v, told %v", st, n.list)
		}
		close(release)
		synctest.Wait()
		if err := m.Close(t.Context()); err == nil || closed != 1 {
			t.Errorf("closed %d times, second: %v", closed, err)
		}
	})
}

func TestAtLeast(t *testing.T) {
	type step struct {
		id, verdict string
		status      incident.Status
		kind        host.SubjectKind
		allowed     bool
		want        bool
	}
	const p = host.SubjectProcess
	for name, c := range map[string]struct {
		least incident.Verdict
		steps []step
	}{
		"by verdict": {incident.Suspected, []step{
			{"a", "notice", "open", p, false, false}, {"b", "exposed", "open", p, false, false},
			{"c", "suspected", "open", p, false, true}, {"d", "mining", "open", p, false, true},
		}},
		"everything": {incident.Clean, []step{{"a", "clean", "open", p, false, true}, {"b", "mining", "open", p, true, true}}},
		"grows":      {incident.Suspected, []step{{"a", "notice", "open", p, false, false}, {"a", "suspected", "updated", p, false, true}}},
		"told of its end": {incident.Mining, []step{
			{"a", "mining", "open", p, false, true}, {"a", "notice", "closed", p, false, true}, {"b", "notice", "closed", p, false, false},
		}},
		"allowed is not paged":       {incident.Notice, []step{{"a", "mining", "open", p, true, false}, {"a", "mining", "closed", p, true, false}}},
		"allowed after it was paged": {incident.Notice, []step{{"a", "mining", "open", p, false, true}, {"a", "mining", "updated", p, true, true}}},
		"the machine always":         {incident.Mining, []step{{"a", "clean", "open", host.SubjectHost, false, true}}},
		"a verdict of tomorrow":      {incident.Mining, []step{{"a", "stealing", "open", p, false, true}}},
	} {
		t.Run(name, func(t *testing.T) {
			passed := 0
			g := AtLeast(c.least, sinkFunc(func(context.Context, Alert) error { passed++; return nil }))
			for i, s := range c.steps {
				a := plainAlert(s.id, i+1, "high")
				a.Verdict, a.Status, a.Subject.Kind = s.verdict, s.status, s.kind
				if s.allowed {
					a.Allowed = &incident.Allowance{Reason: "x"}
				}
				before := passed
				if err := g.Report(t.Context(), a); err != nil {
					t.Fatal(err)
				}
				if got := passed > before; got != s.want {
					t.Errorf("step %d: passed %v, want %v", i, got, s.want)
				}
			}
		})
	}
}

func TestAtLeastForgets(t *testing.T) {
	g := AtLeast(incident.Notice, sinkFunc(func(context.Context, Alert) error { return nil }))
	for i := range 3 * mostPassed {
		if err := g.Report(t.Context(), plainAlert(fmt.Sprint(i), 1, "high")); err != nil {
			t.Fatal(err)
		}
	}
	if len(g.passed) != mostPassed || len(g.order) != mostPassed {
		t.Errorf("remembers %d and %d", len(g.passed), len(g.order))
	}
}
