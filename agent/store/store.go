// Package store keeps what survives a restart: named documents in one directory, each written whole or not at all. It
// knows nothing of what is in them, does not cache, and loses nothing silently: a damaged document is set aside and said
// so, one of a newer version is refused.
package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// MaxDocument is the largest document in bytes that is read back. What is kept is bounded well below; a larger file is
// not ours.
const MaxDocument = 64 << 20

// maxCorrupt is how many damaged files of one document are kept aside.
const maxCorrupt = 8

const (
	suffix     = ".json"
	lastGood   = ".last" // the copy that was saved before
	tempPrefix = ".tmp-"
)

// Store is a directory of documents that one process at a time may use. It is not safe for concurrent use.
type Store struct {
	dir     string
	lock    *os.File
	refused map[string]*NewerError // documents that Save must not overwrite

	write func(f *os.File, b []byte) error // how a file is filled; tests put a full disk here
}

// Warning is something that went wrong and was survived: a damaged document was set aside.
type Warning struct {
	Name      string // of the document
	Moved     string // path that the damaged file now has
	Recovered bool   // the copy that was saved before the damaged one was read instead
	Reason    error
}

func (w *Warning) String() string {
	what := "it begins anew"
	if w.Recovered {
		what = "the copy saved before it is used"
	}
	return fmt.Sprintf("%s is damaged and was moved to %s, %s: %v", w.Name, w.Moved, what, w.Reason)
}

// ErrAbsent says that there is no such document: it was never saved, or nothing readable is left of it.
var ErrAbsent = errors.New("no such document")

// NewerError says that a document was saved by a newer program. It is left alone: Save does not overwrite what Load has
// refused.
type NewerError struct {
	Path        string
	Have, Known int // versions
}

func (e *NewerError) Error() string {
	return fmt.Sprintf("%s has version %d, this program knows versions up to %d: upgrade it, or move the file away", e.Path, e.Have, e.Known)
}

// Open takes a directory, creates it with mode 0700 if need be, and locks it until [Store.Close] or the end of the
// process. A directory that another process (or another Store) uses is a *[BusyError]. One that others may enter gets
// mode 0700. What an interrupted Save left behind is removed.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o700 {
		if err := os.Chmod(dir, 0o700); err != nil {
			return nil, fmt.Errorf("state directory: %w", err)
		}
	}
	lock, err := acquire(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, lock: lock, refused: map[string]*NewerError{}, write: fill}
	if err := s.sweep(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// sweep removes unfinished files.
func (s *Store) sweep() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), tempPrefix) {
			if err := os.Remove(filepath.Join(s.dir, e.Name())); err != nil {
				return fmt.Errorf("state directory: %w", err)
			}
		}
	}
	return nil
}

// Dir is the directory.
func (s *Store) Dir() string { return s.dir }

// Close gives the directory free.
func (s *Store) Close() error {
	if s.lock == nil {
		return nil
	}
	lock := s.lock
	s.lock = nil
	if err := lock.Close(); err != nil {
		return fmt.Errorf("lock of the state directory: %w", err)
	}
	return nil
}

// envelope is what a file holds.
type envelope struct {
	Version int             `json:"version"`
	Data    json.RawMessage `json:"data"`
}

// Migration turns the data of one version into that of the next.
type Migration func(old json.RawMessage) (json.RawMessage, error)

// Load reads document name into v, which was saved with the same version, or with an older one that the migrations lead
// up from: the last of them makes version, the one before it version-1, and so on.
//
// When there is no such document the error is [ErrAbsent] and v is untouched. A document of a newer version is a
// *[NewerError]. A document that cannot be read as one (torn, not JSON, other types, no migration) is moved aside to
// NAME.json.corrupt-N; then v is the copy saved before it, or, when that is missing or damaged too, the error is
// ErrAbsent. Either way the Warning says so. Unknown fields in a document are damage.
func Load[T any](s *Store, name string, version int, v *T, migrations ...Migration) (*Warning, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	p := s.path(name)
	got, err := read[T](p, version, migrations)
	s.refuse(name, err)
	var broken *brokenError
	switch {
	case err == nil:
		*v = *got
		return nil, nil
	case errors.Is(err, fs.ErrNotExist):
		return loadLast(s, name, version, v, migrations, nil)
	case errors.As(err, &broken):
		moved, moveErr := setAside(p)
		if moveErr != nil {
			return nil, fmt.Errorf("document %s is damaged (%w) and cannot be moved away: %w", name, broken.reason, moveErr)
		}
		return loadLast(s, name, version, v, migrations, &Warning{Name: name, Moved: moved, Reason: broken.reason})
	default:
		return nil, fmt.Errorf("document %s: %w", name, err)
	}
}

