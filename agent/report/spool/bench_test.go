package spool

import (
	"context"
	"fmt"
	"testing"

	"github.com/minehound/minehound/agent/report"
)

// BenchmarkReport is what a caller waits for: two fsyncs of the disk it runs on.
func BenchmarkReport(b *testing.B) {
	s, err := New(sinkFunc(func(context.Context, report.Alert) error { return nil }), Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	i := 0
	for b.Loop() {
		i++
		if err := s.Report(b.Context(), alert(fmt.Sprint(i), 1, "high")); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
}
