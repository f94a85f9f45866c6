package incident

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/host"
)

// StateVersion is the version of [State]. It rises when what is saved changes its meaning.
const StateVersion = 1

// ErrState says that a state makes no sense.
var ErrState = errors.New("state of incidents makes no sense")

// State is what must survive a restart: the open cases, and of the closed ones what lets them go on. It encodes to JSON
// and is nobody else's to read.
type State struct {
	Host    string        `json:"host"`
	BootID  string        `json:"boot_id"`
	At      time.Time     `json:"at"` // the last look
	Watched time.Duration `json:"watched"`
	Notices time.Time     `json:"notices"`
	Open    []SavedCase   `json:"open"`
	Closed  []SavedClosed `json:"closed"`
	Kin     []SavedKin    `json:"kin"`
}

// SavedKin is a process and the one of an open case that it comes from.
type SavedKin struct {
	Child host.ProcID `json:"child"`
	Root  host.ProcID `json:"root"`
}

// SavedCase is one open case in a [State].
type SavedCase struct {
	ID        string          `json:"id"`
	Keys      []string        `json:"keys"`
	First     time.Time       `json:"first"`
	Last      time.Time       `json:"last"`
	Watched   time.Duration   `json:"watched"`
	Spent     time.Duration   `json:"spent"`
	More      int             `json:"more"`
	Crowd     int             `json:"crowd"`
	Stranger  bool            `json:"stranger"`
	Deserted  bool            `json:"deserted"`
	Desert    time.Duration   `json:"desert"`
	Verdict   Verdict         `json:"verdict"`
	Severity  Severity        `json:"severity"`
	Revision  int             `json:"revision"`
	EverPaged bool            `json:"ever_paged"`
	Grown     bool            `json:"grown"`
	Told      SavedTold       `json:"told"`
	Evidence  []SavedEvidence `json:"evidence"`
	Members   []SavedMember   `json:"members"`
}

// SavedTold is what the outside knows of a [SavedCase].
type SavedTold struct {
	Open     bool      `json:"open"`
	At       time.Time `json:"at"`
	Verdict  Verdict   `json:"verdict"`
	Severity Severity  `json:"severity"`
	Allowed  bool      `json:"allowed"`
}

// SavedEvidence is one finding of a [SavedCase].
type SavedEvidence struct {
	Finding detect.Finding `json:"finding"` // its Subject holds only what it is found by
	Watched time.Duration  `json:"watched"`
	Told    bool           `json:"told"`
}

// SavedMember is one process of a [SavedCase].
type SavedMember struct {
	Subject host.Subject  `json:"subject"`
	Deleted host.Fact     `json:"deleted"`
	Line    []host.ProcID `json:"line"`
	Group   int           `json:"group"`
	Session int           `json:"session"`
	Rules   []string      `json:"rules"`
	Plain   bool          `json:"plain"`
	Starter bool          `json:"starter"`
	Gone    bool          `json:"gone"`
	Told    bool          `json:"told"`
	CPU     time.Duration `json:"cpu"`
}

// SavedClosed is one closed case in a [State]: what lets it go on under the same id.
type SavedClosed struct {
	ID       string        `json:"id"`
	Keys     []string      `json:"keys"` // the founding one first, then the newest
	Revision int           `json:"revision"`
	Paged    bool          `json:"paged"`
	First    time.Time     `json:"first"`
	Closed   time.Time     `json:"closed"`
	Spent    time.Duration `json:"spent"`
	Into     string        `json:"into,omitempty"` // the case that took it in
}

// State is a copy of what must survive a restart. Save it whenever Update returned something, or a crash makes the
// outside see a revision twice, and now and then.
func (t *Tracker) State() State {
	s := State{
		Host: t.host.ID, BootID: t.host.BootID, At: t.now, Watched: t.watched, Notices: t.notices,
		Open: make([]SavedCase, 0, len(t.open)), Closed: make([]SavedClosed, 0, len(t.past.records)),
	}
	for _, d := range t.open {
		s.Open = append(s.Open, d.save())
	}
	for _, r := range t.past.records {
		s.Closed = append(s.Closed, *r)
	}
	for _, child := range t.kin.order {
		if root := t.kin.roots[child]; t.isMember(root) {
			s.Kin = append(s.Kin, SavedKin{child, root})
		}
	}
	return s
}

func (t *Tracker) isMember(id host.ProcID) bool {
	return slices.ContainsFunc(t.open, func(d *dossier) bool { return d.member(id) != nil })
}

