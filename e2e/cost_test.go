package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestCostOfRun prints what `minehound run` costs on a machine with 200 and with 2,000 processes: its share of one core
// once it has settled, and its memory. It fails when the agent does not live through it, not when a figure is high: figures
// are compared by people. MINEHOUND_COST is for how long each is watched, 20 s by default, 10 minutes in the full form.
func TestCostOfRun(t *testing.T) {
	e2e(t, "sleep", "sh")
	watch := 20 * time.Second
	if full() {
		watch = 10 * time.Minute
	}
	if text := os.Getenv("MINEHOUND_COST"); text != "" {
		var err error
		if watch, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []int{200, 2000} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			crowd(t, n)
			dir := t.TempDir()
			conf := filepath.Join(dir, "minehound.yaml")
			write(t, conf, fmt.Sprintf("log: {path: %s}\nstate_dir: %s\n", filepath.Join(dir, "alerts.jsonl"), filepath.Join(dir, "state")))
			g := start(t, dir, nil, minehound(t), "run", "--config", conf)
			time.Sleep(10 * time.Second) // its first look at everything is dear and comes once
			before, began := cpuTime(t, g.pid()), time.Now()
			time.Sleep(watch)
			if g.ended() {
				t.Fatalf("minehound run ended: %v", g.err)
			}
			spent := cpuTime(t, g.pid()) - before
			t.Logf("%d processes on the machine, watched for %v: %.2f %% of one core, RSS %s (at most %s)", processes(t), watch,
				100*spent.Seconds()/time.Since(began).Seconds(), status(t, g.pid(), "VmRSS"), status(t, g.pid(), "VmHWM"))
			if code := g.stop(); code != 0 {
				t.Errorf("minehound run ended with %d when it was told to stop", code)
			}
		})
	}
}

// crowd adds sleeping processes until there are n on the machine.
func crowd(t *testing.T, n int) {
	t.Helper()
	more := n - processes(t)
	if more <= 0 {
		return
	}
	start(t, "", nil, "sh", "-c", `i=0; while [ $i -lt "$0" ]; do sleep infinity & i=$((i+1)); done; wait`, strconv.Itoa(more))
	eventually(t, 5*time.Minute, fmt.Sprintf("%d processes", n), func() bool { return processes(t) >= n })
}

func processes(t *testing.T) int {
	t.Helper()
	list, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// cpuTime is what a process has used, all threads together.
func cpuTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	var ticks int
	for _, text := range f[11:13] { // utime and stime, see proc_pid_stat(5)
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// status is a line of /proc/PID/status.
func status(t *testing.T, pid int, key string) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.Join(strings.Fields(value), " ")
		}
	}
	t.Fatalf("no %s of process %d", key, pid)
	return ""
}
