package sigma

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/minehound/minehound/agent/host"
)

// window is what a correlation remembers of one group.
type window struct {
	key     string
	names   []Match
	touched time.Time
	opened  time.Time // of a closing correlation
	holding bool
	fired   time.Time
	next    *window // ring in the order of touching
	prev    *window

	events   []entry        // event_count and the value types
	distinct map[string]int // value_count: values among events, and how often
	last     []time.Time    // temporal: by rule, when it was seen last; zero for not
	// temporal_ordered: by rule, the latest start of a chain of all rules up to it. Events of one moment have no order, so
	// they are taken in the order of the rules, on top of what was there before that moment.
	chain, before []time.Time
	moment        time.Time
	now           []bool // by rule, whether it was seen at moment
}

// entry is one event.
type entry struct {
	at     time.Time
	number float64
	text   string
}

func newWindow(key string, names []Match, rules int) *window {
	return &window{
		key: key, names: names, distinct: map[string]int{}, last: make([]time.Time, rules),
		chain: make([]time.Time, rules), before: make([]time.Time, rules), now: make([]bool, rules),
	}
}

// touch makes g the group that was touched last.
func (k *correlation) touch(g *window, at time.Time) {
	g.touched = at
	k.unlink(g)
	if k.oldest == nil {
		g.next, g.prev, k.oldest = g, g, g
		return
	}
	g.next, g.prev = k.oldest, k.oldest.prev
	g.prev.next, g.next.prev = g, g
}

func (k *correlation) unlink(g *window) {
	if g.next == nil {
		return
	}
	if k.oldest == g {
		k.oldest = g.next
	}
	if g.next == g {
		k.oldest = nil
	}
	g.prev.next, g.next.prev = g.next, g.prev
	g.next, g.prev = nil, nil
}

func (k *correlation) remove(g *window) {
	k.unlink(g)
	k.entries -= len(g.events)
	delete(k.groups, g.key)
}

// take remembers one event of a group.
func (k *correlation) take(g *window, rule int, at time.Time, value host.Value) {
	switch k.spec.Type {
	case Temporal:
		g.last[rule] = at
	case TemporalOrdered:
		g.order(rule, at, at.Add(-k.spec.Timespan))
	case EventCount:
		k.push(g, entry{at: at})
	case ValueCount:
		for _, s := range valueTexts(value) {
			g.distinct[s]++
			k.push(g, entry{at: at, text: s})
		}
	default:
		for _, f := range valueNumbers(value) {
			k.push(g, entry{at: at, number: f})
		}
	}
}

func (k *correlation) push(g *window, e entry) {
	g.events = append(g.events, e)
	k.entries++
}

// drop forgets the first event of a group.
func (k *correlation) drop(g *window) {
	if s := g.events[0].text; k.spec.Type == ValueCount {
		if g.distinct[s]--; g.distinct[s] == 0 {
			delete(g.distinct, s)
		}
	}
	g.events = g.events[1:]
	k.entries--
}

// expire forgets what happened before a time.
func (k *correlation) expire(g *window, before time.Time) {
	for len(g.events) > 0 && g.events[0].at.Before(before) {
		k.drop(g)
	}
	for _, times := range [...][]time.Time{g.last, g.chain, g.before} {
		for i, t := range times {
			if t.Before(before) {
				times[i] = time.Time{}
			}
		}
	}
}

// order extends the chains by one event.
func (g *window) order(rule int, at, since time.Time) {
	if !at.Equal(g.moment) {
		copy(g.before, g.chain)
		clear(g.now)
		g.moment = at
	}
	g.now[rule] = true
	copy(g.chain, g.before)
	for i, seen := range g.now {
		if !seen {
			continue
		}
		start := at
		if i > 0 {
			start = g.chain[i-1]
		}
		if !start.IsZero() && !start.Before(since) && start.After(g.chain[i]) {
			g.chain[i] = start
		}
	}
}

