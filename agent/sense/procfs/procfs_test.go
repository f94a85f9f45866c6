package procfs

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/minehound/minehound/agent/host"
)

// tail are the fields of a stat line from the 4th on, of a process with 150 and 70 ticks of CPU time.
const tail = " 1 2 3 0 -1 4194560 100 0 0 0 150 70 0 0 20 -5 4 0 789 1048576 256 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 0 0 5 0 0 0 0 0 0 0 0 0 0 0\n"

func TestParseStat(t *testing.T) {
	want := Stat{
		PID: 42, State: 'S', Parent: 1, Group: 2, Session: 3, MinFault: 100, User: 1500 * time.Millisecond, System: 700 * time.Millisecond,
		Nice: -5, Threads: 4, Born: 789, VSize: 1048576, RSSPages: 256, Policy: 5,
	}
	for _, name := range []string{
		"sleep", "", "a b", ") S 1 (x", "((", "))", "x) R 9", "a\nb", "\xff\xfe\x80", "kworker/0:1-ev",
	} {
		var got Stat
		if err := ParseStat([]byte("42 ("+name+") S"+tail), &got); err != nil {
			t.Errorf("name %q: %v", name, err)
			continue
		}
		if string(got.Comm) != name {
			t.Errorf("name is %q, want %q", got.Comm, name)
		}
		got.Comm = nil
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("name %q (-want +got):\n%s", name, diff)
		}
	}
}

func TestParseStatTellsKernelThreadsByTheirFlagAlone(t *testing.T) {
	// 2129984 is 0x208040: PF_KTHREAD with PF_WQ_WORKER and PF_NOFREEZE, as Linux 6 has it for kworkers.
	for line, want := range map[string]bool{
		"7 (kworker/0:0) I 2 0 0 0 -1 2129984" + tail[len(" 1 2 3 0 -1 4194560"):]:  true,
		"7 (kworker/0:0) S 2 0 0 0 -1 4194560" + tail[len(" 1 2 3 0 -1 4194560"):]:  false, // a user's process under kthreadd
		"7 (kworker/0:0) S 1 7 7 0 -1 4194560" + tail[len(" 1 2 3 0 -1 4194560"):]:  false,
		"2 (systemd-user) S 1 2 2 0 -1 4194560" + tail[len(" 1 2 3 0 -1 4194560"):]: false,
	} {
		var s Stat
		if err := ParseStat([]byte(line), &s); err != nil || s.Kernel != want {
			t.Errorf("%q: kernel %v, %v; want %v", line, s.Kernel, err, want)
		}
	}
}

