package trace

import (
	"fmt"
	"slices"
	"time"

	"github.com/minehound/minehound/agent/host"
)

// changed is b when it differs from a, else nil: what did not change is not written.
func changed[T comparable](a, b T) *T {
	if a == b {
		return nil
	}
	c := b // so that only what changed is allocated
	return &c
}

func diffMachine(a, b *host.Machine) *machineLine {
	l := machineLine{
		CPUs:        changed(a.CPUs, b.CPUs),
		Busy:        changed(seconds(a.Busy), seconds(b.Busy)),
		Steal:       changed(seconds(a.Steal), seconds(b.Steal)),
		Memory:      changed(size(a.Memory), size(b.Memory)),
		HugePages:   changed(a.HugePages, b.HugePages),
		HugeFree:    changed(a.HugeFree, b.HugeFree),
		HugeSize:    changed(size(a.HugeSize), size(b.HugeSize)),
		MSRWritable: changed(fact(a.MSRWritable), fact(b.MSRWritable)),
	}
	if l == (machineLine{}) {
		return nil
	}
	return &l
}

func diffProcess(l *processLine, a, b *host.Process) {
	l.Parent = changed(a.Parent, b.Parent)
	l.Group = changed(a.Group, b.Group)
	l.Session = changed(a.Session, b.Session)
	l.Name = changed(blob(a.Name), blob(b.Name))
	l.State = changed(letter(a.State), letter(b.State))
	l.Kernel = changed(a.Kernel, b.Kernel)
	l.User = changed(seconds(a.User), seconds(b.User))
	l.System = changed(seconds(a.System), seconds(b.System))
	l.Threads = changed(a.Threads, b.Threads)
	l.RSS = changed(size(a.RSS), size(b.RSS))
	l.VSize = changed(size(a.VSize), size(b.VSize))
	l.Nice = changed(a.Nice, b.Nice)
	l.Policy = changed(a.Policy, b.Policy)
	l.Faults = changed(a.MinFault, b.MinFault)
}

// detailOf is a detail as it differs from an empty one.
func detailOf(d *host.Detail) detailLine {
	l := detailLine{
		Exe:        changed("", blob(d.Exe)),
		ExeDeleted: changed(fact(host.Unknown), fact(d.ExeDeleted)),
		Dev:        changed(0, d.ExeFile.Dev),
		Ino:        changed(0, d.ExeFile.Ino),
		SHA256:     changed("", blob(d.ExeSHA256)),
		Cwd:        changed("", blob(d.Cwd)),
		UID:        changed(-1, d.UID),
		User:       changed("", blob(d.User)),
		Container:  changed("", blob(d.Container.ID)),
		Runtime:    changed("", blob(d.Container.Runtime)),
		Pod:        changed("", blob(d.Container.Pod)),
		Cgroup:     changed("", blob(d.Cgroup)),
		TracerPID:  changed(0, d.TracerPID),
	}
	if d.Args != nil {
		args := make([]blob, len(d.Args))
		for i, a := range d.Args {
			args[i] = blob(a)
		}
		l.Args = &args
	}
	if d.ArgsKnown != (d.Args != nil) {
		l.ArgsKnown = &d.ArgsKnown
	}
	if d.Env != nil {
		env := make([]variable, len(d.Env))
		for i, v := range d.Env {
			env[i] = variable(v)
		}
		l.Env = &env
	}
	if d.EnvKnown != (d.Env != nil) {
		l.EnvKnown = &d.EnvKnown
	}
	return l
}

// diffEffort is nil when nothing changed. Looked is left to the caller.
func diffEffort(a, b *host.Effort, now time.Duration) (*effortLine, error) {
	l := effortLine{
		ThreadsMore: changed(a.ThreadsMore, b.ThreadsMore),
		Voluntary:   changed(a.Voluntary, b.Voluntary),
		Involuntary: changed(a.Involuntary, b.Involuntary),
	}
	i := 0
	for j := range b.Threads {
		t := &b.Threads[j]
		if j > 0 && b.Threads[j-1].TID >= t.TID {
			return nil, fmt.Errorf("thread %d comes after %d", t.TID, b.Threads[j-1].TID)
		}
		for ; i < len(a.Threads) && a.Threads[i].TID < t.TID; i++ {
			l.Gone = append(l.Gone, a.Threads[i].TID)
		}
		was, known := host.Thread{TID: t.TID, Voluntary: -1, Involuntary: -1, CPUs: -1, OnlyCPU: -1}, false
		if i < len(a.Threads) && a.Threads[i].TID == t.TID {
			was, known = a.Threads[i], true
			i++
		}
		if was != *t || !known {
			l.Threads = append(l.Threads, diffThread(&was, t))
		}
	}
	for ; i < len(a.Threads); i++ {
		l.Gone = append(l.Gone, a.Threads[i].TID)
	}
	switch {
	case b.Memory == nil:
		l.NoMemory = a.Memory != nil
	case !sameMemory(a.Memory, b.Memory):
		l.Memory = lineOfMemory(b.Memory, now)
	}
	if a.Looked == b.Looked && l.Threads == nil && l.Gone == nil && l.Memory == nil && !l.NoMemory &&
		l.ThreadsMore == nil && l.Voluntary == nil && l.Involuntary == nil {
		return nil, nil
	}
	return &l, nil
}

func diffThread(a, b *host.Thread) threadLine {
	return threadLine{
		TID:         b.TID,
		Name:        changed(blob(a.Name), blob(b.Name)),
		State:       changed(letter(a.State), letter(b.State)),
		User:        changed(seconds(a.User), seconds(b.User)),
		System:      changed(seconds(a.System), seconds(b.System)),
		Voluntary:   changed(a.Voluntary, b.Voluntary),
		Involuntary: changed(a.Involuntary, b.Involuntary),
		CPUs:        changed(a.CPUs, b.CPUs),
		OnlyCPU:     changed(a.OnlyCPU, b.OnlyCPU),
	}
}

func sameMemory(a, b *host.Memory) bool {
	if a == b {
		return true
	}
	if a == nil || b == nil || (a.Large == nil) != (b.Large == nil) || !slices.Equal(a.Large, b.Large) {
		return false
	}
	return a.Looked == b.Looked && a.Hugetlb == b.Hugetlb && a.RSSAnon == b.RSSAnon && a.Exec == b.Exec &&
		a.ExecMaps == b.ExecMaps && a.WriteExec == b.WriteExec && a.Known == b.Known
}

func lineOfMemory(m *host.Memory, now time.Duration) *memoryLine {
	l := &memoryLine{
		Looked:  changed(seconds(now), seconds(m.Looked)),
		Hugetlb: changed(-1, size(m.Hugetlb)),
		RSSAnon: changed(-1, size(m.RSSAnon)),
		Exec:    size(m.Exec), ExecMaps: m.ExecMaps, WriteExec: size(m.WriteExec),
		Known: changed(true, m.Known),
	}
	if m.Large != nil {
		large := make([]size, len(m.Large))
		for i, n := range m.Large {
			large[i] = size(n)
		}
		l.Large = &large
	}
	return l
}
