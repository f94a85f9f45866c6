package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/host"
	"github.com/minehound/minehound/agent/incident"
)

// advise says what a person does next, in the order of doing it. It never says to kill before what starts the miner was
// found: a watchdog or a cron line brings it back within a minute, often under another name, and warned.
func advise(in incident.Incident, os string, gaps int) []string {
	var list []string
	s := in.Subject
	switch {
	case in.Allowed != nil:
		line := "Nothing needs to be done: this is allowed here (" + Clean(in.Allowed.Reason, textBytes) + ")"
		if !in.Allowed.Expires.IsZero() {
			line += " until " + in.Allowed.Expires.UTC().Format("2006-01-02")
		}
		return []string{line + ". If that is wrong, remove the entry under allow: in the configuration."}
	case s.Kind == host.SubjectHost:
		list = append(list, "This is about the machine, not about one program: read the findings above, and look at it from outside if you can.")
	case in.MergedInto != "":
		return []string{"This is the same miner as case " + Clean(in.MergedInto, nameBytes) + ": go on there."}
	case in.Status == incident.Closed:
		list = append(list, "It is gone. If you did not end it, find what started it before it comes back: "+launchers(os, s.User)+".")
	case in.Verdict <= incident.Notice:
		list = append(list, "Nothing needs to be done: this alone does not say mining. It is kept in case more turns up.")
	default:
		list = append(list, steps(in, os)...)
	}
	if gaps > 0 {
		list = append(list, fmt.Sprintf("%s could not look (see gaps): what they would have seen is not ruled out.", count(gaps, "sensor")))
	}
	return list
}

// steps is the advice about a process that is, or may be, mining.
func steps(in incident.Incident, os string) []string {
	var list []string
	s := in.Subject
	if in.Verdict == incident.Exposed {
		list = append(list, "It holds what a miner needs and does not mine now. If nobody here meant to install it, go on:")
	}
	list = append(list, pause(s.ID.PID, os), keep(in, os), origin(s, os),
		"Remove what starts it first, then the process and its files. Then watch for a day: what comes back tells what was missed.")
	if in.Verdict >= incident.Suspected {
		who := "that account"
		if name, ok := account(s.User); ok {
			who = name
		}
		list = append(list, "Whoever put it there could read what "+who+" can read: change the keys and passwords within reach, and close the door it came through.")
	}
	return append(list, "If it is meant to run, add an entry under allow: in the configuration, with the reason.")
}

func pause(pid int, os string) string {
	why := "Do not kill it yet: what started it would start it again. "
	if os == "windows" {
		return why + fmt.Sprintf("Suspend process %d instead, for example in Resource Monitor; that can be undone.", pid)
	}
	return why + fmt.Sprintf("Pause it, as long as %d is still this program: kill -STOP %d (undo: kill -CONT %d).", pid, pid, pid)
}

func keep(in incident.Incident, os string) string {
	gone := strings.HasPrefix(in.Subject.Exe, "/memfd:") || slices.ContainsFunc(in.Findings, func(f detect.Finding) bool {
		return slices.Contains(f.Evidence, detect.Evidence{Field: "process.exe_deleted", Value: "true"})
	})
	switch {
	case os == "linux" && gone:
		return fmt.Sprintf("Its file is gone from the disk. Copy it while the process lives: cp /proc/%d/exe to a safe place. Never run the copy.", in.Subject.ID.PID)
	case os == "linux":
		return fmt.Sprintf("Keep what it is made of: copy /proc/%d/exe, its arguments and its open files (ls -l /proc/%d/fd) to a safe place.", in.Subject.ID.PID, in.Subject.ID.PID)
	}
	return "Keep a copy of the executable in a safe place before you remove anything. Never run the copy."
}

// origin says where to look for what started s.
func origin(s host.Subject, os string) string {
	if s.Container != "" {
		return "It runs in container " + Clean(s.Container, 12+len(mark)) + ": look at its image and at who started it (docker, podman or crictl inspect). " +
			"An open container API is the usual door. Start again from a clean image: cleaning up inside does not last."
	}
	if os != "linux" {
		return "Find what starts it: " + launchers(os, s.User) + "."
	}
	names := func(p host.Ancestor) string { return strings.ToLower(p.Name) }
	for i, p := range s.Ancestors {
		switch n := names(p); {
		case slices.Contains([]string{"cron", "crond", "anacron", "atd"}, n):
			return "A timed job started it: look at " + launchers(os, s.User) + "."
		case strings.HasPrefix(n, "sshd"):
			return "It was started from an SSH login: see who logged in (last -a) and which keys may (authorized_keys). Then look at " + launchers(os, s.User) + "."
		case serves(n):
			return fmt.Sprintf("%s (%d) started it: a program that serves others was made to run it. Close that door first, then look at %s.",
				Clean(p.Name, nameBytes), p.ID.PID, launchers(os, s.User))
		case i == 0 && n == "systemd":
			return fmt.Sprintf("The service manager runs it, or it was left behind by what started it: systemctl status %d names the unit. "+
				"Read the unit before you remove it: it says where the files are. Also look at %s.", s.ID.PID, launchers(os, s.User))
		}
	}
	return "Find what starts it: " + launchers(os, s.User) + "."
}

// serves tells whether a program of that name takes requests from the network, the usual way in. It steers advice only.
func serves(name string) bool {
	for _, p := range []string{
		"nginx", "apache", "httpd", "php-fpm", "java", "node", "postgres", "mysqld", "mariadbd", "redis-server", "mongod",
		"gunicorn", "uwsgi", "ruby", "jupyter", "ollama", "ray", "tomcat", "jenkins", "gitlab", "dotnet", "w3wp",
	} {
		if name == p || strings.HasPrefix(name, p) && !isLetter(name[len(p)]) {
			return true
		}
	}
	return false
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' }

// launchers lists where programs are started from.
func launchers(os, user string) string {
	switch os {
	case "windows":
		return "scheduled tasks, services, Run keys, start-up folders and WMI subscriptions"
	case "darwin":
		return "LaunchAgents, LaunchDaemons, login items and crontab -l"
	}
	crontab := "crontab -l of every user"
	if name, ok := account(user); ok {
		crontab = "crontab -l -u " + name
	}
	return crontab + ", /etc/cron*, systemctl list-timers --all, unit files in /etc/systemd and ~/.config/systemd, shell start-up files, /etc/ld.so.preload"
}

// account is the user's name when it can stand in a command.
func account(user string) (string, bool) {
	ok := func(r rune) bool { return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' || r == '-' }
	if user == "" || len(user) > 32 || user[0] == '-' || strings.IndexFunc(user, func(r rune) bool { return !ok(r) }) >= 0 {
		return "", false
	}
	return user, true
}

// count is "1 sensor" or "3 sensors".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
