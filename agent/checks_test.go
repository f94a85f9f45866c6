package agent_test

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// TestChecksCatch proves that the checks of the house can fail: each is shown a house with one mistake.
func TestChecksCatch(t *testing.T) {
	const doc = "// Package p is a fixture.\n"
	ours := func(p string) string { return doc + "package p\nimport _ \"" + module + "/" + p + "\"\n" }
	uses := func(p string) string { return doc + "package p\nimport _ \"" + p + "\"\n" }
	tests := []struct {
		name, path, text string
		check            func(*house) []string
		want             string // in the one complaint; "" for none
	}{
		{"forbidden arrow", "agent/feature/x.go", ours("agent/detect"), arrows, "the arrows point the other way"},
		{"forbidden arrow in a test", "agent/feature/x_test.go", ours("agent/detect"), arrows, "the arrows point the other way"},
		{"host knows nobody", "agent/host/x.go", ours("agent/sense"), arrows, "the arrows point the other way"},
		{"a stage does not know the loop", "agent/report/x.go", ours("agent"), arrows, "the arrows point the other way"},
		{"a stage does not know a command", "agent/sense/x.go", ours("cmd/minehound"), arrows, "the arrows point the other way"},
		{"allowed arrow", "agent/detect/x.go", ours("agent/feature"), arrows, ""},
		{"a test may replay", "agent/feature/x_test.go", ours("agent/trace"), arrows, ""},
		{"a test may import its package", "agent/feature/x_test.go", ours("agent/feature"), arrows, ""},
		{"a command sees everything", "cmd/minehound/x.go", ours("agent/detect/sigma"), arrows, ""},
		{"a room that is not in the plan", "agent/util/x.go", doc + "package p\n", arrows, "not in the plan"},
		{"subprocess", "agent/sense/x.go", uses("os/exec"), arrows, "no subprocess"},
		{"subprocess in a test", "agent/sense/x_test.go", uses("os/exec"), arrows, ""},
		{"randomness", "agent/detect/sigma/x.go", uses("math/rand/v2"), arrows, "same input"},
		{"randomness before sense", "agent/report/x.go", uses("math/rand/v2"), arrows, ""},
		{"cgo", "agent/sense/x.go", uses("C"), arrows, "no cgo"},
		{"unsafe", "agent/feature/x.go", uses("unsafe"), arrows, "unsafe only"},
		{"a module in the wrong room", "agent/feature/x.go", uses("github.com/rs/zerolog/log"), arrows, "stays in"},
		{"a module nobody let in", "agent/feature/x.go", uses("github.com/sirupsen/logrus"), arrows, "not in the plan"},
		{"a test tool in the product", "agent/feature/x.go", uses("github.com/google/go-cmp/cmp"), arrows, "stays in"},
		{"build tag", "agent/feature/x.go", "//go:build linux\n\n" + doc + "package p\n", tags, "a build tag outside"},
		{"platform by name", "agent/feature/x_linux.go", doc + "package p\n", tags, "a file for one platform"},
		{"platform test by name", "agent/feature/x_windows_test.go", doc + "package p\n", tags, "a file for one platform"},
		{"platform and processor by name", "agent/feature/x_linux_arm64.go", doc + "package p\n", tags, "a file for one platform"},
		{"a platform's room", "agent/sense/x_linux.go", "//go:build linux\n\n" + doc + "package p\n", tags, ""},
		{"a name that is a platform", "agent/feature/linux.go", doc + "package p\n", tags, ""},
		{"init", "agent/feature/x.go", doc + "package p\nfunc init() {}\n", inits, "no init"},
		{"a method called init", "agent/feature/x.go", doc + "package p\ntype T int\nfunc (T) init() {}\n", inits, ""},
		{"clock", "agent/incident/x.go", doc + "package p\nimport \"time\"\nfunc f() time.Time { return time.Now() }\n", clocks, "time.Now"},
		{"renamed clock", "agent/incident/x.go", doc + "package p\nimport t \"time\"\nvar _ = t.Since\n", clocks, "time.Since"},
		{"clock in a test", "agent/incident/x_test.go", doc + "package p\nimport \"time\"\nvar _ = time.Now\n", clocks, ""},
		{"a program started by hand", "agent/sense/x.go", doc + "package p\nimport \"os\"\nvar _ = os.StartProcess\n", starts, "no subprocess"},
		{"a program become another", "cmd/x/x.go", doc + "package p\nimport sys \"syscall\"\nvar _ = sys.Exec\n", starts, "no subprocess"},
		{"a program started by a test", "cmd/x/x_test.go", doc + "package p\nimport \"os\"\nvar _ = os.StartProcess\n", starts, ""},
		{"clock outside", "agent/report/x.go", doc + "package p\nimport \"time\"\nvar _ = time.Now\n", clocks, ""},
		{"assigned", "agent/x/x.go", doc + "package p\nvar v int\nfunc f() { v = 1 }\n", variables, "package variable v changes"},
		{"counted", "agent/x/x.go", doc + "package p\nvar v int\nfunc f() { v++ }\n", variables, "package variable v changes"},
		{"element", "agent/x/x.go", doc + "package p\nvar v = map[string]int{}\nfunc f() { v[\"\"] = 1 }\n", variables, "package variable v changes"},
		{"field", "agent/x/x.go", doc + "package p\nvar v struct{ n int }\nfunc f() { v.n = 1 }\n", variables, "package variable v changes"},
		{"deleted", "agent/x/x.go", doc + "package p\nvar v = map[string]int{}\nfunc f() { delete(v, \"\") }\n", variables, "package variable v changes"},
		{"ranged", "agent/x/x.go", doc + "package p\nvar v int\nfunc f() { for v = range 3 {} }\n", variables, "package variable v changes"},
		{"once", "agent/x/x.go", doc + "package p\nimport \"sync\"\nvar once sync.Once\n", variables, "sync.Once"},
		{"shadowed", "agent/x/x.go", doc + "package p\nvar v int\nfunc f() { v := 2; v = 1; _ = v }\n", variables, ""},
		{"parameter", "agent/x/x.go", doc + "package p\nvar v int\nfunc f(v int) { v = 1 }\n", variables, ""},
		{"read", "agent/x/x.go", doc + "package p\nvar v = []int{1}\nfunc f() int { w := v[0]; w++; return w }\n", variables, ""},
		{"no package doc", "agent/x/x.go", "package p\n", packageDocs, "0 package docs"},
		{"package doc", "agent/x/x.go", doc + "package p\n", packageDocs, ""},
		{"command doc", "cmd/x/x.go", "// Command x is a fixture.\npackage main\n", packageDocs, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, err := load(fstest.MapFS{tt.path: {Data: []byte(tt.text)}})
			if err != nil {
				t.Fatal(err)
			}
			got := tt.check(h)
			switch {
			case tt.want == "" && len(got) > 0:
				t.Errorf("complains: %q", got)
			case tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want) || !strings.HasPrefix(got[0], tt.path+":")):
				t.Errorf("complains %q, want one about %s that says %q", got, tt.path, tt.want)
			}
		})
	}
}

func TestSecondPackageDoc(t *testing.T) {
	text := &fstest.MapFile{Data: []byte("// Package p is a fixture.\npackage p\n")}
	h, err := load(fstest.MapFS{"agent/x/a.go": text, "agent/x/b.go": text, "agent/x/testdata/c.go": text, "agent/x/.d/d.go": text})
	if err != nil {
		t.Fatal(err)
	}
	if got := packageDocs(h); len(got) != 1 || !strings.Contains(got[0], "2 package docs") {
		t.Errorf("complains %q, want two docs in agent/x", got)
	}
	if slices.ContainsFunc(h.sources, func(s source) bool { return s.dir != "agent/x" }) {
		t.Error("testdata and hidden directories are read")
	}
}
