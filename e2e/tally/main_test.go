package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	events := func(lines ...string) string {
		return "cat <<'E'\n" + strings.Join(lines, "\n") + "\nE\n"
	}
	const pkg = `"Package":"p"`
	tests := []struct {
		name   string
		args   []string
		code   int
		last   string
		prints []string // each somewhere in the output
	}{
		{
			name: "a command without events is one check",
			args: []string{"lint=true", "vet=true"}, code: 0, last: "2 passed, 0 failed",
		},
		{
			name: "a failing command is one failure and the next stage still runs",
			args: []string{"lint=echo badness; false", "vet=echo reached"}, code: 1, last: "1 passed, 1 failed",
			prints: []string{"badness", "reached", "FAILED stage lint: "},
		},
		{
			name: "subtests are counted instead of their parent",
			args: []string{"unit=" + events(
				`{"Action":"pass",`+pkg+`,"Test":"TestA/x"}`,
				`{"Action":"pass",`+pkg+`,"Test":"TestA/y"}`,
				`{"Action":"pass",`+pkg+`,"Test":"TestA"}`,
				`{"Action":"pass",`+pkg+`,"Test":"TestB"}`,
				`{"Action":"pass",`+pkg+`}`)},
			code: 0, last: "3 passed, 0 failed",
		},
		{
			name: "a failed subtest fails once, and its output is shown",
			args: []string{"unit=" + events(
				`{"Action":"output",`+pkg+`,"Test":"TestA/x","Output":"because of this\n"}`,
				`{"Action":"fail",`+pkg+`,"Test":"TestA"}`,
				`{"Action":"fail",`+pkg+`,"Test":"TestA/x"}`,
				`{"Action":"fail",`+pkg+`}`) + "false"},
			code: 1, last: "0 passed, 1 failed", prints: []string{"because of this", "FAILED unit: p TestA/x"},
		},
		{
			name: "a parent that fails although its subtests pass counts",
			args: []string{"unit=" + events(
				`{"Action":"pass",`+pkg+`,"Test":"TestA/x"}`,
				`{"Action":"fail",`+pkg+`,"Test":"TestA"}`,
				`{"Action":"fail",`+pkg+`}`) + "false"},
			code: 1, last: "1 passed, 1 failed", prints: []string{"FAILED unit: p TestA"},
		},
		{
			name: "a package that does not build is a failure and shows why",
			args: []string{"unit=" + events(
				`{"ImportPath":"p [p.test]","Action":"build-output","Output":"undefined: x\n"}`,
				`{"ImportPath":"p [p.test]","Action":"build-fail"}`,
				`{"Action":"fail",`+pkg+`,"FailedBuild":"p [p.test]"}`) + "false"},
			code: 1, last: "0 passed, 1 failed", prints: []string{"undefined: x", "FAILED unit: p\n"},
		},
		{
			name: "a command that dies after passing tests is a failure",
			args: []string{"unit=" + events(`{"Action":"pass",`+pkg+`,"Test":"TestA"}`) + "exit 3"},
			code: 1, last: "1 passed, 1 failed", prints: []string{"FAILED stage unit: stage unit: exit status 3"},
		},
		{
			name: "what is skipped is named with its reason",
			args: []string{"unit=" + events(
				`{"Action":"output",`+pkg+`,"Test":"TestA","Output":"=== RUN   TestA\n"}`,
				`{"Action":"output",`+pkg+`,"Test":"TestA","Output":"    a_test.go:3: needs root\n"}`,
				`{"Action":"output",`+pkg+`,"Test":"TestA","Output":"--- SKIP: TestA (0.00s)\n"}`,
				`{"Action":"skip",`+pkg+`,"Test":"TestA"}`)},
			code: 0, last: "0 passed, 0 failed", prints: []string{"SKIPPED p TestA: a_test.go:3: needs root"},
		},
		{
			name: "when strict a skipped test is a failure",
			args: []string{"-strict", "unit=" + events(`{"Action":"skip",`+pkg+`,"Test":"TestA"}`)},
			code: 1, last: "0 passed, 1 failed", prints: []string{"FAILED skipped: p TestA"},
		},
		{
			name: "a test that another stage runs is not skipped",
			args: []string{
				"-strict",
				"unit=" + events(`{"Action":"skip",`+pkg+`,"Test":"TestA"}`),
				"e2e=" + events(`{"Action":"pass",`+pkg+`,"Test":"TestA"}`),
			},
			code: 0, last: "1 passed, 0 failed",
		},
		{
			name: "lines that are no events are passed on",
			args: []string{`unit=echo '{"not":"an event"}'; echo '{broken'`}, code: 0, last: "1 passed, 0 failed",
			prints: []string{`{"not":"an event"}`, "{broken"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			if code := run(t.Context(), tt.args, &out, &errs); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if got := lines[len(lines)-1]; got != tt.last {
				t.Errorf("last line %q, want %q", got, tt.last)
			}
			for _, p := range tt.prints {
				if !strings.Contains(out.String(), p) {
					t.Errorf("output lacks %q", p)
				}
			}
			if t.Failed() {
				t.Logf("output:\n%s%s", out.String(), errs.String())
			}
		})
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"-strict"}, {"lint"}, {"=true"}, {"lint="}} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), args, &out, &errs); code != 2 || errs.Len() == 0 {
			t.Errorf("run(%q) = %d with %q on stderr, want 2 and a reason", args, code, errs.String())
		}
	}
}
