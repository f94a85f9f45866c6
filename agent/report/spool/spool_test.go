package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minehound/minehound/agent/incident"
	"github.com/minehound/minehound/agent/report"
)

func alert(id string, revision int, severity string) report.Alert {
	return report.Alert{
		Schema: report.Schema, ID: id, Revision: revision, Status: incident.Updated, Verdict: "mining", Severity: severity,
		Time: time.Date(2026, 3, 1, 12, 0, revision, 0, time.UTC),
	}
}

// target is a sink that does as it is told and remembers what it got.
type target struct {
	mu     sync.Mutex
	answer func(attempt int, a report.Alert) error // nil takes everything
	got    []string                                // "ID revision" of what it took
	times  []time.Time                             // of every attempt
}

func (s *target) Report(ctx context.Context, a report.Alert) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.times = append(s.times, time.Now())
	if s.answer != nil {
		if err := s.answer(len(s.times), a); err != nil {
			return err
		}
	}
	s.got = append(s.got, fmt.Sprint(a.ID, a.Revision))
	return ctx.Err()
}

// notes collects what the spool tells.
type notes struct {
	mu   sync.Mutex
	list []report.Note
}

func (n *notes) tell(note report.Note) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, note)
}

func (n *notes) of(k report.NoteKind) (list []report.Note) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, note := range n.list {
		if note.Kind == k {
			list = append(list, note)
		}
	}
	return list
}

func start(t *testing.T, sink report.Sink, o Options) *Spool {
	t.Helper()
	if o.Rand == nil {
		o.Rand = func() float64 { return 0.5 }
	}
	s, err := New(sink, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t *testing.T, s *Spool, alerts ...report.Alert) {
	t.Helper()
	for _, a := range alerts {
		if err := s.Report(t.Context(), a); err != nil {
			t.Fatalf("alert %s: %v", a.ID, err)
		}
	}
}

func stop(t *testing.T, s *Spool) {
	t.Helper()
	if err := s.Close(t.Context()); err != nil {
		t.Errorf("close: %v", err)
	}
}

// files lists the entries in a directory.
func files(t *testing.T, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*"+suffix+"*"))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestOnDiskBeforeTheFirstAttempt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool", "ops")
	sink := &target{answer: func(int, report.Alert) error {
		list := files(t, dir)
		if len(list) != 1 {
			t.Fatalf("files at the attempt: %v", list)
		}
		info, err := os.Stat(list[0])
		if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
		c, err := (&directory{path: dir}).read(filepath.Base(list[0]))
		if err != nil || c.Alert.ID != "a" {
			t.Errorf("%+v, %v", c, err)
		}
		return nil
	}}
	s := start(t, sink, Options{Dir: dir})
	put(t, s, alert("a", 1, "high"))
	stop(t, s)
	if list := files(t, dir); len(list) > 0 || len(sink.got) != 1 {
		t.Errorf("left over %v, delivered %v", list, sink.got)
	}
	if info, err := os.Stat(dir); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := func(d time.Duration) error { return &report.DeliveryError{Status: 503, RetryAfter: d} }
		answers := []error{errors.New("network"), asked(0), asked(time.Minute), asked(time.Second)}
		for len(answers) < 14 {
			answers = append(answers, errors.New("network"))
		}
		sink := &target{answer: func(attempt int, _ report.Alert) error {
			if attempt <= len(answers) {
				return answers[attempt-1]
			}
			return nil
		}}
		var n notes
		s := start(t, sink, Options{Dir: t.TempDir(), Name: "ops", Tell: n.tell})
		put(t, s, alert("a", 1, "high"))
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		var waits []time.Duration
		for i := 1; i < len(sink.times); i++ {
			waits = append(waits, sink.times[i].Sub(sink.times[i-1]))
		}
		// Half of 1 s, 2 s, 4 s, … 15 min, or what the receiver asked for when that is longer.
		want := []time.Duration{500 * time.Millisecond, time.Second, time.Minute, 4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second,
			64 * time.Second, 128 * time.Second, 256 * time.Second, 450 * time.Second, 450 * time.Second, 450 * time.Second, 450 * time.Second}
		if !slices.Equal(waits, want) {
			t.Errorf("waits %v\nwant  %v", waits, want)
		}
		st := s.Stats()[0]
		if st.Sink != "ops" || st.Delivered != 1 || st.Retried != 14 || st.Queued != 0 || st.LastError != "network" || len(n.of(report.NoteRetry)) != 14 {
			t.Errorf("%+v", st)
		}
		stop(t, s)
	})
}

