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
	claimpages "github.com/kenbun/kenbun-mcp/server/claims"
	"github.com/kenbun/kenbun-mcp/server/edge"
	"github.com/kenbun/kenbun-mcp/server/identity"
	"github.com/kenbun/kenbun-mcp/server/streamable"
	"github.com/kenbun/kenbun-mcp/tools"
)

// DefaultSessionIdle is how long a session of an older protocol may be silent.
const DefaultSessionIdle = 30 * time.Minute

// MCPPath is the path of the MCP endpoint.
const MCPPath = "/mcp"

// Identity is which user calls over HTTP run as.
type Identity string

const (
	// IdentityCaller means that each request has its own token, and runs as its user.
	IdentityCaller Identity = "caller"
	// IdentityServer means that all requests run with the server's own token. They must come from
	// the server's own user on this machine, with the key of [HTTPConfig.Key] unless
	// they come over a unix socket.
	IdentityServer Identity = "server"
)

// HTTPConfig is how the server is reached over HTTP.
type HTTPConfig struct {
	// Identity is which user calls run as. Empty: IdentityCaller.
	Identity Identity
	// Key is what clients must send over TCP if Identity is IdentityServer, as a Bearer
	// token or in X-API-Key. Empty: only unix sockets are served.
	Key client.Secret
	// API checks the tokens of callers.
	API *client.Client
	// AllowedHosts are the Host headers that are served besides loopback names: names
	// or addresses, with a port or for every port.
	AllowedHosts []string
	// AllowedOrigins are the origins from which browsers may call, such as
	// "https://tools.example.com" or "tauri://localhost". Empty: no browser
	// may.
	AllowedOrigins []string
	// TokenHeader is the one header that counts for the token or the key. Empty: it
	// may come in Authorization or in X-API-Key.
	TokenHeader string
	// Claims are new tokens that wait for their users, who pick them up at
	// [claims.Path]. Nil: there are no such pages. Only for IdentityCaller.
	Claims *claims.Claims
	// PublicURL is the address of this server for browsers, such as
	// "https://mcp.example.com". Empty: the Host header decides.
	PublicURL string
	// CallerKey is the key under which callers are named. Nil: a random one. Replicas
	// that share claims or approvals need the same.
	CallerKey []byte
	// SessionIdle is how long a session of a protocol before 2026-07-28 may be
	// silent before it ends. Zero: [DefaultSessionIdle].
	SessionIdle time.Duration
	// Limits are how often clients may send requests. Zero: as often as they like.
	Limits edge.Limits
	// TrustedProxies are the networks of proxies whose X-Forwarded-For is
	// believed, as [edge.ParseProxies] reads them. Only for IdentityCaller.
	TrustedProxies []netip.Prefix
	// ProxyOnSocket trusts the X-Forwarded-For of everybody who can connect to a unix
	// socket. Only for IdentityCaller.
	ProxyOnSocket bool
}

