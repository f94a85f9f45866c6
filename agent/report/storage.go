package report

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
)

// StorageError says that a file or directory did not take what should be kept, and what a person can do.
type StorageError struct {
	Op   string // what was tried: "create", "write", "sync", "rotate", …
	Path string
	Hint string
	Err  error
}

func (e *StorageError) Error() string {
	s := fmt.Sprintf("%s %s: %v", e.Op, e.Path, e.Err)
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

func (e *StorageError) Unwrap() error { return e.Err }

// NewStorageError says that op failed on path, with a hint where the error has one.
func NewStorageError(op, path string, err error) *StorageError {
	var p *os.PathError
	var l *os.LinkError
	switch { // the path stands in front already
	case errors.As(err, &p):
		err = p.Err
	case errors.As(err, &l):
		err = l.Err
	}
	return &StorageError{Op: op, Path: path, Hint: storageHint(err), Err: err}
}

// storageHint says what a person can do about an error of the file system.
func storageHint(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "the disk is full: make room, what could not be written waits in memory"
	case errors.Is(err, syscall.EROFS):
		return "the file system is mounted read-only"
	case errors.Is(err, os.ErrPermission):
		return "check owner and mode of the file and its directory"
	case errors.Is(err, syscall.ENOTDIR):
		return "a part of the path is a file"
	case errors.Is(err, os.ErrNotExist):
		return "create the directory"
	}
	return ""
}

// SyncDir makes new names in dir last. Windows cannot sync a directory and does not need to.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }() // it is only read
	return d.Sync()
}
