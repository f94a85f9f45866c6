package sense

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/shirou/gopsutil/v3/cpu"
	"github.com/shirou/gopsutil/v3/mem"
	gopsutil "github.com/shirou/gopsutil/v3/process"
)

// benchProcesses is how many processes the benchmarks look at: MINEHOUND_BENCH_PROCS, 100 without it.
func benchProcesses(b *testing.B) int {
	b.Helper()
	n := 100
	if v := os.Getenv("MINEHOUND_BENCH_PROCS"); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil {
			b.Fatalf("MINEHOUND_BENCH_PROCS: %v", err)
		}
	}
	for range n {
		child(b, nil, "/bin/sleep", "1000")
	}
	return n
}

// BenchmarkLook prints what one look costs in CPU time, what the same facts cost through gopsutil v3 in the same run, and
// the ratio. In each look every process is read: the worst case, which the service spreads over ten seconds.
func BenchmarkLook(b *testing.B) {
	n := benchProcesses(b)
	o := DefaultOptions()
	o.SweepMin, o.CPUBudget, o.Connector = 0, 1, false
	l, err := New(o)
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	ctx := context.Background()
	for range 3 {
		if _, err := l.Look(ctx); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	looks, seen := 0, 0
	start := usedBySelf()
	for b.Loop() {
		s, err := l.Look(ctx)
		if err != nil {
			b.Fatal(err)
		}
		looks++
		seen = 0
		for i := range s.Processes {
			if s.Processes[i].Looked >= s.Uptime {
				seen++
			}
		}
	}
	ours := (usedBySelf() - start) / time.Duration(looks)
	b.StopTimer()
	if seen < n {
		b.Fatalf("%d of %d processes were read", seen, n)
	}
	const rounds = 3
	start = usedBySelf()
	for range rounds {
		if got := throughGopsutil(b); got < n {
			b.Fatalf("gopsutil sees %d of %d processes", got, n)
		}
	}
	theirs := (usedBySelf() - start) / rounds
	b.ReportMetric(float64(ours.Microseconds())/1000, "cpu-ms/look")
	b.ReportMetric(float64(theirs.Microseconds())/1000, "gopsutil-cpu-ms/look")
	b.ReportMetric(float64(theirs)/float64(ours), "times-cheaper")
	b.ReportMetric(float64(seen), "processes")
}

// throughGopsutil asks gopsutil for the facts that one of our looks at the counters of every process tells.
func throughGopsutil(b *testing.B) int {
	if _, err := cpu.Times(false); err != nil {
		b.Fatal(err)
	}
	if _, err := mem.VirtualMemory(); err != nil {
		b.Fatal(err)
	}
	list, err := gopsutil.Processes() // reads the start time of each
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	for _, p := range list {
		if _, err := p.Times(); err != nil { // it has ended
			continue
		}
		_, _ = p.Name()
		_, _ = p.Ppid()
		_, _ = p.NumThreads()
		_, _ = p.MemoryInfo()
		_, _ = p.Status()
		_, _ = p.Nice()
		_, _ = p.PageFaults()
		n++
	}
	return n
}

// BenchmarkService prints what the looks of a service cost: one every two seconds, at the default budget. It takes real
// time, so it runs when MINEHOUND_BENCH_PROCS is set only.
func BenchmarkService(b *testing.B) {
	if os.Getenv("MINEHOUND_BENCH_PROCS") == "" {
		b.Skip("MINEHOUND_BENCH_PROCS is not set")
	}
	n := benchProcesses(b)
	l, err := New(DefaultOptions())
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	ctx := context.Background()
	for range 8 { // past the start, when everything is young
		if _, err := l.Look(ctx); err != nil {
			b.Fatal(err)
		}
		time.Sleep(2 * time.Second)
	}
	const looks = 10
	used := usedBySelf()
	start := time.Now()
	var oldest time.Duration
	for range looks {
		s, err := l.Look(ctx)
		if err != nil {
			b.Fatal(err)
		}
		for i := range s.Processes {
			oldest = max(oldest, s.Uptime-s.Processes[i].Looked)
		}
		time.Sleep(2 * time.Second)
	}
	share := float64(usedBySelf()-used) / float64(time.Since(start))
	for b.Loop() {
	}
	b.ReportMetric(100*share, "%-of-one-core")
	b.ReportMetric(oldest.Seconds(), "s-oldest-counters")
	b.ReportMetric(float64(n), "processes")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkFirstLook is the dearest look: everything about every process is new.
func BenchmarkFirstLook(b *testing.B) {
	benchProcesses(b)
	o := DefaultOptions()
	o.Connector = false
	b.ReportAllocs()
	for b.Loop() {
		l, err := New(o)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := l.Look(context.Background()); err != nil {
			b.Fatal(err)
		}
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
