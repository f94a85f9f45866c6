package sense

import (
	"bytes"
	"errors"
	"hash/maphash"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/minehound/minehound/agent/host"
	"github.com/minehound/minehound/agent/sense/procfs"
	"github.com/minehound/minehound/agent/sense/secret"
	"github.com/minehound/minehound/agent/sense/tree"
)

// blindness is what of a process could not be read.
type blindness uint8

const (
	noRights  blindness = 1 << iota // its executable, environment or memory: another user's
	argsCut                         // more arguments than the bound
	envCut                          // more environment than the bound
	notParsed                       // something the kernel wrote was not understood
)

// closer takes the closer look at one process: what seldom changes about it. It is not safe for concurrent use; whoever
// looks at the same time has one of his own.
type closer struct {
	at      places
	cost    func() time.Duration // CPU time of the thread, where that is not counted already
	maxArgs int
	maxEnv  int
	users   users
	seed    maphash.Seed      // the same for all, so that their prints can be compared
	names   map[string]string // of environment variables, each kept once

	path                           []byte
	exe, cwd, args, env, cgroup    []byte
	status                         []byte
	file                           tree.File
	exeErr, cwdErr, argErr, envErr error
	cgroupErr                      error
	parsed                         procfs.Status
	maps                           procfs.Maps
	lines                          []byte
}

func newCloser(at places, o Options, seed maphash.Seed) *closer {
	return &closer{at: at, cost: still, maxArgs: o.MaxArgs, maxEnv: o.MaxEnv, seed: seed, names: make(map[string]string), users: users{etc: at.etc}}
}

// of makes the path of a file of a process in the kept buffer.
func (c *closer) of(pid int, file string) []byte {
	c.path = strconv.AppendInt(c.path[:0], int64(pid), 10)
	c.path = append(append(c.path, '/'), file...)
	return c.path
}

// depth is how much of a process is read.
type depth uint8

const (
	whole depth = iota // as much as the options say
	short              // no more than shortText of arguments and of environment
	brief              // nothing that the process can hold up: neither of them
)

const (
	// shortText is in bytes; command lines were cut there by the kernel until Linux 4.2.
	shortText = 4096
	// maxDetails is how many bytes of what was read whole are kept, of all processes together and, apart from those, in
	// the events that wait. Others are read short then, so that nobody can fill the memory with arguments.
	maxDetails = 4 << 20
)

// size is about how many bytes a Detail takes.
func size(d *host.Detail) int {
	if d == nil {
		return 0
	}
	n := 256 + len(d.Exe) + len(d.Cwd) + len(d.Cgroup)
	for _, a := range d.Args {
		n += 16 + len(a)
	}
	for i := range d.Env {
		n += 32 + len(d.Env[i].Name) + len(d.Env[i].Value)
	}
	return n
}

// errWithheld stands for what was not read because the process may be holding up whoever reads it.
var errWithheld = errors.New("withheld")

// look reads a process. When what it reads is what it read before (known by its print), it returns old and allocates
// nothing. The error is an [fs.ErrNotExist] when the process has ended.
func (c *closer) look(pid int, now time.Duration, old *host.Detail, oldPrint uint64, deep depth) (d *host.Detail, mark uint64, b blindness, err error) {
	c.exe, c.exeErr = c.at.proc.Link(c.exe[:0], c.of(pid, "exe"))
	c.cwd, c.cwdErr = c.at.proc.Link(c.cwd[:0], c.of(pid, "cwd"))
	c.args, c.env, c.argErr, c.envErr = c.args[:0], c.env[:0], errWithheld, errWithheld
	maxArgs, maxEnv := c.maxArgs, c.maxEnv
	if deep == short {
		maxArgs, maxEnv = min(maxArgs, shortText), min(maxEnv, shortText)
	}
	if deep != brief {
		c.args, c.argErr = c.at.proc.Read(c.args, c.of(pid, "cmdline"), maxArgs)
		c.env, c.envErr = c.at.proc.Read(c.env, c.of(pid, "environ"), maxEnv)
	}
	c.cgroup, c.cgroupErr = c.at.proc.Read(c.cgroup[:0], c.of(pid, "cgroup"), 64<<10)
	status, statusErr := c.at.proc.Read(c.status[:0], c.of(pid, "status"), 64<<10)
	c.status = status
	if tree.Gone(statusErr) && (deep == brief || tree.Gone(c.argErr)) {
		return old, oldPrint, 0, statusErr
	}
	c.parsed = procfs.ParseStatus(c.status)
	c.file = tree.File{}
	if c.exeErr == nil {
		if f, err := c.at.proc.Stat(c.of(pid, "exe")); err == nil {
			c.file = f
		}
	}
	b = c.blind()
	mark = c.print(b)
	if old != nil && mark == oldPrint {
		return old, mark, b, nil
	}
	return c.detail(pid, now), mark, b, nil
}

