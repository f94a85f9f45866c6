package feature

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"strconv"
	"strings"

	"github.com/minehound/minehound/agent/host"
)

// maxKey bounds a key in bytes; what is longer ends in a hash of the whole.
const maxKey = 256

// GroupKey is what makes two processes the same program: the path of its executable, for an interpreter what it runs,
// and the container. It is valid UTF-8 and at most 2 KiB long, in practice the length of a path.
//
// A deleted executable keeps the path it had, and one in memory (memfd) the name it was given, so that a respawn has
// the key of the process it replaces; only when the path is unknown is it the file's number. A process of which nothing
// closer is known goes by its name.
func GroupKey(name string, kernel bool, d *host.Detail) string {
	if kernel {
		// kworker/0:1-events: what comes after the slash is the CPU and the work of the moment.
		base, _, _ := strings.Cut(name, "/")
		return tidy("kernel:" + base)
	}
	if d == nil {
		return tidy("name:" + name)
	}
	key := d.Exe
	switch {
	case key != "":
		if run := runs(d); run != "" {
			key += " " + run
		}
	case d.ExeFile != host.FileID{}:
		key = "file:" + strconv.FormatUint(d.ExeFile.Dev, 10) + ":" + strconv.FormatUint(d.ExeFile.Ino, 10)
	default:
		key = "name:" + name
		if d.User != "" {
			key += " user:" + d.User
		}
	}
	key = tidy(key)
	if d.Container.ID != "" {
		key += " in " + tidy(d.Container.ID)
	}
	return key
}

// tidy bounds a part of a key and makes it valid UTF-8.
func tidy(key string) string {
	if len(key) > maxKey {
		sum := sha256.Sum256([]byte(key))
		key = key[:maxKey-17] + "#" + hex.EncodeToString(sum[:8])
	}
	return strings.ToValidUTF8(key, "\uFFFD")
}

// interpreter says how the arguments of a program that runs others are read.
type interpreter struct {
	value  string // options, separated by spaces, that take the next argument
	code   string // options whose next argument is the program text
	module string // options whose next argument is the name of what runs
	skip   string // first arguments that are commands of the interpreter, not what it runs
	bare   bool   // what runs is a name, not a path
}

// interpreterOf finds the interpreter by the base name of its executable, without a version: python3.11, perl5.36.0,
// java, ruby3.1, node18.
func interpreterOf(base string) (interpreter, bool) {
	if strings.HasPrefix(base, "ld-") && strings.Contains(base, ".so") || base == "ld.so" {
		// The dynamic loader started by hand runs the program named in its arguments.
		return interpreter{value: "--library-path --preload --audit --argv0 --inhibit-rpath"}, true
	}
	base = strings.TrimSuffix(strings.ToLower(base), ".exe")
	if strings.HasPrefix(base, "qemu-") && !strings.HasPrefix(base, "qemu-system") && base != "qemu-img" {
		base = "qemu"
	} else {
		base = strings.TrimRight(base, "0123456789.-")
	}
	switch base {
	case "python", "pypy", "pythonw", "python3-dbg":
		return interpreter{value: "-W -X -Q", code: "-c", module: "-m"}, true
	case "node", "nodejs":
		return interpreter{value: "-r --require --import --loader --experimental-loader -C --conditions --env-file", code: "-e --eval -p --print -pe"}, true
	case "deno", "bun":
		return interpreter{value: "--config --import-map -c -r --preload", code: "-e --eval eval", skip: "run x exec"}, true
	case "perl":
		return interpreter{value: "-I", code: "-e -E"}, true
	case "ruby", "jruby":
		return interpreter{value: "-I -r -C -E", code: "-e"}, true
	case "java", "javaw":
		return interpreter{value: "-cp -classpath --class-path -p --module-path --upgrade-module-path --add-modules --add-exports --add-opens --add-reads --limit-modules --patch-module", module: "-jar -m --module", bare: true}, true
	case "php", "php-cgi", "php-fpm":
		return interpreter{value: "-c -d -z -S -t", code: "-r -B -R -E", module: "-f -F"}, true
	case "sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "rbash":
		return interpreter{value: "-o +o -O +O --rcfile --init-file", code: "-c"}, true
	case "fish", "tclsh", "wish", "expect":
		return interpreter{code: "-c"}, true
	case "lua", "luajit", "texlua":
		return interpreter{value: "-l", code: "-e"}, true
	case "rscript", "julia", "elixir", "escript", "gjs", "guile":
		return interpreter{code: "-e -c"}, true
	case "mono", "dotnet", "wine", "wine-preloader", "wine64-preloader", "wine64", "box", "qemu":
		return interpreter{value: "-L -E -cpu -g", skip: "exec run"}, true
	case "pwsh", "powershell":
		return interpreter{value: "-executionpolicy -ep -windowstyle -w -version", code: "-c -command -e -ec -encodedcommand", module: "-f -file"}, true
	case "busybox", "toybox":
		return interpreter{}, true
	}
	return interpreter{}, false
}

