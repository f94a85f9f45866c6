package incident

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/feature"
	"github.com/minehound/minehound/agent/host"
)

// How long things last. They are the product's choices: no measurement says how long a miner rests. Hold and Grace
// count watched time, in which a pause of the agent or of the machine counts for at most MaxStep.
const (
	// Hold is how long evidence counts that is not seen again. It is longer than the longest window that rules look
	// back over, an hour at most, needs to fill anew after a restart of the miner.
	Hold = time.Hour
	// Grace is how long a case stays open after its last process has gone: a cron watchdog comes back within minutes.
	Grace = 5 * time.Minute
	// Reopen is how long a closed case is remembered as the same: a miner that works at night, or on weekends, comes
	// back under the same id with FirstSeen and CPUSeconds going on. Later it still has the same id, and its revisions
	// go on, but it begins anew.
	Reopen = 8 * 24 * time.Hour
	// MemberPause is how long a new process alone is no news after something was told: a miner that is started again
	// every second is told of once.
	MemberPause = 10 * time.Minute
	// MaxStep is how much watched time passes between two looks at most.
	MaxStep = time.Minute
)

// Bounds of a Tracker.
const (
	// MaxOpen is how many cases are open at once. The weakest that never paged makes room for a new one; when all have
	// paged, what is new is gathered in one more case.
	MaxOpen = 256
	// MaxClosed is how many closed cases are remembered. The oldest that never paged is forgotten first.
	MaxClosed = 2048
	// NoticeBurst and NoticeEvery limit what is told of severity Info: so many at once, then one in so much time. What
	// is held back is told when there is room, as it stands then. Higher severities are never held back.
	NoticeBurst = 30
	NoticeEvery = 2 * time.Minute
)

// Options are what a Tracker needs to know.
type Options struct {
	Host  host.Identity // ID goes into the ids of cases, BootID tells whether processes of a restored state can still live
	Self  int           // PID of the agent, which never links processes; 0 for none
	Allow []Allow
}

// Stats says how a Tracker does.
type Stats struct {
	Open     int // cases
	Closed   int // cases remembered
	Withheld int // open cases with news that the limit for notices holds back
	Evicted  int // notices given up for newer cases, since the Tracker was made
	Lumped   int // findings put into the one case for too many, since the Tracker was made
}

// Tracker keeps the open cases. It is not safe for concurrent use.
type Tracker struct {
	host  host.Identity
	self  int
	allow allowances
	open  []*dossier // by id
	past  archive
	links links
	kin   kin

	now     time.Time     // of the last look
	watched time.Duration // time spent watching so far
	notices time.Time     // when the limit for notices is all free again
	stats   Stats
	out     []Incident
}

// NewTracker is a Tracker without cases. It refuses an allow-list entry that [Allow.Check] refuses.
func NewTracker(opts Options) (*Tracker, error) {
	allow, err := newAllowances(opts.Allow)
	if err != nil {
		return nil, err
	}
	return &Tracker{
		host: opts.Host, self: opts.Self, allow: allow, past: newArchive(), links: newLinks(),
		kin: kin{roots: map[host.ProcID]host.ProcID{}},
	}, nil
}

// Update takes what a look found and returns the cases that have changed in a way a reader would want to know, most
// severe first, then by id: a case is opened, its verdict or severity has risen, a rule fires that did not before, a
// process joined (see [MemberPause]), an allow-list entry covers it or no longer does, it is closed.
//
// Looks come in the order they were taken. What the Window keeps is not kept here.
func (t *Tracker) Update(look *feature.Look, found []detect.Finding) []Incident {
	t.step(look.At)
	if t.allow.tick(t.now) {
		t.reconsider()
	}
	t.links.look++
	s := &sight{look: look, self: t.self}
	for _, f := range ordered(found) {
		t.place(s, f)
	}
	if len(t.open) > 0 {
		t.live(s)
		t.age()
		t.grow(s)
		t.tell()
	}
	out := t.out
	t.out = nil
	slices.SortFunc(out, compareIncidents)
	return out
}

func compareIncidents(a, b Incident) int {
	return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(b.Sum.Total, a.Sum.Total), cmp.Compare(a.ID, b.ID))
}

// ordered sorts findings so that what a case is founded on does not depend on the order of rules: the oldest process
// comes first.
func ordered(found []detect.Finding) []*detect.Finding {
	if len(found) == 0 {
		return nil
	}
	out := make([]*detect.Finding, len(found))
	for i := range found {
		out[i] = &found[i]
	}
	slices.SortStableFunc(out, func(a, b *detect.Finding) int {
		return cmp.Or(compareProcs(a.Subject.ID, b.Subject.ID), compareFindings(*a, *b))
	})
	return out
}

// step moves the clocks. A wall clock that was set back makes nothing younger than now.
func (t *Tracker) step(at time.Time) {
	if !t.now.IsZero() {
		t.watched += min(max(at.Sub(t.now), 0), MaxStep)
	}
	t.now = at
}

