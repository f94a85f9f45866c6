package incident

import (
	"path"
	"slices"
	"strings"

	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/host"
)

// links finds the cases that a finding belongs to. It is rebuilt from the cases when they have changed.
type links struct {
	look   uint64 // number of the look, to tell one from the next
	stale  bool
	gone   int // members removed since it was rebuilt
	turned turned
	procs  map[host.ProcID]place
	keys   map[string]*dossier
	below  map[host.ProcID][]*dossier // by process: the cases with a member that comes from it
	jobs   map[job][]*dossier
	copies map[content][]*dossier
}

// place is where a process is.
type place struct {
	d *dossier
	m *member
}

// turned is the process that a case had no room for last.
type turned struct {
	id host.ProcID
	d  *dossier
}

// content is a program by what it is made of, whatever it is called.
type content struct{ sha256, container string }

func contentOf(s *host.Subject) content {
	if s.ExeSHA256 == "" {
		return content{}
	}
	return content{s.ExeSHA256, s.Container}
}

func newLinks() links {
	return links{
		procs: map[host.ProcID]place{}, keys: map[string]*dossier{}, below: map[host.ProcID][]*dossier{},
		jobs: map[job][]*dossier{}, copies: map[content][]*dossier{},
	}
}

func (l *links) rebuild(open []*dossier) {
	clear(l.procs)
	clear(l.keys)
	clear(l.below)
	clear(l.jobs)
	clear(l.copies)
	for _, d := range open {
		for _, m := range d.members {
			l.add(d, m)
		}
		for _, k := range d.keys {
			l.keys[k] = d
		}
	}
	l.stale, l.gone, l.turned = false, 0, turned{}
}

func (l *links) add(d *dossier, m *member) {
	l.procs[m.subject.ID] = place{d, m}
	if m.starter {
		return
	}
	if key := program(&m.subject); key != "" {
		l.keys[key] = d
	}
	for _, id := range m.line {
		insert(l.below, id, d)
	}
	if m.job.group != 0 {
		insert(l.jobs, m.job, d)
	}
	if c := contentOf(&m.subject); c.sha256 != "" {
		insert(l.copies, c, d)
	}
}

// remove forgets a member. What it alone has led to goes with the next rebuilding, which comes soon enough to bound it.
func (l *links) remove(m *member) {
	delete(l.procs, m.subject.ID)
	l.gone++
	l.stale = l.stale || l.gone >= MaxMembers
}

// forget takes a case out that is over. Where its members were before they changed their job or program it stays until
// the next rebuilding; [links.of] passes over it.
func (l *links) forget(d *dossier) {
	d.over = true
	for _, m := range d.members {
		delete(l.procs, m.subject.ID)
		l.unkey(program(&m.subject), d)
	}
	for _, k := range d.keys {
		l.unkey(k, d)
	}
	if l.turned.d == d {
		l.turned = turned{}
	}
	l.gone += max(1, len(d.members))
	l.stale = l.stale || l.gone >= MaxMembers
}

func (l *links) unkey(key string, d *dossier) {
	if l.keys[key] == d {
		delete(l.keys, key)
	}
}

func insert[K comparable](to map[K][]*dossier, k K, d *dossier) {
	if !slices.Contains(to[k], d) {
		to[k] = append(to[k], d)
	}
}

// of lists the cases that a finding about m belongs to, each once:
//   - the case that m is in, and the one about the same program;
//   - those of a process that m comes from and those of the processes that come from m, see linked;
//   - those that m shares a job, or an executable under another name, with, if the finding is about mining itself and
//     they hold the same: a watchdog that starts its worker under ever new names, and not two honest things that one
//     shell has started.
func (l *links) of(m *member, f *detect.Finding) []*dossier {
	var out []*dossier
	join := func(d *dossier) {
		if d != nil && !d.over && !slices.Contains(out, d) {
			out = append(out, d)
		}
	}
	join(l.procs[m.subject.ID].d)
	if key := program(&m.subject); key != "" {
		join(l.keys[key])
	}
	for _, id := range m.line {
		if p := l.procs[id]; p.m != nil && linked(p.m, m) {
			join(p.d)
		}
	}
	if weighs(f) {
		above := *m
		above.weighty, above.telling = true, m.telling || tells(f)
		for _, d := range l.below[m.subject.ID] {
			if slices.ContainsFunc(d.members, func(o *member) bool {
				return slices.Contains(o.line, m.subject.ID) && linked(&above, o)
			}) {
				join(d)
			}
		}
	}
	if tells(f) {
		alike := func(list []*dossier) {
			for _, d := range list {
				if d.shares(f) {
					join(d)
				}
			}
		}
		if m.job.group != 0 {
			alike(l.jobs[m.job])
		}
		if c := contentOf(&m.subject); c.sha256 != "" {
			alike(l.copies[c])
		}
	}
	if len(out) == 0 && l.turned.id == m.subject.ID { // what else is known of it belongs there as well
		join(l.turned.d)
	}
	return out
}

// program is what makes processes the same program: [host.Subject.Key], but nothing for an interpreter that reads from
// a terminal or a pipe. Two people's shells are the same file and not the same program, and `curl | sh` is any script.
// The list can only keep processes apart that something else has to bring together; a program of one's own under such
// a name gains nothing by it.
func program(s *host.Subject) string {
	key, _ := strings.CutSuffix(s.Key, " in "+s.Container)
	if key = strings.TrimSuffix(key, " -"); key != s.Exe {
		return s.Key
	}
	switch strings.TrimRight(path.Base(s.Exe), "0123456789.-") {
	case "sh", "bash", "rbash", "dash", "ash", "zsh", "ksh", "mksh", "fish", "tclsh", "expect", "pwsh",
		"python", "pypy", "perl", "ruby", "php", "node", "nodejs", "lua", "luajit":
		return ""
	}
	return s.Key
}

// linked tells whether what is known about an ancestor makes its descendant part of the same case. Load does not: a
// busy build has busy compilers. Hiding does within a session: a daemon that starts other people's sessions (cron,
// sshd, a container's shim) runs a deleted executable after every upgrade. Mining itself always does.
func linked(above, below *member) bool {
	switch {
	case above.telling:
		return true
	case above.weighty:
		return above.session == 0 || below.session == 0 || above.session == below.session
	default:
		return false
	}
}
