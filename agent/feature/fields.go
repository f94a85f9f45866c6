package feature

import (
	"github.com/minehound/minehound/agent/host"
)

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

var fields = []Field{
	{"process.pid", "ProcessId", "process id", func(v *Vector) host.Value { return host.Number(float64(v.Proc.ID.PID)) }},
	{"process.parent_pid", "ParentProcessId", "process id of the parent", func(v *Vector) host.Value { return host.Number(float64(v.Proc.Parent)) }},
	{"process.name", "", "name the kernel keeps (comm), at most 15 bytes on Linux", func(v *Vector) host.Value { return host.TextOr(v.Proc.Name) }},
}
