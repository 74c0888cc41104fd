// Package peer reports whether a connection was made by the user of this process.
package peer

import (
	"context"
	"net"
	"net/netip"
	"sync"
)

type contextKey struct{}

// ConnContext is for [net/http.Server.ConnContext]. Requests on conn can then ask
// [IsOwnUser].
func ConnContext(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, contextKey{}, sync.OnceValue(func() bool { return isOwnUser(conn) }))
}

// IsOwnUser reports whether the connection of a request comes from a process of
// this machine that runs as the user of this process, or as root, who can read
// our memory anyway. ctx is the context of the request. The first call on a
// connection looks, and its answer holds for the connection.
//
// On Linux it is false whenever that is not known: the client's socket is not
// found, is found more than once, is closed, or the system's tables cannot be
// read. Other systems do not tell who made a loopback connection. There it only
// reports whether the connection comes from this machine, and something else has
// to keep other users out.
//
// It is false for requests of a server without [ConnContext].
func IsOwnUser(ctx context.Context) bool {
	verdict, ok := ctx.Value(contextKey{}).(func() bool)
	return ok && verdict()
}

// innermost returns the connection under TLS and the like.
func innermost(conn net.Conn) net.Conn {
	for {
		outer, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return conn
		}
		conn = outer.NetConn()
	}
}

// loopbackEnds returns both ends of a TCP connection within this machine.
func loopbackEnds(conn net.Conn) (local, remote netip.AddrPort, ok bool) {
	local, localOK := loopbackEnd(conn.LocalAddr())
	remote, remoteOK := loopbackEnd(conn.RemoteAddr())
	return local, remote, localOK && remoteOK
}

func loopbackEnd(address net.Addr) (netip.AddrPort, bool) {
	tcp, ok := address.(*net.TCPAddr)
	if !ok || tcp.Zone != "" {
		return netip.AddrPort{}, false
	}
	end := tcp.AddrPort()
	end = netip.AddrPortFrom(end.Addr().Unmap(), end.Port())
	return end, end.Addr().IsLoopback()
}
