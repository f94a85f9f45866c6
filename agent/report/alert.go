package report

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/host"
	"github.com/minehound/minehound/agent/incident"
)

// Schema names the wire format. Fields are added, never renamed. docs/alert.schema.json describes it.
const Schema = "minehound.alert/v1"

// Alert is an incident as told to the outside.
type Alert struct {
	Schema    string              `json:"schema"`
	ID        string              `json:"id"`
	Revision  int                 `json:"revision"`
	Status    incident.Status     `json:"status"`
	Verdict   string              `json:"verdict"`
	Severity  string              `json:"severity"`
	Score     float64             `json:"score"` // posterior probability of mining, percent, 0.1 to 99.9
	Time      time.Time           `json:"time"`
	FirstSeen time.Time           `json:"first_seen"`
	LastSeen  time.Time           `json:"last_seen"`
	Drill     bool                `json:"drill"`
	Host      host.Identity       `json:"host"`
	Subject   Subject             `json:"subject"`
	Members   []Member            `json:"members"`
	Findings  []Finding           `json:"findings"`
	Sum       incident.Sum        `json:"sum"`
	Gaps      []host.Gap          `json:"gaps"`
	Cost      Cost                `json:"cost"`
	Advice    []string            `json:"advice"`
	Allowed   *incident.Allowance `json:"allowed,omitempty"`
	// MergedInto is the id of the case that took this one in; only in its last revision, which is closed.
	MergedInto string  `json:"merged_into,omitempty"`
	Omitted    Omitted `json:"omitted,omitzero"`
}

// Subject is who the alert is about.
type Subject struct {
	Kind      host.SubjectKind `json:"kind"`
	PID       int              `json:"pid"`
	Born      uint64           `json:"born"`
	Name      string           `json:"name"`
	Exe       string           `json:"exe"`
	ExeSHA256 string           `json:"exe_sha256"`
	Args      []string         `json:"args"`
	User      string           `json:"user"`
	Container string           `json:"container"`
	Ancestors []Ancestor       `json:"ancestors"`
}

// Ancestor is one step up the tree of processes.
type Ancestor struct {
	PID  int    `json:"pid"`
	Name string `json:"name"`
}

// Member is a process of the case.
type Member struct {
	PID  int    `json:"pid"`
	Born uint64 `json:"born"`
	Name string `json:"name"`
	Exe  string `json:"exe"`
}

// Finding is one reason.
type Finding struct {
	Rule     string            `json:"rule"`
	Title    string            `json:"title"`
	Author   string            `json:"author,omitempty"`
	Class    detect.Class      `json:"class"`
	Weight   detect.Decibans   `json:"weight"`
	Group    string            `json:"group"`
	Attack   []string          `json:"attack"`
	Evidence []detect.Evidence `json:"evidence"`
	At       time.Time         `json:"at"`
}

// Omitted says how much the bounds of an alert left out. The weakest findings and the youngest members go first; the sum
// counts them all.
type Omitted struct {
	Findings  int `json:"findings,omitempty"`
	Members   int `json:"members,omitempty"`
	Args      int `json:"args,omitempty"`
	Ancestors int `json:"ancestors,omitempty"`
	Gaps      int `json:"gaps,omitempty"`
}

// The bounds of an alert: texts in bytes, lists in elements. With all of them reached it has some 200 KB; a common one has
// 4 KB, below the 20 KB that Standard Webhooks recommends.
const (
	nameBytes, textBytes, lineBytes = 128, 512, 1024

	mostArgs, mostAncestors, mostMembers, mostFindings, mostEvidence, mostGaps = 64, 32, 64, 100, 16, 64
)

