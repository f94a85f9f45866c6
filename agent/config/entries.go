package config

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// readAllow adds the entries of a list to the allow-list.
func readAllow(r *reader, c *Config, n *yaml.Node) {
	r.entries(n, "allow", func(n *yaml.Node, key string) {
		a := Allow{Origin: r.origin(n)}
		before := len(r.errs)
		r.fields(n, key, []field{
			{"exe", func(n *yaml.Node, key string) { r.text(n, key, &a.Exe) }},
			{"sha256", func(n *yaml.Node, key string) { r.text(n, key, &a.SHA256) }},
			{"user", func(n *yaml.Node, key string) { r.text(n, key, &a.User) }},
			{"container", func(n *yaml.Node, key string) { r.text(n, key, &a.Container) }},
			{"rule", func(n *yaml.Node, key string) { r.text(n, key, &a.Rule) }},
			{"reason", func(n *yaml.Node, key string) { r.text(n, key, &a.Reason) }},
			{"expires", func(n *yaml.Node, key string) { r.day(n, key, &a.Expires) }},
		})
		if len(r.errs) == before {
			r.checkAllow(n, key, &a)
		}
		if len(r.errs) == before {
			c.Allow = append(c.Allow, a)
		}
	})
}

func (r *reader) checkAllow(n *yaml.Node, key string, a *Allow) {
	a.SHA256 = strings.ToLower(a.SHA256)
	sum, err := hex.DecodeString(a.SHA256)
	_, pattern := path.Match(strings.ReplaceAll(a.Exe, `\`, "/"), "") // as the allow-list reads Windows paths
	switch {
	case a.Exe == "" && a.SHA256 == "" && a.User == "" && a.Container == "" && a.Rule != "":
		r.refuse(n, key, "names no process", "add exe, sha256, user or container, or switch the rule off with rules.disable", nil)
	case a.Exe == "" && a.SHA256 == "" && a.User == "" && a.Container == "":
		r.refuse(n, key, "allows everything", "name at least one of exe, sha256, user, container", nil)
	case strings.TrimSpace(a.Reason) == "":
		r.refuse(n, key, "has no reason", "add reason: why this is meant to run", nil)
	case a.SHA256 != "" && (err != nil || len(sum) != 32):
		r.refuse(n, key+".sha256", "is no SHA-256", "it has 64 hexadecimal digits", nil)
	case pattern != nil:
		r.refuse(n, key+".exe", fmt.Sprintf("%q is no valid pattern", a.Exe), "", pattern)
	case a.Container != "" && len(a.Container) < 12:
		r.refuse(n, key+".container", "is too short to name one container", "give at least 12 digits of its id", nil)
	}
}

// day reads a date, which lasts until its end in UTC, or a full RFC 3339 time.
func (r *reader) day(n *yaml.Node, key string, to *time.Time) {
	s, ok := r.scalar(n, key)
	if !ok {
		return
	}
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		*to = t.AddDate(0, 0, 1)
		return
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		r.refuse(n, key, fmt.Sprintf("%q is no date", s), "write it as 2027-01-31", nil)
		return
	}
	*to = t
}

// readWebhooks adds the entries of a list to the webhooks; one of the same name is replaced.
func readWebhooks(r *reader, c *Config, n *yaml.Node) {
	var here []string
	r.entries(n, "webhooks", func(n *yaml.Node, key string) {
		w := webhookDefaults()
		w.Origin = r.origin(n)
		before := len(r.errs)
		r.fields(n, key, []field{
			{"name", func(n *yaml.Node, key string) { r.text(n, key, &w.Name) }},
			{"url", func(n *yaml.Node, key string) { r.text(n, key, &w.URL) }},
			{"secret_file", func(n *yaml.Node, key string) { r.text(n, key, &w.SecretFile) }},
			{"secret_env", func(n *yaml.Node, key string) { r.text(n, key, &w.SecretEnv) }},
			{"verdict", func(n *yaml.Node, key string) { r.verdict(n, key, &w.Verdict) }},
			{"insecure", func(n *yaml.Node, key string) { r.truth(n, key, &w.Insecure) }},
			{"ca_file", func(n *yaml.Node, key string) { r.text(n, key, &w.CAFile) }},
			{"timeout", func(n *yaml.Node, key string) {
				if d, ok := ranged(r, n, key, time.Second, 5*time.Minute, ParseDuration, FormatDuration); ok {
					w.Timeout = d
				}
			}},
		})
		if len(r.errs) == before {
			r.checkWebhook(n, key, &w)
		}
		if len(r.errs) == before && slices.Contains(here, w.Name) {
			r.refuse(n, key+".name", fmt.Sprintf("%q is taken by another webhook", w.Name), "", nil)
		}
		if len(r.errs) > before {
			return
		}
		here = append(here, w.Name)
		if i := slices.IndexFunc(c.Webhooks, func(o Webhook) bool { return o.Name == w.Name }); i >= 0 {
			c.Webhooks[i] = w
		} else {
			c.Webhooks = append(c.Webhooks, w)
		}
	})
}

func (r *reader) checkWebhook(n *yaml.Node, key string, w *Webhook) {
	u, err := url.Parse(w.URL)
	switch {
	case !validName(w.Name):
		r.refuse(n, key+".name", fmt.Sprintf("%q is no name", w.Name), "use 1 to 64 of a-z, 0-9, - and _", nil)
	case w.URL == "":
		r.refuse(n, key+".url", "is missing", "where should alerts be posted to?", nil)
	case err != nil || u.Opaque != "" || (u.Scheme == "" && u.Host == ""):
		r.refuse(n, key+".url", "is no full URL", "begin it with https://", nil)
	case u.Scheme != "https" && u.Scheme != "http":
		r.refuse(n, key+".url", fmt.Sprintf("scheme %q cannot be posted to", u.Scheme), "begin it with https://", nil)
	case u.Host == "" || u.Hostname() == "":
		r.refuse(n, key+".url", "names no host", "", nil)
	case u.User != nil:
		r.refuse(n, key+".url", "holds a user or a password", "sign with secret_file or secret_env instead", nil)
	case u.Scheme == "http" && !w.Insecure:
		r.refuse(n, key+".url", "is not encrypted", "use https://, or say insecure: true for a receiver on this machine", nil)
	case w.SecretFile != "" && w.SecretEnv != "":
		r.refuse(n, key, "has secret_file and secret_env", "keep one of them", nil)
	}
}

// validName keeps names usable as a file name, in a log and in an error.
func validName(s string) bool {
	ok := func(r rune) bool { return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' }
	return s != "" && len(s) <= 64 && strings.IndexFunc(s, func(r rune) bool { return !ok(r) }) < 0
}
