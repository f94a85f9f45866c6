package procfs

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/minehound/minehound/agent/host"
)

// Bounds on what one process can make the reader keep.
const (
	maxArgs      = 4096
	maxEnvNames  = 4096
	maxNameBytes = 256
)

// More stands as the last argument where a command line is longer than what was read or kept.
const More = "…"

// Args splits a command line at its NULs. Programs that write a title over their arguments leave NULs behind it, so those
// at the end do not count. The result is empty, not nil, when there are none.
func Args(b []byte) []string {
	b = bytes.TrimRight(b, "\x00")
	if len(b) == 0 {
		return []string{}
	}
	args := make([]string, 0, min(bytes.Count(b, nul)+1, maxArgs+1))
	for len(args) < maxArgs {
		arg, rest, more := bytes.Cut(b, nul)
		args = append(args, string(arg))
		if !more {
			return args
		}
		b = rest
	}
	return append(args, More)
}

var nul = []byte{0}

// Env splits an environment. For each name it asks value what to keep: the value may be empty, the name always stays. What
// has no = is not a variable: programs write titles over their environment too. Sorted by name, the first of equal names
// counts, as getenv(3) does. name turns bytes into a string, so that the same name of many processes is kept once.
func Env(b []byte, name func([]byte) string, value func(name string, v []byte) string) []host.EnvVar {
	vars := make([]host.EnvVar, 0, min(bytes.Count(b, nul)+1, maxEnvNames))
	for len(b) > 0 && len(vars) < maxEnvNames {
		var one []byte
		one, b, _ = bytes.Cut(b, nul)
		k, v, ok := bytes.Cut(one, equals)
		if !ok || len(k) == 0 || len(k) > maxNameBytes {
			continue
		}
		n := name(k)
		vars = append(vars, host.EnvVar{Name: n, Value: value(n, v)})
	}
	slices.SortStableFunc(vars, func(a, b host.EnvVar) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(vars, func(a, b host.EnvVar) bool { return a.Name == b.Name })
}

var equals = []byte("=")

// Users maps user ids to names as /etc/passwd has them; the first line of an id counts.
func Users(b []byte) map[int]string {
	users := make(map[int]string)
	for len(b) > 0 {
		var line []byte
		line, b = cutLine(b)
		name, rest, ok := strings.Cut(string(line), ":")
		if !ok || name == "" || strings.ContainsAny(name[:1], "+-#") {
			continue
		}
		_, rest, _ = strings.Cut(rest, ":")
		id, _, ok := strings.Cut(rest, ":")
		if !ok {
			continue
		}
		uid, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			continue
		}
		if _, known := users[int(uid)]; !known {
			users[int(uid)] = name
		}
	}
	return users
}
