//go:build !linux

package server

import (
	"net"
	"time"
)

// settle does what only Linux can.
func settle(net.Listener, time.Duration) error { return nil }
