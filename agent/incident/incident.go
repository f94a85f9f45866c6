// Package incident gathers findings over time into one case per miner: a watchdog, its workers and their respawns share
// a case. It weighs the evidence and says what the case is; it tells nobody, reports do.
package incident

import (
	"time"

	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/host"
)

// Verdict is what the evidence says, weakest first so that verdicts compare.
type Verdict uint8

// The verdicts. See Judge for when each holds.
const (
	Clean Verdict = iota
	Notice
	Exposed
	Suspected
	Mining
)

// Severity is how much a verdict should hurry a person.
type Severity uint8

// The severities, weakest first.
const (
	Info Severity = iota
	Low
	Medium
	High
	Critical
)

// Status is where a case stands.
type Status string

// The states of a case as told to the outside.
const (
	Open    Status = "open"
	Updated Status = "updated"
	Closed  Status = "closed"
)

// Incident is all findings of one miner over time, with a verdict.
type Incident struct {
	ID        string // stable over restarts of the agent and over respawns of the miner
	Revision  int    // 1 when opened, +1 for each change told
	Status    Status
	Verdict   Verdict
	Severity  Severity
	Sum       Sum
	FirstSeen time.Time
	LastSeen  time.Time
	Subject   host.Subject     // the member the case is named after: the one with most evidence
	Members   []host.Subject   // every process of the case that is alive or was, oldest first, bounded
	Findings  []detect.Finding // strongest first, then by rule name
	Allowed   *Allowance       // set when an allow-list entry covers the case: it is kept and shown, never paged
}

// Sum is how the score came about, so that a person can check it. Weights are after the caps.
type Sum struct {
	Prior       detect.Decibans `json:"prior"`
	Proof       detect.Decibans `json:"proof"`
	Capability  detect.Decibans `json:"capability"`
	Conduct     detect.Decibans `json:"conduct"`
	Concealment detect.Decibans `json:"concealment"`
	Total       detect.Decibans `json:"total"`
}

// Allowance is the allow-list entry that covers a case.
type Allowance struct {
	Reason  string    `json:"reason"`
	Expires time.Time `json:"expires,omitzero"`
}
