package sigma

import (
	"math"
	"regexp/syntax"
	"slices"
	"unicode/utf8"
)

// Bounds that keep a regular expression over hostile text cheap. Matching takes time in proportion to text times program.
const (
	maxProgram   = 10_000   // instructions
	maxRegexText = 64 << 10 // bytes of a value that a regular expression looks at; whether it matches beyond is unknown
	maxNeeds     = 64       // alternatives of regexpNeeds
)

// regexpSize estimates the instructions that re compiles to, before the compiler has spent the memory.
func regexpSize(re *syntax.Regexp) int {
	size := 1
	switch re.Op {
	case syntax.OpLiteral:
		size = len(re.Rune)
	case syntax.OpCharClass:
		size = 1 + len(re.Rune)/8
	default:
	}
	for _, sub := range re.Sub {
		size = saturate(size + regexpSize(sub))
	}
	if re.Op == syntax.OpRepeat {
		size = saturate(size * max(1, re.Min, re.Max))
	}
	return size
}

func saturate(n int) int { return min(n, math.MaxInt32) }

// regexpLeast is the length of the shortest text that re matches.
func regexpLeast(re *syntax.Regexp) int {
	switch re.Op {
	case syntax.OpLiteral:
		n := len(re.Rune) // folding may shorten a rune, never below one byte
		if re.Flags&syntax.FoldCase == 0 && !slices.Contains(re.Rune, utf8.RuneError) {
			n = len(string(re.Rune))
		}
		return n
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return 1
	case syntax.OpConcat:
		n := 0
		for _, sub := range re.Sub {
			n = saturate(n + regexpLeast(sub))
		}
		return n
	case syntax.OpAlternate:
		n := math.MaxInt32
		for _, sub := range re.Sub {
			n = min(n, regexpLeast(sub))
		}
		return n
	case syntax.OpCapture, syntax.OpPlus:
		return regexpLeast(re.Sub[0])
	case syntax.OpRepeat:
		return saturate(re.Min * regexpLeast(re.Sub[0]))
	default:
		return 0
	}
}

// regexpNeeds lists folded texts one of which is in the folded form of every text that re matches, or nil when there is no
// such list. The list with the longest shortest member is taken.
func regexpNeeds(re *syntax.Regexp) []string {
	switch re.Op {
	case syntax.OpLiteral:
		if slices.Contains(re.Rune, utf8.RuneError) { // matches bytes that are no UTF-8, which folding keeps
			return nil
		}
		return []string{foldString(string(re.Rune))}
	case syntax.OpCapture, syntax.OpPlus:
		return regexpNeeds(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return regexpNeeds(re.Sub[0])
		}
	case syntax.OpConcat:
		var best []string
		for _, sub := range re.Sub {
			if n := regexpNeeds(sub); better(n, best) {
				best = n
			}
		}
		return best
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			n := regexpNeeds(sub)
			if n == nil || len(all)+len(n) > maxNeeds {
				return nil
			}
			all = append(all, n...)
		}
		return all
	default:
	}
	return nil
}

func better(a, b []string) bool {
	if a == nil || b == nil {
		return a != nil
	}
	la, lb := shortest(a), shortest(b)
	return la > lb || la == lb && len(a) < len(b)
}

func shortest(list []string) int {
	n := math.MaxInt32
	for _, s := range list {
		n = min(n, len(s))
	}
	return n
}

// regexpAtEnd tells whether what follows a match has a say in it.
func regexpAtEnd(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpEndLine, syntax.OpEndText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return true
	default:
		return slices.ContainsFunc(re.Sub, regexpAtEnd)
	}
}
