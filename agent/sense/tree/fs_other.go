//go:build !linux

package tree

import "io/fs"

func complete(*File, fs.FileInfo) {}

func noProcess(error) bool { return false }
