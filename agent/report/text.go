package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/host"
	"github.com/minehound/minehound/agent/incident"
)

// TextOptions is how alerts are shown to a person.
type TextOptions struct {
	Width int  // columns; 0 is 100, the least is 60
	Color bool // with ANSI colors; only when the stream is a terminal and NO_COLOR is not set
}

// page is text being laid out.
type page struct {
	b     strings.Builder
	width int
	color bool
}

func newPage(o TextOptions) *page {
	if o.Width == 0 {
		o.Width = 100
	}
	return &page{width: max(o.Width, 60), color: o.Color}
}

// Explain is one alert in full: who, why, how the sum came about so that a person can check it, what could not be seen,
// and what to do. Every text is [Clean] again: an alert may come from a file.
func Explain(a Alert, o TextOptions) string {
	p := newPage(o)
	p.head(a)
	p.who(a)
	p.why(a)
	p.sum(a)
	p.gaps(a)
	p.cost(a)
	p.advice(a)
	return p.b.String()
}

func (p *page) head(a Alert) {
	v := strings.ToUpper(Clean(a.Verdict, 32))
	status := Clean(string(a.Status), 32)
	if a.Allowed != nil {
		status += ", allowed"
	}
	if a.Drill {
		status += ", a drill"
	}
	rest := fmt.Sprintf("  %s, score %.1f %%, case %s revision %d (%s)",
		Clean(a.Severity, 32), a.Score, Clean(a.ID, nameBytes), a.Revision, status)
	if columns(v+rest) > p.width {
		p.wrapped("", v+rest)
		return
	}
	p.line(p.paint(verdictColor(a.Verdict), v) + rest)
}

// who shows the subject.
func (p *page) who(a Alert) {
	s := a.Subject
	if s.Kind == host.SubjectHost {
		p.item("about", "the machine "+Clean(a.Host.Name, 256))
	} else {
		who := fmt.Sprintf("%s (%d)", Clean(s.Name, nameBytes), s.PID)
		if s.User != "" {
			who += " run by " + Clean(s.User, nameBytes)
		}
		p.item("process", who)
	}
	p.item("seen", fmt.Sprintf("%s to %s", moment(a.FirstSeen), moment(a.LastSeen)))
	p.item("file", Clean(s.Exe, lineBytes))
	p.item("SHA-256", Clean(s.ExeSHA256, 64))
	args := make([]string, 0, len(s.Args))
	for _, arg := range s.Args {
		args = append(args, quoted(Clean(arg, textBytes)))
	}
	p.item("arguments", strings.Join(args, " ")+more(a.Omitted.Args))
	p.item("container", Clean(s.Container, nameBytes))
	up := make([]string, 0, len(s.Ancestors))
	for _, n := range s.Ancestors {
		up = append(up, fmt.Sprintf("%s (%d)", Clean(n.Name, nameBytes), n.PID))
	}
	p.item("started by", strings.Join(up, " ← ")+more(a.Omitted.Ancestors))
	if len(a.Members) > 1 || a.Omitted.Members > 0 {
		all := make([]string, 0, len(a.Members))
		for _, m := range a.Members {
			all = append(all, fmt.Sprintf("%s (%d)", Clean(m.Name, nameBytes), m.PID))
		}
		p.item("members", strings.Join(all, ", ")+more(a.Omitted.Members))
	}
	if a.MergedInto != "" {
		p.item("goes on in", "case "+Clean(a.MergedInto, nameBytes))
	}
}

// why lists the findings, class by class as in the sum, with what was seen.
func (p *page) why(a Alert) {
	p.title("Why")
	if len(a.Findings) == 0 {
		p.line("  no findings")
	}
	for _, class := range classes() {
		for i, f := range a.Findings {
			if f.Class == class {
				p.finding(f, covered(a.Findings, i))
			}
		}
	}
	for _, f := range a.Findings {
		if !known(f.Class) {
			p.finding(f, "weighs nothing: unknown class "+Clean(string(f.Class), 32))
		}
	}
	if a.Omitted.Findings > 0 {
		p.line(fmt.Sprintf("  and %s, weaker than these", count(a.Omitted.Findings, "finding")))
	}
}

const weightColumn = 7 // "  +60.0" and room for three digits before the point

