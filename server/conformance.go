//go:build conformance

package server

import (
	"context"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

func init() { addFixtures = addConformanceFixtures }

// conformanceFixtures are the tools, prompts and resources that the MCP
// conformance suite calls by name. They stand beside the real tools, behind the
// same transport, which is what the suite is run for: script/conformance.
type conformanceFixtures struct {
	mcp    *server.MCPServer
	states requestStates
}

// addConformanceFixtures also switches on the capabilities that the real tools
// do without.
func addConformanceFixtures(s *server.MCPServer) {
	for _, capability := range []server.ServerOption{
		server.WithToolCapabilities(true),
		server.WithPromptCapabilities(true),
		server.WithResourceCapabilities(true, true),
		server.WithLogging(),
		server.WithCompletions(),
	} {
		capability(s)
	}
	f := &conformanceFixtures{mcp: s, states: newRequestStates()}
	f.addContentTools()
	f.addSchemaTools()
	f.addNotifyingTools()
	f.addAskingTools()
	f.addInputRequiredTools()
	f.addPrompts()
	f.addResources()
}

// addTool adds a tool without arguments.
func (f *conformanceFixtures) addTool(name, description string, handler server.ToolHandlerFunc) {
	f.mcp.AddTool(mcp.NewTool(name, mcp.WithDescription(description)), handler)
}

// always answers every call alike.
func always(result *mcp.CallToolResult) server.ToolHandlerFunc {
	return func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) { return result, nil }
}
