package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/minehound/minehound/agent/config"
	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/host"
	"github.com/minehound/minehound/agent/report"
)

// page lays text out for people, at most width columns wide.
type page struct {
	w      io.Writer
	width  int
	colour bool
	err    error
}

func (p *program) page() *page {
	return &page{w: p.stdout, width: width(p.stdout), colour: p.colour(p.stdout)}
}

func (t *page) linef(format string, a ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintln(t.w, strings.TrimRight(fmt.Sprintf(format, a...), " "))
	}
}

// The few colours there are, as ANSI has them: a person with another palette has chosen it.
const (
	red    = "31"
	yellow = "33"
	green  = "32"
	bold   = "1"
	dim    = "2"
)

func (t *page) paint(code, s string) string {
	if !t.colour || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func verdictColour(verdict string) string {
	switch verdict {
	case "mining", "suspected":
		return red + ";" + bold
	case "exposed":
		return yellow + ";" + bold
	case "clean":
		return green + ";" + bold
	}
	return bold
}

// result shows what a scan came to: the cases with their sums, what was looked at and what was not.
func (t *page) result(r *result, title string) error {
	var notices []*report.Alert
	shown := 0
	for i := range r.Alerts {
		a := &r.Alerts[i]
		if a.Verdict == "notice" || a.Verdict == "clean" {
			notices = append(notices, a)
			continue
		}
		t.alert(a)
		shown++
	}
	if shown == 0 {
		t.linef("%s", t.paint(verdictColour("clean"), title))
		t.linef("")
	}
	t.notices(notices)
	busy := ""
	if r.Stats.Busy > 0 {
		busy = fmt.Sprintf(" (%d busy)", r.Stats.Busy)
	}
	t.fact("looked at", fmt.Sprintf("%s%s for %s, %s, %s", count(r.Stats.Processes, "process", "processes"), busy,
		spell(time.Duration(r.Stats.Seconds*float64(time.Second))), count(r.Stats.Looks, "look", "looks"),
		count(r.Stats.Rules, "rule", "rules")))
	for i, g := range r.Gaps {
		name := "not seen"
		if i > 0 {
			name = ""
		}
		t.fact(name, g.Sensor+": "+g.Reason)
	}
	return t.err
}

// The column of the classes of evidence, and how wide a sum gets: a weight far from its reason is hard to read.
const (
	class  = 12
	widest = 80
)

// alert shows one case: who, and the whole sum.
func (t *page) alert(a *report.Alert) {
	colour := verdictColour(a.Verdict)
	if a.Allowed != nil {
		colour = bold // nothing to be alarmed about
	}
	head := t.paint(colour, strings.ToUpper(a.Verdict)) + "  " + fmt.Sprintf("%.1f %%, severity %s", a.Score, a.Severity)
	if a.Allowed != nil {
		head += ", allowed"
	}
	if a.Status == "closed" {
		head += ", ended"
	}
	t.linef("%s", head)
	who := fmt.Sprintf("pid %d  %s", a.Subject.PID, orDash(a.Subject.Name))
	if a.Subject.User != "" {
		who += "  user " + a.Subject.User
	}
	if n := len(a.Members) - 1 + a.Omitted.Members; n > 0 {
		who += fmt.Sprintf("  and %s", count(n, "more process", "more processes"))
	}
	t.linef("  %s", cut(report.Clean(who, 400), t.width-2))
	if a.Subject.Exe != "" {
		t.linef("  %s", cutMiddle(a.Subject.Exe, t.width-2))
	}
	if a.Subject.Container != "" {
		t.linef("  container %s", a.Subject.Container[:min(12, len(a.Subject.Container))])
	}
	if a.Allowed != nil {
		t.linef("  %s", t.paint(green, cut("allowed: "+a.Allowed.Reason, t.width-2)))
	}
	t.linef("")
	t.sum(a)
	t.linef("")
	if todo := next(a.Advice); todo != "" {
		for i, l := range wrap(report.Clean(todo, 600), min(t.width, widest)-4-class) {
			t.linef("  %-*s %s", class, map[bool]string{true: "next"}[i == 0], l)
		}
	}
	t.linef("  %-*s %s", class, "case", t.paint(dim, a.ID))
	t.linef("")
}

// next is the first thing to do, with its introduction.
func next(advice []string) string {
	for i, s := range advice {
		if !strings.HasSuffix(s, ":") {
			return strings.Join(advice[:i+1], " ")
		}
	}
	return ""
}

// sum shows every finding with its weight, the caps where they bite, and the total.
func (t *page) sum(a *report.Alert) {
	const weight = 8
	title := min(t.width, widest) - 2 - class - 2 - weight
	row := func(name, text, w, colour string) {
		for i, l := range wrap(report.Clean(text, 300), title) {
			if i > 0 {
				name, w = "", ""
			}
			t.linef("  %-*s %s %s", class, name, pad(l, title), t.paint(colour, fmt.Sprintf("%*s", weight, w)))
		}
	}
	row("prior", "one in a thousand", signed(a.Sum.Prior), dim)
	classes := []struct {
		class detect.Class
		sum   detect.Decibans
	}{{detect.Proof, a.Sum.Proof}, {detect.Capability, a.Sum.Capability}, {detect.Conduct, a.Sum.Conduct}, {detect.Concealment, a.Sum.Concealment}}
	for _, c := range classes {
		name := string(c.class)
		var raw detect.Decibans
		for _, f := range counted(a.Findings, c.class) {
			if !f.counts {
				row(name, f.Title, "("+signed(f.Weight)+")", dim)
				continue
			}
			raw += f.Weight
			row(name, f.Title, signed(f.Weight), "")
			name = ""
			if seen := evidence(f.Evidence); seen != "" {
				t.linef("  %-*s   %s", class, "", t.paint(dim, cut(seen, min(t.width, widest)-class-5)))
			}
		}
		if raw > c.sum {
			row("", "together at most", signed(c.sum), "")
		}
	}
	row("total", fmt.Sprintf("that is %.1f %%", a.Score), signed(a.Sum.Total), bold)
}

// evidence is what made a rule hold, on one line.
func evidence(list []detect.Evidence) string {
	parts := make([]string, len(list))
	for i, e := range list {
		parts[i] = e.Field + " " + e.Value
	}
	return report.Clean(strings.Join(parts, ", "), 400)
}

type countedFinding struct {
	report.Finding
	counts bool // false when a stronger one of its group counts instead
}

// counted are the findings of a class, first those that add to the sum, the strongest of them first.
func counted(list []report.Finding, class detect.Class) []countedFinding {
	var out []countedFinding
	for i, f := range list {
		if f.Class == class {
			out = append(out, countedFinding{f, report.Strongest(list, i) == i})
		}
	}
	slices.SortStableFunc(out, func(a, b countedFinding) int {
		if a.counts != b.counts {
			return map[bool]int{true: -1, false: 1}[a.counts]
		}
		return cmp.Compare(b.Weight, a.Weight)
	})
	return out
}

// notices are cases that nobody needs to act on, one line each.
func (t *page) notices(list []*report.Alert) {
	const most = 8
	if len(list) == 0 {
		return
	}
	t.linef("%s", t.paint(bold, "worth knowing, not worth acting on"))
	for i, a := range list {
		if i == most {
			t.linef("  and %d more: --output json shows them", len(list)-most)
			break
		}
		var why []string
		for _, f := range a.Findings {
			why = append(why, f.Title)
		}
		who := pad(cut(fmt.Sprintf("%d %s", a.Subject.PID, orDash(a.Subject.Name)), 24), 24)
		total := fmt.Sprintf("%8s", signed(a.Sum.Total))
		room := t.width - 2 - 24 - 1 - 1 - 8
		t.linef("  %s %s %s", who, pad(cut(strings.Join(why, "; "), room), room), total)
	}
	t.linef("")
}

// fact is a name and a text that may take several lines.
func (t *page) fact(name, text string) {
	const column = 11
	for _, l := range wrap(report.Clean(text, 600), t.width-column) {
		t.linef("%s%s", t.paint(dim, pad(name, column)), l)
		name = ""
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func signed(d detect.Decibans) string { return fmt.Sprintf("%+.1f", d.Float()) }

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// spell is a duration in words that are short: 10 s, 1 min, 2 h.
func spell(d time.Duration) string {
	s := math.Round(d.Seconds())
	switch {
	case s < 60:
		return fmt.Sprintf("%.0f s", s)
	case s < 3600 && math.Mod(s, 60) == 0:
		return fmt.Sprintf("%.0f min", s/60)
	case math.Mod(s, 3600) == 0:
		return fmt.Sprintf("%.0f h", s/3600)
	}
	return config.FormatDuration(time.Duration(s) * time.Second)
}

// cut shortens s to n columns. Every character counts as one column: names in wide scripts end a little early.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	runes := []rune(s)
	return string(runes[:max(n-1, 0)]) + "…"
}

// cutMiddle shortens a path so that both ends stay.
func cutMiddle(s string, n int) string {
	runes := []rune(s)
	if len(runes) <= n {
		return s
	}
	head := (n - 1) / 3
	return string(runes[:head]) + "…" + string(runes[len(runes)-(n-1-head):])
}

// pad fills s up to n columns.
func pad(s string, n int) string {
	return s + strings.Repeat(" ", max(n-utf8.RuneCountInString(s), 0))
}

// wrap breaks s into lines of at most n columns, between words where it can.
func wrap(s string, n int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(s) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= n:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}

// gapList is for commands that only tell which sensors could not see.
func gapList(gaps []host.Gap) string {
	names := make([]string, len(gaps))
	for i, g := range gaps {
		names[i] = g.Sensor
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}
