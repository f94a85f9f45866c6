package config

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestUnits(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want Bytes
		ok   bool
	}{
		{"10MiB", 10 << 20, true}, {"1.5 GB", 1500000000, true}, {"512B", 512, true}, {"0B", 0, true}, {"2kib", 2048, true},
		{"10", 0, false}, {"MiB", 0, false}, {"", 0, false}, {"-1MiB", 0, false}, {"10 parsecs", 0, false}, {"1e30GB", 0, false}, {"NaNB", 0, false},
	} {
		got, err := ParseBytes(tt.in)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("size %q: %d, %v", tt.in, got, err)
		}
	}
	for _, tt := range []struct {
		in   string
		want time.Duration
		ok   bool
	}{
		{"2s", 2 * time.Second, true}, {"500ms", 500 * time.Millisecond, true}, {"30d", 720 * time.Hour, true},
		{"1d12h", 36 * time.Hour, true}, {"0s", 0, true}, {"1h30m", 90 * time.Minute, true},
		{"2", 0, false}, {"", 0, false}, {"-2s", 0, false}, {"d", 0, false}, {"1e9d", 0, false}, {"two seconds", 0, false}, {"1d-2h", 0, false},
	} {
		got, err := ParseDuration(tt.in)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("duration %q: %v, %v", tt.in, got, err)
		}
	}
	for _, tt := range []struct {
		in   string
		want Percent
		ok   bool
	}{{"0.2%", 0.2, true}, {"5 %", 5, true}, {"0.2", 0, false}, {"5 percent", 0, false}, {"%", 0, false}} {
		got, err := ParsePercent(tt.in)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("percentage %q: %v, %v", tt.in, got, err)
		}
	}
	if _, err := ParseDuration("2"); !errors.Is(err, errUnit) {
		t.Errorf("a number without a unit: %v", err)
	}
}

// TestShownIsRead holds what is shown to mean the same when it is read again.
func TestShownIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, int64(2000*time.Hour)/1e6).Draw(t, "ms")) * time.Millisecond
		if got, err := ParseDuration(FormatDuration(d)); err != nil || got != d {
			t.Fatalf("%v is shown as %s and read as %v, %v", d, FormatDuration(d), got, err)
		}
		b := Bytes(rapid.Int64Range(0, 1<<50).Draw(t, "bytes"))
		if got, err := ParseBytes(b.String()); err != nil || got != b {
			t.Fatalf("%d is shown as %s and read as %d, %v", b, b, got, err)
		}
	})
}

func TestNearest(t *testing.T) {
	keys := Keys()
	for word, want := range map[string]string{
		"look.evry": "look.every", "lok.every": "look.every", "look.vreey": "look.every", "webhook": "webhooks", "alow": "allow",
		"statedir": "state_dir", "log.file": "", "zzz": "", "": "",
	} {
		if got := nearest(word, keys); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}
