package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/report"
)

// A wallet of nobody: the miner works on a chain of its own that is thrown away.
const wallet = "44AFFq5kSiGBoZ4NMDwYtN18obc8AemS33DBLWs3H7otXft3XjrpDtQGv7SqSsaBYBb98uNbr2VBBEt7f2wfn3RVGQBEP3A"

// miner is Debian's monerod, copied under another name, mining RandomX on a regtest chain in a network that holds only
// loopback. Its options stand in a file, so that its command line says nothing.
type miner struct {
	*proc
	space
	begun time.Time
}

// newMiner starts a miner as path with the given argv[0]. It does not hash before mine is called.
func newMiner(t *testing.T, path, arg0 string) *miner {
	t.Helper()
	e2e(t, "monerod", "bash")
	s := newSpace(t)
	home := t.TempDir()
	conf := filepath.Join(home, ".bitmonero", "bitmonero.conf")
	if err := os.MkdirAll(filepath.Dir(conf), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, conf, "regtest=1\noffline=1\nno-igd=1\nfixed-difficulty=100000000\nrpc-bind-port=28081\n"+
		"p2p-bind-ip=127.0.0.1\nlog-level=0\n")
	command(t, "cp", "/usr/bin/monerod", path)
	begun := time.Now()
	// It reads commands from its standard input and ends with it.
	m := &miner{proc: start(t, home, []string{"HOME=" + home},
		s.argv("bash", "-c", `exec -a "$0" "$1" < <(exec sleep infinity)`, arg0, path)...), space: s, begun: begun}
	eventually(t, 90*time.Second, "the miner answers", func() bool {
		if m.ended() {
			t.Fatalf("the miner ended: %v", m.err)
		}
		return strings.Contains(m.post(t, "http://127.0.0.1:28081/get_height", ""), `"height"`)
	})
	return m
}

// mine lets it hash on threads and returns once it has a hash rate.
func (m *miner) mine(threads int) {
	m.t.Helper()
	m.begun = time.Now()
	m.post(m.t, "http://127.0.0.1:28081/start_mining", fmt.Sprintf(
		`{"do_background_mining":false,"ignore_battery":true,"threads_count":%d,"miner_address":%q}`, threads, wallet))
	took := eventually(m.t, 5*time.Minute, "the miner has a hash rate", func() bool {
		var status struct{ Speed int }
		answer := m.post(m.t, "http://127.0.0.1:28081/mining_status", "")
		return json.Unmarshal([]byte(answer), &status) == nil && status.Speed > 0
	})
	m.t.Logf("first hash %.0f s after the order to mine", took.Seconds())
}

// guard is `minehound run` with a log and a webhook of its own.
type guard struct {
	*proc
	log string
}

