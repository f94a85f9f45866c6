package spool

import (
	"slices"
	"time"
)

// queue is the entries that wait, by place, and by case. Its owner locks it.
type queue struct {
	order []*entry
	lanes map[string]*lane // by incident
	keys  map[string]bool
}

// lane is the entries of one case, which go one after the other.
type lane struct {
	rest
	entries []*entry
}

func (q *queue) add(e *entry) {
	q.order = append(q.order, e)
	q.keys[e.key] = true
	l := q.lanes[e.incident]
	if l == nil {
		l = &lane{}
		q.lanes[e.incident] = l
	}
	l.entries = append(l.entries, e)
}

func (q *queue) drop(e *entry) {
	same := func(o *entry) bool { return o == e }
	q.order = without(q.order, same)
	delete(q.keys, e.key)
	l := q.lanes[e.incident]
	if l.entries = without(l.entries, same); len(l.entries) == 0 {
		delete(q.lanes, e.incident)
	}
}

// without is cheap for the first element, which is the common one.
func without(list []*entry, which func(*entry) bool) []*entry {
	if len(list) > 0 && which(list[0]) {
		list[0] = nil
		return list[1:]
	}
	return slices.DeleteFunc(list, which)
}

// pick is the entry to send now, or else when one may be sent; neither when nothing waits. It is the oldest of the cases
// that failed least: otherwise one that always fails would be first again as soon as the target has rested.
func (q *queue) pick(now time.Time) (e *entry, at time.Time) {
	least := 0
	for _, o := range q.order {
		l := q.lanes[o.incident]
		switch {
		case l.entries[0] != o || o.busy:
		case l.until.After(now):
			if at.IsZero() || l.until.Before(at) {
				at = l.until
			}
		case e == nil || l.failures < least:
			e, least = o, l.failures
		}
		if e != nil && least == 0 {
			break
		}
	}
	return e, at
}

// urgent is what has to be sent before the oldest entry that stands in memory only can be, whatever rests; or nil.
func (q *queue) urgent() *entry {
	if e := q.unsaved(); e != nil {
		if first := q.lanes[e.incident].entries[0]; !first.busy {
			return first
		}
	}
	return nil
}

// expired is the oldest entry that has waited too long, or nil. A clock that was set back makes nothing old.
func (q *queue) expired(now time.Time, most time.Duration) *entry {
	for _, e := range q.order {
		if !e.busy && now.Sub(e.queued) > most {
			return e
		}
	}
	return nil
}

// unsaved is the oldest entry that stands in memory only and may be written, or nil.
func (q *queue) unsaved() *entry {
	for _, e := range q.order {
		if e.alert != nil && !e.busy {
			return e
		}
	}
	return nil
}

// victim is the entry that has to go so that fresh fits into most bytes: the oldest of the lowest severity.
func (q *queue) victim(fresh *entry, most int64, counts func(*entry) bool) (victim *entry, full bool) {
	victim, total := fresh, fresh.size
	for _, e := range q.order {
		if !counts(e) {
			continue
		}
		total += e.size
		if !e.busy && (e.rank < victim.rank || e.rank == victim.rank && e.seq < victim.seq) {
			victim = e
		}
	}
	return victim, total > most
}

// rest is how long something is left alone after failures.
type rest struct {
	failures int
	until    time.Time
}

// The bounds of a rest.
const (
	leastRest = time.Second
	mostRest  = 15 * time.Minute
)

// after notes one more failure: the rest doubles, and a random part of it is taken ("full jitter": it spreads many agents
// that lost the same receiver best, see Brooker, Exponential Backoff And Jitter, AWS Architecture Blog 2015). It lasts
// at least as long as the receiver asked for.
func (r *rest) after(now time.Time, part float64, asked time.Duration) time.Duration {
	most := min(leastRest<<min(r.failures, 20), mostRest)
	r.failures++
	d := max(time.Duration(part*float64(most)), asked)
	r.until = now.Add(d)
	return d
}
