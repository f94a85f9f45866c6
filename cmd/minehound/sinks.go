package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"syscall"

	"github.com/rs/zerolog"

	"github.com/minehound/minehound/agent/config"
	"github.com/minehound/minehound/agent/incident"
	"github.com/minehound/minehound/agent/report"
	"github.com/minehound/minehound/agent/report/spool"
)

// sinks are the places that alerts go to, as the configuration says.
type sinks struct {
	all *report.Multi
	log *report.Log // nil for none
}

// plan is sinks that are known to be possible. Two of them can stand side by side; two sinks of the same name cannot.
type plan struct {
	c      *config.Config
	log    *report.Log // nil for none
	hooks  []*report.Webhook
	print  [sha256.Size]byte // of the secrets and certificates that are in force
	tell   func(report.Note)
	orphan func(dir string, n int) // told about alerts that wait for a webhook which is not configured
}

// planSinks checks all that can be wrong with the sinks of a configuration.
func (p *program) planSinks(c *config.Config, logger zerolog.Logger) (*plan, error) {
	pl := &plan{c: c, print: fingerprint(secretFiles(c))}
	pl.tell = func(n report.Note) {
		event := logger.Info()
		switch {
		case n.Kind.Bad():
			event = logger.Error()
		case n.Kind == report.NoteRetry: // nothing is lost, but somebody may have to mend something
			event = logger.Warn()
		}
		event.Str("sink", n.Sink).Str("kind", string(n.Kind)).Str("case", n.Alert).Int("alerts", n.Count).
			Dur("retry_after", n.After).AnErr("error", n.Err).Msg("report")
	}
	pl.orphan = func(dir string, n int) {
		logger.Warn().Str("dir", dir).Int("alerts", n).Msg("alerts wait for a webhook that is not configured")
	}
	for i := range c.Webhooks {
		hook, err := p.webhook(&c.Webhooks[i])
		if err != nil {
			return nil, err
		}
		pl.hooks = append(pl.hooks, hook)
	}
	if c.Log.Path == "" {
		return pl, nil
	}
	log, err := openLog(c, pl.tell)
	if err != nil {
		return nil, err
	}
	pl.log = log
	return pl, nil
}

// sinks opens every sink. What it returns must be closed, also when there is an error.
func (pl *plan) sinks() (*sinks, error) {
	c := pl.c
	var errs []error
	var list []report.Sink
	if pl.log != nil {
		least := atLeast(c.Log.Verdict)
		if least == incident.Notice {
			least = incident.Clean // the log also keeps what is allowed
		}
		list = append(list, report.AtLeast(least, pl.log))
	}
	known := map[string]bool{}
	for i, hook := range pl.hooks {
		w := &c.Webhooks[i]
		known[w.Name] = true
		sink, err := spool.New(hook, spool.Options{Dir: filepath.Join(spoolDir(c), w.Name), Name: w.Name, Tell: pl.tell})
		if err != nil {
			errs = append(errs, fmt.Errorf("webhook %s: %w", w.Name, err))
			continue
		}
		list = append(list, report.AtLeast(atLeast(w.Verdict), sink))
	}
	tellOrphans(spoolDir(c), known, pl.orphan)
	return &sinks{all: report.All(report.AllOptions{Tell: pl.tell}, list...), log: pl.log}, errors.Join(errs...)
}

// same tells whether o sends alerts to the same places in the same way.
func (pl *plan) same(o *plan) bool {
	bare := func(list []config.Webhook) []config.Webhook {
		list = slices.Clone(list)
		for i := range list {
			list[i].Origin = config.Origin{}
		}
		return list
	}
	return pl.c.Log == o.c.Log && pl.print == o.print && reflect.DeepEqual(bare(pl.c.Webhooks), bare(o.c.Webhooks))
}

// drop lets go of a plan that is not carried out.
func (pl *plan) drop() error {
	if pl.log == nil {
		return nil
	}
	return pl.log.Close(context.Background())
}

func spoolDir(c *config.Config) string { return filepath.Join(c.StateDir, "spool") }

// tellOrphans tells about alerts that an earlier configuration left behind. They stay: whoever names the webhook again
// gets them.
func tellOrphans(dir string, known map[string]bool, tell func(dir string, n int)) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // nothing was ever spooled, or the spools tell what is wrong
	}
	for _, e := range entries {
		if !e.IsDir() || known[e.Name()] {
			continue
		}
		if left, err := filepath.Glob(filepath.Join(dir, e.Name(), "*.alert")); err == nil && len(left) > 0 {
			tell(filepath.Join(dir, e.Name()), len(left))
		}
	}
}

// secretFiles are the files that the webhooks depend on.
func secretFiles(c *config.Config) []string {
	var list []string
	for i := range c.Webhooks {
		for _, name := range []string{c.Webhooks[i].SecretFile, c.Webhooks[i].CAFile} {
			if name != "" {
				list = append(list, filepath.Clean(name))
			}
		}
	}
	return list
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
	switch {
	case err == nil:
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EROFS), errors.Is(err, syscall.EIO):
		// This may pass, and until then the log keeps what it is told.
		tell(report.Note{Kind: report.NoteStorage, Sink: log.Stats()[0].Sink, Err: err})
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("alert log: %w", err)
	default:
		return nil, config.Errors{{Origin: c.OriginOf("log.path"), Key: "log.path", Reason: "cannot be written", Err: err}}
	}
	return log, nil
}

func (p *program) webhook(w *config.Webhook) (*report.Webhook, error) {
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
	return hook, nil
}

// secrets are what a webhook signs with.
func (p *program) secrets(w *config.Webhook) ([]report.Secret, error) {
	complain := func(key string, err error) error {
		return config.Errors{{Origin: w.Origin, Key: "webhooks[" + w.Name + "]." + key, Reason: "cannot be used", Err: err}}
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
