package feature

import (
	"regexp"
	"testing"
	"time"

	"github.com/minehound/minehound/agent/host"
)

func TestFieldTables(t *testing.T) {
	name := regexp.MustCompile(`^[a-z]+(\.[a-z0-9_]+)+$`)
	docs := map[string]string{}
	check := func(what string, n, sigma, doc string, names, aliases map[string]bool) {
		if !name.MatchString(n) || doc == "" {
			t.Errorf("%s %q: %q", what, n, doc)
		}
		if names[n] || sigma != "" && aliases[sigma] {
			t.Errorf("%s %q (%q) is there twice", what, n, sigma)
		}
		names[n], aliases[sigma] = true, true
		if old, ok := docs[n]; ok && old != sigma {
			t.Errorf("%q is %q in one table and %q in the other", n, old, sigma)
		}
		docs[n] = sigma
	}
	names, aliases := map[string]bool{}, map[string]bool{}
	for _, f := range Fields() {
		check("field", f.Name, f.Sigma, f.Doc, names, aliases)
	}
	names, aliases = map[string]bool{}, map[string]bool{}
	for _, f := range EventFields() {
		check("event field", f.Name, f.Sigma, f.Doc, names, aliases)
	}
}

// Whatever was not read is unknown: only what the stat line of any process says is there.
func TestABareProcessIsUnknown(t *testing.T) {
	m := newSim(2)
	p := m.proc(7, "", 50*time.Hour, 0)
	p.Threads = -1
	m.s.Machine.MSRWritable = host.Unknown
	m.look = m.w.Add(&m.s)
	known := map[string]bool{
		"process.pid": true, "process.parent_pid": true, "process.kernel_thread": true, "process.age_s": true, "process.nice": true,
		"process.reparented": true, "cpu.share_life": true, "cpu.total_s": true, "group.processes": true, "group.started_1h": true,
		"group.seconds_24h": true, "machine.cpus": true,
	}
	for i, f := range Fields() {
		if got := m.vector(t, 7).Get(i); (got.Kind != host.KindUnknown) != known[f.Name] {
			t.Errorf("%s is %+v", f.Name, got)
		}
	}
	var o Occurrence
	for i, f := range EventFields() {
		if got := o.Get(i); got.Kind != host.KindUnknown && f.Name != "process.pid" {
			t.Errorf("event: %s is %+v", f.Name, got)
		}
	}
}

func TestAbsentIsNotUnknown(t *testing.T) {
	m := newSim(2)
	p := m.proc(2, "kthreadd", 50*time.Hour, 0)
	p.Kernel, p.Parent = true, 0
	q := m.proc(7, "x", 50*time.Hour, 0)
	q.Detail = &host.Detail{Exe: "/x", ArgsKnown: true, EnvKnown: true, Cgroup: "/", UID: 0}
	q.Session = 7
	m.look = m.w.Add(&m.s)
	for _, tt := range []struct {
		pid   int
		field string
		kind  host.Kind
	}{
		{2, "process.exe", host.KindAbsent}, {2, "process.exe_deleted", host.KindAbsent}, {2, "process.parent_pid", host.KindAbsent},
		{2, "process.ancestors", host.KindAbsent}, {2, "process.command_line", host.KindUnknown},
		{7, "process.command_line", host.KindAbsent}, {7, "process.args", host.KindAbsent}, {7, "process.arg0", host.KindAbsent},
		{7, "process.env", host.KindAbsent}, {7, "process.env_names", host.KindAbsent}, {7, "process.container", host.KindAbsent},
		{7, "process.tracer_pid", host.KindAbsent}, {7, "process.uid", host.KindNumber}, {7, "process.cwd", host.KindUnknown},
		{7, "process.exe_deleted", host.KindUnknown}, {7, "process.session_leader", host.KindBool}, {7, "process.sha256", host.KindUnknown},
	} {
		if f, ok := m.vector(t, tt.pid).Field(tt.field); !ok || f.Kind != tt.kind {
			t.Errorf("%d %s is %+v", tt.pid, tt.field, f)
		}
	}
}

func TestTextsOfADetail(t *testing.T) {
	m := newSim(2)
	p := m.proc(7, "x", 50*time.Hour, 0)
	p.State = 'T'
	p.Detail = &host.Detail{Exe: "/tmp/a b", ExeDeleted: host.Yes, ExeSHA256: "00ff", Args: []string{"a", "-o", "pool"}, ArgsKnown: true, EnvKnown: true,
		Env: []host.EnvVar{{Name: "LD_PRELOAD", Value: "/x.so"}, {Name: "PATH"}}, Container: host.Container{ID: "c", Runtime: "docker"}}
	m.look = m.w.Add(&m.s)
	for field, want := range map[string]string{
		"process.exe": "/tmp/a b", "process.exe_name": "a b", "process.command_line": "a -o pool", "process.arg0": "a", "process.sha256": "00ff",
		"process.hashes": "SHA256=00ff", "process.container": "c", "process.container_runtime": "docker", "process.state": "T",
	} {
		if f, _ := m.vector(t, 7).Field(field); f.Text != want {
			t.Errorf("%s is %+v, want %q", field, f, want)
		}
	}
	if f, _ := m.vector(t, 7).Field("process.env"); len(f.Texts) != 1 || f.Texts[0] != "LD_PRELOAD=/x.so" {
		t.Errorf("env %+v", f)
	}
	if f, _ := m.vector(t, 7).Field("process.env_names"); len(f.Texts) != 2 || f.Texts[1] != "PATH" {
		t.Errorf("env names %+v", f)
	}
}
