package agent_test

import (
	"errors"
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
)

// TestHouseRules holds the house rules that the compiler and the linters do not know.
func TestHouseRules(t *testing.T) {
	h, err := load(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, check := range []func(*house) []string{inits, clocks, starts, variables, packageDocs} {
		for _, c := range check(h) {
			t.Error(c)
		}
	}
}

// inits finds functions that run before main.
func inits(h *house) []string {
	var bad []string
	for _, s := range h.sources {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				bad = append(bad, h.complain(f.Pos(), "no init: lists are functions, dependencies are struct fields set in cmd"))
			}
		}
	}
	return bad
}

// clocks finds uses of the wall clock where time comes in as Snapshot.At.
func clocks(h *house) []string {
	readers := []string{"Now", "Since", "Until", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Sleep"}
	return mentions(h, "time", readers, "same input, same output; time comes in as Snapshot.At", func(s source) bool { return in(s.dir, pure()) })
}

// starts finds programs started without os/exec, which the arrows know.
func starts(h *house) []string {
	var bad []string
	for p, names := range map[string][]string{
		"os":                       {"StartProcess"},
		"syscall":                  {"StartProcess", "ForkExec", "Exec", "CreateProcess", "CreateProcessAsUser"},
		"golang.org/x/sys/unix":    {"Exec"},
		"golang.org/x/sys/windows": {"CreateProcess", "CreateProcessAsUser", "ShellExecute"},
	} {
		bad = append(bad, mentions(h, p, names, "no subprocess", func(source) bool { return true })...)
	}
	slices.Sort(bad)
	return bad
}

// mentions finds names of the package p in the product's files where says true for, and tells why they may not stand there.
func mentions(h *house, p string, names []string, why string, where func(source) bool) []string {
	var bad []string
	for _, s := range h.sources {
		alias := importName(s.file, p)
		if s.test || alias == "" || !where(s) {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == alias && slices.Contains(names, sel.Sel.Name) {
				bad = append(bad, h.complain(sel.Pos(), "%s.%s: %s", path.Base(p), sel.Sel.Name, why))
			}
			return true
		})
	}
	return bad
}

// importName is what file calls the package p, "" when it does not import it.
func importName(file *ast.File, p string) string {
	for _, i := range file.Imports {
		if strings.Trim(i.Path.Value, `"`) != p {
			continue
		}
		if i.Name != nil {
			return i.Name.Name
		}
		return path.Base(p)
	}
	return ""
}

// nothing imports nothing: what the checks below ask about stands in the package itself.
type nothing struct{}

func (nothing) Import(string) (*types.Package, error) { return nil, errors.New("not needed") }

// variables finds package variables that change: written to outside their declaration, or made to change (locks,
// atomics).
func variables(h *house) []string {
	byDir := map[string][]*ast.File{}
	for _, s := range h.sources {
		if !s.test {
			byDir[s.dir] = append(byDir[s.dir], s.file)
		}
	}
	var bad []string
	for _, dir := range slices.Sorted(maps.Keys(byDir)) {
		uses := map[*ast.Ident]types.Object{}
		conf := types.Config{Importer: nothing{}, Error: func(error) {}} // the imports are missing on purpose
		pkg, _ := conf.Check(dir, h.fset, byDir[dir], &types.Info{Uses: uses})
		global := func(e ast.Expr) bool {
			o := uses[root(e)]
			_, isVar := o.(*types.Var)
			return isVar && o.Parent() == pkg.Scope()
		}
		for _, f := range byDir[dir] {
			bad = append(bad, changeable(h, f)...)
			ast.Inspect(f, func(n ast.Node) bool {
				for _, e := range written(n) {
					if global(e) {
						bad = append(bad, h.complain(e.Pos(), "package variable %s changes", root(e).Name))
					}
				}
				return true
			})
		}
	}
	return bad
}

// root is the variable that e is a part of: x for x, x.f, x[i], *x and (x).
func root(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}

// written lists what n writes to.
func written(n ast.Node) []ast.Expr {
	switch n := n.(type) {
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			return n.Lhs
		}
	case *ast.IncDecStmt:
		return []ast.Expr{n.X}
	case *ast.RangeStmt:
		if n.Tok == token.ASSIGN {
			return slices.DeleteFunc([]ast.Expr{n.Key, n.Value}, func(e ast.Expr) bool { return e == nil })
		}
	case *ast.CallExpr:
		if f, ok := n.Fun.(*ast.Ident); ok && slices.Contains([]string{"delete", "clear", "copy"}, f.Name) && len(n.Args) > 0 {
			return n.Args[:1]
		}
	}
	return nil
}

// changeable finds package variables whose type is made to change.
func changeable(h *house, f *ast.File) []string {
	var bad []string
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.VAR {
			continue
		}
		ast.Inspect(g, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := sel.X.(*ast.Ident); ok && (x.Name == "sync" || x.Name == "atomic") {
					bad = append(bad, h.complain(sel.Pos(), "package variable of type %s.%s changes", x.Name, sel.Sel.Name))
				}
			}
			_, isFunc := n.(*ast.FuncLit)
			return !isFunc
		})
	}
	return bad
}

// packageDocs finds packages without a package doc, or with more than one.
func packageDocs(h *house) []string {
	docs, first := map[string]int{}, map[string]source{}
	for _, s := range h.sources {
		if s.test {
			continue
		}
		if _, ok := first[s.dir]; !ok {
			first[s.dir] = s
		}
		if d := s.file.Doc.Text(); strings.HasPrefix(d, "Package "+s.file.Name.Name+" ") || s.file.Name.Name == "main" && strings.HasPrefix(d, "Command ") {
			docs[s.dir]++
		}
	}
	var bad []string
	for _, dir := range slices.Sorted(maps.Keys(first)) {
		if docs[dir] != 1 {
			bad = append(bad, h.complain(first[dir].file.Package, "package has %d package docs, want one", docs[dir]))
		}
	}
	return bad
}

// TestSizeAlarms lists what has grown beyond the alarms. It fails nothing: a long table is no defect, but somebody
// should have looked.
func TestSizeAlarms(t *testing.T) {
	const fileLines, funcLines, packageLines = 400, 50, 1500
	h, err := load(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	packages := map[string]int{}
	for _, s := range h.sources {
		lines := h.fset.File(s.file.Pos()).LineCount()
		if lines > fileLines {
			t.Logf("alarm: %s has %d lines (%d)", s.path, lines, fileLines)
		}
		if s.test {
			continue
		}
		packages[s.dir] += lines
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := h.fset.Position(f.End()).Line - h.fset.Position(f.Pos()).Line + 1; n > funcLines {
				t.Log("alarm: " + h.complain(f.Pos(), "%s has %d lines (%d)", f.Name.Name, n, funcLines))
			}
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		if packages[dir] > packageLines {
			t.Logf("alarm: package %s has %d lines (%d)", dir, packages[dir], packageLines)
		}
	}
}
