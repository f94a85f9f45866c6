// Package e2e tries the real thing: the program as it is built, real miners, honest heavy work, a receiver that fails.
//
// Its tests are slow and need root and Debian packages (packages.sh), so they run only where they were asked for:
// MINEHOUND_E2E=1 is the short form, MINEHOUND_E2E=full the same with real times. What a machine lacks skips a test by
// name, except where CI=true.
package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		if err := os.RemoveAll(built.dir); err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
		}
	}
	os.Exit(code)
}

// e2e skips the test unless end-to-end tests were asked for and the programs it needs are there.
func e2e(t *testing.T, programs ...string) {
	t.Helper()
	if os.Getenv("MINEHOUND_E2E") == "" {
		t.Skip("end to end: set MINEHOUND_E2E=1, or make e2e")
	}
	need(t, programs...)
}

// need skips the test when a program is not installed; in CI that fails.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			lacks(t, "needs "+p+": make packages")
		}
	}
}

// needRoot skips the test for anybody else; in CI that fails.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		lacks(t, "needs root")
	}
}

func lacks(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// full tells whether the full form was asked for.
func full() bool { return os.Getenv("MINEHOUND_E2E") == "full" }

// built holds what is built once for all tests.
var built struct {
	once sync.Once
	dir  string
	err  error
}

// minehound is the program as it ships, built once.
func minehound(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "minehound-e2e-"); built.err != nil {
			return
		}
		built.err = build(context.Background(), "", "", filepath.Join(built.dir, "minehound"))
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, "minehound")
}

// build builds the program for a platform, "" for this one, as a release is built.
func build(ctx context.Context, goos, goarch, out string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, "../cmd/minehound")
	cmd.Env = platform(goos, goarch)
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build for %s/%s: %w\n%s", goos, goarch, err, said)
	}
	return nil
}

// platform is the environment of a build for a platform.
func platform(goos, goarch string) []string {
	env := append(os.Environ(), "CGO_ENABLED=0")
	if goos != "" {
		env = append(env, "GOOS="+goos, "GOARCH="+goarch)
	}
	return env
}

// proc is a program that a test has started.
type proc struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout string // path of what it printed
	stderr string
	done   chan struct{} // closed when it has ended
	err    error         // of Wait, once done is closed
}

// start starts a program as the leader of a session of its own. It is stopped when the test ends, and what it printed is
// shown when the test has failed.
func start(t *testing.T, dir string, env []string, argv ...string) *proc {
	t.Helper()
	// setsid replaces itself, so the process started here is the program; SysProcAttr would not build on every platform.
	cmd := exec.Command("setsid", argv...)
	cmd.Dir = dir
	cmd.Env = append(environ(), env...)
	out := t.TempDir()
	p := &proc{t: t, cmd: cmd, stdout: filepath.Join(out, "stdout"), stderr: filepath.Join(out, "stderr"), done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = create(t, p.stdout), create(t, p.stderr)
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", argv[0], err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("%s printed:\n%s\nand on stderr:\n%s", strings.Join(argv, " "), tail(p.stdout), tail(p.stderr))
		}
	})
	return p
}

// environ is this process's environment without what is meant for the tests: MINEHOUND_… configures the program.
func environ() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "MINEHOUND_") })
}

func create(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// tail is the end of a file, for a person to read.
func tail(path string) string {
	const most = 8 << 10
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-most):])
}

func (p *proc) pid() int { return p.cmd.Process.Pid }

// signal sends to the process itself, not to those it has started.
func (p *proc) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("signal %v to %d: %v", s, p.pid(), err)
	}
}

// kill ends it as a crash would, with all it has started.
func (p *proc) kill() {
	p.signalAll("KILL")
	<-p.done
}

// signalAll sends to all that is left of its session's first process group.
func (p *proc) signalAll(name string) {
	_ = exec.Command("sh", "-c", `kill -s "$0" -- "-$1" 2>/dev/null`, name, strconv.Itoa(p.pid())).Run() // it may have ended
}

// stop asks it to end, gives it ten seconds and then ends its whole group. It returns the exit code, -1 for a signal.
func (p *proc) stop() int {
	select {
	case <-p.done:
	default:
		p.signalAll("TERM")
		select {
		case <-p.done:
		case <-time.After(10 * time.Second):
		}
	}
	p.kill() // what it left behind
	return p.cmd.ProcessState.ExitCode()
}

// ended tells whether it has ended by itself.
func (p *proc) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// output runs a program to its end and returns what it printed and its exit code. Another failure than an exit code ends
// the test.
func output(t *testing.T, argv ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Env = environ()
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", strings.Join(argv, " "), err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// eventually waits until ok holds and fails the test when it does not within the time given. It tells how long it took.
func eventually(t *testing.T, within time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	for !ok() {
		if time.Since(begin) > within {
			t.Fatalf("not within %v: %s", within, what)
		}
		time.Sleep(200 * time.Millisecond)
	}
	return time.Since(begin)
}

// space is a network of its own that holds nothing but loopback: what runs in it reaches nobody.
type space struct{ holder *proc }

func newSpace(t *testing.T) space {
	t.Helper()
	needRoot(t)
	need(t, "unshare", "nsenter", "ip", "curl")
	s := space{start(t, "", nil, "unshare", "-n", "sh", "-c", "ip link set lo up && echo ready && exec sleep infinity")}
	eventually(t, 10*time.Second, "a network namespace", func() bool {
		b, err := os.ReadFile(s.holder.stdout)
		return err == nil && len(b) > 0
	})
	return s
}

// argv is a command line that runs argv in the space.
func (s space) argv(argv ...string) []string {
	return append([]string{"nsenter", "-t", strconv.Itoa(s.holder.pid()), "-n", "--"}, argv...)
}

// post sends JSON to a server in the space, body "" asks by GET. It returns the answer, "" when there was none.
func (s space) post(t *testing.T, url, body string) string {
	t.Helper()
	args := []string{"curl", "-s", "-m", "10", url}
	if body != "" {
		args = append(args, "-H", "Content-Type: application/json", "-d", body)
	}
	out, _, _ := output(t, s.argv(args...)...)
	return out
}
