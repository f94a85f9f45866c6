package trace

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/minehound/minehound/agent/host"
)

// equal compares looks; the outer lists may be nil or empty, inner ones must be what they were.
var equal = cmp.Options{
	cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) }),
	cmp.FilterPath(func(p cmp.Path) bool {
		return len(p) >= 2 && slices.Contains([]string{"Processes", "Events", "Gaps", "Threads"}, strings.TrimPrefix(p.Last().String(), "."))
	}, cmpopts.EquateEmpty()),
}

func recording(t interface{ Fatal(...any) }, looks []host.Snapshot, o Options) []byte {
	var b bytes.Buffer
	w := NewWriter(&b, o)
	for i := range looks {
		if err := w.Write(&looks[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// texts has what breaks naive formats.
var texts = rapid.OneOf(
	rapid.SampledFrom([]string{"", "sh", "a\x00b", "\xff\xfe", "caf\xe9", "\u2028</script>", "(x) R 1", "日本", "\u0000ff", "\x00ff", "a=b", "\ufffd", "\t\n\r\"\\"}),
	rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 8), func(b []byte) string { return string(b) }),
)

var times = rapid.Map(rapid.Int64Range(0, 1<<55), func(n int64) time.Duration { return time.Duration(n) })

var details = rapid.Custom(func(t *rapid.T) *host.Detail {
	d := &host.Detail{
		Exe: texts.Draw(t, "exe"), ExeDeleted: host.Fact(rapid.IntRange(0, 2).Draw(t, "deleted")),
		ExeFile:   host.FileID{Dev: rapid.Uint64().Draw(t, "dev"), Ino: rapid.Uint64().Draw(t, "ino")},
		ExeSHA256: texts.Draw(t, "sha"), Cwd: texts.Draw(t, "cwd"), User: texts.Draw(t, "user"), Cgroup: texts.Draw(t, "cgroup"),
		UID: rapid.IntRange(-1, 5).Draw(t, "uid"), TracerPID: rapid.IntRange(0, 2).Draw(t, "tracer"),
		ArgsKnown: rapid.Bool().Draw(t, "args known"), EnvKnown: rapid.Bool().Draw(t, "env known"),
		Container: host.Container{ID: texts.Draw(t, "container"), Runtime: texts.Draw(t, "runtime"), Pod: texts.Draw(t, "pod")},
	}
	if rapid.Bool().Draw(t, "args") {
		d.Args = append([]string{}, rapid.SliceOfN(texts, 0, 3).Draw(t, "args")...)
	}
	if rapid.Bool().Draw(t, "env") {
		d.Env = []host.EnvVar{}
		for range rapid.IntRange(0, 3).Draw(t, "env") {
			d.Env = append(d.Env, host.EnvVar{Name: texts.Draw(t, "name"), Value: texts.Draw(t, "value")})
		}
	}
	return d
})

var memories = rapid.Custom(func(t *rapid.T) *host.Memory {
	n := rapid.Int64Range(-1, 1<<40)
	m := &host.Memory{
		Looked: times.Draw(t, "looked"), Hugetlb: n.Draw(t, "hugetlb"), RSSAnon: n.Draw(t, "anon"), Exec: n.Draw(t, "exec"),
		ExecMaps: rapid.IntRange(0, 9).Draw(t, "maps"), WriteExec: n.Draw(t, "write"), Known: rapid.Bool().Draw(t, "known"),
	}
	if rapid.Bool().Draw(t, "large") {
		m.Large = append([]int64{}, rapid.SliceOfN(n, 0, 3).Draw(t, "large")...)
	}
	return m
})

// scene makes looks that follow from each other: processes stay, change a little, come and go.
func scene(t *rapid.T) []host.Snapshot {
	pool := rapid.SliceOfN(details, 1, 4).Draw(t, "details")
	mems := rapid.SliceOfN(memories, 1, 3).Draw(t, "memories")
	number := rapid.Int64Range(-1, 1<<45)
	detail := func() *host.Detail {
		i := rapid.IntRange(-1, len(pool)-1).Draw(t, "detail")
		if i < 0 {
			return nil
		}
		if rapid.Bool().Draw(t, "equal, not the same") {
			d := *pool[i]
			return &d
		}
		return pool[i]
	}
	effort := func() *host.Effort {
		e := &host.Effort{Looked: times.Draw(t, "looked"), ThreadsMore: rapid.IntRange(0, 3).Draw(t, "more"),
			Voluntary: number.Draw(t, "vol"), Involuntary: number.Draw(t, "invol")}
		for tid := range 4 {
			if rapid.Bool().Draw(t, "thread") {
				e.Threads = append(e.Threads, host.Thread{TID: tid, Name: texts.Draw(t, "name"), State: rapid.Byte().Draw(t, "state"),
					User: times.Draw(t, "user"), System: times.Draw(t, "system"), Voluntary: number.Draw(t, "vol"),
					Involuntary: number.Draw(t, "invol"), CPUs: rapid.IntRange(-1, 9).Draw(t, "cpus"), OnlyCPU: rapid.IntRange(-1, 9).Draw(t, "cpu")})
			}
		}
		if i := rapid.IntRange(-1, len(mems)-1).Draw(t, "memory"); i >= 0 {
			e.Memory = mems[i]
		}
		return e
	}
	process := func(pid int, uptime time.Duration) host.Process {
		p := host.Process{ID: host.ProcID{PID: pid, Born: uint64(rapid.IntRange(0, 2).Draw(t, "born"))},
			Parent: rapid.IntRange(0, 5).Draw(t, "parent"), Group: rapid.IntRange(0, 2).Draw(t, "group"), Session: rapid.IntRange(0, 2).Draw(t, "session"),
			Name: texts.Draw(t, "name"), State: rapid.Byte().Draw(t, "state"), Kernel: rapid.Bool().Draw(t, "kernel"), Looked: uptime,
			User: times.Draw(t, "user"), System: times.Draw(t, "system"), Threads: rapid.IntRange(-1, 9).Draw(t, "threads"),
			RSS: number.Draw(t, "rss"), VSize: number.Draw(t, "vsize"), Nice: rapid.IntRange(-20, 19).Draw(t, "nice"),
			Policy: rapid.IntRange(-1, 6).Draw(t, "policy"), MinFault: rapid.Uint64().Draw(t, "faults"), Detail: detail()}
		if rapid.Bool().Draw(t, "effort") {
			p.Effort = effort()
		}
		return p
	}
	var looks []host.Snapshot
	s := host.Snapshot{At: time.Unix(0, rapid.Int64Range(0, 1<<60).Draw(t, "at")).UTC(), Uptime: times.Draw(t, "uptime"),
		Machine: host.Machine{Identity: host.Identity{ID: "i", Name: "héllo", OS: "linux", BootID: "b"}}}
	for range rapid.IntRange(1, 5).Draw(t, "looks") {
		step := rapid.Int64Range(0, 1e10).Draw(t, "step")
		s.At, s.Uptime = s.At.Add(time.Duration(step)), s.Uptime+time.Duration(step)
		s.Machine.CPUs = rapid.IntRange(1, 4).Draw(t, "cpus")
		s.Machine.Busy, s.Machine.Steal = times.Draw(t, "busy"), time.Duration(number.Draw(t, "steal"))
		s.Machine.Memory, s.Machine.HugePages, s.Machine.HugeFree, s.Machine.HugeSize = number.Draw(t, "m"), number.Draw(t, "m"), number.Draw(t, "m"), number.Draw(t, "m")
		s.Machine.MSRWritable = host.Fact(rapid.IntRange(0, 2).Draw(t, "msr"))
		old := s.Processes
		s.Processes, s.Events, s.Gaps = nil, nil, nil
		for pid := range 5 {
			at, was := findPID(old, pid)
			switch rapid.IntRange(0, 4).Draw(t, "fate") {
			case 0: // gone
			case 1: // not read
				if was {
					s.Processes = append(s.Processes, old[at])
				}
			case 2: // the same
				if was {
					p := old[at]
					p.Looked = s.Uptime
					s.Processes = append(s.Processes, p)
				}
			case 3: // only the details
				if was {
					p := old[at]
					p.Detail = detail()
					s.Processes = append(s.Processes, p)
				}
			default:
				s.Processes = append(s.Processes, process(pid, rapid.SampledFrom([]time.Duration{s.Uptime, 0, 7}).Draw(t, "looked")))
			}
		}
		for range rapid.IntRange(0, 2).Draw(t, "events") {
			s.Events = append(s.Events, host.Event{At: s.At, Kind: host.EventKind(rapid.IntRange(1, 2).Draw(t, "kind")),
				ID: host.ProcID{PID: rapid.IntRange(0, 9).Draw(t, "pid"), Born: rapid.Uint64().Draw(t, "born")}, Name: texts.Draw(t, "name"), Detail: detail(),
				Parent: host.ProcID{PID: rapid.IntRange(0, 1).Draw(t, "pid")}, ParentName: texts.Draw(t, "name"), ParentDetail: detail()})
		}
		for range rapid.IntRange(0, 2).Draw(t, "gaps") {
			s.Gaps = append(s.Gaps, host.Gap{Sensor: texts.Draw(t, "sensor"), Reason: texts.Draw(t, "reason")})
		}
		looks = append(looks, s)
	}
	return looks
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		looks := scene(t)
		zipped := rapid.Bool().Draw(t, "gzip")
		text := recording(t, looks, Options{Gzip: zipped, Agent: "1.0"})
		r, err := NewReader(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if h := r.Header(); h.Identity != looks[0].Machine.Identity || h.Agent != "1.0" || h.Form != Recorded {
			t.Fatalf("header %+v", h)
		}
		for i := range looks {
			s, err := r.Next(context.Background())
			if err != nil {
				t.Fatalf("look %d: %v\n%s", i, err, text)
			}
			if d := cmp.Diff(looks[i], *s, equal); d != "" {
				t.Fatalf("look %d (- written, + read):\n%s\n%s", i, d, text)
			}
		}
		if _, err := r.Next(context.Background()); !errors.Is(err, io.EOF) {
			t.Fatalf("after the last look: %v", err)
		}
		if len(r.details) > 10 {
			t.Errorf("%d details are kept of processes and events that are gone", len(r.details))
		}
	})
}

func TestACutTraceReplaysWhatCameBefore(t *testing.T) {
	var looks []host.Snapshot
	s := host.Snapshot{At: time.Unix(1e9, 0), Uptime: time.Hour, Machine: host.Machine{CPUs: 2}}
	for i := range 5 {
		s.Uptime += 2 * time.Second
		p := newProcess(host.ProcID{PID: 1, Born: 1})
		p.User, p.Looked, p.Detail = time.Duration(i)*time.Second, s.Uptime, &host.Detail{Exe: "/bin/x", UID: 0}
		s.Processes = []host.Process{p}
		looks = append(looks, s)
	}
	whole := recording(t, looks, Options{})
	ends := []int{} // bytes after which a line is complete
	for i, b := range whole {
		if b == '\n' {
			ends = append(ends, i)
		}
	}
	for n := range len(whole) - 1 {
		got, err := read(t, string(whole[:n]))
		lines := 0
		for _, e := range ends {
			if e <= n {
				lines++
			}
		}
		if want := max(lines-1, 0); len(got) != want && len(got) != want+1 { // a line may be whole without its newline
			t.Fatalf("cut after %d bytes: %d looks, want %d", n, len(got), want)
		}
		if n == len(whole)-2 && err == nil {
			continue // only the last newline is missing
		}
		var where *Error
		if !errors.Is(err, ErrTruncated) || !errors.As(err, &where) {
			t.Fatalf("cut after %d bytes: %v", n, err)
		}
		if where.Line != lines+1 && where.Line != lines+2 {
			t.Fatalf("cut after %d bytes, %d lines: the error names line %d", n, lines, where.Line)
		}
	}
	zipped := recording(t, looks, Options{Gzip: true})
	for n := 3; n < len(zipped); n += 7 {
		if _, err := read(t, string(zipped[:n])); !errors.Is(err, ErrTruncated) {
			t.Fatalf("gzip cut after %d bytes: %v", n, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	const recorded = `{"schema":"minehound.trace/v1","form":"recorded"}` + "\n"
	const written = `{"schema":"minehound.trace/v1","form":"written"}` + "\n"
	look := func(rest string) string {
		return recorded + `{"at":"2026-01-01T00:00:00Z","uptime":1` + rest + "}\n" + `{"end":{"looks":1}}`
	}
	for _, tt := range []struct {
		name, text, want string
		is               error
		line             int
	}{
		{"empty", "", "empty", ErrTruncated, 1},
		{"other file", "#!/bin/sh\necho", "does not begin with a header", ErrSchema, 2},
		{"other schema", `{"schema":"minehound.alert/v1"}`, "minehound.alert/v1", ErrSchema, 1},
		{"no form", `{"schema":"minehound.trace/v1"}`, "form", nil, 1},
		{"unknown key", written + `{"proceses":[]}`, `unknown field "proceses"`, nil, 2},
		{"unknown key of a process", written + `{"processes":[{"pid":1,"comand":"x"}]}`, `unknown field "comand"`, nil, 2},
		{"line numbers count all lines", written + "\n# note\n" + `{"processes":[` + "\n" + `  {"pid":1,"x":1}]}`, "trace line 4:", nil, 4},
		{"after the end", look("") + "\n{}", "more after the end", nil, 3},
		{"wrong count", recorded + `{"end":{"looks":4}}`, "counts 4 looks", nil, 2},
		{"no time", recorded + `{"uptime":1}`, "needs at and uptime", nil, 2},
		{"new without born", look(`,"processes":[{"pid":1}]`), "no born", nil, 2},
		{"twice", look(`,"processes":[{"pid":1,"born":1},{"pid":1,"born":1}]`), "twice", nil, 2},
		{"gone without being there", look(`,"gone":[1]`), "was not there", nil, 2},
		{"gone twice", look(`,"processes":[{"pid":1,"born":1}]`)[:0] + recorded + `{"at":"2026-01-01T00:00:00Z","uptime":1,"processes":[{"pid":1,"born":1}]}` + "\n" + `{"at":"2026-01-01T00:00:00Z","uptime":1,"gone":[1,1]}`, "was not there", nil, 3},
		{"the same without being there", look(`,"same":[1]`), "not there", nil, 2},
		{"unknown detail", look(`,"processes":[{"pid":1,"born":1,"detail":4}]`), "no detail 4", nil, 2},
		{"detail defined twice", look(`,"details":[{"ref":1},{"ref":1}]`), "new number", nil, 2},
		{"shorthand in a recording", look(`,"processes":[{"pid":1,"born":1,"rate":2}]`), `form "written"`, nil, 2},
		{"repetition in a recording", look(`,"every":2`), `form "written"`, nil, 2},
		{"no CPU", look(`,"machine":{"cpus":0}`), "0 CPUs", nil, 2},
		{"strange event", look(`,"events":[{"at":"2026-01-01T00:00:00Z","kind":"x","pid":1}]`), "event kind", nil, 2},
		{"escape without digits", look(`,"processes":[{"pid":1,"born":1,"name":"\u00001"}]`), "hexadecimal", nil, 2},
		{"forever", written + `{"every":"1ns","for":"100h"}`, "looks", ErrTooLarge, 2},
		{"backwards", written + `{"after":"-1s"}`, "negative", nil, 2},
		{"older than the machine", written + `{"processes":[{"pid":1,"age":"1000h"}]}`, "an age of", nil, 2},
		{"negative rate", written + `{"processes":[{"pid":1,"rate":-1}]}`, "rate", nil, 2},
		{"too fine a time", written + `{"after":0.1234567891}`, "finer than a nanosecond", nil, 2},
		{"strange size", written + `{"processes":[{"pid":1,"rss":"3 pages"}]}`, "KiB, MiB or GiB", nil, 2},
		{"time runs back", recorded + `{"at":"2026-01-01T00:00:00Z","uptime":9}` + "\n" + `{"at":"2026-01-01T00:00:00Z","uptime":8}`, "uptime", nil, 3},
		{"recorded words by hand", written + `{"uptime":3}`, `form "recorded"`, nil, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := read(t, tt.text)
			var where *Error
			if err == nil || !strings.Contains(err.Error(), tt.want) || !errors.As(err, &where) || where.Line != tt.line {
				t.Fatalf("got %v, want line %d and %q", err, tt.line, tt.want)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%v is not %v", err, tt.is)
			}
		})
	}
}

func TestNewerMinorVersionsMayHaveMore(t *testing.T) {
	text := `{"schema":"minehound.trace/v1","minor":9,"form":"written","paint":"red"}` + "\n" + `{"moon":"full","processes":[{"pid":1,"gpu":3}]}`
	if looks, err := read(t, text); err != nil || len(looks) != 1 {
		t.Errorf("%d looks, %v", len(looks), err)
	}
}

func TestLongLinesAreRefused(t *testing.T) {
	r, err := NewReader(strings.NewReader(`{"schema":"minehound.trace/v1","form":"written"}` + "\n" + `{"gaps":[` + strings.Repeat(" ", 200)))
	if err != nil {
		t.Fatal(err)
	}
	r.lines.max = 100
	if _, err := r.Next(context.Background()); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}

func TestAFailedWriteIsTheLast(t *testing.T) {
	w := NewWriter(failing{}, Options{})
	s := &host.Snapshot{At: time.Unix(1e9, 0), Machine: host.Machine{CPUs: 1}}
	var err error
	for range flushEvery {
		err = w.Write(s)
	}
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Fatalf("got %v", err)
	}
	if err2 := w.Write(s); !errors.Is(err2, io.ErrClosedPipe) {
		t.Errorf("then %v", err2)
	}
	if err2 := w.Close(); !errors.Is(err2, io.ErrClosedPipe) {
		t.Errorf("at the end %v", err2)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestAnotherMachineIsRefused(t *testing.T) {
	w := NewWriter(io.Discard, Options{})
	s := &host.Snapshot{At: time.Unix(1e9, 0), Machine: host.Machine{CPUs: 1}}
	if err := w.Write(s); err != nil {
		t.Fatal(err)
	}
	s.Machine.Name = "other"
	if err := w.Write(s); err == nil || !strings.Contains(err.Error(), "another machine") {
		t.Errorf("got %v", err)
	}
}
