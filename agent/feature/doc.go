// Package feature turns Snapshots over time into one Vector per process: what is known about it now and over the recent
// past. It measures and never judges: no number in here is a threshold for guilt, those stand in the rules.
//
// # Time
//
// Everything is measured on the clock of [host.Snapshot.Uptime]. A process is as old as its last read counters
// ([host.Process.Looked]), and its windows end there: a process that was not read again keeps its shares until it is,
// and what it used in between is then spread evenly over the time in between.
//
// # Known and unknown
//
// A measure over a window is known once at least 90 % of the window ([Coverage]) has been watched, or, for a process
// that is no older than the window but at least 90 % as old, at once, because its counters then say all there is. It is
// unknown before that and never zero. In particular a process that is younger than the window has an unknown share:
// "ten minutes of load" takes ten minutes. Shares are taken over the time that was watched. Share since birth and
// CPU seconds need one look only.
//
// When two looks at the machine are further apart than [Hole] (the machine slept, the agent was stopped), nothing was
// watched in between. A hole is not idle time: CPU time used in it counts for the long sums but in no window.
//
// What the threads do is known from the second look at them, and over the last minute once they were found hot
// [MinThreadLooks] times.
//
// # What is not measured
//
// A Snapshot lists mappings of at least 64 MiB, so RandomX's scratchpads (2 MiB per worker) are not counted one by one;
// in huge pages they show as what remains beyond the large mappings. It does not carry the CPU time of children that
// were waited for, so load that no visible process explains cannot be told from that of short-lived processes. Waves
// shorter than the interval between two looks are averaged away.
//
// # Bounds
//
// What is kept of a process is dropped when it ends. A process that has not worked is kept without history. Programs
// whose processes have all ended are remembered, at most [MaxIdleGroups] of them, the least recent forgotten first.
package feature
