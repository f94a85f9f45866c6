package agent_test

import (
	"fmt"
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// module is what an import path of ours begins with.
const module = "github.com/minehound/minehound"

// rooms says for each directory which of ours it may import. A trailing "/..." means everything below as well. A
// directory that is not listed, nor below one that ends in "/...", is a mistake: a new room is drawn here first.
func rooms() map[string][]string {
	return map[string][]string{
		"agent/host":         {},
		"agent/store":        {},
		"agent/config":       {},
		"agent/sense/...":    {"agent/sense/...", "agent/host"},
		"agent/inspect/...":  {"agent/host"},
		"agent/trace":        {"agent/host"},
		"agent/feature":      {"agent/host"},
		"agent/detect/sigma": {"agent/host"},
		"agent/detect":       {"agent/detect/sigma", "agent/feature", "agent/host"},
		"agent/incident":     {"agent/detect", "agent/feature", "agent/host"},
		"agent/report":       {"agent/incident", "agent/detect", "agent/feature", "agent/host"},
		"agent/report/spool": {"agent/report", "agent/incident"},
		"agent/respond":      {"agent/incident", "agent/host"},
		"agent":              {"agent/..."},
		"rules":              {},
		"signatures":         {},
		"cmd/...":            {"agent/...", "rules", "signatures"},
		"e2e/...":            {},
	}
}

// testRooms says what the tests of a directory may import beyond that. A stage is tried with recorded machines and with
// the rules that ship, which are data; only the end-to-end tests see everything.
func testRooms() map[string][]string {
	return map[string][]string{
		"agent/...":  {"agent/trace", "rules"},
		"rules":      {"agent/..."},
		"signatures": {"agent/..."},
		"cmd/...":    {"agent/...", "rules", "signatures"},
		"e2e/...":    {"agent/...", "rules", "signatures"},
	}
}

// guests says which rooms may use which module of others, so that a dependency stays where it was let in.
func guests() map[string][]string {
	return map[string][]string{
		"github.com/DeRuina/timberjack":            {"agent/report"},
		"github.com/fsnotify/fsnotify":             {"cmd/..."},
		"github.com/rs/zerolog":                    {"cmd/..."},
		"github.com/shirou/gopsutil/v3":            {"agent/sense"},
		"github.com/shirou/gopsutil/v4":            {"agent/sense"},
		"github.com/spf13/cobra":                   {"cmd/..."},
		"go.yaml.in/yaml/v3":                       {"agent/config", "agent/detect/sigma"},
		"golang.org/x/sys":                         {"agent/sense/...", "agent/store"},
		"golang.org/x/term":                        {"cmd/..."},
		"golang.org/x/tools":                       {"agent/sense/tree"}, // txtar: a machine in one file
		"github.com/google/go-cmp":                 {},                   // tests only, as the three below
		"github.com/rogpeppe/go-internal":          {},
		"github.com/santhosh-tekuri/jsonschema/v6": {},
		"pgregory.net/rapid":                       {},
	}
}

// tagged is where build tags stand: where the system is called. The store is among them for the lock on its directory.
func tagged() []string {
	return []string{"agent/sense/...", "agent/inspect/...", "agent/respond/...", "agent/control/...", "agent/store"}
}

// pure is where the same input gives the same output: no clock, no randomness.
func pure() []string {
	return []string{"agent/host", "agent/trace", "agent/feature", "agent/detect/...", "agent/incident"}
}

// subprocess is where programs may be started, and why.
func subprocess() map[string]string {
	return map[string]string{"e2e/tally": "it runs the stages of the test suite and is no part of the product"}
}

// source is one parsed Go file.
type source struct {
	path string // from the root of the module
	dir  string
	test bool
	file *ast.File
}

// house is every Go file of the module, read from the files themselves: `go list` would be answered from a cache.
type house struct {
	fset    *token.FileSet
	sources []source
}

func load(fsys fs.FS) (*house, error) {
	h := &house{fset: token.NewFileSet()}
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if n := d.Name(); p != "." && (n == "testdata" || n == "vendor" || n == "bin" || strings.HasPrefix(n, ".") || strings.HasPrefix(n, "_")) {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(p) != ".go" {
			return nil
		}
		text, err := fs.ReadFile(fsys, p)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(h.fset, p, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		h.sources = append(h.sources, source{p, path.Dir(p), strings.HasSuffix(p, "_test.go"), f})
		return nil
	})
	return h, err
}

// complain names the place and what is wrong there.
func (h *house) complain(pos token.Pos, format string, args ...any) string {
	p := h.fset.Position(pos)
	return fmt.Sprintf("%s:%d: %s", p.Filename, p.Line, fmt.Sprintf(format, args...))
}

// in tells whether dir is one of the rooms, "/..." meaning everything below as well.
func in(dir string, rooms []string) bool {
	return slices.ContainsFunc(rooms, func(r string) bool { return covers(r, dir) })
}

func covers(room, dir string) bool {
	root, deep := strings.CutSuffix(room, "/...")
	return dir == root || deep && strings.HasPrefix(dir, root+"/")
}

// of is the entry of table for dir; the longest room wins.
func of(table map[string][]string, dir string) (may []string, found bool) {
	best := ""
	for room, list := range table {
		if covers(room, dir) && len(room) > len(best) {
			best, may, found = room, list, true
		}
	}
	return may, found
}

// arrows checks the import lines.
func arrows(h *house) []string {
	var bad []string
	for _, s := range h.sources {
		may, known := of(rooms(), s.dir)
		if !known {
			bad = append(bad, h.complain(s.file.Package, "%s is not in the plan of the house", s.dir))
			continue
		}
		if s.test {
			more, _ := of(testRooms(), s.dir)
			may = append(slices.Clip(slices.Clone(may)), more...)
			may = append(may, s.dir)
		}
		for _, i := range s.file.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				bad = append(bad, h.complain(i.Pos(), "import path %s: %v", i.Path.Value, err))
				continue
			}
			if why := forbidden(s, p, may); why != "" {
				bad = append(bad, h.complain(i.Pos(), "%s must not import %s: %s", s.dir, p, why))
			}
		}
	}
	return bad
}

