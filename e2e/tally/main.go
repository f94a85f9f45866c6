// Command tally runs the stages of the test suite one after the other and counts what they did.
//
//	tally [-strict] NAME=COMMAND...
//
// Each COMMAND is run by bash. Lines that are events of `go test -json` are counted test by test; all other lines are
// passed on. A stage that speaks no events counts as one check that passes when its command does. A stage that fails
// without a failed test (it did not build, it was killed) counts as one failure under its own name. Every stage runs,
// whatever became of the one before.
//
// A test that is skipped in one stage and run in another is not skipped. What is skipped everywhere is listed by name;
// with -strict it counts as failed. The last line is always "N passed, N failed".
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// stage is one command of the suite.
type stage struct{ name, command string }

// run is main without the process around it: 0 when nothing failed, 1 when something did, 2 for a usage error.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	strict := len(args) > 0 && args[0] == "-strict"
	if strict {
		args = args[1:]
	}
	stages, err := parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "tally: %v\n", err)
		return 2
	}
	t := newTotal()
	for _, s := range stages {
		start := time.Now()
		fmt.Fprintf(stdout, "== %s: %s\n", s.name, s.command)
		err := execute(ctx, s, t, stdout, stderr)
		t.endStage(s.name, err)
		fmt.Fprintf(stdout, "== %s: %s in %s\n", s.name, outcome(err), time.Since(start).Round(time.Second))
	}
	if t.report(stdout, strict) > 0 {
		return 1
	}
	return 0
}

func outcome(err error) string {
	if err != nil {
		return err.Error()
	}
	return "done"
}

// parse reads the stages from the command line.
func parse(args []string) ([]stage, error) {
	if len(args) == 0 {
		return nil, errors.New("no stage given; usage: tally [-strict] NAME=COMMAND")
	}
	stages := make([]stage, 0, len(args))
	for _, a := range args {
		name, command, ok := strings.Cut(a, "=")
		if !ok || name == "" || command == "" {
			return nil, fmt.Errorf("stage %q is not NAME=COMMAND", a)
		}
		stages = append(stages, stage{name, command})
	}
	return stages, nil
}

// execute runs one stage and counts what it prints. The error says how the command ended.
func execute(ctx context.Context, s stage, t *total, stdout, stderr io.Writer) error {
	cmd := exec.CommandContext(ctx, "bash", "-o", "pipefail", "-c", s.command) //nolint:gosec // running the given command is the purpose
	cmd.Stderr = stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("stage %s: %w", s.name, err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("stage %s: %w", s.name, err)
	}
	readErr := read(out, t, s.name, stdout)
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("stage %s: %w", s.name, err)
	}
	return readErr
}

// read counts the events of one stage and passes every other line on.
func read(r io.Reader, t *total, name string, w io.Writer) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 && !t.event(name, line, w) {
			if _, err := w.Write(line); err != nil {
				return fmt.Errorf("stage %s: %w", name, err)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("stage %s: %w", name, err)
		}
	}
}
