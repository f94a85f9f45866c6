package detect_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/feature"
	"github.com/minehound/minehound/agent/host"
	"github.com/minehound/minehound/rules"
)

func ours(tb testing.TB) *detect.Ruleset {
	tb.Helper()
	rs, err := detect.Load(detect.Source{Name: "rules", FS: rules.FS()})
	if err != nil {
		tb.Fatal(err)
	}
	return rs.For("linux")
}

// crowd is a machine with n processes of which each tenth works.
func crowd(n int) *host.Snapshot {
	s := &host.Snapshot{At: at, Uptime: time.Hour, Machine: host.Machine{CPUs: 64, HugePages: -1, HugeFree: -1}}
	for i := range n {
		d := &host.Detail{
			Exe: fmt.Sprintf("/usr/lib/app%d/bin/server", i%50), Args: []string{"server", "--config", "/etc/app/config.yaml", "--listen", "0.0.0.0:8080", "-o", "out.json"},
			ArgsKnown: true, EnvKnown: true, Env: []host.EnvVar{{Name: "HOME"}, {Name: "PATH"}}, User: "app", ExeDeleted: host.No, UID: 1000,
		}
		s.Processes = append(s.Processes, host.Process{
			ID: host.ProcID{PID: i + 1, Born: 100}, Parent: min(i, 1), Name: "server", Detail: d, Threads: 4, RSS: 1 << 26, VSize: 1 << 30, Looked: s.Uptime, User: time.Minute,
		})
	}
	return s
}

// pass lets two seconds pass; each tenth process works.
func pass(s *host.Snapshot, fresh bool) {
	s.At, s.Uptime = s.At.Add(2*time.Second), s.Uptime+2*time.Second
	for i := range s.Processes {
		p := &s.Processes[i]
		if fresh {
			p.Looked = s.Uptime
		}
		if i%10 == 0 {
			p.Looked = s.Uptime
			p.User += 1500 * time.Millisecond
		}
	}
}

// BenchmarkJudge is the cost of holding all rules against one look at 1,000 processes: per process, when all of them
// were read again and when only the working ones were.
func BenchmarkJudge(b *testing.B) {
	for _, fresh := range []bool{true, false} {
		b.Run(fmt.Sprintf("fresh=%v", fresh), func(b *testing.B) {
			const n = 1000
			s := crowd(n)
			w, d := feature.NewWindow(), detect.New(ours(b))
			for range 40 {
				pass(s, true)
				d.Judge(w.Add(s))
			}
			pass(s, fresh)
			look := w.Add(s)
			b.ReportAllocs()
			b.ResetTimer()
			for b.Loop() {
				d.Judge(look)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/process")
		})
	}
}

// BenchmarkNewProcess is the cost of a process that was not seen before: every rule over its name, path and arguments.
func BenchmarkNewProcess(b *testing.B) {
	const n = 1000
	s := crowd(n)
	rs := ours(b)
	look := feature.NewWindow().Add(s)
	for b.Loop() {
		b.StopTimer()
		d := detect.New(rs)
		b.StartTimer()
		d.Judge(look)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/process")
}

// BenchmarkEvent is the cost of one started process.
func BenchmarkEvent(b *testing.B) {
	s := crowd(1)
	s.Events = []host.Event{{At: at, Kind: host.ProcessStarted, ID: host.ProcID{PID: 9}, Name: "sh", Detail: &host.Detail{
		Exe: "/usr/bin/dash", Args: []string{"sh", "-c", "/usr/bin/test -x /etc/init.d/anacron && /usr/sbin/invoke-rc.d anacron start >/dev/null"}, ArgsKnown: true, User: "root",
	}}}
	w, d := feature.NewWindow(), detect.New(ours(b))
	look := w.Add(s)
	b.ReportAllocs()
	for b.Loop() {
		d.Judge(look)
	}
}