// TestOneChokesOnlyItself has one case that the receiver never takes, with later revisions, among others.
func TestOneChokesOnlyItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		choke := true
		sink := &target{answer: func(_ int, a report.Alert) error {
			if a.ID == "bad" && choke {
				return &report.DeliveryError{Status: 500}
			}
			return nil
		}}
		s := start(t, sink, Options{Dir: t.TempDir()})
		put(t, s, alert("bad", 1, "high"), alert("x", 1, "high"), alert("bad", 2, "high"), alert("y", 1, "high"), alert("x", 2, "high"), alert("bad", 3, "high"))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if want := []string{"x1", "y1", "x2"}; !slices.Equal(sink.got, want) {
			t.Errorf("got %v, want %v", sink.got, want)
		}
		sink.mu.Lock()
		choke = false
		sink.mu.Unlock()
		time.Sleep(time.Hour)
		synctest.Wait()
		if want := []string{"x1", "y1", "x2", "bad1", "bad2", "bad3"}; !slices.Equal(sink.got, want) {
			t.Errorf("got %v, want %v", sink.got, want)
		}
		stop(t, s)
	})
}

// TestDownReceiverIsAskedByOneAtATime has many cases and a receiver that is down, and checks how often it is asked.
func TestDownReceiverIsAskedByOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := true
		sink := &target{answer: func(int, report.Alert) error {
			if down {
				return errors.New("refused")
			}
			return nil
		}}
		s := start(t, sink, Options{Dir: t.TempDir()})
		var want []string
		for i := range 50 {
			put(t, s, alert(fmt.Sprintf("case%d-", i), 1, "high"))
			want = append(want, fmt.Sprintf("case%d-1", i))
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := len(sink.times); n > 20 {
			t.Errorf("asked %d times in an hour", n)
		}
		sink.mu.Lock()
		down = false
		sink.mu.Unlock()
		time.Sleep(mostRest)
		synctest.Wait()
		slices.Sort(want)
		slices.Sort(sink.got)
		if !slices.Equal(sink.got, want) {
			t.Errorf("got %v", sink.got)
		}
		stop(t, s)
	})
}

func TestRefusedForGood(t *testing.T) {
	dir := t.TempDir()
	why := &report.DeliveryError{Target: "https://hooks.example/…", Status: 401, Permanent: true}
	sink := &target{answer: func(_ int, a report.Alert) error {
		if a.ID == "bad" {
			return why
		}
		return nil
	}}
	var n notes
	s := start(t, sink, Options{Dir: dir, Tell: n.tell})
	put(t, s, alert("bad", 1, "high"), alert("good", 1, "high"))
	stop(t, s)
	if st := s.Stats()[0]; st.Dead != 1 || st.Delivered != 1 || st.Queued != 0 || st.LastError != why.Error() {
		t.Errorf("%+v", st)
	}
	if told := n.of(report.NoteDead); len(told) != 1 || told[0].Alert != "bad" || !errors.Is(told[0].Err, why) {
		t.Errorf("told %v", n.list)
	}
	dead := files(t, filepath.Join(dir, deadDir))
	if len(dead) != 1 || len(files(t, dir)) != 0 {
		t.Fatalf("dead letters %v", dead)
	}
	text, err := os.ReadFile(dead[0])
	if err != nil || !strings.Contains(string(text), `"id":"bad"`) || !strings.Contains(string(text), "\ndead: post to https://hooks.example/…: answered 401") {
		t.Errorf("%v: %s", err, text)
	}
	// A new run starts behind the dead letter's place.
	sink.answer = func(int, report.Alert) error { return why }
	s = start(t, sink, Options{Dir: dir})
	put(t, s, alert("worse", 1, "high"))
	stop(t, s)
	if dead := files(t, filepath.Join(dir, deadDir)); len(dead) != 2 {
		t.Errorf("dead letters %v", dead)
	}
}

