package edge

import (
	"cmp"
	"log/slog"
	"net"
	"net/netip"
	"sync"
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

// ConnectionLimits bound the connections to a server, so that a client that opens
// many and is slow on them does not keep others out.
type ConnectionLimits struct {
	// Total is how many may be open. 0: 8192, or fewer where the process may not
	// open twice as many files.
	Total int
	// PerAddress is how many may be open from one IPv4 address or IPv6 network
	// of 64 bits. 0: 1024, or an eighth of a smaller default for Total.
	PerAddress int
	// Proxies are networks for which PerAddress does not count.
	Proxies []netip.Prefix
	// WriteTimeout is how long a client may leave unread what is written to it.
	// 0: 30 seconds.
	WriteTimeout time.Duration
	// Refused is called for each connection that is closed because too many are
	// open, with [BeyondTotal] or [BeyondAddress]. Nil: nothing is called.
	Refused func(kind string)
	// Logger gets a line a minute while connections are closed. Nil: nothing is
	// logged.
	Logger *slog.Logger
}

// LimitConnections returns listener with bounds on the connections that it
// accepts. A TLS listener goes around it.
//
// A connection beyond a bound takes the place of another one: of one that never
// showed a token that the API accepted, or else of one on which no request is
// open. If there is neither, the new connection is closed at once.
func LimitConnections(listener net.Listener, limits ConnectionLimits) net.Listener {
	if limits.Total == 0 {
		limits.Total = connectionsFor(openFiles())
		if limits.Total < maxConnections {
			limits.PerAddress = cmp.Or(limits.PerAddress, max(limits.Total/8, 1))
		}
	}
	limits.PerAddress = cmp.Or(limits.PerAddress, maxConnectionsPerAddress)
	limits.WriteTimeout = cmp.Or(limits.WriteTimeout, writeTimeout)
	if limits.Refused == nil {
		limits.Refused = func(string) {}
	}
	if limits.Logger == nil {
		limits.Logger = slog.New(slog.DiscardHandler)
	}
	return &limitedListener{Listener: listener, limits: limits, table: newConnectionTable(limits.Total, limits.PerAddress)}
}

// otherFiles is how many files a server opens besides those of its connections
// and of the requests to the API that these cause.
const otherFiles = 96

// connectionsFor returns how many connections a process may accept that can have
// so many files open: each may need another one to the API. 0 means any number.
func connectionsFor(files int) int {
	if files == 0 {
		return maxConnections
	}
	return min(max((files-otherFiles)/2, 16), maxConnections)
}

type limitedListener struct {
	net.Listener
	limits ConnectionLimits
	table  *connectionTable

	mu     sync.Mutex
	logged time.Time
}

// Accept implements [net.Listener].
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		network, proxy := l.countedAs(accepted.RemoteAddr())
		connection := &limitedConn{Conn: accepted, patience: l.limits.WriteTimeout, network: network, fromProxy: proxy, table: l.table}
		outcome := l.table.admit(connection)
		if outcome.beyond != "" {
			l.limits.Refused(outcome.beyond) // before anybody can notice
			l.log(outcome)
		}
		if outcome.closed != nil {
			_ = outcome.closed.Close() // nothing is written on it
		}
		if outcome.closed != connection {
			return connection, nil
		}
	}
}

// log reports once a minute that connections are closed.
func (l *limitedListener) log(outcome admission) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.logged) >= time.Minute {
		l.logged = now
		l.limits.Logger.Warn("connections are being closed because too many are open", "beyond", outcome.beyond, "open", outcome.open)
	}
}

// StopListening passes on to a unix socket that it accepts nobody else.
func (l *limitedListener) StopListening() error {
	if stopping, ok := l.Listener.(interface{ StopListening() error }); ok {
		return stopping.StopListening()
	}
	return nil
}

// countedAs returns the network for which a connection counts, and whether it comes
// from trusted proxies, which count together and without a bound of their own.
func (l *limitedListener) countedAs(remote net.Addr) (_ string, proxy bool) {
	peer, err := netip.ParseAddrPort(remote.String())
	if err != nil || isProxy(l.limits.Proxies, peer.Addr().Unmap()) {
		return "", true
	}
	return network(peer.Addr()), false
}

// limitedConn gives up writing to a client that does not read. The time runs only
// while something is being written, not while a stream is silent.
type limitedConn struct {
	net.Conn
	patience  time.Duration
	network   string
	fromProxy bool
	table     *connectionTable

	place connectionPlace // the table's, under its lock

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
	c.table.remove(c)
	return c.Conn.Close()
}
