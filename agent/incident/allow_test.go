package incident

import (
	"errors"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/minehound/minehound/agent/host"
)

var (
	digest    = strings.Repeat("ab", 32)
	container = strings.Repeat("c", 64)
)

func TestAllowCheck(t *testing.T) {
	tests := []struct {
		name string
		a    Allow
		want error // nil good, errAny any
	}{
		{"exe", Allow{Exe: "/opt/x", Reason: "r"}, nil},
		{"pattern", Allow{Exe: "/opt/*/x-?.[0-9]", Reason: "r"}, nil},
		{"windows path", Allow{Exe: `C:\Program Files\x.exe`, Reason: "r"}, nil},
		{"digest", Allow{SHA256: strings.ToUpper(digest), Reason: "r"}, nil},
		{"user", Allow{User: "monero", Reason: "r"}, nil},
		{"container", Allow{Container: container[:MinContainer], Reason: "r"}, nil},
		{"rule and user", Allow{Rule: "flat", User: "monero", Reason: "r"}, nil},
		{"no reason", Allow{Exe: "/opt/x"}, ErrAllowReason},
		{"a blank reason", Allow{Exe: "/opt/x", Reason: " \t"}, ErrAllowReason},
		{"anything", Allow{Reason: "r"}, ErrAllowAnything},
		{"a rule alone", Allow{Rule: "flat", Reason: "r"}, ErrAllowAnything},
		{"a bad pattern", Allow{Exe: "/opt/[x", Reason: "r"}, path.ErrBadPattern},
		{"a short digest", Allow{SHA256: digest[:62], Reason: "r"}, errAny},
		{"an odd digest", Allow{SHA256: digest[:63], Reason: "r"}, errAny},
		{"no digest", Allow{SHA256: strings.Repeat("x", 64), Reason: "r"}, errAny},
		{"a short container", Allow{Container: container[:MinContainer-1], Reason: "r"}, errAny},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.a.Check()
			if (err == nil) != (tt.want == nil) || !errors.Is(tt.want, errAny) && !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
			if _, newErr := NewTracker(Options{Allow: []Allow{{User: "u", Reason: "r"}, tt.a}}); (newErr == nil) != (err == nil) {
				t.Errorf("NewTracker: %v", newErr)
			}
		})
	}
}

var errAny = errors.New("any error")

func TestAllowCovers(t *testing.T) {
	plain := host.Subject{Kind: host.SubjectProcess, Exe: "/opt/mine/x", ExeSHA256: digest, User: "monero"}
	with := func(change func(*host.Subject)) host.Subject { s := plain; change(&s); return s }
	inside := with(func(s *host.Subject) { s.Container = container })
	unhashed := with(func(s *host.Subject) { s.ExeSHA256 = "" })
	memory := with(func(s *host.Subject) { s.Exe = "/memfd:x" })
	windows := with(func(s *host.Subject) { s.Exe = `C:\Tools\x.exe` })
	tests := []struct {
		name    string
		a       Allow
		s       host.Subject
		deleted host.Fact
		want    bool
	}{
		{"path", Allow{Exe: "/opt/mine/x"}, plain, host.No, true},
		{"path, unknown whether deleted", Allow{Exe: "/opt/mine/x"}, plain, host.Unknown, true},
		{"path of a deleted file", Allow{Exe: "/opt/mine/x"}, plain, host.Yes, false},
		{"path and digest of a deleted file", Allow{Exe: "/opt/mine/x", SHA256: digest}, plain, host.Yes, true},
		{"another path", Allow{Exe: "/opt/mine/y"}, plain, host.No, false},
		{"path as the beginning of one", Allow{Exe: "/opt/mine"}, plain, host.No, false},
		{"path of a file in memory", Allow{Exe: "/memfd:x"}, memory, host.No, false},
		{"pattern for a file in memory", Allow{Exe: "/*"}, memory, host.No, false},
		{"digest of a file in memory", Allow{SHA256: digest}, memory, host.Yes, true},
		{"path, in a container", Allow{Exe: "/opt/mine/x"}, inside, host.No, false},
		{"path and container", Allow{Exe: "/opt/mine/x", Container: container[:12]}, inside, host.No, true},
		{"digest, in a container", Allow{SHA256: digest}, inside, host.No, true},
		{"pattern", Allow{Exe: "/opt/*/x"}, plain, host.No, true},
		{"a star does not reach over a slash", Allow{Exe: "/opt/*"}, plain, host.No, false},
		{"question mark", Allow{Exe: "/opt/min?/x"}, plain, host.No, true},
		{"windows path", Allow{Exe: `C:\Tools\x.exe`}, windows, host.No, true},
		{"windows pattern", Allow{Exe: `C:\Tools\*.exe`}, windows, host.No, true},
		{"windows pattern over a separator", Allow{Exe: `C:\*`}, windows, host.No, false},
		{"digest", Allow{SHA256: strings.ToUpper(digest)}, plain, host.No, true},
		{"digest of a file that was not read", Allow{SHA256: digest}, unhashed, host.No, false},
		{"another digest", Allow{SHA256: strings.Repeat("0", 64)}, plain, host.No, false},
		{"user", Allow{User: "monero"}, plain, host.Yes, true},
		{"another user", Allow{User: "root"}, plain, host.No, false},
		{"container", Allow{Container: container}, inside, host.Yes, true},
		{"another container", Allow{Container: strings.Repeat("d", 12)}, inside, host.No, false},
		{"no container", Allow{Container: container}, plain, host.No, false},
		{"path and another user", Allow{Exe: "/opt/mine/x", User: "root"}, plain, host.No, false},
		{"all of it", Allow{Exe: "/opt/mine/x", SHA256: digest, User: "monero", Container: container}, inside, host.No, true},
		{"the machine", Allow{User: "monero"}, with(func(s *host.Subject) { s.Kind = host.SubjectHost }), host.No, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.a.covers(&tt.s, tt.deleted); got != tt.want {
				t.Errorf("%v", got)
			}
		})
	}
}

