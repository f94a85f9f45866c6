package e2e

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/minehound/minehound/agent/host"
	"github.com/minehound/minehound/agent/trace"
)

// keep writes a recording to where MINEHOUND_E2E_KEEP says, so that it can be committed for the scoreboard: only the
// program that the test started and its children, on a machine without a name.
func keep(t *testing.T, recording, name string, root int) {
	t.Helper()
	dir := os.Getenv("MINEHOUND_E2E_KEEP")
	if dir == "" {
		return
	}
	if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(recording)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	r, err := trace.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	out := create(t, filepath.Join(dir, name+".jsonl.gz"))
	w := trace.NewWriter(out, trace.Options{Gzip: true})
	family, clean := map[int]bool{root: true}, map[*host.Detail]*host.Detail{}
	for {
		snap, err := r.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(private(snap, root, family, clean)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// private is a Snapshot without anything about the machine that it was taken on.
func private(s *host.Snapshot, root int, family map[int]bool, clean map[*host.Detail]*host.Detail) *host.Snapshot {
	out := *s
	out.Machine.Identity = host.Identity{ID: "recorded", Name: "recorded", OS: s.Machine.OS, BootID: "recorded"}
	out.Gaps = nil
	bare := func(d *host.Detail) *host.Detail {
		if d == nil || clean[d] != nil {
			return clean[d]
		}
		c := *d
		c.Env, c.EnvKnown, c.Cwd, c.Cgroup = nil, false, "/", "/"
		clean[d] = &c
		return &c
	}
	for grown := true; grown; {
		grown = false
		for i := range s.Processes {
			if p := &s.Processes[i]; family[p.Parent] && !family[p.ID.PID] {
				family[p.ID.PID], grown = true, true
			}
		}
	}
	out.Processes = slices.DeleteFunc(slices.Clone(s.Processes), func(p host.Process) bool { return !family[p.ID.PID] })
	for i := range out.Processes {
		p := &out.Processes[i]
		if p.Detail = bare(p.Detail); p.ID.PID == root {
			p.Parent = 1
		}
	}
	out.Events = slices.DeleteFunc(slices.Clone(s.Events), func(e host.Event) bool { return !family[e.Parent.PID] || !family[e.ID.PID] })
	for i := range out.Events {
		e := &out.Events[i]
		e.Detail, e.ParentDetail = bare(e.Detail), bare(e.ParentDetail)
	}
	return &out
}
