package server

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// noFurtherConnections is a filter that drops the first packet of a TCP
// connection, the one with SYN and without ACK, and nothing else.
var noFurtherConnections = [...]unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 13}, // the flags in a TCP header
	{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: 0x12},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: 0x02, Jt: 0, Jf: 1},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff},
}

// settle lets no further connections in on listener, and waits until those that
// are there have been accepted. Without, the kernel would reset at the
// listener's end what it has connected and nobody has accepted, with requests on
// it that a proxy may not repeat, since it cannot know that they were never
// read. Whoever's first packet is dropped sends another after a second, and is
// refused then: a proxy goes to the next replica.
//
// A listener whose socket takes no filter is left as it is.
func settle(listener net.Listener, patience time.Duration) error {
	connection, ok := listener.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := connection.SyscallConn()
	if err != nil {
		return fmt.Errorf("reach the listening socket: %w", err)
	}
	filter := unix.SockFprog{Len: uint16(len(noFurtherConnections)), Filter: &noFurtherConnections[0]}
	var refused error
	err = raw.Control(func(fd uintptr) {
		refused = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &filter)
	})
	if err = errors.Join(err, refused); err != nil {
		return fmt.Errorf("let no further connections in: %w", err)
	}
	time.Sleep(patience)
	return nil
}
