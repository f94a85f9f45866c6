package sense

import (
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/minehound/minehound/agent/host"
)

// ntFixture is one process of a table made by hand.
type ntFixture struct {
	pid, parent uint64
	name        string
	threads     [][2]uint32 // state and wait reason
}

const ntFixtureBase = 0x7ffe_0000_0000

// ntBytes lays out a table as the kernel does: entry, threads, name, padding to 8 bytes.
func ntBytes(list ...ntFixture) []byte {
	le := binary.LittleEndian
	var b []byte
	for i, f := range list {
		at := len(b)
		name := utf16.Encode([]rune(f.name))
		size := ntProcessSize + len(f.threads)*ntThreadSize
		nameAt := at + size
		size = (size + 2*len(name) + 7) &^ 7
		b = append(b, make([]byte, size)...)
		p := b[at:]
		if i < len(list)-1 {
			le.PutUint32(p[ntNext:], uint32(size))
		}
		le.PutUint32(p[ntThreads:], uint32(len(f.threads)))
		le.PutUint32(p[ntHardFaults:], 3)
		le.PutUint64(p[ntCreated:], 133_500_000_000_000_000+f.pid)
		le.PutUint64(p[ntUser:], 25_000_000)
		le.PutUint64(p[ntKernel:], 5_000_000)
		le.PutUint16(p[ntNameLength:], uint16(2*len(name)))
		le.PutUint64(p[ntName:], ntFixtureBase+uint64(nameAt))
		le.PutUint64(p[ntPID:], f.pid)
		le.PutUint64(p[ntParent:], f.parent)
		le.PutUint32(p[ntSession:], 1)
		le.PutUint64(p[ntVirtual:], 1<<32)
		le.PutUint32(p[ntFaults:], 10)
		le.PutUint64(p[ntWorkingSet:], 5<<20)
		for j, th := range f.threads {
			t := p[ntProcessSize+j*ntThreadSize:]
			le.PutUint64(t[ntThreadUser:], 10_000_000)
			le.PutUint64(t[ntTID:], uint64(100+j))
			le.PutUint32(t[ntThreadState:], th[0])
			le.PutUint32(t[ntThreadWhy:], th[1])
		}
		for j, u := range name {
			le.PutUint16(b[nameAt+2*j:], u)
		}
	}
	return b
}

