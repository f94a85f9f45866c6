package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/minehound/minehound/agent/report"
)

// shown is one command of the README with what it is shown to print, "" for nothing shown.
type shown struct{ command, output string }

// readme is every command in the README's blocks marked console.
func readme(t *testing.T) []shown {
	t.Helper()
	data, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var list []shown
	for _, m := range regexp.MustCompile("(?s)\n```console\n(.*?)```\n").FindAllStringSubmatch(string(data), -1) {
		for _, c := range strings.Split("\n"+m[1], "\n$ ")[1:] {
			command, output, _ := strings.Cut(strings.TrimSuffix(c, "\n"), "\n")
			list = append(list, shown{command, output})
		}
	}
	return list
}

// TestReadme runs every command that the README shows, where a reader would: in the root of the source. What it shows as
// output must be the output. UPDATE=1 writes the output of commands that show some into the README.
func TestReadme(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the README's commands are for a shell")
	}
	dir := t.TempDir()
	bin := filepath.Join(dir, "minehound")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link(t, self, bin) // testscript.Main makes this test binary minehound when it is called so
	id := exampleLog(t, filepath.Join(dir, "alerts.jsonl"))
	put(t, filepath.Join(dir, "minehound.yaml"), fmt.Sprintf("state_dir: %q\nlog: {path: %q}\nrules: {dirs: []}\n",
		filepath.Join(dir, "state"), filepath.Join(dir, "alerts.jsonl")))
	rules := regexp.MustCompile(`, \d+ rules`) // one rule more is no reason to change the README
	list := readme(t)
	if len(list) < 14 {
		t.Fatalf("the README shows %d commands", len(list))
	}
	for _, s := range list {
		t.Run(s.command, func(t *testing.T) {
			command := strings.ReplaceAll(s.command, "CASE", id)
			command = strings.ReplaceAll(command, "quiet.jsonl.gz", filepath.Join(dir, "quiet.jsonl.gz"))
			command = strings.Replace(command, "--duration 70s", "--duration 1s", 1) // the same but for the wait
			cmd := exec.CommandContext(t.Context(), "sh", "-c", "exec "+command)
			cmd.Dir = "../.."
			cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "MINEHOUND_CONFIG="+filepath.Join(dir, "minehound.yaml"))
			var out, said bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &said
			if command == "minehound run" {
				command = "timeout --signal TERM 3 " + command
				cmd.Args[2] = "exec " + command
			}
			err := cmd.Run()
			code := cmd.ProcessState.ExitCode()
			if stopped := code == 124 && strings.HasPrefix(command, "timeout"); err != nil && code != exitFound && !stopped {
				t.Fatalf("exit code %d, %v\n%s%s", code, err, out.String(), said.String())
			}
			if strings.Contains(command, "minehound run") != (out.Len() == 0) && !strings.Contains(command, "record") {
				t.Errorf("stdout:\n%s", out.String())
			}
			printed := strings.TrimSuffix(out.String(), "\n")
			switch {
			case s.output == "" || rules.ReplaceAllString(s.output, "") == rules.ReplaceAllString(printed, ""):
			case os.Getenv("UPDATE") == "1":
				rewrite(t, s, printed)
			default:
				t.Errorf("the README shows\n%s\n\nbut it prints\n%s", s.output, printed)
			}
		})
	}
}

func rewrite(t *testing.T, s shown, output string) {
	t.Helper()
	data, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	put(t, "../../README.md", strings.Replace(string(data), "$ "+s.command+"\n"+s.output+"\n", "$ "+s.command+"\n"+output+"\n", 1))
}

// exampleLog writes the alert log that the README's example leads to, and gives the id of its case.
func exampleLog(t *testing.T, name string) string {
	t.Helper()
	var out, errs bytes.Buffer
	t.Setenv("MINEHOUND_CONFIG", os.DevNull)
	code := run(context.Background(), []string{"trace", "replay", "testdata/example.jsonl", "--output", "jsonl", "--set", "rules.dirs=[]"}, nil, &out, &errs)
	if code != exitFound {
		t.Fatalf("exit code %d\n%s", code, errs.String())
	}
	lines := strings.SplitAfter(strings.TrimSuffix(out.String(), "\n"), "\n")
	put(t, name, strings.Join(lines[:len(lines)-1], ""))
	var a report.Alert
	if err := json.Unmarshal([]byte(lines[0]), &a); err != nil {
		t.Fatal(err)
	}
	return a.ID
}

// TestReadmeNamesEveryCommand holds the README's table to the commands that there are.
func TestReadmeNamesEveryCommand(t *testing.T) {
	data, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range (&program{}).root().Commands() {
		if !strings.Contains(string(data), "| `minehound "+c.Name()) {
			t.Errorf("the README's table does not name minehound %s", c.Name())
		}
		for _, sub := range c.Commands() {
			if !strings.Contains(string(data), sub.Name()) {
				t.Errorf("the README does not name minehound %s %s", c.Name(), sub.Name())
			}
		}
	}
	for _, target := range []string{"LICENSE", "CONTRIBUTING.md", "docs/fields.md", "docs/alert.schema.json", "agent/config/minehound.yaml"} {
		if _, err := os.Stat(filepath.Join("../..", target)); err != nil {
			t.Errorf("the README points at %s: %v", target, err)
		}
	}
}
