package sense

import (
	"context"
	"fmt"
	"time"

	"github.com/minehound/minehound/agent/host"
)

// The sensors in this file and in roster.go are those of the platforms without a reader of our own. They take what a
// platform tells through two small interfaces, so that what they make of it is tried everywhere.

// facts is what does not change about a machine while it is up.
type facts struct {
	Identity host.Identity
	Boot     time.Time // wall clock
	CPUs     int
	Memory   int64 // bytes of RAM, -1 unknown
}

// machineReader is the machine as a platform tells it.
type machineReader interface {
	// facts is asked once. Facts that could not be read are left unknown and named in the gaps; without an error Boot
	// and CPUs are known.
	facts(ctx context.Context) (facts, []host.Gap, error)
	// busy is the CPU time since boot that all CPUs together spent not idle.
	busy(ctx context.Context) (time.Duration, error)
}

// plainMachine is the sensor of the time and the machine as a whole.
type plainMachine struct {
	from  machineReader
	now   func() time.Time
	known bool
	fixed facts
	gaps  []host.Gap
	clock uptime
	busy  host.Machine // of it only Busy, which grows although what the platform counts may wrap
	last  time.Duration
}

func newPlainMachine(from machineReader, now func() time.Time) *plainMachine {
	return &plainMachine{from: from, now: now}
}

// Name implements [Sensor].
func (m *plainMachine) Name() string { return "machine" }

// Sense implements [Sensor].
func (m *plainMachine) Sense(ctx context.Context, snap *host.Snapshot) error {
	if !m.known {
		fixed, gaps, err := m.from.facts(ctx)
		if err != nil {
			return fmt.Errorf("facts about the machine: %w", err)
		}
		m.fixed, m.gaps, m.known = fixed, gaps, true
		m.clock = uptime{boot: fixed.Boot}
	}
	snap.At = m.now()
	snap.Uptime = m.clock.read(snap.At)
	snap.Machine = host.Machine{
		Identity: m.fixed.Identity, CPUs: m.fixed.CPUs, Memory: m.fixed.Memory,
		Busy: -1, Steal: -1, HugePages: -1, HugeFree: -1, HugeSize: -1,
	}
	snap.Gaps = append(snap.Gaps, m.gaps...)
	b, err := m.from.busy(ctx)
	if err != nil {
		snap.Gaps = append(snap.Gaps, host.Gap{Sensor: m.Name(), Reason: fmt.Sprintf("load of the whole machine: %v", err)})
		return nil
	}
	// Ticks of 32 bits wrap after some months: what one interval lost is better than a machine that works backwards.
	m.busy.Busy += max(0, b-m.last)
	m.last = b
	snap.Machine.Busy = m.busy.Busy
	return nil
}

// uptime turns wall clock into time since boot where there is no clock that counts it. It goes on while the machine
// sleeps, as the wall clock that processes are dated by does, and never back: when somebody sets the wall clock back, boot
// moves back with it.
type uptime struct {
	boot time.Time
	at   time.Time // of the last reading, with its monotonic part
	up   time.Duration
}

func (u *uptime) read(now time.Time) time.Duration {
	if u.at.IsZero() {
		u.up = max(0, now.Round(0).Sub(u.boot.Round(0)))
	} else {
		wall := now.Round(0).Sub(u.at.Round(0))
		u.up += max(0, now.Sub(u.at), wall)
	}
	u.at = now
	return u.up
}