func (c *closer) blind() blindness {
	var b blindness
	if tree.Denied(c.exeErr) || tree.Denied(c.envErr) || tree.Denied(c.argErr) {
		b |= noRights
	}
	if errors.Is(c.argErr, tree.ErrLonger) {
		b |= argsCut
	}
	if errors.Is(c.envErr, tree.ErrLonger) {
		b |= envCut
	}
	return b
}

// print is a hash of everything a Detail is made of. Its seed is not known outside, so nobody can make two alike.
func (c *closer) print(b blindness) uint64 {
	var h maphash.Hash
	h.SetSeed(c.seed)
	for _, part := range [...][]byte{c.exe, c.cwd, c.args, c.env, c.cgroup} {
		n := uint64(len(part))
		for range 8 {
			_ = h.WriteByte(byte(n)) // never fails, says its contract
			n >>= 8
		}
		_, _ = h.Write(part)
	}
	for _, n := range [...]uint64{
		c.file.ID.Dev, c.file.ID.Ino, uint64(c.file.Size), uint64(c.file.Modified), uint64(c.parsed.UID), uint64(c.parsed.Tracer), uint64(b),
	} {
		for range 8 {
			_ = h.WriteByte(byte(n))
			n >>= 8
		}
	}
	return h.Sum64()
}

func (c *closer) detail(pid int, now time.Duration) *host.Detail {
	d := &host.Detail{UID: c.parsed.UID, TracerPID: max(c.parsed.Tracer, 0)}
	if d.UID >= 0 {
		d.User = c.users.name(d.UID, now)
	}
	if c.exeErr == nil {
		c.executable(pid, d)
	}
	if c.cwdErr == nil {
		d.Cwd = string(c.cwd)
	}
	if c.argErr == nil || errors.Is(c.argErr, tree.ErrLonger) {
		args := procfs.Args(c.args)
		if c.argErr != nil && (len(args) == 0 || args[len(args)-1] != procfs.More) {
			args = append(args, procfs.More)
		}
		d.Args, d.ArgsKnown = secret.Mask(args), true
	}
	if c.envErr == nil || errors.Is(c.envErr, tree.ErrLonger) {
		d.Env, d.EnvKnown = procfs.Env(c.env, c.name, envValue), true
	}
	if c.cgroupErr == nil {
		d.Cgroup, d.Container = procfs.Cgroup(c.cgroup)
	}
	return d
}

// executable tells a deleted executable from one whose name ends in " (deleted)", which is how the kernel marks the former.
// One without any name left is deleted; otherwise it is not when the very file is found under the whole name, as the process
// sees it.
func (c *closer) executable(pid int, d *host.Detail) {
	d.ExeFile = c.file.ID
	name, marked := bytes.CutSuffix(c.exe, []byte(" (deleted)"))
	if !marked {
		d.Exe, d.ExeDeleted = string(c.exe), host.No
		return
	}
	if c.file.Unlinked != host.Yes {
		f, err := c.at.proc.Below(c.of(pid, "root"), c.exe)
		if err == nil && f.ID == c.file.ID && f.ID != (host.FileID{}) {
			d.Exe, d.ExeDeleted = string(c.exe), host.No
			return
		}
	}
	d.Exe, d.ExeDeleted = string(name), host.Yes
}

