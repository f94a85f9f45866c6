package sense

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
	"unsafe"

	cpuinfo "github.com/shirou/gopsutil/v3/cpu"
	hostinfo "github.com/shirou/gopsutil/v3/host"
	meminfo "github.com/shirou/gopsutil/v3/mem"
	psutil "github.com/shirou/gopsutil/v3/process"
	"golang.org/x/sys/windows"

	"github.com/minehound/minehound/agent/host"
)

// sensors is the list for Windows, in the order they run. The first tells time and identity.
func sensors(o Options) ([]Sensor, error) {
	list := []Sensor{
		newPlainMachine(ntMachine{}, time.Now),
		newRoster(o, &ntLister{buf: make([]byte, 256<<10), users: map[string]string{}}, time.Now, Mask),
	}
	return append(list, elsewhere()...), nil
}

// ntMachine implements machineReader.
type ntMachine struct{}

func (ntMachine) facts(ctx context.Context) (facts, []host.Gap, error) {
	f := facts{Memory: -1}
	var gaps []host.Gap
	blind := func(what string, err error) {
		gaps = append(gaps, host.Gap{Sensor: "machine", Reason: fmt.Sprintf("%s: %v", what, err)})
	}
	boot, err := ntBoot()
	if err != nil {
		return f, nil, err
	}
	f.Boot = boot
	if f.CPUs, err = cpuinfo.CountsWithContext(ctx, true); err != nil {
		return f, nil, fmt.Errorf("count processors: %w", err)
	}
	f.CPUs = max(1, f.CPUs)
	if m, err := meminfo.VirtualMemoryWithContext(ctx); err != nil {
		blind("size of the memory", err)
	} else {
		f.Memory = bytesOf(m.Total)
	}
	f.Identity = host.Identity{OS: "windows", BootID: strconv.FormatInt(boot.UnixMilli(), 36)}
	if f.Identity.Name, err = os.Hostname(); err != nil {
		blind("host name", err)
	}
	id, err := hostinfo.HostIDWithContext(ctx)
	if err != nil {
		blind("machine id", err)
	}
	f.Identity.ID = disguise(id)
	return f, gaps, nil
}

// ntBoot is when the machine started as the kernel keeps it, which does not differ from call to call as the difference of
// two clocks would.
func ntBoot() (time.Time, error) {
	var t struct { // SYSTEM_TIMEOFDAY_INFORMATION
		Boot, Now, ZoneBias uint64
		_                   [24]byte
	}
	err := windows.NtQuerySystemInformation(windows.SystemTimeOfDayInformation, unsafe.Pointer(&t), uint32(unsafe.Sizeof(t)), nil)
	if err != nil {
		return time.Time{}, fmt.Errorf("boot time: %w", err)
	}
	boot := filetime(t.Boot)
	if boot.IsZero() {
		return time.Time{}, fmt.Errorf("boot time %d is none", t.Boot)
	}
	return boot, nil
}

func (ntMachine) busy(ctx context.Context) (time.Duration, error) {
	all, err := cpuinfo.TimesWithContext(ctx, false)
	if err != nil {
		return 0, err
	}
	if len(all) != 1 {
		return 0, fmt.Errorf("%d sums of all processors", len(all))
	}
	return time.Duration((all[0].User + all[0].System) * float64(time.Second)), nil
}

// ntLister implements lister: the kernel's table for all, gopsutil for the closer look.
type ntLister struct {
	buf   []byte
	each  []host.Thread
	users map[string]string // names by SID: asking may go to a server of the domain
}

func (l *ntLister) list(_ context.Context, into []entry) ([]entry, error) {
	for {
		var n uint32
		err := windows.NtQuerySystemInformation(windows.SystemProcessInformation, unsafe.Pointer(&l.buf[0]), uint32(len(l.buf)), &n)
		if errors.Is(err, windows.STATUS_INFO_LENGTH_MISMATCH) && len(l.buf) < 256<<20 {
			l.buf = make([]byte, max(2*len(l.buf), int(n)+64<<10)) // it grows between two calls
			continue
		}
		if err != nil {
			return into, err
		}
		into, l.each, err = ntTable(l.buf[:min(int(n), len(l.buf))], uint64(uintptr(unsafe.Pointer(&l.buf[0]))), into, l.each)
		return into, err
	}
}

func (l *ntLister) detail(ctx context.Context, pid int) (*host.Detail, error) {
	d := &host.Detail{UID: -1}
	p := psutil.Process{Pid: int32(pid)}
	var errs []error
	var err error
	if d.Exe, err = p.ExeWithContext(ctx); err != nil {
		errs = append(errs, fmt.Errorf("executable: %w", err))
	}
	if d.User, err = l.user(pid); err != nil {
		errs = append(errs, fmt.Errorf("user: %w", err))
	}
	// gopsutil says "" without an error when it was not permitted, which no process has.
	line, err := p.CmdlineWithContext(ctx)
	if err == nil && line != "" {
		d.Args, err = windows.DecomposeCommandLine(line)
		d.ArgsKnown = err == nil
	}
	if err != nil {
		errs = append(errs, fmt.Errorf("arguments: %w", err))
	}
	if d.Cwd, err = p.CwdWithContext(ctx); err != nil {
		errs = append(errs, fmt.Errorf("directory: %w", err))
	}
	err = errors.Join(errs...)
	if errors.Is(err, windows.ERROR_ACCESS_DENIED) {
		err = fmt.Errorf("process %d: %w: %w", pid, ErrPermission, err)
	}
	return d, err
}

// user is the account a process runs as, DOMAIN\name, or its SID when that has no name.
func (l *ntLister) user(pid int) (string, error) {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, uint32(pid))
	if err != nil {
		return "", err
	}
	defer windows.CloseHandle(h) //nolint:errcheck // nothing was written
	var token windows.Token
	if err := windows.OpenProcessToken(h, windows.TOKEN_QUERY, &token); err != nil {
		return "", err
	}
	defer token.Close() //nolint:errcheck // nothing was written
	u, err := token.GetTokenUser()
	if err != nil {
		return "", err
	}
	sid := u.User.Sid.String()
	if name, ok := l.users[sid]; ok {
		return name, nil
	}
	name := sid
	if account, domain, _, err := u.User.Sid.LookupAccount(""); err == nil {
		name = domain + `\` + account
	}
	l.users[sid] = name
	return name, nil
}
