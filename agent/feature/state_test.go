package feature

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/minehound/minehound/agent/host"
)

// again is a second agent on the same machine, with what the first one kept (through JSON, as a store would).
func again(t *testing.T, m *sim) {
	t.Helper()
	b, err := json.Marshal(m.w.State())
	if err != nil {
		t.Fatal(err)
	}
	var s State
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	m.w = NewWindow()
	if err := m.w.Restore(s); err != nil {
		t.Fatal(err)
	}
}

func TestTheDaySurvivesARestart(t *testing.T) {
	m := newSim(4)
	m.s.Machine.BootID = "b1"
	m.proc(7, "old", 90*time.Hour, 500*time.Hour)
	m.rate[7] = 1
	m.proc(8, "young", time.Hour, time.Minute)
	m.rate[8] = 0.5
	m.look = m.w.Add(&m.s)
	near(t, "young at first", m.vector(t, 8).Group.Seconds24h, 60)
	m.run(2 * time.Hour)
	near(t, "old", m.vector(t, 7).Group.Seconds24h, 7200)
	near(t, "young", m.vector(t, 8).Group.Seconds24h, 3660)

	// The agent is away for half an hour, the processes are not.
	again(t, m)
	m.step(30 * time.Minute)
	near(t, "old after a restart", m.vector(t, 7).Group.Seconds24h, 9000)
	near(t, "young after a restart", m.vector(t, 8).Group.Seconds24h, 3660+900)
	m.run(time.Hour)
	near(t, "old goes on", m.vector(t, 7).Group.Seconds24h, 12600)

	// Reboot: new processes, the same programs.
	again(t, m)
	m.s.Machine.BootID, m.s.Machine.Busy = "b2", 0
	m.s.At = m.s.At.Add(4 * time.Hour)
	m.s.Uptime = 10 * time.Minute
	m.s.Processes = nil
	m.proc(70, "old", 5*time.Minute, 100*time.Second)
	m.look = m.w.Add(&m.s)
	near(t, "after a reboot", m.vector(t, 70).Group.Seconds24h, 12700)
	m.rate[70] = 0
	// 2.5 h before the reboot it had begun; 24 h after that beginning it starts to be forgotten.
	m.run(15 * time.Hour)
	near(t, "within the day", m.vector(t, 70).Group.Seconds24h, 12700)
	m.run(10 * time.Hour)
	if got := m.vector(t, 70).Group.Seconds24h; got > 101 {
		t.Errorf("a day later %v CPU seconds, want at most the 100 after the reboot", got)
	}
}

func TestARebootWhileWatching(t *testing.T) {
	m := newSim(4)
	m.s.Machine.BootID = "b1"
	m.proc(7, "x", 90*time.Hour, 0)
	m.rate[7] = 1
	m.look = m.w.Add(&m.s)
	m.run(time.Hour)
	m.s.Machine.BootID = "b2"
	m.s.Uptime, m.s.Machine.Busy = time.Minute, 0
	m.s.At = m.s.At.Add(5 * time.Minute)
	m.s.Processes = nil
	m.proc(9, "x", 30*time.Second, 0)
	m.look = m.w.Add(&m.s)
	near(t, "24h", m.vector(t, 9).Group.Seconds24h, 3600)
	near(t, "10s", m.vector(t, 9).CPU.Share10s, Unknown())
}

func TestBadStatesAreRefused(t *testing.T) {
	hours := make([]float64, 25)
	nan := append([]float64(nil), hours...)
	nan[3] = math.NaN()
	for _, tt := range []struct {
		name, want string
		s          State
	}{
		{"version", "version 2", State{Version: 2}},
		{"clock", "clock", State{Version: 1, Clock: -1}},
		{"hours", "has 24 hours", State{Version: 1, Groups: []GroupState{{"x", hours[:24]}}}},
		{"not a number", "NaN", State{Version: 1, Groups: []GroupState{{"x", nan}}}},
		{"too many", "programs", State{Version: 1, Groups: make([]GroupState, maxStateGroups+1)}},
	} {
		if err := NewWindow().Restore(tt.s); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	w := NewWindow()
	w.Add(&host.Snapshot{Machine: host.Machine{CPUs: 1}})
	if err := w.Restore(State{Version: 1}); err == nil {
		t.Error("restored after the first look")
	}
}
