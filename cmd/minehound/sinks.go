package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/minehound/minehound/agent/config"
	"github.com/minehound/minehound/agent/incident"
	"github.com/minehound/minehound/agent/report"
	"github.com/minehound/minehound/agent/report/spool"
)

// closing is how long a stop waits for sinks: what a webhook has not taken by then is on the disk.
const closing = 5 * time.Second

// sinks are the places that alerts go to, as the configuration says.
type sinks struct {
	all *report.Multi
	log *report.Log // nil for none
}

// openSinks makes every sink. What it returns must be closed.
func (p *program) openSinks(c *config.Config, logger zerolog.Logger) (*sinks, error) {
	tell := func(n report.Note) {
		event := logger.Info()
		if n.Kind.Bad() {
			event = logger.Error()
		}
		event.Str("sink", n.Sink).Str("kind", string(n.Kind)).Str("case", n.Alert).Int("alerts", n.Count).
			Dur("retry_after", n.After).AnErr("error", n.Err).Msg("report")
	}
	s := &sinks{}
	var list []report.Sink
	if c.Log.Path != "" {
		log, err := openLog(c, tell)
		if err != nil {
			return nil, err
		}
		s.log = log
		least := atLeast(c.Log.Verdict)
		if least == incident.Notice {
			least = incident.Clean // the log also keeps what is allowed
		}
		list = append(list, report.AtLeast(least, log))
	}
	for i := range c.Webhooks {
		sink, err := p.openWebhook(c, &c.Webhooks[i], tell)
		if err != nil {
			return nil, errors.Join(err, closeAll(report.All(report.AllOptions{Tell: tell}, list...)))
		}
		list = append(list, report.AtLeast(atLeast(c.Webhooks[i].Verdict), sink))
	}
	s.all = report.All(report.AllOptions{Tell: tell}, list...)
	return s, nil
}

func atLeast(verdict string) incident.Verdict {
	v, err := incident.ParseVerdict(verdict)
	if err != nil {
		return incident.Clean // everything, rather than nothing
	}
	return v
}

func openLog(c *config.Config, tell func(report.Note)) (*report.Log, error) {
	log, err := report.NewLog(report.LogOptions{
		Path: c.Log.Path, MaxSize: int64(c.Log.MaxSize), RotateEvery: c.Log.RotateEvery, MaxAge: c.Log.MaxAge,
		MaxFiles: c.Log.MaxFiles, Tell: tell,
	})
	if err != nil {
		return nil, err
	}
	err = log.Reopen()
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("alert log: %w", err)
	}
	return log, nil // a disk that is full now may not be later: the log keeps trying, and has told
}

// openWebhook makes a webhook whose alerts are on the disk before they are sent.
func (p *program) openWebhook(c *config.Config, w *config.Webhook, tell func(report.Note)) (report.Sink, error) {
	secrets, err := p.secrets(w)
	if err != nil {
		return nil, err
	}
	hook, err := report.NewWebhook(report.WebhookOptions{
		Name: w.Name, URL: w.URL, Secrets: secrets, Insecure: w.Insecure, CAFile: w.CAFile, Timeout: w.Timeout,
		Version: readVersion().Version,
	})
	if err != nil {
		return nil, usageError{err, ""}
	}
	return spool.New(hook, spool.Options{Dir: filepath.Join(c.StateDir, "spool", w.Name), Name: w.Name, Tell: tell})
}

// secrets are what a webhook signs with.
func (p *program) secrets(w *config.Webhook) ([]report.Secret, error) {
	complain := func(key string, err error) error {
		return config.Errors{{Origin: w.Origin, Key: "webhooks[" + w.Name + "]." + key, Reason: "no secret there", Err: err}}
	}
	switch {
	case w.SecretFile != "":
		list, err := report.ReadSecrets(w.SecretFile)
		if err != nil {
			return nil, complain("secret_file", err)
		}
		return list, nil
	case w.SecretEnv != "":
		list, err := report.ParseSecrets(p.getenv(w.SecretEnv))
		if err != nil {
			return nil, complain("secret_env", fmt.Errorf("$%s: %w", w.SecretEnv, err))
		}
		return list, nil
	}
	return nil, nil
}

// exchange is a sink that can be replaced while alerts come in. What comes while the old one is being closed waits.
type exchange struct {
	mu      sync.Mutex
	now     *sinks
	moving  bool
	waiting []report.Alert
}

// Report hands a to the sinks in force.
func (x *exchange) Report(ctx context.Context, a report.Alert) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.moving {
		x.waiting = append(x.waiting, a)
		return nil
	}
	return x.now.all.Report(ctx, a)
}

// swap closes the sinks in force and opens others; when these cannot be opened, the old ones are opened again.
func (x *exchange) swap(open, again func() (*sinks, error)) error {
	x.mu.Lock()
	old := x.now
	x.moving = true
	x.mu.Unlock()
	errs := []error{closeAll(old.all)}
	next, err := open()
	if err != nil {
		errs = append(errs, err)
		if next, err = again(); err != nil {
			errs = append(errs, err)
			next = &sinks{all: report.All(report.AllOptions{})}
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.now, x.moving = next, false
	for _, a := range x.waiting {
		errs = append(errs, next.all.Report(context.Background(), a))
	}
	x.waiting = nil
	return errors.Join(errs...)
}

// reopenLog is for log rotation by others.
func (x *exchange) reopenLog() error {
	x.mu.Lock()
	log := x.now.log
	x.mu.Unlock()
	if log == nil {
		return nil
	}
	return log.Reopen()
}

func (x *exchange) close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return closeAll(x.now.all)
}

// closeAll brings home what is queued, as far as there is time.
func closeAll(m *report.Multi) error {
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	return m.Close(ctx)
}

// readable tells why a file cannot be read, nil when it can.
func readable(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return f.Close()
}