// forbidden says why s must not import p, or "".
func forbidden(s source, p string, may []string) string {
	if ours, ok := strings.CutPrefix(p, module+"/"); ok {
		if !in(ours, may) {
			return "the arrows point the other way"
		}
		return ""
	}
	switch first, _, _ := strings.Cut(p, "/"); {
	case p == "os/exec":
		if _, ok := subprocess()[s.dir]; !ok && !s.test {
			return "no subprocess"
		}
	case p == "math/rand", p == "math/rand/v2", p == "crypto/rand":
		if in(s.dir, pure()) && !s.test {
			return "same input, same output"
		}
	case p == "C", p == "unsafe" && !in(s.dir, tagged()):
		return "no cgo, and unsafe only beside system calls"
	case strings.Contains(first, "."):
		return uninvited(s, p)
	}
	return ""
}

// uninvited says why s must not use the module of others that p belongs to, or "".
func uninvited(s source, p string) string {
	for m, where := range guests() {
		if p == m || strings.HasPrefix(p, m+"/") {
			if s.test || in(s.dir, where) {
				return ""
			}
			return "that module stays in " + strings.Join(append(where, "tests"), ", ")
		}
	}
	return "that module is not in the plan of the house"
}

// platforms are the operating systems and processors that a file name can end in.
func platforms() []string {
	return []string{
		"linux", "windows", "darwin", "freebsd", "openbsd", "netbsd", "unix", "android", "ios", "js", "wasip1", "plan9", "solaris", "aix",
		"amd64", "arm64", "arm", "386", "riscv64", "wasm", "loong64", "ppc64le", "s390x",
	}
}

// tags checks that only the rooms of the system calls differ between platforms.
func tags(h *house) []string {
	var bad []string
	for _, s := range h.sources {
		if in(s.dir, tagged()) {
			continue
		}
		name := strings.TrimSuffix(strings.TrimSuffix(path.Base(s.path), ".go"), "_test")
		if _, suffix, ok := strings.Cut(name, "_"); ok && slices.Contains(platforms(), suffix[strings.LastIndexByte(suffix, '_')+1:]) {
			bad = append(bad, h.complain(s.file.Package, "a file for one platform outside %s", strings.Join(tagged(), ", ")))
		}
		for _, g := range s.file.Comments {
			for _, c := range g.List {
				if c.Pos() < s.file.Package && constraint.IsGoBuild(c.Text) {
					bad = append(bad, h.complain(c.Pos(), "a build tag outside %s", strings.Join(tagged(), ", ")))
				}
			}
		}
	}
	return bad
}

func TestArrows(t *testing.T) {
	h, err := load(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	if len(h.sources) < 10 {
		t.Fatalf("only %d Go files found: this is not the module", len(h.sources))
	}
	for _, check := range []func(*house) []string{arrows, tags} {
		for _, c := range check(h) {
			t.Error(c)
		}
	}
}
