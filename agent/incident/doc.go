// Package incident gathers findings over time into one case per miner: a watchdog, its workers and their respawns share
// a case. It weighs the evidence and says what the case is; it tells nobody, reports do.
//
// # What belongs together
//
// Findings about two processes are one case when
//   - they run the same program in the same container ([host.Subject.Key]); a shell or an interpreter that reads from a
//     terminal or a pipe is no program;
//   - one comes from the other and the upper one has evidence that is more than load: a shell that fetched a miner and
//     the miner, a launcher that holds a wallet and its workers. If that evidence is only about hiding, both have to be
//     of one session: after an upgrade every cron, sshd and container shim runs a deleted executable;
//   - they share a process group, or the content of their executable, and hold the same evidence about mining itself: a
//     watchdog that starts its worker under ever new names, a copy under another name.
//
// Nothing is linked through the first process, the agent, or the leader of a session that has no evidence of its own,
// and two processes are never one case for having one parent: `bash -> many honest things`. A parent without evidence
// is listed with a case above a notice when it shares the job of its members and most of its children are members; it
// brings nothing else in.
//
// When a link appears between two open cases they become one. The one that paged keeps its id, of two the older; the
// other is closed with [Incident.MergedInto].
//
// # How long a case lasts
//
// It opens with the first finding, is told again when something changed that a reader wants to know (see
// [Tracker.Update]), and closes when nothing was seen for [Hold], or, above a notice, when all its processes were gone
// for [Grace]. The evidence of a notice counts for Hold; above a notice all evidence counts until the case closes, so
// that the verdict never falls and the sum told is the sum of what is listed. A program that comes back opens the case
// again under its old id, with the next revision.
//
// # What it does not do
//
// It keeps no clock and draws no random number: looks and findings say when it is, and the same looks give the same
// incidents. It never looks at a process itself.
package incident
