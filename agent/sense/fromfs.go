package sense

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"time"

	"github.com/minehound/minehound/agent/sense/procfs"
	"github.com/minehound/minehound/agent/sense/tree"
)

// FromFS looks at a Linux machine whose files are those of fsys: proc/…, sys/…, etc/…. It runs the same parsers and the same
// sensors as [New] does on a live Linux, on every platform, and tells no events but those that follow from the differences
// between two looks. Looking costs nothing there, so the budget never bites. Pages are 4 KiB.
//
// Its time is that of the machine: proc/uptime says how long it has been up, and the line btime of proc/stat since when.
func FromFS(fsys fs.FS, o Options) (*Looker, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	at := places{
		proc: tree.FS(fsys, "proc"), sys: tree.FS(fsys, "sys"), etc: tree.FS(fsys, "etc"), pageSize: 4096, os: "linux",
	}
	if err := at.check(); err != nil {
		return nil, err
	}
	c := clock{now: at.clock, since: still, cost: still}
	p := newProcesses(at, c, o, newAside(newCloser(at, o, maphash.MakeSeed()), nil), newHasher(o.HashLimit, at.proc, false), silence{})
	return &Looker{sensors: []Sensor{newProcMachine(at, c), p, missing("gpu", noGPU)}}, nil
}

// Txtar reads a machine from a text file, for [FromFS]. How links, NULs and refusals are spelled there stands at
// [tree.Txtar].
func Txtar(data []byte) (fs.FS, error) {
	fsys, err := tree.Txtar(data)
	if err != nil {
		return nil, fmt.Errorf("read machine: %w", err)
	}
	return fsys, nil
}

const noGPU = "load on graphics cards has no sensor yet"

func still() time.Duration { return 0 }

// check fails where there is no proc file system. One that may not be read is one.
func (at *places) check() error {
	_, err := at.proc.Read(nil, []byte("stat"), maxFile)
	if !tree.Gone(err) {
		return nil
	}
	pids, err := at.proc.Numbers(nil, dot)
	if tree.Gone(err) || err == nil && len(pids) == 0 {
		return fmt.Errorf("no proc file system is mounted: %w", fs.ErrNotExist)
	}
	return nil
}

// clock reads the time of a machine that is made of files.
func (at *places) clock() (time.Time, time.Duration, error) {
	b, err := at.proc.Read(nil, []byte("uptime"), 64)
	if err != nil && !errors.Is(err, tree.ErrLonger) {
		return time.Time{}, 0, fmt.Errorf("read uptime: %w", denied(err))
	}
	up, err := procfs.ParseUptime(b)
	if err != nil {
		return time.Time{}, 0, fmt.Errorf("parse uptime: %w", err)
	}
	var boot int64
	if b, err = at.proc.Read(nil, []byte("stat"), maxFile); err == nil || errors.Is(err, tree.ErrLonger) {
		if k, err := procfs.ParseKernel(b); err == nil && k.Boot >= 0 {
			boot = k.Boot
		}
	}
	return time.Unix(boot, 0).UTC().Add(up), up, nil
}
