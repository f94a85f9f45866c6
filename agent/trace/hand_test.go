package trace

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/minehound/minehound/agent/host"
)

// documented is the example of the package documentation.
func documented(tb testing.TB) string {
	tb.Helper()
	src, err := os.ReadFile("doc.go")
	if err != nil {
		tb.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(src), "no end line is needed:\n//\n")
	example, _, ok2 := strings.Cut(rest, "//\n//")
	if !ok || !ok2 {
		tb.Fatal("the example is not where it was")
	}
	return strings.ReplaceAll(example, "//\t", "")
}

func read(tb testing.TB, text string) (looks []host.Snapshot, err error) {
	tb.Helper()
	r, err := NewReader(strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	for {
		s, err := r.Next(context.Background())
		if errors.Is(err, io.EOF) {
			return looks, nil
		}
		if err != nil {
			return looks, err
		}
		looks = append(looks, keep(s))
	}
}

// keep copies what a source reuses.
func keep(s *host.Snapshot) host.Snapshot {
	c := *s
	c.Processes = append([]host.Process(nil), s.Processes...)
	for i := range c.Processes {
		if e := c.Processes[i].Effort; e != nil {
			n := *e
			n.Threads = append([]host.Thread(nil), e.Threads...)
			c.Processes[i].Effort = &n
		}
	}
	c.Events = append([]host.Event(nil), s.Events...)
	c.Gaps = append([]host.Gap(nil), s.Gaps...)
	return c
}

func TestDocumentedExample(t *testing.T) {
	looks, err := read(t, documented(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(looks) != 46+16 {
		t.Fatalf("%d looks, want 62", len(looks))
	}
	first, last := looks[0], looks[len(looks)-1]
	if first.Uptime != handUptime || last.Uptime != handUptime+122*time.Second {
		t.Errorf("from %v to %v", first.Uptime, last.Uptime)
	}
	if got := first.Processes[1].CPU(); got != 9500*time.Millisecond {
		t.Errorf("5 s at 1.9 cores before the first look: %v", got)
	}
	p := looks[45].Processes[1]
	if got := p.CPU(); got != 1900*time.Millisecond*95 {
		t.Errorf("after 95 s at 1.9 cores: %v, want %v", got, 1900*time.Millisecond*95)
	}
	if p.CPU() != last.Processes[1].CPU() {
		t.Errorf("it rested, and used %v", last.Processes[1].CPU()-p.CPU())
	}
	if got := p.Effort.Threads; len(got) != 3 || got[1].OnlyCPU != 0 || got[2].OnlyCPU != 1 || got[1].User != 90*950*time.Millisecond {
		t.Errorf("threads %+v", got)
	}
	if m := p.Effort.Memory; m == nil || m.Large[0] != 2080<<20 || m.Hugetlb != 2340<<20 || !m.Known {
		t.Errorf("memory %+v", m)
	}
	if d := p.Detail; d == nil || d.Exe != "/tmp/.x/xmrig" || !d.ArgsKnown || d.EnvKnown || d.UID != -1 {
		t.Errorf("detail %+v", d)
	}
	if got, want := p.ID.Born, uint64((handUptime-5*time.Second)/host.Tick); got != want {
		t.Errorf("born %d, want %d", got, want)
	}
}
