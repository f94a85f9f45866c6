package trace

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/minehound/minehound/agent/host"
)

const minute = `{"schema":"minehound.trace/v1","form":"written","machine":{"cpus":2,"rate":0.1}}
{"every":"2s","for":"20s","processes":[
  {"pid":7,"name":"miner","age":"5h","rate":1.5,"fault_rate":3,"workers":{"count":2,"pinned":true,"voluntary":2},"memory":{"large":["256MiB"]}},
  {"pid":8,"name":"ends","age":"1h","rate":0.5}]}
{"every":"2s","for":"38s","gone":[8],"processes":[{"pid":9,"name":"comes","rate":0.25}],"events":[{"kind":"started","pid":9},{"kind":"ended","pid":8,"born":86040000}]}
`

func TestTileIsSeamless(t *testing.T) {
	tiled, err := Tile(strings.NewReader(minute), 2*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	var before *host.Process
	var beforeUptime time.Duration
	var busy time.Duration
	var at time.Time
	looks, events := 0, 0
	born := map[host.ProcID]int{}
	var keptMiner host.Process
	for {
		s, err := tiled.Next(context.Background())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		looks++
		events += len(s.Events)
		i, ok := findPID(s.Processes, 7)
		if !ok {
			t.Fatalf("look %d: the miner is gone", looks)
		}
		p := s.Processes[i]
		if want := uint64((handUptime - 5*time.Hour) / host.Tick); p.ID.Born != want || p.Looked != s.Uptime || p.Effort.Looked != s.Uptime {
			t.Fatalf("look %d: born %d, looked %v and %v at %v", looks, p.ID.Born, p.Looked, p.Effort.Looked, s.Uptime)
		}
		if before != nil {
			if s.Uptime-beforeUptime != 2*time.Second || s.At.Sub(at) != 2*time.Second {
				t.Fatalf("look %d comes %v after the one before", looks, s.Uptime-beforeUptime)
			}
			if got := p.CPU() - before.CPU(); got != 3*time.Second {
				t.Fatalf("look %d: %v CPU time in 2 s, want 3 s", looks, got)
			}
			if got := p.MinFault - before.MinFault; got != 6 {
				t.Fatalf("look %d: %d faults, want 6", looks, got)
			}
			for k := range p.Effort.Threads[1:] {
				a, b := before.Effort.Threads[1+k], p.Effort.Threads[1+k]
				if b.User-a.User != 1500*time.Millisecond || b.Voluntary-a.Voluntary != 4 || b.OnlyCPU != k {
					t.Fatalf("look %d: thread %+v after %+v", looks, b, a)
				}
			}
			if got := p.Effort.Voluntary - before.Effort.Voluntary; got != 8 {
				t.Fatalf("look %d: %d voluntary switches, want 8", looks, got)
			}
			if s.Machine.Busy < busy+3200*time.Millisecond {
				t.Fatalf("look %d: the machine was busy for %v more", looks, s.Machine.Busy-busy)
			}
		}
		for _, q := range s.Processes {
			born[q.ID]++
			if q.ID.PID == 9 && q.CPU() > 10*time.Second {
				t.Fatalf("look %d: a process of half a minute has used %v", looks, q.CPU())
			}
		}
		keptMiner = p
		threads := append([]host.Thread(nil), p.Effort.Threads...)
		e := *p.Effort
		e.Threads = threads
		keptMiner.Effort = &e
		before, beforeUptime, busy, at = &keptMiner, s.Uptime, s.Machine.Busy, s.At
	}
	if looks != 3601 {
		t.Errorf("%d looks, want one every 2 s for two hours", looks)
	}
	if events != 2*120 {
		t.Errorf("%d events in 120 rounds of 2", events)
	}
	if len(born) != 1+2*120 {
		t.Errorf("%d different processes, want the miner and two for each of 120 rounds", len(born))
	}
}

func TestTileRefuses(t *testing.T) {
	one := `{"schema":"minehound.trace/v1","form":"written"}` + "\n{}\n"
	if _, err := Tile(strings.NewReader(one), time.Hour); err == nil || !strings.Contains(err.Error(), "two looks") {
		t.Errorf("a single look: %v", err)
	}
	s := busyMachine(3)
	looks := []host.Snapshot{*s}
	b := recording(t, looks, Options{})
	if _, err := Tile(bytes.NewReader(b[:len(b)-20]), time.Hour); !errors.Is(err, ErrTruncated) {
		t.Errorf("a cut one: %v", err)
	}
}

func TestTileStopsWithItsContext(t *testing.T) {
	tiled, err := Tile(strings.NewReader(minute), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := tiled.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if _, err := tiled.Next(context.Background()); err != nil {
		t.Errorf("and then %v", err)
	}
}
