package serve

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/unixsocket"
	"github.com/kenbun/kenbun-mcp/server"
)

func isLoopbackAddress(address string) (bool, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false, command.BadAddress("--listen", address, "127.0.0.1:8765")
	}
	if host == "localhost" {
		return true, nil
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback(), nil
}

// socket returns the path in --listen unix:PATH.
func (f *httpFlags) socket() (path string, ok bool) { return strings.CutPrefix(f.listen, "unix:") }

func (f *httpFlags) isUnix() bool {
	_, ok := f.socket()
	return ok
}

// isLocal reports whether only this machine can reach the address in --listen.
func (f *httpFlags) isLocal() (bool, error) {
	if path, isUnix := f.socket(); isUnix {
		if path == "" {
			return false, command.BadAddress("--listen", f.listen, "unix:/run/kenbun-mcp/socket")
		}
		return true, nil
	}
	return isLoopbackAddress(f.listen)
}

// open listens where --listen says. Without tokens of callers, only the server's
// own user may connect to a unix socket.
func (f *httpFlags) open(ctx context.Context, identity server.Identity) (net.Listener, error) {
	path, isUnix := f.socket()
	if !isUnix {
		return command.ListenFor(ctx, f.listen, "--listen")
	}
	access := unixsocket.Group
	if identity == server.IdentityServer {
		access = unixsocket.OwnUser
	}
	listener, err := unixsocket.Listen(ctx, path, access)
	if err != nil {
		return nil, fmt.Errorf("--listen %s: %w", f.listen, err)
	}
	return listener, nil
}

// endpoint is where the server serves, for people to read.
func (f *httpFlags) endpoint(listener net.Listener) string {
	if f.isUnix() {
		return fmt.Sprintf("unix:%s, path %s", listener.Addr(), server.MCPPath)
	}
	return f.edge.scheme() + listener.Addr().String() + server.MCPPath
}
