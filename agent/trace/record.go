package trace

import (
	"time"

	"github.com/minehound/minehound/agent/host"
)

// Schema is the name of the format.
const Schema = "minehound.trace/v1"

// Minor counts the additions to the format that an older reader may skip.
const Minor = 0

// The forms of a trace.
const (
	Recorded = "recorded" // by a Writer: what was not written did not change, and there is an end line
	Written  = "written"  // by hand, with shorthands
)

// Header is the first line.
type Header struct {
	Schema   string        `json:"schema"`
	Minor    int           `json:"minor,omitempty"`
	Form     string        `json:"form"`
	Agent    string        `json:"agent,omitempty"` // version of the program that recorded it
	Identity host.Identity `json:"identity,omitzero"`
}

// headerLine is the Header with what only a written one may have.
type headerLine struct {
	Header
	At      *time.Time   `json:"at,omitempty"`
	Uptime  *seconds     `json:"uptime,omitempty"`
	Machine *machineLine `json:"machine,omitempty"`
}

// record is every other line: pointers, because a missing field has not changed.
type record struct {
	At        *time.Time    `json:"at,omitempty"`
	Uptime    *seconds      `json:"uptime,omitempty"`
	After     *seconds      `json:"after,omitempty"` // written only, like every and for
	Every     *seconds      `json:"every,omitempty"`
	For       *seconds      `json:"for,omitempty"`
	Machine   *machineLine  `json:"machine,omitempty"`
	Details   []refDetail   `json:"details,omitempty"`
	Drop      []int         `json:"drop,omitempty"`
	Processes []processLine `json:"processes,omitempty"`
	Same      []int         `json:"same,omitempty"`
	Gone      []int         `json:"gone,omitempty"`
	Events    []eventLine   `json:"events,omitempty"`
	Gaps      *[]gapLine    `json:"gaps,omitempty"`
	End       *endLine      `json:"end,omitempty"`
}

type endLine struct {
	Looks int `json:"looks"`
}

type gapLine struct {
	Sensor blob `json:"sensor"`
	Reason blob `json:"reason"`
}

type machineLine struct {
	CPUs        *int     `json:"cpus,omitempty"`
	Busy        *seconds `json:"busy,omitempty"`
	Steal       *seconds `json:"steal,omitempty"`
	Memory      *size    `json:"memory,omitempty"`
	HugePages   *int64   `json:"huge_pages,omitempty"`
	HugeFree    *int64   `json:"huge_free,omitempty"`
	HugeSize    *size    `json:"huge_size,omitempty"`
	MSRWritable *fact    `json:"msr_writable,omitempty"`
	Rate        *float64 `json:"rate,omitempty"` // written only
}

type refDetail struct {
	Ref int `json:"ref"`
	detailLine
}

type detailLine struct {
	Exe        *blob       `json:"exe,omitempty"`
	ExeDeleted *fact       `json:"exe_deleted,omitempty"`
	Dev        *uint64     `json:"dev,omitempty"`
	Ino        *uint64     `json:"ino,omitempty"`
	SHA256     *blob       `json:"sha256,omitempty"`
	Cwd        *blob       `json:"cwd,omitempty"`
	Args       *[]blob     `json:"args,omitempty"`
	ArgsKnown  *bool       `json:"args_known,omitempty"` // default: whether there is args
	Env        *[]variable `json:"env,omitempty"`
	EnvKnown   *bool       `json:"env_known,omitempty"`
	UID        *int        `json:"uid,omitempty"`
	User       *blob       `json:"user,omitempty"`
	Container  *blob       `json:"container,omitempty"`
	Runtime    *blob       `json:"runtime,omitempty"`
	Pod        *blob       `json:"pod,omitempty"`
	Cgroup     *blob       `json:"cgroup,omitempty"`
	TracerPID  *int        `json:"tracer_pid,omitempty"`
}

