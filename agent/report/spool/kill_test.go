package spool

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minehound/minehound/agent/report"
)

// The test binary starts itself as the program that gets killed when this names what it shall do.
const childEnv = "SPOOL_CHILD"

func TestMain(m *testing.M) {
	if what := os.Getenv(childEnv); what != "" {
		if err := child(what); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child reports alerts through a spool and a webhook and says on standard output which ones were accepted, until it is
// killed; or, asked to "drain", delivers what is left.
func child(what string) error {
	w, err := report.NewWebhook(report.WebhookOptions{Name: "ops", URL: os.Getenv("SPOOL_URL"), Insecure: true})
	if err != nil {
		return err
	}
	s, err := New(w, Options{Dir: os.Getenv("SPOOL_DIR"), Rand: func() float64 { return 0.002 }})
	if err != nil {
		return err
	}
	if what == "drain" {
		for s.Stats()[0].Queued > 0 {
			time.Sleep(time.Millisecond)
		}
		return s.Close(context.Background())
	}
	for i := 0; ; i++ {
		a := alert(fmt.Sprintf("run%s-case%d", what, i/3), i%3+1, "high")
		if err := s.Report(context.Background(), a); err != nil {
			return err
		}
		if _, err := fmt.Println(a.Key()); err != nil {
			return err
		}
	}
}

// intake is the receiver: it refuses some requests for now, and remembers the others.
type intake struct {
	mu    sync.Mutex
	count map[string]int // arrivals by webhook-id
	last  map[string]int // highest revision by case
	wrong []string       // revisions that came before an earlier one
}

func (r *intake) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var m struct {
		Data report.Alert `json:"data"`
	}
	if err := json.NewDecoder(req.Body).Decode(&m); err != nil || m.Data.Key() != req.Header.Get("webhook-id") {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if rand.IntN(10) == 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count[m.Data.Key()]++; r.count[m.Data.Key()] == 1 && m.Data.Revision != r.last[m.Data.ID]+1 {
		r.wrong = append(r.wrong, fmt.Sprint(m.Data.ID, " revision ", m.Data.Revision, " after ", r.last[m.Data.ID]))
	}
	r.last[m.Data.ID] = max(r.last[m.Data.ID], m.Data.Revision)
}

// TestKill kills the reporting program again and again, at any moment, with SIGKILL: whatever it had accepted arrives, in
// order, and at most one alert arrives twice for each kill.
func TestKill(t *testing.T) {
	kills := 40
	if testing.Short() {
		kills = 8
	}
	r := &intake{count: map[string]int{}, last: map[string]int{}}
	srv := httptest.NewServer(r)
	defer srv.Close()
	dir := t.TempDir()
	run := func(what string, life time.Duration) (accepted []string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+what, "SPOOL_URL="+srv.URL, "SPOOL_DIR="+dir)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if life > 0 {
			time.AfterFunc(life, func() { _ = cmd.Process.Kill() })
		}
		for lines := bufio.NewScanner(out); lines.Scan(); {
			accepted = append(accepted, lines.Text())
		}
		if err := cmd.Wait(); life == 0 && err != nil || stderr.Len() > 0 {
			t.Fatalf("child %s: %v: %s", what, err, &stderr)
		}
		return accepted
	}
	var accepted []string
	for i := range kills {
		accepted = append(accepted, run(strconv.Itoa(i), time.Duration(30+rand.IntN(120))*time.Millisecond)...)
	}
	run("drain", 0)

	r.mu.Lock()
	defer r.mu.Unlock()
	twice := 0
	for _, n := range r.count {
		twice += n - 1
	}
	lost := 0
	for _, key := range accepted {
		if r.count[key] == 0 {
			lost++
		}
	}
	t.Logf("%d kills: %d accepted, %d lost, %d arrived twice", kills, len(accepted), lost, twice)
	if len(accepted) < kills {
		t.Errorf("only %d alerts were accepted: the machine is too slow for this to say anything", len(accepted))
	}
	if lost > 0 {
		t.Errorf("%d of %d accepted alerts are lost", lost, len(accepted))
	}
	if twice > kills {
		t.Errorf("%d alerts arrived twice in %d kills", twice, kills)
	}
	if len(r.wrong) > 0 {
		t.Errorf("out of order: %v", r.wrong)
	}
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}
