package incident

import (
	"slices"
	"sort"

	"github.com/minehound/minehound/agent/feature"
	"github.com/minehound/minehound/agent/host"
)

// maxLine is how far up a process is followed.
const maxLine = 16

// maxKin is how many processes that come from weighty ones are remembered.
const maxKin = 4096

// sight is what one look shows of processes, found by id.
type sight struct {
	look    *feature.Look
	self    int
	started map[host.ProcID]*feature.Occurrence // nil until needed
}

// vector is the Vector of a process, nil when it does not live.
func (s *sight) vector(id host.ProcID) *feature.Vector {
	vs := s.look.Vectors
	i := sort.Search(len(vs), func(i int) bool { return vs[i].Proc.ID.PID >= id.PID })
	if i < len(vs) && vs[i].Proc.ID == id {
		return &vs[i]
	}
	return nil
}

// start is how a process was started, if it was at this look.
func (s *sight) start(id host.ProcID) *feature.Occurrence {
	if s.started == nil {
		s.started = make(map[host.ProcID]*feature.Occurrence, len(s.look.Occurrences))
		for i := range s.look.Occurrences {
			if o := &s.look.Occurrences[i]; o.Event.Kind == host.ProcessStarted {
				s.started[o.Event.ID] = o
			}
		}
	}
	return s.started[id]
}

// generic tells whether a process never links others: the first one and the agent.
func (s *sight) generic(pid int) bool { return pid <= 1 || pid == s.self }

// barrier tells whether nothing is linked through a process: a generic one and who leads a session. What starts other
// people's things (init, a container's shim, cron, sshd, a login shell, a terminal, a supervisor) gives each of them a
// session or leads its own; a name could be borrowed.
func (s *sight) barrier(id host.ProcID) bool {
	if s.generic(id.PID) {
		return true
	}
	v := s.vector(id)
	return v != nil && v.Proc.Session == id.PID
}

// meet describes a process as it looks now.
func (s *sight) meet(sub *host.Subject, kin *kin) *member {
	m := &member{subject: *sub}
	if sub.Kind == host.SubjectProcess {
		m.line = s.line(sub, kin)
		s.update(m)
	}
	return m
}

// update brings what changes about a process up to date and tells whether the allow-list may see it in another light.
func (s *sight) update(m *member) (changed bool) {
	before := m.deleted
	v := s.vector(m.subject.ID)
	if v == nil {
		m.gone = true
		if o := s.start(m.subject.ID); o != nil && o.Event.Detail != nil {
			m.deleted = o.Event.Detail.ExeDeleted
		}
		return m.deleted != before
	}
	m.gone = false
	m.cpu = max(m.cpu, v.Proc.CPU())
	m.session = v.Proc.Session
	m.job = job{}
	if v.Proc.Group > 1 {
		m.job = job{v.Proc.Group, v.Proc.Session, m.subject.Container}
	}
	if v.Proc.Detail != nil {
		m.deleted = v.Proc.Detail.ExeDeleted
	}
	return m.deleted != before
}

// line lists the processes that one comes from, nearest first, each list up to its first barrier. The barrier is
// listed: it may hold evidence of its own.
func (s *sight) line(sub *host.Subject, kin *kin) []host.ProcID {
	var out []host.ProcID
	up := func(id host.ProcID) (further bool) {
		if len(out) >= maxLine || id.Born == 0 || s.generic(id.PID) {
			return false
		}
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
		return !s.barrier(id)
	}
	climb := func(list []host.Ancestor) {
		for _, a := range list {
			if !up(a.ID) {
				return
			}
		}
	}
	climb(sub.Ancestors)
	o := s.start(sub.ID)
	for range maxLine { // a recording can claim that two processes started each other
		if o == nil {
			break
		}
		climb(o.Subject.Ancestors)
		if !up(o.Event.Parent) {
			break
		}
		o = s.start(o.Event.Parent)
	}
	if root, ok := kin.roots[sub.ID]; ok {
		up(root)
	}
	return out
}

