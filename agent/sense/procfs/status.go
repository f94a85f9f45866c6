package procfs

import (
	"bytes"
	"math"
)

// Status is what is used of /proc/PID/status, see proc_pid_status(5). What the file does not tell is -1.
type Status struct {
	UID         int   // real
	Tracer      int   // PID of the debugger, 0 none
	RSSAnon     int64 // bytes
	Hugetlb     int64 // bytes
	Voluntary   int64
	Involuntary int64
	CPUs        int // how many it may run on
	OnlyCPU     int // the only one it may run on, -1 also when there are more
}

// ParseStatus parses a status file. A line it does not understand is a line it does not know: the kernel adds some with
// every release. The name cannot smuggle in a line, the kernel escapes it there.
func ParseStatus(b []byte) Status {
	s := Status{UID: -1, Tracer: -1, RSSAnon: -1, Hugetlb: -1, Voluntary: -1, Involuntary: -1, CPUs: -1, OnlyCPU: -1}
	for len(b) > 0 {
		var line []byte
		line, b = cutLine(b)
		key, value, ok := bytes.Cut(line, colon)
		if !ok {
			continue
		}
		value = bytes.TrimLeft(value, " \t")
		switch string(key) { // the compiler compares without making a string
		case "Uid":
			s.UID = small(value)
		case "TracerPid":
			s.Tracer = small(value)
		case "RssAnon":
			s.RSSAnon = kibibytes(value)
		case "HugetlbPages":
			s.Hugetlb = kibibytes(value)
		case "voluntary_ctxt_switches":
			s.Voluntary = count(value)
		case "nonvoluntary_ctxt_switches":
			s.Involuntary = count(value)
		case "Cpus_allowed_list":
			s.CPUs, s.OnlyCPU = cpuList(value)
		}
	}
	return s
}

var colon = []byte(":")

// cutLine splits at the first newline.
func cutLine(b []byte) (line, rest []byte) {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return b[:i], b[i+1:]
	}
	return b, nil
}

// count is a number of at least 0, or -1.
func count(b []byte) int64 {
	n, _, ok := number(b)
	if !ok || n < 0 {
		return -1
	}
	return n
}

// small is a count that fits an int32, or -1: (uid_t)-1 means none as well.
func small(b []byte) int {
	n := count(b)
	if n >= math.MaxUint32 {
		return -1
	}
	return int(n)
}

// kibibytes reads "123 kB" as bytes, -1 when it is not that.
func kibibytes(b []byte) int64 {
	n, rest, ok := number(b)
	if !ok || n < 0 || n > math.MaxInt64>>10 || string(bytes.TrimSpace(rest)) != "kB" {
		return -1
	}
	return n << 10
}

// cpuList reads "0-3,8": how many CPUs that is, and which when it is one. -1 when it is not a list.
func cpuList(b []byte) (n, only int) {
	var total int64
	only = -1
	for len(b) > 0 {
		from, rest, ok := number(b)
		if !ok || from < 0 {
			return -1, -1
		}
		to := from
		if len(rest) > 0 && rest[0] == '-' {
			if to, rest, ok = number(rest[1:]); !ok || to < from {
				return -1, -1
			}
		}
		if to >= 1<<20 {
			return -1, -1
		}
		total = min(total+to-from+1, 1<<20)
		only = int(to)
		if len(rest) > 0 {
			if rest[0] != ',' || len(rest) == 1 {
				return -1, -1
			}
			rest = rest[1:]
		}
		b = rest
	}
	switch total {
	case 0:
		return -1, -1
	case 1:
		return 1, only
	}
	return int(total), -1
}
