// Package detect holds rules against Vectors and Events and tells what it found. It judges single facts; what they mean
// together is the incident package's.
package detect

import (
	"time"

	"github.com/minehound/minehound/agent/host"
)

// Class says what kind of evidence a finding is.
type Class string

// The classes, strongest first.
const (
	Proof       Class = "proof"       // mining is happening now
	Capability  Class = "capability"  // it holds what mining needs
	Conduct     Class = "conduct"     // it behaves like a miner
	Concealment Class = "concealment" // it does not want to be seen
)

// Finding is one rule that holds for one subject, with its evidence.
type Finding struct {
	Rule     string // name of the rule, unique
	Title    string
	Author   string // of a rule that others wrote, "" for ours; they want it shown
	Class    Class
	Weight   Decibans
	Group    string   // findings of one group do not add up, the strongest counts; "" is a group of its own
	Attack   []string // MITRE ATT&CK techniques, "T1496.001"
	Subject  host.Subject
	Evidence []Evidence
	At       time.Time
}

// Evidence is one field and the value that made the rule hold, masked and at most 200 bytes.
type Evidence struct {
	Field string `json:"field"`
	Value string `json:"value"`
}
