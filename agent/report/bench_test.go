package report

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/minehound/minehound/agent/host"
	"github.com/minehound/minehound/agent/incident"
)

func BenchmarkClean(b *testing.B) {
	for name, s := range map[string]string{"plain": strings.Repeat("/usr/bin/x ", 20), "world": strings.Repeat("挖矿 ", 50), "hostile": strings.Repeat("\x1b[2J\u202e", 50)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Clean(s, 4096)
			}
		})
	}
}

func BenchmarkNewAlert(b *testing.B) {
	in := incident.Incident{ID: "x", Subject: host.Subject{Kind: host.SubjectProcess, Args: strings.Fields(strings.Repeat("argument ", 20))}}
	b.ReportAllocs()
	for b.Loop() {
		NewAlert(in, host.Identity{OS: "linux"}, nil)
	}
}

// BenchmarkLogReport includes the fsync of the disk it runs on.
func BenchmarkLogReport(b *testing.B) {
	l, err := NewLog(LogOptions{Path: filepath.Join(b.TempDir(), "alerts.jsonl"), MaxSize: 1 << 30})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := l.Report(b.Context(), plainAlert("x", 1, "high")); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkReadLog(b *testing.B) {
	var data bytes.Buffer
	for i := range 10_000 {
		data.Write(lines(b, plainAlert(fmt.Sprint(i), 1, "high")))
	}
	fsys := fstest.MapFS{"alerts.jsonl": {Data: data.Bytes()}}
	b.SetBytes(int64(data.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if read, err := ReadLog(fsys, "alerts.jsonl", func(Alert) bool { return true }); err != nil || read.Alerts != 10_000 {
			b.Fatal(read, err)
		}
	}
}
