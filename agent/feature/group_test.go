package feature

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/minehound/minehound/agent/host"
)

func TestGroupsAddUpWorkersAndRespawns(t *testing.T) {
	d := &host.Detail{Exe: "/opt/miner"}
	m := newSim(8)
	for pid := 10; pid < 13; pid++ {
		m.proc(pid, "miner", 50*time.Hour, 0).Detail = d
		m.rate[pid] = 0.5
	}
	m.proc(20, "other", 50*time.Hour, 0).Detail = &host.Detail{Exe: "/opt/other"}
	m.look = m.w.Add(&m.s)
	m.run(10 * time.Minute)
	g := m.vector(t, 11).Group
	near(t, "processes", g.Processes, 3)
	near(t, "10s", g.Share10s, 1.5)
	near(t, "10m", g.Share10m, 1.5)
	near(t, "24h", g.Seconds24h, 900)
	near(t, "started", g.Started1h, 0)
	near(t, "other", m.vector(t, 20).Group.Share10m, 0)

	// One of them is replaced every 20 s by another with a new PID, for ten minutes.
	pid := 12
	for i := range 30 {
		m.s.Uptime += 2 * time.Second
		m.end(pid)
		delete(m.rate, pid)
		pid = 100 + i
		m.proc(pid, "miner", time.Second, 500*time.Millisecond).Detail = d
		for j := range m.s.Processes {
			if p := &m.s.Processes[j]; p.ID.PID < 12 {
				p.User, p.Looked = p.User+time.Second, m.s.Uptime
			}
		}
		m.look = m.w.Add(&m.s)
		m.rate[pid] = 0.5
		m.run(18 * time.Second)
	}
	g = m.vector(t, pid).Group
	near(t, "processes", g.Processes, 3)
	near(t, "started", g.Started1h, 30)
	near(t, "10m", g.Share10m, 1.475) // each replacement loses the second in which neither was seen
	near(t, "10m of the last respawn alone", m.vector(t, pid).CPU.Share10m, Unknown())

	// All of them end, and one comes back within the hour.
	m.s.Processes = m.s.Processes[:0]
	m.proc(20, "other", 50*time.Hour, 0).Detail = &host.Detail{Exe: "/opt/other"}
	m.run(10 * time.Minute)
	m.s.Uptime += 2 * time.Second
	m.proc(500, "miner", time.Second, 0).Detail = d
	m.look = m.w.Add(&m.s)
	m.run(2 * time.Second)
	g = m.vector(t, 500).Group
	near(t, "10m", g.Share10m, 0)
	if g.Share1h < 0.4 || g.Share1h > 0.55 {
		t.Errorf("the hour has %v cores, want some 1800 s of 3600 s × …", g.Share1h)
	}
}

