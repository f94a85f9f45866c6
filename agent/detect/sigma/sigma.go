// Package sigma reads Sigma rules and compiles them to closures that are held against records without reflection, maps
// or allocation. It follows version 2.1 of the Sigma specification (rules, modifiers, correlations), with one difference:
// its logic has three values. A field that was not seen is unknown, and unknown never fires, also not through `not`; a
// field that is known to be missing matches null and nothing else. What it cannot do it refuses with an [Error] that names
// file, line and reason; a rule is never skipped silently, and nothing is read out of a rule that its author did not write.
//
// Where the specification leaves a choice, this is what was chosen:
//
//   - Values are what stands in the file: NO, 0o17 and 2024-01-01 are texts. A value without quotes that is a number equals
//     a number field by value and a text field by spelling.
//   - Case is Unicode simple folding, the same as in regular expressions. `?` is one character, a byte that is no UTF-8
//     counts as one.
//   - A field with several values (arguments, mapping sizes) holds when one of them does; each value of `all` may be met by
//     another one. An empty list is null.
//   - A keyword is looked for in every text field. One that is not found is only known to be missing when every field of
//     the record is known.
//   - windash takes each of its five characters, wherever it stands in the value, for any of them.
//   - Regular expressions are RE2, bounded in length and program, and look at the first 64 KiB of a text; whether one
//     matches beyond is unknown. Lookaround, atomic groups and back references are refused.
//   - `exists` asks whether there is a value, `neq` is `not`, and parts of a date are taken as written.
//   - Only `1 of`, `any of` and `all of` are quantifiers. Filters, collections and the pipe of version 1 are refused, so is
//     the correlation type value_percentile, whose meaning is not specified.
//   - Custom attributes: see [Parse]. When a correlation is decided: see [Correlator].
//
// The package is larger than the house likes because it is a language: reading (yaml, parse, detection, condition,
// modifier, parse_correlation), meaning (pattern, build, node, regex), running (compile, closures, prefilter, machine,
// predicate, glob), telling (explain, fields) and correlating (link, correlate, group).
package sigma
