package procfs

import (
	"bytes"
	"slices"
	"testing"

	"github.com/minehound/minehound/agent/host"
)

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("42 (a) b) S" + tail))
	f.Add([]byte("42 (\n) R" + tail))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Stat
		if ParseStat(b, &s) != nil {
			return
		}
		if s.PID <= 0 || s.User < 0 || s.System < 0 || s.VSize < 0 || s.RSSPages < 0 || !bytes.Contains(b, s.Comm) {
			t.Errorf("%q: %+v", b, s)
		}
	})
}

func FuzzParseStatus(f *testing.F) {
	f.Add([]byte("Uid:\t1\t2\nCpus_allowed_list:\t0-3,5\nRssAnon:\t5 kB\nvoluntary_ctxt_switches:\t3\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := ParseStatus(b)
		if s.UID < -1 || s.Tracer < -1 || s.RSSAnon < -1 || s.Hugetlb < -1 || s.Voluntary < -1 || s.Involuntary < -1 || s.CPUs == 0 || s.CPUs < -1 ||
			(s.OnlyCPU >= 0) != (s.CPUs == 1) {
			t.Errorf("%q: %+v", b, s)
		}
	})
}

func FuzzMaps(f *testing.F) {
	f.Add([]byte("7f14c2000000-7f14d2000000 rwxp 00000000 00:11 527370    /anon_hugepage (deleted)\n0-f000000 rw-p 00000000 00:00 0"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var m Maps
		for line := range bytes.Lines(b) {
			_ = m.Line(bytes.TrimSuffix(line, []byte("\n")))
		}
		var mem host.Memory
		m.Fill(&mem)
		if len(mem.Large) > maxLarge || mem.ExecMaps > m.Lines || !m.Same(&mem) ||
			!slices.IsSortedFunc(mem.Large, func(a, b int64) int { return int(min(max(b-a, -1), 1)) }) {
			t.Errorf("%q: %+v", b, mem)
		}
	})
}

func FuzzCgroup(f *testing.F) {
	f.Add([]byte("0::/kubepods.slice/kubepods-pod01234567_89ab_cdef_0123_456789abcdef.slice/crio-3f1c2b5d8e7a90123456789abcdef0123456789abcdef0123456789abcdef012.scope\n"))
	f.Add([]byte(`0::/machine.slice/machine-my\x2dbox.scope`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, c := Cgroup(b); c.ID == "" && c != (host.Container{}) {
			t.Errorf("%q: %+v", b, c)
		}
	})
}

func FuzzText(f *testing.F) {
	f.Add([]byte("sleep\x001\x00"))
	f.Add([]byte("PATH=/bin\x00A=\x00x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		args := Args(b)
		if args == nil || len(args) > maxArgs+1 || len(args) > bytes.Count(b, nul)+1 {
			t.Errorf("%q: %d arguments", b, len(args))
		}
		if len(args) < maxArgs {
			var joined []byte
			for i, a := range args {
				if i > 0 {
					joined = append(joined, 0)
				}
				joined = append(joined, a...)
			}
			if !bytes.Equal(joined, bytes.TrimRight(b, "\x00")) {
				t.Errorf("%q became %q", b, args)
			}
		}
		env := Env(b, func(b []byte) string { return string(b) }, func(string, []byte) string { return "" })
		for i := 1; i < len(env); i++ {
			if env[i-1].Name >= env[i].Name {
				t.Errorf("%q: not sorted: %v", b, env)
			}
		}
	})
}

func FuzzUsers(f *testing.F) {
	f.Add([]byte("root:x:0:0::/root:/bin/sh\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for id, name := range Users(b) {
			if id < 0 || name == "" {
				t.Errorf("%q: user %d is %q", b, id, name)
			}
		}
	})
}

func FuzzMachine(f *testing.F) {
	f.Add([]byte("cpu  100 20 30 4000 50 6 7 8 90 10\ncpu0 1 1 1 1\nbtime 5\n"))
	f.Add([]byte("MemTotal: 5 kB\nHugePages_Total: 5\n"))
	f.Add([]byte("12.34 5.67\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, err := ParseKernel(b); err == nil && (k.Busy < 0 || k.Steal < 0 || k.Steal > k.Busy || k.CPUs < 0) {
			t.Errorf("%q: %+v", b, k)
		}
		if m := ParseMeminfo(b); m.Total < -1 || m.HugePages < -1 || m.HugeFree < -1 || m.HugeSize < -1 {
			t.Errorf("%q: %+v", b, m)
		}
		if d, err := ParseUptime(b); err == nil && d < 0 {
			t.Errorf("%q: %v", b, d)
		}
	})
}

func FuzzParseConnector(f *testing.F) {
	f.Add(append(message(eventExec, 7, 7), message(eventExit, 7, 7, 0, 17, 1, 1)...))
	f.Add(message(eventNone, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		changes, _ := ParseConnector(b, nil)
		for _, c := range changes {
			if c.Kind != Answered && c.PID <= 0 {
				t.Errorf("% x: %+v", b, c)
			}
		}
	})
}
