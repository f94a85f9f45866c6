package spool

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/minehound/minehound/agent/report"
)

// An entry's file is named after its place in the queue, 20 digits and ".alert", and has two lines:
//
//	minehound.spool/v1 HEX    SHA-256 of the second line without its end
//	{"queued":"TIME","alert":{…}}
//
// A dead letter has a third that says why it is dead. It is written beside its place, synced and moved there, so that a
// file of that name is whole or was damaged later, which the sum tells.
const (
	magic    = "minehound.spool/v1 "
	suffix   = ".alert"
	unready  = ".tmp"
	deadDir  = "dead"
	mostDead = 500     // dead letters kept; the oldest go
	mostFile = 4 << 20 // bytes; larger is not ours
)

type content struct {
	Queued time.Time    `json:"queued"`
	Alert  report.Alert `json:"alert"`
}

func encode(queued time.Time, a report.Alert) ([]byte, error) {
	line, err := json.Marshal(content{queued.UTC(), a})
	if err != nil {
		return nil, fmt.Errorf("alert %s: %w", a.ID, err)
	}
	sum := sha256.Sum256(line)
	return slices.Concat([]byte(magic), []byte(hex.EncodeToString(sum[:])), []byte{'\n'}, line, []byte{'\n'}), nil
}

// errDamaged says that a file is not what was written.
var errDamaged = errors.New("damaged")

func decode(data []byte) (content, error) {
	head, rest, ok1 := bytes.Cut(data, []byte{'\n'})
	line, rest, ok2 := bytes.Cut(rest, []byte{'\n'})
	sum, ok3 := bytes.CutPrefix(head, []byte(magic))
	if !ok1 || !ok2 || !ok3 || len(rest) > 0 {
		return content{}, fmt.Errorf("%w: not two whole lines", errDamaged)
	}
	if want := sha256.Sum256(line); string(sum) != hex.EncodeToString(want[:]) {
		return content{}, fmt.Errorf("%w: the sum does not fit", errDamaged)
	}
	var c content
	if err := json.Unmarshal(line, &c); err != nil {
		return content{}, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return c, nil
}

// directory is where entries stand. One program uses it at a time.
type directory struct {
	path  string
	write func(name string, data []byte) error // a test replaces it to make it fail
}

func fileName(seq uint64) string { return fmt.Sprintf("%020d%s", seq, suffix) }

// place is what fileName was made of; false for a file that is not ours.
func place(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != 20 {
		return 0, false
	}
	seq, err := strconv.ParseUint(digits, 10, 64)
	return seq, err == nil
}

// save keeps data under name, so that it is there after a crash once save has returned nil.
func (d *directory) save(name string, data []byte) error {
	path := filepath.Join(d.path, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return report.NewStorageError("create directory of", path, err)
	}
	if err := d.write(path+unready, data); err != nil {
		_ = os.Remove(path + unready) // the next start tries again
		return report.NewStorageError("write", path, err)
	}
	if err := os.Rename(path+unready, path); err != nil {
		_ = os.Remove(path + unready)
		return report.NewStorageError("rename", path, err)
	}
	if err := report.SyncDir(filepath.Dir(path)); err != nil {
		_ = os.Remove(path) // the caller keeps it in memory: one alert, one place
		return report.NewStorageError("sync directory of", path, err)
	}
	return nil
}

func writeSynced(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (d *directory) read(name string) (content, error) {
	f, err := os.Open(filepath.Join(d.path, name))
	if err != nil {
		return content{}, err
	}
	defer func() { _ = f.Close() }() // it is only read
	data, err := io.ReadAll(io.LimitReader(f, mostFile+1))
	if err != nil {
		return content{}, err
	}
	if len(data) > mostFile {
		return content{}, fmt.Errorf("%w: larger than %d bytes", errDamaged, mostFile)
	}
	return decode(data)
}

// remove takes an entry away for good.
func (d *directory) remove(name string) error {
	path := filepath.Join(d.path, name)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return report.NewStorageError("remove", path, err)
	}
	if err := report.SyncDir(d.path); err != nil {
		return report.NewStorageError("sync directory of", path, err)
	}
	return nil
}

// bury moves an entry to the dead letters and notes why there.
func (d *directory) bury(name string, why error) error {
	from, to := filepath.Join(d.path, name), filepath.Join(d.path, deadDir, name)
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return report.NewStorageError("create directory of", to, err)
	}
	if err := os.Rename(from, to); err != nil {
		return report.NewStorageError("move to dead letters", from, err)
	}
	if err := errors.Join(annotate(to, why), report.SyncDir(d.path), report.SyncDir(filepath.Dir(to))); err != nil {
		return report.NewStorageError("write", to, err)
	}
	return nil
}

func annotate(path string, why error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, "dead: "+report.Clean(why.Error(), 1024))
	return errors.Join(err, f.Close())
}

// prune removes the oldest dead letters beyond the bound and tells how many.
func (d *directory) prune() (int, error) {
	list, err := os.ReadDir(filepath.Join(d.path, deadDir))
	if err != nil || len(list) <= mostDead {
		return 0, err
	}
	list = list[:len(list)-mostDead]
	for i, e := range list {
		if err := os.Remove(filepath.Join(d.path, deadDir, e.Name())); err != nil {
			return i, err
		}
	}
	return len(list), nil
}

// lastDead is the place after the last dead letter: a new entry must not take the name of one.
func (d *directory) lastDead() (next uint64, err error) {
	list, err := os.ReadDir(filepath.Join(d.path, deadDir))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, report.NewStorageError("read", filepath.Join(d.path, deadDir), err)
	}
	for _, e := range list {
		if seq, ours := place(e.Name()); ours {
			next = max(next, seq+1)
		}
	}
	return next, nil
}

// found is one file of the directory as a start finds it.
type found struct {
	seq  uint64
	name string
	size int64
	content
	err error // it cannot be read
}

// load calls each for the files of the directory, oldest first, removes what was never finished, and makes the directory
// if need be.
func (d *directory) load(each func(found)) error {
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return report.NewStorageError("create", d.path, err)
	}
	names, err := os.ReadDir(d.path) // sorted
	if err != nil {
		return report.NewStorageError("read", d.path, err)
	}
	for _, n := range names {
		if strings.HasSuffix(n.Name(), suffix+unready) {
			_ = os.Remove(filepath.Join(d.path, n.Name())) // nobody was told that it is safe
		}
		seq, ours := place(n.Name())
		if !ours {
			continue
		}
		f := found{seq: seq, name: n.Name()}
		if info, err := n.Info(); err == nil {
			f.size = info.Size()
		}
		f.content, f.err = d.read(n.Name())
		each(f)
	}
	return nil
}
