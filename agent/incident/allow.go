package incident

import (
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/minehound/minehound/agent/host"
)

// Allow is one entry of the allow-list. It speaks of the processes that fit everything it names.
//
// Without a Rule it covers a case when every process that gave the case evidence is covered by an entry: such a case is
// kept and shown, and never pages. With a Rule it takes away that rule's findings about these processes and no others.
//
// A path is only a name. So an entry with Exe and without SHA256 does not cover an executable that was deleted,
// replaced, or never was in a file system (memfd), and without Container no process in a container, which has a file
// system of its own.
//
// What it cannot know: a user who may make namespaces can show a file of their own under any path, one to whom a part of
// the cgroup hierarchy was delegated can take the id of a container, and who may trace the permitted program or change
// its environment can mine inside of it. Where users are not trusted an entry names SHA256, and User, too.
type Allow struct {
	Exe       string    // path of the executable, exactly, or a pattern of path.Match: * and ? stand for anything but a slash
	SHA256    string    // of the executable, 64 hexadecimal digits
	User      string    // name of the user, or the number of one without a name
	Container string    // container id, or its beginning of at least MinContainer digits
	Rule      string    // name of a rule: only its findings do not count
	Reason    string    // why; never empty
	Expires   time.Time // the moment from which it no longer holds; zero is never
}

// MinContainer is how much of a container's id an entry must name: what docker ps shows.
const MinContainer = 12

// What makes an allow-list entry useless.
var (
	ErrAllowReason   = errors.New("has no reason")
	ErrAllowAnything = errors.New("names none of exe, sha256, user, container")
)

// Check tells what is wrong with an entry: no reason ([ErrAllowReason]), nothing but perhaps a rule that it speaks of
// ([ErrAllowAnything]: switching a rule off is not the allow-list's), a pattern that path.Match refuses
// ([path.ErrBadPattern]), a digest that is none, or too little of a container's id.
func (a *Allow) Check() error {
	if strings.TrimSpace(a.Reason) == "" {
		return ErrAllowReason
	}
	if a.Exe == "" && a.SHA256 == "" && a.User == "" && a.Container == "" {
		return ErrAllowAnything
	}
	if _, err := path.Match(slashed(a.Exe), ""); err != nil {
		return fmt.Errorf("exe %q: %w", a.Exe, err)
	}
	if sum, err := hex.DecodeString(a.SHA256); err != nil || a.SHA256 != "" && len(sum) != 32 {
		return fmt.Errorf("sha256 %q is not 64 hexadecimal digits", a.SHA256)
	}
	if a.Container != "" && len(a.Container) < MinContainer {
		return fmt.Errorf("container %q is shorter than %d digits", a.Container, MinContainer)
	}
	return nil
}

// Expired tells whether the entry no longer holds at that time.
func (a *Allow) Expired(at time.Time) bool { return !a.Expires.IsZero() && !at.Before(a.Expires) }

// covers tells whether a process fits all that the entry names, its Rule aside.
func (a *Allow) covers(s *host.Subject, deleted host.Fact) bool {
	if s.Kind != host.SubjectProcess {
		return false
	}
	if a.SHA256 != "" && !strings.EqualFold(a.SHA256, s.ExeSHA256) {
		return false
	}
	if a.User != "" && a.User != s.User {
		return false
	}
	if a.Container != "" && !strings.HasPrefix(s.Container, a.Container) {
		return false
	}
	return a.Exe == "" || a.coversPath(s, deleted)
}

func (a *Allow) coversPath(s *host.Subject, deleted host.Fact) bool {
	if a.SHA256 == "" && (deleted == host.Yes || strings.HasPrefix(s.Exe, "/memfd:")) {
		return false
	}
	if a.SHA256 == "" && a.Container == "" && s.Container != "" {
		return false
	}
	if a.Exe == s.Exe {
		return true
	}
	fits, err := path.Match(slashed(a.Exe), slashed(s.Exe))
	return err == nil && fits
}

// slashed turns the separators of a Windows path into slashes, which to path.Match would be escapes.
func slashed(p string) string {
	if len(p) > 2 && p[1] == ':' && p[2] == '\\' || strings.HasPrefix(p, `\\`) {
		return strings.ReplaceAll(p, `\`, "/")
	}
	return p
}

// allowances is the allow-list in force.
type allowances struct {
	list    []Allow
	expired int // how many of them no longer hold
}

func newAllowances(list []Allow) (allowances, error) {
	for i := range list {
		if err := list[i].Check(); err != nil {
			return allowances{}, fmt.Errorf("allow-list entry %d: %w", i+1, err)
		}
	}
	return allowances{list: append([]Allow(nil), list...)}, nil
}

// tick counts what no longer holds and tells whether that has changed.
func (l *allowances) tick(at time.Time) bool {
	before := l.expired
	l.expired = len(expired(l.list, at))
	return l.expired != before
}

func expired(list []Allow, at time.Time) []Allow {
	var out []Allow
	for i := range list {
		if list[i].Expired(at) {
			out = append(out, list[i])
		}
	}
	return out
}

// drops tells whether an entry takes a rule's findings about a process away.
func (l *allowances) drops(at time.Time, rule string, s *host.Subject, deleted host.Fact) bool {
	for i := range l.list {
		a := &l.list[i]
		if a.Rule == rule && rule != "" && !a.Expired(at) && a.covers(s, deleted) {
			return true
		}
	}
	return false
}

// names tells whether any entry speaks of a rule, to save looking up its processes.
func (l *allowances) names(rule string) bool {
	for i := range l.list {
		if l.list[i].Rule == rule {
			return true
		}
	}
	return false
}

// covering is the entry that covers a process whatever the rule, nil for none. Of several it is the one that lasts
// longest, then the first.
func (l *allowances) covering(at time.Time, s *host.Subject, deleted host.Fact) *Allow {
	var best *Allow
	for i := range l.list {
		a := &l.list[i]
		if a.Rule != "" || a.Expired(at) || !a.covers(s, deleted) {
			continue
		}
		if best == nil || outlasts(a, best) {
			best = a
		}
	}
	return best
}

func outlasts(a, b *Allow) bool {
	if a.Expires.IsZero() || b.Expires.IsZero() {
		return a.Expires.IsZero() && !b.Expires.IsZero()
	}
	return a.Expires.After(b.Expires)
}
