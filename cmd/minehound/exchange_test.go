package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/minehound/minehound/agent"
	"github.com/minehound/minehound/agent/config"
	"github.com/minehound/minehound/agent/report"
	"github.com/minehound/minehound/agent/store"
)

// bin is a sink of a name of its own that takes what it is given as soon as it is let, and leaves behind what it is told to.
type bin struct {
	let  chan struct{} // nil takes at once
	left []report.Alert

	mu  sync.Mutex
	got []string
}

func (b *bin) Report(_ context.Context, a report.Alert) error {
	if b.let != nil {
		<-b.let
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, fmt.Sprint(a.ID, a.Revision))
	return nil
}

func (b *bin) has() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.got)
}

func (b *bin) Stats() []report.Stats                         { return []report.Stats{{Sink: "bin"}} }
func (b *bin) Close(context.Context) error                   { return nil }
func (b *bin) Leave(context.Context) ([]report.Alert, error) { return b.left, nil }
func told(id string, revision int) report.Alert {
	return report.Alert{ID: id, Revision: revision, Severity: "high"}
}
func sinksOf(list ...report.Sink) *sinks {
	return &sinks{all: report.All(report.AllOptions{}, list...)}
}
func opening(s *sinks) func() (*sinks, error) { return func() (*sinks, error) { return s, nil } }

// TestCasesAreSavedAfterTheirAlerts: a case that is saved is not told again by the next run, so a kill between saving and
// telling would lose it.
func TestCasesAreSavedAfterTheirAlerts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		kept, err := store.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		slow := &bin{let: make(chan struct{})}
		s := &service{log: zerolog.Nop(), store: kept, sinks: &exchange{now: sinksOf(slow)}}
		if err := s.sinks.Report(t.Context(), told("a", 1)); err != nil {
			t.Fatal(err)
		}
		saved := func(name string) bool {
			_, err := os.Stat(filepath.Join(dir, name+".json"))
			return err == nil
		}

		// A sink that does not come to an end holds up saving no longer than its time, and the cases stay unsaved.
		began := time.Now()
		if err := s.save(agent.State{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("saved: %v", err)
		}
		if d := time.Since(began); d != closing {
			t.Errorf("waited %v", d)
		}
		if saved(casesDocument) || !saved(windowDocument) {
			t.Errorf("cases saved %v, windows saved %v", saved(casesDocument), saved(windowDocument))
		}

		done := make(chan error)
		go func() { done <- s.save(agent.State{}) }()
		synctest.Wait()
		if saved(casesDocument) {
			t.Error("the cases were saved while their alert was in memory only")
		}
		close(slow.let)
		if err := <-done; err != nil || !saved(casesDocument) || !slices.Equal(slow.has(), []string{"a1"}) {
			t.Errorf("saved %v: %v, told %v", saved(casesDocument), err, slow.has())
		}
		if err := errors.Join(s.sinks.close(), kept.Close()); err != nil {
			t.Error(err)
		}
	})
}

// TestSwapLosesNothing exchanges sinks while alerts come in, wait in the queue, and are left behind by the old sink.
func TestSwapLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := &bin{let: make(chan struct{}), left: []report.Alert{told("kept", 1), told("kept", 2)}}
		next := &bin{}
		x := &exchange{now: sinksOf(old)}
		report := func(a report.Alert) {
			t.Helper()
			if err := x.Report(t.Context(), a); err != nil {
				t.Error(err)
			}
		}
		report(told("a", 1)) // the old one has it in hand
		synctest.Wait()
		report(told("a", 2)) // stands in its queue
		swapped := make(chan error)
		go func() { swapped <- x.swap(opening(sinksOf(next))) }()
		synctest.Wait()
		report(told("a", 3)) // comes in the meantime
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := x.Flush(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("flushed in the middle of it: %v", err)
		}
		flushed := make(chan error)
		go func() { flushed <- x.Flush(t.Context()) }()
		time.Sleep(2 * closing)
		close(old.let)
		if err := <-swapped; err == nil {
			t.Error("a sink that did not end in time was not told")
		}
		if err := <-flushed; err != nil {
			t.Error(err)
		}
		if want := []string{"kept1", "kept2", "a2", "a3"}; !slices.Equal(next.has(), want) {
			t.Errorf("the new sink got %v, want %v", next.has(), want)
		}
		synctest.Wait()
		if want := []string{"a1"}; !slices.Equal(old.has(), want) {
			t.Errorf("the old sink got %v, want %v", old.has(), want)
		}
		if err := x.close(); err != nil {
			t.Error(err)
		}
	})
}

