package feature

import (
	"time"

	"github.com/minehound/minehound/agent/host"
)

// Look is what one Snapshot became: it belongs to the Window, which reuses it at the next look.
type Look struct {
	At          time.Time
	Vectors     []Vector      // one for each process of the Snapshot, in its order: by PID
	Occurrences []Occurrence  // one for each event, in its order
	Gone        []host.ProcID // processes of the look before that are no longer there, by PID
	Host        Host
}

// Window remembers the recent past. The zero Window is not ready, see [NewWindow]. It is not safe for concurrent use.
type Window struct{ look Look }

// NewWindow is a Window that has seen nothing yet.
func NewWindow() *Window { return &Window{} }

// Add takes the next Snapshot. Snapshots come in the order they were taken.
func (w *Window) Add(s *host.Snapshot) *Look { return &w.look }
