package report

import "github.com/minehound/minehound/agent/incident"

// backlog is alerts that wait in memory, oldest first. Its owner locks it.
type backlog struct {
	most int
	list []Alert
}

// push adds a. When there is no room, the oldest of the lowest severity goes, which may be a itself.
func (b *backlog) push(a Alert) (dropped Alert, full bool) {
	b.list = append(b.list, a)
	if len(b.list) <= b.most {
		return Alert{}, false
	}
	out := 0
	for i := range b.list {
		if Rank(b.list[i]) < Rank(b.list[out]) {
			out = i
		}
	}
	dropped = b.list[out]
	b.list = append(b.list[:out], b.list[out+1:]...)
	return dropped, true
}

// pop takes the oldest.
func (b *backlog) pop() Alert {
	a := b.list[0]
	b.list[0] = Alert{} // let go of its memory
	b.list = b.list[1:]
	return a
}

// Rank is the severity of an alert as a number, for whoever has to give up the least important. One that is not known
// ranks highest: it may come from a newer version.
func Rank(a Alert) incident.Severity {
	s, err := incident.ParseSeverity(a.Severity)
	if err != nil {
		return incident.Critical
	}
	return s
}
