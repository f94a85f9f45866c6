package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A load is honest heavy work. Everything it needs is made by prepare in dir; argv is what then runs until it is ended.
type load struct {
	name    string
	process string // comm of the process that must be seen working
	prepare func(t *testing.T, dir string) (argv []string)
	env     []string
	dir     string // working directory, "" is the load's own
}

// loads are the programs that the product promises to leave alone, the near misses that detectors before us paid for
// among them: a test binary in /tmp, a bundle that unpacks itself there, an image that mounts itself there.
func loads() []load {
	return []load{
		{name: "stress-ng", process: "stress-ng-cpu", prepare: argv("stress-ng", "--cpu", "2", "--timeout", "600")},
		{name: "openssl-speed", process: "openssl", prepare: argv("openssl", "speed", "-multi", "2", "-seconds", "100", "aes-256-cbc")},
		{name: "7z", process: "7z", prepare: argv("7z", "b", "20", "-mmt2")},
		{name: "gcc", process: "cc1", prepare: prepareGCC},
		{name: "ffmpeg", process: "ffmpeg", prepare: argv("ffmpeg", "-hide_banner", "-loglevel", "error", "-f", "lavfi", "-i",
			"testsrc2=size=1280x720:rate=30", "-c:v", "libx264", "-preset", "medium", "-f", "null", "-")},
		{name: "node", process: "node", prepare: argv("node", "-e",
			"let x=0; for(;;){ for(let i=0;i<1e8;i++){ x=(x*31+i)|0 } }")},
		{name: "go-test", process: "hot.test", prepare: prepareGoTest},
		{name: "appimage", process: "render", prepare: prepareAppImage},
		{name: "pyinstaller", process: "report", prepare: preparePyInstaller},
	}
}

func argv(args ...string) func(*testing.T, string) []string {
	return func(*testing.T, string) []string { return args }
}

// hotC is a program that computes for ever on as many threads as it is told, in floating point like a renderer does.
const hotC = `#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <stdio.h>
static volatile double sink;
static void *work(void *p) {
	double x = 1.5; unsigned char *m = malloc(8 << 20);
	for (;;) { for (int i = 0; i < 1 << 22; i++) { x = x * 1.0000001 + 0.3; m[(i * 4099u) & ((8 << 20) - 1)] += (unsigned char)x; } sink = x; }
	return p;
}
int main(int n, char **v) {
	if (n > 2 && !strcmp(v[1], "--unpack")) { /* a PyInstaller bootloader: unpack, then run itself again as the child */
		char lib[512]; snprintf(lib, sizeof lib, "%s/libpython3.11.so.1.0", v[2]);
		FILE *f = fopen(lib, "w"); if (!f) return 1;
		for (int i = 0; i < 1 << 20; i++) fputc(i * 2654435761u >> 24, f);
		fclose(f); setenv("_MEIPASS2", v[2], 1);
		if (fork() == 0) { char *a[] = { v[0], "2", 0 }; execv(v[0], a); }
		pause();
	}
	int k = n > 1 ? atoi(v[1]) : 1; pthread_t t;
	for (int i = 1; i < k; i++) pthread_create(&t, 0, work, 0);
	work(0);
}
`

func compileHot(t *testing.T, dir, out string) {
	t.Helper()
	src := filepath.Join(dir, "hot.c")
	write(t, src, hotC)
	command(t, "gcc", "-O2", "-pthread", "-o", out, src)
}

// prepareGCC writes one large C file: enough functions to keep cc1 busy for minutes.
func prepareGCC(t *testing.T, dir string) []string {
	var b strings.Builder
	b.WriteString("#include <math.h>\n")
	for i := range 60000 {
		fmt.Fprintf(&b, "double f%d(double x,int n){double s=0;for(int i=0;i<n;i++){s+=sin(x*%d)+cos(x/(i+1));if(s>%d)s-=n*x;}return s;}\n", i, i+1, i*7)
	}
	src := filepath.Join(dir, "large.c")
	write(t, src, b.String())
	return []string{"gcc", "-O3", "-funroll-loops", "-c", src, "-o", filepath.Join(dir, "large.o")}
}

// prepareGoTest makes a test that computes for minutes; `go test` builds and runs it in a directory under /tmp.
func prepareGoTest(t *testing.T, dir string) []string {
	write(t, filepath.Join(dir, "go.mod"), "module hot\n\ngo 1.22\n")
	write(t, filepath.Join(dir, "hot_test.go"), `package hot

import (
	"crypto/sha256"
	"testing"
	"time"
)

func TestHot(t *testing.T) {
	for range 2 {
		go func() { for s := [32]byte{}; ; { s = sha256.Sum256(s[:]) } }()
	}
	time.Sleep(10 * time.Minute)
}
`)
	return []string{"go", "-C", dir, "test", "-timeout", "0", "./..."}
}

