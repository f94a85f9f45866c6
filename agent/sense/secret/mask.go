// Package secret takes secrets out of arguments and environment values before anybody else sees them: passwords, tokens,
// keys and the userinfo of URLs become [Masked]. A wallet stays visible wherever it stands, because it is what a miner is
// known by and no secret.
//
// It knows secrets by where they stand (after --password, before the @ of a URL) and by their look (ghp_…, JSON web
// tokens). What stands bare among other words (htpasswd -b FILE USER SECRET) it cannot know.
package secret

import (
	"path"
	"slices"
	"strings"
)

// Masked stands where a secret stood.
const Masked = "***"

// maxDepth is how deep commands quoted inside commands are looked into; below it a quoted command is masked as a whole.
const maxDepth = 4

// maxWords is how many words of a command inside an argument are looked at; what follows them is masked.
const maxWords = 4096

// maxName is how long the name of an option or a variable can be, so that made-up ones cost no time.
const maxName = 80

// Mask returns args with the secrets masked: the same slice when there are none, otherwise a new one of the same length.
// The first argument is the program; a few programs have options of their own.
func Mask(args []string) []string {
	m := masker{miner: looksLikeMiner(args)}
	var out []string
	for i, a := range args {
		b := m.arg(a)
		if b != a && out == nil {
			out = slices.Clone(args)
		}
		if out != nil {
			out[i] = b
		}
	}
	if out == nil {
		return args
	}
	return out
}

// Value masks the value of an environment variable, or of any NAME=VALUE.
func Value(name, value string) string {
	switch {
	case userName(name):
		return scan(user(value))
	case secretName(name):
		return conceal(value)
	}
	return scan(value)
}

// looksLikeMiner tells that -p is a pool's password whatever the program calls itself.
func looksLikeMiner(args []string) bool {
	for _, a := range args {
		if strings.Contains(a, "stratum") || Wallet(a) {
			return true
		}
	}
	return false
}

// expect is what the next argument is.
type expect uint8

const (
	anything  expect = iota
	aSecret          // a secret
	aKey             // a secret unless it is the path of a key file
	aUser            // user or user:password
	aPassword        // a secret unless it is a port: the argument of -p
)

type masker struct {
	tool    string // base name of the program, lower case; "" until it is known
	wrapped bool   // the program is one that starts another: sudo, env
	miner   bool
	next    expect
	depth   int
}

// arg masks one argument and remembers what it says about the next.
func (m *masker) arg(a string) string {
	if next := m.next; next != anything {
		m.next = anything
		if b, ok := m.expected(next, a); ok {
			return b
		}
	}
	if m.tool == "" || m.wrapped && !strings.HasPrefix(a, "-") {
		if !strings.ContainsAny(a, "= \t\n") || m.tool == "" && m.depth == 0 && !m.wrapped {
			m.program(a)
		}
	}
	if blank := strings.IndexAny(a, " \t\n"); blank >= 0 {
		// Blanks in the value of --password=… are part of it; in what a shell is given they end it.
		if i := strings.IndexByte(a[:blank], '='); i > 0 && m.depth == 0 && !isShell(m.tool) && i < maxName && secretName(bare(a[:i])) && !userName(bare(a[:i])) {
			return a[:i+1] + conceal(a[i+1:])
		}
		return m.text(a)
	}
	if len(a) > 1 && (a[0] == '-' || a[0] == '/') {
		if b, ok := m.option(a); ok {
			return b
		}
	}
	return scan(a)
}

