package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/human"
	"github.com/kenbun/kenbun-mcp/internal/peer"
)

// Bounds of what comes in over HTTP.
const (
	maxRequestBody       = 1 << 20
	maxRequestHeader     = 16 << 10
	maxSessions          = 10_000
	maxSessionsPerCaller = 100
	verifiedFor          = 30 * time.Second
	maxAcceptedTokens    = 20_000
)

// DefaultSessionIdle is how long a session of an older protocol may be silent.
const DefaultSessionIdle = 30 * time.Minute

// headerSlack is what net/http reads of a head beyond MaxHeaderBytes.
const headerSlack = 4 << 10

// timeouts bound how long the parts of an HTTP exchange may take.
type timeouts struct {
	// header is for a request's head, body for the whole request.
	header, body time.Duration
	// idle is how long a connection is kept for the next request.
	idle time.Duration
	// settling is how long connections have to come about that had begun to when
	// no more were let in: a round trip to a proxy, and some patience with the
	// scheduler.
	settling time.Duration
	// shutdown is how long open requests may still take at the end.
	shutdown time.Duration
	// write is for a client to take what is written to it.
	write time.Duration
}

var defaultTimeouts = timeouts{
	header:   5 * time.Second,
	body:     30 * time.Second,
	idle:     2 * time.Minute,
	settling: 250 * time.Millisecond,
	shutdown: 10 * time.Second,
	write:    writeTimeout,
}

// MCPPath is where the MCP endpoint is.
const MCPPath = "/mcp"

// Identity says as whom calls over HTTP run.
type Identity string

const (
	// IdentityCaller means that each request brings its own token and runs as
	// its user.
	IdentityCaller Identity = "caller"
	// IdentityServer means that all requests run with the server's own token. They
	// must come from the server's own user on this machine, and bring the key of
	// [HTTPConfig.Key] unless they come over a unix socket.
	IdentityServer Identity = "server"
)

// HTTPConfig is how the server is reached over HTTP.
type HTTPConfig struct {
	// Identity says as whom calls run. Empty: IdentityCaller.
	Identity Identity
	// Key is what clients must send over TCP where Identity is IdentityServer, as a
	// Bearer token or in X-API-Key. Empty: unix sockets alone are served.
	Key client.Secret
	// API checks the tokens of callers.
	API *client.Client
	// AllowedHosts are the Host headers that are served, beside loopback names:
	// names or addresses, with a port or for every port.
	AllowedHosts []string
	// AllowedOrigins are the origins from which browsers may call, such as
	// "https://tools.example.com" or "tauri://localhost". Without any, no browser
	// may.
	AllowedOrigins []string
	// TokenHeader is the one header that counts for the token or the key. Empty: it
	// may come in Authorization or in X-API-Key.
	TokenHeader string
	// Claims are new tokens that wait for their users, who fetch them at
	// [human.ClaimPath]. Nil: there is no such address. Only for IdentityCaller.
	Claims *human.Claims
	// PublicURL is the address of this server as people's browsers know it,
	// such as "https://mcp.example.com". Empty: the Host header tells.
	PublicURL string
	// CallerKey is the key under which callers are named. Nil: a random one.
	// Replicas that share claims or approvals need the same.
	CallerKey []byte
	// SessionIdle is how long a session of a protocol before 2026-07-28 may be
	// silent before it ends. Zero: [DefaultSessionIdle].
	SessionIdle time.Duration
	// Limits are how often clients may ask. Zero: as often as they like.
	Limits Limits
	// TrustedProxies are the networks of proxies whose X-Forwarded-For is
	// believed, as [ParseProxies] reads them. Only for IdentityCaller.
	TrustedProxies []netip.Prefix
	// ProxyOnSocket has X-Forwarded-For believed of everybody who can connect to a
	// unix socket. Only for IdentityCaller.
	ProxyOnSocket bool
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
	header, err := newTokenHeader(config.TokenHeader)
	if err != nil {
		return nil, err
	}
	var endpoint http.Handler = &endpoint{server: s, sessions: newSessions(maxSessions, maxSessionsPerCaller, cmp.Or(config.SessionIdle, DefaultSessionIdle), s.now, &s.openSessions)}
	reading := &bodies{budget: newBodyBudget(s.bodyBytes), metrics: s.metrics, pace: pace{first: s.timeouts.header, longest: s.timeouts.body}}
	open := newOpenRequests(maxOpenRequests, s.metrics)
	limits := newRateLimits(config.Limits, s.metrics, s.log)
	var desk *claimDesk
	switch config.Identity {
	case IdentityCaller, "":
		if config.API == nil {
			return nil, errors.New("callers cannot be told apart without the API")
		}
		v := newVerifier(config.API, verifiedFor, maxAcceptedTokens)
		v.log, v.lately = s.log, s.acceptedFor
		if config.CallerKey != nil {
			v.identifier = identifier{config.CallerKey}
		}
		var g *guesses
		if config.Limits.PerAddress > 0 {
			g = newGuesses(s.metrics)
		}
		t := &tokens{verifier: v, guesses: g, header: header}
		reading.user = t.user
		endpoint = inOrder(endpoint,
			limits.guardAddress,
			noteRecipient,
			checkHead,
			t.recognize,
			reading.read,
			t.verify,
			limits.guardUser(v.acceptedLately),
			open.guard,
			endListening,
		)
		if config.Claims != nil {
			if desk, err = newClaimDesk(config.Claims, config.PublicURL, v.caller, limits, s.log); err != nil {
				return nil, err
			}
			desk.header = header
		}
	case IdentityServer:
		if config.Claims != nil {
			return nil, errors.New("only callers with tokens of their own can claim what is theirs")
		}
		if len(config.TrustedProxies) > 0 || config.ProxyOnSocket {
			return nil, errors.New("a server that acts with its own token stands behind no proxy")
		}
		everybody := func(string) bool { return true }
		endpoint = inOrder(endpoint,
			guardOwnUser(config.Key, header),
			limits.guardAddress,
			noteRecipient,
			checkHead,
			asServer,
			reading.read,
			limits.guardUser(everybody),
			open.guard,
			endListening,
		)
	default:
		return nil, fmt.Errorf("identity cannot be %q; use caller or server", config.Identity)
	}
	site := inOrder(route(endpoint, howToConnect{header: header, ownUser: config.Identity == IdentityServer}), origins.guard, shareWithOrigins(header))
	if desk != nil {
		// It has an origin of its own, and lets no other in.
		site = desk.before(site)
	}
	return inOrder(site,
		noteActivity,
		noteClientAddress(proxies{config.TrustedProxies, config.ProxyOnSocket}),
		cutOffSlowReaders(s.timeouts.write),
		endUnreadBodies,
		endDoubtfulConnections,
		logRequests(s.log, s.metrics),
		recoverPanics(s.log),
		// It says nothing of anybody, and probes send whatever Host they like.
		answerHealth(newReadiness(config.API)),
		hosts.guard,
	), nil
}

