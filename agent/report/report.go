// Package report tells incidents to the outside: the alert log, the webhook. A Sink is one place that alerts go to; what
// it is worth is wrapped around it (Spool, All, AtLeast), never built into it.
package report

import "context"

// Sink is where alerts go. Report returns when the alert is safe with the sink or cannot be delivered; it must be safe
// to call again with the same alert.
type Sink interface {
	Report(ctx context.Context, a Alert) error
}
