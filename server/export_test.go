package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
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
)

// AddTool offers one more tool.
func (s *Server) AddTool(tool mcp.Tool, handler server.ToolHandlerFunc) { s.mcp.AddTool(tool, handler) }

// SetTimeouts replaces those of HTTP.
func (s *Server) SetTimeouts(header, body, shutdown time.Duration) {
	s.timeouts = timeouts{header: header, body: body, idle: time.Minute, shutdown: shutdown}
}

// Verifier is the check of callers' tokens.
type Verifier struct{ v *verifier }

func NewVerifier(api *client.Client, keep time.Duration, maxKnown int) Verifier {
	return Verifier{newVerifier(api, keep, maxKnown)}
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
	v.v.mu.Lock()
	defer v.v.mu.Unlock()
	var keys []string
	for key := range v.v.known {
		keys = append(keys, key)
	}
	return keys
}

// Sessions is the table of sessions of older protocols, with the library's
// endpoint behind it.
type Sessions struct {
	*sessions
	Endpoint http.Handler
}

func (s *Server) NewSessions(maxOpen, perCaller int, idle time.Duration) Sessions {
	table := newSessions(maxOpen, perCaller, idle)
	return Sessions{table, s.libraryEndpoint(table)}
}

func (s Sessions) Start(callerID string) string { return s.start(callerID) }

func (s Sessions) Has(id, callerID string) bool {
	_, err := s.check(id, callerID)
	return err == nil
}

func (s Sessions) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// AllowsHost reports whether a Host header passes a list.
func AllowsHost(allowed []string, header string) (bool, error) {
	list, err := newHostList(allowed)
	return list.allows(header), err
}

// RecoverPanics is the outer belt around everything that answers HTTP.
func RecoverPanics(logger *slog.Logger, next http.Handler) http.Handler {
	return logRequests(logger, recoverPanics(logger, next))
}

// EndListening has requests that only listen end with the server.
func EndListening(next http.Handler) http.Handler { return bufferBody(endListening(next)) }

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