// guard puts a check, or what later ones need to know, before a handler.
type guard = func(http.Handler) http.Handler

// inOrder puts guards around a handler, the outermost first.
func inOrder(handler http.Handler, guards ...guard) http.Handler {
	for _, guard := range slices.Backward(guards) {
		handler = guard(handler)
	}
	return handler
}

// Serve answers requests on listener until ctx is done. Then it ends the streams
// on which clients only listen, and lets the requests that are being worked on
// finish for up to ten seconds.
func (s *Server) Serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	httpServer := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: s.timeouts.header,
		ReadTimeout:       s.timeouts.body,
		IdleTimeout:       s.timeouts.idle,
		MaxHeaderBytes:    maxRequestHeader - headerSlack,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		// net/http would answer "OPTIONS *" itself, whatever Host and Origin say.
		DisableGeneralOptionsHandler: true,
		BaseContext:                  func(net.Listener) context.Context { return withServing(context.WithoutCancel(ctx), ctx) },
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return withConnection(peer.ConnContext(ctx, conn), conn)
		},
		// What HTTP/2 takes in before anybody has asked for it counts for no budget.
		HTTP2: &http.HTTP2Config{MaxReceiveBufferPerConnection: 64 << 10, MaxReceiveBufferPerStream: smallBody, MaxConcurrentStreams: 100},
		// No WriteTimeout: an answer may wait for a person.
	}
	failed := make(chan error, 1)
	go func() { failed <- httpServer.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}
	if err := endConnecting(listener, s.timeouts.settling); err != nil {
		s.log.Debug("connections that nobody has accepted may be lost", "cause", err)
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeouts.shutdown)
	defer cancel()
	err := httpServer.Shutdown(ending)
	if err != nil {
		s.log.Warn("some requests did not end in time", "cause", err)
		err = httpServer.Close()
	}
	undoing, cancelUndoing := context.WithTimeout(context.WithoutCancel(ctx), s.timeouts.shutdown)
	defer cancelUndoing()
	s.toolbox.Stop(undoing) // the time of ending may be used up by calls that wait for their users
	return err
}
