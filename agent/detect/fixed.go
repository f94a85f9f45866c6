package detect

import (
	"slices"

	"github.com/minehound/minehound/agent/detect/sigma"
	"github.com/minehound/minehound/agent/feature"
	"github.com/minehound/minehound/agent/host"
)

// fixedNames are the fields of a Vector that change only with its Detail, its parent's Detail or its name. A rule over
// nothing else is held against a process once, not at every look.
func fixedNames() []string {
	return []string{
		"process.pid", "process.name", "process.exe", "process.exe_name", "process.exe_deleted", "process.sha256",
		"process.hashes", "process.command_line", "process.args", "process.arg0", "process.cwd", "process.user",
		"process.uid", "process.container", "process.container_runtime", "process.pod", "process.cgroup",
		"process.env_names", "process.env", "process.parent_name", "process.parent_exe", "process.parent_command_line",
		"process.parent_user", "process.kernel_thread", "process.tracer_pid",
	}
}

func fixedSchema() *sigma.Schema {
	var l []sigma.Field
	for _, f := range feature.Fields() {
		if slices.Contains(fixedNames(), f.Name) {
			l = append(l, sigma.Field{Name: f.Name, Sigma: f.Sigma})
		}
	}
	return sigma.NewSchema(l...)
}

// isFixed tells whether a rule reads only fixed fields. A rule of keywords reads every field and is none.
func isFixed(r *Rule, fixed *sigma.Schema) bool {
	return len(r.Missing(fixed)) == 0 && len(r.FieldNames()) > 0
}

// isMixed tells whether a rule reads fixed fields and others.
func isMixed(r *Rule, fixed *sigma.Schema) bool {
	missing := len(r.Missing(fixed))
	return missing > 0 && missing < len(r.FieldNames())
}

// fixedFields tells for each field of a Vector whether it is fixed.
func fixedFields() []bool {
	l := make([]bool, len(feature.Fields()))
	for i, f := range feature.Fields() {
		l[i] = slices.Contains(fixedNames(), f.Name)
	}
	return l
}

// partial is a Vector of which only the fixed fields are known: a rule that is false for it is false whatever the process
// does.
type partial struct {
	v     *feature.Vector
	fixed []bool
}

// Get is the value of field i, unknown for one that is not fixed.
func (p *partial) Get(i int) host.Value {
	if !p.fixed[i] {
		return host.Value{}
	}
	return p.v.Get(i)
}
