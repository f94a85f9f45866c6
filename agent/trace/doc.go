// Package trace records Snapshots as JSON lines and replays them. A recording replays to the same Snapshots, byte for
// byte; what is not recorded is not invented. The same format, with shorthands, is written by hand to try rules.
//
// # A recorded trace
//
// The first line is the header, then comes one line per look, then a line that ends the trace:
//
//	{"schema":"minehound.trace/v1","form":"recorded","agent":"1.2.0","identity":{"id":"…","name":"web1","os":"linux","boot_id":"…"}}
//	{"at":"2026-03-01T10:00:00Z","uptime":7200.5,"machine":{"cpus":4,…},"details":[{"ref":1,"exe":"/bin/x",…}],"processes":[{"pid":7,"born":31,"name":"x","detail":1,…}]}
//	{"at":"2026-03-01T10:00:02Z","uptime":7202.5,"processes":[{"pid":7,"cpu_user":3.9}],"same":[1,2],"gone":[9]}
//	{"end":{"looks":2}}
//
// A look tells what changed since the look before: of the machine, of each process in "processes"; those in "same" were
// read and had not changed, those in "gone" are no longer there, all others were not read. A field that is missing has
// not changed, and in a process that is new it has its default: -1 (unknown) for threads, rss, vsize, policy, uid,
// voluntary and involuntary, 0 or nothing for the rest, and "looked" is the uptime of the look. Details are written once
// and referred to by number until they are in "drop". A process whose "born" differs from the one before with its PID is
// a new process. An end without the last line is [ErrTruncated].
//
// Times are seconds, exact to the nanosecond: 7200.5; "2h" is understood too. Sizes are bytes; "2080MiB" is understood
// too. A text that is not valid UTF-8 cannot be in JSON as it is: each byte that is not part of a valid character, and
// each NUL, is written as U+0000 and two hexadecimal digits, so the byte FF is "\u0000ff" and everything survives.
//
// The file may be compressed with gzip; a Reader sees that by itself.
//
// # A trace written by hand
//
// With "form":"written" one look per line is described, or many with "every" and "for", and no end line is needed:
//
//	{"schema":"minehound.trace/v1","form":"written","machine":{"cpus":2}}
//	{"every":"2s","for":"90s","processes":[
//	  {"pid":1,"name":"systemd","exe":"/usr/lib/systemd/systemd","user":"root","age":"30h"},
//	  {"pid":4242,"parent":1,"name":"xmrig","exe":"/tmp/.x/xmrig","args":["./xmrig","-o","pool.example:3333"],
//	   "user":"www-data","age":"5s","rate":1.9,"workers":{"count":2,"pinned":true},
//	   "memory":{"hugetlb":"2340MiB","large":["2080MiB","256MiB"],"exec":"640KiB","exec_maps":3,"write_exec":"512KiB"}}]}
//	{"every":"2s","for":"30s","processes":[{"pid":4242,"rate":0}]}
//
// (a line may go over several lines of the file as long as the following ones begin with a space or a tab; a line that
// begins with # or is empty is skipped). That is a process that keeps using 1.9 cores flat for 90 seconds, looked at
// every 2 seconds, and then nothing for 30 seconds.
//
// The header may set "uptime" (of the first look, default "240h"), "at" (its time, default 2026-01-01T00:00:00Z),
// "identity" and "machine". In a machine "cpus" is 4 and the other counters are unknown (-1) unless given; "busy" starts
// at 0 and grows with what the processes use and by "rate" cores beside them.
//
// A look may have:
//
//	after      time since the look before, default the line's "every", or 2 s
//	every, for looks again every … until … after the line's first look: "every":"2s","for":"90s" is 46 looks
//	processes  who is new or changes; whoever is not mentioned goes on as before
//	gone       process ids that ended
//	events     what happened just before the line's first look: {"kind":"started","pid":7,"name":"sh","args":["sh","-c","…"],
//	           "parent":{"pid":1,"name":"cron","exe":"/usr/sbin/cron"}}; kind is started or ended; what is left out is taken
//	           from the process of that pid, and its parent from the look too
//	machine    what changes of the machine
//	gaps       the gaps from now on
//
// A process is read at every look. Beside the fields of a recorded process (the details may stand in it directly) it
// has:
//
//	age            its age when it first appears; default 0: born at that look
//	rate           cores it uses from the look before up to each look of this line, until changed
//	user_fraction  part of that in user mode, 0 to 1, default 1
//	fault_rate     minor page faults per second
//	wave           {"on":"5s","off":"5s"}: rate holds for 5 s, then nothing for 5 s, and so on, from its first look on
//	wobble         0.3: rate is 30 % higher up to one look, 30 % lower up to the next, and so on
//	workers        {"count":2} threads that share rate evenly; with "rate" each uses that many cores and the process all
//	               of them together; "pinned":true binds each to a CPU of its own; "name", "state" (default R),
//	               "voluntary" and "involuntary" (context switches per second and thread, default 0); "spread":0.5 gives
//	               the first half more and the second half less of it by 50 %; "stopped":0.8 finds them in state T in 80 %
//	               of the looks
//	memory         its address space; hugetlb and rss_anon are unknown unless given, the rest is 0 or none
//
// A process that is first seen with an age and a rate and without cpu_user has used that rate all its life.
//
// Unknown keys are errors, so that a typing error is found, unless the header says "minor" with a number above
// [Minor]: a newer version of the program wrote it, with fields this one does not know and may skip.
package trace
