package sigma

import (
	"time"

	"github.com/minehound/minehound/agent/host"
)

// Correlator puts findings of rules together over time. Its memory is bounded. It is not for concurrent use.
type Correlator struct{}

// Hit is one correlation that holds.
type Hit struct {
	Rule  *Rule // the correlation
	At    time.Time
	Group []Match // group-by fields and their values
	Count float64 // what the condition was held against: events, values, sum, …; of temporal, the rules seen
}

// NewCorrelator prepares the correlations among rules. The sets hold the rules they refer to, compiled. It returns one
// *Error for each correlation that it had to refuse.
func NewCorrelator(rules []*Rule, sets ...*Set) (*Correlator, []error) { return &Correlator{}, nil }

// Add tells that rule (one of a set's Rules) holds for rec at that time, and appends the correlations that hold with it.
// Times must not go backwards; one that does counts as the latest.
func (c *Correlator) Add(at time.Time, rule *Rule, rec host.Record, hits []Hit) []Hit { return hits }

// Silent tells whether a rule only serves correlations and is not to be reported on its own.
func (c *Correlator) Silent(rule *Rule) bool { return false }

// Evicted is how many groups were forgotten before their time because there were too many.
func (c *Correlator) Evicted() int { return 0 }
