package detect

import (
	"fmt"
	"math"
	"strconv"
)

// Decibans is the weight of evidence in tenths of a deciban, 10·log10 of the likelihood ratio: 100 (10.0 dB) is "ten
// times likelier on a miner than on honest work" (I. J. Good, Probability and the Weighing of Evidence, 1950). Whole
// tenths keep sums exact and independent of order.
type Decibans int

// FromFloat rounds decibans to tenths.
func FromFloat(f float64) Decibans { return Decibans(math.Round(f * 10)) }

// Float is the weight in decibans.
func (d Decibans) Float() float64 { return float64(d) / 10 }

func (d Decibans) String() string { return strconv.FormatFloat(d.Float(), 'f', 1, 64) }

// MarshalJSON writes decibans with one decimal: 60.0.
func (d Decibans) MarshalJSON() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalJSON reads decibans.
func (d *Decibans) UnmarshalJSON(b []byte) error {
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil || math.IsNaN(f) || math.Abs(f) > 1e6 {
		return fmt.Errorf("weight %q is not a number of decibans", b)
	}
	*d = FromFloat(f)
	return nil
}
