package incident

import (
	"time"

	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/host"
)

// Status is where a case stands.
type Status string

// The states of a case as told to the outside.
const (
	Open    Status = "open"
	Updated Status = "updated"
	Closed  Status = "closed"
)

// Incident is all findings of one miner over time, with a verdict. It is a copy: whoever gets it may keep it.
type Incident struct {
	// ID is stable over restarts of the agent and over respawns of the miner: 16 letters and digits derived from the
	// machine and from the program that founded the case.
	ID          string
	Revision    int // 1 when first told, +1 for each change told, over re-openings and restarts
	Status      Status
	Verdict     Verdict // never falls while the case is open
	Severity    Severity
	Sum         Sum // of Findings: Judge(Sum) is Verdict, or Clean where that is a Notice because nothing in it has a weight
	FirstSeen   time.Time
	LastSeen    time.Time
	Subject     host.Subject   // the member the case is named after: the one with most evidence
	Members     []host.Subject // every process of the case that is alive or was, oldest first, at most MaxMembers
	MembersMore int            // members beyond these: forgotten after they had ended, or too many at once
	// Findings are strongest first, then by rule name, one per rule, at most MaxFindings. Their Subject says no more
	// than which process: Kind, ID, Name and Exe.
	Findings   []detect.Finding
	CPUSeconds float64    // CPU time that the members with findings used since their birth, as far as watched
	Allowed    *Allowance // set when an allow-list entry covers the case: it is kept and shown, never paged
	MergedInto string     // ID of the case that took this one in; only in its last revision, which is Closed
}

// Allowance is the allow-list entry that covers a case.
type Allowance struct {
	Reason  string    `json:"reason"`
	Expires time.Time `json:"expires,omitzero"`
}
