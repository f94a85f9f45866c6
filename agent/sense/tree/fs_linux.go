package tree

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/minehound/minehound/agent/host"
)

func fileID(info fs.FileInfo) host.FileID {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return host.FileID{Dev: uint64(st.Dev), Ino: st.Ino} //nolint:unconvert // it is 32 bits wide on some machines
	}
	return host.FileID{}
}

func noProcess(err error) bool { return errors.Is(err, syscall.ESRCH) }
