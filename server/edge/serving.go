package edge

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/peer"
)

const (
	maxRequestHeader = 16 << 10
	// headerSlack is what net/http reads of a head beyond MaxHeaderBytes.
	headerSlack = 4 << 10
)

// Timeouts bound how long the parts of an HTTP exchange may take.
type Timeouts struct {
	// Header is for the head of a request, Body for all of it.
	Header, Body time.Duration
	// Idle is how long a connection is kept for the next request.
	Idle time.Duration
	// Shutdown is how long open requests may still take at the end.
	Shutdown time.Duration
	// Write is how long a client may leave unread what is written to it.
	Write time.Duration
}

// DefaultTimeouts returns the usual ones.
func DefaultTimeouts() Timeouts {
	return Timeouts{
		Header:   5 * time.Second,
		Body:     30 * time.Second,
		Idle:     2 * time.Minute,
		Shutdown: 10 * time.Second,
		Write:    writeTimeout,
	}
}

// Serve answers requests on listener until ctx is done. It goes on for the time
// drain, while [ReadyPath] shows that it is draining, so that load balancers send
// their requests elsewhere. Then it accepts no more connections, and lets the open
// requests finish. A unix socket can be reached no more from the beginning of that
// time on, and the connections that are there are accepted.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler, timeouts Timeouts, drain time.Duration, logger *slog.Logger) error {
	httpServer := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: timeouts.Header,
		ReadTimeout:       timeouts.Body,
		IdleTimeout:       timeouts.Idle,
		MaxHeaderBytes:    maxRequestHeader - headerSlack,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
		// net/http would answer "OPTIONS *" itself, whatever Host and Origin are.
		DisableGeneralOptionsHandler: true,
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(context.WithoutCancel(ctx), servingKey{}, ctx)
		},
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return withConnection(peer.ConnContext(ctx, conn), conn)
		},
		// What HTTP/2 buffers before a handler reads it counts for no budget.
		HTTP2: &http.HTTP2Config{MaxReceiveBufferPerConnection: 64 << 10, MaxReceiveBufferPerStream: smallBody, MaxConcurrentStreams: 100},
		// There is no WriteTimeout, because an answer may wait for a user.
	}
	failed := make(chan error, 1)
	go func() { failed <- httpServer.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}
	if socket, ok := listener.(interface{ StopListening() error }); ok {
		// The proxy in front of a unix socket finds its file gone, and needs no probe.
		if err := socket.StopListening(); err != nil {
			logger.Debug("the socket accepts connections to the end", "cause", err)
		}
	}
	time.Sleep(drain)
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeouts.Shutdown)
	defer cancel()
	err := httpServer.Shutdown(ending)
	if err != nil {
		logger.Warn("some requests did not end in time", "cause", err)
		err = httpServer.Close()
	}
	return err
}

type servingKey struct{}

// Serving returns a context that is done when the server of a request's context
// begins to drain.
func Serving(ctx context.Context) context.Context {
	if serving, ok := ctx.Value(servingKey{}).(context.Context); ok {
		return serving
	}
	return context.WithoutCancel(ctx)
}
