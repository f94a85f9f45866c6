package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// option is one thing that can be configured: its key, what reads it and what shows it.
type option struct {
	key  string
	read func(r *reader, c *Config, n *yaml.Node)
	show func(c *Config) string // nil for lists of entries, which are shown one by one
}

// options lists every option in the order in which they are shown.
func options() []option {
	return []option{
		duration("look.every", 500*time.Millisecond, time.Minute, func(c *Config) *time.Duration { return &c.Look.Every }),
		percent("look.budget", 0.01, 100, func(c *Config) *Percent { return &c.Look.Budget }),
		duration("look.sweep_max", time.Second, 5*time.Minute, func(c *Config) *time.Duration { return &c.Look.SweepMax }),
		texts("rules.dirs", func(c *Config) *[]string { return &c.Rules.Dirs }),
		texts("rules.disable", func(c *Config) *[]string { return &c.Rules.Disable }),
		{key: "allow", read: readAllow},
		text("log.path", func(c *Config) *string { return &c.Log.Path }),
		size("log.max_size", 64<<10, 1<<40, func(c *Config) *Bytes { return &c.Log.MaxSize }),
		duration("log.rotate_every", time.Hour, 3650*24*time.Hour, func(c *Config) *time.Duration { return &c.Log.RotateEvery }),
		duration("log.max_age", time.Hour, 3650*24*time.Hour, func(c *Config) *time.Duration { return &c.Log.MaxAge }),
		number("log.max_files", 1, 10000, func(c *Config) *int { return &c.Log.MaxFiles }),
		verdict("log.verdict", func(c *Config) *string { return &c.Log.Verdict }),
		{key: "webhooks", read: readWebhooks},
		text("state_dir", func(c *Config) *string { return &c.StateDir }),
		truth("events", func(c *Config) *bool { return &c.Events }),
	}
}

// Keys lists every option.
func Keys() []string {
	var keys []string
	for _, o := range options() {
		keys = append(keys, o.key)
	}
	return keys
}

// EnvName is the environment variable of an option: look.sweep_max is MINEHOUND_LOOK_SWEEP_MAX.
func EnvName(key string) string {
	return "MINEHOUND_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

func duration(key string, least, most time.Duration, at func(*Config) *time.Duration) option {
	return between(key, least, most, ParseDuration, FormatDuration, at)
}

func percent(key string, least, most Percent, at func(*Config) *Percent) option {
	return between(key, least, most, ParsePercent, Percent.String, at)
}

func size(key string, least, most Bytes, at func(*Config) *Bytes) option {
	return between(key, least, most, ParseBytes, Bytes.String, at)
}

func number(key string, least, most int, at func(*Config) *int) option {
	return between(key, least, most, parseInt, strconv.Itoa, at)
}

func parseInt(s string) (int, error) {
	i, err := strconv.Atoi(s)
	if err != nil {
		return 0, fmt.Errorf("%q is no whole number", s)
	}
	return i, nil
}

// between is an option with a least and a greatest value.
func between[T cmp.Ordered](key string, least, most T, parse func(string) (T, error), show func(T) string, at func(*Config) *T) option {
	return option{
		key: key,
		read: func(r *reader, c *Config, n *yaml.Node) {
			if v, ok := ranged(r, n, key, least, most, parse, show); ok {
				*at(c) = v
			}
		},
		show: func(c *Config) string { return show(*at(c)) },
	}
}

func truth(key string, at func(*Config) *bool) option {
	return option{
		key:  key,
		read: func(r *reader, c *Config, n *yaml.Node) { r.truth(n, key, at(c)) },
		show: func(c *Config) string { return strconv.FormatBool(*at(c)) },
	}
}

func text(key string, at func(*Config) *string) option {
	return option{
		key:  key,
		read: func(r *reader, c *Config, n *yaml.Node) { r.text(n, key, at(c)) },
		show: func(c *Config) string { return *at(c) },
	}
}

func verdict(key string, at func(*Config) *string) option {
	return option{
		key:  key,
		read: func(r *reader, c *Config, n *yaml.Node) { r.verdict(n, key, at(c)) },
		show: func(c *Config) string { return *at(c) },
	}
}

func texts(key string, at func(*Config) *[]string) option {
	return option{
		key:  key,
		read: func(r *reader, c *Config, n *yaml.Node) { r.texts(n, key, at(c)) },
		show: func(c *Config) string { return "[" + strings.Join(*at(c), ", ") + "]" },
	}
}

// Setting is one value and where it came from.
type Setting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Origin string `json:"origin"`
}

// Settings lists every value that is in force, with where it came from. Webhook URLs are redacted.
func (c *Config) Settings() []Setting {
	var list []Setting
	for _, o := range options() {
		switch o.key {
		case "allow":
			list = append(list, c.allowSettings()...)
		case "webhooks":
			list = append(list, c.webhookSettings()...)
		default:
			list = append(list, Setting{o.key, o.show(c), c.origins[o.key].String()})
		}
	}
	return list
}

// OriginOf tells where the value of an option came from.
func (c *Config) OriginOf(key string) Origin { return c.origins[key] }

func (c *Config) allowSettings() []Setting {
	if len(c.Allow) == 0 {
		return []Setting{{"allow", "[]", c.origins["allow"].String()}}
	}
	var list []Setting
	for i, a := range c.Allow {
		add := func(name, value string) {
			if value != "" {
				list = append(list, Setting{fmt.Sprintf("allow[%d].%s", i, name), value, a.Origin.String()})
			}
		}
		add("exe", a.Exe)
		add("sha256", a.SHA256)
		add("user", a.User)
		add("container", a.Container)
		add("rule", a.Rule)
		add("reason", a.Reason)
		if !a.Expires.IsZero() {
			add("expires", a.Expires.Format(time.RFC3339))
		}
	}
	return list
}

func (c *Config) webhookSettings() []Setting {
	if len(c.Webhooks) == 0 {
		return []Setting{{"webhooks", "[]", c.origins["webhooks"].String()}}
	}
	var list []Setting
	for i := range c.Webhooks {
		w := &c.Webhooks[i]
		add := func(name, value string) {
			if value != "" {
				list = append(list, Setting{fmt.Sprintf("webhooks[%s].%s", w.Name, name), value, w.Origin.String()})
			}
		}
		add("url", w.Redacted())
		add("secret_file", w.SecretFile)
		add("secret_env", w.SecretEnv)
		add("verdict", w.Verdict)
		if w.Insecure {
			add("insecure", "true")
		}
		add("ca_file", w.CAFile)
		add("timeout", FormatDuration(w.Timeout))
	}
	return list
}

// clone is a copy that shares nothing that Load changes.
func (c *Config) clone() *Config {
	d := *c
	d.Rules.Dirs = slices.Clone(c.Rules.Dirs)
	d.Rules.Disable = slices.Clone(c.Rules.Disable)
	return &d
}
