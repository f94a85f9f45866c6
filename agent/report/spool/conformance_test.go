package spool_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minehound/minehound/agent/incident"
	"github.com/minehound/minehound/agent/report"
	"github.com/minehound/minehound/agent/report/spool"
)

// whole is what every sink and every wrapper is.
type whole interface {
	report.Sink
	report.Closer
	report.Teller
}

// inbox counts the alerts that came out at the far end, by key.
type inbox struct {
	mu    sync.Mutex
	count map[string]int
}

func newInbox() *inbox { return &inbox{count: map[string]int{}} }

func (b *inbox) Report(ctx context.Context, a report.Alert) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count[a.Key()]++
	return nil
}

func (b *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var m struct {
		Type string       `json:"type"`
		Data report.Alert `json:"data"`
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(body, &m) != nil || !strings.HasPrefix(m.Type, "minehound.alert.") {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count[m.Data.Key()]++
}

// arrivals is how often each key came out of a sink that was closed.
type arrivals func(t *testing.T) map[string]int

// every makes each sink and wrapper anew.
func every() map[string]func(t *testing.T) (whole, arrivals) {
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	log := func(t *testing.T) (whole, arrivals) {
		t.Helper()
		dir := t.TempDir()
		l, err := report.NewLog(report.LogOptions{Path: filepath.Join(dir, "alerts.jsonl")})
		must(t, err)
		return l, func(t *testing.T) map[string]int {
			t.Helper()
			count := map[string]int{}
			read, err := report.ReadLog(os.DirFS(dir), "alerts.jsonl", func(a report.Alert) bool { count[a.Key()]++; return true })
			if err != nil && !errors.Is(err, os.ErrNotExist) || read.Torn > 0 || read.Foreign > 0 {
				t.Errorf("%+v, %v", read, err)
			}
			return count
		}
	}
	webhook := func(t *testing.T) (whole, arrivals) {
		t.Helper()
		b := newInbox()
		srv := httptest.NewServer(b)
		t.Cleanup(srv.Close)
		w, err := report.NewWebhook(report.WebhookOptions{Name: "ops", URL: srv.URL, Insecure: true})
		must(t, err)
		return w, func(*testing.T) map[string]int { return b.count }
	}
	spooled := func(t *testing.T, s report.Sink) whole {
		t.Helper()
		w, err := spool.New(s, spool.Options{Dir: t.TempDir()})
		must(t, err)
		return w
	}
	return map[string]func(t *testing.T) (whole, arrivals){
		"log": log, "webhook": webhook,
		"at least(log)": func(t *testing.T) (whole, arrivals) {
			t.Helper()
			s, out := log(t)
			return report.AtLeast(incident.Notice, s), out
		},
		"spool(webhook)": func(t *testing.T) (whole, arrivals) {
			t.Helper()
			s, out := webhook(t)
			return spooled(t, s), out
		},
		"all(log)": func(t *testing.T) (whole, arrivals) {
			t.Helper()
			s, out := log(t)
			return report.All(report.AllOptions{}, s), out
		},
		"all(at least(spool(webhook)), log)": func(t *testing.T) (whole, arrivals) {
			t.Helper()
			s, out := webhook(t)
			l, _ := log(t)
			return report.All(report.AllOptions{}, report.AtLeast(incident.Notice, spooled(t, s)), l), out
		},
		"spool(a plain sink)": func(t *testing.T) (whole, arrivals) {
			t.Helper()
			b := newInbox()
			return spooled(t, b), func(*testing.T) map[string]int { return b.count }
		},
	}
}

func testAlert(id string, revision int) report.Alert {
	return report.Alert{
		Schema: report.Schema, ID: id, Revision: revision, Status: incident.Open, Verdict: "mining", Severity: "critical",
		Time: time.Unix(1_800_000_000, 0).UTC(), Subject: report.Subject{Kind: "process", Name: "x"},
		Findings: []report.Finding{{Rule: "r", Class: "proof", Weight: 600}},
	}
}

// TestConformance holds every sink and wrapper to what Sink, Closer and Teller promise.
func TestConformance(t *testing.T) {
	checks := map[string]func(t *testing.T, s whole, out arrivals){
		"many at once": func(t *testing.T, s whole, out arrivals) {
			t.Helper()
			var wg sync.WaitGroup
			for g := range 8 {
				wg.Go(func() {
					for i := range 10 {
						if err := s.Report(t.Context(), testAlert(string(rune('a'+g)), i+1)); err != nil {
							t.Error(err)
						}
						s.Stats()
					}
				})
			}
			wg.Wait()
			finish(t, s)
			if got := out(t); len(got) != 80 {
				t.Errorf("%d alerts arrived", len(got))
			}
			for _, st := range s.Stats() {
				if st.Sink == "" || st.Delivered != 80 || st.Queued+int(st.Dropped+st.Dead+st.Failed) != 0 {
					t.Errorf("%+v", st)
				}
			}
		},
		"same alert twice": func(t *testing.T, s whole, out arrivals) {
			t.Helper()
			for range 2 {
				if err := s.Report(t.Context(), testAlert("a", 1)); err != nil {
					t.Error(err)
				}
			}
			finish(t, s)
			if got := out(t); len(got) != 1 || got[testAlert("a", 1).Key()] > 2 {
				t.Errorf("arrived %v", got)
			}
		},
		"hostile and empty": func(t *testing.T, s whole, out arrivals) {
			t.Helper()
			evil := "a\x1b[2J\r\n{\"schema\":\"x\"}\u202e\xff\x00../../etc/passwd"
			a := testAlert(evil, 1)
			a.Subject.Name, a.Advice = evil, []string{evil} // not cleaned: no sink may break on it
			for _, a := range []report.Alert{a, {Schema: report.Schema, ID: "e", Verdict: "mining"}} {
				if err := s.Report(t.Context(), a); err != nil {
					t.Error(err)
				}
			}
			finish(t, s)
			if got := out(t); len(got) != 2 {
				t.Errorf("arrived %v", got)
			}
		},
		"canceled": func(t *testing.T, s whole, out arrivals) {
			t.Helper()
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			err := s.Report(ctx, testAlert("a", 1))
			finish(t, s)
			if n := out(t)[testAlert("a", 1).Key()]; (err == nil) != (n == 1) {
				t.Errorf("said %v, %d arrived", err, n)
			}
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("%v does not say why", err)
			}
		},
		"closed": func(t *testing.T, s whole, out arrivals) {
			t.Helper()
			finish(t, s)
			finish(t, s)
			if err := s.Report(t.Context(), testAlert("a", 1)); !errors.Is(err, report.ErrClosed) {
				t.Errorf("report after close: %v", err)
			}
			if got := out(t); len(got) != 0 {
				t.Errorf("arrived %v", got)
			}
		},
		"closed in the middle": func(t *testing.T, s whole, out arrivals) {
			t.Helper()
			var accepted []string
			var wg sync.WaitGroup
			wg.Go(func() {
				for i := range 200 {
					a := testAlert("a", i+1)
					switch err := s.Report(t.Context(), a); {
					case err == nil:
						accepted = append(accepted, a.Key())
					case !errors.Is(err, report.ErrClosed):
						t.Error(err)
					}
				}
			})
			time.Sleep(time.Millisecond)
			finish(t, s)
			wg.Wait()
			got := out(t)
			if missing := slices.IndexFunc(accepted, func(k string) bool { return got[k] == 0 }); missing >= 0 {
				t.Errorf("%d accepted, %d arrived", len(accepted), len(got))
			}
		},
	}
	for name, fresh := range every() {
		for what, check := range checks {
			t.Run(name+"/"+what, func(t *testing.T) {
				s, out := fresh(t)
				check(t, s, out)
			})
		}
	}
}

func finish(t *testing.T, s whole) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
}
