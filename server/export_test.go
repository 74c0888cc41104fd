package server

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/server/edge"
	"github.com/kenbun/kenbun-mcp/server/identity"
	"github.com/kenbun/kenbun-mcp/server/streamable"
	"github.com/kenbun/kenbun-mcp/tools"
)

// What tests need to see or change that nobody else does.

// AddTool offers one more tool.
func (s *Server) AddTool(tool mcp.Tool, handler server.ToolHandlerFunc) {
	s.rpc.MCP.AddTool(tool, handler)
}

// AddPrompt offers a prompt.
func (s *Server) AddPrompt(prompt mcp.Prompt, handler server.PromptHandlerFunc) {
	s.rpc.MCP.AddPrompt(prompt, handler)
}

// AddResource offers a resource.
func (s *Server) AddResource(resource mcp.Resource, handler server.ResourceHandlerFunc) {
	s.rpc.MCP.AddResource(resource, handler)
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

// SetSessionClock has sessions go by a clock of the test's. When to look for
// silent ones is still told by the real one.
func (s *Server) SetSessionClock(now func() time.Time) { s.now = now }

// SetWriteTimeout replaces that of HTTP/2.
func (s *Server) SetWriteTimeout(write time.Duration) { s.timeouts.Write = write }

// RecoverPanics is the outermost guard around everything that answers HTTP.
func RecoverPanics(logger *slog.Logger, next http.Handler) http.Handler {
	log := edge.RequestLog{Logger: logger, Metrics: noMetrics{}, Number: numberRequest, Path: loggedPath}
	return edge.InOrder(next, log.Guard, edge.RecoverPanics(logger))
}

// EndListening has requests that only listen end with the server.
func EndListening(next http.Handler) http.Handler {
	reading := &edge.Bodies{Budget: edge.NewBodyBudget(edge.DefaultBodyBytes()), Metrics: noMetrics{}, Caller: identity.CallerID, First: time.Minute, Longest: time.Minute}
	return edge.InOrder(next, streamable.CheckHead, reading.Read, streamable.ParseBody, streamable.EndListening)
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
		"token_refused", "token_not_verified", "missing_key", "wrong_key", "token_not_wanted", "other_user", "forwarded", "bad_message", "header_mismatch", string(edge.NotReady), "no_sign_in",
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

// Toolbox returns the tools on offer.
func (s *Server) Toolbox() *tools.Toolbox { return s.toolbox }