// program takes an argument for the name of the program.
func (m *masker) program(a string) {
	name := a
	if i := strings.IndexAny(name, " \t\n"); i >= 0 { // a title: "nginx: worker process"
		name = name[:i]
	}
	m.tool = strings.TrimSuffix(strings.ToLower(path.Base(strings.ReplaceAll(name, `\`, "/"))), ".exe")
	switch m.tool {
	case "sudo", "env", "nohup", "exec", "nice", "time", "timeout", "setsid", "busybox", "doas", "xargs", "stdbuf", "command":
		m.wrapped = true
	default:
		m.wrapped = false
	}
}

// expected masks what an option announced. It is not ok when the argument turns out to be something else.
func (m *masker) expected(e expect, a string) (string, bool) {
	switch e {
	case anything:
	case aSecret:
		return conceal(a), true
	case aKey:
		if isPath(a) || isPorts(a) {
			return scan(a), true
		}
		return conceal(a), true
	case aPassword:
		if isPorts(a) {
			return a, true
		}
		return conceal(a), true
	case aUser:
		if strings.HasPrefix(a, "-") {
			return "", false
		}
		if strings.Contains(a, "://") {
			return scan(a), true
		}
		return scan(user(a)), true
	}
	return "", false
}

// option masks an option that carries its value, or notes what its value will be. It is not ok for what is no option that
// matters here.
func (m *masker) option(a string) (string, bool) {
	name, value, has := a, "", false
	if i := strings.IndexAny(a, "=:"); i > 0 && (a[i] == '=' || a[0] == '/' || !strings.HasPrefix(a[i+1:], "//")) {
		name, value, has = a[:i+1], a[i+1:], true
	}
	if a[0] == '/' {
		if !has || strings.Contains(a[1:], "/") && !secretName(bare(name)) { // a path
			return "", false
		}
	}
	if !has && a[0] != '/' {
		if b, ok := m.short(a); ok {
			return b, true
		}
	}
	if len(name) > maxName {
		return "", false
	}
	word := bare(name)
	if strings.HasPrefix(name, "-D") && len(name) > 2 { // -Ddb.password=…
		word = bare(name[2:])
	}
	var kind expect
	switch {
	case userName(word):
		kind = aUser
	case keyName(word):
		kind = aKey
	case secretName(word):
		kind = aSecret
	default:
		return "", false
	}
	if !has {
		m.next = kind
		return a, true
	}
	if b, ok := m.expected(kind, value); ok {
		return name + b, true
	}
	return "", false
}

// short masks the options of one letter, whose meaning hangs on the program.
func (m *masker) short(a string) (string, bool) {
	if a[1] == '-' || len(a) < 2 {
		return "", false
	}
	if len(a) == 2 {
		switch {
		case a[1] == 'p' && (m.miner || !harmlessP(m.tool)):
			m.next = aPassword
		case a[1] == 'u' || a[1] == 'U' || a[1] == 'O':
			m.next = aUser
		case takesSecret(m.tool, a[1]):
			m.next = aSecret
		default:
			return "", false
		}
		return a, true
	}
	switch {
	case a[1] == 'p' && m.attached(a):
		return "-p" + conceal(a[2:]), true
	case a[1] == 'a' && m.tool == "redis-cli":
		return "-a" + conceal(a[2:]), true
	case a[1] == 'u' || a[1] == 'O' || a[1] == 'U':
		if userName(bare(a)) {
			return "", false
		}
		return a[:2] + scan(user(a[2:])), true
	}
	return "", false
}

// attached tells whether -pX is a password X and not another option.
func (m *masker) attached(a string) bool {
	if isPorts(a[2:]) {
		return false
	}
	switch m.tool {
	case "mysql", "mysqldump", "mysqladmin", "mysqlimport", "mysqlcheck", "mysqlshow", "mysqlslap", "mysqlbinlog",
		"mariadb", "mariadb-dump", "mariadb-admin", "sshpass", "7z", "7za", "7zr", "7zz", "rar", "unrar", "mongo", "mongosh":
		return !strings.HasPrefix(a, "-port") && !strings.HasPrefix(a, "-protocol")
	}
	return m.miner && !secretName(bare(a)) && a != "-pools" && a != "-proto" && a != "-port"
}

// harmlessP lists programs for which -p is no password: it makes parents, keeps modes, names a process or a port.
func harmlessP(tool string) bool {
	switch tool {
	case "mkdir", "cp", "tar", "bsdtar", "install", "cpio", "rsync", "scp", "ssh", "ls", "touch", "rmdir", "patch", "make",
		"ps", "pgrep", "pkill", "pidof", "chrt", "taskset", "renice", "ionice", "prlimit", "strace", "ltrace", "gdb", "perf",
		"lsof", "ss", "netstat", "iptables", "ip6tables", "systemctl", "loginctl", "machinectl", "systemd-run", "journalctl",
		"docker", "podman", "nerdctl", "bash", "sh", "dash", "zsh", "ksh", "ash", "fish", "read", "su", "mount", "umount",
		"git", "node", "npm", "npx", "python", "python3", "perl", "ruby", "java", "javac", "gcc", "g++", "cc", "clang", "go",
		"cargo", "grep", "find", "nmap", "nc", "ncat", "socat", "tcpdump", "kubectl", "modprobe", "uname", "who", "df", "du",
		"kill", "sudo", "protoc", "redis-cli", "psql", "pg_dump", "postgres", "sshd", "xargs", "dpkg", "sed", "unzip", "gunicorn":
		return true
	}
	return false
}

func isShell(tool string) bool {
	switch strings.TrimPrefix(tool, "-") {
	case "sh", "bash", "dash", "ash", "zsh", "ksh", "fish", "su", "ssh", "cmd", "powershell", "pwsh":
		return true
	}
	return false
}

// takesSecret lists programs whose option of that letter takes a secret.
func takesSecret(tool string, letter byte) bool {
	switch letter {
	case 'P':
		return tool == "zip" || tool == "unzip" || tool == "sqlcmd" || tool == "bcp" || tool == "mosquitto_pub" || tool == "mosquitto_sub"
	case 'a':
		return tool == "redis-cli"
	case 'w':
		return strings.HasPrefix(tool, "ldap")
	case 'k', 'K':
		return tool == "openssl"
	case 'b':
		return tool == "curl"
	case 'c', 'A', 'X':
		return strings.HasPrefix(tool, "snmp")
	}
	return false
}

// text masks a whole command line, header or document inside one argument.
func (m *masker) text(a string) string {
	if m.depth >= maxDepth {
		return Masked
	}
	a = scan(a)
	words := fields(a)
	if len(words) > maxWords {
		a = a[:words[maxWords].from] + Masked
		words = words[:maxWords]
	}
	plain := make([]string, len(words))
	for i, w := range words {
		plain[i] = strings.Trim(a[w.from:w.to], `"'`)
	}
	sub := masker{depth: m.depth + 1, miner: m.miner || looksLikeMiner(plain)}
	var out strings.Builder
	at := 0
	for i, w := range words {
		word := a[w.from:w.to]
		masked := sub.word(word, plain[i])
		out.WriteString(a[at:w.from])
		out.WriteString(masked)
		at = w.to
	}
	out.WriteString(a[at:])
	return out.String()
}

// word masks one word of a command line, keeping the quotes around it and the separator behind it.
func (m *masker) word(word, plain string) string {
	switch plain {
	case "|", "||", "&", "&&", ";", "(", "{", "then", "do", "else", "$(", "`":
		*m = masker{depth: m.depth, miner: m.miner}
		return word
	}
	body, tail := plain, ""
	if trimmed := strings.TrimRight(body, ";|&)`"); trimmed != body && trimmed != "" {
		body, tail = trimmed, body[len(trimmed):]
	}
	masked := m.arg(body)
	if tail != "" {
		defer func() { *m = masker{depth: m.depth, miner: m.miner} }()
	}
	if masked == body {
		return word
	}
	left := strings.Index(word, plain)
	return word[:left] + masked + tail + word[left+len(plain):]
}

type span struct{ from, to int }

// fields splits at blanks outside quotes. A quote that is not closed is an ordinary character.
func fields(s string) []span {
	var out []span
	for i := 0; i < len(s); {
		if isBlank(s[i]) {
			i++
			continue
		}
		from := i
		for i < len(s) && !isBlank(s[i]) {
			if s[i] == '"' || s[i] == '\'' {
				if end := strings.IndexByte(s[i+1:], s[i]); end >= 0 {
					i += end + 1
				}
			}
			i++
		}
		out = append(out, span{from, i})
	}
	return out
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
