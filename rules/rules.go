// Package rules holds the rules that ship with Minehound, one Sigma file each. They are data: agent/detect reads
// them. testdata has two traces for every rule, written by hand: NAME.fires.jsonl, on which it must hold, and
// NAME.quiet.jsonl, the honest work that comes closest to it, on which it must not.
package rules

import "embed"

//go:embed *.yml
var files embed.FS

// FS holds the rules.
func FS() embed.FS { return files }
