package host

import "time"

// EventKind is what happened.
type EventKind uint8

// The kinds of events, with the Sigma category each one is.
const (
	ProcessStarted EventKind = 1 + iota // a program was executed (process_creation)
	ProcessEnded                        // (process_termination)
)

// Event is something that happened once, read when it happened: two seconds later a `curl | sh` is gone.
type Event struct {
	At     time.Time
	Kind   EventKind
	ID     ProcID
	Parent ProcID // Born is 0 when the parent could not be read
	Name   string
	Detail *Detail // of the process at that moment; nil when it was gone before it could be read
	// The parent at that moment; empty when unknown.
	ParentName   string
	ParentDetail *Detail
}
