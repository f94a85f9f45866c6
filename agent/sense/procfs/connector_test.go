package procfs

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// message makes a netlink message of the connector as the kernel does.
func message(what uint32, data ...uint32) []byte {
	size := nlHeader + cnHeader + eventHeader + 4*len(data)
	b := make([]byte, 0, size)
	b = binary.NativeEndian.AppendUint32(b, uint32(size))
	b = binary.NativeEndian.AppendUint16(b, nlDone)
	b = append(b, make([]byte, 10)...)
	b = binary.NativeEndian.AppendUint32(b, cnIdxProc)
	b = binary.NativeEndian.AppendUint32(b, cnValProc)
	b = append(b, make([]byte, 8)...)
	b = binary.NativeEndian.AppendUint16(b, uint16(eventHeader+4*len(data)))
	b = append(b, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, what)
	b = binary.NativeEndian.AppendUint32(b, 0) // cpu
	b = binary.NativeEndian.AppendUint64(b, 77)
	for _, d := range data {
		b = binary.NativeEndian.AppendUint32(b, d)
	}
	return b
}

func TestParseConnector(t *testing.T) {
	var all []byte
	for _, m := range [][]byte{
		message(eventNone, 1),                     // the answer: EPERM
		message(1, 10, 10, 11, 11),                // a fork is nothing yet
		message(eventExec, 11, 11),                // a program
		message(0x200, 11, 11, 0, 0, 0, 0),        // a new name is not used
		message(eventExit, 12, 11, 0, 17, 10, 10), // a thread ends
		message(eventExit, 11, 11, 0, 17, 10, 10), // the process ends
	} {
		all = append(all, m...)
	}
	want := []Change{{Kind: Answered, Since: 77, Err: 1}, {Kind: Executed, PID: 11, Since: 77}, {Kind: Exited, PID: 11, Since: 77}}
	got, err := ParseConnector(all, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for cut := 1; cut < len(message(eventExec, 1, 1)); cut++ {
		if _, err := ParseConnector(message(eventExec, 1, 1)[:cut], nil); !errors.Is(err, ErrFormat) {
			t.Errorf("cut after %d bytes: %v", cut, err)
		}
	}
	if got, err := ParseConnector(message(eventExec, 1, 1<<31), nil); !errors.Is(err, ErrFormat) {
		t.Errorf("an impossible PID: %v, %v", got, err)
	}
}

func TestListenRequestIsWhatTheParserPassesOver(t *testing.T) {
	b := ListenRequest()
	if len(b) != 40 || binary.NativeEndian.Uint32(b) != 40 || binary.NativeEndian.Uint32(b[36:]) != 1 {
		t.Errorf("% x", b)
	}
}
