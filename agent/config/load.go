package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// maxFile is the largest configuration file that is read, far above what a person writes.
const maxFile = 4 << 20

// Input is where a configuration is read from.
type Input struct {
	Paths Paths
	// Path stands in for the vendor's and the administrator's files: a file is read alone, a directory with its
	// minehound.yaml and conf.d. Empty is the usual places, which need not exist.
	Path string
	Env  []string   // as os.Environ
	Set  []Override // what the command line says, the last word
	Now  time.Time
}

// Override is a value from the command line.
type Override struct {
	Name  string // the flag, "--set" or "--rules"
	Key   string
	Value string
}

// Load reads every layer. Its error is [Errors]: everything that is wrong, not only the first thing. A file that is not
// there is none of the usual places' business; one that was named must be there.
func Load(in Input) (*Config, error) {
	c := Default(in.Paths).clone()
	var errs Errors
	files, err := c.places(in)
	if err != nil {
		errs = append(errs, err)
	}
	for _, name := range files {
		data, err := readFile(name)
		if err != nil {
			errs = append(errs, &Error{Origin: Origin{Layer: File, Name: name}, Reason: "cannot be read", Err: err})
			continue
		}
		r := &reader{from: Origin{Layer: File, Name: name}, known: options()}
		r.file(c, data)
		errs = append(errs, r.errs...)
		c.Files = append(c.Files, name)
	}
	errs = append(errs, c.environment(in.Env)...)
	for _, f := range in.Set {
		errs = append(errs, c.set(Origin{Layer: Flag, Name: f.Name}, f.Key, f.Value)...)
	}
	if len(errs) > 0 {
		return nil, errs
	}
	c.warn(in.Now)
	return c, nil
}

// places lists the files to read, in order, and notes the directories to watch.
func (c *Config) places(in Input) ([]string, *Error) {
	main, confD, files := in.Paths.Main(), in.Paths.ConfD(), []string{in.Paths.Vendor}
	if in.Path != "" {
		info, err := os.Stat(in.Path)
		if err != nil {
			return nil, &Error{Origin: Origin{Layer: File, Name: in.Path}, Reason: "cannot be read", Err: err}
		}
		if !info.IsDir() {
			c.Dirs = []string{filepath.Dir(in.Path)}
			return []string{in.Path}, nil
		}
		main, confD, files = filepath.Join(in.Path, "minehound.yaml"), filepath.Join(in.Path, "conf.d"), nil
	}
	files = append(files, main)
	c.Dirs = []string{filepath.Dir(main), confD}
	entries, err := os.ReadDir(confD)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, &Error{Origin: Origin{Layer: File, Name: confD}, Reason: "cannot be read", Err: err}
	}
	for _, e := range entries { // os.ReadDir sorts them
		if name := e.Name(); strings.HasSuffix(name, ".yaml") && !strings.HasPrefix(name, ".") {
			files = append(files, filepath.Join(confD, name))
		}
	}
	return slices.DeleteFunc(files, func(name string) bool {
		_, err := os.Stat(name)
		return errors.Is(err, fs.ErrNotExist)
	}), nil
}

func readFile(name string) ([]byte, error) {
	if name == os.DevNull {
		return nil, nil // the usual way to say: none at all
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("is no regular file")
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("is larger than %s", Bytes(maxFile))
	}
	return os.ReadFile(name)
}

// set reads one value given as text: a list may be written with commas, anything else as in a file.
func (c *Config) set(from Origin, key, value string) Errors {
	r := &reader{from: from, known: options()}
	i := slices.IndexFunc(r.known, func(o option) bool { return o.key == key })
	if i < 0 {
		r.refuse(nil, key, "unknown option", r.hint(key, ""), nil)
		return r.errs
	}
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}
	if list := key == "allow" || key == "webhooks"; list || strings.HasPrefix(key, "rules.") {
		var err error
		if n, err = listNode(value, list); err != nil {
			r.refuse(nil, key, "no valid YAML", "", err)
			return r.errs
		}
	}
	r.known[i].read(r, c, n)
	if len(r.errs) == 0 {
		c.origins[key] = from
	}
	return r.errs
}

func listNode(value string, entries bool) (*yaml.Node, error) {
	if entries || strings.HasPrefix(strings.TrimSpace(value), "[") {
		n, err := parse([]byte(value))
		if n == nil && err == nil {
			n = &yaml.Node{Kind: yaml.SequenceNode}
		}
		return n, err
	}
	n := &yaml.Node{Kind: yaml.SequenceNode}
	for one := range strings.SplitSeq(value, ",") {
		if one = strings.TrimSpace(one); one != "" {
			n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: one})
		}
	}
	return n, nil
}

// environment reads the MINEHOUND_* variables; an empty one counts as not set. One that is nearly the name of an option is refused; any other unknown
// one is only warned about, because container platforms make up names like MINEHOUND_SERVICE_HOST.
func (c *Config) environment(env []string) Errors {
	var errs Errors
	names := map[string]string{} // of variables, to the keys of their options
	var all []string
	for _, key := range Keys() {
		names[EnvName(key)] = key
		all = append(all, EnvName(key))
	}
	env = slices.Clone(env)
	slices.Sort(env) // so that the same environment always gives the same errors
	var unknown []string
	for _, pair := range env {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, "MINEHOUND_") || name == "MINEHOUND_CONFIG" || value == "" {
			continue
		}
		if key, ok := names[name]; ok {
			errs = append(errs, c.set(Origin{Layer: Env, Name: name}, key, value)...)
		} else {
			unknown = append(unknown, name)
		}
	}
	for _, name := range unknown {
		if slices.ContainsFunc(c.Webhooks, func(w Webhook) bool { return w.SecretEnv == name }) {
			continue
		}
		rest := strings.TrimPrefix(name, "MINEHOUND_")
		if best := nearest(rest, trimAll(all)); best != "" {
			errs = append(errs, &Error{
				Origin: Origin{Layer: Env, Name: name}, Reason: "unknown option",
				Hint: "did you mean MINEHOUND_" + best + "?",
			})
			continue
		}
		c.Warnings = append(c.Warnings, "$"+name+" is no option and is ignored")
	}
	return errs
}

func trimAll(names []string) []string {
	list := make([]string, len(names))
	for i, name := range names {
		list[i] = strings.TrimPrefix(name, "MINEHOUND_")
	}
	return list
}

// warn notes what is allowed and probably not meant.
func (c *Config) warn(now time.Time) {
	add := func(o Origin, format string, args ...any) {
		c.Warnings = append(c.Warnings, o.String()+": "+fmt.Sprintf(format, args...))
	}
	for i, a := range c.Allow {
		if !a.Expires.IsZero() && !now.IsZero() && !a.Expires.After(now) {
			add(a.Origin, "allow[%d] (%s) has expired and allows nothing any more", i, a.Reason)
		}
	}
	for i := range c.Webhooks {
		if w := &c.Webhooks[i]; w.SecretFile == "" && w.SecretEnv == "" {
			add(w.Origin, "webhook %s has no secret: its receiver cannot tell who sent an alert", w.Name)
		}
	}
	if c.Log.Path == "" && len(c.Webhooks) == 0 {
		add(c.origins["log.path"], "no alert log and no webhook: alerts go nowhere")
	}
}
