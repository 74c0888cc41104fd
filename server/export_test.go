package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/kenbun/kenbun-mcp/client"
)

// What tests need to see or change that nobody else does.

const (
	MaxLine      = maxLine
	MaxWaiting   = maxWaiting
	WorkingCalls = workingCalls
	ServerBusy   = serverBusy
	MaxDepth     = maxDepth
	MaxValues    = maxValues

	MaxOpenRequests = maxOpenRequests
	MaxOpenBytes    = maxUserBytes

	ReadyPatience = readyPatience
)

// ConnectionsFor is how many connections a process accepts that may open so many
// files.
func ConnectionsFor(files int) int { return connectionsFor(files) }

// AddTool offers one more tool.
func (s *Server) AddTool(tool mcp.Tool, handler server.ToolHandlerFunc) { s.mcp.AddTool(tool, handler) }

// AddPrompt offers a prompt.
func (s *Server) AddPrompt(prompt mcp.Prompt, handler server.PromptHandlerFunc) {
	s.mcp.AddPrompt(prompt, handler)
}

// AddResource offers a resource.
func (s *Server) AddResource(resource mcp.Resource, handler server.ResourceHandlerFunc) {
	s.mcp.AddResource(resource, handler)
}

// SetTimeouts replaces those of HTTP.
func (s *Server) SetTimeouts(header, body, shutdown time.Duration) {
	s.timeouts = timeouts{header: header, body: body, idle: time.Minute, shutdown: shutdown, write: writeTimeout}
}

// SetBodyBytes replaces the budget for all bodies.
func (s *Server) SetBodyBytes(n int) { s.bodyBytes = n }

// SetAcceptedFor replaces how long a token that was accepted counts as accepted
// lately.
func (s *Server) SetAcceptedFor(d time.Duration) { s.acceptedFor = d }

// DoNotSettle has the server end without waiting for connections that come about.
func (s *Server) DoNotSettle() { s.timeouts.settling = 0 }

// SetSessionClock has sessions go by a clock of the test's. When to look for
// silent ones is still told by the real one.
func (s *Server) SetSessionClock(now func() time.Time) { s.now = now }

// SetWriteTimeout replaces that of HTTP/2.
func (s *Server) SetWriteTimeout(write time.Duration) { s.timeouts.write = write }

// ForwardedFrom is the address from which a request comes.
func ForwardedFrom(r *http.Request, networks []netip.Prefix) netip.Addr {
	return forwardedFrom(r, proxies{networks: networks})
}

// Verifier is the check of callers' tokens.
type Verifier struct{ v *verifier }

func NewVerifier(api *client.Client, keep time.Duration, maxAccepted int) Verifier {
	return Verifier{newVerifier(api, keep, maxAccepted)}
}

// Verify reports whether pat is let in, and whether it was the API that said
// no.
func (v Verifier) Verify(ctx context.Context, pat string) (letIn, refused bool) {
	credential := client.Credential{PAT: client.NewSecret(pat)}
	err := v.v.verify(ctx, credential, v.v.caller(credential).ID)
	return err == nil, errors.Is(err, errInvalidToken)
}

// Known are the keys of what is remembered.
func (v Verifier) Known() []string {
	v.v.accepted.mu.Lock()
	defer v.v.accepted.mu.Unlock()
	var ids []string
	for _, row := range v.v.accepted.rows {
		for _, token := range row {
			if token != (acceptedToken{}) {
				ids = append(ids, string(token.id[:]))
			}
		}
	}
	return ids
}

// Sessions is the table of sessions of older protocols.
type Sessions struct{ *sessions }

func NewSessions(maxOpen, perCaller int, idle time.Duration) Sessions {
	return Sessions{newSessions(maxOpen, perCaller, idle, time.Now, &atomic.Int64{})}
}

func (s Sessions) Start(callerID string) string {
	id, release := s.Use(callerID)
	release()
	return id
}

// Use opens a session that is in use until it is released. Its id is empty if
// there is no room.
func (s Sessions) Use(callerID string) (id string, release func()) {
	opened, err := s.start(callerID)
	if err != nil {
		return "", func() {}
	}
	return opened.id, func() { s.release(opened) }
}

func (s Sessions) Has(id, callerID string) bool {
	found := s.use(id, callerID)
	if found != nil {
		s.release(found)
	}
	return found != nil
}

func (s Sessions) Open() int { return int(s.gauge.Load()) }

// AllowsHost reports whether a Host header passes a list.
func AllowsHost(allowed []string, header string) (bool, error) {
	list, err := newHostList(allowed)
	return list.allows(header), err
}

// RecoverPanics is the outer belt around everything that answers HTTP.
func RecoverPanics(logger *slog.Logger, next http.Handler) http.Handler {
	return inOrder(next, logRequests(logger, noMetrics{}), recoverPanics(logger))
}

// EndListening has requests that only listen end with the server.
func EndListening(next http.Handler) http.Handler {
	reading := &bodies{budget: newBodyBudget(maxBodyBytes), metrics: noMetrics{}, pace: pace{time.Minute, time.Minute}}
	return inOrder(next, checkHead, reading.read, endListening)
}

// HostGuard is the check of Host and Origin alone, before next.
func HostGuard(hosts, origins []string, next http.Handler) (http.Handler, error) {
	h, err := newHostList(hosts)
	if err != nil {
		return nil, err
	}
	o, err := newOriginList(origins)
	if err != nil {
		return nil, err
	}
	return h.guard(o.guard(next)), nil
}

// Ready is the answer to readyPath by a clock of the test's. A request waits for
// the API for as long as patience.
func Ready(api *client.Client, now func() time.Time, patience time.Duration) http.Handler {
	r := newReadiness(api)
	r.now, r.patience = now, patience
	return r
}

// RefusalReasons are the reasons that are not about the form of a token.
func RefusalReasons() []string {
	var names []string
	for _, name := range refusalReasons {
		names = append(names, string(name))
	}
	return names
}