// NewAlert tells an incident of the machine that identity names, seen through the given gaps. The same input gives the
// same alert; its time is the incident's LastSeen. Every text in it is [Clean], every list is not nil.
func NewAlert(in incident.Incident, identity host.Identity, gaps []host.Gap) Alert {
	a := Alert{
		Schema: Schema, ID: Clean(in.ID, nameBytes), Revision: in.Revision, Status: in.Status,
		Verdict: in.Verdict.String(), Severity: in.Severity.String(), Score: incident.Score(in.Sum.Total),
		Time: utc(in.LastSeen), FirstSeen: utc(in.FirstSeen), LastSeen: utc(in.LastSeen),
		Host: host.Identity{
			ID: Clean(identity.ID, nameBytes), Name: Clean(identity.Name, 256),
			OS: Clean(identity.OS, nameBytes), BootID: Clean(identity.BootID, nameBytes),
		},
		Sum: in.Sum, Cost: cost(in.CPUSeconds), Advice: advise(in, identity.OS, len(gaps)),
		MergedInto: Clean(in.MergedInto, nameBytes), Omitted: Omitted{Members: in.MembersMore},
	}
	a.Subject = newSubject(in.Subject, &a.Omitted)
	a.Members = bounded(in.Members, mostMembers, &a.Omitted.Members, func(s host.Subject) Member {
		return Member{s.ID.PID, s.ID.Born, Clean(s.Name, nameBytes), Clean(s.Exe, lineBytes)}
	})
	a.Findings = bounded(in.Findings, mostFindings, &a.Omitted.Findings, finding)
	a.Gaps = bounded(gaps, mostGaps, &a.Omitted.Gaps, func(g host.Gap) host.Gap {
		return host.Gap{Sensor: Clean(g.Sensor, nameBytes), Reason: Clean(g.Reason, textBytes)}
	})
	if in.Allowed != nil {
		a.Allowed = &incident.Allowance{Reason: Clean(in.Allowed.Reason, textBytes), Expires: utc(in.Allowed.Expires)}
	}
	return a
}

func newSubject(s host.Subject, left *Omitted) Subject {
	return Subject{
		Kind: s.Kind, PID: s.ID.PID, Born: s.ID.Born,
		Name: Clean(s.Name, nameBytes), Exe: Clean(s.Exe, lineBytes), ExeSHA256: Clean(s.ExeSHA256, 64),
		Args: bounded(s.Args, mostArgs, &left.Args, func(s string) string { return Clean(s, textBytes) }),
		User: Clean(s.User, nameBytes), Container: Clean(s.Container, nameBytes),
		Ancestors: bounded(s.Ancestors, mostAncestors, &left.Ancestors, func(p host.Ancestor) Ancestor {
			return Ancestor{p.ID.PID, Clean(p.Name, nameBytes)}
		}),
	}
}

func finding(f detect.Finding) Finding {
	var less int // how much of one finding's evidence is left out is not told: the rule says where to look
	return Finding{
		Rule: Clean(f.Rule, nameBytes), Title: Clean(f.Title, 256), Author: Clean(f.Author, 256), Class: f.Class,
		Weight: f.Weight, Group: Clean(f.Group, nameBytes), At: utc(f.At),
		Attack: bounded(f.Attack, mostEvidence, &less, func(s string) string { return Clean(s, nameBytes) }),
		Evidence: bounded(f.Evidence, mostEvidence, &less, func(e detect.Evidence) detect.Evidence {
			return detect.Evidence{Field: Clean(e.Field, nameBytes), Value: Clean(e.Value, textBytes)}
		}),
	}
}

// bounded converts at most so many elements, adds the number of the others to left, and is never nil.
func bounded[From, To any](list []From, most int, left *int, convert func(From) To) []To {
	if len(list) > most {
		*left += len(list) - most
		list = list[:most]
	}
	to := make([]To, 0, len(list))
	for _, e := range list {
		to = append(to, convert(e))
	}
	return to
}

// utc is t as it is after a journey through JSON, so that an alert read back equals the one written.
func utc(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.Round(0).UTC()
}

// Key names this revision of the alert for good, on whichever path and however often it travels: the idempotency key of
// the webhook and of the spool. It is "msg_" and 32 hexadecimal digits.
func (a Alert) Key() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d", a.Host.ID, a.ID, a.Revision))
	return "msg_" + hex.EncodeToString(sum[:16])
}

// MarshalJSON writes empty lists, never null.
func (a Alert) MarshalJSON() ([]byte, error) {
	type wire Alert
	a.Members, a.Findings = filled(a.Members), filled(a.Findings)
	a.Gaps, a.Advice = filled(a.Gaps), filled(a.Advice)
	a.Subject.Args, a.Subject.Ancestors = filled(a.Subject.Args), filled(a.Subject.Ancestors)
	for i := range a.Findings {
		if f := &a.Findings[i]; f.Attack == nil || f.Evidence == nil {
			a.Findings = append([]Finding{}, a.Findings...)
			for j := range a.Findings {
				a.Findings[j].Attack, a.Findings[j].Evidence = filled(a.Findings[j].Attack), filled(a.Findings[j].Evidence)
			}
			break
		}
	}
	return json.Marshal(wire(a))
}

func filled[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