func TestDeadLettersAreBounded(t *testing.T) {
	dir := t.TempDir()
	grave := filepath.Join(dir, deadDir)
	if err := os.MkdirAll(grave, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range mostDead {
		if err := os.WriteFile(filepath.Join(grave, fileName(uint64(i))), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var n notes
	s := start(t, &target{answer: func(int, report.Alert) error { return &report.DeliveryError{Permanent: true} }}, Options{Dir: dir, Tell: n.tell})
	put(t, s, alert("bad", 1, "high"))
	stop(t, s)
	dead := files(t, grave)
	if len(dead) != mostDead || filepath.Base(dead[0]) != fileName(1) || filepath.Base(dead[mostDead-1]) != fileName(mostDead) {
		t.Errorf("%d dead letters, %s to %s", len(dead), dead[0], dead[len(dead)-1])
	}
	if told := n.of(report.NoteDropped); len(told) != 1 || told[0].Count != 1 {
		t.Errorf("told %v", n.list)
	}
}

func TestTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		var n notes
		sink := &target{answer: func(int, report.Alert) error { return errors.New("refused") }}
		s := start(t, sink, Options{Dir: dir, Tell: n.tell})
		put(t, s, alert("a", 1, "critical"))
		time.Sleep(71 * time.Hour)
		put(t, s, alert("b", 1, "high"))
		if st := s.Stats()[0]; st.Queued != 2 || st.Dropped != 0 {
			t.Errorf("after 71 h: %+v", st)
		}
		time.Sleep(2 * time.Hour)
		if st := s.Stats()[0]; st.Queued != 1 || st.Dropped != 1 {
			t.Errorf("after 73 h: %+v", st)
		}
		if told := n.of(report.NoteDropped); len(told) != 1 || told[0].Alert != "a" || !strings.Contains(told[0].Err.Error(), "72h") {
			t.Errorf("told %v", told)
		}
		stop(t, s)
		if list := files(t, dir); len(list) != 1 {
			t.Errorf("files %v", list)
		}
	})
}

func TestNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		one, err := encode(time.Now(), alert("a", 1, "high"))
		if err != nil {
			t.Fatal(err)
		}
		var n notes
		sink := &target{answer: func(int, report.Alert) error { return errors.New("refused") }}
		s := start(t, sink, Options{Dir: dir, MaxBytes: 3*int64(len(one)) + 200, Tell: n.tell})
		put(t, s, alert("a", 1, "high"), alert("b", 1, "low"), alert("c", 1, "low"))
		put(t, s, alert("d", 1, "critical"), alert("e", 1, "high")) // b goes, then c
		if err := s.Report(t.Context(), alert("f", 1, "info")); !errors.Is(err, report.ErrFull) {
			t.Errorf("an info among high ones: %v", err)
		}
		put(t, s, alert("g", 1, "high")) // the oldest high, a, goes
		var dropped []string
		for _, note := range n.of(report.NoteDropped) {
			dropped = append(dropped, note.Alert)
		}
		if want := []string{"b", "c", "f", "a"}; !slices.Equal(dropped, want) {
			t.Errorf("dropped %v, want %v", dropped, want)
		}
		if st := s.Stats()[0]; st.Queued != 3 || st.Dropped != 4 || len(files(t, dir)) != 3 {
			t.Errorf("%+v, files %v", st, files(t, dir))
		}
		stop(t, s)
	})
}