func TestNTTable(t *testing.T) {
	b := ntBytes(
		ntFixture{pid: 0, name: "", threads: [][2]uint32{{2, 0}}},
		ntFixture{pid: 4, name: "System"},
		ntFixture{pid: 4242, parent: 4, name: "mïner.exe", threads: [][2]uint32{{2, 0}, {5, 6}, {5, 5}, {4, 0}}},
	)
	got, each, err := ntTable(b, ntFixtureBase, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 {
		t.Fatalf("%d processes, want 2: the idle process is none", len(got))
	}
	if s := got[0]; s.ID.PID != 4 || s.Name != "System" || !s.Kernel || !s.Counted {
		t.Errorf("first process %+v, want the kernel", s.Process)
	}
	e := got[1]
	want := host.Process{
		ID: host.ProcID{PID: 4242}, Parent: 4, Session: 1, Name: "mïner.exe",
		User: 2500 * time.Millisecond, System: 500 * time.Millisecond,
		Threads: 4, RSS: 5 << 20, VSize: 1 << 32, Policy: -1, MinFault: 7,
	}
	if e.Process != want {
		t.Errorf("process\n%+v, want\n%+v", e.Process, want)
	}
	if w := time.Unix(1_705_526_400, 424200); !e.Started.Equal(w) {
		t.Errorf("started %v, want %v", e.Started.UTC(), w.UTC())
	}
	var states strings.Builder
	for _, th := range e.Each {
		states.WriteByte(th.State)
		if th.CPUs != -1 || th.OnlyCPU != -1 || th.Voluntary != -1 || th.Involuntary != -1 {
			t.Errorf("thread %+v: what the table does not tell must be unknown", th)
		}
	}
	if states.String() != "RSTX" || e.Each[1].TID != 101 || e.Each[1].User != time.Second {
		t.Errorf("threads %+v (states %s), want RSTX", e.Each, states.String())
	}
	again, _, err := ntTable(b, ntFixtureBase, got[:0], each)
	if err != nil || len(again) != 2 || &again[0] != &got[0] {
		t.Errorf("a second look: %d processes, error %v, or not in the kept array", len(again), err)
	}
	if len(each) != 4 {
		t.Errorf("%d threads are shared, want the 4 of processes that count", len(each))
	}
}

func TestNTTableDamaged(t *testing.T) {
	good := ntBytes(ntFixture{pid: 8, name: "a.exe", threads: [][2]uint32{{2, 0}}}, ntFixture{pid: 12, name: "b.exe"})
	edit := func(f func(b []byte)) []byte {
		b := append([]byte(nil), good...)
		f(b)
		return b
	}
	le := binary.LittleEndian
	tests := map[string][]byte{
		"empty":                     nil,
		"cut in an entry":           good[:ntProcessSize-1],
		"cut between entries":       good[:le.Uint32(good)],
		"next inside the entry":     edit(func(b []byte) { le.PutUint32(b, 8) }),
		"next behind the end":       edit(func(b []byte) { le.PutUint32(b, 1<<30) }),
		"more threads than bytes":   edit(func(b []byte) { le.PutUint32(b[ntThreads:], 1<<31) }),
		"name before the table":     edit(func(b []byte) { le.PutUint64(b[ntName:], 0) }),
		"name behind the table":     edit(func(b []byte) { le.PutUint64(b[ntName:], ntFixtureBase+uint64(len(b))) }),
		"name over the end":         edit(func(b []byte) { le.PutUint64(b[ntName:], ntFixtureBase+uint64(len(b))-2) }),
		"name at the address's end": edit(func(b []byte) { le.PutUint64(b[ntName:], 1<<64-1) }),
	}
	for name, b := range tests {
		t.Run(name, func(t *testing.T) {
			if _, _, err := ntTable(b, ntFixtureBase, nil, nil); !errors.Is(err, errNTTable) {
				t.Errorf("error %v, want %v", err, errNTTable)
			}
		})
	}
}

// wineTable is a table that wine 8 filled in, behind the address it was filled in at.
func wineTable(tb testing.TB) (b []byte, base uint64) {
	tb.Helper()
	b, err := os.ReadFile("testdata/nt-table-wine.bin")
	if err != nil {
		tb.Fatal(err)
	}
	return b[8:], binary.LittleEndian.Uint64(b)
}

func TestNTTableRecorded(t *testing.T) {
	b, base := wineTable(t)
	got, _, err := ntTable(b, base, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]int{}
	for _, e := range got {
		names[e.Name]++
		if e.ID.PID <= 0 || e.Started.Year() != 2026 || e.Threads < 1 || len(e.Each) != e.Threads {
			t.Errorf("process %+v, started %v, with %d threads listed", e.Process, e.Started, len(e.Each))
		}
	}
	want := map[string]int{"dump.exe": 1, "explorer.exe": 1, "plugplay.exe": 1, "services.exe": 2, "svchost.exe": 1, "winedevice.exe": 3}
	if d := cmp.Diff(want, names); d != "" {
		t.Errorf("processes by name (-want +got):\n%s", d)
	}
}

func FuzzNTTable(f *testing.F) {
	b, base := wineTable(f)
	f.Add(b, base)
	f.Add(ntBytes(ntFixture{pid: 8, name: "a.exe", threads: [][2]uint32{{2, 0}}}, ntFixture{pid: 12}), uint64(ntFixtureBase))
	f.Fuzz(func(t *testing.T, b []byte, base uint64) {
		got, _, err := ntTable(b, base, nil, nil)
		if len(got)*ntProcessSize > len(b) {
			t.Errorf("%d processes in %d bytes", len(got), len(b))
		}
		for _, e := range got {
			if e.ID.PID == ntIdlePID || e.User < 0 || e.System < 0 || e.RSS < 0 || len(e.Each) != e.Threads {
				t.Errorf("entry %+v (error %v)", e, err)
			}
		}
	})
}
