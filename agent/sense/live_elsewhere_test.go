//go:build windows || darwin

package sense

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minehound/minehound/agent/host"
)

// TestLive looks at the machine that the test runs on and finds the test itself, working.
func TestLive(t *testing.T) {
	l, err := New(DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	first := look(t, l)
	before, began := first.me, first.at
	second := first
	for limit := time.Now().Add(time.Minute); second.me.CPU()-before.CPU() < time.Second && time.Now().Before(limit); { // others work here too
		for end := time.Now().Add(3 * time.Second); time.Now().Before(end); {
			_ = filepath.Clean(strings.Repeat("../", 100)) // work
		}
		second = look(t, l)
	}
	me := second.me

	if me.ID != before.ID || me.ID.Born == 0 {
		t.Errorf("id %v, then %v", before.ID, me.ID)
	}
	if age := second.up - time.Duration(me.ID.Born)*host.Tick; age < 3*time.Second || age > 10*time.Minute {
		t.Errorf("the test is %v old", age)
	}
	if spent, took := me.CPU()-before.CPU(), second.at.Sub(began); spent < time.Second || spent > 10*took {
		t.Errorf("the test spent %v of CPU time in %v, working all the time", spent, took)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if me.Detail == nil || !strings.EqualFold(filepath.Base(me.Detail.Exe), filepath.Base(exe)) || !me.Detail.ArgsKnown || len(me.Detail.Args) != len(os.Args) {
		t.Errorf("detail %+v of %s with %d arguments", me.Detail, exe, len(os.Args))
	}
	if me.Threads < 1 || me.RSS < 1<<20 || me.Detail.User == "" {
		t.Errorf("threads %d, RSS %d, user %q", me.Threads, me.RSS, me.Detail.User)
	}
	if second.machine.CPUs < 1 || second.machine.Memory < 1<<20 || second.machine.ID == "" || second.machine.BootID == "" {
		t.Errorf("machine %+v", second.machine)
	}
	if busy := second.machine.Busy - first.machine.Busy; busy < time.Second {
		t.Errorf("the machine was busy for %v while the test worked", busy)
	}
}

// sight is what of a Snapshot outlives the next look.
type sight struct {
	at      time.Time
	up      time.Duration
	machine host.Machine
	me      host.Process
}

func look(t *testing.T, l *Looker) sight {
	t.Helper()
	s, err := l.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(s.Processes, func(p host.Process) bool { return p.ID.PID == os.Getpid() })
	if i < 0 {
		t.Fatalf("%d processes, not the test; gaps %+v", len(s.Processes), s.Gaps)
	}
	return sight{s.At, s.Uptime, s.Machine, s.Processes[i]}
}

// TestLiveGone: a process that is not there is an error, not a blank.
func TestLiveGone(t *testing.T) {
	list, err := sensors(DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	r, ok := list[1].(*roster)
	if !ok {
		t.Fatalf("the second sensor is %T", list[1])
	}
	d, err := r.from.detail(t.Context(), 0x7ffffffc)
	if err == nil || errors.Is(err, ErrPermission) || d != nil && (d.Exe != "" || d.ArgsKnown && len(d.Args) > 0) {
		t.Errorf("detail %+v, error %v of a process that does not exist", d, err)
	}
}
