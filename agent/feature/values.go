package feature

import (
	"math"

	"github.com/minehound/minehound/agent/host"
)

// The functions here say what the fields of the two tables hold. Three answers are told apart throughout: unknown (not
// read), absent (read, and there is none), and a value.

func number(f float64) host.Value {
	if math.IsNaN(f) {
		return host.Value{}
	}
	return host.Number(f)
}

// ratio is unknown when either side is, or when there is nothing to divide by.
func ratio(a, b float64) host.Value {
	if !(b > 0) {
		return host.Value{}
	}
	return number(a / b)
}

// count is a number that is negative when unknown.
func count(n int64) host.Value {
	if n < 0 {
		return host.Value{}
	}
	return host.Number(float64(n))
}

func pid(n int) host.Value {
	if n <= 0 {
		return host.Absent()
	}
	return host.Number(float64(n))
}

func textOrAbsent(s string) host.Value {
	if s == "" {
		return host.Absent()
	}
	return host.Text(s)
}

func listOf(l []string) host.Value {
	if len(l) == 0 {
		return host.Absent()
	}
	return host.Texts(l)
}

// known is a list that is unknown when it is empty.
func known(l []string) host.Value {
	if len(l) == 0 {
		return host.Value{}
	}
	return host.Texts(l)
}

func ancestorsOf(v *Vector) host.Value {
	if v.first {
		return host.Absent()
	}
	return known(v.ancestors)
}

func exe(kernel bool, t *text) host.Value {
	if kernel {
		return host.Absent()
	}
	if t == nil {
		return host.Value{}
	}
	return host.TextOr(t.detail.Exe)
}

func exeName(kernel bool, t *text) host.Value {
	if kernel {
		return host.Absent()
	}
	if t == nil {
		return host.Value{}
	}
	return host.TextOr(t.base)
}

func exeDeleted(kernel bool, t *text) host.Value {
	if kernel {
		return host.Absent()
	}
	if t == nil {
		return host.Value{}
	}
	return host.BoolOf(t.detail.ExeDeleted)
}

func sha256Of(t *text) host.Value {
	if t == nil {
		return host.Value{}
	}
	return host.TextOr(t.detail.ExeSHA256)
}

func hashes(t *text) host.Value {
	if t == nil {
		return host.Value{}
	}
	return host.TextOr(t.hashes)
}

func commandLine(t *text) host.Value {
	if t == nil || !t.detail.ArgsKnown {
		return host.Value{}
	}
	if len(t.detail.Args) == 0 {
		return host.Absent()
	}
	return host.Text(t.commandLine)
}

func args(t *text) host.Value {
	if t == nil || !t.detail.ArgsKnown {
		return host.Value{}
	}
	return listOf(t.detail.Args)
}

func arg0(t *text) host.Value {
	if t == nil || !t.detail.ArgsKnown {
		return host.Value{}
	}
	if len(t.detail.Args) == 0 {
		return host.Absent()
	}
	return host.Text(t.arg0)
}

func cwd(t *text) host.Value {
	if t == nil {
		return host.Value{}
	}
	return host.TextOr(t.detail.Cwd)
}

func user(t *text) host.Value {
	if t == nil {
		return host.Value{}
	}
	return host.TextOr(t.detail.User)
}

func uid(t *text) host.Value {
	if t == nil {
		return host.Value{}
	}
	return count(int64(t.detail.UID))
}

// containerKnown: the container is read from the cgroup, so without a cgroup "no container" was not seen.
func containerKnown(t *text) bool {
	return t != nil && (t.detail.Cgroup != "" || t.detail.Container != host.Container{})
}

func container(t *text) host.Value {
	if !containerKnown(t) {
		return host.Value{}
	}
	return textOrAbsent(t.detail.Container.ID)
}

func containerRuntime(t *text) host.Value {
	if !containerKnown(t) {
		return host.Value{}
	}
	return textOrAbsent(t.detail.Container.Runtime)
}

func pod(t *text) host.Value {
	if !containerKnown(t) {
		return host.Value{}
	}
	return textOrAbsent(t.detail.Container.Pod)
}

func cgroup(t *text) host.Value {
	if t == nil {
		return host.Value{}
	}
	return host.TextOr(t.detail.Cgroup)
}

func envNamesOf(t *text) host.Value {
	if t == nil || !t.detail.EnvKnown {
		return host.Value{}
	}
	return listOf(t.envNames)
}

func envOf(t *text) host.Value {
	if t == nil || !t.detail.EnvKnown {
		return host.Value{}
	}
	return listOf(t.env)
}

func tracer(t *text) host.Value {
	if t == nil {
		return host.Value{}
	}
	return pid(t.detail.TracerPID)
}

func state(b byte) host.Value {
	const letters = "RSDZTtIXxKWPI"
	for i := range len(letters) {
		if letters[i] == b {
			return host.Text(letters[i : i+1])
		}
	}
	return host.Value{}
}

func sessionLeader(v *Vector) host.Value {
	if v.Proc.Session <= 0 {
		return host.Value{}
	}
	return host.Bool(v.Proc.Session == v.Proc.ID.PID)
}

func large(v *Vector) host.Value {
	if !Known(v.Memory.LargeTotal) {
		return host.Value{}
	}
	if len(v.Memory.Large) == 0 {
		return host.Absent()
	}
	return host.Numbers(v.Memory.Large)
}

// hugetlbRest is meant for programs whose large mappings are in huge pages: what remains is what their workers hold.
func hugetlbRest(v *Vector) float64 {
	rest := v.Memory.Hugetlb - v.Memory.LargeTotal
	if !Known(rest) || v.Memory.Hugetlb <= 0 || v.Memory.LargeTotal <= 0 || rest < 0 {
		return Unknown()
	}
	return rest
}
