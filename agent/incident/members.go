package incident

import (
	"cmp"
	"slices"
	"time"

	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/host"
)

// member is one process of a case.
type member struct {
	subject host.Subject
	deleted host.Fact     // whether its executable was
	line    []host.ProcID // the processes it comes from, nearest first, as far up as they can link
	job     job
	session int // 0 unknown
	rules   []string
	weighty bool // holds evidence that is more than conduct
	telling bool // of it, more than concealment
	starter bool // is here for its children only
	covered bool // by the allow-list
	plain   bool // without arguments and ancestors, see maxRich
	gone    bool
	told    bool
	cpu     time.Duration
	worth   worth
}

// worth is how much evidence a member held when it was last counted: at that version of the case's evidence, by so many rules.
type worth struct {
	version uint64
	rules   int
	sum     detect.Decibans
}

// job is the processes that a shell without job control, a supervisor script or a program starts: they share a process
// group. The zero job is unknown.
type job struct {
	group, session int
	container      string
}

// crowd counts the processes for which there was no room, at the last look at which there were any.
type crowd struct {
	n    int
	look uint64
	last host.ProcID
}

func (d *dossier) member(id host.ProcID) *member {
	for _, m := range d.members {
		if m.subject.ID == id {
			return m
		}
	}
	return nil
}

func (d *dossier) isGone(id host.ProcID) bool {
	m := d.member(id)
	return m == nil || m.gone
}

// join adds a process and tells whether there was room. When there are too many, one makes room: the oldest of the dead
// that the case is not named after, else a living one that gave less evidence. When there is none, the process is
// counted.
func (d *dossier) join(m *member, l *links) bool {
	if len(d.members) >= MaxMembers && !d.makeRoom(m, l) {
		if m.subject.ID != d.crowd.last || l.look != d.crowd.look { // its next finding comes next
			d.refuse(m, l)
		}
		return false
	}
	i, _ := slices.BinarySearchFunc(d.members, m, compareMembers)
	d.members = slices.Insert(d.members, i, m)
	d.pending, d.grown = true, true
	d.deserted = d.deserted && m.gone
	d.slim(m)
	if !m.starter {
		d.key(program(&m.subject))
	}
	return true
}

func (d *dossier) makeRoom(m *member, l *links) bool {
	named := d.named()
	i := slices.IndexFunc(d.members, func(o *member) bool { return o.gone && o != named })
	if i >= 0 {
		d.lose(d.members[i])
	} else if i = d.least(); d.weight(m) <= d.weight(d.members[i]) {
		return false
	} else {
		d.refuse(d.members[i], l)
	}
	l.remove(d.members[i])
	d.members = slices.Delete(d.members, i, i+1)
	return true
}

// least is the member that holds least evidence, of equal ones the youngest.
func (d *dossier) least() int {
	least := len(d.members) - 1
	for i, o := range d.members {
		if d.weight(o) < d.weight(d.members[least]) {
			least = i
		}
	}
	return least
}

// lose keeps of a dead member what the case still needs.
func (d *dossier) lose(m *member) {
	d.more++
	d.spent += m.cost()
	d.strange(m)
}

// refuse counts a process for which there is no room. A living one comes again with its next finding, so it is counted
// for this look and its CPU time is not taken.
func (d *dossier) refuse(m *member, l *links) {
	if d.crowd.look != l.look {
		d.crowd = crowd{look: l.look}
	}
	d.crowd.last = m.subject.ID
	if m.gone {
		d.lose(m)
		return
	}
	d.crowd.n++
	d.strange(m)
}

func (d *dossier) strange(m *member) { d.stranger = d.stranger || !m.covered && !m.starter }

// maxRich is how many members of a case keep their arguments and ancestors: the living and the one it is named after
// first. The others are only listed.
const maxRich = 16

// slim keeps the text that members hold within bounds when m has joined.
func (d *dossier) slim(m *member) {
	rich := 0
	var dead *member
	for _, o := range d.members {
		if len(o.subject.Args) == 0 && len(o.subject.Ancestors) == 0 {
			continue
		}
		rich++
		if dead == nil && o.gone {
			dead = o
		}
	}
	if rich <= maxRich {
		return
	}
	if dead == nil || dead == d.named() {
		dead = m
	}
	dead.plain = true
	dead.subject.Args, dead.subject.Ancestors = nil, nil
}

// cost is the CPU time that counts for the case: a starter's own does not.
func (m *member) cost() time.Duration {
	if m.starter {
		return 0
	}
	return m.cpu
}

// named is the member with most evidence; of equal ones a living one, then the oldest. Nil when there is none.
func (d *dossier) named() *member {
	var best *member
	var most detect.Decibans
	for _, m := range d.members {
		w := d.weight(m)
		if best == nil || w > most || w == most && best.gone && !m.gone {
			best, most = m, w
		}
	}
	return best
}

// weight is how much evidence a member holds. A starter holds less than anybody.
func (d *dossier) weight(m *member) detect.Decibans {
	if m.starter {
		return -1
	}
	if m.worth.version == d.version && m.worth.rules == len(m.rules) {
		return m.worth.sum
	}
	var w detect.Decibans
	for _, r := range m.rules {
		if i, ok := d.find(r); ok {
			w += max(0, d.held[i].finding.Weight)
		}
	}
	m.worth = worth{d.version, len(m.rules), w}
	return w
}

func compareMembers(a, b *member) int { return compareProcs(a.subject.ID, b.subject.ID) }

func compareProcs(a, b host.ProcID) int {
	return cmp.Or(cmp.Compare(a.Born, b.Born), cmp.Compare(a.PID, b.PID))
}
