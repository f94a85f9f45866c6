package sense

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
	"unicode/utf16"

	"github.com/minehound/minehound/agent/host"
)

// Sizes and offsets of SYSTEM_PROCESS_INFORMATION and SYSTEM_THREAD_INFORMATION on 64-bit Windows, as documented for
// NtQuerySystemInformation and spelled out in golang.org/x/sys/windows.
const (
	ntProcessSize = 0x100
	ntThreadSize  = 0x50

	ntNext, ntThreads, ntHardFaults       = 0x00, 0x04, 0x10
	ntCreated, ntUser, ntKernel           = 0x20, 0x28, 0x30
	ntNameLength, ntName                  = 0x38, 0x40
	ntPID, ntParent, ntSession            = 0x50, 0x58, 0x64
	ntVirtual, ntFaults, ntWorkingSet     = 0x78, 0x80, 0x90
	ntThreadKernel, ntThreadUser, ntTID   = 0x00, 0x08, 0x30
	ntThreadState, ntThreadWhy            = 0x44, 0x48
	ntIdlePID, ntSystemPID                = 0, 4
	ntStateTerminated, ntStateWaiting     = 4, 5
	ntWhySuspended, ntWhyWaitingSuspended = 5, 12
)

// errNTTable is a process table that is not one.
var errNTTable = errors.New("process table of the kernel is damaged")

// ntTable reads the table of all processes and threads that NtQuerySystemInformation fills in with one call, without a
// handle to any process and so also for protected ones. base is the address that b was filled in at: names are pointers
// into b. The idle process is left out: its work is the rest of the others.
//
// Threads of all entries share one array, grown from each, which is returned for the next call.
func ntTable(b []byte, base uint64, into []entry, each []host.Thread) ([]entry, []host.Thread, error) {
	each = each[:0]
	for off := 0; ; {
		if off < 0 || len(b)-off < ntProcessSize {
			return into, each, fmt.Errorf("%w: entry at %d of %d bytes", errNTTable, off, len(b))
		}
		p := b[off:]
		next := int(binary.LittleEndian.Uint32(p[ntNext:]))
		if next > 0 && (next < ntProcessSize || next > len(p)) {
			return into, each, fmt.Errorf("%w: entry at %d goes on %d bytes later", errNTTable, off, next)
		}
		if next > 0 {
			p = p[:next]
		}
		if binary.LittleEndian.Uint64(p[ntPID:]) != ntIdlePID {
			e, threads, err := ntEntry(p, b, base, each)
			if err != nil {
				return into, each, fmt.Errorf("%w: entry at %d: %w", errNTTable, off, err)
			}
			into, each = append(into, e), threads
		}
		if next == 0 {
			return into, each, nil
		}
		off += next
	}
}

// ntEntry reads one process: p starts at it, b is the whole table.
func ntEntry(p, b []byte, base uint64, each []host.Thread) (entry, []host.Thread, error) {
	count := int64(binary.LittleEndian.Uint32(p[ntThreads:]))
	if count > int64(len(p)-ntProcessSize)/ntThreadSize {
		return entry{}, each, fmt.Errorf("%d threads in %d bytes", count, len(p))
	}
	name, err := ntString(p[ntNameLength:], b, base)
	if err != nil {
		return entry{}, each, err
	}
	le := binary.LittleEndian
	e := entry{Started: filetime(le.Uint64(p[ntCreated:])), Counted: true}
	e.ID.PID = int(le.Uint64(p[ntPID:]))
	e.Parent = int(le.Uint64(p[ntParent:]))
	e.Session = int(le.Uint32(p[ntSession:]))
	e.Name = name
	e.Kernel = e.ID.PID == ntSystemPID
	if e.Kernel && name == "" {
		e.Name = "System"
	}
	e.User, e.System = ticks100ns(le.Uint64(p[ntUser:])), ticks100ns(le.Uint64(p[ntKernel:]))
	e.Threads = int(count)
	e.RSS = bytesOf(le.Uint64(p[ntWorkingSet:]))
	e.VSize = bytesOf(le.Uint64(p[ntVirtual:]))
	e.Policy = -1
	faults, hard := le.Uint32(p[ntFaults:]), le.Uint32(p[ntHardFaults:])
	e.MinFault = uint64(faults - min(hard, faults))
	first := len(each)
	for i := range int(count) {
		each = append(each, ntThread(p[ntProcessSize+i*ntThreadSize:]))
	}
	e.Each = each[first:len(each):len(each)]
	return e, each, nil
}

// ntThread reads one thread. What it may run on the table does not tell, and of its context switches only the sum of
// both kinds.
func ntThread(t []byte) host.Thread {
	le := binary.LittleEndian
	th := host.Thread{
		TID:  int(le.Uint64(t[ntTID:])),
		User: ticks100ns(le.Uint64(t[ntThreadUser:])), System: ticks100ns(le.Uint64(t[ntThreadKernel:])),
		Voluntary: -1, Involuntary: -1, CPUs: -1, OnlyCPU: -1,
	}
	why := le.Uint32(t[ntThreadWhy:])
	switch le.Uint32(t[ntThreadState:]) {
	case ntStateTerminated:
		th.State = 'X'
	case ntStateWaiting:
		th.State = 'S'
		if why == ntWhySuspended || why == ntWhyWaitingSuspended {
			th.State = 'T'
		}
	default: // running, or ready to
		th.State = 'R'
	}
	return th
}

// ntString reads a UNICODE_STRING whose text lies in b, which was filled in at base.
func ntString(s, b []byte, base uint64) (string, error) {
	n := uint64(binary.LittleEndian.Uint16(s))
	if n == 0 {
		return "", nil
	}
	at := binary.LittleEndian.Uint64(s[ntName-ntNameLength:]) - base
	if at > uint64(len(b)) || n > uint64(len(b))-at {
		return "", fmt.Errorf("name of %d bytes at %d", n, at)
	}
	text := make([]uint16, n/2)
	for i := range text {
		text[i] = binary.LittleEndian.Uint16(b[at+uint64(2*i):])
	}
	return string(utf16.Decode(text)), nil
}

// filetime is a FILETIME, 100 ns since 1601; zero when it is none.
func filetime(t uint64) time.Time {
	const until1970 = 116_444_736_000_000_000
	if t < until1970 || t > 1<<62 {
		return time.Time{}
	}
	t -= until1970
	return time.Unix(int64(t/1e7), int64(t%1e7)*100)
}

// ticks100ns is a duration in units of 100 ns, at most some centuries.
func ticks100ns(t uint64) time.Duration {
	return time.Duration(min(t, 1<<56)) * 100
}

// bytesOf is a size that fits.
func bytesOf(n uint64) int64 { return int64(min(n, 1<<62)) }
