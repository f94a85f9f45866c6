package sense

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/minehound/minehound/agent/sense/procfs"
)

// open makes the socket, asks the kernel to tell of processes and waits for its answer.
func (c *connector) open() error {
	var err error
	if c.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	c.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_CONNECTOR)
	if err != nil {
		return fmt.Errorf("socket: %w", notHere(err))
	}
	if err := c.filter(); err != nil {
		return fmt.Errorf("filter: %w", err)
	}
	// More room than the default where permitted; what does not fit is counted.
	if unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 1<<20) != nil {
		_ = unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1<<20)
	}
	const group = 1 // CN_IDX_PROC
	if err := unix.Bind(c.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: group}); err != nil {
		return fmt.Errorf("bind: %w", notHere(err))
	}
	if err := unix.Sendto(c.fd, procfs.ListenRequest(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("ask to listen: %w", notHere(err))
	}
	return c.answer()
}

// notHere makes the kernel's refusals the sensors'.
func notHere(err error) error {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w: needs CAP_NET_ADMIN", ErrPermission)
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EAFNOSUPPORT):
		return fmt.Errorf("%w: no process connector in this kernel or network namespace", ErrUnsupported)
	}
	return err
}

// filter has the kernel wake this program only for what is used: programs executed, processes (not threads) ended, and the
// answer to the request. Otherwise every thread of every program would.
func (c *connector) filter() error {
	const (
		what, thread, process = 16 + 20, 16 + 20 + 16, 16 + 20 + 16 + 4 // offsets of struct proc_event in the message
		load                  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal                 = unix.BPF_JMP | unix.BPF_JEQ
	)
	big := func(n uint32) uint32 { // the filter sees words in network order
		b := (*[4]byte)(unsafe.Pointer(&n))
		return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	}
	program := []unix.SockFilter{
		{Code: load, K: what},
		{Code: equal | unix.BPF_K, K: big(0x00000002), Jt: 6}, // exec
		{Code: equal | unix.BPF_K, K: 0, Jt: 5},               // answer
		{Code: equal | unix.BPF_K, K: big(0x80000000), Jf: 5}, // exit
		{Code: load, K: thread},
		{Code: unix.BPF_MISC | unix.BPF_TAX},
		{Code: load, K: process},
		{Code: equal | unix.BPF_X, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	return unix.SetsockoptSockFprog(c.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog)
}

func (c *connector) answer() error {
	for deadline := time.Now().Add(answerWithin); ; {
		left := time.Until(deadline)
		if left <= 0 {
			return fmt.Errorf("no answer from the kernel: %w outside the machine's own PID namespace", ErrPermission)
		}
		polls := []unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(polls, int(left/time.Millisecond)+1); err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("poll: %w", err)
		}
		if polls[0].Revents == 0 {
			continue
		}
		changes, err := c.receive()
		if err != nil {
			return err
		}
		for _, change := range changes {
			if change.Kind != procfs.Answered {
				continue
			}
			if change.Err != 0 {
				return notHere(unix.Errno(change.Err))
			}
			return nil
		}
	}
}
