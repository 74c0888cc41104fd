package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"github.com/kenbun/kenbun-mcp/internal/unixsocket"
	"github.com/kenbun/kenbun-mcp/server"
)

func isLoopbackAddress(address string) (bool, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false, badAddress("--listen", address, "127.0.0.1:8765")
	}
	if host == "localhost" {
		return true, nil
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback(), nil
}

func badAddress(flag, address, example string) error {
	return usageErrorf("%s cannot be %q; write an address and a port such as %s", flag, address, example)
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
			return false, badAddress("--listen", f.listen, "unix:/run/kenbun-mcp/socket")
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
		return listenFor(ctx, f.listen, "--listen")
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

// listenFor names the flag that the address came from where it cannot be had.
func listenFor(ctx context.Context, address, flag string) (net.Listener, error) {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = net.DefaultResolver.LookupPort(ctx, "tcp", port)
	}
	if err != nil {
		return nil, badAddress(flag, address, "127.0.0.1:8765")
	}
	var config net.ListenConfig
	config.SetMultipathTCP(false) // the lookup of a peer's user is for plain TCP
	listener, err := config.Listen(ctx, "tcp", address)
	var name *net.DNSError
	switch {
	case err == nil:
		return listener, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s is in use by another program: end that, or choose another port with %s", address, flag)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("this machine does not have the address of %s: choose one that it has with %s, or 0.0.0.0 for all", address, flag)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("this process has no right to listen on %s: choose a port from 1024 on with %s, or give it CAP_NET_BIND_SERVICE", address, flag)
	case errors.As(err, &name):
		return nil, fmt.Errorf("the name in %s is not known here: choose an address of this machine with %s", address, flag)
	}
	return nil, fmt.Errorf("nothing can listen on %s: choose another address and port with %s (%w)", address, flag, err)
}
