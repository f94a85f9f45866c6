package sense

import (
	"fmt"
	"hash/maphash"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/minehound/minehound/agent/sense/tree"
)

// sensors is the list for Linux, in the order they run. The first tells time and identity.
func sensors(o Options) ([]Sensor, error) {
	at, err := live(o)
	if err != nil {
		return nil, err
	}
	if err := at.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", o.Proc, err)
	}
	o.MaxKeptFDs = min(o.MaxKeptFDs, halfOfDescriptors())
	c := liveClock()
	hash, err := liveHasher(o)
	if err != nil {
		return nil, err
	}
	events, told := connectorSensor(o)
	return []Sensor{
		newProcMachine(at, c),
		events,
		newProcesses(at, c, o, liveAside(at, o), hash, told),
		missing("gpu", noGPU),
	}, nil
}

// live opens the parts of this machine's file system. Without /sys or /etc, what they tell is missing.
func live(o Options) (places, error) {
	at := places{pageSize: int64(os.Getpagesize()), os: "linux"}
	for _, part := range []struct {
		dir string
		to  *tree.Tree
	}{{o.Proc, &at.proc}, {o.Sys, &at.sys}, {o.Etc, &at.etc}} {
		t, err := tree.OpenLive(part.dir)
		switch {
		case err == nil:
			*part.to = t
		case part.to == &at.proc:
			return at, fmt.Errorf("open proc file system: %w", err)
		default:
			*part.to = tree.FS(nothing{}, ".")
		}
	}
	return at, nil
}

// liveAside takes closer looks in goroutines that have the file system opened for themselves.
func liveAside(at places, o Options) *aside {
	seed := maphash.MakeSeed()
	return newAside(newCloser(at, o, seed), func() (*closer, error) {
		at, err := live(o)
		if err != nil {
			return nil, err
		}
		c := newCloser(at, o, seed)
		c.cost = liveClock().cost
		return c, nil
	})
}

func liveHasher(o Options) (*hasher, error) {
	if o.HashLimit == 0 {
		return newHasher(0, nil, false), nil
	}
	proc, err := tree.OpenLive(o.Proc)
	if err != nil {
		return nil, fmt.Errorf("open proc file system: %w", err)
	}
	return newHasher(o.HashLimit, proc, true), nil
}

// nothing is a file system without files.
type nothing struct{}

func (nothing) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// halfOfDescriptors leaves the other half to the rest of the program.
func halfOfDescriptors() int {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	return int(min(l.Cur/2, 1<<20))
}

func liveClock() clock {
	start := time.Now()
	var boot, thread unix.Timespec // kept, so that asking allocates nothing
	return clock{
		now: func() (time.Time, time.Duration, error) {
			if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot); err != nil {
				return time.Time{}, 0, fmt.Errorf("clock_gettime: %w", err)
			}
			return time.Now(), time.Duration(boot.Nano()), nil
		},
		since: func() time.Duration { return time.Since(start) },
		cost: func() time.Duration {
			if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &thread) != nil {
				return 0 // every kernel that runs Go has this clock
			}
			return time.Duration(thread.Nano())
		},
	}
}