func newGuard(t *testing.T, hook *receiver) guard {
	t.Helper()
	dir := t.TempDir()
	g := guard{log: filepath.Join(dir, "alerts.jsonl")}
	write(t, filepath.Join(dir, "secret"), hook.secret)
	if err := os.Chmod(filepath.Join(dir, "secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "minehound.yaml")
	write(t, conf, fmt.Sprintf("log:\n  path: %s\nstate_dir: %s\nwebhooks:\n  - name: test\n    url: %s\n    secret_file: %s\n    insecure: true\n",
		g.log, filepath.Join(dir, "state"), hook.url, filepath.Join(dir, "secret")))
	g.proc = start(t, "", nil, minehound(t), "run", "--config", conf)
	eventually(t, 20*time.Second, "the alert log exists", func() bool {
		if g.ended() {
			t.Fatalf("minehound run ended: %v", g.err)
		}
		_, err := os.Stat(g.log)
		return err == nil
	})
	return g
}

// about is the newest alert about a process, at least as bad as one of the verdicts.
func about(list []report.Alert, pid int, verdicts ...string) (report.Alert, bool) {
	for _, a := range slices.Backward(list) {
		if a.Subject.PID == pid && slices.Contains(verdicts, a.Verdict) {
			return a, true
		}
	}
	return report.Alert{}, false
}

// wait waits for an alert about a process in the log and tells how many seconds after begin it came.
func (g guard) wait(t *testing.T, pid int, begin time.Time, within time.Duration) report.Alert {
	t.Helper()
	var a report.Alert
	eventually(t, time.Until(begin.Add(within)), "an alert about the miner", func() bool {
		var ok bool
		a, ok = about(readAlerts(t, g.log), pid, "suspected", "mining")
		return ok
	})
	t.Logf("%s (score %.1f) %.1f s after the first hash:\n%s", a.Verdict, a.Score, time.Since(begin).Seconds(), reasons(a))
	return a
}

// reasons is the sum of an alert for a person.
func reasons(a report.Alert) string {
	var b strings.Builder
	for _, f := range a.Findings {
		fmt.Fprintf(&b, "  %-32s %-11s %5s", f.Rule, f.Class, f.Weight)
		for _, e := range f.Evidence {
			fmt.Fprintf(&b, " %s=%s", e.Field, e.Value)
		}
		b.WriteByte('\n')
	}
	s := a.Sum
	fmt.Fprintf(&b, "  prior %s, proof %s, capability %s, conduct %s, concealment %s: total %s", s.Prior, s.Proof, s.Capability,
		s.Conduct, s.Concealment, s.Total)
	return b.String()
}

// hideout is a directory that no rule can have an opinion on.
func hideout(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/opt", "ledger-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// A real miner under another name, without a word in its arguments or path, is found by what it cannot hide: the sizes
// of its memory and how it works. The alert reaches the log and, signed and on the third try, the webhook. A recording
// of it replays to the same alerts, and to others after a rule was changed.
func TestDisguisedMiner(t *testing.T) {
	e2e(t, "monerod")
	hook := newReceiver(t, 2)
	g := newGuard(t, hook)
	recording := filepath.Join(t.TempDir(), "miner.jsonl.gz")
	rec := start(t, "", nil, minehound(t), "trace", "record", recording, "--duration", "20m")

	bin := filepath.Join(hideout(t), "ledger-sync")
	m := newMiner(t, bin, bin)
	m.mine(runtime.NumCPU())
	a := g.wait(t, m.pid(), time.Now(), time.Minute)

	if a.Sum.Proof != 0 || a.Sum.Concealment != 0 {
		t.Errorf("its name, path and arguments say nothing, yet:\n%s", reasons(a))
	}
	for _, f := range a.Findings {
		for _, e := range f.Evidence {
			if !strings.HasPrefix(e.Field, "memory.") && !strings.HasPrefix(e.Field, "cpu.") && !strings.HasPrefix(e.Field, "group.") &&
				!strings.HasPrefix(e.Field, "machine.") && !strings.HasPrefix(e.Field, "process.") {
				t.Errorf("finding %s rests on %s", f.Rule, e.Field)
			}
			if strings.Contains(strings.ToLower(e.Value), "moner") || strings.Contains(e.Value, wallet) {
				t.Errorf("finding %s rests on a name: %s", f.Rule, e.Value)
			}
		}
	}
	if a.Subject.Exe != bin {
		t.Errorf("exe %q, want %q", a.Subject.Exe, bin)
	}
	if a.Host.ID == "" || a.Host.BootID == "" || a.Cost.CPUSeconds <= 0 || len(a.Advice) == 0 {
		t.Errorf("the alert lacks its host, cost or advice: %+v", a)
	}

	var came delivery
	eventually(t, time.Minute, "the webhook is served", func() bool {
		for _, d := range hook.taken(t) {
			if d.alert.ID == a.ID {
				came = d
				return true
			}
		}
		return false
	})
	all := hook.deliveries()
	if len(all) < 3 || all[0].taken || all[1].taken || all[0].id != all[1].id {
		t.Errorf("%d requests; the first two were to fail under one id", len(all))
	}
	t.Logf("webhook taken at request %d under id %s", slices.IndexFunc(all, func(d delivery) bool { return d.id == came.id && d.taken })+1, came.id)

	time.Sleep(20 * time.Second) // some of its steady life for the recording
	if text, _, code := output(t, minehound(t), "scan", "--duration", "12s", "--pid", strconv.Itoa(m.pid())); code != 1 {
		t.Errorf("scan ended with %d:\n%s", code, text)
	} else {
		t.Logf("scan says:\n%s", text)
	}
	m.stop()
	rec.signal(syscall.SIGINT)
	eventually(t, 10*time.Second, "the recording ends", rec.ended)
	keep(t, recording, "miners/disguised", m.pid())
	replayed(t, recording, a)
	if g.signal(syscall.SIGTERM); true {
		eventually(t, 15*time.Second, "the guard stops", g.ended)
	}
	if code := g.cmd.ProcessState.ExitCode(); code != 128+int(syscall.SIGTERM) && code != 0 {
		t.Errorf("run ended with %d", code)
	}
}

// replayed holds a recording of the miner against its alert.
func replayed(t *testing.T, recording string, a report.Alert) {
	t.Helper()
	first, _, code := output(t, minehound(t), "trace", "replay", recording, "--output", "jsonl")
	again, _, _ := output(t, minehound(t), "trace", "replay", recording, "--output", "jsonl")
	if code != 1 {
		t.Errorf("the replay ended with %d", code)
	}
	if first != again {
		t.Error("two replays differ")
	}
	got, ok := about(parseAlerts(t, first), a.Subject.PID, "suspected", "mining")
	if !ok || got.ID != a.ID {
		t.Errorf("the replay does not find the case %s:\n%s", a.ID, first)
	}
	tiled, _, _ := output(t, minehound(t), "trace", "replay", recording, "--output", "jsonl", "--tile", "2h")
	if long, ok := about(parseAlerts(t, tiled), a.Subject.PID, "suspected", "mining"); !ok {
		t.Errorf("tiled to two hours the miner is gone:\n%s", tiled)
	} else {
		t.Logf("after two hours:\n%s", reasons(long))
	}
	// The same recording after the rules that weigh capability were switched off.
	rules := t.TempDir()
	for _, f := range a.Findings {
		if f.Class != detect.Capability {
			continue
		}
		text, err := os.ReadFile(filepath.Join("..", "rules", f.Rule+".yml"))
		if err != nil {
			t.Fatal(err)
		}
		weight := fmt.Sprintf("weight: %d", int(f.Weight.Float()))
		if !strings.Contains(string(text), weight) {
			t.Fatalf("rule %s does not say %q", f.Rule, weight)
		}
		write(t, filepath.Join(rules, f.Rule+".yml"), strings.Replace(string(text), weight, "weight: 0", 1))
	}
	changed, _, code := output(t, minehound(t), "trace", "replay", recording, "--output", "jsonl", "--rules", rules)
	if _, still := about(parseAlerts(t, changed), a.Subject.PID, "suspected", "mining"); still || code != 0 {
		t.Errorf("judged by changed rules it ended with %d:\n%s", code, changed)
	}
}

// Under its own name a miner is suspected within 15 seconds.
func TestNamedMiner(t *testing.T) {
	e2e(t, "monerod")
	g := newGuard(t, newReceiver(t, 0))
	recording := filepath.Join(t.TempDir(), "miner.jsonl.gz")
	rec := start(t, "", nil, minehound(t), "trace", "record", recording, "--duration", "20m")
	bin := filepath.Join(hideout(t), "xmrig")
	m := newMiner(t, bin, bin)
	m.mine(runtime.NumCPU())
	first := time.Now()
	a := g.wait(t, m.pid(), first, 15*time.Second)
	if !slices.ContainsFunc(a.Findings, func(f report.Finding) bool {
		return slices.ContainsFunc(f.Evidence, func(e detect.Evidence) bool { return strings.Contains(e.Value, "xmrig") })
	}) {
		t.Errorf("no finding names it:\n%s", reasons(a))
	}
	rec.signal(syscall.SIGINT)
	eventually(t, 10*time.Second, "the recording ends", rec.ended)
	keep(t, recording, "miners/named", m.pid())
}

func parseAlerts(t *testing.T, jsonl string) []report.Alert {
	t.Helper()
	var list []report.Alert
	for line := range strings.Lines(jsonl) {
		var a report.Alert
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if a.Schema == report.Schema {
			list = append(list, a)
		}
	}
	return list
}