func TestNextRunGoesOn(t *testing.T) {
	dir := t.TempDir()
	sink := &target{answer: func(int, report.Alert) error { return errors.New("refused") }}
	s := start(t, sink, Options{Dir: dir})
	put(t, s, alert("a", 1, "high"), alert("b", 1, "high"), alert("c", 1, "high"), alert("d", 1, "high"))
	stop(t, s)
	list := files(t, dir)
	if len(list) != 4 {
		t.Fatalf("files %v", list)
	}
	for i, damage := range []func([]byte) []byte{
		func(b []byte) []byte { return b[:len(b)/2] },                                              // a torn page
		func(b []byte) []byte { return []byte(strings.Replace(string(b), "mining", "mincng", 1)) }, // a flipped bit
	} {
		data, err := os.ReadFile(list[i+1])
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(list[i+1], damage(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{fileName(99) + unready: "half", "README": "not ours", fileName(7): ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var n notes
	sink = &target{}
	s = start(t, sink, Options{Dir: dir, Tell: n.tell})
	put(t, s, alert("e", 1, "high"))
	stop(t, s)
	if want := []string{"a1", "d1", "e1"}; !slices.Equal(sink.got, want) {
		t.Errorf("got %v, want %v", sink.got, want)
	}
	if told := n.of(report.NoteDead); len(told) != 3 || !errors.Is(told[0].Err, errDamaged) {
		t.Errorf("told %v", n.list)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 || left[0].Name() != "README" || left[1].Name() != deadDir {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestQueuedOnlyOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := true
		sink := &target{answer: func(int, report.Alert) error {
			if down {
				return errors.New("refused")
			}
			return nil
		}}
		dir := t.TempDir()
		s := start(t, sink, Options{Dir: dir})
		put(t, s, alert("a", 1, "high"), alert("a", 1, "high"), alert("a", 2, "high"))
		stop(t, s)
		s = start(t, sink, Options{Dir: dir})
		put(t, s, alert("a", 1, "high"), alert("a", 2, "high"))
		if st := s.Stats()[0]; st.Queued != 2 {
			t.Errorf("%+v", st)
		}
		sink.mu.Lock()
		down = false
		sink.mu.Unlock()
		time.Sleep(mostRest)
		stop(t, s)
		if want := []string{"a1", "a2"}; !slices.Equal(sink.got, want) {
			t.Errorf("got %v", sink.got)
		}
	})
}

// TestDiskDoesNotTakeIt sends from memory while the disk is full, drops what does not fit, and writes the rest as soon as
// there is room.
func TestDiskDoesNotTakeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		one, err := encode(time.Now(), alert("a", 1, "high"))
		if err != nil {
			t.Fatal(err)
		}
		var n notes
		down, full := false, true
		var mu sync.Mutex
		set := func(what *bool, to bool) { mu.Lock(); *what = to; mu.Unlock() }
		is := func(what *bool) bool { mu.Lock(); defer mu.Unlock(); return *what }
		sink := &target{answer: func(int, report.Alert) error {
			if is(&down) {
				return errors.New("refused")
			}
			return nil
		}}
		s := start(t, sink, Options{Dir: dir, MaxMemory: 2*int64(len(one)) + 100, Tell: n.tell})
		s.disk.write = func(name string, data []byte) error {
			if is(&full) {
				return &os.PathError{Op: "write", Path: name, Err: syscall.ENOSPC}
			}
			return writeSynced(name, data)
		}
		put(t, s, alert("a", 1, "high"))
		synctest.Wait()
		if !slices.Equal(sink.got, []string{"a1"}) {
			t.Errorf("not sent from memory: %v", sink.got)
		}
		told := n.of(report.NoteStorage)
		var storage *report.StorageError
		if len(told) != 1 || !errors.As(told[0].Err, &storage) || !strings.Contains(storage.Hint, "disk is full") {
			t.Fatalf("told %v", n.list)
		}

		set(&down, true)
		put(t, s, alert("b", 1, "low"), alert("c", 1, "high"), alert("d", 1, "high"))
		if err := s.Report(t.Context(), alert("e", 1, "info")); !errors.Is(err, report.ErrFull) {
			t.Errorf("an info without room: %v", err)
		}
		if st := s.Stats()[0]; st.Queued != 2 || st.Dropped != 2 || len(n.of(report.NoteDropped)) != 2 || len(files(t, dir)) != 0 {
			t.Fatalf("%+v, told %v, files %v", st, n.list, files(t, dir))
		}

		set(&full, false)
		time.Sleep(saveEvery + mostRest) // no alert comes; the worker looks by itself
		synctest.Wait()
		if len(files(t, dir)) != 2 || len(n.of(report.NoteRestored)) != 1 {
			t.Errorf("files %v, told %v", files(t, dir), n.list)
		}

		set(&full, true)
		put(t, s, alert("f", 1, "high")) // told again: it is another time
		if len(n.of(report.NoteStorage)) != 2 {
			t.Errorf("told %v", n.list)
		}
		err = s.Close(t.Context())
		if err == nil || !strings.Contains(err.Error(), "1 alerts") || s.Stats()[0].Dropped != 3 {
			t.Errorf("closed with one alert in memory only: %v, %+v", err, s.Stats()[0])
		}

		set(&down, false)
		sink.got = nil
		s = start(t, sink, Options{Dir: dir})
		stop(t, s)
		if want := []string{"c1", "d1"}; !slices.Equal(sink.got, want) {
			t.Errorf("the next run sent %v", sink.got)
		}
	})
}

func TestCloseSendsWhatIsOnlyInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := true
		sink := &target{answer: func(int, report.Alert) error {
			if down {
				return errors.New("refused")
			}
			return nil
		}}
		s := start(t, sink, Options{Dir: t.TempDir()})
		s.disk.write = func(string, []byte) error { return syscall.ENOSPC }
		put(t, s, alert("a", 1, "high"), alert("b", 1, "high"))
		synctest.Wait() // both rest
		sink.mu.Lock()
		down = false
		sink.mu.Unlock()
		stop(t, s)
		if want := []string{"a1", "b1"}; !slices.Equal(sink.got, want) {
			t.Errorf("got %v", sink.got)
		}
	})
}

func TestCloseEndsByItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		sink := sinkFunc(func(ctx context.Context, _ report.Alert) error {
			<-ctx.Done()
			return ctx.Err()
		})
		s := start(t, sink, Options{Dir: dir})
		put(t, s, alert("a", 1, "high"), alert("b", 1, "high"))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began := time.Now()
		if err := s.Close(ctx); err != nil || time.Since(began) != 5*time.Second {
			t.Errorf("closed after %v: %v", time.Since(began), err)
		}
		synctest.Wait()
		if len(files(t, dir)) != 2 {
			t.Errorf("files %v", files(t, dir))
		}
	})
}

func TestCloseDoesNotWaitForADeadTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		sink := &target{answer: func(int, report.Alert) error { return errors.New("refused") }}
		s := start(t, sink, Options{Dir: dir})
		for i := range 10 {
			put(t, s, alert(fmt.Sprint(i), 1, "high"))
		}
		synctest.Wait()
		began := time.Now()
		stop(t, s)
		if d := time.Since(began); d != 0 || len(files(t, dir)) != 10 {
			t.Errorf("closed after %v, files %v", d, files(t, dir))
		}
	})
}

// TestLeave: the disk does not take alerts and the target does not answer; the spool that takes the place gets them, and
// what is on the disk is neither given back nor lost.
func TestLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		sink := &target{answer: func(int, report.Alert) error { return errors.New("refused") }}
		s := start(t, sink, Options{Dir: dir})
		put(t, s, alert("a", 1, "high"))
		s.disk.write = func(string, []byte) error { return syscall.ENOSPC }
		put(t, s, alert("a", 2, "high"), alert("b", 1, "low"))
		synctest.Wait()
		left, err := s.Leave(t.Context())
		if err != nil || len(left) != 2 || left[0].Revision != 2 || left[1].ID != "b" || s.Stats()[0].Dropped != 0 {
			t.Fatalf("left %v, %v, %+v", left, err, s.Stats())
		}
		if again, err := s.Leave(t.Context()); err != nil || len(again) > 0 {
			t.Errorf("again %v, %v", again, err)
		}
		next := &target{}
		s = start(t, next, Options{Dir: dir})
		put(t, s, left...)
		synctest.Wait()
		if want := []string{"a1", "a2", "b1"}; !slices.Equal(next.got, want) {
			t.Errorf("got %v", next.got)
		}
		stop(t, s)
	})
}

func TestSomebodyRemovedTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		var n notes
		sink := &target{answer: func(attempt int, _ report.Alert) error {
			if attempt == 1 {
				return errors.New("refused")
			}
			return nil
		}}
		s := start(t, sink, Options{Dir: dir, Tell: n.tell})
		put(t, s, alert("a", 1, "high"), alert("b", 1, "high"))
		synctest.Wait()
		if err := os.Remove(files(t, dir)[0]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if !slices.Equal(sink.got, []string{"b1"}) || s.Stats()[0].Dropped != 1 || len(n.of(report.NoteDropped)) != 1 {
			t.Errorf("got %v, %+v, told %v", sink.got, s.Stats()[0], n.list)
		}
		stop(t, s)
	})
}

func TestBadOptions(t *testing.T) {
	if _, err := New(nil, Options{Dir: "x"}); err == nil {
		t.Error("no sink")
	}
	if _, err := New(&target{}, Options{}); err == nil {
		t.Error("no directory")
	}
}

// TestDirectoryThatCannotBe is told, and alerts still arrive.
func TestDirectoryThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var n notes
	sink := &target{}
	s := start(t, sink, Options{Dir: filepath.Join(file, "spool"), Tell: n.tell})
	put(t, s, alert("a", 1, "high"))
	stop(t, s)
	if told := n.of(report.NoteStorage); !slices.Equal(sink.got, []string{"a1"}) || len(told) != 1 || !strings.Contains(told[0].Err.Error(), "a part of the path is a file") {
		t.Errorf("got %v, told %v", sink.got, n.list)
	}
}

type sinkFunc func(ctx context.Context, a report.Alert) error

func (f sinkFunc) Report(ctx context.Context, a report.Alert) error { return f(ctx, a) }

func FuzzDecode(f *testing.F) {
	good, err := encode(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), alert("a", 1, "high"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add([]byte(magic + "\n{}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := decode(data)
		if err != nil {
			if !errors.Is(err, errDamaged) {
				t.Fatalf("%v", err)
			}
			return
		}
		again, err := encode(c.Queued, c.Alert)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decode(again); err != nil || back.Alert.Key() != c.Alert.Key() {
			t.Fatalf("%v", err)
		}
	})
}
