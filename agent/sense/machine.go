package sense

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/minehound/minehound/agent/host"
	"github.com/minehound/minehound/agent/sense/procfs"
	"github.com/minehound/minehound/agent/sense/tree"
)

// clock tells the time of the machine looked at, and what looking costs.
type clock struct {
	// now is the wall clock and the time since boot.
	now func() (time.Time, time.Duration, error)
	// since is a clock that only measures how long a look has been going on.
	since func() time.Duration
	// cost is the CPU time that this thread has used.
	cost func() time.Duration
}

// places are the parts of the file system that sensors read.
type places struct {
	proc, sys, etc tree.Tree
	pageSize       int64
	os             string
}

// procMachine is the sensor of the machine as a whole: time, identity, CPU time, memory.
type procMachine struct {
	at          places
	clock       clock
	buf         []byte
	path        []byte
	known       bool // the identity was read
	noMachineID bool
}

func newProcMachine(at places, c clock) *procMachine {
	return &procMachine{at: at, clock: c, buf: make([]byte, 0, 16<<10)}
}

// Name implements [Sensor].
func (m *procMachine) Name() string { return "machine" }

// Sense implements [Sensor].
func (m *procMachine) Sense(_ context.Context, snap *host.Snapshot) error {
	at, up, err := m.clock.now()
	if err != nil {
		return fmt.Errorf("read the clock: %w", err)
	}
	snap.At, snap.Uptime = at, up
	if !m.known {
		snap.Machine = host.Machine{Identity: m.identity(), CPUs: 1, Busy: -1, Steal: -1, Memory: -1, HugePages: -1, HugeFree: -1, HugeSize: -1}
		m.known = true
	}
	if m.noMachineID {
		snap.Gaps = append(snap.Gaps, host.Gap{Sensor: m.Name(), Reason: "no machine id: the host name stands in for it"})
	}
	for _, err := range [...]error{m.kernel(&snap.Machine), m.memory(&snap.Machine)} {
		if err != nil {
			snap.Gaps = append(snap.Gaps, host.Gap{Sensor: m.Name(), Reason: err.Error()})
		}
	}
	snap.Machine.MSRWritable = m.msr()
	return nil
}

// maxFile is what is read of files of the machine at most; /proc/stat has a line per CPU and one of all interrupts.
const maxFile = 1 << 20

func (m *procMachine) read(t tree.Reader, path string) ([]byte, error) {
	var err error
	m.path = append(m.path[:0], path...)
	if m.buf, err = t.Read(m.buf[:0], m.path, maxFile); err != nil && !errors.Is(err, tree.ErrLonger) {
		return nil, fmt.Errorf("read %s: %w", path, denied(err))
	}
	return m.buf, nil
}

// denied makes the file system's refusal the sensors'.
func denied(err error) error {
	if tree.Denied(err) {
		return ErrPermission
	}
	return err
}

func (m *procMachine) kernel(out *host.Machine) error {
	b, err := m.read(m.at.proc, "stat")
	if err != nil {
		out.Busy, out.Steal = -1, -1
		return err
	}
	k, err := procfs.ParseKernel(b)
	if err != nil {
		out.Busy, out.Steal = -1, -1
		return fmt.Errorf("parse stat: %w", err)
	}
	out.CPUs, out.Busy, out.Steal = max(k.CPUs, 1), k.Busy, k.Steal
	return nil
}

func (m *procMachine) memory(out *host.Machine) error {
	b, err := m.read(m.at.proc, "meminfo")
	var i procfs.Meminfo
	if err != nil {
		i = procfs.ParseMeminfo(nil)
	} else {
		i = procfs.ParseMeminfo(b)
	}
	out.Memory, out.HugePages, out.HugeFree, out.HugeSize = i.Total, i.HugePages, i.HugeFree, i.HugeSize
	return err
}

// msr reads whether the msr module lets user space write. Where there is no such module it cannot.
func (m *procMachine) msr() host.Fact {
	b, err := m.at.sys.Read(m.buf[:0], msrParameter, 64)
	switch {
	case tree.Gone(err):
		return host.No
	case err != nil:
		return host.Unknown
	}
	switch string(b) {
	case "on\n", "on", "Y\n", "1\n":
		return host.Yes
	case "off\n", "off", "N\n", "0\n", "default\n", "default": // default logs a write and lets it pass only where lockdown allows
		return host.No
	}
	return host.Unknown
}

var msrParameter = []byte("module/msr/parameters/allow_writes")

// identity reads who the machine is. Its id must not give away the machine id, which is confidential, see machine-id(5).
func (m *procMachine) identity() host.Identity {
	id := host.Identity{OS: m.at.os}
	if b, err := m.read(m.at.proc, "sys/kernel/hostname"); err == nil {
		id.Name = strings.TrimSpace(string(b))
	}
	if b, err := m.read(m.at.proc, "sys/kernel/random/boot_id"); err == nil {
		id.BootID = strings.TrimSpace(string(b))
	}
	id.ID, m.noMachineID = disguise(id.Name), true
	if b, err := m.read(m.at.etc, "machine-id"); err == nil {
		text := strings.TrimSpace(string(b))
		if raw, err := hex.DecodeString(text); err == nil && len(raw) == 16 && slices.Max(raw) > 0 {
			id.ID, m.noMachineID = disguise(text), false
		}
	}
	return id
}

// Close implements [io.Closer]: it lets go of the file system, which the other sensors read too. It is the last to be
// closed.
func (m *procMachine) Close() error { return m.at.close() }

// close lets go of the file system.
func (at *places) close() error {
	var errs []error
	for _, t := range []tree.Tree{at.proc, at.sys, at.etc} {
		if c, ok := t.(io.Closer); ok {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}
