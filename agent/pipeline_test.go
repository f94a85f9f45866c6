package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/feature"
	"github.com/minehound/minehound/agent/host"
	"github.com/minehound/minehound/agent/incident"
	"github.com/minehound/minehound/agent/report"
	"github.com/minehound/minehound/agent/trace"
	"github.com/minehound/minehound/rules"
)

// busy is a machine on which a program named like a miner works for three minutes.
const busy = `{"schema":"minehound.trace/v1","form":"written","identity":{"id":"m1","name":"web1","os":"linux","boot_id":"b1"}}
{"every":"2s","for":"3m","processes":[
  {"pid":1,"name":"systemd","exe":"/usr/lib/systemd/systemd","user":"root","age":"30h"},
  {"pid":4242,"parent":1,"name":"xmrig","exe":"/tmp/.x/xmrig","args":["./xmrig","-o","pool.example:3333"],"user":"www-data","rate":1.9,"workers":{"count":2}}]}
`

func reader(t *testing.T, text string) *trace.Reader {
	t.Helper()
	r, err := trace.NewReader(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func ruleset(t *testing.T, sources ...detect.Source) *detect.Ruleset {
	t.Helper()
	rs, err := detect.Load(sources...)
	if err != nil {
		t.Fatal(err)
	}
	return rs.For("linux")
}

func pipeline(t *testing.T, s Source) Pipeline {
	t.Helper()
	tracker, err := incident.NewTracker(incident.Options{Host: host.Identity{ID: "m1", OS: "linux", BootID: "b1"}})
	if err != nil {
		t.Fatal(err)
	}
	return Pipeline{
		Source: s, Window: feature.NewWindow(), Tracker: tracker,
		Detector: detect.New(ruleset(t, detect.Source{Name: "built-in", FS: rules.FS()})),
		Trouble:  func(err error) { t.Error(err) },
	}
}

// lines is a sink that keeps alerts as the log does.
type lines struct{ bytes.Buffer }

func (l *lines) Report(_ context.Context, a report.Alert) error { return json.NewEncoder(l).Encode(a) }

func (l *lines) alerts(t *testing.T) []report.Alert {
	t.Helper()
	var list []report.Alert
	for dec := json.NewDecoder(bytes.NewReader(l.Bytes())); ; {
		var a report.Alert
		if err := dec.Decode(&a); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, a)
	}
}

func TestReplayIsTheSameByteForByte(t *testing.T) {
	var first []byte
	for range 3 {
		var out lines
		p := pipeline(t, reader(t, busy))
		p.Sink = &out
		if err := Run(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		list := out.alerts(t)
		if len(list) == 0 || list[len(list)-1].Verdict != "suspected" || list[0].Host.Name != "web1" {
			t.Fatalf("alerts: %s", out.String())
		}
		if first == nil {
			first = out.Bytes()
		} else if !bytes.Equal(first, out.Bytes()) {
			t.Fatalf("another replay gave other alerts:\n%s\n%s", first, out.Bytes())
		}
	}
}

// TestChangeKeepsWhatWasSeen puts a rule about a minute of load in force after two minutes: it holds at once, because the
// Window stayed, and in the case that was open, because the Tracker did.
func TestChangeKeepsWhatWasSeen(t *testing.T) {
	own := fstest.MapFS{"minute.yml": &fstest.MapFile{Data: []byte(`title: A minute
name: a-minute
logsource: {product: minehound, category: process_activity}
detection: {load: {cpu.share_1m|gte: 1.5}, condition: load}
minehound: {class: conduct, weight: 9}
`)}}
	changes := make(chan Change, 1)
	var out lines
	p := pipeline(t, nil)
	looks := 0
	from := reader(t, busy)
	p.Source = sourceFunc(func(ctx context.Context) (*host.Snapshot, error) {
		if looks++; looks == 60 {
			both := ruleset(t, detect.Source{Name: "built-in", FS: rules.FS()}, detect.Source{Name: "own", FS: own})
			changes <- Change{Detector: detect.New(both)}
		}
		return from.Next(ctx)
	})
	p.Sink, p.Changes = &out, changes
	if err := Run(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	var since time.Time
	for _, a := range out.alerts(t) {
		ids[a.ID] = true
		for _, f := range a.Findings {
			if f.Rule == "a-minute" && since.IsZero() {
				since = a.Time
			}
		}
	}
	if len(ids) != 1 {
		t.Errorf("%d cases, want the one that was open before", len(ids))
	}
	want := time.Date(2026, 1, 1, 0, 2, 0, 0, time.UTC)
	if since.IsZero() || since.Before(want) || since.After(want.Add(4*time.Second)) {
		t.Errorf("the new rule was told at %v, want right after %v", since, want)
	}
}

func TestChangeOfTheAllowList(t *testing.T) {
	changes := make(chan Change, 1)
	p := pipeline(t, reader(t, busy))
	changes <- Change{Detector: p.Detector, Allow: []incident.Allow{{Exe: "/tmp/.x/xmrig", Reason: "ours"}}}
	var out lines
	p.Sink, p.Changes = &out, changes
	if err := Run(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	for _, a := range out.alerts(t) {
		if a.Allowed == nil || a.Allowed.Reason != "ours" {
			t.Errorf("revision %d is not allowed", a.Revision)
		}
	}
	for _, in := range p.Tracker.Cases() {
		if in.Allowed == nil {
			t.Errorf("case %s is not allowed", in.ID)
		}
	}
}

func TestStateIsSaved(t *testing.T) {
	var mu sync.Mutex
	var saved []State
	p := pipeline(t, reader(t, busy))
	p.Save = func(s State) error {
		mu.Lock()
		defer mu.Unlock()
		saved = append(saved, s)
		return nil
	}
	if err := Run(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if len(saved) == 0 {
		t.Fatal("nothing was saved")
	}
	again := pipeline(t, nil)
	last := saved[len(saved)-1]
	if err := again.Tracker.Restore(last.Cases); err != nil {
		t.Fatal(err)
	}
	if err := again.Window.Restore(last.Window); err != nil {
		t.Fatal(err)
	}
	before, after := p.Tracker.Cases(), again.Tracker.Cases()
	if len(before) != 1 || len(after) != 1 || before[0].ID != after[0].ID {
		t.Errorf("cases before %v, after %v", before, after)
	}
}

// TestSlowDisk lets the disk hang: looking must go on, and only the newest state is kept in the end.
func TestSlowDisk(t *testing.T) {
	looked := make(chan struct{})
	first := true
	p := pipeline(t, reader(t, busy))
	p.Save = func(State) error {
		if first {
			first = false
			<-looked
		}
		return nil
	}
	looks := 0
	p.Watch = func(*Seen) {
		if looks++; looks == 90 {
			close(looked)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := Run(ctx, p); err != nil {
		t.Fatalf("after %d looks: %v", looks, err)
	}
}

func TestFailuresDoNotEndTheRun(t *testing.T) {
	broken := errors.New("broken")
	var mu sync.Mutex
	told := 0
	p := pipeline(t, reader(t, busy))
	p.Sink = failing{broken}
	p.Save = func(State) error { return broken }
	p.Trouble = func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if told++; !errors.Is(err, broken) {
			t.Errorf("the cause is lost: %v", err)
		}
	}
	looks := 0
	p.Watch = func(*Seen) { looks++ }
	if err := Run(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if looks != 91 || told < 2 {
		t.Errorf("%d looks, told of %d failures", looks, told)
	}
}

type failing struct{ err error }

func (f failing) Report(context.Context, report.Alert) error { return f.err }

func TestStopSavesAndTellsWhy(t *testing.T) {
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	saved := 0
	p := pipeline(t, nil)
	from := reader(t, busy)
	p.Source = sourceFunc(func(ctx context.Context) (*host.Snapshot, error) {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return from.Next(ctx)
	})
	p.Save = func(State) error { saved++; return nil }
	p.Watch = func(*Seen) { cancel(why) }
	if err := Run(ctx, p); !errors.Is(err, why) {
		t.Errorf("error %v, want the cause", err)
	}
	if saved == 0 {
		t.Error("nothing was saved at the stop")
	}
}

func TestOnly(t *testing.T) {
	p := pipeline(t, reader(t, busy))
	p.Only = func(s *host.Subject) bool { return s.ID.PID == 1 }
	if err := Run(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if list := p.Tracker.Cases(); len(list) != 0 {
		t.Errorf("cases about others: %v", list)
	}
}

func TestPeek(t *testing.T) {
	from := reader(t, busy)
	p, err := Peek(t.Context(), from)
	if err != nil || p.First.Machine.Name != "web1" {
		t.Fatalf("%v, %v", p, err)
	}
	uptime := p.First.Uptime
	for i := range 3 {
		snap, err := p.Next(t.Context())
		if err != nil || snap.Uptime != uptime+time.Duration(i)*2*time.Second {
			t.Errorf("look %d at %v, %v", i, snap.Uptime, err)
		}
	}
}