type processLine struct {
	PID      int         `json:"pid"`
	Born     *uint64     `json:"born,omitempty"`
	Parent   *int        `json:"parent,omitempty"`
	Group    *int        `json:"group,omitempty"`
	Session  *int        `json:"session,omitempty"`
	Name     *blob       `json:"name,omitempty"`
	State    *letter     `json:"state,omitempty"`
	Kernel   *bool       `json:"kernel,omitempty"`
	Looked   *seconds    `json:"looked,omitempty"`
	User     *seconds    `json:"cpu_user,omitempty"`
	System   *seconds    `json:"cpu_system,omitempty"`
	Threads  *int        `json:"threads,omitempty"`
	RSS      *size       `json:"rss,omitempty"`
	VSize    *size       `json:"vsize,omitempty"`
	Nice     *int        `json:"nice,omitempty"`
	Policy   *int        `json:"policy,omitempty"`
	Faults   *uint64     `json:"faults,omitempty"`
	Detail   *int        `json:"detail,omitempty"` // a ref; 0 takes the details away
	Effort   *effortLine `json:"effort,omitempty"`
	NoEffort bool        `json:"no_effort,omitempty"`

	detailLine // written only
	writtenLine
}

// writtenLine is what only a process written by hand has.
type writtenLine struct {
	Age          *seconds     `json:"age,omitempty"`
	Rate         *float64     `json:"rate,omitempty"`
	UserFraction *float64     `json:"user_fraction,omitempty"`
	FaultRate    *float64     `json:"fault_rate,omitempty"`
	Wave         *waveLine    `json:"wave,omitempty"`
	Wobble       *float64     `json:"wobble,omitempty"`
	Workers      *workersLine `json:"workers,omitempty"`
	Memory       *memoryLine  `json:"memory,omitempty"`
}

type waveLine struct {
	On  seconds `json:"on"`
	Off seconds `json:"off"`
}

type workersLine struct {
	Count       int      `json:"count"`
	Rate        *float64 `json:"rate,omitempty"`
	Pinned      bool     `json:"pinned,omitempty"`
	Name        *blob    `json:"name,omitempty"`
	State       *letter  `json:"state,omitempty"`
	Voluntary   float64  `json:"voluntary,omitempty"`
	Involuntary float64  `json:"involuntary,omitempty"`
	Spread      float64  `json:"spread,omitempty"`
	Stopped     float64  `json:"stopped,omitempty"`
}

type effortLine struct {
	Looked      *seconds     `json:"looked,omitempty"`
	Threads     []threadLine `json:"threads,omitempty"` // changed ones
	Gone        []int        `json:"gone,omitempty"`    // thread ids
	ThreadsMore *int         `json:"threads_more,omitempty"`
	Voluntary   *int64       `json:"voluntary,omitempty"`
	Involuntary *int64       `json:"involuntary,omitempty"`
	Memory      *memoryLine  `json:"memory,omitempty"` // whole
	NoMemory    bool         `json:"no_memory,omitempty"`
}

type threadLine struct {
	TID         int      `json:"tid"`
	Name        *blob    `json:"name,omitempty"`
	State       *letter  `json:"state,omitempty"`
	User        *seconds `json:"cpu_user,omitempty"`
	System      *seconds `json:"cpu_system,omitempty"`
	Voluntary   *int64   `json:"voluntary,omitempty"`
	Involuntary *int64   `json:"involuntary,omitempty"`
	CPUs        *int     `json:"cpus,omitempty"`
	OnlyCPU     *int     `json:"only_cpu,omitempty"`
}

type memoryLine struct {
	Looked    *seconds `json:"looked,omitempty"`
	Hugetlb   *size    `json:"hugetlb,omitempty"`
	RSSAnon   *size    `json:"rss_anon,omitempty"`
	Large     *[]size  `json:"large,omitempty"`
	Exec      size     `json:"exec,omitempty"`
	ExecMaps  int      `json:"exec_maps,omitempty"`
	WriteExec size     `json:"write_exec,omitempty"`
	Known     *bool    `json:"known,omitempty"` // default yes
}

type eventLine struct {
	At   *time.Time `json:"at,omitempty"`
	Kind string     `json:"kind"`
	personLine
	Parent *personLine `json:"parent,omitempty"`
}

// personLine is a process as an event knows it.
type personLine struct {
	PID    int     `json:"pid"`
	Born   *uint64 `json:"born,omitempty"`
	Name   *blob   `json:"name,omitempty"`
	Detail *int    `json:"detail,omitempty"`
	detailLine
}
