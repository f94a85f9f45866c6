package report

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/incident"
)

// List is a table of alerts, one line each, 96 columns wide; on a page that is narrower 77, without the user, the year and the
// seconds.
func List(alerts []Alert, o TextOptions) string {
	p := newPage(o)
	cells, last := cells, moment
	if p.width < 96 {
		cells, last = narrowCells, shortMoment
	}
	p.line(p.paint(bold, strings.TrimRight(cells("LAST SEEN", "VERDICT", "SCORE", "STATUS", "PID", "USER", "NAME", "CASE"), " ")))
	for _, a := range alerts {
		status := string(a.Status)
		if a.Allowed != nil {
			status = "allowed"
		}
		line := cells(last(a.LastSeen), a.Verdict, fmt.Sprintf("%5.1f", a.Score), status, fmt.Sprint(a.Subject.PID), a.Subject.User, a.Subject.Name, a.ID)
		p.line(p.paint(verdictColor(a.Verdict), strings.TrimRight(line, " ")))
	}
	return p.b.String()
}

// cells lays out one row of List.
func cells(texts ...string) string { return row([]int{20, 9, 5, 7, 7, 10, 15, 16}, texts) }

// narrowCells is cells for a terminal of 80 columns.
func narrowCells(texts ...string) string { return row([]int{12, 9, 5, 7, 7, 0, 15, 16}, texts) }

// row lays texts out in columns; one of no width is left out.
func row(widths []int, texts []string) string {
	var b strings.Builder
	for i, w := range widths {
		if w == 0 {
			continue
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(fit(Clean(texts[i], textBytes), w))
	}
	return b.String()
}

// fit is s in exactly so many columns.
func fit(s string, width int) string {
	n := columns(s)
	if n <= width {
		return s + strings.Repeat(" ", width-n)
	}
	head, _ := split(s, width-1)
	return head + mark + strings.Repeat(" ", width-1-columns(head))
}

func (p *page) line(s string) {
	p.b.WriteString(s)
	p.b.WriteByte('\n')
}

func (p *page) title(s string) {
	p.line("")
	for s != "" {
		var part string
		part, s = p.cut(s, p.width)
		p.line(p.paint(bold, part))
	}
}

// item is one line about the subject; nothing when there is nothing to say.
func (p *page) item(name, value string) {
	if value != "" {
		p.wrapped(fmt.Sprintf("  %-10s  ", name), value)
	}
}

// wrapped writes text behind head, in as many lines as it needs, each begun below the first. A head that leaves no room is
// a part of the text.
func (p *page) wrapped(head, text string) {
	if columns(head) > p.width/2 {
		head, text = "  ", strings.TrimLeft(head, " ")+text
	}
	indent := columns(head)
	room := p.width - indent
	for first := true; first || text != ""; first = false {
		var part string
		part, text = p.cut(text, room)
		if !first {
			head = strings.Repeat(" ", indent)
		}
		p.line(strings.TrimRight(head+part, " "))
	}
}

// cut takes what fits off the front of text, at a space where there is one.
func (p *page) cut(text string, room int) (part, rest string) {
	if columns(text) <= room {
		return text, ""
	}
	part, rest = split(text, room)
	if i := strings.LastIndexByte(part, ' '); i > len(part)/3 && !strings.HasPrefix(rest, " ") {
		part, rest = text[:i], text[i:]
	}
	return part, strings.TrimLeft(rest, " ")
}

// split cuts s after at most so many columns, and at least one character.
func split(s string, room int) (head, tail string) {
	n := 0
	for i, r := range s {
		if n += width(r); n > room && i > 0 {
			return s[:i], s[i:]
		}
	}
	return s, ""
}

// columns is the width of s on a terminal.
func columns(s string) int {
	n := 0
	for _, r := range s {
		n += width(r)
	}
	return n
}

// width is the number of columns r takes: none for what is drawn over the letter before, two for the wide letters of
// East Asia and for pictures (Unicode TR11, wide and fullwidth, in its large blocks).
func width(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case r >= 0x1100 && r <= 0x115f, r >= 0x2e80 && r <= 0xa4cf && r != 0x303f, r >= 0xa960 && r <= 0xa97f,
		r >= 0xac00 && r <= 0xd7a3, r >= 0xf900 && r <= 0xfaff, r >= 0xfe30 && r <= 0xfe6f,
		r >= 0xff01 && r <= 0xff60, r >= 0xffe0 && r <= 0xffe6, r >= 0x1b000 && r <= 0x1b2ff,
		r >= 0x1f300 && r <= 0x1faff, r >= 0x20000 && r <= 0x3fffd:
		return 2
	}
	return 1
}

// The colors, as the numbers of the ANSI escape.
const (
	bold   = "1"
	red    = "1;31"
	yellow = "1;33"
	dim    = "2"
)

func verdictColor(verdict string) string {
	v, err := incident.ParseVerdict(verdict)
	switch {
	case err != nil:
		return bold
	case v >= incident.Mining:
		return red
	case v >= incident.Exposed:
		return yellow
	}
	return dim
}

func (p *page) paint(color, s string) string {
	if !p.color {
		return s
	}
	return "\x1b[" + color + "m" + s + "\x1b[0m"
}

// signed is a weight with its sign; nothing has none.
func signed(d detect.Decibans) string {
	if d > 0 {
		return "+" + d.String()
	}
	return d.String()
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

// shortMoment leaves out the year and the seconds.
func shortMoment(t time.Time) string { return t.UTC().Format("01-02 15:04Z") }

// quoted is an argument that can be told from its neighbors.
func quoted(s string) string {
	if s == "" || strings.ContainsAny(s, " '\"") {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	return s
}

// more says how much was left out.
func more(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" … and %d more", n)
}
