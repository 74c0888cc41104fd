//go:build !unix

package unixsocket

import (
	"context"
	"errors"
	"net"
)

// Access says who can connect.
type Access int

// The kinds of access.
const (
	OwnUser Access = iota
	Group
)

// Listen fails: this system has no file modes that would keep others out.
func Listen(context.Context, string, Access) (net.Listener, error) {
	return nil, errors.New("this system cannot keep other users from a unix socket: listen on a loopback address")
}