func (d *dossier) save() SavedCase {
	c := SavedCase{
		ID: d.id, Keys: slices.Clone(d.keys), First: d.first, Last: d.last, Watched: d.watched, Spent: d.spent,
		More: d.more, Crowd: d.crowd.n, Stranger: d.stranger, Deserted: d.deserted, Desert: d.desert, Verdict: d.verdict,
		Severity: d.severity, Revision: d.revision, EverPaged: d.everPaged, Grown: d.grown,
		Told:     SavedTold{d.told.open, d.told.at, d.told.verdict, d.told.severity, d.told.allowed},
		Evidence: make([]SavedEvidence, 0, len(d.held)), Members: make([]SavedMember, 0, len(d.members)),
	}
	for _, e := range d.held {
		c.Evidence = append(c.Evidence, SavedEvidence{e.finding, e.watched, e.told})
	}
	for _, m := range d.members {
		c.Members = append(c.Members, SavedMember{
			Subject: m.subject, Deleted: m.deleted, Line: append([]host.ProcID(nil), m.line...), Group: m.job.group, Session: m.session,
			Rules: append([]string(nil), m.rules...), Starter: m.starter, Plain: m.plain, Gone: m.gone, Told: m.told, CPU: m.cpu,
		})
	}
	return c
}

// Restore goes on where a saved state ended. It comes before the first Update. Processes of another boot are gone. A
// state that makes no sense, or is of another machine, is an [ErrState] and leaves the Tracker as it was.
func (t *Tracker) Restore(s State) error {
	if s.Host != t.host.ID {
		return fmt.Errorf("%w: it is of another machine", ErrState)
	}
	if len(s.Open) > MaxOpen+1 || len(s.Closed) > MaxClosed || s.Watched < 0 {
		return fmt.Errorf("%w: %d open and %d closed cases", ErrState, len(s.Open), len(s.Closed))
	}
	open := make([]*dossier, 0, len(s.Open))
	for i := range s.Open {
		d, err := s.Open[i].restore(s.BootID != t.host.BootID)
		if err != nil {
			return fmt.Errorf("%w: case %q: %w", ErrState, s.Open[i].ID, err)
		}
		open = append(open, d)
	}
	slices.SortFunc(open, func(a, b *dossier) int { return cmp.Compare(a.id, b.id) })
	for i := 1; i < len(open); i++ {
		if open[i].id == open[i-1].id {
			return fmt.Errorf("%w: case %q is open twice", ErrState, open[i].id)
		}
	}
	past := newArchive()
	for i := range s.Closed {
		r := s.Closed[i]
		if r.ID == "" || len(r.Keys) > maxRecordKeys || r.Revision < 0 || r.Spent < 0 {
			return fmt.Errorf("%w: closed case %q", ErrState, r.ID)
		}
		past.put(&r)
	}
	t.open, t.past, t.now, t.watched, t.notices = open, past, s.At, s.Watched, s.Notices
	t.links.stale = true
	t.kin.forget()
	if s.BootID == t.host.BootID {
		for _, k := range s.Kin {
			t.kin.add(k.Child, k.Root)
		}
	}
	t.allow.tick(t.now)
	for _, d := range t.open {
		t.cover(d)
	}
	t.reconsider()
	return nil
}

func (c *SavedCase) restore(otherBoot bool) (*dossier, error) {
	if c.ID == "" || len(c.Keys) == 0 || len(c.Keys) > maxKeys || len(c.Members) > MaxMembers || len(c.Evidence) > MaxFindings {
		return nil, errors.New("its parts are missing or too many")
	}
	if c.Revision < 0 || c.More < 0 || c.Crowd < 0 || c.Spent < 0 || c.Verdict > Mining || c.Severity > Critical {
		return nil, errors.New("a number is out of range")
	}
	d := &dossier{
		id: c.ID, keys: slices.Clone(c.Keys), first: c.First, last: c.Last, watched: c.Watched, spent: c.Spent,
		more: c.More, crowd: crowd{n: c.Crowd}, stranger: c.Stranger, deserted: c.Deserted, desert: c.Desert, verdict: c.Verdict,
		severity: c.Severity, revision: c.Revision, everPaged: c.EverPaged, grown: c.Grown,
		told:    told{c.Told.Open, c.Told.At, c.Told.Verdict, c.Told.Severity, c.Told.Allowed},
		changed: true, version: 1,
	}
	for _, e := range c.Evidence {
		i, known := d.find(e.Finding.Rule)
		if known {
			return nil, fmt.Errorf("rule %q is listed twice", e.Finding.Rule)
		}
		d.held = slices.Insert(d.held, i, evidence{e.Finding, e.Watched, e.Told})
	}
	for i := range c.Members {
		d.members = append(d.members, c.Members[i].restore(d, otherBoot))
	}
	slices.SortFunc(d.members, compareMembers)
	d.judge()
	return d, nil
}

func (s *SavedMember) restore(d *dossier, otherBoot bool) *member {
	m := &member{
		subject: s.Subject, deleted: s.Deleted, line: slices.Clone(s.Line), session: s.Session, starter: s.Starter,
		gone: s.Gone || otherBoot && s.Subject.Kind == host.SubjectProcess, told: s.Told, cpu: s.CPU,
		plain: s.Plain,
	}
	if s.Group > 0 {
		m.job = job{s.Group, s.Session, s.Subject.Container}
	}
	for _, rule := range s.Rules {
		if i, ok := d.find(rule); ok && !slices.Contains(m.rules, rule) {
			f := &d.held[i].finding
			m.rules = append(m.rules, rule)
			m.weighty, m.telling = m.weighty || weighs(f), m.telling || tells(f)
		}
	}
	return m
}
