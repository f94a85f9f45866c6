package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func noEnv(string) string { return "" }

// dir makes a configuration directory with the given files.
func dir(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestLayers(t *testing.T) {
	root := dir(t, map[string]string{
		"vendor.yaml":           "look: {every: 3s, budget: 1%}\nstate_dir: /vendor\nevents: false\n",
		"minehound.yaml":        "look:\n  every: 4s\nlog:\n  verdict: exposed\nrules:\n  disable: [one, two]\n",
		"conf.d/10-first.yaml":  "log: {verdict: mining}\nallow:\n  - {exe: /opt/a, reason: first}\n",
		"conf.d/20-second.yaml": "log:\n  verdict: suspected\nallow:\n  - {user: b, reason: second}\nrules: {disable: [three]}\n",
		"conf.d/.hidden.yaml":   "nonsense: true\n",
		"conf.d/notes.txt":      "nonsense: true\n",
		"conf.d/30-empty.yaml":  "",
	})
	paths := Paths{Vendor: filepath.Join(root, "vendor.yaml"), Dir: root, Log: "/l", State: "/s", Rules: "/r"}
	c, err := Load(Input{
		Paths: paths,
		Env:   []string{"PATH=/bin", "MINEHOUND_LOOK_SWEEP_MAX=20s", "MINEHOUND_RULES_DIRS=/x, /y"},
		Set:   []Override{{"--set", "look.every", "5s"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []Setting{
		{"look.every", "5s", "--set"},
		{"look.budget", "1%", filepath.Join(root, "vendor.yaml") + ":1"},
		{"look.sweep_max", "20s", "$MINEHOUND_LOOK_SWEEP_MAX"},
		{"rules.dirs", "[/x, /y]", "$MINEHOUND_RULES_DIRS"},
		{"rules.disable", "[three]", filepath.Join(root, "conf.d/20-second.yaml") + ":5"},
		{"allow[0].exe", "/opt/a", filepath.Join(root, "conf.d/10-first.yaml") + ":3"},
		{"allow[0].reason", "first", filepath.Join(root, "conf.d/10-first.yaml") + ":3"},
		{"allow[1].user", "b", filepath.Join(root, "conf.d/20-second.yaml") + ":4"},
		{"allow[1].reason", "second", filepath.Join(root, "conf.d/20-second.yaml") + ":4"},
		{"log.path", "/l", "built-in"},
		{"log.max_size", "10MiB", "built-in"},
		{"log.rotate_every", "30d", "built-in"},
		{"log.max_age", "365d", "built-in"},
		{"log.max_files", "12", "built-in"},
		{"log.verdict", "suspected", filepath.Join(root, "conf.d/20-second.yaml") + ":2"},
		{"webhooks", "[]", "built-in"},
		{"state_dir", "/vendor", filepath.Join(root, "vendor.yaml") + ":2"},
		{"events", "false", filepath.Join(root, "vendor.yaml") + ":3"},
	}
	if diff := cmp.Diff(want, c.Settings()); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if len(c.Files) != 5 {
		t.Errorf("files read: %q", c.Files)
	}
}

func TestWebhookOfTheSameNameIsReplaced(t *testing.T) {
	root := dir(t, map[string]string{
		"minehound.yaml": "webhooks:\n  - {name: ops, url: 'https://a.example/secret-path', secret_env: A}\n  - {name: b, url: 'https://b.example', secret_env: A}\n",
		"conf.d/x.yaml":  "webhooks:\n  - {name: ops, url: 'https://c.example/?key=secret', secret_env: MINEHOUND_HOOK_KEY, verdict: mining, timeout: 1m}\n",
	})
	c, err := Load(Input{Path: root, Paths: PathsFor("linux", noEnv), Env: []string{"MINEHOUND_HOOK_KEY=x"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Webhooks) != 2 || c.Webhooks[0].URL != "https://c.example/?key=secret" || c.Webhooks[0].Timeout != time.Minute {
		t.Errorf("webhooks: %+v", c.Webhooks)
	}
	if len(c.Warnings) != 0 {
		t.Errorf("a variable that holds a secret is warned about: %q", c.Warnings)
	}
	for _, s := range c.Settings() {
		if strings.Contains(s.Value, "secret-path") || strings.Contains(s.Value, "key=") {
			t.Errorf("%s shows the secret part of a URL: %s", s.Key, s.Value)
		}
	}
}

// TestBad holds every file in testdata/bad against what is said about it: the first line of the file is a comment with
// the error, and the second with the hint.
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 20 {
		t.Fatalf("testdata/bad: %v, %d files", err, len(files))
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.SplitN(string(data), "\n", 3)
			_, err = Load(Input{Path: name, Paths: PathsFor("linux", noEnv)})
			var errs Errors
			if !errors.As(err, &errs) {
				t.Fatalf("error is %v, want Errors", err)
			}
			want := name + strings.TrimPrefix(lines[0], "#")
			if got := errs[0].Error(); got != want {
				t.Errorf("\n got %s\nwant %s", got, want)
			}
			if want := strings.TrimSpace(strings.TrimPrefix(lines[1], "#")); errs[0].Hint != want {
				t.Errorf("\n got hint %s\nwant hint %s", errs[0].Hint, want)
			}
		})
	}
}

func TestAllThatIsWrongIsTold(t *testing.T) {
	root := dir(t, map[string]string{
		"minehound.yaml": "look: {every: 1, budget: 7}\nlogs: {}\n",
		"conf.d/a.yaml":  "events: maybe\n",
	})
	_, err := Load(Input{
		Path: root, Paths: PathsFor("linux", noEnv),
		Env: []string{"MINEHOUND_LOG_VERDICT=all"}, Set: []Override{{"--set", "look.evry", "2s"}},
	})
	var errs Errors
	if !errors.As(err, &errs) || len(errs) != 6 {
		t.Fatalf("want six errors, got %v", err)
	}
	if !errors.Is(err, errUnit) {
		t.Error("the causes are not kept")
	}
}

func TestEnvironment(t *testing.T) {
	in := Input{Path: dir(t, nil), Paths: PathsFor("linux", noEnv)}
	t.Run("typo", func(t *testing.T) {
		in.Env = []string{"MINEHOUND_LOOK_EVRY=2s"}
		_, err := Load(in)
		var e *Error
		if !errors.As(err, &e) || e.Error() != "$MINEHOUND_LOOK_EVRY: unknown option" || e.Hint != "did you mean MINEHOUND_LOOK_EVERY?" {
			t.Errorf("got %v, hint %q", err, e.Hint)
		}
	})
	t.Run("made up by a container platform", func(t *testing.T) {
		in.Env = []string{"MINEHOUND_SERVICE_HOST=10.0.0.1", "MINEHOUND_PORT_443_TCP_ADDR=10.0.0.1"}
		c, err := Load(in)
		if err != nil || len(c.Warnings) != 2 {
			t.Errorf("error %v, warnings %q", err, c.Warnings)
		}
	})
	t.Run("lists", func(t *testing.T) {
		in.Env = []string{
			`MINEHOUND_WEBHOOKS=[{"name":"a","url":"https://a.example","secret_env":"S"}]`,
			`MINEHOUND_RULES_DISABLE=["x, y", z]`, "MINEHOUND_RULES_DIRS=[]", "MINEHOUND_LOG_PATH=",
		}
		c, err := Load(in)
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Webhooks) != 1 || c.Webhooks[0].Origin.String() != "$MINEHOUND_WEBHOOKS" {
			t.Errorf("webhooks %+v", c.Webhooks)
		}
		if diff := cmp.Diff([]string{"x, y", "z"}, c.Rules.Disable); diff != "" || len(c.Rules.Dirs) != 0 {
			t.Errorf("disable %s, dirs %q", diff, c.Rules.Dirs)
		}
	})
}

func TestWarnings(t *testing.T) {
	root := dir(t, map[string]string{"minehound.yaml": "allow:\n  - {user: a, reason: gone, expires: 2026-01-31}\n" +
		"webhooks: [{name: a, url: 'https://a.example'}]\n"})
	for _, tt := range []struct {
		now  string
		want int
	}{{"2026-01-31T23:59:59Z", 1}, {"2026-02-01T00:00:00Z", 2}} {
		now, err := time.Parse(time.RFC3339, tt.now)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Load(Input{Path: root, Paths: PathsFor("linux", noEnv), Now: now})
		if err != nil || len(c.Warnings) != tt.want {
			t.Errorf("at %s: error %v, warnings %q, want %d", tt.now, err, c.Warnings, tt.want)
		}
	}
}

// TestExample uncomments the example that is shipped and holds every value in it against Default.
func TestExample(t *testing.T) {
	data, err := os.ReadFile("minehound.yaml")
	if err != nil {
		t.Fatal(err)
	}
	paths := PathsFor("linux", noEnv)
	load := func(text string) *Config {
		t.Helper()
		c, err := Load(Input{Path: filepath.Join(dir(t, map[string]string{"minehound.yaml": text}), "minehound.yaml"), Paths: paths})
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		return c
	}
	values := func(c *Config) (list [][2]string) {
		for _, s := range c.Settings() {
			list = append(list, [2]string{s.Key, s.Value})
		}
		return list
	}
	if diff := cmp.Diff(values(Default(paths)), values(load(string(data)))); diff != "" {
		t.Errorf("the example as shipped changes something:\n%s", diff)
	}

	var defaults, entries []string
	for line := range strings.SplitSeq(string(data), "\n") {
		bare, commented := strings.CutPrefix(line, "# ")
		if commented && (strings.HasPrefix(bare, "  ") || strings.Contains(bare, ": ") && strings.IndexFunc(bare, func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') }) > 0 || strings.HasSuffix(bare, ":")) {
			if strings.HasPrefix(bare, "  - ") || strings.HasPrefix(bare, "    ") {
				entries = append(entries, bare)
				continue
			}
			entries = append(entries, strings.Replace(bare, ": []", ":", 1))
			defaults = append(defaults, bare)
		}
	}
	c := load(strings.Join(defaults, "\n"))
	if diff := cmp.Diff(values(Default(paths)), values(c)); diff != "" {
		t.Errorf("the example uncommented is not Default (-default +example):\n%s", diff)
	}
	for _, key := range Keys() {
		if c.OriginOf(key).Layer == BuiltIn {
			t.Errorf("the example does not mention %s", key)
		}
	}
	full := strings.Replace(strings.Join(entries, "\n"), "disable:", "disable: []", 1)
	if c := load(full); len(c.Allow) != 1 || len(c.Webhooks) != 1 {
		t.Errorf("the example's entries: %+v %+v", c.Allow, c.Webhooks)
	}
}

func TestPaths(t *testing.T) {
	env := func(name string) string { return map[string]string{"ProgramData": `D:\Data`}[name] }
	for _, tt := range []struct{ goos, vendor, log string }{
		{"linux", "/usr/lib/minehound/minehound.yaml", "/var/log/minehound/alerts.jsonl"},
		{"darwin", "/usr/local/lib/minehound/minehound.yaml", "/var/log/minehound/alerts.jsonl"},
		{"windows", `C:\Program Files\Minehound\minehound.yaml`, `D:\Data\Minehound\alerts.jsonl`},
	} {
		if p := PathsFor(tt.goos, env); p.Vendor != tt.vendor || p.Log != tt.log {
			t.Errorf("%s: %+v", tt.goos, p)
		}
	}
}

func TestMissing(t *testing.T) {
	if _, err := Load(Input{Path: filepath.Join(t.TempDir(), "none.yaml")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that was named and is not there: %v", err)
	}
	if _, err := Load(Input{Paths: Paths{Vendor: "/none/v", Dir: "/none"}}); err != nil {
		t.Errorf("the usual places are empty: %v", err)
	}
}

func FuzzFile(f *testing.F) {
	names, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range append(names, "minehound.yaml") {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := Default(PathsFor("linux", noEnv))
		r := &reader{from: Origin{Layer: File, Name: "x.yaml"}, known: options()}
		r.file(c, data)
		for _, e := range r.errs {
			if e.Error() == "" {
				t.Error("an error that says nothing")
			}
		}
		if len(r.errs) == 0 {
			if c.Look.Every <= 0 || c.Log.MaxSize <= 0 || c.Look.Budget <= 0 {
				t.Errorf("out of range and not refused: %+v", c)
			}
			if got := c.Settings(); len(got) < len(options())-2 {
				t.Errorf("settings lost: %v", got)
			}
		}
	})
}