func TestAProcessThatRunsAnotherProgramChangesGroup(t *testing.T) {
	m := newSim(4)
	m.proc(7, "sh", 50*time.Hour, 0).Detail = &host.Detail{Exe: "/bin/sh", ArgsKnown: true, Args: []string{"sh", "-c", "x"}}
	m.rate[7] = 1
	m.look = m.w.Add(&m.s)
	m.run(time.Minute)
	m.s.Processes[0].Name, m.s.Processes[0].Detail = "miner", &host.Detail{Exe: "/tmp/miner"}
	m.run(20 * time.Second)
	v := m.vector(t, 7)
	if v.Subject.Key != "/tmp/miner" || v.Subject.Exe != "/tmp/miner" || v.Subject.Name != "miner" {
		t.Errorf("subject %+v", v.Subject)
	}
	near(t, "group", v.Group.Seconds24h, 20)
	near(t, "process", v.CPU.Seconds24h, 80)
	near(t, "processes", v.Group.Processes, 1)
	if n := len(m.w.groups.table); n != 2 {
		t.Errorf("%d groups, want the shell's and the miner's", n)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	short := 1_000_000
	if testing.Short() {
		short = 100_000
	}
	m := newSim(4)
	m.proc(1, "init", 50*time.Hour, 0)
	m.look = m.w.Add(&m.s)
	born := m.s.Uptime
	const each = 500
	shared := &host.Detail{Exe: "/usr/bin/cc"}
	for n := 0; n < short; n += each {
		m.s.Uptime += 2 * time.Second
		m.s.Processes, m.s.Events = m.s.Processes[:1], m.s.Events[:0]
		for i := range each {
			id := host.ProcID{PID: 2 + i, Born: uint64((born + time.Duration(n+i)*4*time.Millisecond) / host.Tick)}
			d := shared
			if i%10 == 0 {
				d = &host.Detail{Exe: fmt.Sprintf("/tmp/%d", n+i)} // a program of its own
				m.s.Events = append(m.s.Events, host.Event{Kind: host.ProcessStarted, ID: id, Name: "x", Detail: d, Parent: host.ProcID{PID: 1}})
			}
			used := time.Duration(i%5) * 100 * time.Millisecond
			m.s.Processes = append(m.s.Processes, host.Process{ID: id, Parent: 1, Name: "x", Looked: m.s.Uptime, User: used, Detail: d})
		}
		m.look = m.w.Add(&m.s)
	}
	w := m.w
	if len(w.order) != each+1 || len(w.free) > maxFree || len(w.dead) != 0 || cap(w.order) > 4*each {
		t.Errorf("%d records, %d free, %d dead", len(w.order), len(w.free), len(w.dead))
	}
	if n := len(w.groups.table); n > MaxIdleGroups+each+1 {
		t.Errorf("%d groups", n)
	}
	if w.groups.idle > MaxIdleGroups || w.groups.idle < MaxIdleGroups-each {
		t.Errorf("%d idle groups, want about %d", w.groups.idle, MaxIdleGroups)
	}
	if n := len(w.births.of); n > 512 {
		t.Errorf("%d births", n)
	}
	list := 0
	for g := w.groups.oldest; g != nil; g = g.newer {
		list++
	}
	if list != w.groups.idle {
		t.Errorf("the list has %d groups, the count is %d", list, w.groups.idle)
	}
	if n := len(w.State().Groups); n > maxStateGroups {
		t.Errorf("%d groups in the state", n)
	}
}

func TestGroupKey(t *testing.T) {
	for _, tt := range []struct {
		exe, args, cwd, want string
	}{
		{"/usr/bin/nginx", "nginx: worker process", "", "/usr/bin/nginx"},
		{"/usr/bin/python3.11", "python3|/srv/app.py|--port|80", "/", "/usr/bin/python3.11 /srv/app.py"},
		{"/usr/bin/python3.11", "python3|-u|-W|ignore|app.py", "/srv", "/usr/bin/python3.11 /srv/app.py"},
		{"/usr/bin/python3.11", "python3|-m|http.server", "/srv", "/usr/bin/python3.11 -m http.server"},
		{"/usr/bin/python3", "python3|-c|import os", "/srv", "/usr/bin/python3 -c import os"},
		{"/usr/bin/python3", "python3", "/srv", "/usr/bin/python3"},
		{"/usr/bin/python3", "python3|-", "/srv", "/usr/bin/python3 -"},
		{"/usr/bin/node", "node|--max-old-space-size=4096|-r|ts-node|./index.js|x", "/app", "/usr/bin/node /app/index.js"},
		{"/usr/bin/node", "node|-e|while(1);", "/app", "/usr/bin/node -c while(1);"},
		{"/usr/lib/jvm/17/bin/java", "java|-Xmx2g|-cp|a.jar:b.jar|com.example.Main|arg", "/", "/usr/lib/jvm/17/bin/java com.example.Main"},
		{"/usr/lib/jvm/17/bin/java", "java|-Xmx2g|-jar|app.jar", "/srv", "/usr/lib/jvm/17/bin/java -jar app.jar"},
		{"/usr/bin/perl", "perl|-w|-I|lib|/x.pl", "/", "/usr/bin/perl /x.pl"},
		{"/usr/bin/perl", "perl|-ne|print", "/", "/usr/bin/perl -c print"},
		{"/usr/bin/bash", "-bash", "/root", "/usr/bin/bash"},
		{"/usr/bin/bash", "bash|-x|/root/run.sh", "/root", "/usr/bin/bash /root/run.sh"},
		{"/usr/bin/dash", "sh|-c|curl x > y", "/root", "/usr/bin/dash -c curl x > y"},
		{"/usr/bin/bash", "bash|-lc|make", "/root", "/usr/bin/bash -c make"},
		{"/usr/bin/bash", "bash|-o|errexit|x.sh", "/root", "/usr/bin/bash /root/x.sh"},
		{"/bin/busybox", "sh|/etc/rc", "/", "/bin/busybox sh /etc/rc"},
		{"/bin/busybox", "/bin/busybox|sh|-c|ls", "/", "/bin/busybox sh -c ls"},
		{"/bin/busybox", "crond|-f", "/", "/bin/busybox crond"},
		{"/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", "ld.so|--library-path|/lib|/tmp/m", "/", "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 /tmp/m"},
		{"/usr/bin/qemu-aarch64-static", "qemu|-L|/x|/tmp/m|y", "/", "/usr/bin/qemu-aarch64-static /tmp/m"},
		{"/usr/bin/qemu-system-x86_64", "qemu|-m|4G", "/", "/usr/bin/qemu-system-x86_64"},
		{"/usr/bin/php8.2", "php|-f|/srv/a.php", "/", "/usr/bin/php8.2 -f /srv/a.php"},
		{"/usr/local/bin/deno", "deno|run|--allow-net|main.ts", "/app", "/usr/local/bin/deno /app/main.ts"},
		{`C:\Python\python.exe`, `python.exe|C:\x\app.py`, `C:\`, `C:\Python\python.exe C:\x\app.py`},
		{`C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe`, `powershell|-ExecutionPolicy|Bypass|-File|C:\a.ps1`, ``, `C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe -file C:\a.ps1`},
		{"/memfd:kworker", "kworker", "/", "/memfd:kworker"},
	} {
		args := strings.Split(tt.args, "|")
		d := &host.Detail{Exe: tt.exe, Args: args, ArgsKnown: true, Cwd: tt.cwd}
		if got := GroupKey("x", false, d); got != tt.want {
			t.Errorf("%s %q: %q, want %q", tt.exe, args, got, tt.want)
		}
	}
	for _, tt := range []struct {
		what   string
		kernel bool
		d      *host.Detail
		want   string
	}{
		{"nothing known", false, nil, "name:x/1"},
		{"kernel thread", true, nil, "kernel:x"},
		{"file without path", false, &host.Detail{ExeFile: host.FileID{Dev: 3, Ino: 4}}, "file:3:4"},
		{"user without file", false, &host.Detail{User: "bob"}, "name:x/1 user:bob"},
		{"container", false, &host.Detail{Exe: "/a", Container: host.Container{ID: "c1"}}, "/a in c1"},
		{"bytes", false, &host.Detail{Exe: "/a\xff"}, "/a\uFFFD"},
	} {
		if got := GroupKey("x/1", tt.kernel, tt.d); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.what, got, tt.want)
		}
	}
	long := strings.Repeat("a", 5000)
	a, b := GroupKey("", false, &host.Detail{Exe: "/" + long}), GroupKey("", false, &host.Detail{Exe: "/" + long + "b"})
	if len(a) > maxKey || a == b {
		t.Errorf("long keys: %d bytes, equal %v", len(a), a == b)
	}
}

// FuzzGroupKey holds keys of hostile arguments to their bound, to UTF-8 and to being the same every time.
func FuzzGroupKey(f *testing.F) {
	f.Add("/usr/bin/python3", "python3\x00-m\x00x", "/srv", "c")
	f.Add("/bin/busybox", "busybox\x00busybox\x00sh\x00-c\x00x", "", "")
	f.Add("/bin/bash", "-bash\x00--", "relative", "\xff")
	f.Fuzz(func(t *testing.T, exe, args, cwd, container string) {
		d := &host.Detail{Exe: exe, Args: strings.Split(args, "\x00"), ArgsKnown: true, Cwd: cwd, Container: host.Container{ID: container}}
		k := GroupKey("n", false, d)
		if len(k) > 2<<10 || k != strings.ToValidUTF8(k, "") || k != GroupKey("n", false, d) {
			t.Fatalf("%q", k)
		}
	})
}

func TestAncestors(t *testing.T) {
	m := newSim(4)
	for pid := 1; pid <= 5; pid++ {
		p := m.proc(pid, fmt.Sprint("p", pid), time.Duration(100-pid)*time.Minute, 0)
		p.Parent = pid - 1
		p.Detail = &host.Detail{Exe: fmt.Sprint("/bin/p", pid), User: "u", Args: []string{"p", fmt.Sprint(pid)}, ArgsKnown: true}
	}
	m.look = m.w.Add(&m.s)
	names := func(pid int) string { return strings.Join(m.vector(t, pid).ancestors, " ") }
	if got := names(5); got != "p4 p3 p2 p1" {
		t.Errorf("ancestors %q", got)
	}
	v := m.vector(t, 5)
	if v.Subject.Ancestors[0] != (host.Ancestor{ID: m.s.Processes[3].ID, Name: "p4", Exe: "/bin/p4"}) || v.Parent != m.s.Processes[3].Detail {
		t.Errorf("subject %+v", v.Subject)
	}
	field := func(pid int, name string) host.Value {
		f, ok := m.vector(t, pid).Field(name)
		if !ok {
			t.Fatalf("no field %s", name)
		}
		return f
	}
	if f := field(5, "process.parent_command_line"); f.Text != "p 4" {
		t.Errorf("parent %+v", f)
	}
	if f := field(1, "process.ancestors"); f.Kind != host.KindAbsent {
		t.Errorf("the first process has ancestors: %+v", f)
	}

	// Its parent ends, the kernel hands it to the first process: who started it stays known.
	m.end(4)
	m.s.Processes[3].Parent = 1
	m.step(2 * time.Second)
	if got := names(5); got != "p4 p3 p2 p1" {
		t.Errorf("after the parent's end: %q", got)
	}
	if f := field(5, "process.reparented"); !f.Bool || f.Kind != host.KindBool {
		t.Errorf("reparented %+v", f)
	}
	if f := field(5, "process.parent_exe"); f.Text != "/bin/p4" {
		t.Errorf("parent %+v", f)
	}
	// An ancestor that runs another program is what it is now, for those whose line to it lives.
	m.s.Processes[1].Name, m.s.Processes[1].Detail = "evil", &host.Detail{Exe: "/tmp/evil"}
	m.step(2 * time.Second)
	if got := names(3); got != "evil p1" {
		t.Errorf("after exec of an ancestor: %q", got)
	}
	// Another process gets the parent's PID: it is not the parent of who was there before.
	m.proc(4, "imposter", 0, 0)
	m.proc(6, "child", time.Minute, 0).Parent = 4
	m.step(2 * time.Second)
	if got := names(5); got != "p4 p3 p2 p1" {
		t.Errorf("with the PID in use again: %q", got)
	}
	if got := names(6); got != "" {
		t.Errorf("a child older than its parent has ancestors %q", got)
	}
	if f := field(6, "process.ancestors"); f.Kind != host.KindUnknown {
		t.Errorf("its ancestors are %+v, want unknown", f)
	}
}

func TestAncestorsInACircleAndInAChain(t *testing.T) {
	m := newSim(4)
	for pid := 1; pid <= 3; pid++ {
		m.proc(pid, fmt.Sprint("c", pid), time.Hour, 0).Parent = pid%3 + 1
	}
	for pid := 10; pid < 3000; pid++ {
		m.proc(pid, fmt.Sprint("p", pid), time.Hour, 0).Parent = pid - 1
	}
	m.proc(4000, "self", time.Hour, 0).Parent = 4000
	m.look = m.w.Add(&m.s)
	m.run(6 * time.Second)
	if got := len(m.vector(t, 2999).Subject.Ancestors); got != MaxAncestors {
		t.Errorf("%d ancestors", got)
	}
	for pid := 1; pid <= 3; pid++ {
		if n := len(m.vector(t, pid).Subject.Ancestors); n > MaxAncestors {
			t.Errorf("%d ancestors in a circle of three", n)
		}
	}
	if n := len(m.vector(t, 4000).Subject.Ancestors); n != 0 {
		t.Errorf("its own ancestor: %d", n)
	}
}

func TestEventsKnowParentsThatAreGone(t *testing.T) {
	m := newSim(4)
	m.proc(1, "init", 50*time.Hour, 0).Parent = 0
	m.proc(50, "sshd", 5*time.Hour, 0)
	m.look = m.w.Add(&m.s)
	m.s.Uptime += 2 * time.Second
	now := uint64(m.s.Uptime/host.Tick) - 100
	sshd := m.s.Processes[1].ID
	shell, miner := host.ProcID{PID: 60, Born: now}, host.ProcID{PID: 61, Born: now + 5}
	shellDetail := &host.Detail{Exe: "/bin/sh", Args: []string{"sh", "-c", "curl x|sh"}, ArgsKnown: true, User: "bob"}
	m.s.Events = []host.Event{
		{Kind: host.ProcessStarted, ID: shell, Name: "sh", Detail: shellDetail, Parent: sshd, ParentName: "sshd"},
		{Kind: host.ProcessStarted, ID: miner, Name: "miner", Detail: &host.Detail{Exe: "/tmp/miner", User: "bob"}, Parent: shell, ParentName: "sh", ParentDetail: shellDetail},
		{Kind: host.ProcessEnded, ID: shell},
	}
	p := m.proc(61, "miner", 0, 0)
	p.ID, p.Parent = miner, 1
	m.look = m.w.Add(&m.s)
	if n := len(m.look.Occurrences); n != 3 {
		t.Fatalf("%d occurrences", n)
	}
	o := &m.look.Occurrences[1]
	for name, want := range map[string]string{
		"event.kind": "process_started", "process.exe": "/tmp/miner", "process.user": "bob", "process.parent_name": "sh",
		"process.parent_exe": "/bin/sh", "process.parent_command_line": "sh -c curl x|sh",
	} {
		if v, ok := o.Field(name); !ok || v.Text != want {
			t.Errorf("%s is %+v, want %q", name, v, want)
		}
	}
	if v, _ := o.Field("process.ancestors"); strings.Join(v.Texts, " ") != "sh sshd init" {
		t.Errorf("ancestors of the event %q", v.Texts)
	}
	if v, _ := o.Field("process.original_file_name"); v.Kind != host.KindUnknown {
		t.Errorf("a field without sensor is %+v", v)
	}
	if o.Subject.Key != "/tmp/miner" || o.Subject.ID != miner {
		t.Errorf("subject %+v", o.Subject)
	}
	v := m.vector(t, 61)
	if got := strings.Join(v.ancestors, " "); got != "sh sshd init" {
		t.Errorf("ancestors of the process %q", got)
	}
	if f, _ := v.Field("process.parent_command_line"); f.Text != "sh -c curl x|sh" {
		t.Errorf("parent's command line %+v", f)
	}
	if v.Reparented != host.Yes {
		t.Errorf("reparented %v", v.Reparented)
	}
	// Its end, seen by an event without details, is told with what was known.
	m.s.Uptime += 2 * time.Second
	m.s.Events = []host.Event{{Kind: host.ProcessEnded, ID: miner}}
	m.s.Processes[2].Looked = m.s.Uptime
	m.end(61)
	m.look = m.w.Add(&m.s)
	if o := m.look.Occurrences[0]; o.Subject.Name != "miner" || len(o.Subject.Ancestors) != 3 {
		t.Errorf("the end's subject %+v", o.Subject)
	}
}