// runs is what an interpreter runs, "" for another program or when nothing says so.
func runs(d *host.Detail) string {
	base := baseName(d.Exe)
	in, ok := interpreterOf(base)
	if !ok || len(d.Args) == 0 {
		return ""
	}
	args := d.Args[1:]
	if base == "busybox" || base == "toybox" {
		return applet(d)
	}
	for i := 0; i < len(args); i++ {
		a := args[i]
		if a == "--" {
			if i+1 < len(args) {
				return located(args[i+1], d.Cwd)
			}
			return ""
		}
		if a == "-" {
			return "-"
		}
		if !strings.HasPrefix(a, "-") && !strings.HasPrefix(a, "+") {
			if listed(in.skip, a) || listed(in.code, a) && i+1 < len(args) {
				continue
			}
			if in.bare {
				return a
			}
			return located(a, d.Cwd)
		}
		option := a
		if len(a) > 2 && a[1] != '-' && strings.ToLower(a) != a {
			option = strings.ToLower(a) // PowerShell does not mind the case of its options
		}
		next := ""
		if i+1 < len(args) {
			next = args[i+1]
		}
		switch {
		case listed(in.module, option):
			return option + " " + next
		case listed(in.value, option):
			i++
		case listed(in.code, option) || in.bundles(a):
			return "-c " + next
		}
	}
	return ""
}

// bundles tells whether a bundle of one-letter options (bash -lc, perl -ne) ends in the one that takes program text.
func (in *interpreter) bundles(option string) bool {
	if len(option) < 3 || len(option) > 5 || option[1] == '-' {
		return false
	}
	return listed(in.code, "-"+option[len(option)-1:])
}

func listed(list, option string) bool {
	for rest := list; rest != ""; {
		var one string
		one, rest, _ = strings.Cut(rest, " ")
		if one == option && one != "" {
			return true
		}
	}
	return false
}

// applet is what a program of many names is called as, and what that runs: busybox sh x.sh.
func applet(d *host.Detail) string {
	args := d.Args
	name := baseName(args[0])
	if name == "busybox" || name == "toybox" {
		if len(args) < 2 {
			return ""
		}
		args = args[1:]
		name = baseName(args[0])
	}
	name = strings.TrimPrefix(name, "-") // a login shell
	inner := *d
	inner.Exe, inner.Args = name, args
	if name == "busybox" || name == "toybox" {
		return name
	}
	if run := runs(&inner); run != "" {
		return name + " " + run
	}
	return name
}

// located is a script with the directory it was named in.
func located(script, cwd string) string {
	if cwd == "" || !path.IsAbs(cwd) || path.IsAbs(script) || strings.Contains(script, `\`) || strings.Contains(script, "://") {
		return script
	}
	return path.Join(cwd, script)
}
