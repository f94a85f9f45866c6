package report

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func lines(tb testing.TB, alerts ...Alert) []byte {
	tb.Helper()
	var b []byte
	for _, a := range alerts {
		line, err := json.Marshal(a)
		if err != nil {
			tb.Fatal(err)
		}
		b = append(append(b, line...), '\n')
	}
	return b
}

func zipped(tb testing.TB, data []byte) []byte {
	tb.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(data); err != nil {
		tb.Fatal(err)
	}
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func TestReadLog(t *testing.T) {
	one := func(id string, revision int) []byte { return lines(t, plainAlert(id, revision, "high")) }
	long := append(bytes.Repeat([]byte("x"), mostLine+1), '\n')
	for _, c := range []struct {
		name  string
		files map[string][]byte
		want  []string // id and revision, in order
		read  LogRead
	}{
		{"current only", map[string][]byte{"alerts.jsonl": slices.Concat(one("a", 1), one("a", 2))}, []string{"a1", "a2"}, LogRead{1, 2, 0, 0}},
		{"no end of line", map[string][]byte{"alerts.jsonl": bytes.TrimSpace(one("a", 1))}, []string{"a1"}, LogRead{1, 1, 0, 0}},
		{"empty lines", map[string][]byte{"alerts.jsonl": []byte("\n \n\n")}, nil, LogRead{1, 0, 0, 0}},
		{"rotated by us", map[string][]byte{
			"alerts-2026-03-02T00-00-00.000-time.jsonl.gz":     zipped(t, one("b", 1)),
			"alerts-2026-03-01T00-00-00.000-size.jsonl.gz":     zipped(t, one("a", 1)),
			"alerts-2026-03-02T00-00-00.000-size_1.jsonl":      one("c", 1),
			"alerts-2026-03-02T00-00-00.000-size_1.jsonl.gz":   zipped(t, one("c", 1)), // compressed, not yet removed
			"alerts-notes.jsonl":                               one("x", 1),
			"alerts-2026-03-03T00-00-00.000-time.jsonl.gz.tmp": []byte("x"),
			"alerts.jsonl": one("d", 1),
		}, []string{"a1", "c1", "b1", "d1"}, LogRead{4, 4, 0, 0}},
		{"rotated by logrotate", map[string][]byte{
			"alerts.jsonl.10.gz":       zipped(t, one("a", 1)),
			"alerts.jsonl.2.gz":        zipped(t, one("b", 1)),
			"alerts.jsonl.1":           one("c", 1),
			"alerts.jsonl-20260301.gz": zipped(t, one("d", 1)),
			"alerts.jsonl":             one("e", 1),
			"alerts.jsonl.bak":         one("x", 1),
		}, []string{"a1", "b1", "c1", "d1", "e1"}, LogRead{5, 5, 0, 0}},
		{"torn, foreign and too long", map[string][]byte{
			"alerts.jsonl": slices.Concat([]byte("{\"schema\":\"mine\n"), one("a", 1), []byte("{\"schema\":\"minehound.alert/v2\",\"id\":\"x\"}\n[]\n17\n"),
				long, one("b", 1), []byte(`{"schema":"minehound.al`)),
		}, []string{"a1", "b1"}, LogRead{1, 2, 3, 3}},
		{"gzip cut in the middle", map[string][]byte{
			"alerts.jsonl.1.gz": zipped(t, slices.Concat(one("a", 1), []byte(strings.Repeat("z", 99))))[:100],
			"alerts.jsonl.2.gz": []byte("no gzip"),
			"alerts.jsonl":      one("b", 1),
		}, []string{"b1"}, LogRead{3, 1, 2, 0}},
		{"newer fields", map[string][]byte{
			"alerts.jsonl": bytes.Replace(one("a", 1), []byte(`"drill"`), []byte(`"more":{"x":[1]},"drill"`), 1),
		}, []string{"a1"}, LogRead{1, 1, 0, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fsys := fstest.MapFS{}
			for name, data := range c.files {
				fsys["log/"+name] = &fstest.MapFile{Data: data}
			}
			var got []string
			read, err := ReadLog(fsys, "log/alerts.jsonl", func(a Alert) bool {
				got = append(got, fmt.Sprint(a.ID, a.Revision))
				return true
			})
			if err != nil {
				t.Fatal(err)
			}
			if c.name == "gzip cut in the middle" { // how much comes out before the cut is gzip's business
				read.Torn = min(read.Torn, 2)
			}
			if !slices.Equal(got, c.want) || read != c.read {
				t.Errorf("got %v, %+v; want %v, %+v", got, read, c.want, c.read)
			}
		})
	}
}

func TestReadLogStops(t *testing.T) {
	fsys := fstest.MapFS{"alerts.jsonl": {Data: lines(t, plainAlert("a", 1, "high"), plainAlert("b", 1, "high"))}}
	n := 0
	read, err := ReadLog(fsys, "alerts.jsonl", func(Alert) bool { n++; return false })
	if err != nil || n != 1 || read.Alerts != 1 {
		t.Errorf("%d calls, %+v, %v", n, read, err)
	}
	if _, err := ReadLog(fsys, "other.jsonl", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a log that is not there: %v", err)
	}
	if _, err := ReadLog(fsys, "no/where.jsonl", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory that is not there: %v", err)
	}
}

func TestLatest(t *testing.T) {
	var old, now []Alert
	for i := range 100 {
		a := plainAlert(fmt.Sprintf("case-%02d", i), 1, "high")
		a.Time = a.Time.AddDate(0, 0, i)
		old = append(old, a)
		a.Revision, a.Time = 2, a.Time.AddDate(0, 0, 1)
		now = append(now, a)
	}
	now = append(now, old[99]) // an older revision that was written late
	fsys := fstest.MapFS{"alerts.jsonl.1": {Data: lines(t, old...)}, "alerts.jsonl": {Data: lines(t, now...)}}
	for most, want := range map[int]int{0: 100, 7: 7, 100: 100, 1000: 100} {
		got, read, err := Latest(fsys, "alerts.jsonl", most)
		if err != nil || len(got) != want || read.Alerts != 201 {
			t.Fatalf("most %d: %d cases, %+v, %v", most, len(got), read, err)
		}
		for i, a := range got {
			if a.ID != fmt.Sprintf("case-%02d", 99-i) || a.Revision != 2 {
				t.Errorf("most %d: place %d has %s revision %d", most, i, a.ID, a.Revision)
			}
		}
	}
}

func FuzzReadLog(f *testing.F) {
	good := lines(f, plainAlert("a", 1, "high"), plainAlert("b", 2, "low"))
	f.Add(good, false)
	f.Add(good[:len(good)-9], false)
	f.Add(zipped(f, good), true)
	f.Add(zipped(f, good)[:40], true)
	f.Add([]byte("{}\n[]\nnull\n\x00\xff"), false)
	whole := lines(f, plainAlert("whole", 1, "high"))
	f.Fuzz(func(t *testing.T, data []byte, gz bool) {
		name := "alerts.jsonl.1"
		if gz {
			name += ".gz"
		}
		fsys := fstest.MapFS{name: {Data: data}, "alerts.jsonl": {Data: whole}}
		var last Alert
		n := 0
		read, err := ReadLog(fsys, "alerts.jsonl", func(a Alert) bool {
			n++
			last = a
			_ = Explain(a, TextOptions{})
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		if last.ID != "whole" || read.Alerts != n || read.Files != 2 {
			t.Fatalf("the whole file after it was not read: %q, %+v", last.ID, read)
		}
	})
}
