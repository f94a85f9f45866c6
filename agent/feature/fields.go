package feature

import "github.com/minehound/minehound/agent/host"

// Field is one measure as rules know it. This table is the only place where a measure gets its name.
type Field struct {
	Name  string // what our own rules write
	Sigma string // what Sigma's process_creation rules call it, "" for none
	Doc   string // what it is, with unit and range
	get   func(*Vector) host.Value
}

// Fields lists every field of a Vector. Its order is the order of the indexes that [Vector.Get] takes.
func Fields() []Field { return fields }

// Get is the value of field i of [Fields].
func (v *Vector) Get(i int) host.Value { return fields[i].get(v) }

// Field is the value of the field of that name, and whether there is one. It is slow: rules look an index up once.
func (v *Vector) Field(name string) (host.Value, bool) {
	for i := range fields {
		if fields[i].Name == name {
			return fields[i].get(v), true
		}
	}
	return host.Value{}, false
}

var fields = []Field{
	{"process.pid", "ProcessId", "process id", func(v *Vector) host.Value { return host.Number(float64(v.Proc.ID.PID)) }},
	{"process.parent_pid", "ParentProcessId", "process id of the parent now; absent without one", func(v *Vector) host.Value { return pid(v.Proc.Parent) }},
	{"process.name", "", "name the kernel keeps (comm), at most 15 bytes on Linux", func(v *Vector) host.Value { return host.TextOr(v.Proc.Name) }},
	{"process.exe", "Image", "path of the executable, without \" (deleted)\"; absent for kernel threads", func(v *Vector) host.Value { return exe(v.Proc.Kernel, v.text) }},
	{"process.exe_name", "", "last part of the executable's path; absent for kernel threads", func(v *Vector) host.Value { return exeName(v.Proc.Kernel, v.text) }},
	{"process.exe_deleted", "", "the executable is no longer where it was started from", func(v *Vector) host.Value { return exeDeleted(v.Proc.Kernel, v.text) }},
	{"process.sha256", "sha256", "SHA-256 of the executable, lower-case hex", func(v *Vector) host.Value { return sha256Of(v.text) }},
	{"process.hashes", "Hashes", "the same in Sigma's form: SHA256=…", func(v *Vector) host.Value { return hashes(v.text) }},
	{"process.command_line", "CommandLine", "the arguments joined by single spaces, secrets masked; absent without any", func(v *Vector) host.Value { return commandLine(v.text) }},
	{"process.args", "", "list of the arguments, the first included, secrets masked; absent without any", func(v *Vector) host.Value { return args(v.text) }},
	{"process.arg0", "", "the first argument: what the program calls itself; absent without any", func(v *Vector) host.Value { return arg0(v.text) }},
	{"process.cwd", "CurrentDirectory", "working directory", func(v *Vector) host.Value { return cwd(v.text) }},
	{"process.user", "User", "name of the user, its number when it has none", func(v *Vector) host.Value { return user(v.text) }},
	{"process.uid", "", "number of the user", func(v *Vector) host.Value { return uid(v.text) }},
	{"process.container", "", "id of the container; absent outside of one", func(v *Vector) host.Value { return container(v.text) }},
	{"process.container_runtime", "", "docker, containerd, podman, cri-o, kubernetes, lxc or systemd-nspawn; absent outside of a container", func(v *Vector) host.Value { return containerRuntime(v.text) }},
	{"process.pod", "", "UID of the Kubernetes pod; absent outside of one", func(v *Vector) host.Value { return pod(v.text) }},
	{"process.cgroup", "", "path in the cgroup hierarchy", func(v *Vector) host.Value { return cgroup(v.text) }},
	{"process.env_names", "", "list of the names of environment variables; absent when it has none", func(v *Vector) host.Value { return envNamesOf(v.text) }},
	{"process.env", "", "list of NAME=value for the variables whose values are kept; absent when it has none of them", func(v *Vector) host.Value { return envOf(v.text) }},
	{"process.parent_name", "", "name of the parent at birth", func(v *Vector) host.Value { return host.TextOr(v.parentName) }},
	{"process.parent_exe", "ParentImage", "executable of the parent at birth", func(v *Vector) host.Value { return exe(false, v.parentText) }},
	{"process.parent_command_line", "ParentCommandLine", "arguments of the parent at birth, joined, masked", func(v *Vector) host.Value { return commandLine(v.parentText) }},
	{"process.parent_user", "ParentUser", "user of the parent at birth", func(v *Vector) host.Value { return user(v.parentText) }},
	{"process.ancestors", "", "list of the names of parent, grandparent and so on, at birth; absent without any", ancestorsOf},
	{"process.reparented", "", "it was handed to another parent than the one it was first seen with", func(v *Vector) host.Value { return host.BoolOf(v.Reparented) }},
	{"process.session_leader", "", "it leads a session of its own", sessionLeader},
	{"process.kernel_thread", "", "a kernel thread", func(v *Vector) host.Value { return host.Bool(v.Proc.Kernel) }},
	{"process.state", "", "one letter as in proc(5): R S D Z T t I X", func(v *Vector) host.Value { return state(v.Proc.State) }},
	{"process.age_s", "", "seconds since birth", func(v *Vector) host.Value { return host.Number(v.Age.Seconds()) }},
	{"process.threads", "", "number of threads", func(v *Vector) host.Value { return count(int64(v.Proc.Threads)) }},
	{"process.nice", "", "nice value, -20 to 19", func(v *Vector) host.Value { return host.Number(float64(v.Proc.Nice)) }},
	{"process.policy", "", "scheduling policy as in sched(7): 0 other, 1 fifo, 2 rr, 3 batch, 5 idle, 6 deadline", func(v *Vector) host.Value { return count(int64(v.Proc.Policy)) }},
	{"process.tracer_pid", "", "process id of the debugger; absent without one", func(v *Vector) host.Value { return tracer(v.text) }},

	{"cpu.share_10s", "", "cores used over the last 10 seconds", func(v *Vector) host.Value { return number(v.CPU.Share10s) }},
	{"cpu.share_1m", "", "cores used over the last minute", func(v *Vector) host.Value { return number(v.CPU.Share1m) }},
	{"cpu.share_10m", "", "cores used over the last 10 minutes", func(v *Vector) host.Value { return number(v.CPU.Share10m) }},
	{"cpu.share_1h", "", "cores used over the last hour", func(v *Vector) host.Value { return number(v.CPU.Share1h) }},
	{"cpu.share_life", "", "cores used since birth; known from the first look", func(v *Vector) host.Value { return number(v.CPU.ShareLife) }},
	{"cpu.machine_10s", "", "part of the machine's CPUs used over the last 10 seconds, 0 to 1", func(v *Vector) host.Value { return ratio(v.CPU.Share10s, v.Host.CPUs) }},
	{"cpu.machine_1m", "", "the same over the last minute", func(v *Vector) host.Value { return ratio(v.CPU.Share1m, v.Host.CPUs) }},
	{"cpu.machine_10m", "", "the same over the last 10 minutes", func(v *Vector) host.Value { return ratio(v.CPU.Share10m, v.Host.CPUs) }},
	{"cpu.machine_1h", "", "the same over the last hour", func(v *Vector) host.Value { return ratio(v.CPU.Share1h, v.Host.CPUs) }},
	{"cpu.total_s", "", "CPU seconds since birth", func(v *Vector) host.Value { return number(v.CPU.Total) }},
	{"cpu.seconds_24h", "", "CPU seconds in the last 24 hours, as far as known", func(v *Vector) host.Value { return number(v.CPU.Seconds24h) }},
	{"cpu.busy_s", "", "seconds for which it has used at least half a core without a break", func(v *Vector) host.Value { return number(v.CPU.BusyFor) }},
	{"cpu.variation_1m", "", "standard deviation of the share over its mean, from look to look over a minute; 0 is perfectly flat; unknown below 0.1 cores", func(v *Vector) host.Value { return number(v.CPU.Variation1m) }},
	{"cpu.variation_10m", "", "the same over 10 minutes", func(v *Vector) host.Value { return number(v.CPU.Variation10m) }},
	{"cpu.duty_1m", "", "part of the last minute in which it used at least 0.1 cores, 0 to 1", func(v *Vector) host.Value { return number(v.CPU.Duty1m) }},
	{"cpu.duty_10m", "", "the same over 10 minutes", func(v *Vector) host.Value { return number(v.CPU.Duty10m) }},
	{"cpu.user_fraction_1m", "", "part of its CPU time in the last minute that was user mode, 0 to 1; unknown below 0.1 cores", func(v *Vector) host.Value { return number(v.CPU.UserFraction1m) }},
	{"cpu.voluntary_per_cpu_s", "", "voluntary context switches per CPU second of its hot threads, last minute", func(v *Vector) host.Value { return number(v.CPU.VoluntaryPerSecond) }},
	{"cpu.involuntary_per_cpu_s", "", "involuntary context switches per CPU second of its hot threads, last minute", func(v *Vector) host.Value { return number(v.CPU.InvoluntaryPerSecond) }},
	{"cpu.faults_per_cpu_s", "", "minor page faults per CPU second, last minute; unknown below 0.1 cores", func(v *Vector) host.Value { return number(v.CPU.FaultsPerSecond) }},
	{"cpu.hot_threads", "", "threads that used at least 0.2 cores each between the last two looks at them", func(v *Vector) host.Value { return number(v.CPU.HotThreads) }},
	{"cpu.hot_threads_per_core", "", "hot threads over the machine's CPUs: 1 is one per CPU", func(v *Vector) host.Value { return ratio(v.CPU.HotThreads, v.Host.CPUs) }},
	{"cpu.hot_spread", "", "standard deviation of the hot threads' shares over their mean; 0 when all work alike; unknown below two hot threads", func(v *Vector) host.Value { return number(v.CPU.HotSpread) }},
	{"cpu.hot_names", "", "number of different names among the hot threads", func(v *Vector) host.Value { return number(v.CPU.HotNames) }},
	{"cpu.pinned_threads", "", "hot threads bound to one CPU each, every one to another", func(v *Vector) host.Value { return number(v.CPU.Pinned) }},
	{"cpu.pinned_fraction", "", "pinned threads over hot threads, 0 to 1; unknown without hot threads", func(v *Vector) host.Value { return ratio(v.CPU.Pinned, v.CPU.HotThreads) }},
	{"cpu.stopped_fraction", "", "part of the looks at hot threads that found them stopped (state T) although their CPU time grew, last minute, 0 to 1", func(v *Vector) host.Value { return number(v.CPU.Stopped) }},

	{"group.processes", "", "living processes of the same program", func(v *Vector) host.Value { return number(v.Group.Processes) }},
	{"group.started_1h", "", "processes of the same program started in the last hour, as far as watched", func(v *Vector) host.Value { return number(v.Group.Started1h) }},
	{"group.share_10s", "", "cores used by all processes of the program over the last 10 seconds, ended ones included", func(v *Vector) host.Value { return number(v.Group.Share10s) }},
	{"group.share_1m", "", "the same over the last minute", func(v *Vector) host.Value { return number(v.Group.Share1m) }},
	{"group.share_10m", "", "the same over the last 10 minutes", func(v *Vector) host.Value { return number(v.Group.Share10m) }},
	{"group.share_1h", "", "the same over the last hour", func(v *Vector) host.Value { return number(v.Group.Share1h) }},
	{"group.machine_1m", "", "part of the machine's CPUs the program used over the last minute, 0 to 1", func(v *Vector) host.Value { return ratio(v.Group.Share1m, v.Host.CPUs) }},
	{"group.machine_10m", "", "the same over the last 10 minutes", func(v *Vector) host.Value { return ratio(v.Group.Share10m, v.Host.CPUs) }},
	{"group.machine_1h", "", "the same over the last hour", func(v *Vector) host.Value { return ratio(v.Group.Share1h, v.Host.CPUs) }},
	{"group.seconds_24h", "", "CPU seconds of the program in the last 24 hours, as far as known, over restarts of the agent too", func(v *Vector) host.Value { return number(v.Group.Seconds24h) }},

	{"memory.rss_mib", "", "MiB resident, huge pages not counted", func(v *Vector) host.Value { return number(v.Memory.RSS) }},
	{"memory.rss_anon_mib", "", "MiB resident and anonymous", func(v *Vector) host.Value { return number(v.Memory.RSSAnon) }},
	{"memory.hugetlb_mib", "", "MiB in huge pages of the pool (HugetlbPages), which RSS does not count", func(v *Vector) host.Value { return number(v.Memory.Hugetlb) }},
	{"memory.hugetlb_over_rss", "", "huge page memory over resident memory", func(v *Vector) host.Value { return ratio(v.Memory.Hugetlb, v.Memory.RSS) }},
	{"memory.hugetlb_rest_mib", "", "MiB in huge pages beyond the large mappings; unknown unless it has both", func(v *Vector) host.Value { return number(hugetlbRest(v)) }},
	{"memory.hugetlb_rest_per_hot_thread", "", "the same for each hot thread: the working memory of one worker", func(v *Vector) host.Value { return ratio(hugetlbRest(v), v.CPU.HotThreads) }},
	{"memory.large_mib", "", "list of the anonymous mappings of at least 64 MiB, each in whole MiB rounded down; absent without any", large},
	{"memory.large_total_mib", "", "MiB in these mappings together", func(v *Vector) host.Value { return number(v.Memory.LargeTotal) }},
	{"memory.exec_anon_kib", "", "KiB of anonymous executable memory: code made at run time", func(v *Vector) host.Value { return number(v.Memory.ExecKiB) }},
	{"memory.exec_anon_maps", "", "number of anonymous executable mappings", func(v *Vector) host.Value { return number(v.Memory.ExecMaps) }},
	{"memory.write_exec_kib", "", "KiB of these that are writable at the same time", func(v *Vector) host.Value { return number(v.Memory.WriteExecKiB) }},

	{"machine.cpus", "", "CPUs online", func(v *Vector) host.Value { return number(v.Host.CPUs) }},
	{"machine.busy_10s", "", "part of all CPU time that was busy over the last 10 seconds, 0 to 1", func(v *Vector) host.Value { return number(v.Host.Busy10s) }},
	{"machine.busy_1m", "", "the same over the last minute", func(v *Vector) host.Value { return number(v.Host.Busy1m) }},
	{"machine.steal_1m", "", "part of all CPU time that a hypervisor took over the last minute, 0 to 1", func(v *Vector) host.Value { return number(v.Host.Steal1m) }},
	{"machine.hugepages_mib", "", "MiB in the pool of huge pages", func(v *Vector) host.Value { return number(v.Host.HugePages) }},
	{"machine.hugepages_used_mib", "", "MiB of these in use", func(v *Vector) host.Value { return number(v.Host.HugePagesUsed) }},
	{"machine.hugepages_grown_mib", "", "MiB by which the pool is larger than at its smallest since watching began", func(v *Vector) host.Value { return number(v.Host.HugePagesGrown) }},
	{"machine.msr_writable", "", "the msr module lets programs write model specific registers", func(v *Vector) host.Value { return host.BoolOf(v.Host.MSRWritable) }},
}
