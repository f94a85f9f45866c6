package report

import (
	"slices"
	"strings"
	"testing"

	"github.com/minehound/minehound/agent/host"
	"github.com/minehound/minehound/agent/incident"
)

func index(list []string, word string) int {
	return slices.IndexFunc(list, func(s string) bool { return strings.Contains(s, word) })
}

// TestAdviceNeverKillsFirst: what starts the miner is looked for before anything is ended, whatever it is and wherever.
func TestAdviceNeverKillsFirst(t *testing.T) {
	parents := [][]host.Ancestor{nil}
	for _, name := range []string{"systemd", "CRON", "sshd-session", "nginx", "php-fpm8.2", "bash", "javac"} {
		parents = append(parents, []host.Ancestor{{ID: host.ProcID{PID: 9}, Name: name}, {ID: host.ProcID{PID: 1}, Name: "init"}})
	}
	for _, os := range []string{"linux", "darwin", "windows", "plan9"} {
		for _, verdict := range []incident.Verdict{incident.Exposed, incident.Suspected, incident.Mining} {
			for _, container := range []string{"", "0123456789abcdef"} {
				for _, up := range parents {
					list := advise(incident.Incident{
						Status: incident.Open, Verdict: verdict,
						Subject: host.Subject{Kind: host.SubjectProcess, ID: host.ProcID{PID: 77}, Container: container, Ancestors: up},
					}, os, 0)
					remove := index(list, "Remove what starts it first")
					find := max(index(list, "look at"), index(list, "Find what starts it"))
					if remove < 0 || find < 0 || find > remove || index(list, "Do not kill it yet") > find {
						t.Errorf("%s, %v, %v: %q", os, verdict, up, list)
					}
					for _, bad := range []string{"kill -9", "kill -KILL", "pkill", "killall", "taskkill", "crontab -r"} {
						if index(list, bad) >= 0 {
							t.Errorf("%s, %v, %v: says %s", os, verdict, up, bad)
						}
					}
					if os == "windows" && (index(list, "/proc") >= 0 || index(list, "crontab") >= 0 || index(list, "kill -STOP") >= 0) {
						t.Errorf("advice for Unix on Windows: %q", list)
					}
				}
			}
		}
	}
}

func TestAdviceNamesTheDoor(t *testing.T) {
	for parent, want := range map[string]string{
		"cron": "A timed job started it", "CRON": "A timed job started it", "sshd": "SSH login", "sshd-session": "SSH login",
		"redis-server": "serves others", "php-fpm8.2": "serves others", "java": "serves others", "systemd": "systemctl status 77",
		"bash": "Find what starts it", "nodejs": "Find what starts it", "javac": "Find what starts it", "rubytool": "Find what starts it",
	} {
		got := origin(host.Subject{ID: host.ProcID{PID: 77}, Ancestors: []host.Ancestor{{Name: parent}}}, "linux")
		if !strings.Contains(got, want) {
			t.Errorf("%s: %q does not say %q", parent, got, want)
		}
	}
}

// TestAdviceQuotesNobody: commands hold no text that the watched machine chose.
func TestAdviceQuotesNobody(t *testing.T) {
	for _, user := range []string{"$(reboot)", "-r", "a b", "x;id", "root\n", strings.Repeat("a", 33), "Ünï", ""} {
		if _, ok := account(user); ok {
			t.Errorf("%q may stand in a command", user)
		}
		if s := launchers("linux", user); !strings.Contains(s, "crontab -l of every user") {
			t.Errorf("%q: %s", user, s)
		}
	}
	if s := launchers("linux", "www-data"); !strings.Contains(s, "crontab -l -u www-data,") {
		t.Error(s)
	}
}
