package sigma

import (
	"time"

	"github.com/minehound/minehound/agent/host"
)




// Placeholder gives the values of one %name% for the expand modifier.
type Placeholder struct {
	Name   string
	Values []string // Sigma strings: wildcards work
}

// Set is many rules compiled against one Schema. It keeps scratch space: it is not for concurrent use.
type Set struct{ rules []*Rule }

// Compile compiles every detection among rules (correlations are the [Correlator]'s) and returns one *Error for each that
// it had to refuse. The Set holds the others in the order given.
func Compile(rules []*Rule, schema *Schema, placeholders ...Placeholder) (*Set, []error) {
	return &Set{}, nil
}

// Rules lists the rules of the set; Match's indexes point into it.
func (s *Set) Rules() []*Rule { return s.rules }

// Match appends the indexes of the rules that hold for rec, ascending. It does not allocate when hits has room.
func (s *Set) Match(rec host.Record, hits []int) []int { return hits }

// Match is one field that made a rule hold.
type Match struct {
	Field string // as the rule calls it
	Value string // at most 200 bytes, around what matched
}

// Evidence tells which fields made a rule hold, in the order of the rule. It is empty when the rule does not hold.
func (s *Set) Evidence(rec host.Record, rule int) []Match { return nil }

// Truth is a truth value of three-valued logic.
type Truth uint8

// The three truth values. Unknown is the zero value.
const (
	Unknown Truth = iota
	False
	True
)

func (t Truth) String() string { return [...]string{"unknown", "false", "true"}[t] }

// Explanation is why a rule holds or not.
type Explanation struct {
	Truth   Truth
	Unknown []string // fields whose value would be needed to tell, sorted; only when Truth is Unknown
	Tests   []Tested // every test of the rule in its order
}

// Tested is one test of a rule and how it came out.
type Tested struct {
	Line  int
	Test  string // as in the rule: Image|endswith: '/xmrig'
	Truth Truth
}

// Explain tells how a rule comes out for rec and why.
func (s *Set) Explain(rec host.Record, rule int) Explanation { return Explanation{} }

// Missing lists the fields that the rule asks for and the schema does not have, sorted. They are unknown in every record.
func (r *Rule) Missing(schema *Schema) []string { return nil }

// CanFire tells whether any record of the schema could make the rule hold. A rule that cannot is inactive.
func (r *Rule) CanFire(schema *Schema) bool { return true }

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