// count is what the condition is held against.
func (k *correlation) count(g *window) float64 {
	switch k.spec.Type {
	case Temporal:
		return float64(len(g.last) - zeros(g.last))
	case TemporalOrdered:
		return float64(len(g.chain) - zeros(g.chain))
	case EventCount:
		return float64(len(g.events))
	case ValueCount:
		return float64(len(g.distinct))
	default:
	}
	if len(g.events) == 0 {
		return math.NaN()
	}
	numbers := make([]float64, len(g.events))
	sum := 0.0
	for i, e := range g.events {
		numbers[i] = e.number
		sum += e.number
	}
	switch k.spec.Type {
	case ValueSum:
		return sum
	case ValueAvg:
		return sum / float64(len(numbers))
	default:
	}
	slices.Sort(numbers)
	mid := len(numbers) / 2
	if len(numbers)%2 == 1 {
		return numbers[mid]
	}
	return (numbers[mid-1] + numbers[mid]) / 2
}

func zeros(times []time.Time) int {
	n := 0
	for _, t := range times {
		if t.IsZero() {
			n++
		}
	}
	return n
}

// holds tells whether the condition is true of a group.
func (k *correlation) holds(g *window) bool {
	switch {
	case k.spec.condition != nil:
		return k.spec.condition.seen(k.spec.Rules, func(i int) bool { return !g.last[i].IsZero() })
	case k.spec.Type == TemporalOrdered:
		return !g.chain[len(g.chain)-1].IsZero()
	}
	n := k.count(g)
	for _, b := range k.bounds {
		if !b.holds(n) {
			return false
		}
	}
	return true
}

func (b Bound) holds(n float64) bool {
	switch b.Op {
	case "gt":
		return n > b.Value
	case "gte":
		return n >= b.Value
	case "lt":
		return n < b.Value
	case "lte":
		return n <= b.Value
	case "neq":
		return n != b.Value
	}
	return n == b.Value
}

// seen evaluates an extended condition: a name is true when its rule was seen.
func (c *condNode) seen(rules []string, seen func(int) bool) bool {
	switch c.op {
	case condName:
		return seen(slices.Index(rules, c.name))
	case condNot:
		return !c.kids[0].seen(rules, seen)
	case condOneOf, condAllOf:
		for i, name := range rules {
			if (c.name == "them" || matchName(c.name, name)) && seen(i) == (c.op == condOneOf) {
				return c.op == condOneOf
			}
		}
		return c.op == condAllOf
	default:
	}
	for _, k := range c.kids {
		if k.seen(rules, seen) == (c.op == condOr) {
			return c.op == condOr
		}
	}
	return c.op == condAnd
}

// negates tells whether a rule that is seen could make the condition false.
func (c *condNode) negates() bool {
	return c.op == condNot || slices.ContainsFunc(c.kids, (*condNode).negates)
}

// valueTexts are the texts of a value, each bounded.
func valueTexts(v host.Value) []string {
	switch v.Kind {
	case host.KindText:
		return []string{bounded(v.Text)}
	case host.KindTexts:
		out := make([]string, len(v.Texts))
		for i, s := range v.Texts {
			out[i] = bounded(s)
		}
		return out
	case host.KindBool:
		return []string{strconv.FormatBool(v.Bool)}
	default:
	}
	var out []string
	for _, f := range valueNumbers(v) {
		out = append(out, formatNumber(f))
	}
	return out
}

func bounded(s string) string {
	if len(s) <= maxKept {
		return s
	}
	return fmt.Sprintf("%s…%s (%d)", s[:maxKept/2], s[len(s)-maxKept/2:], len(s))
}

// valueNumbers are the numbers of a value; what is no number is left out.
func valueNumbers(v host.Value) []float64 {
	switch v.Kind {
	case host.KindNumber:
		return []float64{v.Number}
	case host.KindNumbers:
		return v.Numbers
	default:
	}
	var out []float64
	for _, s := range textsOf(&v) {
		if f, ok := parseNumber(s); ok {
			out = append(out, f)
		}
	}
	return out
}
