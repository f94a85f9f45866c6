package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Percent is a share of one core, in percent: 0.2 is 0.2 %.
type Percent float64

func (p Percent) String() string { return strconv.FormatFloat(float64(p), 'f', -1, 64) + "%" }

// Bytes is a size.
type Bytes int64

func (b Bytes) String() string {
	for _, u := range []struct {
		name string
		size Bytes
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if b >= u.size && b%u.size == 0 {
			return strconv.FormatInt(int64(b/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10) + "B"
}

// errUnit is a number that does not say of what.
var errUnit = errors.New("needs a unit")

// splitUnit cuts "1.5 GiB" into 1.5 and "GiB".
func splitUnit(s string) (float64, string, error) {
	s = strings.TrimSpace(s)
	i := strings.LastIndexAny(s, "0123456789.")
	f, err := strconv.ParseFloat(strings.TrimSpace(s[:i+1]), 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, "", fmt.Errorf("%q is no number with a unit", s)
	}
	return f, strings.TrimSpace(s[i+1:]), nil
}

// ParseBytes reads a size such as 10MiB, 1.5 GB or 512B. The unit is needed; MB is 10^6 and MiB 2^20 bytes.
func ParseBytes(s string) (Bytes, error) {
	f, unit, err := splitUnit(s)
	if err != nil {
		return 0, err
	}
	factors := map[string]float64{
		"B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
		"KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40,
	}
	if unit == "" {
		return 0, fmt.Errorf("size %q %w, such as %sMiB", s, errUnit, s)
	}
	factor, ok := factors[strings.ToUpper(unit)]
	if !ok {
		return 0, fmt.Errorf("size %q has the unknown unit %q; use B, KiB, MiB, GiB, KB, MB or GB", s, unit)
	}
	if f *= factor; f < 0 || f >= 1<<62 {
		return 0, fmt.Errorf("size %q is out of range", s)
	}
	return Bytes(f), nil
}

// ParsePercent reads a percentage such as 0.2%. The sign is needed: 0.2 might as well be meant as a fifth.
func ParsePercent(s string) (Percent, error) {
	f, unit, err := splitUnit(s)
	if err != nil {
		return 0, err
	}
	switch unit {
	case "%":
		return Percent(f), nil
	case "":
		return 0, fmt.Errorf("percentage %q %w: %s%%", s, errUnit, s)
	default:
		return 0, fmt.Errorf("percentage %q has the unknown unit %q; use %%", s, unit)
	}
}

// ParseDuration reads a duration such as 500ms, 2s, 1h30m or 30d. The unit is needed; a day is 24 h.
func ParseDuration(s string) (time.Duration, error) {
	s = strings.TrimSpace(s)
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return 0, fmt.Errorf("duration %q %w, such as %ss", s, errUnit, s)
	}
	days, rest, found := strings.Cut(s, "d")
	if !found {
		days, rest = "0", s
	}
	n, err := strconv.ParseFloat(days, 64)
	if err != nil || n < 0 || n > 36500 {
		return 0, fmt.Errorf("%q is no duration; write it as 500ms, 2s, 5m, 1h30m or 30d", s)
	}
	d := time.Duration(n * float64(24*time.Hour))
	if rest != "" || !found {
		more, err := time.ParseDuration(rest)
		if err != nil || more < 0 {
			return 0, fmt.Errorf("%q is no duration; write it as 500ms, 2s, 5m, 1h30m or 30d", s)
		}
		d += more
	}
	return d, nil
}

// FormatDuration is d as [ParseDuration] reads it, without the zeros of time.Duration's own form.
func FormatDuration(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == 0:
		return "0s"
	case d%day == 0:
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	s := d.String()
	s = strings.TrimSuffix(s, "m0s") + map[bool]string{true: "m"}[strings.HasSuffix(s, "m0s")]
	return strings.TrimSuffix(s, "h0m") + map[bool]string{true: "h"}[strings.HasSuffix(s, "h0m")]
}
