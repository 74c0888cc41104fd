package human

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// OfAnotherUser reports whether the other end of a loopback connection belongs
// to another user of this machine, who may have read a page's address in the
// process list. Root is let in, since root can read our memory anyway.
//
// proc_pid_net(5) gives the owner of each socket of this network namespace. A
// socket that is not in the table is not one of another local user's: it was
// brought here by the system, as WSL does.
func OfAnotherUser(peer, own netip.AddrPort) bool {
	table := "/proc/self/net/tcp"
	if peer.Addr().Is6() {
		table += "6"
	}
	content, err := os.ReadFile(table)
	if err != nil {
		// Without the table (a strict sandbox) the address alone has to guard.
		return false
	}
	uid, found := socketOwner(content, peer, own)
	return found && uid != 0 && uid != os.Getuid()
}

// socketOwner finds who owns the socket that is bound to local and connected to
// remote.
func socketOwner(table []byte, local, remote netip.AddrPort) (uid int, found bool) {
	wantLocal, wantRemote := procAddress(local), procAddress(remote)
	lines := bufio.NewScanner(bytes.NewReader(table))
	for lines.Scan() {
		// sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid …
		fields := strings.Fields(lines.Text())
		if len(fields) < 8 || fields[1] != wantLocal || fields[2] != wantRemote {
			continue
		}
		if uid, err := strconv.Atoi(fields[7]); err == nil {
			return uid, true
		}
	}
	return 0, false
}

// procAddress writes an address as the kernel's table does: each four bytes as
// a number in the machine's byte order, in hexadecimal.
func procAddress(a netip.AddrPort) string {
	var b strings.Builder
	raw := a.Addr().AsSlice()
	for i := 0; i < len(raw); i += 4 {
		fmt.Fprintf(&b, "%08X", binary.NativeEndian.Uint32(raw[i:]))
	}
	fmt.Fprintf(&b, ":%04X", a.Port())
	return b.String()
}