func TestParseStatRefuses(t *testing.T) {
	for _, line := range []string{
		"", "42", "42 (x", "42 (x)", "42 (x) S", "42 (x) S 1 2 3", "x (x) S" + tail, "42 x) S" + tail, " (x) S" + tail, "42 (x) S" + tail[:40],
		"-1 (x) S" + tail, "0 (x) S" + tail, "42 (x)S" + tail, "42 (x) S 1 2 three" + tail[6:], "42  (x) S" + tail,
	} {
		var s Stat
		if err := ParseStat([]byte(line), &s); !errors.Is(err, ErrFormat) {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestParseStatusOfAMiner(t *testing.T) {
	// 2,396,160 KiB are the dataset, the cache, and 2 MiB for each of two workers; RSS does not count them.
	want := Status{UID: 0, Tracer: 0, RSSAnon: 1848 << 10, Hugetlb: (2080 + 256 + 2*2) << 20, Voluntary: 276, Involuntary: 21, CPUs: 2, OnlyCPU: -1}
	if diff := cmp.Diff(want, ParseStatus(recorded(t, "xm_fast.status"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseStatus(t *testing.T) {
	unknown := Status{UID: -1, Tracer: -1, RSSAnon: -1, Hugetlb: -1, Voluntary: -1, Involuntary: -1, CPUs: -1, OnlyCPU: -1}
	with := func(set func(*Status)) Status {
		s := unknown
		set(&s)
		return s
	}
	for _, c := range []struct {
		in   string
		want Status
	}{
		{"", unknown},
		{"Name:\tUid:\\n\nUid:\t1000\t0\t0\t0\n", with(func(s *Status) { s.UID = 1000 })},
		{"Uid:\t4294967295\t0\t0\t0\n", unknown},
		{"Uid:\tx\nRssAnon:\t12\nHugetlbPages:\t-1 kB\n", unknown},
		{"RssAnon:\t9223372036854775807 kB\n", unknown},
		{"Cpus_allowed_list:\t3\n", with(func(s *Status) { s.CPUs, s.OnlyCPU = 1, 3 })},
		{"Cpus_allowed_list:\t0-3,8,10-11\n", with(func(s *Status) { s.CPUs = 7 })},
		{"Cpus_allowed_list:\t0-\n", unknown},
		{"Cpus_allowed_list:\t5-1\n", unknown},
		{"Cpus_allowed_list:\t0,\n", unknown},
		{"Cpus_allowed_list:\t\n", unknown},
		{"Cpus_allowed_list:\t0-99999999999\n", unknown},
		{"TracerPid:\t77\nvoluntary_ctxt_switches:\t5", with(func(s *Status) { s.Tracer, s.Voluntary = 77, 5 })},
	} {
		if diff := cmp.Diff(c.want, ParseStatus([]byte(c.in))); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.in, diff)
		}
	}
}

func recorded(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func addUp(t *testing.T, text string) host.Memory {
	t.Helper()
	var m Maps
	for line := range strings.Lines(text) {
		if err := m.Line([]byte(strings.TrimSuffix(line, "\n"))); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
	}
	var mem host.Memory
	m.Fill(&mem)
	if !m.Same(&mem) {
		t.Error("what was filled in is not the same")
	}
	return mem
}

func TestMapsOfRecordedProcesses(t *testing.T) {
	const MiB = 1 << 20
	for name, want := range map[string]host.Memory{
		// A RandomX dataset of 2080 MiB and its cache of 256 MiB in huge pages; one JIT buffer of 256 KiB for each of two
		// workers, writable, and one of 128 KiB that is not.
		"xm_fast.maps": {Large: []int64{2080 * MiB, 256 * MiB}, Exec: (2*256 + 128) << 10, ExecMaps: 3, WriteExec: 2 * 256 << 10},
	} {
		if diff := cmp.Diff(want, addUp(t, string(recorded(t, name)))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if light := addUp(t, string(recorded(t, "xm_light_tls_packed.maps"))); len(light.Large) != 1 || light.Large[0]>>20 != 256 {
		t.Errorf("a light miner's cache: %v", light.Large)
	}
}

func TestMapsKnowsWhatIsInMemoryOnly(t *testing.T) {
	const size = 0x8000000 // 128 MiB
	line := func(perms, rest string) string { return "100000000-108000000 " + perms + " 00000000 " + rest }
	for in, want := range map[string]bool{
		line("rw-p", "00:00 0"):                                    true,
		line("rw-p", "00:00 0 "):                                   true,
		line("rw-p", "00:00 0                          [heap]"):    true,
		line("rw-p", "00:00 0   [stack]"):                          true,
		line("rw-p", "00:00 0   [anon:dalvik-main space]"):         true,
		line("rw-s", "00:01 5   [anon_shmem:x]"):                   true,
		line("rw-s", "00:01 5   /dev/zero (deleted)"):              true,
		line("rw-p", "00:11 527370      /anon_hugepage (deleted)"): true,
		line("rw-s", "00:01 7   /memfd:hugetlb (deleted)"):         true,
		line("rw-s", "00:01 7   /SYSV00000000 (deleted)"):          true,
		line("rw-s", "00:01 7   /dev/shm/x"):                       true,
		line("rw-s", "00:01 7   /dev/hugepages/x"):                 true,
		line("r--p", "00:00 0"):                                    true,
		line("---p", "00:00 0"):                                    false, // reserved, not used
		line("r--p", "fe:00 10 /usr/lib/x.so"):                     false,
		line("r--p", "fe:00 10 /tmp/[heap]"):                       false,
		line("rw-p", "00:00 0   [vvar]"):                           false,
		line("rw-s", "00:0f 1   anon_inode:[perf_event]"):          false,
	} {
		var list []int64
		if want {
			list = []int64{size}
		}
		if got := addUp(t, in).Large; !slices.Equal(got, list) {
			t.Errorf("%q: %v", in, got)
		}
	}
}

func TestMapsKeepsTheLargest(t *testing.T) {
	var m Maps
	for i := range 200 {
		size := uint64(host.LargeMapping) + uint64(i*37%200)<<12
		if err := m.Line([]byte(strings.ReplaceAll("0-X rw-p 00000000 00:00 0", "X", hexOf(size)))); err != nil {
			t.Fatal(err)
		}
	}
	var mem host.Memory
	m.Fill(&mem)
	if len(mem.Large) != 64 || mem.Large[0] != host.LargeMapping+199<<12 || mem.Large[63] != host.LargeMapping+136<<12 ||
		!slices.IsSortedFunc(mem.Large, func(a, b int64) int { return int(b - a) }) {
		t.Errorf("%d mappings: %v", len(mem.Large), mem.Large)
	}
}

func hexOf(n uint64) string {
	const digits = "0123456789abcdef"
	var b []byte
	for ; n > 0; n >>= 4 {
		b = append([]byte{digits[n&15]}, b...)
	}
	return string(b)
}

func TestMapsRefuses(t *testing.T) {
	for _, line := range []string{"", "x", "1000", "1000-", "2000-1000 rw-p 0 00:00 0", "1000-2000 rw", "1000-2000 rw-p", "1000-2000 rw-p 0 00:00 x", "1000-2000 rw-pp0 00:00 0"} {
		var m Maps
		if err := m.Line([]byte(line)); !errors.Is(err, ErrFormat) {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestParseKernel(t *testing.T) {
	const text = "cpu  100 20 30 4000 50 6 7 8 90 10\ncpu0 50 10 15 2000 25 3 3 4 0 0\ncpu1 50 10 15 2000 25 3 4 4 0 0\nintr 1 2 3\nctxt 5\nbtime 1700000000\nprocesses 9\n"
	want := Kernel{CPUs: 2, Busy: (100 + 20 + 30 + 6 + 7 + 8) * host.Tick, Steal: 8 * host.Tick, Boot: 1700000000}
	got, err := ParseKernel([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, bad := range []string{"", "cpu  1 2 3\n", "cpu0 1 2 3 4 5\n", "cpu x\n"} {
		if _, err := ParseKernel([]byte(bad)); !errors.Is(err, ErrFormat) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestParseMeminfo(t *testing.T) {
	want := Meminfo{Total: 1000 << 10, HugePages: 1170, HugeFree: 2, HugeSize: 2 << 20}
	if diff := cmp.Diff(want, ParseMeminfo([]byte("MemTotal:        1000 kB\nMemFree: 1 kB\nHugePages_Total:    1170\nHugePages_Free:        2\nHugepagesize:       2048 kB\n"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Meminfo{-1, -1, -1, -1}, ParseMeminfo([]byte("MemTotal: many kB\n"))); diff != "" {
		t.Errorf("nothing known (-want +got):\n%s", diff)
	}
}

func TestParseUptime(t *testing.T) {
	if d, err := ParseUptime([]byte("2855.98 4000.12\n")); err != nil || d != 2855*time.Second+980*time.Millisecond {
		t.Errorf("%v, %v", d, err)
	}
	for _, bad := range []string{"", "1", "1.", "1.2", "x.yz", "-1.00", "99999999999999999999.00"} {
		if _, err := ParseUptime([]byte(bad)); !errors.Is(err, ErrFormat) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestArgs(t *testing.T) {
	long := strings.Repeat("a", 4096)
	for _, c := range []struct {
		in   string
		want []string
	}{
		{"", []string{}},
		{"\x00\x00", []string{}},
		{"sleep\x001\x00", []string{"sleep", "1"}},
		{"a\x00\x00b\x00", []string{"a", "", "b"}},
		{"nginx: worker process\x00\x00\x00\x00", []string{"nginx: worker process"}},
		{"no end", []string{"no end"}},
		{"\xff\xfe\x00x\ny", []string{"\xff\xfe", "x\ny"}},
		{long + "\x00" + long, []string{long, long}},
	} {
		if diff := cmp.Diff(c.want, Args([]byte(c.in))); diff != "" {
			t.Errorf("%.40q (-want +got):\n%s", c.in, diff)
		}
	}
	if got := Args([]byte(strings.Repeat("\x00", 1<<17) + "x")); len(got) != maxArgs+1 || got[maxArgs] != More {
		t.Errorf("%d arguments kept", len(got))
	}
}

func TestEnv(t *testing.T) {
	keep := func(_ string, v []byte) string { return string(v) }
	text := func(b []byte) string { return string(b) }
	want := []host.EnvVar{{Name: "A", Value: "1=2"}, {Name: "PATH", Value: "/bin"}, {Name: "Z", Value: ""}}
	if diff := cmp.Diff(want, Env([]byte("PATH=/bin\x00Z=\x00A=1=2\x00PATH=/tmp\x00title of a process\x00=C:\x00\x00"), text, keep)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := Env([]byte(strings.Repeat("A", 300)+"=1"), text, keep); len(got) != 0 {
		t.Errorf("a name too long was kept: %v", got)
	}
}

func TestUsers(t *testing.T) {
	want := map[int]string{0: "root", 33: "www-data", 1000: "anna"}
	if diff := cmp.Diff(want, Users([]byte("root:x:0:0:root:/root:/bin/bash\ntoor:x:0:0::/:\n# x:y:5\n+nis::7::\nwww-data:x:33:33\nbad\nbad:x:-1:0\nbad:x:99999999999:0\nanna:x:1000:"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCgroup(t *testing.T) {
	const id = "3f1c2b5d8e7a90123456789abcdef0123456789abcdef0123456789abcdef012"
	const pod = "01234567-89ab-cdef-0123-456789abcdef"
	podUnit := strings.ReplaceAll(pod, "-", "_")
	other := strings.Repeat("ab", 32)
	for _, c := range []struct {
		name, in, path string
		want           host.Container
	}{
		{"none", "0::/user.slice/user-1000.slice/session-2.scope\n", "/user.slice/user-1000.slice/session-2.scope", host.Container{}},
		{"unreadable", "", "", host.Container{}},
		{"root", "0::/\n", "/", host.Container{}},
		{"service", "0::/system.slice/docker.service\n", "/system.slice/docker.service", host.Container{}},
		{"docker v1", "12:memory:/docker/" + id + "\n1:name=systemd:/docker/" + id + "\n0::/\n", "/docker/" + id, host.Container{ID: id, Runtime: "docker"}},
		{"docker v2", "0::/system.slice/docker-" + id + ".scope\n", "/system.slice/docker-" + id + ".scope", host.Container{ID: id, Runtime: "docker"}},
		{"docker in docker", "0::/docker/" + other + "/docker/" + id + "\n", "/docker/" + other + "/docker/" + id, host.Container{ID: id, Runtime: "docker"}},
		{"nerdctl", "0::/system.slice/nerdctl-" + id + ".scope\n", "/system.slice/nerdctl-" + id + ".scope", host.Container{ID: id, Runtime: "containerd"}},
		{"podman", "0::/machine.slice/libpod-" + id + ".scope/container\n", "/machine.slice/libpod-" + id + ".scope/container", host.Container{ID: id, Runtime: "podman"}},
		{"podman rootless", "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + id + ".scope\n", "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + id + ".scope", host.Container{ID: id, Runtime: "podman"}},
		{"podman cgroupfs", "0::/libpod_parent/libpod-" + id + "\n", "/libpod_parent/libpod-" + id, host.Container{ID: id, Runtime: "podman"}},
		{"podman monitor", "0::/machine.slice/libpod-conmon-" + id + ".scope\n", "/machine.slice/libpod-conmon-" + id + ".scope", host.Container{}},
		{"kubernetes containerd", "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + podUnit + ".slice/cri-containerd-" + id + ".scope\n", "", host.Container{ID: id, Runtime: "containerd", Pod: pod}},
		{"kubernetes cri-o", "0::/kubepods.slice/kubepods-pod" + podUnit + ".slice/crio-" + id + ".scope\n", "", host.Container{ID: id, Runtime: "cri-o", Pod: pod}},
		{"kubernetes cri-o monitor", "0::/kubepods.slice/kubepods-pod" + podUnit + ".slice/crio-conmon-" + id + ".scope\n", "", host.Container{}},
		{"kubernetes docker", "4:cpu,cpuacct:/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + podUnit + ".slice/docker-" + id + ".scope\n", "", host.Container{ID: id, Runtime: "docker", Pod: pod}},
		{"kubernetes cgroupfs", "11:cpuset:/kubepods/burstable/pod" + pod + "/" + id + "\n", "", host.Container{ID: id, Runtime: "kubernetes", Pod: pod}},
		{"kubernetes mixed", "0::/system.slice/containerd.service/kubepods-burstable-pod" + podUnit + ".slice:cri-containerd:" + id + "\n", "", host.Container{ID: id, Runtime: "containerd", Pod: pod}},
		{"static pod", "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + other[:32] + ".slice/cri-containerd-" + id + ".scope\n", "", host.Container{ID: id, Runtime: "containerd", Pod: other[:32]}},
		{"kind", "0::/docker/" + other + "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod" + podUnit + ".slice/cri-containerd-" + id + ".scope\n", "", host.Container{ID: id, Runtime: "containerd", Pod: pod}},
		{"ecs", "9:memory:/ecs/task-id/" + id + "\n", "", host.Container{ID: id}},
		{"lxc v1", "4:memory:/lxc/web\n", "", host.Container{ID: "web", Runtime: "lxc"}},
		{"lxc", "0::/lxc.payload.web/init.scope\n", "", host.Container{ID: "web", Runtime: "lxc"}},
		{"lxc monitor", "0::/lxc.monitor.web\n", "", host.Container{}},
		{"nspawn", "0::/machine.slice/systemd-nspawn@deb.service/payload/system.slice/cron.service\n", "", host.Container{ID: "deb", Runtime: "systemd-nspawn"}},
		{"nspawn itself", "0::/machine.slice/systemd-nspawn@deb.service/supervisor\n", "", host.Container{}},
		{"nspawn scope", `0::/machine.slice/machine-my\x2dbox.scope` + "\n", "", host.Container{ID: "my-box", Runtime: "systemd-nspawn"}},
		{"virtual machine", `0::/machine.slice/machine-qemu\x2d1\x2dvm.scope` + "\n", "", host.Container{}},
		{"short id", "0::/docker/abc\n", "/docker/abc", host.Container{}},
		{"torn", "0:\n:\nx\n0::\n", "", host.Container{}},
	} {
		path, got := Cgroup([]byte(c.in))
		if diff := cmp.Diff(c.want, got); diff != "" || c.path != "" && path != c.path {
			t.Errorf("%s: path %q (-want +got):\n%s", c.name, path, diff)
		}
	}
}
