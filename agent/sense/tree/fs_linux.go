package tree

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/minehound/minehound/agent/host"
)

// complete adds what only os.Stat tells.
func complete(f *File, info fs.FileInfo) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return
	}
	f.ID = host.FileID{Dev: uint64(st.Dev), Ino: st.Ino} //nolint:unconvert // it is 32 bits wide on some machines
	f.Changed = st.Ctim.Nano()
	f.Unlinked = host.FactOf(st.Nlink == 0)
}

func noProcess(err error) bool { return errors.Is(err, syscall.ESRCH) }