// TestAllow tells what the allow-list does to cases. Each story is what happens on one machine.
func TestAllow(t *testing.T) {
	x := Allow{Exe: "/opt/x", Reason: "ours"}
	until := Allow{Exe: "/opt/x", Reason: "ours", Expires: noon.Add(time.Hour)}
	stories := []struct {
		name  string
		allow []Allow
		tell  func(m *machine)
	}{
		{"a case is shown and does not page", []Allow{x}, func(m *machine) {
			m.start(100, 1, "/opt/x", leads)
			m.find(100, "wallet", "flat")
			m.want(m.look(soon), "A 1 open suspected info: 100 of 100: wallet flat (allowed: ours)")
			m.find(100, "proof")
			m.want(m.look(soon), "A 2 updated mining info: 100 of 100: proof wallet flat (allowed: ours)")
		}},
		{"somebody else takes part", []Allow{x}, func(m *machine) {
			m.start(100, 1, "/opt/x", leads)
			m.find(100, "wallet", "flat")
			m.want(m.look(soon), "A 1 open suspected info: 100 of 100: wallet flat (allowed: ours)")
			m.start(101, 100, "/tmp/y")
			m.find(101, "flat")
			m.want(m.look(soon), "A 2 updated suspected medium: 100 of 100 101: wallet flat")
		}},
		{"the script that starts it does not, unless it gives evidence", []Allow{x}, func(m *machine) {
			m.start(100, 1, "/usr/bin/dash", leads, runs("w.sh"))
			m.start(101, 100, "/opt/x")
			m.find(101, "wallet")
			m.want(m.look(soon), "A 1 open exposed info: 101 of 100 101: wallet (allowed: ours)")
			m.find(100, "fetch")
			m.want(m.look(soon), "A 2 updated exposed low: 101 of 100 101: wallet fetch")
		}},
		{"its executable is replaced", []Allow{x}, func(m *machine) {
			m.start(100, 1, "/opt/x", leads)
			m.find(100, "wallet")
			m.want(m.look(soon), "A 1 open exposed info: 100 of 100: wallet (allowed: ours)")
			deleted(m.proc(100))
			m.want(m.look(soon), "A 2 updated exposed low: 100 of 100: wallet")
		}},
		{"an event of a deleted executable that is gone at once", []Allow{x}, func(m *machine) {
			m.start(100, 1, "/opt/x", leads, deleted)
			m.find(100, "wallet")
			m.end(100)
			m.want(m.look(soon), "A 1 open exposed low: 100 of 100: wallet")
		}},
		{"the digest is known later", []Allow{{SHA256: strings.Repeat("7", 64), Reason: "ours"}}, func(m *machine) {
			m.start(100, 1, "/opt/x", leads)
			m.find(100, "wallet")
			m.want(m.look(soon), "A 1 open exposed low: 100 of 100: wallet")
			sum("7")(m.proc(100))
			m.find(100, "wallet")
			m.want(m.look(soon), "A 2 updated exposed info: 100 of 100: wallet (allowed: ours)")
		}},
		{"a digest is not forgotten for an event that does not know it", []Allow{{SHA256: strings.Repeat("7", 64), Reason: "ours"}}, func(m *machine) {
			m.start(100, 1, "/opt/x", leads, sum("7"))
			m.find(100, "wallet")
			m.want(m.look(soon), "A 1 open exposed info: 100 of 100: wallet (allowed: ours)")
			v := m.proc(100)
			v.Subject.ExeSHA256 = ""
			m.find(100, "wallet")
			v.Subject.Exe, v.Subject.Key, v.Subject.User = "", "name:x", ""
			m.find(100, "wallet")
			m.want(m.look(soon), "")
			v.Subject.Exe, v.Subject.Key, v.Subject.User = "/opt/y", "/opt/y", "alice"
			m.find(100, "wallet")
			m.want(m.look(soon), "A 2 updated exposed low: 100 of 100: wallet")
		}},
		{"an entry ends while the case is open", []Allow{until}, func(m *machine) {
			m.start(100, 1, "/opt/x", leads)
			m.find(100, "wallet", "flat")
			m.want(m.look(soon), "A 1 open suspected info: 100 of 100: wallet flat (allowed: ours)")
			if l := m.tr.Expired(m.at); len(l) != 0 {
				m.t.Errorf("%v", l)
			}
			m.want(m.wait(59*time.Minute, "100 wallet"), "")
			m.want(m.wait(2*time.Minute, "100 wallet"), "A 2 updated suspected medium: 100 of 100: wallet flat")
			if l := m.tr.Expired(noon.Add(time.Hour)); len(l) != 1 || l[0] != until {
				m.t.Errorf("%v", l)
			}
		}},
		{"the entry that lasts longest is shown", []Allow{until, {User: "alice", Reason: "for good"}, {User: "alice", Reason: "again"}}, func(m *machine) {
			m.start(100, 1, "/opt/x", leads)
			m.find(100, "wallet")
			m.want(m.look(soon), "A 1 open exposed info: 100 of 100: wallet (allowed: for good)")
		}},
		{"of the entries of several processes the one that ends first", []Allow{{Exe: "/opt/w", Reason: "for good"}, until}, func(m *machine) {
			m.start(100, 1, "/opt/w", leads)
			m.start(101, 100, "/opt/x")
			m.find(100, "wallet")
			m.find(101, "flat")
			m.want(m.look(soon), "A 1 open suspected info: 100 of 100 101: wallet flat (allowed: ours)")
		}},
		{"a rule is dropped for those it is allowed for", []Allow{{Exe: "/opt/x", Rule: "flat", Reason: "a simulation"}}, func(m *machine) {
			m.start(100, 1, "/opt/x", leads)
			m.start(101, 1, "/opt/y", leads)
			m.find(100, "flat")
			m.find(101, "flat")
			m.want(m.look(soon), "A 1 open notice info: 101 of 101: flat")
			m.find(100, "flat", "wallet")
			m.want(m.look(soon), "B 1 open exposed low: 100 of 100: wallet")
		}},
		{"a rule is allowed later", nil, func(m *machine) {
			m.start(100, 1, "/opt/x", leads)
			m.start(101, 1, "/opt/y", leads)
			m.find(100, "flat", "wallet")
			m.find(101, "flat")
			m.want(m.look(soon), `
				A 1 open suspected medium: 100 of 100: wallet flat
				B 1 open notice info: 101 of 101: flat`)
			m.setAllow(Allow{Exe: "/opt/*", Rule: "flat", Reason: "r"})
			m.want(m.look(soon), `
				A 2 updated exposed low: 100 of 100: wallet
				B 2 closed notice info: 101 of 101:`)
		}},
		{"a case is allowed later, and no longer", nil, func(m *machine) {
			m.start(100, 1, "/opt/x", leads)
			m.find(100, "wallet", "flat")
			m.want(m.look(soon), "A 1 open suspected medium: 100 of 100: wallet flat")
			m.setAllow(x)
			m.want(m.look(soon), "A 2 updated suspected info: 100 of 100: wallet flat (allowed: ours)")
			m.restart(time.Second, "boot-1")
			if err := m.tr.SetAllow([]Allow{{}}); err == nil {
				m.t.Error("an empty entry is taken")
			}
			m.opts.Allow = nil
			m.setAllow()
			m.want(m.look(soon), "A 3 updated suspected medium: 100 of 100: wallet flat")
		}},
		{"so many processes that some were forgotten", []Allow{x}, func(m *machine) {
			m.start(100, 1, "/opt/x", leads)
			m.find(100, "wallet")
			for pid := 101; pid < 101+2*MaxMembers; pid++ {
				m.start(pid, 100, "/opt/x")
				m.find(pid, "wallet")
				m.end(pid)
			}
			if got := m.look(soon); len(got) != 1 || got[0].Allowed == nil || got[0].MembersMore == 0 {
				m.t.Errorf("told\n%s", m.told(got))
			}
			m.start(90, 100, "/opt/y")
			m.find(90, "flat")
			m.end(90)
			for pid := 1001; pid < 1001+MaxMembers; pid++ {
				m.start(pid, 100, "/opt/x")
				m.find(pid, "wallet")
			}
			if got := m.look(soon); len(got) != 1 || got[0].Allowed != nil {
				m.t.Errorf("told\n%s", m.told(got))
			}
		}},
	}
	for _, tt := range stories {
		t.Run(tt.name, func(t *testing.T) { tt.tell(newMachine(t, tt.allow...)) })
	}
}

func (m *machine) setAllow(list ...Allow) {
	m.t.Helper()
	m.opts.Allow = list
	if err := m.tr.SetAllow(list); err != nil {
		m.t.Fatal(err)
	}
}
