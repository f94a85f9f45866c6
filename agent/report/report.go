// Package report tells incidents to the outside: the alert log, the webhook, the text a person reads. A Sink is one
// place that alerts go to; what it is worth is wrapped around it ([All], [AtLeast], and Spool in the package spool),
// never built into it.
//
// Whatever stands in an alert was chosen, in part, by whoever runs the watched process: [NewAlert] makes every text
// harmless before anything else sees it. Nothing here judges, and nothing is lost in silence: what could not be told is
// kept, and what had to be given up is counted and told to a func(Note).
package report

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Sink is where alerts go. Report returns when the alert is safe with the sink or cannot be delivered; it must be safe
// to call again with the same alert, and from several goroutines.
type Sink interface {
	Report(ctx context.Context, a Alert) error
}

// Closer is a Sink with something to bring home before the program ends. Close ends by the deadline of ctx, delivers
// what it can until then, and may be called again. A closed Sink answers Report with [ErrClosed].
type Closer interface {
	Close(ctx context.Context) error
}

// Leaver is a Closer whose place another sink takes. Leave closes it as Close does; what it could not bring home and
// holds in memory only it gives back, the oldest first, instead of counting it as lost. A second call has nothing to give.
// Its error says why something was left, and what else went wrong.
type Leaver interface {
	Leave(ctx context.Context) ([]Alert, error)
}

// Teller is a Sink that knows how it is doing.
type Teller interface {
	Stats() []Stats
}

// Stats is how one sink is doing since the program started.
type Stats struct {
	Sink        string    `json:"sink"`
	Queued      int       `json:"queued"`    // alerts that wait, in memory or on disk
	Delivered   uint64    `json:"delivered"` // alerts that arrived
	Retried     uint64    `json:"retried"`   // attempts that failed and will be made again
	Failed      uint64    `json:"failed"`    // alerts that a sink without a queue of its own could not take
	Dropped     uint64    `json:"dropped"`   // alerts given up: no room, or too old
	Dead        uint64    `json:"dead"`      // alerts the receiver refused for good, kept as dead letters
	LastError   string    `json:"last_error,omitempty"`
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
}

// failed notes the error that a person should see first.
func (s *Stats) failed(err error, at time.Time) { s.LastError, s.LastErrorAt = err.Error(), at }

// NoteKind says what a Note is about.
type NoteKind string

// What sinks have to say about themselves.
const (
	NoteRetry    NoteKind = "retry"    // an attempt failed and will be made again
	NoteFailed   NoteKind = "failed"   // a sink could not take an alert
	NoteDropped  NoteKind = "dropped"  // alerts were given up
	NoteDead     NoteKind = "dead"     // an alert will never be taken and is kept as a dead letter
	NoteStorage  NoteKind = "storage"  // the disk does not take what should be kept; it is kept in memory
	NoteRestored NoteKind = "restored" // the disk takes it again
	NoteRepaired NoteKind = "repaired" // something left behind by a crash was put right
)

// Bad tells whether a person should see the Note even when all is quiet.
func (k NoteKind) Bad() bool { return k != NoteRetry && k != NoteRestored && k != NoteRepaired }

// Note is what a sink tells about itself, for the program's own log. A func(Note) is called from any goroutine, with the
// sink at work: it must neither wait nor call the sink.
type Note struct {
	Kind  NoteKind
	Sink  string
	Alert string        // id of the alert it is about, "" for the sink as a whole
	Count int           // how many alerts it is about
	After time.Duration // of a retry: how long until the next attempt
	Err   error
}

func (n Note) String() string {
	s := fmt.Sprintf("%s: %s", n.Sink, n.Kind)
	if n.Count > 1 {
		s += fmt.Sprintf(" (%d alerts)", n.Count)
	}
	if n.Err != nil {
		s += ": " + n.Err.Error()
	}
	return s
}

// ErrClosed is the answer of a sink that was closed.
var ErrClosed = errors.New("sink is closed")

// ErrFull is the answer of a sink that has no room left for an alert and gave it up.
var ErrFull = errors.New("no room left")

// DeliveryError says why a receiver did not take an alert, and whether it may yet. Its text holds no secret.
type DeliveryError struct {
	Target     string        // the receiver, without what may be secret
	Status     int           // HTTP status, 0 when there was no answer
	Permanent  bool          // trying again is no use
	RetryAfter time.Duration // the receiver asks not to be tried before that; 0 when it did not ask
	Hint       string        // what a person can do, "" when there is nothing to say
	Err        error         // nil when the answer says it all
}

func (e *DeliveryError) Error() string {
	s := "post to " + e.Target
	if e.Status != 0 {
		s += fmt.Sprintf(": answered %d", e.Status)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

func (e *DeliveryError) Unwrap() error { return e.Err }
