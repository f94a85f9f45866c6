package host

import "time"

// ProcID names one process for good. A PID comes back; a PID with the tick it was born at does not.
type ProcID struct {
	PID  int    `json:"pid"`
	Born uint64 `json:"born"` // ticks of 10 ms between boot and start
}

// Process is one process: what its cheapest look (one stat line) tells, and, when it was worth a closer one, more.
type Process struct {
	ID      ProcID
	Parent  int    // PID of the parent, 0 for none or not visible
	Group   int    // process group, 0 where the platform has none
	Session int    // session, 0 where the platform has none
	Name    string // comm: at most 15 bytes on Linux, any bytes at all
	State   byte   // R S D Z T t I X as in proc(5), 0 where unknown
	Kernel  bool   // a kernel thread: it has no executable and no memory of its own

	Looked   time.Duration // Snapshot.Uptime at which the counters below were read; older than the Snapshot for quiet processes
	User     time.Duration // CPU time in user mode, all threads, since birth
	System   time.Duration // CPU time in the kernel
	Threads  int           // -1 unknown
	RSS      int64         // bytes resident, huge pages not counted; -1 unknown
	VSize    int64         // bytes of address space; -1 unknown
	Nice     int
	Policy   int    // scheduling policy as in sched(7): 0 other, 3 batch, 5 idle; -1 unknown
	MinFault uint64 // page faults without I/O since birth

	Detail *Detail // nil until a closer look was taken
	Effort *Effort // nil unless it is busy; reused by the producer like the Snapshot itself
}

// CPU is the CPU time used since birth.
func (p *Process) CPU() time.Duration { return p.User + p.System }

// Detail is what seldom changes about a process, read when it is new, busy or named by an event, and again when it has
// executed another program. It is immutable.
type Detail struct {
	Exe        string // path of the executable as the kernel tells it, without " (deleted)"; "" when unreadable or a kernel thread
	ExeDeleted Fact
	ExeFile    FileID // which file that is; zero when unknown
	ExeSHA256  string // lower-case hex, "" until it was hashed
	Cwd        string
	Args       []string // masked, see sense.Mask; nil when unreadable, empty when the process has none
	ArgsKnown  bool
	Env        []EnvVar // names, and values of the few that rules look at; sorted by name
	EnvKnown   bool
	UID        int    // real user id, -1 unknown
	User       string // its name, the number when it has none, "" unknown
	Container  Container
	Cgroup     string // path in the cgroup hierarchy, "" unknown
	TracerPID  int    // PID of the debugger, 0 none
}

// FileID is a file, whatever it is called.
type FileID struct {
	Dev, Ino uint64
}

// EnvVar is one environment variable. Value is kept only for the names that rules look at.
type EnvVar struct {
	Name  string
	Value string
}

// Container is the container a process runs in; the zero value is none.
type Container struct {
	ID      string // as the runtime shows it, full length
	Runtime string // docker, containerd, podman, cri-o, kubernetes, lxc, systemd-nspawn
	Pod     string // Kubernetes pod UID
}

// Effort is how a busy process works: its threads and its memory. Read again while it stays busy.
type Effort struct {
	Looked      time.Duration // Snapshot.Uptime at which the threads were read
	Threads     []Thread      // sorted by TID, at most the sensor's bound
	ThreadsMore int           // threads beyond that bound
	Voluntary   int64         // context switches of all threads read, -1 unknown
	Involuntary int64
	Memory      *Memory // nil when it could not be read; older than Looked: maps are read seldom
}

// Thread is one thread of a busy process.
type Thread struct {
	TID         int
	Name        string
	State       byte
	User        time.Duration
	System      time.Duration
	Voluntary   int64 // context switches it asked for, -1 unknown
	Involuntary int64
	CPUs        int // how many CPUs it may run on, -1 unknown
	OnlyCPU     int // the one CPU it may run on, -1 when it may run on more or it is unknown
}

// Memory is the address space of a process in the sizes that miners cannot hide. It is immutable.
type Memory struct {
	Looked    time.Duration
	Hugetlb   int64   // bytes in huge pages (HugetlbPages), which RSS does not count; -1 unknown
	RSSAnon   int64   // bytes resident and anonymous; -1 unknown
	Large     []int64 // bytes of each anonymous or huge page mapping of at least LargeMapping, largest first, at most 64
	Exec      int64   // bytes of anonymous executable mappings: code made at run time
	ExecMaps  int     // how many such mappings
	WriteExec int64   // bytes of these that are writable too
	Known     bool    // false when maps could not be read: Large, Exec, ExecMaps and WriteExec say nothing then
}

// LargeMapping is the least size in bytes that [Memory.Large] lists: 64 MiB, a quarter of RandomX's smallest dataset
// (256 MiB cache, RandomX configuration.h), above the arenas that malloc makes.
const LargeMapping = 64 << 20
