package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"
)

// BadAddress returns the usage error for an address that flag does not take.
func BadAddress(flag, address, example string) error {
	return Usagef("%s cannot be %q; write an address and a port such as %s", flag, address, example)
}

// ListenFor names the flag that the address came from where it cannot be had.
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
