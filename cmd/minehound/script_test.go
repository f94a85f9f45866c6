package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"minehound": main})
}

// TestScripts runs testdata/script. Beside testscript's own commands a script has:
//
//	exit CODE minehound ARG...   run it, compare the exit code; its output is for stdout, stderr and cmp
//	signal HUP|TERM|INT|KILL     send a signal to the program that was started in the background last
//	eventually FILE REGEXP       wait until the file holds the expression
//	receiver FILE CODE...        a web server at $RECEIVER that keeps bodies in FILE and answers with these codes in turn,
//	                             the last one for ever; 0 never answers
//	fulldisk DIR                 mount a small file system that is full; only root on Linux can
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata/script",
		Setup: setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exit": exitCommand, "signal": signalCommand, "eventually": eventuallyCommand,
			"receiver": receiverCommand, "fulldisk": fullDisk,
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, errors.New("unknown condition")
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// setup gives every script a configuration directory of its own and the rules' recordings.
func setup(env *testscript.Env) error {
	recordings, err := filepath.Abs("../../rules/testdata")
	if err != nil {
		return err
	}
	conf := filepath.Join(env.WorkDir, "etc")
	if err := os.MkdirAll(filepath.Join(conf, "rules.d"), 0o755); err != nil {
		return err
	}
	text := "state_dir: " + quote(env.WorkDir, "state") + "\nlog: {path: " + quote(env.WorkDir, "alerts.jsonl") + "}\n" +
		"rules: {dirs: [" + quote(conf, "rules.d") + "]}\n"
	if err := os.WriteFile(filepath.Join(conf, "minehound.yaml"), []byte(text), 0o644); err != nil {
		return err
	}
	env.Setenv("MINEHOUND_CONFIG", conf)
	env.Setenv("TRACES", recordings)
	env.Setenv("NO_COLOR", "1")
	return nil
}

func quote(dir, name string) string { return strconv.Quote(filepath.Join(dir, name)) }

func exitCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exit CODE COMMAND ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit interface{ ExitCode() int }
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func signalCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: signal HUP|INT|TERM|KILL")
	}
	list := ts.BackgroundCmds()
	if len(list) == 0 {
		ts.Fatalf("nothing runs in the background")
	}
	s := map[string]os.Signal{"HUP": syscall.SIGHUP, "INT": os.Interrupt, "TERM": syscall.SIGTERM, "KILL": os.Kill}[args[0]]
	ts.Check(list[len(list)-1].Process.Signal(s))
}

func eventuallyCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: eventually FILE REGEXP")
	}
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	var data []byte
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		data, err = os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && re.Match(data) {
			return
		}
	}
	ts.Fatalf("%s does not come to hold %q (%v):\n%s", args[0], args[1], err, data)
}

func receiverCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: receiver FILE CODE...")
	}
	file, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	var mu sync.Mutex
	codes := args[1:]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		code, err := strconv.Atoi(codes[0])
		if len(codes) > 1 {
			codes = codes[1:]
		}
		body, readErr := io.ReadAll(req.Body)
		var line bytes.Buffer
		if err = errors.Join(err, readErr, json.Compact(&line, body)); err != nil {
			code = http.StatusBadRequest
		}
		if _, err := file.WriteString(strconv.Itoa(code) + " " + req.Header.Get("webhook-id") + " " + line.String() + "\n"); err != nil {
			code = http.StatusInternalServerError
		}
		if code == 0 {
			<-req.Context().Done()
			return
		}
		w.WriteHeader(code)
	}))
	ts.Defer(func() { server.Close(); _ = file.Close() })
	ts.Setenv("RECEIVER", server.URL)
}

// TestHelpOfEveryCommand holds every command to say what it is for, in lines that fit.
func TestHelpOfEveryCommand(t *testing.T) {
	root := (&program{stdout: io.Discard, stderr: io.Discard}).root()
	seen := 0
	for _, cmd := range root.Commands() {
		for _, c := range append(cmd.Commands(), cmd) {
			if seen++; c.Short == "" {
				t.Errorf("%s says nothing about itself", c.CommandPath())
			}
			for line := range strings.SplitSeq(c.Long+"\n"+c.Example, "\n") {
				if len([]rune(line)) > 120 {
					t.Errorf("%s: a line of its help has %d columns", c.CommandPath(), len([]rune(line)))
				}
			}
		}
	}
	if seen < 17 {
		t.Errorf("%d commands", seen)
	}
}
