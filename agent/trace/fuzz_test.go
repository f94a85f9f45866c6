package trace

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/minehound/minehound/agent/host"
)

// FuzzReader holds any bytes to two promises: reading them ends in io.EOF or an *Error, and what was read can be written
// and read again without a difference.
func FuzzReader(f *testing.F) {
	f.Add([]byte(documented(f)))
	f.Add([]byte(minute))
	f.Add(recording(f, []host.Snapshot{*busyMachine(2)}, Options{}))
	f.Add(recording(f, []host.Snapshot{*busyMachine(2)}, Options{Gzip: true}))
	f.Add([]byte(`{"schema":"minehound.trace/v1","form":"recorded"}` + "\n" +
		`{"at":"2026-01-01T00:00:00Z","uptime":1,"details":[{"ref":1,"exe":"\u0000ff","args":["a"],"env":["A=b",["=C:","d"]]}],"processes":[{"pid":1,"born":1,"detail":1,"state":"\u0000ff","effort":{"threads":[{"tid":1}],"memory":{"large":[1]}}}],"events":[{"at":"2026-01-01T00:00:00Z","kind":"started","pid":2,"parent":{"pid":1,"detail":1}}],"gaps":[{"sensor":"a","reason":"b"}]}` + "\n" +
		`{"at":"2026-01-01T00:00:02Z","uptime":3,"same":[1],"drop":[1]}` + "\n" +
		`{"at":"2026-01-01T00:00:02Z","uptime":5,"gone":[1]}` + "\n" + `{"end":{"looks":3}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := NewReader(bytes.NewReader(b))
		if err != nil {
			return
		}
		var looks []host.Snapshot
		for len(looks) < 64 {
			s, err := r.Next(context.Background())
			if err != nil {
				var where *Error
				if !errors.Is(err, io.EOF) && !errors.As(err, &where) {
					t.Fatalf("%v is not an Error", err)
				}
				break
			}
			looks = append(looks, keep(s))
		}
		var out bytes.Buffer
		w := NewWriter(&out, Options{})
		for i := range looks {
			if y := looks[i].At.Year(); y < 0 || y > 9999 {
				return // JSON has no such year
			}
			for _, e := range looks[i].Events {
				if y := e.At.Year(); y < 0 || y > 9999 {
					return
				}
			}
			if err := w.Write(&looks[i]); err != nil {
				t.Fatalf("what was read cannot be written: %v", err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if len(looks) == 0 {
			return
		}
		r, err = NewReader(&out)
		if err != nil {
			t.Fatal(err)
		}
		for i := range looks {
			s, err := r.Next(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(looks[i], *s, equal); d != "" {
				t.Fatalf("look %d differs:\n%s", i, d)
			}
		}
	})
}

// FuzzTile holds any recording to the promise that time goes on from round to round, and that tiling ends in io.EOF only.
func FuzzTile(f *testing.F) {
	f.Add([]byte(minute))
	f.Add([]byte(documented(f)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := NewReader(bytes.NewReader(b)); err == nil {
			for range 100 {
				if _, err = r.Next(context.Background()); err != nil {
					break
				}
			}
			if err == nil {
				return // too long to be surveyed over and over
			}
		}
		tiled, err := Tile(bytes.NewReader(b), longest)
		if err != nil {
			return
		}
		var before time.Duration
		for range 200 {
			s, err := tiled.Next(context.Background())
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("a trace that could be surveyed ends in %v", err)
			}
			if s.Uptime < before {
				t.Fatalf("round %d: uptime falls from %v to %v", tiled.round, before, s.Uptime)
			}
			before = s.Uptime
		}
	})
}
