// Package agent is the loop: it takes one Snapshot after another from a Source, has it measured, judged and gathered into
// cases, and tells what changed to a Sink. The service, the scanner and the replay of a recording differ only in their
// Source and their Sink. It is the only package that knows every stage; it measures and judges nothing itself.
package agent
