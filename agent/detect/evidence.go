package detect

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/minehound/minehound/agent/detect/sigma"
)

// Bounds of what a finding shows.
const (
	MaxEvidence      = 16  // fields
	MaxEvidenceValue = 200 // bytes of a value
)

// evidenceOf bounds what a rule matched and hides the secrets of the environment. Arguments were masked when they were
// read.
func evidenceOf(matches []sigma.Match) []Evidence {
	l := make([]Evidence, 0, min(len(matches), MaxEvidence))
	for _, m := range matches {
		e := Evidence{Field: m.Field, Value: clip(maskVariable(m))}
		if !slices.Contains(l, e) && len(l) < MaxEvidence {
			l = append(l, e)
		}
	}
	return l
}

// correlated is the evidence of a correlation: what it counted and for whom.
func correlated(h *sigma.Hit) []Evidence {
	l := evidenceOf(h.Group)
	return append(l, Evidence{Field: string(h.Rule.Correlation.Type), Value: strconv.FormatFloat(h.Count, 'f', -1, 64)})
}

// maskVariable hides the value of an environment variable that is named like a secret: a pool's password is never shown.
func maskVariable(m sigma.Match) string {
	if m.Field != "process.env" {
		return m.Value
	}
	name, _, ok := strings.Cut(m.Value, "=")
	if !ok {
		return m.Value
	}
	upper := strings.ToUpper(name)
	for _, s := range []string{"PASS", "PWD", "TOKEN", "SECRET", "KEY", "CREDENTIAL"} {
		if strings.Contains(upper, s) {
			return name + "=***"
		}
	}
	return m.Value
}

// clip cuts a value to MaxEvidenceValue bytes between characters.
func clip(s string) string {
	if len(s) <= MaxEvidenceValue {
		return s
	}
	n := MaxEvidenceValue - len("…")
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
