package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/mark3labs/mcp-go/server"

	"github.com/kenbun/kenbun-mcp/client"
)

// Bounds of what comes in over HTTP.
const (
	maxRequestBody    = 1 << 20
	maxRequestHeader  = 16 << 10
	headerTimeout     = 5 * time.Second
	bodyTimeout       = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	shutdownTimeout   = 10 * time.Second
	sessionIdleLimit  = 30 * time.Minute
	maxSessions       = 10_000
	verifiedFor       = 30 * time.Second
	maxVerifiedTokens = 10_000
)

// MCPPath is where the MCP endpoint is.
const MCPPath = "/mcp"

// Identity says as whom calls over HTTP run.
type Identity string

const (
	// IdentityCaller: each request brings its own token and runs as its user.
	IdentityCaller Identity = "caller"
	// IdentityServer: all requests run with the server's own token. Only on
	// loopback, since whoever reaches the server acts as its owner.
	IdentityServer Identity = "server"
)

// HTTPConfig is how the server is reached over HTTP.
type HTTPConfig struct {
	// Identity says as whom calls run. Empty: IdentityCaller.
	Identity Identity
	// API checks the tokens of callers.
	API *client.Client
	// AllowedHosts are the Host headers that are served, beside loopback names:
	// names or addresses, with a port or for every port.
	AllowedHosts []string
	// AllowedOrigins are the origins from which browsers may call, such as
	// "https://tools.example.com". Without any, no browser may.
	AllowedOrigins []string
}

// HTTPHandler serves MCP on [MCPPath] to many clients.
func (s *Server) HTTPHandler(config HTTPConfig) (http.Handler, error) {
	hosts, err := newHostList(config.AllowedHosts)
	if err != nil {
		return nil, err
	}
	origins, err := newOriginList(config.AllowedOrigins)
	if err != nil {
		return nil, err
	}
	sessions := newSessions(maxSessions, sessionIdleLimit)
	endpoint := http.Handler(server.NewStreamableHTTPServer(s.mcp,
		server.WithSessionIdManagerResolver(sessions),
		server.WithSessionIdleTTL(sessionIdleLimit),
		server.WithStreamableHTTPLogger(s.log),
		// The Host list below is stricter and applies to every address.
		server.WithDisableLocalhostProtection(true),
	))
	endpoint = guardSessions(sessions, endpoint)
	endpoint = guardMessages(endpoint)
	switch config.Identity {
	case IdentityCaller, "":
		if config.API == nil {
			return nil, errors.New("callers cannot be told apart without the API")
		}
		endpoint = requireToken(newVerifier(config.API, verifiedFor, maxVerifiedTokens), endpoint)
	case IdentityServer:
		endpoint = requireLoopback(refuseToken(withCallerID(serverCallerID, endpoint)))
	default:
		return nil, fmt.Errorf("identity cannot be %q; use caller or server", config.Identity)
	}
	endpoint = bufferBody(endpoint)

	mux := http.NewServeMux()
	mux.Handle(MCPPath, endpoint)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	// Clients look here for an authorization server. There is none: tokens are
	// made in kenbun. An answer in JSON keeps them from trying to read a page.
	mux.HandleFunc("/.well-known/", notFound)
	mux.HandleFunc("/", notFound)

	return recoverPanics(s.log, logRequests(s.log, hosts.guard(origins.guard(mux)))), nil
}

// Serve answers requests on listener until ctx is done, then lets those that
// are open finish for up to ten seconds.
func (s *Server) Serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	httpServer := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       bodyTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxRequestHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
		// No WriteTimeout: an answer may wait for a person.
	}
	failed := make(chan error, 1)
	go func() { failed <- httpServer.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := httpServer.Shutdown(ending); err != nil {
		s.log.Warn("some requests did not end in time", "cause", err)
		return httpServer.Close()
	}
	return nil
}

func notFound(w http.ResponseWriter, _ *http.Request) {
	writeProblem(w, http.StatusNotFound, "not_found", "there is nothing here; the MCP endpoint is "+MCPPath)
}
