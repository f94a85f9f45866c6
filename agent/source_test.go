package agent

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minehound/minehound/agent/host"
)

// lookerFunc is a Looker that a test makes up.
type lookerFunc func(ctx context.Context) (*host.Snapshot, error)

func (f lookerFunc) Look(ctx context.Context) (*host.Snapshot, error) { return f(ctx) }

func TestLiveKeepsThePace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var at []time.Duration
		slow := map[int]time.Duration{3: 5 * time.Second} // one look takes longer than two ticks
		live := &Live{Every: 2 * time.Second, Looker: lookerFunc(func(context.Context) (*host.Snapshot, error) {
			at = append(at, time.Since(start))
			time.Sleep(slow[len(at)])
			return &host.Snapshot{Uptime: time.Since(start)}, nil
		})}
		defer live.Stop()
		for range 6 {
			if _, err := live.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		// The late look is followed by the one tick that was kept, then the pace is as before: no burst catches up.
		want := []time.Duration{0, 2 * time.Second, 4 * time.Second, 9 * time.Second, 10 * time.Second, 12 * time.Second}
		if !slices.Equal(at, want) {
			t.Errorf("looked at %v, want %v", at, want)
		}
	})
}

func TestLiveStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		live := &Live{Every: 2 * time.Second, Looker: lookerFunc(func(context.Context) (*host.Snapshot, error) {
			return &host.Snapshot{}, nil
		})}
		defer live.Stop()
		if _, err := live.Next(ctx); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		time.AfterFunc(500*time.Millisecond, func() { cancel(why) })
		if _, err := live.Next(ctx); !errors.Is(err, why) {
			t.Errorf("error %v, want the cause", err)
		}
		if waited := time.Since(start); waited != 500*time.Millisecond {
			t.Errorf("stopped after %v, not at once", waited)
		}
	})
}

func TestLiveIsPatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("no descriptors")
		var told, looks int
		failing := func(n int) bool { return n <= 3 || n >= 5 }
		live := &Live{
			Every:  time.Second,
			Failed: func(error) { told++ },
			Looker: lookerFunc(func(context.Context) (*host.Snapshot, error) {
				if looks++; failing(looks) {
					return nil, broken
				}
				return &host.Snapshot{}, nil
			}),
		}
		defer live.Stop()
		if _, err := live.Next(t.Context()); err != nil || told != 3 {
			t.Errorf("a shortage that passes: %v, told %d times", err, told)
		}
		start := time.Now()
		if _, err := live.Next(t.Context()); !errors.Is(err, broken) {
			t.Errorf("a machine that cannot be looked at: %v", err)
		}
		if waited := time.Since(start); waited != patience*time.Second {
			t.Errorf("gave up after %v", waited)
		}
	})
}

func TestSelfIsLeftOut(t *testing.T) {
	file := host.FileID{Dev: 1, Ino: 7}
	process := func(pid int, name string, exe host.FileID) host.Process {
		return host.Process{ID: host.ProcID{PID: pid, Born: uint64(pid)}, Name: name, Detail: &host.Detail{ExeFile: exe}}
	}
	snap := &host.Snapshot{
		Processes: []host.Process{
			process(1, "init", host.FileID{Dev: 1, Ino: 1}),
			process(10, "minehound", file),                        // this one
			process(11, "renamed", file),                          // another of the same executable
			process(12, "minehound", host.FileID{Dev: 2, Ino: 7}), // one that only has the name
			{ID: host.ProcID{PID: 13, Born: 13}, Name: "minehound"},
		},
		Events: []host.Event{
			{ID: host.ProcID{PID: 10, Born: 10}},
			{ID: host.ProcID{PID: 10, Born: 99}}, // the same number at another time
			{ID: host.ProcID{PID: 14}, Detail: &host.Detail{ExeFile: file}},
		},
		Uptime: time.Hour,
	}
	self := &Self{PID: 10}
	for range 3 {
		got := self.leaveOut(snap)
		var pids []int
		for _, p := range got.Processes {
			pids = append(pids, p.ID.PID)
		}
		if !slices.Equal(pids, []int{1, 12, 13}) || len(got.Events) != 1 || got.Events[0].ID.Born != 99 {
			t.Fatalf("left %v and %+v", pids, got.Events)
		}
		if got.Uptime != time.Hour || len(snap.Processes) != 5 || snap.Processes[1].ID.PID != 10 {
			t.Fatal("the Snapshot that came in was changed, or the rest of it was lost")
		}
	}
	if n := testing.AllocsPerRun(20, func() { self.leaveOut(snap) }); n != 0 {
		t.Errorf("%v allocations per look", n)
	}
	stranger := &Self{PID: 4711}
	if got := stranger.leaveOut(snap); got != snap {
		t.Error("a program that is not among the processes leaves something out")
	}
}

func TestSpan(t *testing.T) {
	up := 100 * time.Second
	next := sourceFunc(func(context.Context) (*host.Snapshot, error) {
		up += 1990 * time.Millisecond // clocks never hit the mark
		return &host.Snapshot{Uptime: up}, nil
	})
	span := &Span{Source: next, For: 10 * time.Second, Step: 2 * time.Second}
	n := 0
	for {
		if _, err := span.Next(t.Context()); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 6 || span.Watched() != 9950*time.Millisecond {
		t.Errorf("%d looks over %v, want 6 over ten seconds", n, span.Watched())
	}
}

type sourceFunc func(ctx context.Context) (*host.Snapshot, error)

func (f sourceFunc) Next(ctx context.Context) (*host.Snapshot, error) { return f(ctx) }
