// Package sigma reads Sigma rules and compiles them to closures that are held against records without reflection, maps
// or allocation. It follows version 2 of the Sigma specification in full, with one difference: its logic has three
// values. A field that was not seen is unknown, and unknown never fires, also not through `not`.
//
// What it does not know it refuses with an Error that names file, line and reason; a rule is never skipped silently.
package sigma
