package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/host"
	"github.com/minehound/minehound/agent/incident"
	"github.com/minehound/minehound/agent/report"
)

// sample is a case with everything a case can have. Half of its texts were chosen by an attacker.
func sample() report.Alert {
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	finding := func(rule, title string, c detect.Class, w detect.Decibans, group string, e ...detect.Evidence) detect.Finding {
		return detect.Finding{Rule: rule, Title: title, Class: c, Weight: w, Group: group, Evidence: e, At: at}
	}
	findings := []detect.Finding{
		finding("dataset", "Memory laid out for RandomX", detect.Capability, 250, "memory", detect.Evidence{Field: "memory.large_mib", Value: "2080, 256"}),
		finding("dataset-alone", "Memory the size of a RandomX dataset", detect.Capability, 180, "memory"),
		finding("name", "Program named like a miner", detect.Capability, 150, "name",
			detect.Evidence{Field: "process.name", Value: "x\x1b[2J\u202emrig"}),
		finding("load", "Flat load for a minute", detect.Conduct, 70, "load", detect.Evidence{Field: "cpu.share_1m", Value: "1.98"}),
		finding("gone", "Executable removed while it runs", detect.Concealment, 100, "exe"),
	}
	sum := incident.Weigh(findings)
	v, s := incident.Judge(sum)
	subject := host.Subject{
		Kind: host.SubjectProcess, ID: host.ProcID{PID: 4242, Born: 1}, Name: "kworker\n\x1b[31m", User: "www-data",
		Exe: "/var/tmp/" + strings.Repeat("very-long-directory/", 8) + ".x", Container: strings.Repeat("0123456789abcdef", 4),
	}
	return report.NewAlert(incident.Incident{
		ID: "q3y5ilcqmys5vjth", Revision: 2, Status: incident.Updated, Verdict: v, Severity: s, Sum: sum, FirstSeen: at, LastSeen: at,
		Subject: subject, Members: []host.Subject{subject, {ID: host.ProcID{PID: 4243}}, {ID: host.ProcID{PID: 4244}}}, Findings: findings,
	}, host.Identity{OS: "linux"}, nil)
}

func TestTable(t *testing.T) {
	mining := sample()
	mining.Advice = []string{"It holds what a miner needs:", "Pause it: kill -STOP 4242."}
	allowed := sample()
	allowed.Allowed = &incident.Allowance{Reason: "our own node"}
	allowed.Advice, allowed.Findings, allowed.Status = nil, allowed.Findings[:1], incident.Closed
	notice := sample()
	notice.Verdict, notice.Subject.Name = "notice", "7z"
	many := make([]report.Alert, 10)
	for i := range many {
		many[i] = notice
	}
	gaps := []host.Gap{{Sensor: "gpu", Reason: "no sensor yet"}, {Sensor: "time", Reason: "watched 10 s: load over 1 min and more is not known yet, and this line is long enough to be broken into two lines"}}
	for name, r := range map[string]result{
		"clean":   {Verdict: "clean", Gaps: gaps, Stats: stats{Processes: 212, Busy: 3, Looks: 6, Rules: 71, Seconds: 10}},
		"one":     {Verdict: "clean", Stats: stats{Processes: 1, Looks: 1, Rules: 1, Seconds: 3600}},
		"mining":  {Verdict: "mining", Alerts: []report.Alert{mining, allowed}, Gaps: gaps[:1], Stats: stats{Processes: 212, Looks: 36, Rules: 71, Seconds: 70}},
		"notices": {Verdict: "notice", Alerts: many, Stats: stats{Processes: 2, Looks: 2, Rules: 71, Seconds: 2}},
	} {
		for width, suffix := range map[int]string{80: "", 60: "-narrow"} {
			var out bytes.Buffer
			page := &page{w: &out, width: width}
			if err := page.result(&r, headline(&r)); err != nil {
				t.Fatal(err)
			}
			golden(t, name+suffix, out.Bytes())
			for line := range strings.SplitSeq(out.String(), "\n") {
				if n := utf8.RuneCountInString(line); n > width {
					t.Errorf("%s: %d columns, want at most %d: %s", name, n, width, line)
				}
				if strings.TrimRight(line, " ") != line {
					t.Errorf("%s: a line ends in spaces: %q", name, line)
				}
				if strings.ContainsAny(line, "\x1b\r\u202e") {
					t.Errorf("%s: a text of the attacker's moves the cursor: %q", name, line)
				}
			}
		}
	}
}

// golden holds got against testdata/table/NAME.txt. UPDATE=1 writes the file.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", "table", name+".txt")
	if os.Getenv("UPDATE") == "1" {
		put(t, file, string(got))
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func TestColourOnlyWherePeopleLook(t *testing.T) {
	var out bytes.Buffer
	r := result{Verdict: "clean"}
	if err := (&page{w: &out, width: 80, colour: true}).result(&r, "Nothing found."); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "\x1b[32;1mNothing found.\x1b[0m") {
		t.Errorf("no colour: %q", out.String())
	}
	p := &program{env: []string{"NO_COLOR=1"}}
	if p.colour(os.Stdout) || p.colour(&out) {
		t.Error("colour in spite of NO_COLOR, or without a terminal")
	}
}

func TestSpell(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s", 9950 * time.Millisecond: "10 s", time.Minute: "1 min", 90 * time.Second: "1m30s", 2 * time.Hour: "2 h",
		70 * time.Minute: "1h10m",
	} {
		if got := spell(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
