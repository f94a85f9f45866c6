package detect_test

import (
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/feature"
	"github.com/minehound/minehound/agent/host"
)

var at = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func source(name string, files map[string]string) detect.Source {
	m := fstest.MapFS{}
	for f, s := range files {
		m[f] = &fstest.MapFile{Data: []byte(s)}
	}
	return detect.Source{Name: name, FS: m}
}

func mustLoad(t *testing.T, files map[string]string) *detect.Ruleset {
	t.Helper()
	rs, err := detect.Load(source("test", files))
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

func rule(name, logsource, detection, extra string) string {
	return "title: Title of " + name + "\nid: 11111111-1111-4111-8111-1111111111" + pad(name) + "\nname: " + name + "\nstatus: test\ndescription: d\nauthor: Minehound\ndate: 2026-11-22\ntags: [attack.t1496.001, attack.impact]\nlogsource: {" + logsource + "}\ndetection:\n" + detection + "level: low\n" + extra
}

// pad makes two hexadecimal digits of a name, so that ids differ.
func pad(name string) string {
	const hex = "0123456789abcdef"
	n := 0
	for i := range len(name) {
		n = n*31 + int(name[i])
	}
	return string([]byte{hex[n>>4&15], hex[n&15]})
}

const (
	activity = "product: minehound, category: process_activity"
	creation = "product: linux, category: process_creation"
)

func snapshot(second int, ps ...host.Process) *host.Snapshot {
	up := time.Hour + time.Duration(second)*time.Second
	for i := range ps {
		ps[i].Looked = up
	}
	return &host.Snapshot{At: at.Add(time.Duration(second) * time.Second), Uptime: up, Machine: host.Machine{CPUs: 4}, Processes: ps}
}

func process(pid int, name string, d *host.Detail) host.Process {
	return host.Process{ID: host.ProcID{PID: pid, Born: 100}, Name: name, Detail: d, Threads: 1}
}

func event(second, pid int, d *host.Detail, parent int) host.Event {
	return host.Event{At: at.Add(time.Duration(second) * time.Second), Kind: host.ProcessStarted, ID: host.ProcID{PID: pid, Born: 7}, Parent: host.ProcID{PID: parent}, Name: "x", Detail: d}
}

func detail(exe string, args ...string) *host.Detail {
	return &host.Detail{Exe: exe, Args: args, ArgsKnown: true, User: "u", UID: 7}
}

type short struct {
	Rule   string
	PID    int
	Class  detect.Class
	Weight detect.Decibans
}

func shorten(l []detect.Finding) []short {
	var out []short
	for _, f := range l {
		out = append(out, short{f.Rule, f.Subject.ID.PID, f.Class, f.Weight})
	}
	return out
}

func TestJudge(t *testing.T) {
	rs := mustLoad(t, map[string]string{
		"b.yml": rule("b-name", activity, "  s: {process.name: miner}\n  condition: s\n", "minehound: {class: capability, weight: 15, group: name}\n"),
		"a.yml": rule("a-threads", activity, "  s: {process.threads|gte: 3}\n  condition: s\n", "minehound: {class: conduct, weight: 2.5, group: load}\n"),
		"c.yml": rule("c-start", creation, "  s: {Image|endswith: /curl}\n  condition: s\n", "minehound: {class: conduct, weight: 1}\n"),
		"d.yml": rule("d-foreign", activity, "  s: {process.uid: 7}\n  condition: s\n", ""),
	})
	d, w := detect.New(rs), feature.NewWindow()
	miner := process(7, "miner", detail("/x", "x"))
	miner.Threads = 3
	s := snapshot(0, process(3, "sh", detail("/sh")), miner)
	s.Events = []host.Event{event(0, 99, detail("/usr/bin/curl", "curl"), 3)}
	want := []short{
		{"c-start", 99, detect.Conduct, 10}, {"d-foreign", 3, "", 0},
		{"a-threads", 7, detect.Conduct, 25}, {"b-name", 7, detect.Capability, 150}, {"d-foreign", 7, "", 0},
	}
	got := d.Judge(w.Add(s))
	if diff := cmp.Diff(want, shorten(got)); diff != "" {
		t.Fatal(diff)
	}
	f := got[3]
	if diff := cmp.Diff([]detect.Evidence{{Field: "process.name", Value: "miner"}}, f.Evidence); diff != "" || f.Title != "Title of b-name" || f.Group != "name" || f.At != s.At || !cmp.Equal(f.Attack, []string{"T1496.001"}) {
		t.Errorf("finding %+v\n%s", f, diff)
	}

	t.Run("rules over processes are found again, events once", func(t *testing.T) {
		miner.Threads = 1
		got := d.Judge(w.Add(snapshot(2, process(3, "sh", detail("/sh")), miner)))
		if diff := cmp.Diff([]short{{"d-foreign", 3, "", 0}, {"b-name", 7, detect.Capability, 150}, {"d-foreign", 7, "", 0}}, shorten(got)); diff != "" {
			t.Error(diff)
		}
		if got[1].At != at.Add(2*time.Second) {
			t.Errorf("found at %s", got[1].At)
		}
	})
	t.Run("a changed process is looked at anew", func(t *testing.T) {
		got := d.Judge(w.Add(snapshot(4, process(3, "miner", detail("/sh")), process(7, "other", detail("/x", "x")))))
		if diff := cmp.Diff([]short{{"b-name", 3, detect.Capability, 150}, {"d-foreign", 3, "", 0}, {"d-foreign", 7, "", 0}}, shorten(got)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a reused PID is another process", func(t *testing.T) {
		p := process(3, "fresh", detail("/sh"))
		p.ID.Born = 200
		p.Detail.UID = 8
		if got := d.Judge(w.Add(snapshot(6, p))); len(got) != 0 {
			t.Errorf("%v", shorten(got))
		}
	})
}

// TestUnreadProcess: a process that nobody read again keeps the findings of the last reading and gets no new ones.
func TestUnreadProcess(t *testing.T) {
	rs := mustLoad(t, map[string]string{"a.yml": rule("old", activity, "  s: {process.age_s|gte: 3595}\n  condition: s\n", "minehound: {class: conduct, weight: 1}\n")})
	d, w := detect.New(rs), feature.NewWindow()
	p := process(3, "x", detail("/x"))
	p.ID.Born = uint64((10 * time.Second) / host.Tick)
	if n := len(d.Judge(w.Add(snapshot(0, p)))); n != 0 {
		t.Fatalf("%d findings for a process that is too young", n)
	}
	unread := func(second int, looked time.Duration) *host.Snapshot {
		s := snapshot(second, p)
		s.Processes[0].Looked = looked
		return s
	}
	if n := len(d.Judge(w.Add(unread(10, time.Hour)))); n != 0 {
		t.Errorf("%d findings for a process that was not read", n)
	}
	if n := len(d.Judge(w.Add(snapshot(12, p)))); n != 1 {
		t.Errorf("%d findings once it was read", n)
	}
	if n := len(d.Judge(w.Add(unread(14, time.Hour+12*time.Second)))); n != 1 {
		t.Errorf("%d findings when it was not read again", n)
	}
}

func TestUnknownNeverFires(t *testing.T) {
	rs := mustLoad(t, map[string]string{"a.yml": rule("not-usr", activity, "  s: {process.exe|startswith: /usr/}\n  condition: not s\n", "minehound: {class: conduct, weight: 1}\n")})
	d, w := detect.New(rs), feature.NewWindow()
	if got := d.Judge(w.Add(snapshot(0, process(3, "x", nil), process(4, "y", &host.Detail{UID: -1})))); len(got) != 0 {
		t.Errorf("it holds for what was not read: %v", shorten(got))
	}
	if got := d.Judge(w.Add(snapshot(2, process(3, "x", detail("/tmp/x"))))); len(got) != 1 {
		t.Errorf("it does not hold for /tmp/x: %v", shorten(got))
	}
}

const pair = `title: Pair
id: 22222222-2222-4222-8222-222222222222
name: pair
description: d
correlation:
  type: temporal_ordered
  rules: [first, second]
  group-by: [process.parent_pid]
  timespan: 5m
level: low
minehound: {class: conduct, weight: 5, group: pair}
`

func TestCorrelation(t *testing.T) {
	rs := mustLoad(t, map[string]string{
		"pair.yml":   pair,
		"first.yml":  rule("first", creation, "  s: {Image: /a}\n  condition: s\n", ""),
		"second.yml": rule("second", creation, "  s: {Image: /b}\n  condition: s\n", ""),
	})
	d, w := detect.New(rs), feature.NewWindow()
	look := func(second int, es ...host.Event) []detect.Finding {
		s := snapshot(second)
		s.Events = es
		return d.Judge(w.Add(s))
	}
	if got := look(0, event(0, 11, detail("/a"), 5), event(0, 12, detail("/b"), 6)); len(got) != 0 {
		t.Fatalf("other parents: %v", shorten(got))
	}
	got := look(60, event(60, 13, detail("/b"), 5))
	if diff := cmp.Diff([]short{{"pair", 13, detect.Conduct, 50}}, shorten(got)); diff != "" {
		t.Fatal(diff)
	}
	if diff := cmp.Diff([]detect.Evidence{{Field: "process.parent_pid", Value: "5"}, {Field: "temporal_ordered", Value: "2"}}, got[0].Evidence); diff != "" {
		t.Error(diff)
	}
	look(1000, event(1000, 14, detail("/a"), 9))
	if got := look(1400, event(1400, 15, detail("/b"), 9)); len(got) != 0 {
		t.Errorf("after more than five minutes: %v", shorten(got))
	}
}

func TestEvidenceHidesSecretsAndIsBounded(t *testing.T) {
	rs := mustLoad(t, map[string]string{
		"a.yml": rule("env", activity, "  s:\n    process.env|contains: PASS\n  condition: s\n", "minehound: {class: capability, weight: 1}\n"),
		"b.yml": rule("line", activity, "  s:\n    process.command_line|contains: ä\n  condition: s\n", "minehound: {class: capability, weight: 1}\n"),
	})
	long := make([]byte, 0, 4000)
	for len(long) < 4000 {
		long = append(long, "ä"...)
	}
	d := detail("/x", string(long))
	d.Env, d.EnvKnown = []host.EnvVar{{Name: "POOL_PASS", Value: "hunter2"}}, true
	for _, f := range detect.New(rs).Judge(feature.NewWindow().Add(snapshot(0, process(3, "x", d)))) {
		for _, e := range f.Evidence {
			switch {
			case f.Rule == "env" && e.Value != "POOL_PASS=***":
				t.Errorf("%+v", e)
			case len(e.Value) > detect.MaxEvidenceValue || e.Value == "":
				t.Errorf("%d bytes", len(e.Value))
			}
		}
	}
}

// TestSameInputSameOutput: the order of files, and what was seen of processes that are gone, change nothing.
func TestSameInputSameOutput(t *testing.T) {
	run := func() []detect.Finding {
		d, w := detect.New(ours(t)), feature.NewWindow()
		var all []detect.Finding
		for i := range 5 {
			var ps []host.Process
			for j := range 50 {
				p := process(j+1+i, "xmrig", detail("/tmp/.x/xmrig", "xmrig", "--donate-level", "1", "-o", "stratum+tcp://p.example:3333"))
				ps = append(ps, p)
			}
			all = append(all, d.Judge(w.Add(snapshot(2*i, ps...)))...)
		}
		return all
	}
	a, b := run(), run()
	if len(a) == 0 {
		t.Fatal("nothing found")
	}
	if diff := cmp.Diff(a, b); diff != "" {
		t.Error(diff)
	}
}
