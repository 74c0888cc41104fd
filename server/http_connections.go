package server

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Bounds of open connections, and the time in which a client has to take what
// is written to it.
const (
	maxConnections           = 8192
	maxConnectionsPerAddress = 1024
	writeTimeout             = 30 * time.Second
)

// Kinds of connections that are beyond a bound.
const (
	// BeyondTotal: there are as many connections as there may be.
	BeyondTotal = "total"
	// BeyondAddress: as many come from one address as may.
	BeyondAddress = "address"
)

// ConnectionLimits bound the connections to a server, so that whoever opens many
// and is slow on them does not keep others out.
type ConnectionLimits struct {
	// Total is how many may be open. 0: 8192.
	Total int
	// PerAddress is how many may be open from one IPv4 address or IPv6 network
	// of 64 bits. 0: 1024.
	PerAddress int
	// Proxies are networks for which PerAddress does not count.
	Proxies []netip.Prefix
	// WriteTimeout is how long a client may leave unread what is written to it.
	// 0: 30 seconds.
	WriteTimeout time.Duration
	// Refused is told of each connection that is closed at once: [BeyondTotal] or
	// [BeyondAddress]. Nil: nobody is.
	Refused func(kind string)
	// Logger is told once a minute that connections are refused. Nil: it is not
	// logged.
	Logger *slog.Logger
}

// LimitConnections returns listener with bounds on the connections that it
// accepts. Those beyond are closed at once. A TLS listener goes around it.
func LimitConnections(listener net.Listener, limits ConnectionLimits) net.Listener {
	if limits.Total == 0 {
		limits.Total = maxConnections
	}
	if limits.PerAddress == 0 {
		limits.PerAddress = maxConnectionsPerAddress
	}
	if limits.WriteTimeout == 0 {
		limits.WriteTimeout = writeTimeout
	}
	if limits.Refused == nil {
		limits.Refused = func(string) {}
	}
	if limits.Logger == nil {
		limits.Logger = slog.New(slog.DiscardHandler)
	}
	return &limitedListener{Listener: listener, limits: limits, from: map[string]int{}}
}

type limitedListener struct {
	net.Listener
	limits ConnectionLimits

	mu     sync.Mutex
	open   int
	from   map[string]int // open ones by network, without those of proxies
	logged time.Time
}

// Accept implements [net.Listener].
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		connection, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := l.countedAs(connection.RemoteAddr())
		beyond := l.admit(from)
		if beyond == "" {
			return &limitedConn{Conn: connection, patience: l.limits.WriteTimeout, release: sync.OnceFunc(func() { l.release(from) })}, nil
		}
		l.limits.Refused(beyond) // before anybody can notice
		_ = connection.Close()   // nobody is told anything on it
	}
}

// StopListening passes on to a unix socket that nobody is to connect to it any
// more.
func (l *limitedListener) StopListening() error {
	if stopping, ok := l.Listener.(interface{ StopListening() error }); ok {
		return stopping.StopListening()
	}
	return nil
}

// SyscallConn implements [syscall.Conn], for whoever has to do with the socket
// itself.
func (l *limitedListener) SyscallConn() (syscall.RawConn, error) { return socketOf(l.Listener) }

// socketOf is the socket under a listener.
func socketOf(listener net.Listener) (syscall.RawConn, error) {
	socket, ok := listener.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return socket.SyscallConn()
}

// countedAs is the network for which a connection counts, empty for none.
func (l *limitedListener) countedAs(remote net.Addr) string {
	peer, err := netip.ParseAddrPort(remote.String())
	if err != nil || isProxy(l.limits.Proxies, peer.Addr().Unmap()) {
		return ""
	}
	return network(peer.Addr())
}

// admit counts one more connection, or returns the bound that it is beyond.
func (l *limitedListener) admit(from string) (beyond string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.open >= l.limits.Total:
		beyond = BeyondTotal
	case from != "" && l.from[from] >= l.limits.PerAddress:
		beyond = BeyondAddress
	default:
		l.open++
		if from != "" {
			l.from[from]++
		}
		return ""
	}
	if now := time.Now(); now.Sub(l.logged) >= time.Minute {
		l.logged = now
		l.limits.Logger.Warn("connections are closed at once: too many are open", "beyond", beyond, "open", l.open)
	}
	return beyond
}

func (l *limitedListener) release(from string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if from == "" {
		return
	}
	if l.from[from]--; l.from[from] == 0 {
		delete(l.from, from)
	}
}

// limitedConn gives up writing to a client that does not read. The time runs
// while something is being written, and not while a stream waits for something
// to tell.
type limitedConn struct {
	net.Conn
	patience time.Duration
	release  func()

	mu       sync.Mutex
	deadline time.Time // what was set from outside, if anything
}

func (c *limitedConn) Write(p []byte) (int, error) {
	if err := c.limitWrite(); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

func (c *limitedConn) limitWrite() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	end := time.Now().Add(c.patience)
	if !c.deadline.IsZero() && c.deadline.Before(end) {
		end = c.deadline
	}
	return c.Conn.SetWriteDeadline(end)
}

func (c *limitedConn) SetDeadline(t time.Time) error {
	if err := c.SetWriteDeadline(t); err != nil {
		return err
	}
	return c.SetReadDeadline(t)
}

func (c *limitedConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	return c.Conn.SetWriteDeadline(t)
}

// CloseWrite lets net/http end a connection so that its last answer arrives.
func (c *limitedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// NetConn returns the connection within.
func (c *limitedConn) NetConn() net.Conn { return c.Conn }

func (c *limitedConn) Close() error {
	c.release()
	return c.Conn.Close()
}
