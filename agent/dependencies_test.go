package agent_test

import (
	"go/ast"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestDependencies holds docs/dependencies.md and go.mod to the modules that are imported.
func TestDependencies(t *testing.T) {
	h, err := load(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	product, tests := map[string]bool{}, map[string]bool{}
	for _, s := range h.sources {
		for _, i := range s.file.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if first, _, _ := strings.Cut(p, "/"); !strings.Contains(first, ".") || strings.HasPrefix(p, module) {
				continue
			}
			m := moduleOf(p)
			if m == "" {
				t.Errorf("%s imports %s, which is of no module in the plan of the house", s.path, p)
			}
			if s.test {
				tests[m] = true
			} else {
				product[m] = true
			}
		}
	}
	for m := range product {
		delete(tests, m)
	}
	// A reader of fake machines is shared by the tests of two packages and lies beside the readers of real ones.
	if product["golang.org/x/tools"] {
		delete(product, "golang.org/x/tools")
		tests["golang.org/x/tools"] = true
	}
	doc := read(t, "../docs/dependencies.md")
	inProduct, inTests, found := strings.Cut(doc, "## In the tests")
	if !found {
		t.Fatal("docs/dependencies.md has no part about the tests")
	}
	same(t, "the program's part of docs/dependencies.md", product, listed(inProduct))
	same(t, "the tests' part of docs/dependencies.md", tests, listed(inTests))

	all := maps.Clone(product)
	maps.Copy(all, tests)
	same(t, "the direct requirements of go.mod", all, direct(read(t, "../go.mod")))
}

// TestPermits: a room that no longer uses a module may not use it either.
func TestPermits(t *testing.T) {
	h, err := load(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	for m, where := range guests() {
		for _, room := range where {
			if !slices.ContainsFunc(h.sources, func(s source) bool { return !s.test && covers(room, s.dir) && uses(s, m) }) {
				t.Errorf("%s may use %s and does not", room, m)
			}
		}
	}
}

// uses tells whether a file imports something of the module m.
func uses(s source, m string) bool {
	return slices.ContainsFunc(s.file.Imports, func(i *ast.ImportSpec) bool {
		p, err := strconv.Unquote(i.Path.Value)
		return err == nil && (p == m || strings.HasPrefix(p, m+"/"))
	})
}

// moduleOf is the module that an import path belongs to, "" for none of the plan.
func moduleOf(p string) string {
	for m := range guests() {
		if p == m || strings.HasPrefix(p, m+"/") {
			return m
		}
	}
	return ""
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// listed are the modules in the first column of the tables. Every row says why.
func listed(text string) map[string]bool {
	set := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|.* [^|]{20,} \\|$").FindAllStringSubmatch(text, -1) {
		set[m[1]] = true
	}
	return set
}

// direct are the requirements of a go.mod that are not marked indirect.
func direct(text string) map[string]bool {
	set := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^(?:require )?\t?([a-z]\S*\.\S+/\S+) v\S+$`).FindAllStringSubmatch(text, -1) {
		set[m[1]] = true
	}
	return set
}

func same(t *testing.T, what string, want, got map[string]bool) {
	t.Helper()
	for _, m := range slices.Sorted(maps.Keys(want)) {
		if !got[m] {
			t.Errorf("%s: %s is imported and not listed", what, m)
		}
	}
	for _, m := range slices.Sorted(maps.Keys(got)) {
		if !want[m] {
			t.Errorf("%s: %s is listed and not imported", what, m)
		}
	}
}
