// Package spool makes a sink that may fail one that loses nothing: alerts are on the disk before the first attempt, and
// are tried until they arrive. It survives kill -9 and power loss, and knows nothing of HTTP.
package spool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/minehound/minehound/agent/incident"
	"github.com/minehound/minehound/agent/report"
)

// Options says where a spool keeps alerts and how much. Only Dir is needed.
type Options struct {
	Dir       string        // its own directory, of mode 0700; it is made
	Name      string        // what it is called in stats and notes; "" asks the sink
	MaxAge    time.Duration // an alert that waited longer is dropped; 0 is 72 h
	MaxBytes  int64         // of all files; 0 is 64 MiB, some 15,000 alerts
	MaxMemory int64         // bytes of alerts kept in memory while the disk does not take them; 0 is 4 MiB

	Now  func() time.Time  // nil is time.Now
	Rand func() float64    // 0 to below 1; nil is math/rand
	Tell func(report.Note) // nil tells nobody
}

// Spool is a durable queue in front of one sink. Report returns once the alert is on the disk, and one goroutine delivers.
//
// Every alert that Report accepted arrives at least once, always under the same [report.Alert.Key]; it may arrive twice
// when the program dies between the answer of the receiver and the removal of the file, which is at most one alert for
// each time it dies. An alert that is still queued is not queued again.
//
// Order: the oldest first, and the revisions of one case strictly one after the other, so that a closing never overtakes
// its opening. When an attempt fails, the whole target rests (1 s, doubling up to 15 min, times a random part of it),
// and so does the case, which counts its own failures; the cases that failed least go next. So one alert that the
// receiver chokes on does not hold up the others, and a receiver that is down is asked by one alert at a time. A
// receiver's Retry-After is honored.
//
// A [report.DeliveryError] that is Permanent moves the alert to the directory dead/, with the reason; any other error is
// tried again. A file that was damaged goes there too. What has to go for want of room is the oldest of the lowest
// severity, and with it a case may lose its opening; every alert tells the whole case.
//
// While the disk does not take alerts they wait, and are sent, from memory, and are written as soon as there is room.
type Spool struct {
	sink   report.Sink
	o      Options
	disk   directory
	ctx    context.Context // of deliveries; ends when Close gives up
	cancel context.CancelFunc
	wake   chan struct{}
	ended  chan struct{}
	once   sync.Once
	failed error // what Close said

	intake sync.Mutex // one at a time writes entries; taken before mu

	mu    sync.Mutex
	queue queue
	rest  rest // of the target
	next  uint64
	retry time.Time // when memory is offered to the disk again
	bad   bool      // the disk does not take alerts
	done  bool      // closed
	stats report.Stats
}

// saveEvery is how often alerts in memory are offered to the disk.
const saveEvery = time.Minute

