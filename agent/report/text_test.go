package report_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/host"
	"github.com/minehound/minehound/agent/incident"
	"github.com/minehound/minehound/agent/report"
)

func TestExplainGolden(t *testing.T) {
	for name, in := range incidents() {
		t.Run(name, func(t *testing.T) {
			text := report.Explain(report.NewAlert(in, machine, gapsOf(name)), report.TextOptions{})
			narrow(t, text, 100)
			if name != "hostile" {
				golden(t, "explain-"+name+".txt", []byte(text))
			}
		})
	}
}

// narrow holds every line to a width and to what may be shown.
func narrow(t *testing.T, text string, width int) {
	t.Helper()
	for _, line := range strings.Split(text, "\n") {
		if n := utf8.RuneCountInString(line); n > width {
			t.Errorf("a line has %d columns: %q", n, line)
		}
		if report.Clean(line, 1<<20) != line {
			t.Errorf("a line is not clean: %q", line)
		}
		if strings.TrimRight(line, " ") != line {
			t.Errorf("a line ends in spaces: %q", line)
		}
	}
}

func TestListGolden(t *testing.T) {
	var alerts []report.Alert
	for _, name := range []string{"sample", "capped", "closed", "allowed", "notice", "exposed", "hostile", "machine"} {
		alerts = append(alerts, report.NewAlert(incidents()[name], machine, nil))
	}
	wide := sample()
	wide.Subject.Name, wide.Subject.User = "挖矿挖矿挖矿挖矿挖矿", "ééé"
	alerts = append(alerts, report.NewAlert(wide, machine, nil))
	text := report.List(alerts, report.TextOptions{})
	narrow(t, text, 100)
	golden(t, "list.txt", []byte(text))
	text = report.List(alerts, report.TextOptions{Width: 80})
	narrow(t, text, 80)
	golden(t, "list-80.txt", []byte(text))
}

// TestStrongest: of three that say the same, two do not count, and both name the one that does.
func TestStrongest(t *testing.T) {
	list := []report.Finding{
		{Rule: "middle", Class: detect.Conduct, Group: "load", Weight: 70},
		{Rule: "weak", Class: detect.Conduct, Group: "load", Weight: 50},
		{Rule: "other class", Class: detect.Capability, Group: "load", Weight: 200},
		{Rule: "strong", Class: detect.Conduct, Group: "load", Weight: 90},
		{Rule: "as strong", Class: detect.Conduct, Group: "load", Weight: 90},
		{Rule: "alone", Class: detect.Conduct, Weight: 30},
		{Rule: "alone too", Class: detect.Conduct, Weight: 40},
		{Rule: "alone", Class: detect.Conduct, Weight: 60},
	}
	for i, want := range []int{3, 3, 2, 3, 3, 7, 6, 7} {
		if got := report.Strongest(list, i); got != want {
			t.Errorf("%d: %d counts, want %d", i, got, want)
		}
	}
}

func TestListLinesUp(t *testing.T) {
	in := sample()
	in.Subject.Name = "挖矿挖矿挖矿挖矿挖矿"
	text := report.List([]report.Alert{report.NewAlert(in, machine, nil)}, report.TextOptions{})
	lines := strings.Split(text, "\n")
	before, _, _ := strings.Cut(lines[1], in.ID)
	wide := strings.Count(before, "挖") + strings.Count(before, "矿")
	if got, want := utf8.RuneCountInString(before)+wide, strings.Index(lines[0], "CASE"); got != want {
		t.Errorf("the case stands in column %d, its title in %d:\n%s", got, want, text)
	}
}

func TestColorOnlyWhenAsked(t *testing.T) {
	a := report.NewAlert(sample(), machine, nil)
	for _, o := range []report.TextOptions{{}, {Color: true}} {
		for _, text := range []string{report.Explain(a, o), report.List([]report.Alert{a}, o)} {
			if strings.Contains(text, "\x1b") != o.Color {
				t.Errorf("color %v: %q", o.Color, text[:40])
			}
		}
	}
}

// TestExplainTrustsNoFile shows an alert that did not come from NewAlert.
func TestExplainTrustsNoFile(t *testing.T) {
	a := report.Alert{
		ID: vile, Status: vile, Verdict: vile, Severity: vile,
		Subject: report.Subject{Kind: vile, Name: vile, Exe: vile, ExeSHA256: vile, Args: []string{vile, ""}, User: vile, Container: vile,
			Ancestors: []report.Ancestor{{Name: vile}}},
		Members:  []report.Member{{Name: vile}, {Name: vile}},
		Findings: []report.Finding{{Rule: vile, Class: vile, Title: vile, Author: vile, Attack: []string{vile}}, {Class: "proof", Group: vile}},
		Gaps:     []host.Gap{{Sensor: vile, Reason: vile}},
		Cost:     report.Cost{CPUSeconds: 1, KWh: report.Range{Method: vile}},
		Advice:   []string{vile}, Allowed: &incident.Allowance{Reason: vile}, MergedInto: vile,
	}
	narrow(t, report.Explain(a, report.TextOptions{}), 100)
	narrow(t, report.Explain(report.Alert{}, report.TextOptions{Width: 1}), 60)
	narrow(t, report.List([]report.Alert{a, {}}, report.TextOptions{}), 100)
}

// TestSumIsWrittenOut checks that the shown lines add up to the shown total.
func TestSumIsWrittenOut(t *testing.T) {
	text := report.Explain(report.NewAlert(capped(), machine, nil), report.TextOptions{})
	for _, want := range []string{
		"  prior         -30.0",
		"  capability    +25.0  of +31.0, capped",
		"  conduct        +8.0",
		"  concealment    +7.5",
		"  total          10.5",
		"(6.0)  Title of pool-in-arguments",
		"says the same as miner-flags, which counts",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
}
