package server

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"go.opentelemetry.io/otel/trace"

	"github.com/kenbun/kenbun-mcp/server/edge"
	"github.com/kenbun/kenbun-mcp/tools"
)

// Config is what a [Server] is made from.
type Config struct {
	// Version is the version that clients are told.
	Version string
	// Toolbox holds the tools. Required.
	Toolbox *tools.Toolbox
	// Logger takes the server's log. It must not write to standard output,
	// which belongs to the protocol. Nil: nothing is logged.
	Logger *slog.Logger
	// Metrics counts what happens. Nil: nobody does.
	Metrics Metrics
	// Traces is where the spans of messages go. Nil: there are none.
	Traces trace.TracerProvider
}

// toolListFreshness is how long a client may keep what it was told, in
// milliseconds.
const toolListFreshness = 5 * 60 * 1000

// addFixtures is nil but in builds with the tag conformance: there it adds what
// the MCP conformance suite expects to find on a server.
var addFixtures func(*server.MCPServer)

// Server is the MCP server. It serves one client over stdio with [Server.ServeStdio],
// or many over HTTP with [Server.HTTPHandler].
type Server struct {
	mcp      *server.MCPServer
	toolbox  *tools.Toolbox
	log      *slog.Logger
	timeouts edge.Timeouts
	// now is the clock of sessions.
	now     func() time.Time
	metrics Metrics
	tracing *tracing
	// mirroring tells by name which tools have arguments that stand in headers,
	// too.
	mirroring sync.Map
	// bodyBytes is the budget for the bodies of all HTTP requests.
	bodyBytes int
	// acceptedFor is how long a token that the API accepted counts as accepted lately.
	acceptedFor time.Duration
	// openSessions counts those of protocols that have sessions.
	openSessions atomic.Int64
}

// OpenSessions is how many sessions of protocols before 2026-07-28 are open over
// HTTP.
func (s *Server) OpenSessions() int { return int(s.openSessions.Load()) }

// New returns a server that offers the tools of config.Toolbox.
func New(config Config) *Server {
	logger := config.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	metrics := config.Metrics
	if metrics == nil {
		metrics = noMetrics{}
	}
	offered := config.Toolbox.ServerTools()
	mcpServer := server.NewMCPServer("kenbun-mcp", config.Version,
		server.WithTitle("kenbun"),
		server.WithDescription("Acts on kenbun as the user, and looks after the user's personal access tokens."),
		server.WithWebsiteURL("https://kenbun.io"),
		server.WithInstructions(config.Toolbox.Instructions()),
		// The list of tools is the same for as long as the process lives.
		server.WithToolCapabilities(false),
		// What one caller is offered may not be kept for another.
		server.WithCacheHints(toolListFreshness, mcp.CacheScopePrivate),
		server.WithToolHandlerMiddleware(noteMissingCapability),
	)
	mcpServer.SetTools(offered...)
	if addFixtures != nil {
		addFixtures(mcpServer)
	}
	names := make([]string, len(offered))
	for i := range offered {
		names[i] = offered[i].Tool.Name
	}
	s := &Server{
		mcp: mcpServer, toolbox: config.Toolbox, log: logger, timeouts: edge.DefaultTimeouts(), now: time.Now, bodyBytes: edge.DefaultBodyBytes(), acceptedFor: acceptedFor,
		metrics: metrics, tracing: newTracing(config.Traces, config.Version, names),
	}
	metrics.Sessions(s.OpenSessions)
	return s
}
