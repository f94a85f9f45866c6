package sense

import (
	"errors"
	"fmt"
	"time"
)

// Options says where and how closely to look. Start from [DefaultOptions].
type Options struct {
	// Proc, Sys and Etc are where those trees are mounted. Linux only; another place serves an agent in a container
	// that was given the host's.
	Proc, Sys, Etc string

	// HotShare is the share of one core, between two looks at a process, from which it is looked at more closely (its
	// threads, its memory, its executable's hash). It decides what is worth looking at, not what is guilty.
	HotShare float64
	// HotHold is for how long a process is still looked at closely after it was last hot, so that one that works in
	// bursts is not lost between them.
	HotHold time.Duration
	// SweepMin and SweepMax are how often every process is looked at: as often as CPUBudget allows, but not more often
	// than SweepMin and, unless the budget forbids it (then there is a Gap), not more seldom than SweepMax.
	SweepMin, SweepMax time.Duration
	// CPUBudget is the share of one core that looking at processes may cost, EventBudget the share that reading
	// programs at the moment they start may cost on top while many start.
	CPUBudget, EventBudget float64

	MaxThreads int // threads read per hot process
	MaxMaps    int // lines of /proc/PID/maps read per process
	MaxKeptFDs int // descriptors kept open to save opening them again; at most half of RLIMIT_NOFILE are used
	MaxArgs    int // bytes of arguments read per process; a longer command line ends in the argument "…"
	MaxEnv     int // bytes of environment read per process

	Connector bool // listen to the kernel's process events where permitted
	// Running makes the first look report every process it finds as started, so that rules about starting programs see
	// those that were there before.
	Running bool
	// HashLimit is the size in bytes up to which the executable of a process that stays hot for HashAfter is hashed; 0
	// hashes none.
	HashLimit int64
	HashAfter time.Duration
}

// DefaultOptions is what the service uses.
func DefaultOptions() Options {
	return Options{
		Proc: "/proc", Sys: "/sys", Etc: "/etc",
		HotShare: 0.1, HotHold: 30 * time.Second,
		SweepMin: 2 * time.Second, SweepMax: 10 * time.Second,
		CPUBudget: 0.002, EventBudget: 0.002,
		MaxThreads: 512,
		MaxMaps:    70_000, // vm.max_map_count is 65,530 unless raised
		MaxKeptFDs: 4096,   // the kernel holds about 4.5 KiB for each
		MaxArgs:    128 << 10,
		MaxEnv:     256 << 10,
		Connector:  true,
		HashLimit:  64 << 20, HashAfter: 10 * time.Second,
	}
}

// check refuses options that cannot work.
func (o *Options) check() error {
	switch {
	case !(o.HotShare > 0):
		return fmt.Errorf("hot share %v: must be above 0", o.HotShare)
	case o.SweepMin < 0 || o.SweepMax < o.SweepMin:
		return fmt.Errorf("sweep from %v to %v: must not be negative or shrink", o.SweepMin, o.SweepMax)
	case !(o.CPUBudget > 0 && o.CPUBudget <= 1) || !(o.EventBudget >= 0 && o.EventBudget <= 1):
		return fmt.Errorf("cpu budget %v and event budget %v: must be shares of one core", o.CPUBudget, o.EventBudget)
	case o.MaxThreads < 1 || o.MaxMaps < 1 || o.MaxKeptFDs < 0 || o.MaxArgs < 1 || o.MaxEnv < 1:
		return errors.New("bounds on threads, maps, arguments and environment must be at least 1")
	case o.HashLimit < 0 || o.HashAfter < 0 || o.HotHold < 0:
		return errors.New("hash limit and durations must not be negative")
	}
	return nil
}
