package incident

import (
	"encoding/json"
	"testing"
	"time"
)

func throughJSON(t *testing.T, s State) State {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back State
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	return back
}

const soon = 2 * time.Second

// TestStories tells how processes come together and stay apart. Each story is what happens on one machine.
func TestStories(t *testing.T) {
	stories := []struct {
		name string
		tell func(m *machine)
	}{
		{"a miner from start to end", func(m *machine) {
			m.start(100, 1, "/opt/x", leads)
			m.find(100, "temp")
			m.want(m.look(soon), "A 1 open notice info: 100 of 100: temp")
			m.find(100, "temp", "geometry")
			m.want(m.look(soon), "A 2 updated exposed low: 100 of 100: geometry temp")
			m.want(m.wait(time.Minute, "100 geometry", "100 temp"), "")
			m.find(100, "geometry", "temp", "flat")
			m.want(m.look(soon), "A 3 updated suspected medium: 100 of 100: geometry flat temp")
			m.find(100, "gone")
			m.want(m.look(soon), "A 4 updated suspected medium: 100 of 100: geometry flat gone temp")
			m.find(100, "wallet")
			m.want(m.look(soon), "A 5 updated mining high: 100 of 100: wallet geometry flat gone temp")
			m.find(100, "proof")
			m.want(m.look(soon), "A 6 updated mining critical: 100 of 100: proof wallet geometry flat gone temp")
			m.want(m.wait(10*time.Minute, "100 proof"), "")
			m.end(100)
			m.want(m.wait(Grace-soon), "")
			m.want(m.wait(time.Minute), "A 7 closed mining critical: 100 of 100: proof wallet geometry flat gone temp")
			m.want(m.wait(time.Hour), "")
		}},
		{"a worker dies and is started again", func(m *machine) {
			m.start(100, 1, "/opt/x", leads)
			m.find(100, "geometry", "flat", "temp")
			m.want(m.look(soon), "A 1 open suspected medium: 100 of 100: geometry flat temp")
			m.end(100)
			m.want(m.wait(time.Minute), "")
			m.start(101, 1, "/opt/x", leads)
			m.want(m.wait(MemberPause-2*time.Minute, "101 geometry"), "")
			m.want(m.wait(2*time.Minute, "101 geometry", "101 flat", "101 temp"), "A 2 updated suspected medium: 101 of 100 101: geometry flat temp")
		}},
		{"a worker that is started again every 10 seconds for a day is told of every 10 minutes at most", func(m *machine) {
			var told []Incident
			for i := range 24 * 360 {
				pid := 100 + i
				m.start(pid, 1, "/opt/x", leads)
				m.find(pid, "wallet", "flat")
				told = append(told, m.look(10*time.Second)...)
				m.end(pid)
			}
			if len(told) > 24*6 || len(told) < 24*5 {
				m.t.Errorf("told of %d times", len(told))
			}
			last := told[len(told)-1]
			if len(last.Members) > MaxMembers || last.MembersMore < 8000 || last.ID != told[0].ID {
				m.t.Errorf("%d members and %d more", len(last.Members), last.MembersMore)
			}
		}},
		{"a fork of 64 workers is one case and one alert", func(m *machine) {
			m.start(100, 1, "/opt/x", leads)
			for pid := 101; pid <= 164; pid++ {
				m.start(pid, 100, "/opt/x")
				m.find(pid, "geometry", "flat")
			}
			got := m.look(soon)
			if len(got) != 1 || len(got[0].Members) != 65 || got[0].Subject.ID.PID != 101 || got[0].Verdict != Exposed {
				m.t.Errorf("told\n%s", m.told(got))
			}
			for pid := 101; pid <= 164; pid++ {
				m.find(pid, "geometry", "flat")
			}
			m.want(m.look(soon), "")
		}},
		{"a watchdog script and its worker under ever new names", func(m *machine) {
			m.start(90, 1, "/usr/sbin/cron", leads)
			m.start(100, 90, "/usr/bin/dash", leads, runs("/var/tmp/.w.sh"))
			m.start(101, 100, "/var/tmp/.aaaa")
			m.find(101, "geometry", "flat", "temp")
			m.want(m.look(soon), "A 1 open suspected medium: 101 of 100 101: geometry flat temp")
			m.end(101)
			m.wait(30 * time.Second)
			m.start(102, 100, "/var/tmp/.bbbb")
			m.find(102, "temp")
			m.want(m.look(soon), "B 1 open notice info: 102 of 102: temp")
			m.find(102, "temp", "geometry")
			m.want(m.look(soon), `
				B 2 closed notice info: 102 of 102: temp (now A)`)
			m.want(m.wait(MemberPause, "102 geometry"), "A 2 updated suspected medium: 101 of 100 101 102: geometry flat temp")
			m.end(102)
			m.wait(30 * time.Second)
			m.start(103, 100, "/var/tmp/.cccc")
			m.find(103, "geometry", "flat", "pinned")
			m.want(m.look(soon), "A 3 updated suspected medium: 103 of 100 101 102 103: geometry flat pinned temp")
			// Its first name again belongs to the same case, although that began elsewhere.
			m.start(104, 1, "/var/tmp/.bbbb", leads)
			m.find(104, "gone")
			m.want(m.look(soon), "A 4 updated mining high: 103 of 100 101 102 103 104: geometry flat gone pinned temp")
		}},
		{"two honest things of one script, one of which mentions a miner", func(m *machine) {
			m.start(100, 1, "/usr/bin/bash", leads, runs("/home/alice/job.sh"))
			m.start(101, 100, "/usr/bin/grep")
			m.find(101, "mention")
			m.start(102, 100, "/usr/bin/ffmpeg")
			m.find(102, "flat", "pinned")
			m.want(m.look(soon), `
				A 1 open notice info: 102 of 102: flat pinned
				B 1 open notice info: 101 of 101: mention`)
		}},
		{"an honest sibling of a miner in an interactive shell", func(m *machine) {
			m.start(100, 1, "/usr/bin/bash", leads)
			m.start(101, 100, "/opt/x", ownJob)
			m.start(102, 100, "/usr/bin/make", ownJob)
			m.start(103, 102, "/usr/bin/cc1")
			m.find(101, "wallet", "flat")
			m.find(103, "flat", "pinned")
			m.want(m.look(soon), `
				A 1 open suspected medium: 101 of 101: wallet flat
				B 1 open notice info: 103 of 103: flat pinned`)
		}},
		{"an honest sibling of a miner in one script", func(m *machine) {
			m.start(100, 1, "/usr/bin/bash", leads, runs("ci.sh"))
			m.start(101, 100, "/opt/x")
			m.start(102, 100, "/usr/bin/make")
			m.start(103, 102, "/usr/bin/cc1")
			m.find(101, "wallet", "flat")
			m.find(103, "flat", "pinned", "temp")
			m.want(m.look(soon), `
				A 1 open suspected medium: 101 of 101: wallet flat
				B 1 open notice info: 103 of 103: flat pinned temp`)
		}},
		{"a build that is busy, and its compilers", func(m *machine) {
			m.start(100, 1, "/usr/bin/make", leads)
			m.start(101, 100, "/usr/bin/cc1")
			m.find(100, "pinned")
			m.find(101, "flat")
			m.want(m.look(soon), `
				A 1 open notice info: 101 of 101: flat
				B 1 open notice info: 100 of 100: pinned`)
		}},
		{"a launcher that holds a wallet, and the worker that works", func(m *machine) {
			m.start(100, 1, "/opt/launch", leads)
			m.start(101, 100, "/opt/x", leads)
			m.find(100, "wallet")
			m.find(101, "flat")
			m.want(m.look(soon), "A 1 open suspected medium: 100 of 100 101: wallet flat")
		}},
		{"the same, the worker being found first", func(m *machine) {
			m.start(100, 1, "/opt/launch", leads)
			m.start(101, 100, "/opt/x", leads)
			m.find(101, "flat")
			m.want(m.look(soon), "A 1 open notice info: 101 of 101: flat")
			m.find(100, "wallet")
			m.want(m.look(soon), "A 2 updated suspected medium: 100 of 100 101: wallet flat")
		}},
		{"a daemon with a deleted executable and the sessions it starts", func(m *machine) {
			m.start(90, 1, "/usr/sbin/sshd", leads)
			m.start(100, 90, "/opt/x", leads)
			m.start(101, 90, "/opt/y", leads)
			m.find(90, "gone")
			m.find(100, "flat")
			m.find(101, "mention")
			m.want(m.look(soon), `
				A 1 open notice info: 100 of 100: flat
				B 1 open notice info: 101 of 101: mention
				C 1 open notice info: 90 of 90: gone`)
		}},
		{"a terminal that mentions a miner, and what is typed in it", func(m *machine) {
			m.start(100, 1, "/usr/bin/tmux", leads)
			m.start(101, 100, "/usr/bin/bash", leads)
			m.start(102, 101, "/usr/bin/ffmpeg", ownJob)
			m.find(100, "wallet")
			m.find(102, "flat", "pinned")
			m.want(m.look(soon), `
				A 1 open exposed low: 100 of 100: wallet
				B 1 open notice info: 102 of 102: flat pinned`)
		}},
		{"a dropper that is gone when its miner is found", func(m *machine) {
			m.start(90, 1, "/usr/sbin/apache2", leads)
			m.start(100, 90, "/usr/bin/dash", runs("-c curl x | sh"))
			m.find(100, "fetch")
			m.start(101, 100, "/usr/bin/dash") // sh reads the script from the pipe
			m.start(102, 101, "/tmp/.x", leads)
			m.end(100, 101)
			m.want(m.look(soon), "A 1 open notice info: 100 of 100: fetch")
			m.proc(102).Subject.Ancestors = nil // nobody saw its parents alive
			m.want(m.wait(20*time.Minute), "")
			m.find(102, "wallet", "flat")
			m.want(m.look(soon), "A 2 updated suspected medium: 102 of 100 102: wallet flat fetch")
		}},
		{"a dropper and its miner in one look", func(m *machine) {
			m.start(100, 1, "/usr/bin/dash", leads, runs("-c curl x | sh"))
			m.start(101, 100, "/usr/bin/dash")
			m.start(102, 101, "/tmp/.x")
			m.find(102, "wallet", "flat")
			m.find(100, "fetch")
			m.end(100, 101)
			m.want(m.look(soon), "A 1 open suspected medium: 102 of 100 102: wallet flat fetch")
		}},
		{"two people's shells are not one program", func(m *machine) {
			m.start(100, 1, "/usr/bin/bash", leads)
			m.start(200, 1, "/usr/bin/bash", leads)
			m.start(300, 1, "/usr/bin/python3.11", leads, runs("-"))
			m.start(301, 1, "/usr/bin/python3.11", leads, runs("-"))
			m.find(100, "fetch")
			m.find(200, "wallet")
			m.find(300, "flat")
			m.find(301, "mention")
			if got := m.look(soon); len(got) != 4 {
				m.t.Errorf("told\n%s", m.told(got))
			}
		}},
		{"one script run twice is one program", func(m *machine) {
			m.start(100, 1, "/usr/bin/bash", leads, runs("/x.sh"))
			m.start(200, 1, "/usr/bin/bash", leads, runs("/x.sh"))
			m.find(100, "fetch")
			m.find(200, "wallet")
			m.want(m.look(soon), "A 1 open exposed low: 200 of 100 200: wallet fetch")
		}},
		{"the same executable in two containers", func(m *machine) {
			m.start(90, 1, "/usr/bin/containerd-shim", leads)
			m.start(100, 90, "/app/x", leads, in("a"))
			m.start(200, 90, "/app/x", leads, in("b"))
			m.find(90, "gone")
			m.find(100, "wallet", "flat")
			m.find(200, "wallet", "flat")
			got := m.look(soon)
			if len(got) != 3 || got[0].ID == got[1].ID || got[0].Verdict != Suspected || got[1].Verdict != Suspected || got[2].Verdict != Notice {
				m.t.Errorf("told\n%s", m.told(got))
			}
		}},
		{"copies of one file under two names", func(m *machine) {
			m.start(100, 1, "/tmp/a", leads, sum("7"))
			m.start(200, 1, "/tmp/b", leads, sum("7"))
			m.start(300, 1, "/tmp/c", leads, sum("8"))
			for _, pid := range []int{100, 200, 300} {
				m.find(pid, "geometry")
			}
			m.want(m.look(soon), `
				A 1 open exposed low: 300 of 300: geometry
				B 1 open exposed low: 100 of 100 200: geometry`)
		}},
		{"a process that becomes the miner", func(m *machine) {
			m.start(100, 1, "/usr/bin/dash", leads, runs("-c exec ./x"))
			m.find(100, "fetch")
			m.want(m.look(soon), "A 1 open notice info: 100 of 100: fetch")
			v := m.proc(100)
			v.Subject.Exe, v.Subject.Key, v.Subject.Name = "/tmp/x", "/tmp/x", "x"
			m.find(100, "geometry")
			m.want(m.look(soon), "A 2 updated exposed low: 100 of 100: geometry fetch")
			m.end(100)
			m.start(200, 1, "/tmp/x", leads)
			m.find(200, "flat")
			m.want(m.look(soon), "A 3 updated suspected medium: 100 of 100 200: geometry flat fetch")
		}},
		{"a PID that comes back is somebody else", func(m *machine) {
			m.start(100, 1, "/opt/x", leads)
			m.find(100, "wallet")
			m.want(m.look(soon), "A 1 open exposed low: 100 of 100: wallet")
			m.end(100)
			m.start(100, 1, "/usr/bin/ffmpeg", leads)
			m.find(100, "flat")
			m.want(m.look(soon), "B 1 open notice info: 100 of 100: flat")
		}},
		{"the first process and the agent link nobody", func(m *machine) {
			m.start(100, 1, "/opt/x", leads)
			m.start(101, 50, "/opt/y")
			m.find(1, "wallet")
			m.find(50, "wallet")
			m.find(100, "flat")
			m.find(101, "flat")
			if got := m.look(soon); len(got) != 4 {
				m.t.Errorf("told\n%s", m.told(got))
			}
		}},
		{"two processes that claim to have started each other", func(m *machine) {
			m.start(100, 1, "/opt/x", leads)
			m.start(101, 100, "/opt/y")
			m.events[0].Event.Parent = m.events[1].Event.ID
			m.find(100, "wallet")
			m.find(101, "flat")
			m.want(m.look(soon), "A 1 open suspected medium: 100 of 100 101: wallet flat")
		}},
		{"a platform without sessions", func(m *machine) {
			m.start(100, 1, "/opt/launch", jobless)
			m.start(101, 100, "/opt/x", jobless)
			m.start(102, 1, "/opt/y", jobless)
			m.find(100, "wallet")
			m.find(101, "flat")
			m.find(102, "wallet")
			m.want(m.look(soon), `
				A 1 open suspected medium: 100 of 100 101: wallet flat
				B 1 open exposed low: 102 of 102: wallet`)
		}},
		{"a rule that nobody weighed", func(m *machine) {
			m.start(100, 1, "/opt/x", leads)
			m.find(100, "foreign")
			m.want(m.look(soon), "A 1 open notice info: 100 of 100: foreign")
		}},
		{"the machine itself", func(m *machine) {
			f := ruleOf("flat")
			f.Subject.Kind = "host"
			m.found = append(m.found, f)
			m.want(m.look(soon), "A 1 open notice info: 0 of: flat")
			m.want(m.wait(Hold+time.Minute), "A 2 closed notice info: 0 of: flat")
		}},
	}
	for _, tt := range stories {
		t.Run(tt.name, func(t *testing.T) { tt.tell(newMachine(t)) })
	}
}
