// Package procfs parses what Linux says about itself under /proc, from bytes, and listens to nothing and opens nothing. The
// bytes come from the kernel, but many of them (names, arguments, paths) were chosen by whoever runs the process, and a
// file may be torn, cut short or made up: no input makes a parser fail in another way than by an error.
package procfs

import (
	"bytes"
	"errors"
	"math"
	"time"

	"github.com/minehound/minehound/agent/host"
)

// ErrFormat is input that is not what the kernel writes.
var ErrFormat = errors.New("not in the kernel's format")

// flagKernelThread is PF_KTHREAD of include/linux/sched.h. It alone tells a kernel thread: programs that the kernel
// starts itself (core dump handlers, modprobe) are children of kthreadd as well, and in a PID namespace 2 is a PID like
// any other.
const flagKernelThread = 0x00200000

// Stat is /proc/PID/stat or /proc/PID/task/TID/stat, see proc_pid_stat(5).
type Stat struct {
	PID      int
	Comm     []byte // part of the input
	State    byte
	Parent   int
	Group    int
	Session  int
	Kernel   bool
	MinFault uint64
	User     time.Duration
	System   time.Duration
	Nice     int
	Threads  int
	Born     uint64 // ticks since boot
	VSize    int64  // bytes
	RSSPages int64
	Policy   int
}

// ParseStat parses one stat line. The name stands between the first ( and the last ), because it may hold any byte,
// brackets, blanks and newlines included, and only numbers follow it.
func ParseStat(b []byte, s *Stat) error {
	open := bytes.IndexByte(b, '(')
	end := bytes.LastIndexByte(b, ')')
	if open < 2 || end < open || end+4 > len(b) || b[end+1] != ' ' || b[end+3] != ' ' {
		return ErrFormat
	}
	pid, rest, ok := number(b[:open])
	if !ok || len(rest) != 1 || rest[0] != ' ' || pid <= 0 {
		return ErrFormat
	}
	*s = Stat{PID: int(pid), Comm: b[open+1 : end], State: b[end+2]}
	b = b[end+4:]
	// Fields 4 (ppid) to 41 (policy) in the order of proc_pid_stat(5).
	const first, last = 4, 41
	var f [last - first + 1]int64
	for i := range f {
		f[i], b, ok = number(b)
		if !ok {
			return ErrFormat
		}
		if len(b) > 0 && (b[0] == ' ' || b[0] == '\n') {
			b = b[1:]
		} else if i < len(f)-1 || len(b) > 0 {
			return ErrFormat
		}
	}
	s.Parent, s.Group, s.Session = int(f[4-first]), int(f[5-first]), int(f[6-first])
	s.Kernel = f[9-first]&flagKernelThread != 0
	s.MinFault = uint64(f[10-first])
	s.User, s.System = ticks(f[14-first]), ticks(f[15-first])
	s.Nice, s.Threads = int(f[19-first]), int(f[20-first])
	s.Born = uint64(max(f[22-first], 0))
	s.VSize, s.RSSPages = max(f[23-first], 0), max(f[24-first], 0)
	s.Policy = int(f[41-first])
	return nil
}

// ticks turns clock ticks into time, never below 0 and never around.
func ticks(n int64) time.Duration {
	return time.Duration(min(max(n, 0), math.MaxInt64/int64(host.Tick))) * host.Tick
}

// number reads a decimal number with an optional sign and returns what follows it. A number above the range of int64 (the
// kernel prints some fields unsigned) becomes the largest.
func number(b []byte) (n int64, rest []byte, ok bool) {
	neg := false
	if len(b) > 0 && b[0] == '-' {
		neg = true
		b = b[1:]
	}
	i := 0
	for ; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
		d := int64(b[i] - '0')
		if n > (math.MaxInt64-d)/10 {
			n = math.MaxInt64
			continue
		}
		n = n*10 + d
	}
	if neg {
		n = -n
	}
	return n, b[i:], i > 0
}
