// Package host is the vocabulary every stage shares: what a machine looks like at one moment. It holds data only. It
// reads nothing, judges nothing and knows no other package of this module.
//
// Two habits run through it. Unknown is never zero: what could not be read is said so ([Fact], [Value], [Gap]).
// And everything textual (names, arguments, paths) was chosen by whoever runs the watched process, so it may be
// hostile: it is data to compare and, once escaped, to show, never to interpret.
package host

import "time"

// Tick is the unit of [ProcID.Born]: USER_HZ on Linux is 100 on every architecture Go supports, see proc(5).
const Tick = 10 * time.Millisecond

// Snapshot is what one look at the machine saw.
//
// The producer owns and reuses it: a Snapshot and its slices are valid until the next look. Strings, and what
// [Process.Detail] points to, are immutable and may be kept.
type Snapshot struct {
	At        time.Time     // wall clock of the machine looked at
	Uptime    time.Duration // since boot, on the clock that Born counts on; rates are taken on this clock
	Machine   Machine
	Processes []Process // every known process, sorted by PID, also those whose counters are older than this look
	Events    []Event   // since the look before, in the order they happened
	Gaps      []Gap     // sorted by sensor
}

// Machine is the whole machine at one look. Counters that a platform cannot tell are -1.
type Machine struct {
	Identity
	CPUs      int           // CPUs online, at least 1
	Busy      time.Duration // CPU time since boot that all CPUs together spent not idle (user, nice, system, irq, softirq, steal)
	Steal     time.Duration // the part of Busy that a hypervisor took
	Memory    int64         // bytes of RAM
	HugePages int64         // pages of the default huge page size in the pool (HugePages_Total)
	HugeFree  int64         // of these, free
	HugeSize  int64         // bytes of one such page
	// MSRWritable is Known when the msr module lets user space write model specific registers, which RandomX miners
	// switch on for speed.
	MSRWritable Fact
}

// Identity says which machine this is. It does not change while the machine is up.
type Identity struct {
	ID     string `json:"id"`   // stable over reboots, derived from the machine id but not reversible to it
	Name   string `json:"name"` // host name
	OS     string `json:"os"`   // GOOS
	BootID string `json:"boot_id"`
}

// Gap is a sensor that could not see, and why. Silence is not "all clear".
type Gap struct {
	Sensor string `json:"sensor"`
	Reason string `json:"reason"`
}

// Fact is a yes, a no, or not known.
type Fact uint8

// The three truth values.
const (
	Unknown Fact = iota
	No
	Yes
)

// FactOf is Yes or No.
func FactOf(b bool) Fact {
	if b {
		return Yes
	}
	return No
}
