package peer

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
)

func isOwnUser(conn net.Conn) bool {
	conn = innermost(conn)
	var uid int
	var err error
	if _, isUnix := conn.LocalAddr().(*net.UnixAddr); isUnix {
		uid, err = unixPeer(conn)
	} else {
		uid, err = tcpPeer(conn)
	}
	return err == nil && (uid == 0 || uid == os.Geteuid()) && hasNumber(uid)
}

// unixPeer returns the user who connected (unix(7), SO_PEERCRED).
func unixPeer(conn net.Conn) (int, error) {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, err
	}
	var credentials *syscall.Ucred
	var errOption error
	err = raw.Control(func(fd uintptr) {
		credentials, errOption = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err = errors.Join(err, errOption); err != nil {
		return 0, err
	}
	return int(credentials.Uid), nil
}

var (
	errNotLocal  = errors.New("the connection does not come from this machine")
	errNotFound  = errors.New("no open socket is at the other end")
	errAmbiguous = errors.New("several sockets are at the other end")
)

// tcpPeer returns the user whose socket is at the other end.
func tcpPeer(conn net.Conn) (int, error) {
	local, remote, ok := loopbackEnds(conn)
	if !ok {
		return 0, errNotLocal
	}
	uid, err := socketOwner(remote, local)
	if errors.Is(err, errNotFound) {
		// The kernel can leave out a socket while others next to it come and go.
		uid, err = socketOwner(remote, local)
	}
	return uid, err
}

// entry is what the kernel shows of a socket.
type entry struct{ uid, inode string }

// socketOwner finds who owns the socket that is bound to local and connected to remote. A
// socket for IPv6 that is connected to an IPv4 address is in the table for IPv6.
func socketOwner(local, remote netip.AddrPort) (int, error) {
	var found []entry
	for _, table := range []struct {
		path string
		is6  bool
	}{{"/proc/self/net/tcp", false}, {"/proc/self/net/tcp6", true}} {
		if !table.is6 && local.Addr().Is6() {
			continue
		}
		pattern := " " + tableAddress(local, table.is6) + " " + tableAddress(remote, table.is6) + " 01 " // TCP_ESTABLISHED
		entries, err := findSockets(table.path, pattern)
		if table.is6 && errors.Is(err, fs.ErrNotExist) && local.Addr().Is4() {
			continue // this kernel has no IPv6
		}
		if err != nil {
			return 0, err
		}
		found = append(found, entries...)
	}
	switch {
	case len(found) == 0:
		return 0, errNotFound
	case len(found) > 1:
		return 0, errAmbiguous
	case found[0].inode == "0":
		return 0, errNotFound // no process has it, and its user counts as root
	}
	return strconv.Atoi(found[0].uid)
}

// findSockets returns what a table of proc_pid_net(5) says of the sockets whose
// line contains pattern. Lines that are the same count once.
func findSockets(path, pattern string) ([]entry, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	var found []entry
	lines := bufio.NewReaderSize(file, 64<<10)
	for wanted := []byte(pattern); ; {
		line, err := lines.ReadSlice('\n')
		if bytes.Contains(line, wanted) {
			// sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode …
			fields := strings.Fields(string(line))
			if len(fields) < 10 {
				return nil, errors.New("the table has another form than expected")
			}
			if e := (entry{fields[7], fields[9]}); len(found) == 0 || found[len(found)-1] != e {
				found = append(found, e)
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return found, nil
		case err != nil:
			return nil, err
		}
	}
}

// tableAddress writes an address as the kernel's tables do: each four bytes as a
// number in the machine's byte order, in hexadecimal.
func tableAddress(a netip.AddrPort, is6 bool) string {
	raw := a.Addr().AsSlice()
	if is6 {
		mapped := a.Addr().As16()
		raw = mapped[:]
	}
	var b strings.Builder
	for i := 0; i < len(raw); i += 4 {
		fmt.Fprintf(&b, "%08X", binary.NativeEndian.Uint32(raw[i:]))
	}
	fmt.Fprintf(&b, ":%04X", a.Port())
	return b.String()
}

// nobody is the number that user namespaces show for users without one, unless
// the system says otherwise (user_namespaces(7)).
const nobody = "65534"

// hasNumber reports whether uid stands for one user, and not for all those that
// have no number in our user namespace.
func hasNumber(uid int) bool {
	overflow := nobody
	if content, err := os.ReadFile("/proc/sys/kernel/overflowuid"); err == nil {
		overflow = strings.TrimSpace(string(content))
	}
	if strconv.Itoa(uid) != overflow {
		return true
	}
	numbers, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && strings.Join(strings.Fields(string(numbers)), " ") == "0 0 4294967295"
}
