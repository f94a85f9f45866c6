// Package config is what the owner of the machine decides. It reads layers of YAML, the environment and flags into one
// Config, refuses what it does not understand with file, line and key, and remembers where every value came from.
//
// Later layers win: built-in, the vendor's file, the administrator's file, conf.d in lexical order, MINEHOUND_*
// variables, flags. A plain value replaces the one before. So does a list of texts. The entries of allow and webhooks
// add up, and a webhook replaces an earlier one of the same name.
//
// Secrets never stand in a configuration: it names the file or the environment variable that holds one.
package config

import (
	"net/url"
	"time"
)

// Config is everything that can be configured. Make one with [Default] or [Load].
type Config struct {
	Look     Look
	Rules    Rules
	Allow    []Allow
	Log      Log
	Webhooks []Webhook
	StateDir string // directory for what must survive a restart
	Events   bool   // whether to ask the kernel for process events, where it has them

	// Files are the configuration files that were read, in order, and Dirs those that were looked for others: what a
	// running service watches.
	Files []string
	Dirs  []string
	// Warnings are things that are allowed and probably not meant.
	Warnings []string

	origins map[string]Origin
}

// Look is how the machine is looked at.
type Look struct {
	Every    time.Duration // between two looks, 500 ms to 1 min
	Budget   Percent       // of one core that looking may cost, on average over a minute
	SweepMax time.Duration // longest time between two looks at a process that is idle
}

// Rules is which rules are held against what is seen.
type Rules struct {
	Dirs    []string // directories of Sigma rules beside the built-in ones
	Disable []string // names of rules that are not used
}

// Allow is one entry of the allow-list: a case whose subject fits all that is named is kept and shown, never paged.
type Allow struct {
	Exe       string    // path of the executable; * and ? stand for anything but a slash
	SHA256    string    // of the executable, lower-case hex
	User      string    // name of the user
	Container string    // container id, or the beginning of one, at least 12 digits
	Rule      string    // name of a rule: only its findings about what fits the rest do not count
	Reason    string    // why; never empty
	Expires   time.Time // zero is never
	Origin    Origin
}

// Log is the alert log.
type Log struct {
	Path        string        // "" writes none
	MaxSize     Bytes         // a file that would grow larger is rotated
	RotateEvery time.Duration // so is one whose first alert is older
	MaxAge      time.Duration // rotated files older than this are removed
	MaxFiles    int           // rotated files kept
	Verdict     string        // the least verdict that is written
}

// Webhook is one place that alerts are posted to.
type Webhook struct {
	Name       string
	URL        string
	SecretFile string // file that holds the signing secret
	SecretEnv  string // environment variable that holds it
	Verdict    string // the least verdict that is sent
	Insecure   bool   // http is allowed
	CAFile     string // PEM file of certificate authorities to trust instead of the system's
	Timeout    time.Duration
	Origin     Origin
}

// Redacted is the webhook's URL without what may be a secret: user, path and query.
func (w *Webhook) Redacted() string {
	u, err := url.Parse(w.URL)
	if err != nil || u.Host == "" {
		return "(unreadable)"
	}
	s := u.Scheme + "://" + u.Host
	if (u.Path != "" && u.Path != "/") || u.RawQuery != "" {
		s += "/…"
	}
	return s
}

// Verdicts are the words that a verdict option takes, weakest first.
func Verdicts() []string { return []string{"notice", "exposed", "suspected", "mining"} }

// Default is the configuration of an installation that nobody touched.
//
// The figures: 2 s between looks and 10 s for idle processes are the design's; 0.2 % of a core is its budget. The log
// keeps twelve files of at most 10 MiB and a month each: a
// year on a quiet machine, some 25,000 alerts on any. 30 s for a webhook is what Standard Webhooks recommends
// as an upper bound.
func Default(p Paths) *Config {
	c := &Config{
		Look: Look{Every: 2 * time.Second, Budget: 0.2, SweepMax: 10 * time.Second},
		Rules: Rules{
			Dirs:    []string{p.Rules},
			Disable: []string{},
		},
		Log: Log{
			Path: p.Log, MaxSize: 10 << 20, RotateEvery: 30 * 24 * time.Hour, MaxAge: 365 * 24 * time.Hour, MaxFiles: 12, Verdict: "notice",
		},
		StateDir: p.State,
		Events:   true,
		origins:  map[string]Origin{},
	}
	for _, o := range options() {
		c.origins[o.key] = Origin{Layer: BuiltIn}
	}
	return c
}

// webhookDefaults is a webhook before its keys are read.
func webhookDefaults() Webhook {
	return Webhook{Verdict: "suspected", Timeout: 15 * time.Second}
}
