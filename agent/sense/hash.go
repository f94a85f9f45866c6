package sense

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/minehound/minehound/agent/host"
	"github.com/minehound/minehound/agent/sense/tree"
)

// hasher makes the SHA-256 of executables, one at a time. In the background it rests between pieces, so that it uses a few
// percent of a core at most.
type hasher struct {
	limit   int64
	at      tree.Tree // of the worker alone
	sums    map[tree.File]string
	jobs    chan job
	done    chan sum
	working bool
	stop    atomic.Bool
	ended   chan struct{} // closed by the worker
	since   time.Duration // uptime at which the worker got what it is working at
	slow    tally
	failed  tally
}

type job struct {
	file tree.File
	path string
}

type sum struct {
	file tree.File
	hex  string // "" when it could not be read to its end
}

// hashTries is how often the executable of a process is read: one that changes meanwhile is read again.
const hashTries = 3

// maxSums is how many sums are remembered.
const maxSums = 1024

// newHasher starts the worker. Without background the sum is made at once, which a machine made of files needs to say the
// same each time. The worker alone opens and reads executables: those of a network file system or one in user space can
// keep it waiting for ever.
func newHasher(limit int64, at tree.Tree, background bool) *hasher {
	h := &hasher{limit: limit, at: at, sums: make(map[tree.File]string), done: make(chan sum, 1)}
	if !background || limit == 0 {
		return h
	}
	jobs := make(chan job, 1)
	h.jobs, h.ended = jobs, make(chan struct{})
	go func() {
		defer close(h.ended)
		for j := range jobs {
			h.done <- sum{j.file, h.sum(j, 5*time.Millisecond)}
		}
		if c, ok := at.(io.Closer); ok {
			_ = c.Close()
		}
	}()
	return h
}

// close ends the worker. It does not wait for one that is kept waiting itself.
func (h *hasher) close() {
	if h.jobs == nil {
		return
	}
	h.stop.Store(true)
	close(h.jobs)
	h.jobs = nil
	select {
	case <-h.ended:
	case <-time.After(patience):
	}
}

// hashSlow is how long one executable may take before that is told: the largest is read in a few seconds.
const hashSlow = time.Minute

func (h *hasher) gap() string {
	return h.failed.reason("executables could not be hashed")
}

// start hands a file to the worker.
func (h *hasher) start(j job, now time.Duration) {
	h.working, h.since = true, now
	if h.jobs == nil {
		h.done <- sum{j.file, h.sum(j, 0)}
		return
	}
	h.jobs <- j
}

// collect takes what the worker has made.
func (h *hasher) collect() {
	if !h.working {
		return
	}
	select {
	case s := <-h.done:
		h.working = false
		if len(h.sums) >= maxSums {
			clear(h.sums)
		}
		h.sums[s.file] = s.hex
		if s.hex == "" {
			h.failed.n++
		}
	default:
	}
}

// sum reads a file to its end, in pieces. What is read must be the very file that was asked for, unchanged at the end.
func (h *hasher) sum(j job, rest time.Duration) string {
	from, err := h.at.Open([]byte(j.path))
	if err != nil {
		return ""
	}
	defer from.Close()
	if f, err := from.File(); err != nil || f != j.file {
		return ""
	}
	hash := sha256.New()
	buf := make([]byte, 64<<10)
	var size int64
	for !h.stop.Load() {
		n, err := from.Read(buf)
		hash.Write(buf[:n])
		size += int64(n)
		if errors.Is(err, io.EOF) {
			if f, err := from.File(); err != nil || f != j.file || size != f.Size {
				return ""
			}
			return hex.EncodeToString(hash.Sum(nil))
		}
		if err != nil || size > h.limit {
			return ""
		}
		if rest > 0 {
			time.Sleep(rest)
		}
	}
	return ""
}

// hashes gives the processes that stay busy the sum of their executable, and the worker the next file.
func (p *processes) hashes() {
	if p.hash.limit == 0 {
		return
	}
	p.hash.collect()
	p.hash.slow.n = 0
	if p.hash.working && p.uptime-p.hash.since > hashSlow {
		p.hash.slow.n = 1
	}
	for i := range p.procs {
		q, h := &p.procs[i], &p.held[i]
		if !h.hot || h.hashFailed || q.Detail == nil || q.Detail.ExeSHA256 != "" || q.Detail.ExeFile == (host.FileID{}) ||
			p.uptime-h.hotSince < p.o.HashAfter {
			continue
		}
		f, err := p.at.proc.Stat(p.of(q.ID.PID, "exe"))
		if err != nil || f.ID != q.Detail.ExeFile || !f.Regular || f.Size > p.hash.limit {
			h.hashFailed = true // runs another program by now, or one that is not hashed
			continue
		}
		if s, ok := p.hash.sums[f]; ok {
			if h.hashFailed = s == ""; !h.hashFailed {
				d := *q.Detail
				d.ExeSHA256 = s
				q.Detail = &d
			}
			continue
		}
		if p.hash.working {
			continue
		}
		if h.hashTries++; h.hashTries > hashTries { // it is changed while it is read, time and again
			h.hashFailed = true
			continue
		}
		p.hash.start(job{f, string(p.of(q.ID.PID, "exe"))}, p.uptime)
		p.hash.collect()
	}
}
