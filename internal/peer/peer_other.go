//go:build !linux

package peer

import "net"

func isOwnUser(conn net.Conn) bool {
	conn = innermost(conn)
	if _, isUnix := conn.LocalAddr().(*net.UnixAddr); isUnix {
		return true // the modes of the socket and its folder guard it
	}
	_, _, ok := loopbackEnds(conn)
	return ok
}
