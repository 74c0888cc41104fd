package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/server/edge"
)

// What tests need to see or change that nobody else does.

const (
	MaxLine      = maxLine
	MaxWaiting   = maxWaiting
	WorkingCalls = workingCalls
	ServerBusy   = serverBusy
	MaxDepth     = maxDepth
	MaxValues    = maxValues
)

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
	s.timeouts = edge.Timeouts{Header: header, Body: body, Idle: time.Minute, Shutdown: shutdown, Write: edge.DefaultTimeouts().Write}
}

// SetBodyBytes replaces the budget for all bodies.
func (s *Server) SetBodyBytes(n int) { s.bodyBytes = n }

// SetAcceptedFor replaces how long a token that was accepted counts as accepted
// lately.
func (s *Server) SetAcceptedFor(d time.Duration) { s.acceptedFor = d }

// DoNotDrain has the server end without the time for draining.
func (s *Server) DoNotDrain() { s.timeouts.Drain = 0 }

// SetSessionClock has sessions go by a clock of the test's. When to look for
// silent ones is still told by the real one.
func (s *Server) SetSessionClock(now func() time.Time) { s.now = now }

// SetWriteTimeout replaces that of HTTP/2.
func (s *Server) SetWriteTimeout(write time.Duration) { s.timeouts.Write = write }

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

// RecoverPanics is the outermost guard around everything that answers HTTP.
func RecoverPanics(logger *slog.Logger, next http.Handler) http.Handler {
	log := edge.RequestLog{Logger: logger, Metrics: noMetrics{}, Number: numberRequest, Path: loggedPath}
	return edge.InOrder(next, log.Guard, edge.RecoverPanics(logger))
}

// EndListening has requests that only listen end with the server.
func EndListening(next http.Handler) http.Handler {
	reading := &edge.Bodies{Budget: edge.NewBodyBudget(edge.DefaultBodyBytes()), Metrics: noMetrics{}, Caller: callerID, First: time.Minute, Longest: time.Minute}
	return edge.InOrder(next, checkHead, reading.Read, parseBody, endListening)
}

// Ready answers edge.ReadyPath by a clock of the test's. A request waits for the API
// for as long as patience; 0 is the usual time.
func Ready(api *client.Client, now func() time.Time, patience time.Duration) http.Handler {
	r := edge.NewReadiness(probe(api))
	r.Now = now
	if patience != 0 {
		r.Patience = patience
	}
	return r
}

// RefusalReasons returns the reasons that are not about the form of a token.
func RefusalReasons() []string {
	return []string{
		string(refusedToken), string(refusedUnverified), string(refusedMissingKey), string(refusedWrongKey), string(refusedNoneWanted),
		string(refusedOtherUser), string(refusedForwarded), string(refusedBadMessage), string(refusedHeaders), string(edge.NotReady), "no_sign_in",
		// Refused because of the client, or of how much it asks.
		"forbidden_host", "forbidden_origin", "outdated_client", "rate_limited", "busy", "too_slow",
		// The form of a request.
		"not_found", "method_not_allowed", "unsupported_media_type", "unsupported_encoding", "too_large", "unreadable",
		"unsupported_version", "missing_session", "unknown_session", "unknown_question", "invalid_request",
		// A claim.
		"claim_fetched", "claim_expired", "claim_revoked", "invalid_token", "no_such_claim", "too_many_tries", "temporarily_unavailable",
		"internal",
	}
}