// readMaps adds up the memory mappings of a process in c.maps. They are not known when they cannot be read or are more lines
// than the bound.
func (c *closer) readMaps(pid, most int) (known, long bool, b blindness) {
	f, err := c.at.proc.Open(c.of(pid, "maps"))
	if err != nil {
		return false, false, 0
	}
	defer f.Close()
	if c.lines == nil {
		c.lines = make([]byte, 64<<10)
	}
	c.maps.Reset()
	kept, skip := 0, false // bytes of an unfinished line; whether a line too long for the buffer is being passed over
	for {
		n, err := f.Read(c.lines[kept:])
		b := c.lines[:kept+n]
		for {
			i := bytes.IndexByte(b, '\n')
			if i < 0 {
				break
			}
			if !skip && c.maps.Line(b[:i]) != nil {
				return false, false, notParsed
			}
			b, skip = b[i+1:], false
		}
		if c.maps.Lines > most {
			return false, true, 0
		}
		if err != nil {
			return errors.Is(err, io.EOF), false, 0
		}
		if len(b) == len(c.lines) { // the part before the path is in it, the rest does not matter
			if !skip && c.maps.Line(b) != nil {
				return false, false, notParsed
			}
			b, skip = b[:0], true
		}
		kept = copy(c.lines, b)
	}
}

// name keeps the name of an environment variable once for all processes.
func (c *closer) name(b []byte) string {
	const most = 4096
	if s, ok := c.names[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(c.names) < most {
		c.names[s] = s
	}
	return s
}

// maxEnvValue is the length in bytes up to which a value is kept.
const maxEnvValue = 1024

// envValue keeps the values of the few variables that rules look at, masked. Names that promise a secret are never among
// them.
func envValue(name string, value []byte) string {
	if !envKept(name) {
		return ""
	}
	return secret.Value(name, string(value[:min(len(value), maxEnvValue)]))
}

// envKept lists the variables whose values are kept: what miner images take their pool and wallet from, what loads a
// library into every program, and what hides a process from its shell's history or a CI runner's clean-up.
func envKept(name string) bool {
	switch name {
	case "POOL", "POOL_URL", "POOL_USER", "POOL_HOST", "POOL_ADDR", "POOL_ADDRESS", "MINING_POOL", "STRATUM_URL", "WORKER", "WORKER_NAME",
		"RIG_ID", "ALGO", "COIN", "DONATE_LEVEL", "DONATE", "CPU_USAGE", "PAYMENT_ADDRESS", "MINER_ARGS",
		"LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "DYLD_INSERT_LIBRARIES",
		"HISTFILE", "HISTSIZE", "HISTFILESIZE", "HISTCONTROL", "RUNNER_TRACKING_ID", "BUILD_ID", "GPU_MAX_ALLOC_PERCENT",
		"GPU_MAX_HEAP_SIZE", "GPU_FORCE_64BIT_PTR", "GPU_USE_SYNC_OBJECTS", "GPU_SINGLE_ALLOC_PERCENT":
		return true
	}
	return strings.HasPrefix(name, "XMRIG_") || strings.HasPrefix(name, "WALLET") || strings.HasSuffix(name, "_WALLET") ||
		strings.HasSuffix(name, "_WALLET_ADDRESS")
}

// users names users as /etc/passwd does. No other source is asked: a name service may need the network.
type users struct {
	etc     tree.Tree
	file    tree.File
	checked time.Duration
	byID    map[int]string
	buf     []byte
}

var passwd = []byte("passwd")

// name is the user's name, his number when he has none.
func (u *users) name(uid int, now time.Duration) string {
	const recheck = 10 * time.Second
	if u.byID == nil || now-u.checked >= recheck {
		u.checked = now
		f, err := u.etc.Stat(passwd)
		if u.byID == nil || err == nil && f != u.file {
			u.file = f
			u.buf, err = u.etc.Read(u.buf[:0], passwd, 1<<20)
			if err != nil && !errors.Is(err, tree.ErrLonger) {
				u.buf = u.buf[:0] // then the numbers must do
			}
			u.byID = procfs.Users(u.buf)
		}
	}
	if name, ok := u.byID[uid]; ok {
		return name
	}
	return strconv.Itoa(uid)
}
