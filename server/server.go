// Package server is the MCP server. It puts the tools behind two transports, stdio
// and streamable HTTP, and lists the guards that every HTTP request passes.
//
// Both eras of the protocol are served on both transports: the stateless 2026-07-28,
// and those before it with their initialize handshake, down to 2024-11-05.
package server

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"go.opentelemetry.io/otel/trace"

	"github.com/kenbun/kenbun-mcp/server/edge"
	"github.com/kenbun/kenbun-mcp/server/internal/rpc"
	"github.com/kenbun/kenbun-mcp/server/stdio"
	"github.com/kenbun/kenbun-mcp/tools"
)

// Config is what a [Server] is made from.
type Config struct {
	// Version is the version that clients see.
	Version string
	// Toolbox holds the tools. Required.
	Toolbox *tools.Toolbox
	// Logger is the server's log. It must not write to standard output, which belongs
	// to the protocol. Nil: nothing is logged.
	Logger *slog.Logger
	// Metrics counts what happens. Nil: nothing is counted.
	Metrics Metrics
	// Traces is where the spans of messages go. Nil: there are none.
	Traces trace.TracerProvider
}

// Metrics counts what happens. Its methods are called concurrently, with values from
// closed sets.
type Metrics interface {
	edge.Metrics
	// Sessions is called once, with a function that returns how many sessions are
	// open.
	Sessions(open func() int)
	// ToolCall counts calls of tools that do not exist, as "other".
	ToolCall(tool, outcome string, took time.Duration)
}

type noMetrics struct{}

func (noMetrics) Request(string, int)                    {}
func (noMetrics) Refused(string)                         {}
func (noMetrics) Sessions(func() int)                    {}
func (noMetrics) ToolCall(string, string, time.Duration) {}

// toolListFreshness is how long a client may keep the list of tools, in milliseconds.
const toolListFreshness = 5 * 60 * 1000

// addFixtures is set in builds with the tag conformance. It adds what the MCP
// conformance suite expects to find on a server.
var addFixtures func(*server.MCPServer)

// Server is the MCP server. It serves one client over stdio with [Server.ServeStdio],
// or many over HTTP with [Server.HTTPHandler].
type Server struct {
	toolbox  *tools.Toolbox
	log      *slog.Logger
	timeouts edge.Timeouts
	// now is the clock of sessions.
	now     func() time.Time
	metrics Metrics
	rpc     *rpc.Handler
	// bodyBytes is the budget for the bodies of all HTTP requests.
	bodyBytes int
	// acceptedFor replaces a default of [identity.Verifier] in tests.
	acceptedFor time.Duration
	// openSessions counts the sessions of protocols before 2026-07-28.
	openSessions atomic.Int64
}

// OpenSessions returns how many sessions of protocols before 2026-07-28 are open over
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
	info := mcp.Implementation{
		Name: "kenbun-mcp", Version: config.Version, Title: "kenbun",
		Description: "Acts on kenbun as the user, and looks after the user's personal access tokens.",
		WebsiteURL:  "https://kenbun.io",
	}
	mcpServer := server.NewMCPServer(info.Name, info.Version,
		server.WithTitle(info.Title),
		server.WithDescription(info.Description),
		server.WithWebsiteURL(info.WebsiteURL),
		server.WithInstructions(config.Toolbox.Instructions()),
		// The list of tools is the same for as long as the process lives.
		server.WithToolCapabilities(false),
		// A list for one caller must not be kept for another.
		server.WithCacheHints(toolListFreshness, mcp.CacheScopePrivate),
		server.WithToolHandlerMiddleware(rpc.NoteMissingCapability),
	)
	mcpServer.SetTools(offered...)
	if addFixtures != nil {
		addFixtures(mcpServer)
	}
	s := &Server{
		toolbox: config.Toolbox, log: logger, timeouts: edge.DefaultTimeouts(), now: time.Now, bodyBytes: edge.DefaultBodyBytes(),
		metrics: metrics,
		rpc: rpc.New(rpc.Config{
			MCP: mcpServer, Tools: offered, Info: info, Logger: logger, Traces: config.Traces,
			UnknownTool: func() { metrics.ToolCall(rpc.OtherName, rpc.OtherName, 0) },
		}),
	}
	metrics.Sessions(s.OpenSessions)
	return s
}

// ServeStdio serves one client over standard input and output. See [stdio.Serve].
func (s *Server) ServeStdio(ctx context.Context, in io.Reader, out io.Writer) error {
	return stdio.Serve(ctx, s.rpc, s.toolbox.Stop, in, out)
}
