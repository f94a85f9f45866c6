package report

import (
	"time"

	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/host"
	"github.com/minehound/minehound/agent/incident"
)

// Schema names the wire format. Fields are added, never renamed.
const Schema = "minehound.alert/v1"

// Alert is an incident as told to the outside.
type Alert struct {
	Schema    string              `json:"schema"`
	ID        string              `json:"id"`
	Revision  int                 `json:"revision"`
	Status    incident.Status     `json:"status"`
	Verdict   string              `json:"verdict"`
	Severity  string              `json:"severity"`
	Score     float64             `json:"score"` // posterior probability of mining, percent
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

// Cost is an estimate of what was stolen; never more than an estimate.
type Cost struct {
	CPUSeconds float64 `json:"cpu_seconds"`
	KWh        Range   `json:"kwh"`
}

// Range is a low and a high estimate and how they were made.
type Range struct {
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	Method string  `json:"method"`
}
