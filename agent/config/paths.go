package config

import "path/filepath"

// Paths are the places where an operating system keeps what belongs to a service.
type Paths struct {
	Vendor string // configuration file that a package may ship
	Dir    string // the administrator's directory: minehound.yaml and conf.d in it
	Rules  string // local rules
	State  string // what must survive a restart
	Log    string // the alert log
}

// PathsFor are the paths of the operating system goos, a value of runtime.GOOS. getenv is asked for the Windows
// folders; an unset one falls back to where they have been since Windows Vista.
func PathsFor(goos string, getenv func(string) string) Paths {
	switch goos {
	case "windows":
		data := windowsFolder(getenv, "ProgramData", `C:\ProgramData`)
		programs := windowsFolder(getenv, "ProgramFiles", `C:\Program Files`)
		return Paths{
			Vendor: programs + `\Minehound\minehound.yaml`,
			Dir:    data + `\Minehound`,
			Rules:  data + `\Minehound\rules.d`,
			State:  data + `\Minehound\state`,
			Log:    data + `\Minehound\alerts.jsonl`,
		}
	case "darwin":
		return Paths{
			Vendor: "/usr/local/lib/minehound/minehound.yaml", // /usr/lib is sealed on macOS
			Dir:    "/etc/minehound",
			Rules:  "/etc/minehound/rules.d",
			State:  "/var/lib/minehound",
			Log:    "/var/log/minehound/alerts.jsonl",
		}
	default:
		return Paths{
			Vendor: "/usr/lib/minehound/minehound.yaml",
			Dir:    "/etc/minehound",
			Rules:  "/etc/minehound/rules.d",
			State:  "/var/lib/minehound",
			Log:    "/var/log/minehound/alerts.jsonl",
		}
	}
}

func windowsFolder(getenv func(string) string, name, otherwise string) string {
	if v := getenv(name); v != "" {
		return v
	}
	return otherwise
}

// Main is the administrator's configuration file.
func (p Paths) Main() string { return filepath.Join(p.Dir, "minehound.yaml") }

// ConfD is the directory of the pieces that are read after it.
func (p Paths) ConfD() string { return filepath.Join(p.Dir, "conf.d") }
