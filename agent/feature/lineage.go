package feature

import "github.com/minehound/minehound/agent/host"

// MaxAncestors is how far up the tree of processes a Subject goes.
const MaxAncestors = 16

// lineage is a process and its ancestors. It is immutable and shared by all children.
type lineage struct {
	ancestors []host.Ancestor
	names     []string
}

// extend puts a process below its ancestors.
func extend(a host.Ancestor, up *lineage) *lineage {
	n := 1
	if up != nil {
		n += min(len(up.ancestors), MaxAncestors-1)
	}
	l := &lineage{make([]host.Ancestor, n), make([]string, n)}
	l.ancestors[0], l.names[0] = a, a.Name
	if up != nil {
		copy(l.ancestors[1:], up.ancestors)
		copy(l.names[1:], up.names)
	}
	return l
}

// trace brings the ancestors of r up to date. Ancestry is that at birth: a process whose parent has ended keeps it,
// although the kernel has given it another parent, because who started a program matters more than who inherited it.
func (w *Window) trace(r *record) {
	if r.traced == w.number {
		return // done, or a circle
	}
	r.traced = w.number
	p := r.parent
	if p == nil {
		return
	}
	if p.look != w.number {
		r.parent = nil
		return
	}
	w.trace(p)
	r.up = p.children()
	r.parentName, r.parentText = p.name, p.text
}

// children is what the children of r have as ancestors.
func (r *record) children() *lineage {
	a := host.Ancestor{ID: r.id, Name: r.name}
	if r.detail != nil {
		a.Exe = r.detail.Exe
	}
	if d := r.down; d == nil || d.ancestors[0] != a || !r.up.continued(d) {
		r.down = extend(a, r.up)
	}
	return r.down
}

// continued tells whether down was made from up.
func (up *lineage) continued(down *lineage) bool {
	rest := down.ancestors[1:]
	if up == nil {
		return len(rest) == 0
	}
	if len(rest) != min(len(up.ancestors), MaxAncestors-1) {
		return false
	}
	for i := range rest {
		if rest[i] != up.ancestors[i] {
			return false
		}
	}
	return true
}

// births remembers who started whom, for processes that are younger than a look: their parent may be gone when they are
// first seen.
type births struct {
	of   map[host.ProcID]*birth
	ring [512]host.ProcID
	n    int
}

type birth struct {
	self       host.Ancestor
	parentID   host.ProcID
	parentName string
	parentText *text
	up         *lineage
}

func (b *births) put(id host.ProcID, x *birth) {
	if _, ok := b.of[id]; ok {
		return // it executed another program; its parent is the same
	}
	slot := &b.ring[b.n%len(b.ring)]
	if b.n >= len(b.ring) {
		delete(b.of, *slot)
	}
	*slot = id
	b.n++
	b.of[id] = x
}

// note takes the start of a process.
func (w *Window) note(e *host.Event) {
	if e.Kind != host.ProcessStarted {
		return
	}
	if r := w.byPID(w.order, e.ID.PID); r != nil && r.id == e.ID {
		return
	}
	x := &birth{self: host.Ancestor{ID: e.ID, Name: e.Name}, parentID: e.Parent, parentName: e.ParentName}
	if e.Detail != nil {
		x.self.Exe = e.Detail.Exe
	}
	if known := w.births.of[e.ID]; known != nil {
		known.self = x.self // an exec: its children come from the program it is now
		return
	}
	x.up = w.ancestry(e)
	if e.ParentDetail != nil {
		x.parentText = newText(e.ParentDetail, nil)
	}
	w.births.put(e.ID, x)
}

// ancestry is the line above the process of an event.
func (w *Window) ancestry(e *host.Event) *lineage {
	if e.Parent.PID <= 0 {
		return nil
	}
	a := host.Ancestor{ID: e.Parent, Name: e.ParentName}
	if e.ParentDetail != nil {
		a.Exe = e.ParentDetail.Exe
	}
	if b := w.births.of[e.Parent]; b != nil {
		if a.Name == "" {
			a = b.self
		}
		return extend(a, b.up)
	}
	if r := w.byPID(w.order, e.Parent.PID); r != nil && (e.Parent.Born == 0 || r.id.Born == e.Parent.Born) {
		if a.Name == "" || e.Parent.Born == 0 {
			return r.children()
		}
		return extend(a, r.up)
	}
	return extend(a, nil)
}
