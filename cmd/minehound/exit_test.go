package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/minehound/minehound/agent/config"
)

func TestExitCode(t *testing.T) {
	wrap := func(err error) error { return fmt.Errorf("somewhere: %w", err) }
	for _, tt := range []struct {
		name string
		err  error
		want int
	}{
		{"clean", nil, 0},
		{"found", foundError{}, 1},
		{"found beats incomplete", errors.Join(incompleteError{errors.New("x"), ""}, foundError{}), 1},
		{"usage", wrap(usageError{errors.New("x"), ""}), 2},
		{"configuration", wrap(config.Errors{{Reason: "x"}}), 2},
		{"no such file", wrap(&fs.PathError{Op: "open", Path: "x", Err: syscall.ENOENT}), 2},
		{"incomplete", wrap(incompleteError{errors.New("x"), ""}), 3},
		{"full disk", wrap(&fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}), 3},
		{"not permitted", wrap(&fs.PathError{Op: "open", Path: "x", Err: syscall.EACCES}), 5},
		{"not permitted, in a configuration", config.Errors{{Err: fs.ErrPermission}}, 5},
		{"network", wrap(&net.OpError{Op: "dial", Err: errors.New("refused")}), 6},
		{"interrupted", wrap(interrupted{syscall.SIGINT}), 130},
		{"terminated", interrupted{syscall.SIGTERM}, 143},
		{"a bug", errors.New("x"), 70},
	} {
		if got := exitCode(tt.err); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestPanicIsToldShortly(t *testing.T) {
	var out, errs bytes.Buffer
	p := &program{stdout: &out, stderr: &errs}
	code := func() (code int) {
		defer func() {
			if r := recover(); r != nil {
				code = p.crashed(r)
			}
		}()
		explode("a secret in the message")
		return 0
	}()
	if code != 70 || out.Len() > 0 {
		t.Errorf("code %d, stdout %q", code, out.String())
	}
	said := errs.String()
	if strings.Contains(said, "secret") || !strings.Contains(said, ".explode ") || strings.Count(said, "\n") > 7 {
		t.Errorf("said:\n%s", said)
	}
}

func explode(s string) { panic(s) }

// TestVerdictWords holds the words of the configuration to be those of cases.
func TestVerdictWords(t *testing.T) {
	for _, w := range config.Verdicts() {
		v, err := verdictFlag("--fail-on", w)
		if err != nil || v.String() != w {
			t.Errorf("%s: %v, %v", w, v, err)
		}
	}
	if _, err := verdictFlag("--fail-on", "clean"); err == nil {
		t.Error("everything would be at or above clean")
	}
}

// TestNoTerminal holds the output of every kind to be free of colour and movement where nobody looks.
func TestNoTerminal(t *testing.T) {
	var out, errs bytes.Buffer
	code := run(context.Background(), []string{"scan", "--duration", "0s", "--config", os.DevNull, "--pid", "1"}, nil, &out, &errs)
	if code == exitBug {
		t.Errorf("code %d: %s", code, errs.String())
	}
	if strings.ContainsAny(out.String()+errs.String(), "\x1b\r") {
		t.Errorf("escape sequences: %q %q", out.String(), errs.String())
	}
}
