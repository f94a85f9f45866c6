package sense

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"time"

	// gopsutil v3 cannot read CPU times here without cgo and runs ps for each process; v4 asks the system's library.
	cpuinfo "github.com/shirou/gopsutil/v4/cpu"
	hostinfo "github.com/shirou/gopsutil/v4/host"
	psutil "github.com/shirou/gopsutil/v4/process"
	"golang.org/x/sys/unix"

	"github.com/minehound/minehound/agent/host"
)

// sensors is the list for macOS, in the order they run. The first tells time and identity.
func sensors(o Options) ([]Sensor, error) {
	list := []Sensor{
		newPlainMachine(macMachine{}, time.Now),
		newRoster(o, macLister{users: map[int]string{}}, time.Now, Mask),
	}
	list = append(list, missing("threads", "load of single threads"))
	return append(list, elsewhere()...), nil
}

// macMachine implements machineReader.
type macMachine struct{}

func (macMachine) facts(ctx context.Context) (facts, []host.Gap, error) {
	f := facts{Memory: -1}
	var gaps []host.Gap
	blind := func(what string, err error) {
		gaps = append(gaps, host.Gap{Sensor: "machine", Reason: fmt.Sprintf("%s: %v", what, err)})
	}
	boot, err := unix.SysctlTimeval("kern.boottime")
	if err != nil {
		return f, nil, fmt.Errorf("boot time: %w", err)
	}
	f.Boot = time.Unix(boot.Unix())
	if f.CPUs, err = cpuinfo.CountsWithContext(ctx, true); err != nil {
		return f, nil, fmt.Errorf("count processors: %w", err)
	}
	f.CPUs = max(1, f.CPUs)
	if total, err := unix.SysctlUint64("hw.memsize"); err != nil {
		blind("size of the memory", err)
	} else {
		f.Memory = bytesOf(total)
	}
	f.Identity = host.Identity{OS: "darwin"}
	if f.Identity.Name, err = os.Hostname(); err != nil {
		blind("host name", err)
	}
	if f.Identity.BootID, err = unix.Sysctl("kern.bootsessionuuid"); err != nil {
		blind("boot id", err)
	}
	id, err := hostinfo.HostIDWithContext(ctx) // runs ioreg, once: the one program the agent starts on this platform
	if err != nil {
		blind("machine id", err)
	}
	f.Identity.ID = disguise(id)
	return f, gaps, nil
}

func (macMachine) busy(ctx context.Context) (time.Duration, error) {
	all, err := cpuinfo.TimesWithContext(ctx, false)
	if err != nil {
		return 0, err
	}
	if len(all) != 1 {
		return 0, fmt.Errorf("%d sums of all processors", len(all))
	}
	return time.Duration((all[0].User + all[0].Nice + all[0].System) * float64(time.Second)), nil
}

// macLister implements lister: the kernel's table for all, the system's library for counters and the closer look.
type macLister struct {
	users map[int]string
}

func (l macLister) list(ctx context.Context, into []entry) ([]entry, error) {
	const zombie = 5 // SZOMB of sys/proc.h
	table, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return into, err
	}
	for i := range table {
		k := &table[i]
		if k.Proc.P_stat == zombie {
			continue // it has ended and has no counters any more
		}
		comm, _, _ := bytes.Cut(k.Proc.P_comm[:], []byte{0})
		e := entry{Started: time.Unix(k.Proc.P_starttime.Unix())}
		e.ID.PID = int(k.Proc.P_pid)
		e.Parent, e.Group = int(k.Eproc.Ppid), int(k.Eproc.Pgid)
		e.Name = string(comm)
		e.State = macState(k.Proc.P_stat)
		e.Kernel = e.ID.PID == 0
		e.Nice, e.Policy = int(k.Proc.P_nice), -1
		l.count(ctx, &e)
		into = append(into, e)
	}
	return into, nil
}

// macState is SIDL, SRUN, SSLEEP and SSTOP of sys/proc.h as proc(5) would say it.
func macState(stat int8) byte {
	const states = "\x00IRST"
	if stat < 0 || int(stat) >= len(states) {
		return 0
	}
	return states[stat]
}

// count reads the counters of a process. The library says zero where it was not permitted, and no process that is alive
// has no thread.
func (macLister) count(ctx context.Context, e *entry) {
	p := psutil.Process{Pid: int32(e.ID.PID)}
	threads, err := p.NumThreadsWithContext(ctx)
	if err != nil || threads == 0 {
		return
	}
	times, err := p.TimesWithContext(ctx)
	if err != nil {
		return
	}
	m, err := p.MemoryInfoWithContext(ctx)
	if err != nil {
		return
	}
	e.Counted = true
	e.Threads = int(threads)
	e.User = time.Duration(times.User * float64(time.Second))
	e.System = time.Duration(times.System * float64(time.Second))
	e.RSS, e.VSize = bytesOf(m.RSS), bytesOf(m.VMS)
}

func (l macLister) detail(ctx context.Context, pid int) (*host.Detail, error) {
	d := &host.Detail{UID: -1}
	p := psutil.Process{Pid: int32(pid)}
	var errs []error
	var err error
	if d.Exe, err = p.ExeWithContext(ctx); err != nil {
		errs = append(errs, fmt.Errorf("executable: %w", err))
	}
	if d.Args, err = p.CmdlineSliceWithContext(ctx); err != nil {
		errs = append(errs, fmt.Errorf("arguments: %w", err))
	}
	d.ArgsKnown = err == nil
	if d.Cwd, err = p.CwdWithContext(ctx); err != nil {
		errs = append(errs, fmt.Errorf("directory: %w", err))
	}
	if ids, err := p.UidsWithContext(ctx); err != nil {
		errs = append(errs, fmt.Errorf("user: %w", err))
	} else if len(ids) > 0 {
		d.UID = int(ids[0])
		d.User = l.user(d.UID)
	}
	err = errors.Join(errs...)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, psutil.ErrorNotPermitted) {
		err = fmt.Errorf("process %d: %w: %w", pid, ErrPermission, err)
	}
	return d, err
}

// user is the name of a user, its number when it has none.
func (l macLister) user(uid int) string {
	if name, ok := l.users[uid]; ok {
		return name
	}
	number := strconv.Itoa(uid)
	name := number
	if u, err := user.LookupId(number); err == nil {
		name = u.Username
	}
	l.users[uid] = name
	return name
}
