package sigma

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/minehound/minehound/agent/host"
)

// Bounds on what one correlation remembers. Beyond them the group that was quiet for longest is forgotten and counted.
const (
	maxGroups  = 1024
	maxEntries = 16 << 10 // events, over all groups
	maxKept    = 256      // bytes of a value that are kept; longer ones are told apart by their start, end and length
)

// Correlator puts findings of rules together over time. Its memory is bounded, and it knows no clock but the times it is
// given. It is not for concurrent use.
//
// A correlation holds from the event on that makes its condition true: it is reported then, when it becomes true again
// after it was not, and every timespan that it stays true. A condition that more events could still make false (lt, lte,
// eq, neq, `not`) is only decided when its timespan has passed since its first event; see [Correlator.Advance].
//
// A record whose group-by field is unknown belongs to no group and is left out. One whose field is known to be missing
// belongs to the group of those.
type Correlator struct {
	correlations []*correlation
	feeds        map[*Rule][]feed
	silent       map[*Rule]bool
	now          time.Time
	evicted      int
}

// Hit is one correlation that holds.
type Hit struct {
	Rule  *Rule // the correlation
	At    time.Time
	Group []Match // group-by fields and their values
	Count float64 // what the condition was held against: events, values, sum, …; of the temporal types, rules seen
}

// feed says where the findings of a rule go.
type feed struct {
	to    *correlation
	rule  int      // its place in the correlation's rules
	group []source // where to find each group-by value
	value source
}

// source is a field: by index in a record, by its place in the group of a correlation's hit.
type source int

const noSource source = -1

// finding is one event as correlations see it.
type finding struct {
	at  time.Time
	get func(source) host.Value
}

// Add tells that rule (one of a set's Rules) holds for rec at that time, and appends the correlations that hold with it.
// Times must not go backwards; one that does counts as the latest before it.
func (c *Correlator) Add(at time.Time, rule *Rule, rec host.Record, hits []Hit) []Hit {
	hits = c.Advance(at, hits)
	if len(c.feeds[rule]) == 0 {
		return hits
	}
	return c.deliver(rule, finding{c.now, func(s source) host.Value { return rec.Get(int(s)) }}, hits)
}

// Advance tells that it is that time now, and appends the correlations that were only waiting for their timespan to pass.
func (c *Correlator) Advance(at time.Time, hits []Hit) []Hit {
	for {
		var next *correlation
		for _, k := range c.correlations {
			if due, ok := k.deadline(); ok && due.Before(at) && (next == nil || due.Before(first(next.deadline()))) {
				next = k
			}
		}
		if next == nil {
			break
		}
		if hit, ok := next.close(); ok {
			hits = c.report(hit, hits)
		}
	}
	if at.After(c.now) {
		c.now = at
	}
	for _, k := range c.correlations {
		k.forget(c.now)
	}
	return hits
}

func first(t time.Time, _ bool) time.Time { return t }

// Silent tells whether a rule only serves correlations and is not to be reported on its own: the specification's default,
// unless one of them says generate.
func (c *Correlator) Silent(rule *Rule) bool { return c.silent[rule] }

// Evicted is how many groups and events were forgotten before their time because there were too many.
func (c *Correlator) Evicted() int { return c.evicted }

func (c *Correlator) deliver(rule *Rule, f finding, hits []Hit) []Hit {
	for _, to := range c.feeds[rule] {
		if hit, ok := to.to.add(c, to, f); ok {
			hits = c.report(hit, hits)
		}
	}
	return hits
}

// report appends a hit, unless its rule is silent, and passes it on to the correlations that build on it.
func (c *Correlator) report(hit Hit, hits []Hit) []Hit {
	if !c.silent[hit.Rule] {
		hits = append(hits, hit)
	}
	return c.deliver(hit.Rule, finding{hit.At, func(s source) host.Value { return host.Text(hit.Group[s].Value) }}, hits)
}

// correlation is one correlation rule with its groups.
type correlation struct {
	rule    *Rule
	spec    *Correlation
	bounds  []Bound
	closing bool               // decided at the end of the timespan
	groups  map[string]*window // by group-by values
	oldest  *window            // of a ring in the order they were touched
	entries int
	opened  []*window // of a closing correlation, in the order they were opened
}

// add takes one event in.
func (k *correlation) add(c *Correlator, from feed, f finding) (Hit, bool) {
	names := make([]Match, len(from.group))
	var key strings.Builder
	for i, s := range from.group {
		text, ok := groupText(f.get(s))
		if !ok {
			return Hit{}, false
		}
		names[i] = Match{k.spec.GroupBy[i], text}
		key.WriteString(strconv.Quote(text)) // quoted: no text can look like two
	}
	var value host.Value
	if from.value != noSource {
		value = f.get(from.value)
		if value.Kind == host.KindUnknown || value.Kind == host.KindAbsent {
			return Hit{}, false
		}
	}
	g := k.groups[key.String()]
	if g == nil {
		g = newWindow(key.String(), names, len(k.spec.Rules))
		k.groups[g.key] = g
		if k.closing {
			g.opened = f.at
			k.opened = append(k.opened, g)
		}
	}
	k.touch(g, f.at)
	if !k.closing {
		k.expire(g, f.at.Add(-k.spec.Timespan))
		g.holding = g.holding && k.holds(g)
	}
	k.take(g, from.rule, f.at, value)
	k.shrink(c, g)
	if k.closing || !k.holds(g) {
		return Hit{}, false
	}
	if g.holding && f.at.Before(g.fired.Add(k.spec.Timespan)) {
		return Hit{}, false
	}
	g.holding, g.fired = true, f.at
	return Hit{Rule: k.rule, At: f.at, Group: slices.Clone(g.names), Count: k.count(g)}, true
}

// deadline is when the window that was opened first ends.
func (k *correlation) deadline() (time.Time, bool) {
	for len(k.opened) > 0 && k.groups[k.opened[0].key] != k.opened[0] {
		k.opened = k.opened[1:] // evicted
	}
	if len(k.opened) == 0 {
		return time.Time{}, false
	}
	return k.opened[0].opened.Add(k.spec.Timespan), true
}

// close decides the window that was opened first.
func (k *correlation) close() (Hit, bool) {
	at, _ := k.deadline()
	g := k.opened[0]
	k.opened = k.opened[1:]
	k.remove(g)
	if !k.holds(g) {
		return Hit{}, false
	}
	return Hit{Rule: k.rule, At: at, Group: g.names, Count: k.count(g)}, true
}

// forget drops groups whose last event has left the timespan.
func (k *correlation) forget(now time.Time) {
	for !k.closing && k.oldest != nil && k.oldest.touched.Add(k.spec.Timespan).Before(now) {
		k.remove(k.oldest)
	}
}

// shrink keeps the correlation within its bounds; g is the group that has just grown.
func (k *correlation) shrink(c *Correlator, g *window) {
	for len(k.groups) > maxGroups || k.entries > maxEntries && k.oldest != g {
		k.remove(k.oldest)
		c.evicted++
	}
	for len(g.events) > maxCount {
		k.drop(g)
		if k.spec.Type != EventCount {
			c.evicted++ // counting events only has to get as far as the condition counts
		}
	}
}

// groupText is what a value is told apart by; ok is false when it is unknown.
func groupText(v host.Value) (string, bool) {
	switch v.Kind {
	case host.KindUnknown:
		return "", false
	case host.KindAbsent:
		return "(none)", true
	default:
		return strings.Join(valueTexts(v), " "), true
	}
}
