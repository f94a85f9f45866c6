package report

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// AllOptions is how [All] treats its sinks. The zero value is good.
type AllOptions struct {
	Queue int              // alerts that a sink may lag behind; 0 is 1024
	Now   func() time.Time // nil is time.Now
	Tell  func(Note)       // called from several goroutines; nil tells nobody
}

// Multi is several sinks as one. See [All].
type Multi struct{ lanes []*lane }

// All reports to every sink, each behind a queue and a goroutine of its own: a slow sink holds up neither the caller nor
// the others. When a queue is full, the oldest alert of the lowest severity goes, counted and told. Nil sinks are left
// out. Whoever must know that alerts are safe calls [Multi.Flush].
func All(o AllOptions, sinks ...Sink) *Multi {
	if o.Queue <= 0 {
		o.Queue = 1024
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Tell == nil {
		o.Tell = func(Note) {}
	}
	m := &Multi{}
	for i, s := range sinks {
		if s == nil {
			continue
		}
		l := newLane(s, fmt.Sprintf("sink %d", i+1), o)
		m.lanes = append(m.lanes, l)
		go l.run()
	}
	return m
}

// Report hands a to every sink's queue and does not wait. Its error joins [ErrClosed] or [ErrFull] of each sink that
// will not get the alert.
func (m *Multi) Report(_ context.Context, a Alert) error {
	var errs []error
	for _, l := range m.lanes {
		if err := l.push(a); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", l.stats.Sink, err))
		}
	}
	return errors.Join(errs...)
}

// Flush waits until every alert reported before is with its sink: written, spooled, sent or refused. Its error says for
// which sinks ctx ended first.
func (m *Multi) Flush(ctx context.Context) error {
	return m.each(func(l *lane) error { return l.flush(ctx) })
}

// Close takes no more alerts, lets every sink have what is queued until ctx ends, and closes the sinks that are a
// [Closer]. What could not be handed over is counted as dropped and told.
func (m *Multi) Close(ctx context.Context) error {
	return m.each(func(l *lane) error { return l.close(ctx) })
}

// Leave is [Multi.Close] for sinks whose places others take: what could not be handed over, and what a [Leaver] gave back,
// is not dropped but returned, under the name of the sink, the oldest first.
func (m *Multi) Leave(ctx context.Context) (map[string][]Alert, error) {
	var mu sync.Mutex
	left := map[string][]Alert{}
	err := m.each(func(l *lane) error {
		list, err := l.leave(ctx)
		mu.Lock()
		defer mu.Unlock()
		if len(list) > 0 {
			left[l.stats.Sink] = append(left[l.stats.Sink], list...)
		}
		return err
	})
	return left, err
}

// Hand gives alerts that a [Multi.Leave] returned to the sink of that name, and tells whether there is one.
func (m *Multi) Hand(name string, list []Alert) (bool, error) {
	for _, l := range m.lanes {
		if l.stats.Sink != name {
			continue
		}
		var errs []error
		for _, a := range list {
			if err := l.push(a); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", name, err))
			}
		}
		return true, errors.Join(errs...)
	}
	return false, nil
}

