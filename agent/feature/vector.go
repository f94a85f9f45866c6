// Package feature turns Snapshots over time into one Vector per process: what is known about it now and over the recent
// past. It measures and never judges: no number in here is a threshold for guilt, those stand in the rules.
//
// A measure that has not been watched for long enough is unknown, never zero.
package feature

import (
	"math"
	"time"

	"github.com/minehound/minehound/agent/host"
)

// Vector is what is known about one process at one look. Unknown measures are NaN (see [Unknown]).
//
// Shares are in cores: 1 is one core used all the time, 4 is four of them.
type Vector struct {
	At      time.Time
	Subject host.Subject
	Proc    host.Process // as in the Snapshot; its Detail may be nil
	Parent  *host.Detail // of the parent, nil unknown
	Age     time.Duration

	CPU    CPU
	Group  Group
	Memory Memory
	Host   Host
}

// CPU is how one process uses the processors.
type CPU struct {
	Share10s, Share1m, Share10m, Share1h float64 // cores, over the last …
	ShareLife                            float64 // cores, since birth
	Seconds24h                           float64 // CPU seconds in the last 24 h, as far as watched
	BusyFor                              float64 // seconds for which it has used at least half a core without a break
	Variation1m, Variation10m            float64 // flatness: standard deviation of the share over its mean; 0 is perfectly flat
	Duty1m, Duty10m                      float64 // part of the looks in which it was busy at all, 0 to 1
	UserFraction1m                       float64 // part of its CPU time spent in user mode, 0 to 1
	VoluntaryPerSecond                   float64 // voluntary context switches per CPU second, hot threads only
	FaultsPerSecond                      float64 // minor page faults per CPU second
	HotThreads                           float64 // threads hot at once
	HotSpread                            float64 // standard deviation of the hot threads' shares over their mean
	Pinned                               float64 // hot threads that may run on one CPU only, each on another
	Stopped                              float64 // part of the looks at hot threads that found them stopped (state T) while CPU time still grew
}

// Group is the sum over all processes with the same Subject.Key: workers that share an executable.
type Group struct {
	Processes                            float64
	Share10s, Share1m, Share10m, Share1h float64 // cores
	Seconds24h                           float64 // CPU seconds, also of members that have ended
}

// Memory is the address space in mebibytes.
type Memory struct {
	RSS, RSSAnon, Hugetlb float64
	Large                 []float64 // each large anonymous mapping, rounded down to whole MiB, largest first; nil unknown
	Exec                  float64   // anonymous executable memory, in KiB
	ExecMaps              float64
	WriteExec             float64 // the writable part of it, in KiB
}

// Host is the machine at that look, the same in every Vector of a Snapshot.
type Host struct {
	CPUs         float64
	Busy1m       float64 // part of all CPU time that was busy, 0 to 1
	HugePages    float64 // MiB in the pool
	HugePagesUse float64 // MiB of these in use
	MSRWritable  host.Fact
}

// Unknown is the value of a measure that is not known.
func Unknown() float64 { return math.NaN() }

// Known tells whether a measure is known.
func Known(f float64) bool { return !math.IsNaN(f) }