// HTTPHandler serves MCP on [MCPPath] to many clients. The guards are listed from
// outside in, here and in forCallers and forOwnUser.
func (s *Server) HTTPHandler(config HTTPConfig) (http.Handler, error) {
	hosts, err := edge.ParseHosts(config.AllowedHosts)
	if err != nil {
		return nil, err
	}
	origins, err := edge.ParseOrigins(config.AllowedOrigins)
	if err != nil {
		return nil, err
	}
	header, err := identity.ParseTokenHeader(config.TokenHeader)
	if err != nil {
		return nil, err
	}
	limits := edge.NewRateLimits(config.Limits, s.metrics, s.log)
	pickUp := func(next http.Handler) http.Handler { return next }
	var endpoint http.Handler
	switch config.Identity {
	case IdentityCaller, "":
		if config.API == nil {
			return nil, errors.New("callers cannot be told apart without the API")
		}
		verifier := identity.NewVerifier(identity.VerifierConfig{
			API: config.API, Header: header, Key: config.CallerKey, CountGuesses: config.Limits.PerAddress > 0,
			AcceptedFor: s.acceptedFor, Metrics: s.metrics, Logger: s.log,
		})
		endpoint = s.forCallers(config, verifier, limits)
		if config.Claims != nil {
			handler, err := claimpages.New(claimpages.Config{
				Claims: config.Claims, PublicURL: config.PublicURL, Caller: verifier.Caller, Limits: limits, Metrics: s.metrics, Logger: s.log, Header: header,
			})
			if err != nil {
				return nil, err
			}
			pickUp = handler.Guard
		}
	case IdentityServer:
		if config.Claims != nil {
			return nil, errors.New("claims need callers with their own tokens")
		}
		if len(config.TrustedProxies) > 0 || config.ProxyOnSocket {
			return nil, errors.New("a server that acts with its own token cannot stand behind a proxy")
		}
		endpoint = s.forOwnUser(config, header, limits)
	default:
		return nil, fmt.Errorf("identity cannot be %q; use caller or server", config.Identity)
	}
	cors := edge.CORS{Methods: corsMethods, Headers: corsHeaders, Exposed: corsExposed}
	if header != "" {
		cors.Headers += ", " + string(header)
	}
	return edge.InOrder(route(endpoint, howToConnect{header: header, ownUser: config.Identity == IdentityServer}),
		edge.CountActivity,
		edge.Proxies{Networks: config.TrustedProxies, OnSocket: config.ProxyOnSocket}.Guard,
		edge.CutOffSlowReaders(s.timeouts.Write),
		edge.EndUnreadBodies,
		edge.EndDoubtfulConnections,
		edge.RequestLog{Logger: s.log, Metrics: s.metrics, Number: numberRequest, Path: loggedPath}.Guard,
		edge.RecoverPanics(s.log),
		edge.NewReadiness(probe(config.API)).Probes,
		hosts.Guard,
		pickUp, // its pages have an origin of their own, and accept no other
		origins.Guard,
		cors.Guard,
	), nil
}

// forCallers is the MCP endpoint to which each request brings its own token.
func (s *Server) forCallers(config HTTPConfig, verifier *identity.Verifier, limits *edge.RateLimits) http.Handler {
	return edge.InOrder(s.endpoint(config),
		limits.GuardAddress,
		noteRecipient,
		streamable.CheckHead,
		verifier.Recognize,
		s.bodies(verifier.User).Read,
		streamable.ParseBody,
		verifier.Verify(streamable.IsToolCall),
		limits.GuardUser(identity.CallerID, verifier.AcceptedLately),
		edge.NewOpenRequests(s.metrics).Guard(identity.CallerID, streamable.StaysOpen),
		streamable.EndListening,
	)
}

// forOwnUser is the MCP endpoint of a server that acts with its own token.
func (s *Server) forOwnUser(config HTTPConfig, header identity.TokenHeader, limits *edge.RateLimits) http.Handler {
	return edge.InOrder(s.endpoint(config),
		identity.GuardOwnUser(config.Key, header),
		limits.GuardAddress,
		noteRecipient,
		streamable.CheckHead,
		identity.AsServer,
		s.bodies(nil).Read,
		streamable.ParseBody,
		limits.GuardUser(identity.CallerID, func(string) bool { return true }),
		edge.NewOpenRequests(s.metrics).Guard(identity.CallerID, streamable.StaysOpen),
		streamable.EndListening,
	)
}

func (s *Server) endpoint(config HTTPConfig) http.Handler {
	return streamable.New(streamable.Config{
		RPC: s.rpc, Metrics: s.metrics, SessionIdle: cmp.Or(config.SessionIdle, DefaultSessionIdle), Now: s.now, OpenSessions: &s.openSessions,
	})
}

func (s *Server) bodies(user func(*http.Request) string) *edge.Bodies {
	return &edge.Bodies{
		Budget: edge.NewBodyBudget(s.bodyBytes), Metrics: s.metrics, Caller: identity.CallerID, User: user,
		First: s.timeouts.Header, Longest: s.timeouts.Body,
	}
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

// DefaultDrainDelay is the usual time for draining.
const DefaultDrainDelay = 250 * time.Millisecond

// Serve answers requests on listener until ctx is done. Then it ends the streams on
// which clients only listen. It goes on serving for the time drain, while
// [edge.ReadyPath] shows that it is draining, and lets the requests that are open
// after that finish for up to ten seconds.
func (s *Server) Serve(ctx context.Context, listener net.Listener, handler http.Handler, drain time.Duration) error {
	err := edge.Serve(ctx, listener, handler, s.timeouts, drain, s.log)
	if ctx.Err() == nil {
		return err // it never served
	}
	// The time for ending may be used up by calls that wait for their users.
	undoing, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeouts.Shutdown)
	defer cancel()
	s.toolbox.Stop(undoing)
	return err
}
