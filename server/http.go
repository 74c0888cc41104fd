package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/human/claims"
	"github.com/kenbun/kenbun-mcp/internal/human/delivery"
	"github.com/kenbun/kenbun-mcp/server/edge"
	"github.com/kenbun/kenbun-mcp/tools"
)

// Limits of what is kept of callers over HTTP.
const (
	maxSessions          = 10_000
	maxSessionsPerCaller = 100
	verifiedFor          = 30 * time.Second
	maxAcceptedTokens    = 20_000
)

// DefaultSessionIdle is how long a session of an older protocol may be silent.
const DefaultSessionIdle = 30 * time.Minute

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
	// [claims.Path]. Nil: there is no such address. Only for IdentityCaller.
	Claims *claims.Claims
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
	Limits edge.Limits
	// TrustedProxies are the networks of proxies whose X-Forwarded-For is
	// believed, as [edge.ParseProxies] reads them. Only for IdentityCaller.
	TrustedProxies []netip.Prefix
	// ProxyOnSocket has X-Forwarded-For believed of everybody who can connect to a
	// unix socket. Only for IdentityCaller.
	ProxyOnSocket bool
}

// HTTPHandler serves MCP on [MCPPath] to many clients.
func (s *Server) HTTPHandler(config HTTPConfig) (http.Handler, error) {
	hosts, err := edge.ParseHosts(config.AllowedHosts)
	if err != nil {
		return nil, err
	}
	origins, err := edge.ParseOrigins(config.AllowedOrigins)
	if err != nil {
		return nil, err
	}
	header, err := newTokenHeader(config.TokenHeader)
	if err != nil {
		return nil, err
	}
	var endpoint http.Handler = &endpoint{server: s, sessions: newSessions(maxSessions, maxSessionsPerCaller, cmp.Or(config.SessionIdle, DefaultSessionIdle), s.now, &s.openSessions)}
	bodies := &edge.Bodies{
		Budget: edge.NewBodyBudget(s.bodyBytes), Metrics: s.metrics, Caller: callerID,
		First: s.timeouts.Header, Longest: s.timeouts.Body,
	}
	open := edge.NewOpenRequests(s.metrics)
	limits := edge.NewRateLimits(config.Limits, s.metrics, s.log)
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
		bodies.User = t.user
		endpoint = edge.InOrder(endpoint,
			limits.GuardAddress,
			noteRecipient,
			checkHead,
			t.recognize,
			bodies.Read,
			parseBody,
			t.verify,
			limits.GuardUser(callerID, v.acceptedLately),
			open.Guard(callerID, staysOpen),
			endListening,
		)
		if config.Claims != nil {
			if desk, err = newClaimDesk(config.Claims, config.PublicURL, v.caller, limits, s.log); err != nil {
				return nil, err
			}
			desk.header, desk.metrics = header, s.metrics
		}
	case IdentityServer:
		if config.Claims != nil {
			return nil, errors.New("only callers with tokens of their own can claim what is theirs")
		}
		if len(config.TrustedProxies) > 0 || config.ProxyOnSocket {
			return nil, errors.New("a server that acts with its own token stands behind no proxy")
		}
		everybody := func(string) bool { return true }
		endpoint = edge.InOrder(endpoint,
			guardOwnUser(config.Key, header),
			limits.GuardAddress,
			noteRecipient,
			checkHead,
			asServer,
			bodies.Read,
			parseBody,
			limits.GuardUser(callerID, everybody),
			open.Guard(callerID, staysOpen),
			endListening,
		)
	default:
		return nil, fmt.Errorf("identity cannot be %q; use caller or server", config.Identity)
	}
	cors := edge.CORS{Methods: corsMethods, Headers: corsHeaders, Exposed: corsExposed}
	if header != "" {
		cors.Headers += ", " + string(header)
	}
	site := edge.InOrder(route(endpoint, howToConnect{header: header, ownUser: config.Identity == IdentityServer}), origins.Guard, cors.Guard)
	if desk != nil {
		// It has an origin of its own, and accepts no other.
		site = desk.before(site)
	}
	return edge.InOrder(site,
		edge.CountActivity,
		edge.Proxies{Networks: config.TrustedProxies, OnSocket: config.ProxyOnSocket}.Guard,
		edge.CutOffSlowReaders(s.timeouts.Write),
		edge.EndUnreadBodies,
		edge.EndDoubtfulConnections,
		edge.RequestLog{Logger: s.log, Metrics: s.metrics, Number: numberRequest, Path: loggedPath}.Guard,
		edge.RecoverPanics(s.log),
		edge.NewReadiness(probe(config.API)).Probes,
		hosts.Guard,
	), nil
}

// What pages of allowed origins may send and read.
const (
	corsMethods = "POST, GET, DELETE"
	corsHeaders = "Authorization, X-API-Key, Content-Type, Mcp-Session-Id, Mcp-Protocol-Version, Mcp-Method, Mcp-Name, X-Kenbun-Recipient, Last-Event-ID, Traceparent, Tracestate"
	corsExposed = "Mcp-Session-Id, WWW-Authenticate, Retry-After, X-Request-Id, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset"
)

// numberRequest gives a request the number that tools know, too.
func numberRequest(ctx context.Context) (context.Context, string) {
	id := tools.NewRequestID()
	return tools.WithRequestID(ctx, id), id
}

// probe returns the check whether api can be reached; nil needs no API.
func probe(api *client.Client) func(context.Context) string {
	return func(ctx context.Context) string {
		if api == nil {
			return ""
		}
		var e *client.Error
		switch err := api.Reachable(ctx); {
		case err == nil:
			return ""
		case errors.Is(err, context.DeadlineExceeded):
			return edge.Silent
		case errors.Is(err, client.ErrUnexpectedAnswer):
			return "api_unexpected"
		case errors.As(err, &e) && e.Status != 0:
			return "api_failing"
		}
		return "api_unreachable"
	}
}

// noteRecipient passes on for whom the client's configuration wants new tokens
// encrypted. Two such headers name nobody: a proxy in between may have added one.
func noteRecipient(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		named := r.Header.Values(delivery.RecipientHeader)
		if len(named) == 0 {
			next.ServeHTTP(w, r)
			return
		}
		ctx := delivery.WithRecipient(r.Context(), strings.Join(named, ","))
		next.ServeHTTP(w, r.WithContext(delivery.WithServerName(ctx, r.Host)))
	})
}

// Serve answers requests on listener until ctx is done. Then it goes on for the
// time for draining, ends the streams on which clients only listen, and lets the
// open requests finish for up to ten seconds.
func (s *Server) Serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	err := edge.Serve(ctx, listener, handler, s.timeouts, s.log)
	if ctx.Err() == nil {
		return err // it never served
	}
	// The time for ending may be used up by calls that wait for their users.
	undoing, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeouts.Shutdown)
	defer cancel()
	s.toolbox.Stop(undoing)
	return err
}
