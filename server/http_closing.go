package server

import (
	"net"
	"time"
)

// endConnecting lets no further connections in on listener, and gives those that
// are there time to be accepted.
func endConnecting(listener net.Listener, patience time.Duration) error {
	socket, ok := listener.(interface{ StopListening() error })
	if _, isUnix := listener.Addr().(*net.UnixAddr); !ok || !isUnix {
		return settle(listener, patience)
	}
	if err := socket.StopListening(); err != nil {
		return err
	}
	time.Sleep(patience)
	return nil
}
