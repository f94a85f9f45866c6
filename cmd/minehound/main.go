// Command minehound finds programs that mine cryptocurrency on this machine and says why it thinks so. It is the service,
// the scanner and the tool to look at what was found.
//
// Data goes to stdout, everything else to stderr. What each exit code means stands in exit.go.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := onSignal(context.Background())
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// onSignal is a context that a request to stop cancels, with an interrupted error as its cause. A second request ends the
// program at once, in case the first is not heard.
func onSignal(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
			cancel(interrupted{s})
		case <-done:
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	}
}

// run is the whole program: it never ends the process, reads no global but the environment, and returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (code int) {
	p := &program{stdin: stdin, stdout: stdout, stderr: stderr, env: os.Environ()}
	defer func() {
		if r := recover(); r != nil {
			code = p.crashed(r)
		}
	}()
	root := p.root()
	root.SetArgs(args)
	return p.finish(root.ExecuteContext(ctx))
}