// prepareAppImage runs a renderer out of a mount below /tmp, as an AppImage does.
func prepareAppImage(t *testing.T, dir string) []string {
	mount, err := os.MkdirTemp("/tmp", ".mount_Render")
	if err != nil {
		t.Fatal(err)
	}
	command(t, "mount", "-t", "tmpfs", "-o", "size=64m,mode=0755,nosuid,nodev", "Render.AppImage", mount)
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", mount).CombinedOutput(); err != nil {
			t.Errorf("umount %s: %v: %s", mount, err, out)
		}
		if err := os.Remove(mount); err != nil {
			t.Error(err)
		}
	})
	bin := filepath.Join(mount, "usr", "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	compileHot(t, dir, filepath.Join(bin, "render"))
	return []string{filepath.Join(bin, "render"), "2"}
}

// preparePyInstaller runs a program that unpacks its libraries to /tmp/_MEI… and starts itself again as its own child.
func preparePyInstaller(t *testing.T, dir string) []string {
	unpack, err := os.MkdirTemp("/tmp", "_MEI")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(unpack) })
	home := filepath.Join(dir, "Downloads")
	if err := os.MkdirAll(home, 0o755); err != nil {
		t.Fatal(err)
	}
	compileHot(t, dir, filepath.Join(home, "report"))
	return []string{filepath.Join(home, "report"), "--unpack", unpack}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// Honest heavy work is recorded, judged, and judged again as if it had gone on for two hours. What counts is the sum:
// no capability, next to no concealment; conduct is printed, since hard work is conduct.
func TestHonestLoads(t *testing.T) {
	e2e(t)
	minehound(t) // built before the machine is busy
	for _, l := range loads() {
		t.Run(l.name, func(t *testing.T) {
			argv := l.prepare(t, t.TempDir())
			e2e(t, strings.Fields(argv[0])[0])
			work := start(t, l.dir, l.env, argv...)
			eventually(t, 60*time.Second, l.process+" works", func() bool {
				if work.ended() {
					t.Fatalf("%s ended: %v", argv[0], work.err)
				}
				return cpuOf(t, l.process) > time.Second
			})
			recording := filepath.Join(t.TempDir(), "load.jsonl.gz")
			before := cpuOf(t, l.process)
			if _, stderr, code := output(t, minehound(t), "trace", "record", recording, "--duration", span()); code != 0 {
				t.Fatalf("trace record ended with %d: %s", code, stderr)
			}
			t.Logf("%s used %.1f CPU seconds meanwhile", l.process, (cpuOf(t, l.process) - before).Seconds())
			work.stop()
			keep(t, recording, "honest/"+l.name, work.pid())
			quiet(t, recording)
			quiet(t, recording, "--tile", "2h")
		})
	}
}

// span is how long each load is recorded.
func span() string {
	if full() {
		return "10m"
	}
	return "24s"
}

// quiet holds the sum of every case in a recording against what an honest program may have.
func quiet(t *testing.T, recording string, args ...string) {
	t.Helper()
	out, stderr, code := output(t, append([]string{minehound(t), "trace", "replay", recording, "--output", "jsonl"}, args...)...)
	if code != 0 {
		t.Errorf("replay %v ended with %d: %s", args, code, stderr)
	}
	for _, a := range parseAlerts(t, out) {
		if a.Sum.Proof != 0 || a.Sum.Capability != 0 || a.Sum.Concealment > 30 || a.Verdict != "notice" {
			t.Errorf("%s %s is %s:\n%s", a.Subject.Name, a.Subject.Exe, a.Verdict, reasons(a))
		}
	}
	for _, a := range parseAlerts(t, out) {
		t.Logf("%v %s: conduct %s, concealment %s, total %s", args, a.Subject.Name, a.Sum.Conduct, a.Sum.Concealment, a.Sum.Total)
	}
}

// cpuOf is the CPU time of all processes of that name.
func cpuOf(t *testing.T, name string) time.Duration {
	t.Helper()
	list, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var sum int
	for _, path := range list {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		comm, rest, ok := strings.Cut(string(text), ") ")
		if _, comm, _ = strings.Cut(comm, "("); !ok || comm != name {
			continue
		}
		f := strings.Fields(rest)
		user, _ := strconv.Atoi(f[11])
		system, _ := strconv.Atoi(f[12])
		sum += user + system
	}
	return time.Duration(sum) * 10 * time.Millisecond
}