func (p *page) finding(f Finding, note string) {
	weight := fmt.Sprintf("%*s", weightColumn, signed(f.Weight))
	if note != "" {
		weight = fmt.Sprintf("%*s", weightColumn, "("+f.Weight.String()+")")
	}
	title := Clean(f.Title, 256)
	if title == "" {
		title = Clean(f.Rule, nameBytes)
	}
	p.wrapped(fmt.Sprintf("  %-11s %s  ", fit(Clean(string(f.Class), 32), 11), weight), title+" ["+Clean(f.Rule, nameBytes)+"]")
	indent := strings.Repeat(" ", 2+11+1+weightColumn+2)
	if note != "" {
		p.wrapped(indent, note)
	}
	for _, e := range f.Evidence {
		p.wrapped(indent, Clean(e.Field, nameBytes)+" = "+Clean(e.Value, textBytes))
	}
	if len(f.Attack) > 0 {
		list := make([]string, 0, len(f.Attack))
		for _, t := range f.Attack {
			list = append(list, Clean(t, nameBytes))
		}
		p.wrapped(indent, "ATT&CK "+strings.Join(list, ", "))
	}
	if f.Author != "" {
		p.wrapped(indent, "rule by "+Clean(f.Author, 256))
	}
}

// sum writes the sum out, line by line.
func (p *page) sum(a Alert) {
	p.title("The sum, in decibans (10 is ten times likelier on a miner than on honest work)")
	row := func(name string, d detect.Decibans, first bool, note string) {
		value := d.String()
		if !first {
			value = signed(d)
		}
		p.wrapped(fmt.Sprintf("  %-11s %*s  ", name, weightColumn, value), note)
	}
	row("prior", a.Sum.Prior, true, "how rare miners are among the programs that any rule fires for")
	for _, class := range classes() {
		had, all := inSum(a.Sum, class), uncapped(a.Findings, class)
		note := ""
		switch {
		case all > had && a.Omitted.Findings == 0:
			note = fmt.Sprintf("of %s, capped", signed(all))
		case all > had:
			note = fmt.Sprintf("of at least %s, capped", signed(all))
		}
		row(string(class), had, false, note)
	}
	p.line("  " + strings.Repeat("─", 11+1+weightColumn))
	row("total", a.Sum.Total, true, "")
	p.line(fmt.Sprintf("  %-11s %*.1f  percent: the probability of mining", "score", weightColumn, a.Score))
}

func (p *page) gaps(a Alert) {
	if len(a.Gaps) == 0 {
		return
	}
	p.title("What could not be seen")
	for _, g := range a.Gaps {
		p.wrapped("  "+Clean(g.Sensor, nameBytes)+": ", Clean(g.Reason, textBytes))
	}
	if a.Omitted.Gaps > 0 {
		p.line(fmt.Sprintf("  and %s more", count(a.Omitted.Gaps, "gap")))
	}
}

func (p *page) cost(a Alert) {
	if a.Cost.CPUSeconds <= 0 {
		return
	}
	p.title("What it cost")
	factor, unit := 1.0, "kWh"
	if a.Cost.KWh.High < 1 {
		factor, unit = 1000, "Wh"
	}
	p.wrapped("  ", fmt.Sprintf("%s of CPU time, %.2f to %.2f %s (%s)",
		time.Duration(a.Cost.CPUSeconds*float64(time.Second)).Round(time.Second),
		a.Cost.KWh.Low*factor, a.Cost.KWh.High*factor, unit, Clean(a.Cost.KWh.Method, textBytes)))
}

func (p *page) advice(a Alert) {
	if len(a.Advice) == 0 {
		return
	}
	p.title("What to do")
	for i, s := range a.Advice {
		p.wrapped(fmt.Sprintf("  %d. ", i+1), Clean(s, 2*lineBytes))
	}
}

func classes() []detect.Class {
	return []detect.Class{detect.Proof, detect.Capability, detect.Conduct, detect.Concealment}
}

func known(c detect.Class) bool {
	return c == detect.Proof || c == detect.Capability || c == detect.Conduct || c == detect.Concealment
}

func inSum(s incident.Sum, c detect.Class) detect.Decibans {
	switch c {
	case detect.Proof:
		return s.Proof
	case detect.Capability:
		return s.Capability
	case detect.Conduct:
		return s.Conduct
	case detect.Concealment:
		return s.Concealment
	}
	return 0
}

// Strongest is the finding that counts where finding i says the same: of one class and group (or rule, without a group)
// the strongest, the first of equals, as in [incident.Weigh]. It is i itself when i counts.
func Strongest(list []Finding, i int) int {
	f, best := list[i], i
	for j, o := range list {
		same := o.Class == f.Class && o.Group == f.Group && (f.Group != "" || o.Rule == f.Rule)
		if same && (o.Weight > list[best].Weight || o.Weight == list[best].Weight && j < best) {
			best = j
		}
	}
	return best
}

// covered says why finding i does not count, "" when it does.
func covered(list []Finding, i int) string {
	if j := Strongest(list, i); j != i {
		return "says the same as " + Clean(list[j].Rule, nameBytes) + ", which counts"
	}
	return ""
}

// uncapped is what the findings of a class weigh before the cap.
func uncapped(list []Finding, c detect.Class) detect.Decibans {
	var d detect.Decibans
	for i, f := range list {
		if f.Class == c && covered(list, i) == "" {
			d += max(0, f.Weight)
		}
	}
	return d
}
