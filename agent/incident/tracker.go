package incident

import (
	"time"

	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/feature"
	"github.com/minehound/minehound/agent/host"
)

// Options are what a Tracker needs to know.
type Options struct {
	Host  host.Identity // ID goes into the ids of cases, BootID tells whether processes of a restored state can still live
	Self  int           // PID of the agent, which never links processes; 0 for none
	Allow []Allow
}

// Tracker keeps the open cases. It is not safe for concurrent use.
type Tracker struct{ opts Options }

// NewTracker is a Tracker without cases. It refuses an allow-list entry that [Allow.Check] refuses.
func NewTracker(opts Options) (*Tracker, error) { return &Tracker{opts: opts}, nil }

// Update takes what a look found and returns the cases that have changed in a way a reader would want to know, most
// severe first, then by id.
func (t *Tracker) Update(look *feature.Look, found []detect.Finding) []Incident { return nil }

// Cases are all open cases as they stand, told or not, in the order of Update. Their Revision is the last one told, 0
// when none was.
func (t *Tracker) Cases() []Incident { return nil }

// SetAllow replaces the allow-list, from the next Update on. An error leaves the old one in force.
func (t *Tracker) SetAllow(list []Allow) error { return nil }

// Expired are the allow-list entries that no longer cover anything at that time.
func (t *Tracker) Expired(at time.Time) []Allow { return nil }

// State is what must survive a restart. It encodes to JSON.
type State struct{}

// State is a copy of what must survive a restart. Save it whenever Update returned something, and now and then.
func (t *Tracker) State() State { return State{} }

// Restore goes on where a saved state ended. It must come before the first Update. A state that makes no sense is an
// error and leaves the Tracker as it was.
func (t *Tracker) Restore(s State) error { return nil }