// loadLast reads the copy that was saved before, when the document itself is missing (a crash between the two renames of
// Save) or damaged.
func loadLast[T any](s *Store, name string, version int, v *T, migrations []Migration, w *Warning) (*Warning, error) {
	p := s.path(name) + lastGood
	got, err := read[T](p, version, migrations)
	s.refuse(name, err)
	var broken *brokenError
	switch {
	case err == nil:
		*v = *got
		if w != nil {
			w.Recovered = true
		}
		return w, nil
	case errors.Is(err, fs.ErrNotExist):
		return w, ErrAbsent
	case errors.As(err, &broken):
		moved, moveErr := setAside(p)
		if moveErr != nil {
			return w, fmt.Errorf("document %s is damaged (%w) and cannot be moved away: %w", name, broken.reason, moveErr)
		}
		if w == nil {
			w = &Warning{Name: name, Moved: moved, Reason: broken.reason}
		}
		return w, ErrAbsent
	default:
		return w, fmt.Errorf("document %s: %w", name, err)
	}
}

// refuse keeps what is newer from being overwritten.
func (s *Store) refuse(name string, err error) {
	var newer *NewerError
	if errors.As(err, &newer) {
		s.refused[name] = newer
	}
}

// brokenError is a file that was read and makes no sense.
type brokenError struct{ reason error }

func (e *brokenError) Error() string { return e.reason.Error() }
func (e *brokenError) Unwrap() error { return e.reason }

func read[T any](p string, version int, migrations []Migration) (*T, error) {
	f, err := os.Open(p)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, MaxDocument+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	v, err := decode[T](b, version, migrations)
	var newer *NewerError
	if errors.As(err, &newer) {
		newer.Path = p
	}
	return v, err
}

// decode reads the bytes of a file.
func decode[T any](b []byte, version int, migrations []Migration) (*T, error) {
	if len(b) > MaxDocument {
		return nil, &brokenError{fmt.Errorf("it is larger than %d bytes", MaxDocument)}
	}
	// The version is read without strictness: a newer program may have added to the envelope.
	var e envelope
	if err := json.Unmarshal(b, &e); err != nil {
		return nil, &brokenError{err}
	}
	switch {
	case e.Version > version:
		return nil, &NewerError{Have: e.Version, Known: version}
	case e.Version < 1:
		return nil, &brokenError{fmt.Errorf("version %d does not exist", e.Version)}
	case version-e.Version > len(migrations):
		return nil, &brokenError{fmt.Errorf("version %d is too old to be read", e.Version)}
	}
	for _, m := range migrations[len(migrations)-(version-e.Version):] {
		data, err := m(e.Data)
		if err != nil {
			return nil, &brokenError{fmt.Errorf("migration from version %d: %w", e.Version, err)}
		}
		e.Version, e.Data = e.Version+1, data
	}
	v := new(T)
	dec := json.NewDecoder(strings.NewReader(string(e.Data)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return nil, &brokenError{err}
	}
	return v, nil
}

// setAside gives a damaged file a name that nothing reads. When many are there already, the newest is replaced: the
// first ones show how it began.
func setAside(p string) (string, error) {
	for n := 1; ; n++ {
		to := p + ".corrupt-" + strconv.Itoa(n)
		if _, err := os.Lstat(to); n < maxCorrupt && !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return to, os.Rename(p, to)
	}
}

// Save writes document name whole or not at all: after an error, and after a crash at any moment, Load reads what was
// saved before. The version is at least 1.
func Save[T any](s *Store, name string, version int, v *T) error {
	if err := checkName(name); err != nil {
		return err
	}
	if version < 1 {
		return fmt.Errorf("document %s: version %d does not exist", name, version)
	}
	if newer := s.refused[name]; newer != nil {
		return fmt.Errorf("document %s: %w", name, newer)
	}
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("document %s: %w", name, err)
	}
	b, err := json.Marshal(envelope{version, data})
	if err != nil {
		return fmt.Errorf("document %s: %w", name, err)
	}
	if len(b) > MaxDocument {
		return fmt.Errorf("document %s: %d bytes are more than the %d that can be read back", name, len(b), MaxDocument)
	}
	if err := s.replace(name, append(b, '\n')); err != nil {
		return fmt.Errorf("document %s: %w", name, err)
	}
	return nil
}

// replace writes the new file beside the old one and then moves both: the old one becomes the last good copy. Between
// the two renames there is only that copy, which Load knows.
func (s *Store) replace(name string, b []byte) (err error) {
	if s.lock == nil {
		return fs.ErrClosed
	}
	f, err := os.CreateTemp(s.dir, tempPrefix+name+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreMissing(os.Remove(f.Name())))
		}
	}()
	if err := errors.Join(s.write(f, b), f.Close()); err != nil {
		return err
	}
	p := s.path(name)
	if err := ignoreMissing(os.Rename(p, p+lastGood)); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), p); err != nil {
		return err
	}
	return s.sync()
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// fill writes a file to the disk.
func fill(f *os.File, b []byte) error {
	if _, err := f.Write(b); err != nil {
		return err
	}
	return f.Sync()
}

// sync makes renames last. Windows has no such call: NTFS logs renames itself.
func (s *Store) sync() error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (s *Store) path(name string) string { return filepath.Join(s.dir, name+suffix) }

// checkName keeps documents inside the directory and apart from the store's own files.
func checkName(name string) error {
	ok := func(r rune) bool { return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' }
	if name == "" || len(name) > 64 || slices.ContainsFunc([]rune(name), func(r rune) bool { return !ok(r) }) {
		return fmt.Errorf("document name %q is not made of a-z, 0-9 and -", name)
	}
	return nil
}
