package procfs

import (
	"bytes"
	"math"
	"time"
)

// Kernel is what is used of /proc/stat, see proc_stat(5).
type Kernel struct {
	CPUs  int           // that have a line: those online
	Busy  time.Duration // of all CPUs since boot: user, nice, system, irq, softirq and steal
	Steal time.Duration
	Boot  int64 // second since 1970 at which the machine started, -1 unknown
}

// ParseKernel parses /proc/stat. Guest time is part of user time there and is not added again; waiting for input and
// output is idling.
func ParseKernel(b []byte) (Kernel, error) {
	k := Kernel{Boot: -1}
	found := false
	for len(b) > 0 {
		var line []byte
		line, b = cutLine(b)
		key, rest, ok := bytes.Cut(line, blank)
		if !ok {
			continue
		}
		switch {
		case string(key) == "cpu":
			if err := k.busy(rest); err != nil {
				return k, err
			}
			found = true
		case len(key) > 3 && string(key[:3]) == "cpu" && key[3] >= '0' && key[3] <= '9':
			k.CPUs++
		case string(key) == "btime":
			k.Boot = count(rest)
		}
	}
	if !found {
		return k, ErrFormat
	}
	return k, nil
}

var blank = []byte(" ")

func (k *Kernel) busy(b []byte) error {
	var f [8]int64 // user nice system idle iowait irq softirq steal
	n := 0
	for n < len(f) {
		b = bytes.TrimLeft(b, " ")
		v, rest, ok := number(b)
		if !ok {
			break
		}
		f[n] = min(max(v, 0), math.MaxInt64/16)
		b = rest
		n++
	}
	if n < 4 { // before Linux 2.6 there were four
		return ErrFormat
	}
	k.Steal = ticks(f[7])
	k.Busy = ticks(f[0] + f[1] + f[2] + f[5] + f[6] + f[7])
	return nil
}

// Meminfo is what is used of /proc/meminfo, see proc_meminfo(5). What it does not tell is -1.
type Meminfo struct {
	Total     int64 // bytes
	HugePages int64
	HugeFree  int64
	HugeSize  int64 // bytes
}

// ParseMeminfo parses /proc/meminfo.
func ParseMeminfo(b []byte) Meminfo {
	m := Meminfo{Total: -1, HugePages: -1, HugeFree: -1, HugeSize: -1}
	for len(b) > 0 {
		var line []byte
		line, b = cutLine(b)
		key, value, ok := bytes.Cut(line, colon)
		if !ok {
			continue
		}
		value = bytes.TrimLeft(value, " ")
		switch string(key) {
		case "MemTotal":
			m.Total = kibibytes(value)
		case "HugePages_Total":
			m.HugePages = count(value)
		case "HugePages_Free":
			m.HugeFree = count(value)
		case "Hugepagesize":
			m.HugeSize = kibibytes(value)
		}
	}
	return m
}

// ParseUptime parses /proc/uptime: seconds since boot with two decimals.
func ParseUptime(b []byte) (time.Duration, error) {
	s, rest, ok := number(b)
	if !ok || s < 0 || s > math.MaxInt64/int64(time.Second)-1 || len(rest) < 3 || rest[0] != '.' {
		return 0, ErrFormat
	}
	c, after, ok := number(rest[1:3])
	if !ok || c < 0 || len(after) != 0 {
		return 0, ErrFormat
	}
	return time.Duration(s)*time.Second + time.Duration(c)*10*time.Millisecond, nil
}
