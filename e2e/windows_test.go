package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minehound/minehound/agent/host"
	"github.com/minehound/minehound/agent/report"
)

// wine is a Windows machine as far as wine 8 is one: a prefix of its own, without network, in a PID namespace that ends
// with the call.
type wine struct {
	dir string // drive C is below it
	env []string
}

// newWine makes the prefix and puts the stand-in for the library in it that Go programs need and wine lacks.
func newWine(t *testing.T) *wine {
	t.Helper()
	needRoot(t)
	need(t, "wine", "unshare", "x86_64-w64-mingw32-as", "x86_64-w64-mingw32-ld", "x86_64-w64-mingw32-dlltool")
	dir := t.TempDir()
	w := &wine{dir: dir, env: []string{
		"WINEPREFIX=" + filepath.Join(dir, "prefix"), "WINEDEBUG=-all", "WINEARCH=win64", "DISPLAY=", "HOME=" + dir,
	}}
	if said, code := w.run(t, "timeout", "300", "wineboot", "-i"); code != 0 {
		t.Fatalf("make a wine prefix: exit code %d\n%s", code, said)
	}
	w.library(t)
	return w
}

// library assembles bcryptprimitives.dll and installs it.
func (w *wine) library(t *testing.T) {
	t.Helper()
	const tool = "x86_64-w64-mingw32-"
	in := func(name string) string { return filepath.Join(w.dir, name) }
	write(t, in("advapi32.def"), "LIBRARY advapi32.dll\nEXPORTS\nSystemFunction036\n")
	command(t, tool+"dlltool", "-d", in("advapi32.def"), "-l", in("libadvapi32.a"))
	command(t, tool+"as", "testdata/bcryptprimitives.s", "-o", in("b.o"))
	command(t, tool+"ld", "-shared", "--entry=DllMain", "-o", in("prefix/drive_c/windows/system32/bcryptprimitives.dll"), in("b.o"), in("libadvapi32.a"))
}

// run runs a command line where nothing is but the prefix, and returns what it printed (its stderr is not Windows').
func (w *wine) run(t *testing.T, argv ...string) (stdout string, code int) {
	t.Helper()
	// wineserver outlives the program; it ends with the namespace.
	script := `ip link set lo up; "$@"; code=$?; wineserver -k 2>/dev/null; exit $code`
	p := start(t, w.dir, w.env, append([]string{"unshare", "-n", "-p", "-f", "--mount-proc", "--kill-child", "bash", "-c", script, "bash"}, argv...)...)
	select {
	case <-p.done:
	case <-time.After(6 * time.Minute):
		t.Fatalf("%s hangs", strings.Join(argv, " "))
	}
	b, err := os.ReadFile(p.stdout)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), p.cmd.ProcessState.ExitCode()
}

// scan is what `minehound scan --output json` prints, as far as the tests look at it.
type scan struct {
	Schema  string
	Verdict string
	Alerts  []report.Alert
	Gaps    []host.Gap
	Stats   struct{ Processes int }
}

// TestWindows runs the Windows program under wine: it starts, it sees the processes there, and names what it cannot see.
func TestWindows(t *testing.T) {
	e2e(t)
	w := newWine(t)
	exe := filepath.Join(w.dir, "prefix", "drive_c", "minehound.exe")
	if err := build(t.Context(), "windows", "amd64", exe); err != nil {
		t.Fatal(err)
	}

	// The sensors' own test on a live machine: it must find itself working.
	test := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", filepath.Join(w.dir, "prefix", "drive_c", "sense.test.exe"), "../agent/sense")
	test.Env = platform("windows", "amd64")
	if said, err := test.CombinedOutput(); err != nil {
		t.Fatalf("build the sensors' test: %v\n%s", err, said)
	}
	said, code := w.run(t, "timeout", "120", "wine", `C:\sense.test.exe`, "-test.v", "-test.run", "^TestLive")
	if code != 0 || strings.Count(said, "--- PASS: TestLive") != 2 {
		t.Errorf("sensors: exit code %d\n%s", code, said)
	}

	said, code = w.run(t, "timeout", "120", "wine", `C:\minehound.exe`, "version")
	if code != 0 || !strings.HasPrefix(said, "minehound ") || !strings.Contains(said, "windows/amd64") {
		t.Errorf("version: exit code %d, printed %q", code, said)
	}

	said, code = w.run(t, "timeout", "180", "wine", `C:\minehound.exe`, "scan", "--duration", "6s", "--output", "json")
	var s scan
	if err := json.Unmarshal([]byte(said), &s); err != nil {
		t.Fatalf("scan: exit code %d, %v in %q", code, err, said)
	}
	if code != 0 || s.Schema != "minehound.scan/v1" || s.Verdict != "clean" {
		t.Errorf("scan: exit code %d, schema %q, verdict %q, want a clean one:\n%s", code, s.Schema, s.Verdict, said)
	}
	// services.exe, plugplay.exe, svchost.exe, winedevice.exe, explorer.exe and the scanner itself.
	if s.Stats.Processes < 5 {
		t.Errorf("scan saw %d processes", s.Stats.Processes)
	}
	gaps := map[string]bool{}
	for _, g := range s.Gaps {
		gaps[g.Sensor] = true
	}
	for _, sensor := range []string{"events", "affinity", "memory", "environment", "gpu"} {
		if !gaps[sensor] {
			t.Errorf("scan does not name the gap %q; gaps: %+v", sensor, s.Gaps)
		}
	}
	for _, sensor := range []string{"machine", "processes"} {
		if gaps[sensor] {
			t.Errorf("scan is blind where wine is not: %+v", s.Gaps)
		}
	}
	windowsMiner(t, w)
}

// windowsMiner is the twin of the clean scan: the same with a program that has a miner's name and arguments and works.
func windowsMiner(t *testing.T, w *wine) {
	t.Helper()
	hot := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(w.dir, "prefix", "drive_c", "xmrig.exe"), "./testdata/hot")
	hot.Env = platform("windows", "amd64")
	if said, err := hot.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, said)
	}
	const script = `wine 'C:\xmrig.exe' -o stratum+tcp://pool.example.net:3333 -u "$0" -p "let me in" >/dev/null & sleep 3
		exec timeout 180 wine 'C:\minehound.exe' scan --duration 14s --output json`
	said, code := w.run(t, "bash", "-c", script, wallet)
	var s scan
	if err := json.Unmarshal([]byte(said), &s); err != nil {
		t.Fatalf("scan: exit code %d, %v in %q", code, err, said)
	}
	for _, a := range s.Alerts {
		if a.Subject.Name != "xmrig.exe" {
			continue
		}
		t.Logf("%s (score %.1f):\n%s", a.Verdict, a.Score, reasons(a))
		if a.Sum.Capability.Float() < 15 {
			t.Errorf("capability %v of a program with a miner's name, flags, pool and wallet", a.Sum.Capability)
		}
		if a.Subject.Exe != `C:\xmrig.exe` || len(a.Subject.Args) != 7 || a.Subject.Args[4] != wallet || a.Subject.Args[6] == "let me in" {
			t.Errorf("executable %s, arguments %q: want the wallet shown and the password hidden", a.Subject.Exe, a.Subject.Args)
		}
		return
	}
	t.Errorf("the miner was not found:\n%s", said)
}
