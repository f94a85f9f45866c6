package sense

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/minehound/minehound/agent/host"
	"github.com/minehound/minehound/agent/sense/tree"
)

// hasher makes the SHA-256 of executables, one at a time. In the background it rests between pieces, so that it uses a few
// percent of a core at most.
type hasher struct {
	limit   int64
	sums    map[tree.File]string
	jobs    chan job
	done    chan sum
	working bool
	stop    atomic.Bool
	ended   sync.WaitGroup
	failed  tally
}

type job struct {
	file tree.File
	from io.ReadCloser
}

type sum struct {
	file tree.File
	hex  string // "" when it could not be read to its end
}

// maxSums is how many sums are remembered.
const maxSums = 1024

// newHasher starts the worker. Without background the sum is made at once, which a machine made of files needs to say the
// same each time.
func newHasher(limit int64, background bool) *hasher {
	h := &hasher{limit: limit, sums: make(map[tree.File]string), done: make(chan sum, 1)}
	if !background || limit == 0 {
		return h
	}
	jobs := make(chan job, 1)
	h.jobs = jobs
	h.ended.Go(func() {
		for j := range jobs {
			h.done <- sum{j.file, h.sum(j, 20*time.Millisecond)}
		}
	})
	return h
}

func (h *hasher) close() {
	if h.jobs == nil {
		return
	}
	h.stop.Store(true)
	close(h.jobs)
	h.jobs = nil
	h.ended.Wait()
}

func (h *hasher) gap() string {
	return h.failed.reason("executables could not be hashed")
}

// start hands a file to the worker. The file is closed by whoever reads it.
func (h *hasher) start(j job) {
	h.working = true
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

// sum reads a file to its end, in pieces.
func (h *hasher) sum(j job, rest time.Duration) string {
	defer j.from.Close()
	hash := sha256.New()
	buf := make([]byte, 256<<10)
	var size int64
	for !h.stop.Load() {
		n, err := j.from.Read(buf)
		hash.Write(buf[:n])
		size += int64(n)
		if errors.Is(err, io.EOF) {
			if size != j.file.Size {
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
		from, err := p.at.proc.Open(p.of(q.ID.PID, "exe"))
		if err != nil {
			h.hashFailed = true
			continue
		}
		p.hash.start(job{f, from})
		p.hash.collect()
	}
}
