package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// fullDisk mounts a small file system and fills it.
func fullDisk(ts *testscript.TestScript, _ bool, args []string) {
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		ts.Fatalf("only root on Linux can mount a full disk: guard the line with [root] [linux]")
	}
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o755))
	ts.Check(ts.Exec("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", dir))
	ts.Defer(func() { ts.Check(ts.Exec("umount", dir)) })
	f, err := os.Create(filepath.Join(dir, "filler"))
	ts.Check(err)
	_, err = io.CopyN(f, zeros{}, 1<<20)
	if !errors.Is(errors.Join(err, f.Close()), syscall.ENOSPC) {
		ts.Fatalf("the disk is not full: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
