package feature

import "github.com/minehound/minehound/agent/host"

// EventField is one field of an [Occurrence] as rules know it.
type EventField struct {
	Name  string // what our own rules write; the same as in [Fields] where the meaning is the same
	Sigma string // what Sigma's process_creation and process_termination rules call it, "" for none
	Doc   string
	get   func(*Occurrence) host.Value // nil when no sensor tells it
}

// Told says whether any sensor of this program can tell the field. One that is not told is always unknown; it is listed
// so that rules which merely mention it are understood.
func (f EventField) Told() bool { return f.get != nil }

// EventFields lists every field of an Occurrence. Its order is the order of the indexes that [Occurrence.Get] takes.
func EventFields() []EventField { return eventFields }

// Get is the value of field i of [EventFields].
func (o *Occurrence) Get(i int) host.Value {
	if g := eventFields[i].get; g != nil {
		return g(o)
	}
	return host.Value{}
}

// Field is the value of the field of that name, and whether there is one. It is slow: rules look an index up once.
func (o *Occurrence) Field(name string) (host.Value, bool) {
	for i := range eventFields {
		if eventFields[i].Name == name {
			return o.Get(i), true
		}
	}
	return host.Value{}, false
}

var eventFields = []EventField{
	{"event.kind", "", "process_started or process_ended", func(o *Occurrence) host.Value { return eventKind(o.Event.Kind) }},
	{"process.pid", "ProcessId", "process id", func(o *Occurrence) host.Value { return host.Number(float64(o.Event.ID.PID)) }},
	{"process.parent_pid", "ParentProcessId", "process id of the parent at that moment; unknown when it could not be read", eventParent},
	{"process.name", "", "name the kernel keeps (comm), at most 15 bytes on Linux", func(o *Occurrence) host.Value { return host.TextOr(o.Subject.Name) }},
	{"process.exe", "Image", "path of the executable, without \" (deleted)\"", func(o *Occurrence) host.Value { return exe(false, o.text) }},
	{"process.exe_name", "", "last part of the executable's path", func(o *Occurrence) host.Value { return exeName(false, o.text) }},
	{"process.exe_deleted", "", "the executable was no longer where it was started from", func(o *Occurrence) host.Value { return exeDeleted(false, o.text) }},
	{"process.sha256", "sha256", "SHA-256 of the executable, lower-case hex", func(o *Occurrence) host.Value { return sha256Of(o.text) }},
	{"process.hashes", "Hashes", "the same in Sigma's form: SHA256=…", func(o *Occurrence) host.Value { return hashes(o.text) }},
	{"process.command_line", "CommandLine", "the arguments joined by single spaces, secrets masked; absent without any", func(o *Occurrence) host.Value { return commandLine(o.text) }},
	{"process.args", "", "list of the arguments, the first included, secrets masked; absent without any", func(o *Occurrence) host.Value { return args(o.text) }},
	{"process.arg0", "", "the first argument; absent without any", func(o *Occurrence) host.Value { return arg0(o.text) }},
	{"process.cwd", "CurrentDirectory", "working directory", func(o *Occurrence) host.Value { return cwd(o.text) }},
	{"process.user", "User", "name of the user, its number when it has none", func(o *Occurrence) host.Value { return user(o.text) }},
	{"process.uid", "", "number of the user", func(o *Occurrence) host.Value { return uid(o.text) }},
	{"process.container", "", "id of the container; absent outside of one", func(o *Occurrence) host.Value { return container(o.text) }},
	{"process.container_runtime", "", "docker, containerd, podman, cri-o, kubernetes, lxc or systemd-nspawn; absent outside of a container", func(o *Occurrence) host.Value { return containerRuntime(o.text) }},
	{"process.pod", "", "UID of the Kubernetes pod; absent outside of one", func(o *Occurrence) host.Value { return pod(o.text) }},
	{"process.cgroup", "", "path in the cgroup hierarchy", func(o *Occurrence) host.Value { return cgroup(o.text) }},
	{"process.env_names", "", "list of the names of environment variables; absent when it has none", func(o *Occurrence) host.Value { return envNamesOf(o.text) }},
	{"process.env", "", "list of NAME=value for the variables whose values are kept; absent when it has none of them", func(o *Occurrence) host.Value { return envOf(o.text) }},
	{"process.parent_name", "", "name of the parent", func(o *Occurrence) host.Value { return host.TextOr(o.Event.ParentName) }},
	{"process.parent_exe", "ParentImage", "executable of the parent", func(o *Occurrence) host.Value { return exe(false, o.parentText) }},
	{"process.parent_command_line", "ParentCommandLine", "arguments of the parent, joined, masked", func(o *Occurrence) host.Value { return commandLine(o.parentText) }},
	{"process.parent_user", "ParentUser", "user of the parent", func(o *Occurrence) host.Value { return user(o.parentText) }},
	{"process.ancestors", "", "list of the names of parent, grandparent and so on", func(o *Occurrence) host.Value { return known(o.ancestors) }},
	{"process.tracer_pid", "", "process id of the debugger; absent without one", func(o *Occurrence) host.Value { return tracer(o.text) }},

	// What Sysmon tells on Windows and no sensor here does.
	{"process.original_file_name", "OriginalFileName", "name in the version resource of a Windows executable; no sensor", nil},
	{"process.description", "Description", "description in the version resource; no sensor", nil},
	{"process.product", "Product", "product in the version resource; no sensor", nil},
	{"process.company", "Company", "company in the version resource; no sensor", nil},
	{"process.file_version", "FileVersion", "version in the version resource; no sensor", nil},
	{"process.integrity_level", "IntegrityLevel", "Windows integrity level; no sensor", nil},
	{"process.parent_integrity_level", "ParentIntegrityLevel", "the parent's Windows integrity level; no sensor", nil},
	{"process.logon_id", "LogonId", "Windows logon session; no sensor", nil},
	{"process.logon_guid", "LogonGuid", "Windows logon session; no sensor", nil},
	{"process.terminal_session", "TerminalSessionId", "Windows terminal session; no sensor", nil},
	{"process.guid", "ProcessGuid", "Sysmon's process id; no sensor", nil},
	{"process.parent_guid", "ParentProcessGuid", "Sysmon's id of the parent; no sensor", nil},
	{"process.imphash", "Imphash", "hash of a Windows executable's imports; no sensor", nil},
	{"process.md5", "md5", "MD5 of the executable; no sensor", nil},
}

func eventKind(k host.EventKind) host.Value {
	switch k {
	case host.ProcessStarted:
		return host.Text("process_started")
	case host.ProcessEnded:
		return host.Text("process_ended")
	}
	return host.Value{}
}

func eventParent(o *Occurrence) host.Value {
	if o.Event.Parent.PID <= 0 {
		return host.Value{}
	}
	return host.Number(float64(o.Event.Parent.PID))
}
