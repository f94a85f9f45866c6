package report_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/minehound/minehound/agent/report"
)

func TestClean(t *testing.T) {
	for _, c := range []struct {
		name, in string
		limit    int
		want     string
	}{
		{"plain", "/usr/bin/xmrig -o pool", 99, "/usr/bin/xmrig -o pool"},
		{"empty", "", 99, ""},
		{"letters of the world", "Ünïcøde 挖矿 майнер כורה", 99, "Ünïcøde 挖矿 майнер כורה"},
		{"escape sequence", "a\x1b[2Jb", 99, `a\x1b[2Jb`},
		{"newline, tab, NUL, DEL", "a\nb\tc\x00d\x7f", 99, `a\x0ab\x09c\x00d\x7f`},
		{"C1 control", "a\u009bb", 99, `a\u009bb`},
		{"right-to-left override", "gpj.\u202eexe", 99, `gpj.\u202eexe`},
		{"isolates and marks", "\u2066\u2069\u200e\u061c", 99, `\u2066\u2069\u200e\u061c`},
		{"zero width", "x\u200bm\u200dr\ufeffig\u2060", 99, `x\u200bm\u200dr\ufeffig\u2060`},
		{"soft hyphen", "xm\u00adrig", 99, `xm\u00adrig`},
		{"line separators", "a\u2028b\u2029", 99, `a\u2028b\u2029`},
		{"other spaces", "a\u00a0b\u3000c", 99, `a\u00a0b\u3000c`},
		{"tags", "a\U000e0041", 99, `a\U000e0041`},
		{"Hangul filler, grapheme joiner, selector, Braille", "\u3164\u034f\ufe0f\u2800", 99, `\u3164\u034f\ufe0f\u2800`},
		{"private and unassigned", "\ue000\U0003fffe", 99, `\ue000\U0003fffe`},
		{"not UTF-8", "a\xff\xc3(", 99, `a\xff\xc3(`},
		{"surrogate in UTF-8", "\xed\xa0\x80", 99, `\xed\xa0\x80`},
		{"replacement character itself", "a\ufffdb", 99, "a\ufffdb"},
		{"stacked marks", "e\u0301\u0301\u0301\u0301\u0301", 99, "e\u0301\u0301\u0301\u0301" + `\u0301`},
		{"fits exactly", "12345", 5, "12345"},
		{"cut", "123456", 5, "12…"},
		{"cut at a whole letter", "ab挖矿c", 7, "ab…"},
		{"cut at a whole escape", "abc\x1bdefg", 9, "abc…"},
		{"no room for the mark", "abc", 2, ""},
		{"backslash stays", `C:\Windows\x1b`, 99, `C:\Windows\x1b`},
	} {
		if got := report.Clean(c.in, c.limit); got != c.want {
			t.Errorf("%s: Clean(%q, %d) = %q, want %q", c.name, c.in, c.limit, got, c.want)
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"", "kworker/0:1", "a\x1b[31m", "gpj.\u202eexe", "\xff\xfe", strings.Repeat("\u0301", 40), "挖矿\u200b", "\U000e0041"} {
		f.Add(s, 20)
		f.Add(s, 4096)
	}
	f.Fuzz(func(t *testing.T, s string, limit int) {
		got := report.Clean(s, limit)
		if !utf8.ValidString(got) {
			t.Fatalf("Clean(%q) = %q is not UTF-8", s, got)
		}
		if len(got) > max(limit, 0) {
			t.Fatalf("Clean(%q, %d) has %d bytes", s, limit, len(got))
		}
		for _, r := range got {
			if unicode.In(r, unicode.C, unicode.Bidi_Control, unicode.Zl, unicode.Zp, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point) {
				t.Fatalf("Clean(%q) = %q still holds %U", s, got, r)
			}
		}
		if again := report.Clean(got, limit); again != got {
			t.Fatalf("Clean(%q) = %q, and again %q", s, got, again)
		}
		if limit > 4*len(s) && limit > 10*utf8.RuneCountInString(s) && strings.HasSuffix(got, "…") && !strings.HasSuffix(s, "…") {
			t.Fatalf("Clean(%q, %d) = %q was cut without need", s, limit, got)
		}
	})
}
