package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"
)

// BadAddress returns the usage error for an address that flag cannot hold.
func BadAddress(flag, address, example string) error {
	return Usagef("%s cannot be %q; write an address and a port such as %s", flag, address, example)
}

// ListenFor listens on the address that flag holds. Its errors name the flag.
func ListenFor(ctx context.Context, address, flag string) (net.Listener, error) {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = net.DefaultResolver.LookupPort(ctx, "tcp", port)
	}
	if err != nil {
		return nil, BadAddress(flag, address, "127.0.0.1:8765")
	}
	var config net.ListenConfig
	config.SetMultipathTCP(false) // the lookup of a peer's user is for plain TCP
	listener, err := config.Listen(ctx, "tcp", address)
	var name *net.DNSError
	switch {
	case err == nil:
		return listener, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s is in use by another program. Stop it, or choose another port with %s", address, flag)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("this machine does not have the address %s. Choose one of its addresses with %s, or 0.0.0.0 for all", address, flag)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("this process may not listen on %s. Choose a port from 1024 up with %s, or give it CAP_NET_BIND_SERVICE", address, flag)
	case errors.As(err, &name):
		return nil, fmt.Errorf("the host name in %s cannot be resolved. Choose an address of this machine with %s", address, flag)
	}
	return nil, fmt.Errorf("cannot listen on %s (%w). Choose another address and port with %s", address, err, flag)
}
