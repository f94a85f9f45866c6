package procfs

import "encoding/binary"

// ChangeKind is what the process connector told.
type ChangeKind uint8

// What the connector tells that is used.
const (
	Executed ChangeKind = 1 + iota // a process runs another program
	Exited                         // a process, not one of its threads, has ended
	Answered                       // the kernel's answer to the request to listen
)

// Change is one message of the process connector.
type Change struct {
	Kind ChangeKind
	PID  int
	// Since is nanoseconds on the kernel's monotonic clock.
	Since uint64
	// Err is the kernel's answer to the request to listen: 0 or an errno.
	Err int
}

// Sizes and numbers of <linux/netlink.h>, <linux/connector.h> and <linux/cn_proc.h>.
const (
	nlHeader    = 16
	cnHeader    = 20
	eventHeader = 16

	nlDone     = 3
	cnIdxProc  = 1
	cnValProc  = 1
	eventNone  = 0x00000000
	eventExec  = 0x00000002
	eventExit  = 0x80000000
	ListenerOn = 1 // PROC_CN_MCAST_LISTEN
)

// ParseConnector appends to dst what the netlink messages in b tell, in the byte order of this machine, as the kernel
// writes them. Messages of other kinds are passed over; what is torn is ErrFormat, after what came whole before it.
func ParseConnector(b []byte, dst []Change) ([]Change, error) {
	for len(b) > 0 {
		if len(b) < nlHeader {
			return dst, ErrFormat
		}
		size := int(binary.NativeEndian.Uint32(b))
		if size < nlHeader || size > len(b) {
			return dst, ErrFormat
		}
		if binary.NativeEndian.Uint16(b[4:]) == nlDone {
			c, ok, err := change(b[nlHeader:size])
			if err != nil {
				return dst, err
			}
			if ok {
				dst = append(dst, c)
			}
		}
		b = b[min((size+3)&^3, len(b)):] // messages start at multiples of 4
	}
	return dst, nil
}

func change(b []byte) (c Change, ok bool, err error) {
	if len(b) < cnHeader {
		return c, false, ErrFormat
	}
	if binary.NativeEndian.Uint32(b) != cnIdxProc || binary.NativeEndian.Uint32(b[4:]) != cnValProc {
		return c, false, nil
	}
	size := int(binary.NativeEndian.Uint16(b[16:]))
	b = b[cnHeader:]
	if size > len(b) || size < eventHeader+4 {
		return c, false, ErrFormat
	}
	b = b[:size]
	c.Since = binary.NativeEndian.Uint64(b[8:])
	data := b[eventHeader:]
	switch binary.NativeEndian.Uint32(b) {
	case eventNone:
		c.Kind, c.Err = Answered, int(binary.NativeEndian.Uint32(data))
		return c, true, nil
	case eventExec:
		c.Kind = Executed
	case eventExit:
		c.Kind = Exited
	default:
		return c, false, nil
	}
	if len(data) < 8 {
		return c, false, ErrFormat
	}
	thread, process := binary.NativeEndian.Uint32(data), binary.NativeEndian.Uint32(data[4:])
	if process == 0 || process > 1<<30 {
		return c, false, ErrFormat
	}
	c.PID = int(process)
	return c, c.Kind == Executed || thread == process, nil
}

// ListenRequest is the netlink message that asks the kernel to tell of processes.
func ListenRequest() []byte {
	const size = nlHeader + cnHeader + 4
	b := make([]byte, size)
	binary.NativeEndian.PutUint32(b, size)
	binary.NativeEndian.PutUint16(b[4:], nlDone)
	binary.NativeEndian.PutUint32(b[nlHeader:], cnIdxProc)
	binary.NativeEndian.PutUint32(b[nlHeader+4:], cnValProc)
	binary.NativeEndian.PutUint16(b[nlHeader+16:], 4)
	binary.NativeEndian.PutUint32(b[nlHeader+cnHeader:], ListenerOn)
	return b
}
