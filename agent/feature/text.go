package feature

import (
	"path"
	"strings"

	"github.com/minehound/minehound/agent/host"
)

// text is what rules read of a Detail in forms that a Detail does not have. It is built once per Detail, because
// reading a field must not allocate.
type text struct {
	detail      *host.Detail
	commandLine string
	arg0        string
	base        string // of the executable's path
	hashes      string
	env         []string // NAME=value
	envNames    []string
}

// newText builds the text of a Detail. Lists that equal those of like (the parent's or the former text; nil for none)
// are shared with it: an environment is mostly inherited.
func newText(d *host.Detail, like *text) *text {
	if d == nil {
		return nil
	}
	t := &text{detail: d, base: baseName(d.Exe)}
	switch len(d.Args) {
	case 0:
	case 1:
		t.commandLine, t.arg0 = d.Args[0], d.Args[0]
	default:
		t.commandLine, t.arg0 = strings.Join(d.Args, " "), d.Args[0]
	}
	if d.ExeSHA256 != "" {
		t.hashes = "SHA256=" + d.ExeSHA256
	}
	t.envNames = envNames(d.Env, like)
	t.env = envValues(d.Env, like)
	return t
}

func envNames(env []host.EnvVar, like *text) []string {
	if like != nil && len(like.envNames) == len(env) {
		same := true
		for i := range env {
			if env[i].Name != like.envNames[i] {
				same = false
				break
			}
		}
		if same {
			return like.envNames
		}
	}
	if len(env) == 0 {
		return nil
	}
	l := make([]string, len(env))
	for i := range env {
		l[i] = env[i].Name
	}
	return l
}

func envValues(env []host.EnvVar, like *text) []string {
	n := 0
	for i := range env {
		if env[i].Value != "" {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	l := make([]string, 0, n)
	for i := range env {
		if env[i].Value != "" {
			l = append(l, env[i].Name+"="+env[i].Value)
		}
	}
	if like != nil && equalTexts(l, like.env) {
		return like.env
	}
	return l
}

func equalTexts(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// baseName is the last part of a path of any operating system.
func baseName(p string) string {
	if i := strings.LastIndexByte(p, '\\'); i >= 0 {
		p = p[i+1:]
	}
	if p == "" {
		return ""
	}
	return path.Base(p)
}
