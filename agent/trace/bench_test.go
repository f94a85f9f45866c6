package trace

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/minehound/minehound/agent/host"
)

// busyMachine is a look at n processes, a tenth of which work.
func busyMachine(n int) *host.Snapshot {
	s := &host.Snapshot{At: time.Unix(1e9, 0).UTC(), Uptime: time.Hour, Machine: host.Machine{CPUs: 8}}
	for i := range n {
		p := newProcess(host.ProcID{PID: i + 1, Born: uint64(i)})
		p.Name, p.State, p.Threads, p.RSS, p.VSize = "worker", 'S', 4, 8<<20, 64<<20
		p.Detail = &host.Detail{Exe: "/usr/lib/worker", Args: []string{"worker", fmt.Sprintf("--id=%d", i)}, ArgsKnown: true, User: "root",
			Cgroup: "/system.slice/worker.service", Cwd: "/", EnvKnown: true, Env: []host.EnvVar{{Name: "PATH"}, {Name: "HOME"}, {Name: "LANG"}}}
		if i%50 == 0 {
			p.Effort = &host.Effort{Voluntary: 1, Involuntary: 1, Threads: []host.Thread{{TID: i, Name: "worker"}, {TID: i + 1, Name: "worker"}}}
		}
		s.Processes = append(s.Processes, p)
	}
	return s
}

func advance(s *host.Snapshot, look int) {
	s.At, s.Uptime = s.At.Add(2*time.Second), s.Uptime+2*time.Second
	for i := range s.Processes {
		p := &s.Processes[i]
		switch {
		case i%10 == 0:
			p.User += time.Duration(10*((i+look)%7)) * time.Millisecond
			p.Looked = s.Uptime
		case (i+look)%5 == 0:
			p.Looked = s.Uptime
		}
		if p.Effort != nil {
			p.Effort.Looked = s.Uptime
			p.Effort.Threads[1].User = p.User
			p.Effort.Voluntary++
		}
	}
}

func TestTwoHoursOfThreeHundredProcessesStaySmall(t *testing.T) {
	var b bytes.Buffer
	w := NewWriter(&b, Options{Gzip: true})
	s := busyMachine(300)
	for look := range 3600 {
		advance(s, look)
		if err := w.Write(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.Copy(io.Discard, z)
	t.Logf("%d bytes, %d compressed", raw, b.Len())
	if err != nil || b.Len() > 4<<20 {
		t.Errorf("%d bytes compressed: %v", b.Len(), err)
	}
}

func BenchmarkWrite(b *testing.B) {
	w := NewWriter(io.Discard, Options{})
	s := busyMachine(300)
	b.ReportAllocs()
	for look := 0; b.Loop(); look++ {
		advance(s, look)
		if err := w.Write(s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	s := busyMachine(300)
	var buf bytes.Buffer
	w := NewWriter(&buf, Options{})
	for look := range 100 {
		advance(s, look)
		if err := w.Write(s); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		r, err := NewReader(bytes.NewReader(buf.Bytes()))
		for err == nil {
			_, err = r.Next(context.Background())
		}
		if !errors.Is(err, io.EOF) {
			b.Fatal(err)
		}
	}
}