// TestSwapBoundsWhatWaits: exchanging may take as long as a disk hangs.
func TestSwapBoundsWhatWaits(t *testing.T) {
	x := &exchange{now: sinksOf(), moved: make(chan struct{})}
	for i := range mostMoving {
		if err := x.Report(t.Context(), told("a", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.Report(t.Context(), told("b", 1)); !errors.Is(err, report.ErrFull) {
		t.Errorf("one too many: %v", err)
	}
}

// TestReloadToAnotherLog: the log cannot be written, its owner names another place, and what waited goes there.
func TestReloadToAnotherLog(t *testing.T) {
	dir := t.TempDir()
	var log strings.Builder
	s := &service{p: &program{}, log: zerolog.New(&log)}
	conf := func(path string) *config.Config {
		c := config.Default(config.Paths{State: filepath.Join(dir, "state"), Log: filepath.Join(dir, path)})
		return c
	}
	var err error
	s.config = conf("logs/alerts.jsonl")
	if s.plan, err = s.p.planSinks(s.config, s.log); err != nil {
		t.Fatal(err)
	}
	opened, err := s.plan.sinks()
	if err != nil {
		t.Fatal(err)
	}
	s.sinks = &exchange{now: opened}
	if err := os.RemoveAll(filepath.Join(dir, "logs")); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "logs"), "in the way")
	a := sample()
	if err := errors.Join(s.sinks.Report(t.Context(), a), s.sinks.Flush(t.Context())); err != nil {
		t.Fatal(err)
	}

	// A place that is no better leaves everything as it is.
	if err := s.exchangeSinks(conf("logs/other/alerts.jsonl")); exitCode(err) != exitUsage {
		t.Errorf("exchanged for a log that cannot be: %v", err)
	}
	if err := s.exchangeSinks(conf("new.jsonl")); err != nil {
		t.Error(err)
	}
	if err := s.sinks.close(); err != nil {
		t.Error(err)
	}
	list, read, err := report.Latest(os.DirFS(dir), "new.jsonl", 0)
	if err != nil || read.Alerts != 1 || len(list) != 1 || list[0].Key() != a.Key() {
		t.Errorf("the new log has %d alerts (%v):\n%s", read.Alerts, err, log.String())
	}
}

// TestSecretIsRotated: the configuration names the same file, which holds another secret now.
func TestSecretIsRotated(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "ops")
	write := func(letter string) {
		t.Helper()
		text := "whsec_" + strings.Repeat(letter, 40) + "\n\n"
		if err := os.WriteFile(secret, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a")
	c := config.Default(config.Paths{State: dir})
	c.Webhooks = []config.Webhook{{Name: "ops", URL: "https://example.org/hook", SecretFile: secret, Verdict: "suspected"}}
	p := &program{}
	plan := func() *plan {
		t.Helper()
		pl, err := p.planSinks(c, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		return pl
	}
	before := plan()
	if !plan().same(before) {
		t.Error("nothing changed, and the sinks would be exchanged")
	}
	write("b")
	if plan().same(before) {
		t.Error("another secret is not taken over")
	}
	c.Webhooks[0].Origin = config.Origin{Name: "elsewhere"}
	write("a")
	if !plan().same(before) {
		t.Error("where a webhook is written is no reason to exchange it")
	}
}

// TestOpenLog refuses places that time will not mend.
func TestOpenLog(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "file"), "x")
	for name, want := range map[string]int{"file/alerts.jsonl": exitUsage, ".": exitUsage, "fine/alerts.jsonl": exitClean} {
		log, err := openLog(config.Default(config.Paths{Log: filepath.Join(dir, name)}), func(report.Note) {})
		if exitCode(err) != want {
			t.Errorf("%s: %v, exit code %d", name, err, exitCode(err))
		}
		if log != nil {
			if err := log.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
}
