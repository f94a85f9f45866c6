package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/minehound/minehound/agent/report"
)

// run delivers until the spool is closed and nothing more can be done.
func (s *Spool) run() {
	defer close(s.ended)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		s.expire()
		s.saveDue()
		e, wait, done := s.take()
		switch {
		case e != nil:
			if !s.deliver(e) && done {
				return // the target does not take it: the rest stays for the next run
			}
			continue
		case done:
			return
		}
		timer.Reset(wait)
		select {
		case <-s.wake:
		case <-timer.C:
		}
	}
}

// take is the entry to send now, marked busy, or how long to wait for one.
func (s *Spool) take() (e *entry, wait time.Duration, done bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return nil, 0, true
	}
	now := s.o.Now()
	at := s.rest.until
	if s.done {
		e = s.queue.urgent() // its last chance
	}
	if e == nil && !at.After(now) {
		e, at = s.queue.pick(now)
	}
	if e != nil {
		e.busy = true
		return e, 0, s.done
	}
	wait = time.Hour // somebody will wake it before
	if !at.IsZero() {
		wait = at.Sub(now)
	}
	if s.queue.unsaved() != nil {
		wait = min(wait, s.retry.Sub(now))
	}
	return nil, max(wait, 0), s.done
}

// expire gives up what has waited too long.
func (s *Spool) expire() {
	for {
		s.mu.Lock()
		e := s.queue.expired(s.o.Now(), s.o.MaxAge)
		if e != nil {
			s.queue.drop(e)
			s.stats.Dropped++
		}
		s.mu.Unlock()
		if e == nil {
			return
		}
		s.o.Tell(report.Note{Kind: report.NoteDropped, Sink: s.o.Name, Alert: e.incident, Count: 1, Err: fmt.Errorf("could not be delivered for %s", s.o.MaxAge)})
		s.remove(e)
	}
}

// saveDue offers what is in memory to the disk when it is time, and before the end.
func (s *Spool) saveDue() {
	s.mu.Lock()
	due := s.queue.unsaved() != nil && (s.done || !s.retry.After(s.o.Now()))
	s.mu.Unlock()
	if !due {
		return
	}
	s.intake.Lock()
	defer s.intake.Unlock()
	s.save()
}

// deliver makes one attempt and tells whether the target took, or finally refused, the alert.
func (s *Spool) deliver(e *entry) bool {
	a, err := s.content(e)
	if err != nil {
		s.gone(e, err)
		return true
	}
	err = s.sink.Report(s.ctx, a)
	var refused *report.DeliveryError
	switch {
	case err == nil:
		s.remove(e)
		s.finish(e, true)
	case errors.As(err, &refused) && refused.Permanent:
		s.bury(e, err)
		s.finish(e, false)
	case s.ctx.Err() != nil:
		s.release(e)
		return false
	default:
		s.later(e, err)
		return false
	}
	return true
}

// content is the alert of an entry.
func (s *Spool) content(e *entry) (report.Alert, error) {
	if e.alert != nil {
		return *e.alert, nil
	}
	c, err := s.disk.read(e.name)
	return c.Alert, err
}

// gone deals with an entry whose file cannot be read any more.
func (s *Spool) gone(e *entry, err error) {
	if errors.Is(err, fs.ErrNotExist) {
		s.mu.Lock()
		s.stats.Dropped++
		s.mu.Unlock()
		s.o.Tell(report.Note{Kind: report.NoteDropped, Sink: s.o.Name, Alert: e.incident, Count: 1, Err: fmt.Errorf("somebody removed %s", e.name)})
	} else {
		s.bury(e, err)
	}
	s.mu.Lock()
	s.queue.drop(e)
	s.mu.Unlock()
}

// finish forgets an entry that the target answered for. Where several failures in a row say that the target was down, the
// cases that rest did so for nothing.
func (s *Spool) finish(e *entry, arrived bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if arrived {
		s.stats.Delivered++
	}
	if s.rest.failures > 1 {
		for _, l := range s.queue.lanes {
			l.rest = rest{}
		}
	}
	s.rest = rest{}
	s.queue.drop(e)
}

// release lets an entry be.
func (s *Spool) release(e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.busy = false
}

// later puts an entry off.
func (s *Spool) later(e *entry, err error) {
	var asked time.Duration
	var refused *report.DeliveryError
	if errors.As(err, &refused) {
		asked = refused.RetryAfter
	}
	s.mu.Lock()
	now, part := s.o.Now(), s.o.Rand()
	e.busy = false
	s.stats.Retried++
	s.stats.LastError, s.stats.LastErrorAt = err.Error(), now
	s.rest.after(now, part, asked)
	d := s.queue.lanes[e.incident].after(now, part, asked)
	s.mu.Unlock()
	s.o.Tell(report.Note{Kind: report.NoteRetry, Sink: s.o.Name, Alert: e.incident, Count: 1, After: d, Err: err})
}
