package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// event is one line of `go test -json`, see `go doc test2json`.
type event struct {
	Action      string
	Package     string
	ImportPath  string
	Test        string
	Output      string
	FailedBuild string
}

// key names a test over all stages.
type key struct{ pkg, test string }

func (k key) String() string {
	if k.test == "" {
		return k.pkg
	}
	return k.pkg + " " + k.test
}

// total is what all stages together did.
type total struct {
	passed   int
	failed   []string
	skipped  map[key]string // with the reason each gave
	reasons  map[key]string
	ran      map[key]bool
	stageSaw bool // the current stage spoke events
	results  map[key]string
	order    []key               // of results, as they came
	output   map[key][]string    // of tests that have not ended
	builds   map[string][]string // output of builds by import path
}

func newTotal() *total {
	return &total{
		skipped: map[key]string{},
		reasons: map[key]string{},
		ran:     map[key]bool{},
		results: map[key]string{},
		output:  map[key][]string{},
		builds:  map[string][]string{},
	}
}

// event counts one line and tells whether it was an event at all. What a failed test printed goes to w.
func (t *total) event(stage string, line []byte, w io.Writer) bool {
	var e event
	if line[0] != '{' || json.Unmarshal(line, &e) != nil || e.Action == "" {
		return false
	}
	t.stageSaw = true
	k := key{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		t.builds[e.ImportPath] = append(t.builds[e.ImportPath], e.Output)
	case "output":
		t.output[k] = append(t.output[k], e.Output)
	case "fail":
		for _, o := range append(t.builds[e.FailedBuild], t.output[k]...) {
			fmt.Fprint(w, o)
		}
		t.end(k, e.Action)
	case "pass", "skip":
		t.reasons[k] = reason(t.output[k])
		t.end(k, e.Action)
		if e.Test == "" {
			fmt.Fprintf(w, "%s %s %s\n", stage, e.Action, e.Package)
		}
	}
	return true
}

func (t *total) end(k key, action string) {
	t.results[k] = action
	t.order = append(t.order, k)
	delete(t.output, k)
}

// reason is what a test said before it was skipped: its output without the lines of the test runner itself.
func reason(output []string) string {
	var said []string
	for _, o := range output {
		o = strings.TrimSpace(o)
		if o != "" && !strings.HasPrefix(o, "=== ") && !strings.HasPrefix(o, "--- ") {
			said = append(said, o)
		}
	}
	return strings.Join(said, " ")
}

// endStage adds up the stage that has just ended with err.
func (t *total) endStage(name string, err error) {
	parents, blamed := map[key]bool{}, map[key]bool{}
	for _, k := range t.order {
		for _, up := range ancestors(k) {
			parents[up] = true
			if t.results[k] == "fail" {
				blamed[up] = true
			}
		}
	}
	failures := 0
	for _, k := range t.order {
		switch t.results[k] {
		case "fail":
			// A test that only failed because a subtest did, and a package because a test did, are counted there.
			if !blamed[k] {
				failures++
				t.failed = append(t.failed, name+": "+k.String())
			}
		case "pass":
			t.ran[k] = true
			if !parents[k] && k.test != "" {
				t.passed++
			}
		case "skip":
			if k.test != "" { // a package without test files "skips" too
				t.skipped[k] = t.reasons[k]
			}
		}
	}
	switch {
	case err != nil && failures == 0:
		t.failed = append(t.failed, fmt.Sprintf("stage %s: %v", name, err))
	case err == nil && !t.stageSaw:
		t.passed++
	}
	t.stageSaw = false
	t.order = nil
	clear(t.results)
	clear(t.output)
	clear(t.builds)
}

// ancestors are the tests that k is a subtest of, and its package.
func ancestors(k key) []key {
	var up []key
	for test := k.test; test != ""; up = append(up, key{k.pkg, test}) {
		test = test[:max(0, strings.LastIndexByte(test, '/'))]
	}
	return up
}

// report prints the names of what failed and what was skipped everywhere, then the count, and returns the failures.
func (t *total) report(w io.Writer, strict bool) int {
	var skipped []string
	for k, why := range t.skipped {
		if !t.ran[k] {
			skipped = append(skipped, strings.TrimRight(k.String()+": "+why, ": "))
		}
	}
	slices.Sort(skipped)
	for _, s := range skipped {
		fmt.Fprintf(w, "SKIPPED %s\n", s)
	}
	if strict {
		for _, s := range skipped {
			t.failed = append(t.failed, "skipped: "+s)
		}
	}
	for _, f := range t.failed {
		fmt.Fprintf(w, "FAILED %s\n", f)
	}
	fmt.Fprintf(w, "%d passed, %d failed\n", t.passed, len(t.failed))
	return len(t.failed)
}
