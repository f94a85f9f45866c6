package feature

import (
	"math"
	"time"

	"github.com/minehound/minehound/agent/host"
)

// Vector is what is known about one process at one look. Unknown measures are NaN (see [Unknown]).
//
// Shares are in cores: 1 is one core used all the time, 4 is four of them.
//
// A Vector belongs to the Window that made it and is valid until its next look. Strings and lists in it are immutable.
type Vector struct {
	At      time.Time
	Subject host.Subject
	Proc    host.Process // as in the Snapshot; its Detail may be nil
	Parent  *host.Detail // of the parent at birth, nil unknown
	Age     time.Duration
	// Fresh is set when counters, details or threads were read at this look. A Vector that is not Fresh differs from
	// the one before only by the time that has passed and by what others of its group did.
	Fresh bool
	// Reparented is Yes when it has been handed to another parent than the one it was first seen with.
	Reparented host.Fact

	CPU    CPU
	Group  Group
	Memory Memory
	Host   Host

	text       *text
	parentName string
	parentText *text
	ancestors  []string
	first      bool // it has no parent at all
}

// CPU is how one process uses the processors.
type CPU struct {
	Share10s, Share1m, Share10m, Share1h float64 // cores, over the last …
	ShareLife                            float64 // cores, since birth
	Total                                float64 // CPU seconds since birth
	Seconds24h                           float64 // CPU seconds in the last 24 h, as far as known: a lower bound
	BusyFor                              float64 // seconds for which it has used at least BusyCores without a break
	Variation1m, Variation10m            float64 // flatness: standard deviation of the share over its mean; 0 is perfectly flat
	Duty1m, Duty10m                      float64 // part of the time in which it used at least WorkingCores, 0 to 1
	UserFraction1m                       float64 // part of its CPU time spent in user mode, 0 to 1
	FaultsPerSecond                      float64 // minor page faults per CPU second, over the last minute
	VoluntaryPerSecond                   float64 // voluntary context switches per CPU second of hot threads, over the last minute
	InvoluntaryPerSecond                 float64 // the same of involuntary ones
	HotThreads                           float64 // threads hot at once, see HotCores
	HotSpread                            float64 // standard deviation of the hot threads' shares over their mean; unknown below two
	HotNames                             float64 // different names among the hot threads
	Pinned                               float64 // CPUs to which exactly one hot thread is bound that may run nowhere else
	Stopped                              float64 // part of the looks at hot threads that found them stopped (state T) although CPU time grew, last minute
}

// Group is the sum over all processes with the same Subject.Key: workers that share an executable, also those that have
// ended within the window.
type Group struct {
	Processes                            float64 // alive
	Started1h                            float64 // members that were started in the last hour, as far as watched
	Share10s, Share1m, Share10m, Share1h float64 // cores
	Seconds24h                           float64 // CPU seconds in the last 24 h, as far as known, over restarts of the agent too
}

// Memory is the address space. Sizes are in mebibytes unless the name says otherwise.
type Memory struct {
	RSS, RSSAnon, Hugetlb float64
	Large                 []float64 // each large anonymous mapping, rounded down to whole MiB, largest first; nil unknown or none, see LargeTotal
	LargeTotal            float64   // sum of these mappings; unknown when the mappings could not be read
	ExecKiB               float64   // anonymous executable memory
	ExecMaps              float64
	WriteExecKiB          float64 // the part of it that is writable at the same time
}

// Host is the machine at that look, the same in every Vector of a Look.
type Host struct {
	CPUs           float64
	Busy10s        float64 // part of all CPU time that was busy, 0 to 1
	Busy1m         float64
	Steal1m        float64 // part of all CPU time that a hypervisor took, 0 to 1
	HugePages      float64 // MiB in the pool
	HugePagesUsed  float64 // MiB of these in use
	HugePagesGrown float64 // MiB by which the pool is larger than it was at its smallest since watching began
	MSRWritable    host.Fact
}

// Occurrence is something that happened once, with who did it. It is what event rules are held against.
type Occurrence struct {
	Event   host.Event
	Subject host.Subject

	text       *text
	parentText *text
	ancestors  []string
}

// Unknown is the value of a measure that is not known.
func Unknown() float64 { return math.NaN() }

// Known tells whether a measure is known.
func Known(f float64) bool { return !math.IsNaN(f) }
