package procfs

import (
	"bytes"
	"strings"

	"github.com/minehound/minehound/agent/host"
)

// Cgroup reads /proc/PID/cgroup, see cgroups(7): the path of the process in the unified hierarchy, or where there is none
// or all is at its root, in systemd's, or in the first; and the container that the paths name. Of nested containers the
// innermost counts.
func Cgroup(b []byte) (path string, c host.Container) {
	rank := 0
	for len(b) > 0 {
		var line []byte
		line, b = cutLine(b)
		_, rest, ok := bytes.Cut(line, colon)
		controllers, p, ok2 := bytes.Cut(rest, colon)
		if !ok || !ok2 || len(p) == 0 {
			continue
		}
		r := 1
		switch {
		case len(controllers) == 0 && len(p) > 1:
			r = 3
		case string(controllers) == "name=systemd":
			r = 2
		}
		if r > rank {
			rank, path = r, string(p)
		}
		if c.ID == "" {
			c = container(string(p))
		}
	}
	return path, c
}

// container finds the innermost container in a cgroup path.
func container(path string) host.Container {
	var c host.Container
	pod, kube, parent := "", false, ""
	for seg := range strings.SplitSeq(path, "/") {
		if p, ok := podUID(seg); ok {
			pod = p
		}
		kube = kube || strings.HasPrefix(seg, "kubepods") || strings.HasSuffix(seg, "-kubepods.slice")
		switch id, runtime := named(seg, parent); {
		case id != "":
			c = host.Container{ID: id, Runtime: runtime}
		case isID(seg):
			c = host.Container{ID: seg, Runtime: owner(parent, kube)}
		case seg == "supervisor" && c.Runtime == "systemd-nspawn":
			c = host.Container{} // systemd-nspawn itself, beside its payload
		}
		parent = seg
	}
	if c.ID != "" && kube {
		c.Pod = pod
	}
	return c
}

// named knows the names that runtimes give their cgroups, systemd's unit names among them.
func named(seg, parent string) (id, runtime string) {
	if scope, ok := strings.CutSuffix(seg, ".scope"); ok {
		for _, r := range []struct{ prefix, runtime string }{
			{"docker-", "docker"}, {"cri-containerd-", "containerd"}, {"nerdctl-", "containerd"},
			{"libpod-", "podman"}, {"crio-", "cri-o"}, {"containerd-", "containerd"},
		} {
			if id, ok := strings.CutPrefix(scope, r.prefix); ok && isID(id) {
				return id, r.runtime
			}
		}
		if m, ok := strings.CutPrefix(scope, "machine-"); ok && m != "" &&
			!strings.HasPrefix(m, `qemu\x2d`) && !strings.HasPrefix(m, "qemu-") {
			return unescapeUnit(m), "systemd-nspawn"
		}
		return "", ""
	}
	if m, ok := strings.CutPrefix(seg, "systemd-nspawn@"); ok {
		if m, ok = strings.CutSuffix(m, ".service"); ok && m != "" {
			return unescapeUnit(m), "systemd-nspawn"
		}
	}
	if id, ok := strings.CutPrefix(seg, "libpod-"); ok && isID(id) {
		return id, "podman"
	}
	// containerd without systemd but told to use it: SLICE:PREFIX:ID
	if p := strings.SplitN(seg, ":", 3); len(p) == 3 && isID(p[2]) {
		return p[2], map[bool]string{true: "cri-o", false: "containerd"}[p[1] == "crio"]
	}
	if m, ok := strings.CutPrefix(seg, "lxc.payload."); ok && m != "" {
		return m, "lxc"
	}
	if (parent == "lxc" || parent == "lxc.payload") && seg != "" {
		return seg, "lxc"
	}
	return "", ""
}

// owner says whose a bare id is, by the directory it stands in.
func owner(parent string, kube bool) string {
	switch {
	case parent == "docker":
		return "docker"
	case strings.HasPrefix(parent, "libpod"):
		return "podman"
	case kube:
		return "kubernetes"
	}
	return ""
}

// isID tells whether s is a container id: 64 hexadecimal digits.
func isID(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// podUID reads the pod from kubepods-burstable-podUID.slice (with _ for -) or podUID. A static pod's UID is 32 digits.
func podUID(seg string) (string, bool) {
	seg = strings.TrimSuffix(seg, ".slice")
	if i := strings.IndexByte(seg, ':'); i >= 0 { // SLICE:PREFIX:ID
		seg = strings.TrimSuffix(seg[:i], ".slice")
	}
	i := strings.LastIndex(seg, "pod")
	if i < 0 || i > 0 && seg[i-1] != '-' {
		return "", false
	}
	uid := strings.ReplaceAll(seg[i+len("pod"):], "_", "-")
	if strings.Trim(uid, "0123456789abcdef-") != "" || len(uid) != 36 && len(uid) != 32 {
		return "", false
	}
	return uid, true
}

// unescapeUnit undoes systemd-escape(1): \x2d stands for -.
func unescapeUnit(s string) string {
	if !strings.Contains(s, `\x`) {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) && s[i+1] == 'x' {
			if n, rest, ok := hex([]byte(s[i+2 : i+4])); ok && len(rest) == 0 {
				out.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}
