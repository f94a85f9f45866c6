package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/minehound/minehound/agent/config"
	"github.com/minehound/minehound/agent/report"
	"github.com/minehound/minehound/agent/store"
)

// The exit codes. They are part of the interface and never change their meaning.
const (
	exitClean      = 0
	exitFound      = 1   // something at or above --fail-on
	exitUsage      = 2   // a wrong command line, configuration or rule
	exitIncomplete = 3   // what was asked for could not be looked at, or not wholly
	exitPermission = 5   // not permitted
	exitNetwork    = 6   // the network
	exitBug        = 70  // ours
	exitSignal     = 128 // plus the number of the signal
)

// exitCode is the one place where an error becomes an exit code. The order is the precedence: what was found is told also
// when not everything could be seen.
func exitCode(err error) int {
	var (
		found      foundError
		incomplete incompleteError
		usage      usageError
		conf       config.Errors
		signal     interrupted
		busy       *store.BusyError
		path       *fs.PathError
		network    *net.OpError
		url        *url.Error
		delivery   *report.DeliveryError
		errno      syscall.Errno
	)
	switch {
	case err == nil:
		return exitClean
	case errors.As(err, &signal):
		return exitSignal + signal.number()
	case errors.As(err, &found):
		return exitFound
	case errors.Is(err, fs.ErrPermission):
		return exitPermission
	case errors.As(err, &usage), errors.As(err, &conf), errors.As(err, &busy),
		errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return exitUsage
	case errors.As(err, &incomplete), errors.As(err, &path), errors.Is(err, io.ErrUnexpectedEOF):
		return exitIncomplete // a full disk, a broken file: asked for and not done
	case errors.As(err, &network), errors.As(err, &url), errors.As(err, &delivery):
		return exitNetwork
	case errors.As(err, &errno):
		return exitIncomplete
	default:
		return exitBug
	}
}

// usageError is a command line, a configuration or a rule that cannot be honoured.
type usageError struct {
	err  error
	hint string
}

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// incompleteError says what could not be looked at.
type incompleteError struct {
	err  error
	hint string
}

func (e incompleteError) Error() string { return e.err.Error() }
func (e incompleteError) Unwrap() error { return e.err }

// foundError ends a command that found what it was to fail on. Its output has said so already.
type foundError struct{}

func (foundError) Error() string { return "found" }

// interrupted is a request to stop.
type interrupted struct{ signal os.Signal }

func (e interrupted) Error() string { return "stopped by " + e.signal.String() }

func (e interrupted) number() int {
	if n, ok := e.signal.(syscall.Signal); ok {
		return int(n)
	}
	return int(syscall.SIGINT)
}

// finish tells the user what went wrong, if anything, and how the program ends.
func (p *program) finish(err error) int {
	code := exitCode(err)
	var (
		found  foundError
		signal interrupted
		errs   config.Errors
	)
	switch {
	case err == nil, errors.As(err, &found), errors.As(err, &signal):
	case errors.As(err, &errs):
		for _, e := range errs {
			p.complain(e, cmp.Or(e.Hint, hintFor(e.Err)))
		}
	default:
		p.complain(err, hintFor(err))
	}
	if code == exitBug {
		p.complain(errors.New("this was not foreseen; please report it"), "minehound version --output json belongs in the report")
	}
	return code
}

func (p *program) complain(err error, hint string) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintln(p.stderr, "minehound:", report.Clean(line, 1000))
	}
	if hint != "" {
		fmt.Fprintln(p.stderr, "hint:", report.Clean(hint, 1000))
	}
}

// hintFor is what to do about an error.
func hintFor(err error) string {
	var (
		usage      usageError
		incomplete incompleteError
	)
	switch {
	case errors.As(err, &usage) && usage.hint != "":
		return usage.hint
	case errors.As(err, &incomplete) && incomplete.hint != "":
		return incomplete.hint
	case errors.As(err, new(*store.BusyError)):
		return "the service runs already: minehound alerts list shows what it found"
	case errors.Is(err, fs.ErrPermission) && runtime.GOOS != "windows":
		return "run it as root, or name places that you may use"
	case errors.Is(err, fs.ErrPermission):
		return "run it as administrator, or name places that you may use"
	case errors.Is(err, syscall.ENOSPC):
		return "the disk is full"
	}
	return ""
}

// crashed tells about a panic: shortly, with the place, and without anything that was being looked at, which may be secret.
func (p *program) crashed(r any) int {
	what := "panic"
	if err, ok := r.(runtime.Error); ok {
		what = err.Error() // the runtime's own words hold no data of ours
	}
	fmt.Fprintf(p.stderr, "minehound: internal error: %s\n", report.Clean(what, 1000))
	for _, line := range ownFrames(string(debug.Stack())) {
		fmt.Fprintln(p.stderr, "  at", line)
	}
	fmt.Fprintln(p.stderr, "hint: this is a bug; please report these lines with the output of minehound version")
	return exitBug
}

// ownFrames are the first functions of this module in a stack trace, without their arguments.
func ownFrames(stack string) []string {
	var frames []string
	lines := strings.Split(stack, "\n")
	for i := 0; i+1 < len(lines) && len(frames) < 4; i++ {
		name := lines[i][:max(strings.LastIndexByte(lines[i], '('), 0)]
		if !strings.HasPrefix(lines[i+1], "\t") || strings.HasSuffix(name, ".crashed") {
			continue
		}
		if strings.HasPrefix(name, "main.") || strings.HasPrefix(name, "github.com/minehound/minehound/") {
			file, _, _ := strings.Cut(strings.TrimSpace(lines[i+1]), " ")
			frames = append(frames, name+" "+file[strings.LastIndexByte(file, '/')+1:])
		}
	}
	return frames
}
