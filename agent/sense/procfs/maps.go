package procfs

import (
	"bytes"
	"slices"

	"github.com/minehound/minehound/agent/host"
)

// maxLarge is how many mappings [host.Memory.Large] lists.
const maxLarge = 64

// Maps adds up the lines of /proc/PID/maps, see proc_pid_maps(5). The zero value is ready.
type Maps struct {
	Lines     int
	exec      int64
	execMaps  int
	writeExec int64
	large     [maxLarge]int64 // largest first
	n         int
}

// Reset makes it as new.
func (m *Maps) Reset() { *m = Maps{} }

// Line adds one line without its newline. Only the part up to the path's end matters, so a line may be cut short after 256
// bytes.
func (m *Maps) Line(line []byte) error {
	m.Lines++
	from, rest, ok := hex(line)
	if !ok || len(rest) == 0 || rest[0] != '-' {
		return ErrFormat
	}
	to, rest, ok := hex(rest[1:])
	if !ok || to < from || len(rest) < 6 || rest[0] != ' ' || rest[5] != ' ' {
		return ErrFormat
	}
	perms := rest[1:5]
	rest = rest[6:]
	for range 2 { // offset and device
		i := bytes.IndexByte(rest, ' ')
		if i < 0 {
			return ErrFormat
		}
		rest = rest[i+1:]
	}
	inode, rest, ok := number(rest)
	if !ok {
		return ErrFormat
	}
	path := bytes.TrimLeft(rest, " ")
	if !inMemory(inode, path) {
		return nil
	}
	m.add(int64(min(to-from, 1<<62)), perms)
	return nil
}

func (m *Maps) add(size int64, perms []byte) {
	if perms[2] == 'x' {
		m.exec += size
		m.execMaps++
		if perms[1] == 'w' {
			m.writeExec += size
		}
	}
	// Address space that nobody may read or write (what Java, Go and V8 reserve ahead) is not memory.
	if size < host.LargeMapping || perms[0] == '-' && perms[1] == '-' {
		return
	}
	i, _ := slices.BinarySearchFunc(m.large[:m.n], size, func(a, b int64) int { return int(min(max(b-a, -1), 1)) })
	if i == maxLarge {
		return
	}
	m.n = min(m.n+1, maxLarge)
	copy(m.large[i+1:m.n], m.large[i:])
	m.large[i] = size
}

// inMemory tells whether a mapping is anonymous, or of a file that only exists in memory. What a mapping of /dev/zero
// holds is anonymous; [heap], [stack] and [anon:name] are; the kernel's own pages ([vdso] and the like) are not.
func inMemory(inode int64, path []byte) bool {
	if len(path) == 0 {
		return inode == 0
	}
	if path[0] == '[' {
		for _, p := range []string{"[heap]", "[stack", "[anon:", "[anon_shmem:"} {
			if bytes.HasPrefix(path, []byte(p)) {
				return true
			}
		}
		return false
	}
	for _, p := range []string{"/anon_hugepage", "/dev/zero", "/memfd:", "/SYSV", "/dev/shm/", "/dev/hugepages/"} {
		if bytes.HasPrefix(path, []byte(p)) {
			return true
		}
	}
	return false
}

// Same tells whether what was added up is what mem says.
func (m *Maps) Same(mem *host.Memory) bool {
	return mem.Exec == m.exec && mem.ExecMaps == m.execMaps && mem.WriteExec == m.writeExec &&
		slices.Equal(mem.Large, m.large[:m.n])
}

// Fill writes the sums into mem.
func (m *Maps) Fill(mem *host.Memory) {
	mem.Exec, mem.ExecMaps, mem.WriteExec = m.exec, m.execMaps, m.writeExec
	mem.Large = slices.Clone(m.large[:m.n])
	if mem.Large == nil {
		mem.Large = []int64{}
	}
}

// hex reads a hexadecimal number of at most 64 bits and returns what follows it.
func hex(b []byte) (n uint64, rest []byte, ok bool) {
	i := 0
loop:
	for ; i < len(b) && i < 16; i++ {
		switch c := b[i]; {
		case c >= '0' && c <= '9':
			n = n<<4 | uint64(c-'0')
		case c >= 'a' && c <= 'f':
			n = n<<4 | uint64(c-'a'+10)
		default:
			break loop
		}
	}
	return n, b[i:], i > 0
}