// place puts a finding into its case.
func (t *Tracker) place(s *sight, f *detect.Finding) {
	if t.links.stale {
		t.links.rebuild(t.open)
	}
	p := t.links.procs[f.Subject.ID]
	known := p.m != nil && p.m.subject.Key == f.Subject.Key && slices.Contains(p.m.rules, f.Rule)
	m := p.m
	if m == nil {
		m = s.meet(&f.Subject, &t.kin)
	}
	if t.allow.names(f.Rule) && t.allow.drops(t.now, f.Rule, &f.Subject, m.deleted) {
		return
	}
	at := f.At
	if at.IsZero() || at.After(t.now) {
		at = t.now
	}
	renewed := m.see(&f.Subject)
	if known {
		p.d.pending = p.d.pending || renewed
		p.d.hold(m, f, at, t.watched)
		return
	}
	d := t.settle(m, f)
	d.hold(m, f, at, t.watched) // first, because who has evidence is not refused for who has none
	d.key(program(&m.subject))
	if d.member(m.subject.ID) == nil {
		m.covered = t.allow.covering(t.now, &m.subject, m.deleted) != nil
		if !d.join(m, &t.links) {
			t.links.turned = turned{m.subject.ID, d}
		}
	}
	d.pending = d.pending || renewed
	if !t.links.stale && d.member(m.subject.ID) == m {
		t.links.add(d, m)
	}
}

// see takes over what a finding knows of its process: a digest may be new, or it runs another program now. What is
// known is not given up for less: an event may have come too late to be read in full. It tells whether the allow-list
// may see the process in another light.
func (m *member) see(sub *host.Subject) (renewed bool) {
	was := m.subject
	if sub.Exe == "" && was.Exe != "" {
		return false
	}
	m.subject = *sub
	if sub.ExeSHA256 == "" && sub.Exe == was.Exe && sub.Key == was.Key {
		m.subject.ExeSHA256 = was.ExeSHA256
	}
	if len(sub.Ancestors) < len(was.Ancestors) { // it was orphaned: where it came from is worth more
		m.subject.Ancestors = was.Ancestors
	}
	if m.plain {
		m.subject.Args, m.subject.Ancestors = nil, nil
	}
	now := &m.subject
	return was.Exe != now.Exe || was.ExeSHA256 != now.ExeSHA256 || was.User != now.User || was.Container != now.Container
}

// settle is the case that a finding about m belongs to: the one there is, the one that several become, or a new one.
func (t *Tracker) settle(m *member, f *detect.Finding) *dossier {
	list := t.links.of(m, f)
	if len(list) == 0 {
		return t.begin(m)
	}
	slices.SortFunc(list, func(a, b *dossier) int {
		return cmp.Or(compareBools(b.paged(), a.paged()), a.first.Compare(b.first), cmp.Compare(a.id, b.id))
	})
	for _, d := range list[1:] {
		t.merge(list[0], d)
	}
	return list[0]
}

// compareBools orders false before true.
func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}

// merge makes two cases one. The one that paged survives, of two the older: its id is the one that people already have.
func (t *Tracker) merge(into, from *dossier) {
	if from.told.open {
		in := t.incident(from, Closed)
		in.MergedInto = into.id
		t.out = append(t.out, in)
	}
	t.past.file(from, t.now, into.id)
	t.remove(from)
	t.links.stale = true
	into.take(from, &t.links)
}

func (t *Tracker) remove(d *dossier) {
	t.open = slices.DeleteFunc(t.open, func(o *dossier) bool { return o == d })
	t.links.forget(d)
}

// begin opens a case, or opens one again.
func (t *Tracker) begin(m *member) *dossier {
	key := founding(&m.subject)
	id, into := t.past.find(key)
	if id == "" {
		id = t.derive(key)
	}
	for _, try := range []string{into, id} {
		if i, ok := t.search(try); ok {
			return t.open[i]
		}
	}
	if len(t.open) >= MaxOpen && !t.evict() {
		t.stats.Lumped++
		key = "\x00more"
		id = t.derive(key)
		if i, ok := t.search(id); ok {
			return t.open[i]
		}
	}
	if t.links.stale {
		t.links.rebuild(t.open)
	}
	d := &dossier{id: id, keys: []string{key}, first: t.now, version: 1}
	t.past.resume(d, t.now, t.links.keys)
	i, _ := t.search(id)
	t.open = slices.Insert(t.open, i, d)
	for _, k := range d.keys {
		t.links.keys[k] = d
	}
	return d
}

func (t *Tracker) search(id string) (int, bool) {
	return slices.BinarySearchFunc(t.open, id, func(d *dossier, id string) int { return cmp.Compare(d.id, id) })
}

// founding is what a case is named after: the program. A process of which the program is not known stands for itself.
func founding(s *host.Subject) string {
	key := program(s)
	switch {
	case s.Kind != host.SubjectProcess:
		return "\x00" + string(s.Kind)
	case key == "":
		return fmt.Sprintf("\x00%d %d", s.ID.PID, s.ID.Born)
	default:
		return key
	}
}

// derive makes the id of a case out of the machine and the key: 80 bits of a SHA-256, in base32.
func (t *Tracker) derive(key string) string {
	sum := sha256.Sum256([]byte(t.host.ID + "\x00" + key))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:10]))
}

// evict gives up the weakest case that never paged, of equal ones the one not seen for longest.
func (t *Tracker) evict() bool {
	var weakest *dossier
	for _, d := range t.open {
		if d.changed {
			d.judge()
		}
		if d.paged() || d.shown() > Info {
			continue
		}
		if weakest == nil || cmp.Or(cmp.Compare(d.sum.Total, weakest.sum.Total), d.last.Compare(weakest.last)) < 0 {
			weakest = d
		}
	}
	if weakest == nil {
		return false
	}
	t.stats.Evicted++
	t.close(weakest)
	return true
}

// Stats says how the Tracker does.
func (t *Tracker) Stats() Stats {
	s := t.stats
	s.Open, s.Closed = len(t.open), len(t.past.records)
	return s
}

// Expired are the allow-list entries that no longer cover anything at that time.
func (t *Tracker) Expired(at time.Time) []Allow { return expired(t.allow.list, at) }
