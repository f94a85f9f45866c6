package trace

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/minehound/minehound/agent/host"
)

func dur(s *seconds) time.Duration {
	if s == nil {
		return 0
	}
	return time.Duration(*s)
}

func str(b *blob) string {
	if b == nil {
		return ""
	}
	return string(*b)
}

// set assigns what a line has; what it lacks has not changed.
func set[T any, L any](into *T, from *L, convert func(L) T) {
	if from != nil {
		*into = convert(*from)
	}
}

func same[T any](v T) T              { return v }
func toString(b blob) string         { return string(b) }
func toTime(s seconds) time.Duration { return time.Duration(s) }
func toBytes(n size) int64           { return int64(n) }
func toFact(f fact) host.Fact        { return host.Fact(f) }
func toByte(l letter) byte           { return byte(l) }

func applyMachine(m *host.Machine, l *machineLine) error {
	if l == nil {
		return nil
	}
	if l.CPUs != nil && (*l.CPUs < 1 || *l.CPUs > 1<<16) {
		return fmt.Errorf("a machine with %d CPUs", *l.CPUs)
	}
	set(&m.CPUs, l.CPUs, same[int])
	set(&m.Busy, l.Busy, toTime)
	set(&m.Steal, l.Steal, toTime)
	set(&m.Memory, l.Memory, toBytes)
	set(&m.HugePages, l.HugePages, same[int64])
	set(&m.HugeFree, l.HugeFree, same[int64])
	set(&m.HugeSize, l.HugeSize, toBytes)
	set(&m.MSRWritable, l.MSRWritable, toFact)
	return nil
}

func applyDetail(d *host.Detail, l *detailLine) {
	set(&d.Exe, l.Exe, toString)
	set(&d.ExeDeleted, l.ExeDeleted, toFact)
	set(&d.ExeFile.Dev, l.Dev, same[uint64])
	set(&d.ExeFile.Ino, l.Ino, same[uint64])
	set(&d.ExeSHA256, l.SHA256, toString)
	set(&d.Cwd, l.Cwd, toString)
	if l.Args != nil {
		d.Args, d.ArgsKnown = make([]string, len(*l.Args)), true
		for i, a := range *l.Args {
			d.Args[i] = string(a)
		}
	}
	set(&d.ArgsKnown, l.ArgsKnown, same[bool])
	if l.Env != nil {
		d.Env, d.EnvKnown = make([]host.EnvVar, len(*l.Env)), true
		for i, v := range *l.Env {
			d.Env[i] = host.EnvVar(v)
		}
	}
	set(&d.EnvKnown, l.EnvKnown, same[bool])
	set(&d.UID, l.UID, same[int])
	set(&d.User, l.User, toString)
	set(&d.Container.ID, l.Container, toString)
	set(&d.Container.Runtime, l.Runtime, toString)
	set(&d.Container.Pod, l.Pod, toString)
	set(&d.Cgroup, l.Cgroup, toString)
	set(&d.TracerPID, l.TracerPID, same[int])
}

func applyProcess(p *host.Process, l *processLine) error {
	if l.Threads != nil && *l.Threads < -1 {
		return fmt.Errorf("%d threads", *l.Threads)
	}
	set(&p.Parent, l.Parent, same[int])
	set(&p.Group, l.Group, same[int])
	set(&p.Session, l.Session, same[int])
	set(&p.Name, l.Name, toString)
	set(&p.State, l.State, toByte)
	set(&p.Kernel, l.Kernel, same[bool])
	set(&p.Looked, l.Looked, toTime)
	set(&p.User, l.User, toTime)
	set(&p.System, l.System, toTime)
	set(&p.Threads, l.Threads, same[int])
	set(&p.RSS, l.RSS, toBytes)
	set(&p.VSize, l.VSize, toBytes)
	set(&p.Nice, l.Nice, same[int])
	set(&p.Policy, l.Policy, same[int])
	set(&p.MinFault, l.Faults, same[uint64])
	return nil
}

func applyEffort(e *host.Effort, l *effortLine, now time.Duration) error {
	e.Looked = now
	set(&e.Looked, l.Looked, toTime)
	set(&e.ThreadsMore, l.ThreadsMore, same[int])
	set(&e.Voluntary, l.Voluntary, same[int64])
	set(&e.Involuntary, l.Involuntary, same[int64])
	for _, tid := range l.Gone {
		i, ok := findTID(e.Threads, tid)
		if !ok {
			return fmt.Errorf("thread %d is gone, but it was not there", tid)
		}
		e.Threads = slices.Delete(e.Threads, i, i+1)
	}
	for i := range l.Threads {
		t := &l.Threads[i]
		at, ok := findTID(e.Threads, t.TID)
		if !ok {
			if len(e.Threads) >= maxThreads {
				return fmt.Errorf("%w: more than %d threads", ErrTooLarge, maxThreads)
			}
			e.Threads = slices.Insert(e.Threads, at, host.Thread{TID: t.TID, Voluntary: -1, Involuntary: -1, CPUs: -1, OnlyCPU: -1})
		}
		applyThread(&e.Threads[at], t)
	}
	if l.NoMemory {
		e.Memory = nil
	}
	if l.Memory != nil {
		if l.NoMemory {
			return errors.New("memory and no_memory at once")
		}
		e.Memory = memoryOf(l.Memory, now)
	}
	return nil
}

func findTID(ts []host.Thread, tid int) (int, bool) {
	return slices.BinarySearchFunc(ts, tid, func(t host.Thread, tid int) int { return t.TID - tid })
}

func applyThread(t *host.Thread, l *threadLine) {
	set(&t.Name, l.Name, toString)
	set(&t.State, l.State, toByte)
	set(&t.User, l.User, toTime)
	set(&t.System, l.System, toTime)
	set(&t.Voluntary, l.Voluntary, same[int64])
	set(&t.Involuntary, l.Involuntary, same[int64])
	set(&t.CPUs, l.CPUs, same[int])
	set(&t.OnlyCPU, l.OnlyCPU, same[int])
}

// memoryOf makes a new Memory: it is immutable, so a line holds it whole.
func memoryOf(l *memoryLine, now time.Duration) *host.Memory {
	m := &host.Memory{Looked: now, Hugetlb: -1, RSSAnon: -1, Known: true}
	set(&m.Looked, l.Looked, toTime)
	set(&m.Hugetlb, l.Hugetlb, toBytes)
	set(&m.RSSAnon, l.RSSAnon, toBytes)
	if l.Large != nil {
		m.Large = make([]int64, len(*l.Large))
		for i, n := range *l.Large {
			m.Large[i] = int64(n)
		}
	}
	m.Exec, m.ExecMaps, m.WriteExec = int64(l.Exec), l.ExecMaps, int64(l.WriteExec)
	set(&m.Known, l.Known, same[bool])
	return m
}
