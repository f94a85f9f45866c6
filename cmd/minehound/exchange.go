package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/minehound/minehound/agent/report"
)

// closing is how long a stop waits for sinks: what a webhook has not taken by then is on the disk.
const closing = 5 * time.Second

// mostMoving bounds the alerts that wait while sinks are exchanged.
const mostMoving = 1024

// exchange is a sink that can be replaced while alerts come in. What comes while the old one is being closed waits.
type exchange struct {
	mu      sync.Mutex
	now     *sinks
	moved   chan struct{} // closed when the move under way has ended, nil when there is none
	waiting []report.Alert
}

// Report hands a to the sinks in force.
func (x *exchange) Report(ctx context.Context, a report.Alert) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.moved == nil:
		return x.now.all.Report(ctx, a)
	case len(x.waiting) >= mostMoving:
		return fmt.Errorf("the sinks are being exchanged: %w", report.ErrFull)
	}
	x.waiting = append(x.waiting, a)
	return nil
}

// Flush waits until every alert reported before is with its sink, see [report.Multi.Flush].
func (x *exchange) Flush(ctx context.Context) error {
	for {
		x.mu.Lock()
		now, moved := x.now, x.moved
		x.mu.Unlock()
		if moved == nil {
			err := now.all.Flush(ctx)
			x.mu.Lock()
			still := x.now == now && x.moved == nil
			x.mu.Unlock()
			if still {
				return err
			}
			continue
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("the sinks are being exchanged: %w", context.Cause(ctx))
		}
	}
}

// swap closes the sinks in force and opens others, which get what the old ones of the same name could not bring home. Its
// error says what went wrong on the way; the new ones are in force in any case.
func (x *exchange) swap(open func() (*sinks, error)) error {
	x.mu.Lock()
	old, moved := x.now, make(chan struct{})
	x.moved = moved
	x.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	left, leaving := old.all.Leave(ctx)
	next, opening := open()
	errs := []error{leaving, opening}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		there, err := next.all.Hand(name, left[name])
		if !there {
			err = fmt.Errorf("%s is no sink any more: %d alerts that it had not taken are lost", name, len(left[name]))
		}
		errs = append(errs, err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, a := range x.waiting {
		errs = append(errs, next.all.Report(context.Background(), a))
	}
	x.now, x.moved, x.waiting = next, nil, nil
	close(moved)
	return errors.Join(errs...)
}

// reopenLog is for log rotation by others.
func (x *exchange) reopenLog() error {
	x.mu.Lock()
	log := x.now.log
	x.mu.Unlock()
	if log == nil {
		return nil
	}
	return log.Reopen()
}

// close brings home what is queued, as far as there is time.
func (x *exchange) close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	return x.now.all.Close(ctx)
}