// New opens the spool of sink and starts delivering what an earlier run left. Its error is about the options; a directory
// that cannot be used is told, and alerts are then kept in memory.
func New(sink report.Sink, o Options) (*Spool, error) {
	if sink == nil || o.Dir == "" {
		return nil, errors.New("spool: needs a sink and a directory")
	}
	s := &Spool{
		sink: sink, o: o.filled(sink), disk: directory{o.Dir, writeSynced},
		wake: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	s.open()
	return s, nil
}

func (o Options) filled(sink report.Sink) Options {
	if t, ok := sink.(report.Teller); ok && o.Name == "" {
		if inner := t.Stats(); len(inner) > 0 {
			o.Name = inner[0].Sink
		}
	}
	if o.Name == "" {
		o.Name = "spool"
	}
	if o.MaxAge <= 0 {
		o.MaxAge = 72 * time.Hour
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 64 << 20
	}
	if o.MaxMemory <= 0 {
		o.MaxMemory = 4 << 20
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	if o.Tell == nil {
		o.Tell = func(report.Note) {}
	}
	return o
}

// open takes in what the directory holds and starts the worker.
func (s *Spool) open() {
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.queue = queue{lanes: map[string]*lane{}, keys: map[string]bool{}}
	s.stats.Sink = s.o.Name
	dead, err := s.disk.lastDead()
	s.next = dead
	err = errors.Join(err, s.disk.load(func(f found) {
		s.next = max(s.next, f.seq+1)
		if f.err != nil {
			s.bury(&entry{name: f.name}, f.err)
			return
		}
		e := newEntry(f.seq, f.Queued, f.Alert)
		e.name, e.size, e.alert = f.name, f.size, nil
		if s.queue.keys[e.key] {
			s.remove(e) // written twice by a crash
			return
		}
		s.queue.add(e)
	}))
	if err != nil {
		// What stands there may come to light later, with a late mount: new entries keep clear of its places.
		s.next = max(s.next, uint64(s.o.Now().UnixNano()))
		s.storage(err)
	}
	go s.run()
}

// Report queues a. Its error is [report.ErrClosed], or [report.ErrFull] when there was no room and everything else was
// worth more. It does not look at ctx: alerts that are safe are worth more than the time of one fsync.
func (s *Spool) Report(_ context.Context, a report.Alert) error {
	s.intake.Lock()
	defer s.intake.Unlock()
	s.mu.Lock()
	done, known, seq := s.done, s.queue.keys[a.Key()], s.next
	s.mu.Unlock()
	if done {
		return report.ErrClosed
	}
	if known {
		return nil
	}
	e := newEntry(seq, s.o.Now(), a)
	data, err := encode(e.queued, a)
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	e.size = int64(len(data))
	if !s.room(e, s.o.MaxBytes, func(*entry) bool { return true }) {
		return report.ErrFull
	}
	err = s.disk.save(fileName(seq), data)
	if err != nil {
		s.storage(err)
		if !s.room(e, s.o.MaxMemory, func(e *entry) bool { return e.alert != nil }) {
			return report.ErrFull
		}
	} else {
		e.name, e.alert = fileName(seq), nil
	}
	s.mu.Lock()
	s.next++
	s.queue.add(e)
	s.mu.Unlock()
	if err == nil {
		s.save()
	}
	s.poke()
	return nil
}

// room makes room for e among the entries that count, giving up the oldest of the lowest severity; false when that is e.
func (s *Spool) room(e *entry, most int64, counts func(*entry) bool) bool {
	for {
		s.mu.Lock()
		victim, full := s.queue.victim(e, most, counts)
		if full {
			s.stats.Dropped++
			if victim != e {
				s.queue.drop(victim)
			}
		}
		s.mu.Unlock()
		if !full {
			return true
		}
		s.o.Tell(report.Note{Kind: report.NoteDropped, Sink: s.o.Name, Alert: victim.incident, Count: 1, Err: report.ErrFull})
		if victim == e {
			return false
		}
		s.remove(victim)
	}
}

// save offers what is in memory to the disk. The caller holds intake.
func (s *Spool) save() {
	for {
		s.mu.Lock()
		e := s.queue.unsaved()
		if e == nil {
			restored := s.bad
			s.bad = false
			s.mu.Unlock()
			if restored {
				s.o.Tell(report.Note{Kind: report.NoteRestored, Sink: s.o.Name})
			}
			return
		}
		e.busy = true // not to be sent in the meantime
		s.retry = s.o.Now().Add(saveEvery)
		a := *e.alert
		s.mu.Unlock()
		data, err := encode(e.queued, a)
		if err == nil {
			err = s.disk.save(fileName(e.seq), data)
		}
		s.mu.Lock()
		e.busy = false
		if err == nil {
			e.name, e.alert = fileName(e.seq), nil
		}
		s.mu.Unlock()
		if err != nil {
			s.storage(err)
			return
		}
	}
}

// storage tells, once, that the disk does not take alerts.
func (s *Spool) storage(err error) {
	s.mu.Lock()
	first := !s.bad
	s.bad = true
	s.stats.LastError, s.stats.LastErrorAt = err.Error(), s.o.Now()
	s.retry = s.o.Now().Add(saveEvery)
	s.mu.Unlock()
	if first {
		s.o.Tell(report.Note{Kind: report.NoteStorage, Sink: s.o.Name, Err: err})
	}
}

// remove takes an entry's file away. When that fails the alert will be sent again after a restart, which is told.
func (s *Spool) remove(e *entry) {
	if e.name == "" {
		return
	}
	if err := s.disk.remove(e.name); err != nil {
		s.o.Tell(report.Note{Kind: report.NoteStorage, Sink: s.o.Name, Alert: e.incident, Count: 1, Err: err})
	}
}

// bury puts an entry among the dead letters.
func (s *Spool) bury(e *entry, why error) {
	s.mu.Lock()
	s.stats.Dead++
	s.stats.LastError, s.stats.LastErrorAt = why.Error(), s.o.Now()
	s.mu.Unlock()
	var err error
	if e.name == "" {
		err = s.buryUnsaved(e, why)
	} else {
		err = s.disk.bury(e.name, why)
	}
	s.o.Tell(report.Note{Kind: report.NoteDead, Sink: s.o.Name, Alert: e.incident, Count: 1, Err: errors.Join(why, err)})
	if err != nil {
		return
	}
	if n, err := s.disk.prune(); n > 0 || err != nil {
		s.o.Tell(report.Note{Kind: report.NoteDropped, Sink: s.o.Name, Count: n, Err: errors.Join(fmt.Errorf("more than %d dead letters", mostDead), err)})
	}
}

func (s *Spool) buryUnsaved(e *entry, why error) error {
	data, err := encode(e.queued, *e.alert)
	if err != nil {
		return err
	}
	return s.disk.save(deadDir+"/"+fileName(e.seq), append(data, ("dead: "+report.Clean(why.Error(), 1024)+"\n")...))
}

// poke wakes the worker.
func (s *Spool) poke() {
	select {
	case s.wake <- struct{}{}:
	default: // it is awake, or about to be
	}
}

// Close takes no more alerts and delivers what is queued as long as the target takes it, at the latest until ctx ends. The
// rest stays on the disk for the next run; its error says what was only in memory and is lost. It closes the sink.
func (s *Spool) Close(ctx context.Context) error {
	left, err := s.Leave(ctx)
	return errors.Join(s.lose(len(left)), err)
}

// Leave is Close for a spool whose place, and directory, another one takes: what is only in memory is given back, see
// [report.Leaver].
func (s *Spool) Leave(ctx context.Context) (left []report.Alert, err error) {
	s.intake.Lock()
	s.mu.Lock()
	s.done = true
	s.mu.Unlock()
	s.intake.Unlock()
	s.poke()
	select {
	case <-s.ended:
	case <-ctx.Done():
	}
	s.cancel()
	s.once.Do(func() {
		select {
		case <-s.ended: // so that nobody else finds a file that is about to go
		case <-time.After(mostWait):
		}
		left = s.unwritten()
		if c, ok := s.sink.(report.Closer); ok {
			s.failed = c.Close(ctx)
		}
	})
	return left, s.failed
}

// mostWait is how long an attempt that was called off may take to end.
const mostWait = time.Second

// unwritten is what is in memory only.
func (s *Spool) unwritten() (list []report.Alert) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.queue.order {
		if e.alert != nil {
			list = append(list, *e.alert)
		}
	}
	return list
}

// lose counts so many alerts as lost.
func (s *Spool) lose(n int) error {
	if n == 0 {
		return nil
	}
	s.mu.Lock()
	s.stats.Dropped += uint64(n)
	s.mu.Unlock()
	err := fmt.Errorf("%d alerts could be neither sent nor written and are lost", n)
	s.o.Tell(report.Note{Kind: report.NoteDropped, Sink: s.o.Name, Count: n, Err: err})
	return err
}

// Stats tells how the spool is doing.
func (s *Spool) Stats() []report.Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Queued = len(s.queue.order)
	return []report.Stats{st}
}

// newEntry is an entry that stands in memory only.
func newEntry(seq uint64, queued time.Time, a report.Alert) *entry {
	return &entry{seq: seq, key: a.Key(), incident: a.ID, rank: report.Rank(a), queued: queued, alert: &a}
}

// entry is one alert that waits.
type entry struct {
	seq      uint64 // its place
	key      string
	incident string
	rank     incident.Severity
	queued   time.Time
	size     int64
	name     string        // of its file, "" while it stands in memory only
	alert    *report.Alert // nil once it stands on the disk
	busy     bool          // is being sent or written: must stay
}