// each does the same to all lanes at once, so that one uses up only its own time.
func (m *Multi) each(do func(*lane) error) error {
	errs := make([]error, len(m.lanes))
	var wg sync.WaitGroup
	for i, l := range m.lanes {
		wg.Go(func() {
			if err := do(l); err != nil {
				errs[i] = fmt.Errorf("%s: %w", l.stats.Sink, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Stats tells how each sink is doing, in the order they were given.
func (m *Multi) Stats() []Stats {
	var list []Stats
	for _, l := range m.lanes {
		list = append(list, l.tell()...)
	}
	return list
}

// lane is one sink with its queue.
type lane struct {
	sink   Sink
	o      AllOptions
	ctx    context.Context // of the sink's work, not of a caller: it ends when Close gives up
	cancel context.CancelFunc
	ended  chan struct{}
	once   sync.Once // closes the sink
	failed error     // what closing it said

	mu      sync.Mutex
	changed *sync.Cond // queue, busy or closed
	queue   backlog
	busy    bool
	closed  bool
	stats   Stats
}

func newLane(s Sink, name string, o AllOptions) *lane {
	if t, ok := s.(Teller); ok {
		if inner := t.Stats(); len(inner) > 0 {
			name = inner[0].Sink
		}
	}
	l := &lane{sink: s, o: o, queue: backlog{most: o.Queue}, stats: Stats{Sink: name}, ended: make(chan struct{})}
	l.changed = sync.NewCond(&l.mu)
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

func (l *lane) push(a Alert) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return ErrClosed
	}
	dropped, full := l.queue.push(a)
	if full {
		l.stats.Dropped++
	}
	l.changed.Broadcast()
	l.mu.Unlock()
	if !full {
		return nil
	}
	l.o.Tell(Note{Kind: NoteDropped, Sink: l.stats.Sink, Alert: dropped.ID, Count: 1, Err: ErrFull})
	if dropped.Key() == a.Key() {
		return ErrFull
	}
	return nil
}

func (l *lane) run() {
	defer close(l.ended)
	for {
		a, ok := l.next()
		if !ok {
			return
		}
		err := l.sink.Report(l.ctx, a)
		l.mu.Lock()
		l.busy = false
		if err == nil {
			l.stats.Delivered++
		} else {
			l.stats.Failed++
			l.stats.failed(err, l.o.Now())
		}
		l.changed.Broadcast()
		l.mu.Unlock()
		if err != nil {
			l.o.Tell(Note{Kind: NoteFailed, Sink: l.stats.Sink, Alert: a.ID, Count: 1, Err: err})
		}
	}
}

// next waits for the next alert; false when the lane is closed and empty, or given up.
func (l *lane) next() (Alert, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue.list) == 0 && !l.closed {
		l.changed.Wait()
	}
	if len(l.queue.list) == 0 || l.ctx.Err() != nil {
		return Alert{}, false
	}
	l.busy = true
	return l.queue.pop(), true
}

func (l *lane) flush(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.changed.Broadcast()
	})
	defer stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for (len(l.queue.list) > 0 || l.busy) && ctx.Err() == nil {
		l.changed.Wait()
	}
	if waiting := len(l.queue.list); waiting > 0 || l.busy {
		return fmt.Errorf("%d alerts still wait: %w", waiting, context.Cause(ctx))
	}
	return nil
}

func (l *lane) close(ctx context.Context) error {
	err := l.finish(ctx)
	l.once.Do(func() {
		l.drop(len(l.giveUp()))
		if c, ok := l.sink.(Closer); ok {
			l.failed = c.Close(ctx)
		}
		l.await(ctx)
	})
	return errors.Join(err, l.failed)
}

func (l *lane) leave(ctx context.Context) (left []Alert, err error) {
	err = l.finish(ctx)
	l.once.Do(func() {
		queued := l.giveUp()
		switch s := l.sink.(type) {
		case Leaver:
			left, l.failed = s.Leave(ctx)
		case Closer:
			l.failed = s.Close(ctx)
		}
		l.await(ctx)
		left = append(left, queued...)
	})
	return left, errors.Join(err, l.failed)
}

// finish takes no more alerts and waits until those that are queued are with the sink.
func (l *lane) finish(ctx context.Context) error {
	l.mu.Lock()
	l.closed = true
	l.changed.Broadcast()
	l.mu.Unlock()
	return l.flush(ctx)
}

// giveUp ends the sink's work and takes what the queue still holds.
func (l *lane) giveUp() []Alert {
	l.cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.queue.list
	l.queue.list = nil
	return list
}

// drop counts so many alerts as dropped.
func (l *lane) drop(n int) {
	if n == 0 {
		return
	}
	l.mu.Lock()
	l.stats.Dropped += uint64(n)
	l.mu.Unlock()
	l.o.Tell(Note{Kind: NoteDropped, Sink: l.stats.Sink, Count: n, Err: errors.New("no time left to hand them over")})
}

func (l *lane) await(ctx context.Context) {
	select {
	case <-l.ended:
	case <-ctx.Done(): // a sink that does not listen to its context cannot be waited for
	}
}

// tell is the sink's own account where it keeps one, with what the lane knows added.
func (l *lane) tell() []Stats {
	var inner []Stats
	if t, ok := l.sink.(Teller); ok {
		inner = t.Stats()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	own := l.stats
	own.Queued = len(l.queue.list)
	if l.busy {
		own.Queued++
	}
	if len(inner) == 0 {
		return []Stats{own}
	}
	inner[0].Queued += own.Queued
	inner[0].Dropped += own.Dropped
	return inner
}