// kin remembers which processes come from a weighty one, because that one may be gone when they are found: the shell
// that fetched and started a miner.
type kin struct {
	roots map[host.ProcID]host.ProcID
	order []host.ProcID // oldest first
}

func (k *kin) add(child, root host.ProcID) {
	if child == root {
		return
	}
	if _, ok := k.roots[child]; ok {
		k.order = slices.DeleteFunc(k.order, func(id host.ProcID) bool { return id == child })
	}
	if len(k.order) >= maxKin {
		n := maxKin / 8
		for _, id := range k.order[:n] {
			delete(k.roots, id)
		}
		k.order = slices.Delete(k.order, 0, n)
	}
	k.roots[child] = root
	k.order = append(k.order, child)
}

func (k *kin) forget() {
	clear(k.roots)
	k.order = k.order[:0]
}

// follow notes the children of weighty processes and theirs. Those that live long enough to be looked at keep their
// ancestors anyway ([host.Subject.Ancestors] are those at birth), those in between are gone by then.
func (k *kin) follow(s *sight, l *links) {
	weighty := func(id host.ProcID) bool {
		p := l.procs[id]
		return p.m != nil && p.m.weighty
	}
	root := func(id host.ProcID) (host.ProcID, bool) {
		if weighty(id) {
			return id, !s.generic(id.PID)
		}
		r, ok := k.roots[id]
		return r, ok && weighty(r) && !s.barrier(id)
	}
	for i := range s.look.Occurrences {
		o := &s.look.Occurrences[i]
		if o.Event.Kind != host.ProcessStarted || weighty(k.roots[o.Event.ID]) {
			continue
		}
		if r, ok := root(o.Event.Parent); ok {
			k.add(o.Event.ID, r)
			continue
		}
		for _, a := range o.Subject.Ancestors {
			if r, ok := root(a.ID); ok {
				k.add(o.Event.ID, r)
				break
			}
			if s.barrier(a.ID) {
				break
			}
		}
	}
}

// starters finds for each case the process that started its members and little else: a watchdog. It has to share their
// job, to be of no case, and most of its living children have to be of this one. What else it starts joins for its own
// evidence only.
func (s *sight) starters(cases []*dossier, l *links) {
	type offer struct {
		parent *feature.Vector
		d      *dossier
	}
	var offers []offer
	ours, all := map[offer]int{}, map[int]int{}
	for _, d := range cases {
		for _, m := range d.members {
			p := s.starter(m)
			if p == nil || l.procs[p.Proc.ID].d != nil {
				continue
			}
			o := offer{p, d}
			if ours[o] == 0 {
				offers = append(offers, o)
			}
			ours[o]++
			all[p.Proc.ID.PID] = 0
		}
	}
	if len(offers) == 0 {
		return
	}
	for i := range s.look.Vectors {
		parent := s.look.Vectors[i].Proc.Parent
		if n, ok := all[parent]; ok {
			all[parent] = n + 1
		}
	}
	for _, o := range offers {
		if 2*ours[o] <= all[o.parent.Proc.ID.PID] {
			continue
		}
		m := s.meet(&o.parent.Subject, &kin{})
		m.starter = true
		if o.d.join(m, l) {
			l.add(o.d, m)
		}
	}
}

// starter is the parent of a living member if it is of the same job.
func (s *sight) starter(m *member) *feature.Vector {
	v := s.vector(m.subject.ID)
	if v == nil || m.starter || m.job.group == 0 || len(v.Subject.Ancestors) == 0 {
		return nil
	}
	p := s.vector(v.Subject.Ancestors[0].ID)
	if p == nil || s.generic(p.Proc.ID.PID) || p.Proc.ID.PID != v.Proc.Parent {
		return nil
	}
	if p.Proc.Group != m.job.group || p.Proc.Session != m.job.session {
		return nil
	}
	return p
}
