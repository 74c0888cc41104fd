package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/kenbun/kenbun-mcp/tools"
)

// describedSession is a session in which the library can note who the client is.
type describedSession struct {
	*ClientState
	*Outbox
}

func (describedSession) SessionID() string { return "a test" }

// mirror answers with all that a tool can see of its call.
func mirror(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	session, _ := server.ClientSessionFromContext(ctx).(server.SessionWithClientInfo)
	switch string(request.Params.RawArguments) {
	case `"fail"`:
		return nil, errors.New("it failed")
	case `"sampling"`:
		return nil, mcp.MissingRequiredClientCapabilityError{Capability: "sampling"}
	case `"ask"`:
		if mcp.IsModernProtocol(server.RequestProtocolVersion(ctx)) {
			return server.NewInputRequestBuilder("a state").Elicit("q", mcp.ElicitationParams{Message: "?"}).ToolResult(), nil
		}
	}
	return mcp.NewToolResultStructured(map[string]any{
		"method": request.Method, "name": request.Params.Name, "arguments": string(request.Params.RawArguments),
		"state": request.Params.RequestState, "responses": request.Params.InputResponses,
		"protocol": server.RequestProtocolInfoFromContext(ctx), "capabilities": session.GetClientCapabilities(), "initialized": session.Initialized(),
	}, "a text"), nil
}

// A call of a tool is answered alike whether it goes past the library or through
// it, which reads the message for itself.
func FuzzR30_ToolCallsAreAnsweredAsByTheLibrary(f *testing.F) {
	const caps = `"io.modelcontextprotocol/clientCapabilities":`
	const modern = `"io.modelcontextprotocol/protocolVersion":"2026-07-28",`
	for _, params := range []string{
		`{"name":"mirror"}`, `{"name":"mirror","arguments":{}}`, `{"name":"mirror","arguments":null}`, `{"name":"mirror","arguments":{"a":[1,2.5,-0,"x",true,null]}}`,
		`{"name":"mirror","arguments":{"a":1e999}}`, `{"name":"mirror","arguments":{"a":"1e999"}}`, `{"name":"mirror","arguments":{"a":9007199254740993}}`,
		`{"name":"mirror","arguments":"fail"}`, `{"name":"mirror","arguments":"sampling"}`, `{"name":"mirror","arguments":"ask"}`, `{"name":"other"}`, `{"name":7}`, `{}`, `[]`,
		`{"name":"mirror","task":{"ttl":1}}`, `{"name":"mirror","requestState":"s","inputResponses":{"q":{"action":"accept","content":{"a":1}}}}`,
		`{"name":"mirror","requestState":7}`, `{"name":"mirror","requestState":null}`, `{"name":"mirror","inputResponses":7}`, `{"name":"mirror","inputResponses":{"q":7}}`,
		`{"name":"mirror","_meta":null}`, `{"name":"mirror","_meta":7}`, `{"name":"mirror","_meta":{"progressToken":"p","x":1e999}}`,
		`{"name":"mirror","_meta":{"io.modelcontextprotocol/protocolVersion":"2025-11-25"}}`, `{"name":"mirror","_meta":{"io.modelcontextprotocol/protocolVersion":"2030-01-01",` + caps + `{}}}`,
		`{"name":"mirror","_meta":{` + modern + caps + `{}}}`, `{"name":"mirror","_meta":{` + modern + caps + `null}}`, `{"name":"mirror","_meta":{` + modern + caps + `[]}}`,
		`{"name":"mirror","arguments":"ask","_meta":{` + modern + caps + `{"elicitation":{"form":{}},"sampling":{}}}}`, `{"name":"mirror","arguments":"sampling","_meta":{` + modern + caps + `{}}}`,
		`{"name":"mirror","_meta":{` + modern + caps + `{"roots":{}},"io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},"io.modelcontextprotocol/logLevel":"debug"}}`,
		`{"name":"mirror","_meta":{` + modern + caps + `{},"io.modelcontextprotocol/clientInfo":7,"io.modelcontextprotocol/logLevel":7}}`,
	} {
		f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":` + params + `}`))
	}
	f.Add([]byte(`{"jsonrpc":"2.0","id":"\u0061","method":"tools/call","params":{"name":"mirror"}}`))
	f.Add([]byte(`{"jsonrpc":"2.0","method":"tools/call","params":{"name":"mirror"}}`))

	info := mcp.Implementation{Name: "n", Version: "1", Title: "t", Description: "d", WebsiteURL: "https://example.com"}
	library := server.NewMCPServer(info.Name, info.Version, server.WithTitle(info.Title), server.WithDescription(info.Description),
		server.WithWebsiteURL(info.WebsiteURL), server.WithToolCapabilities(false), server.WithToolHandlerMiddleware(NoteMissingCapability))
	tool := server.ServerTool{Tool: mcp.NewTool("mirror"), Handler: mirror}
	library.SetTools(tool)
	config := Config{MCP: library, Info: info, Logger: slog.New(slog.DiscardHandler), UnknownTool: func() {}}
	through := New(config)
	config.Tools = []server.ServerTool{tool}
	past := New(config)
	f.Fuzz(func(t *testing.T, text []byte) {
		m, bad := Parse(text)
		if bad != nil || m.Method != string(mcp.MethodToolsCall) {
			return // not a call
		}
		answers := make([][]byte, 2)
		for i, h := range []*Handler{past, through} {
			session := describedSession{NewClientState(), NewOutbox(1, func(mcp.JSONRPCNotification) {})}
			ctx := library.WithContext(tools.WithRequestID(t.Context(), "a number"), session)
			answers[i] = h.Encode("", h.Answer(ctx, nil, m))
		}
		if !bytes.Equal(answers[0], answers[1]) {
			t.Errorf("%q is answered with\n%s\nand by the library with\n%s", text, answers[0], answers[1])
		}
		if !json.Valid(answers[0]) {
			t.Errorf("%q: %s", text, answers[0])
		}
	})
}

// What the fuzz test compares is of use only if ordinary calls do go past the
// library.
func TestToolCall_OrdinaryOnesGoPastTheLibrary(t *testing.T) {
	h := New(Config{MCP: server.NewMCPServer("n", "1"), Logger: slog.New(slog.DiscardHandler), Tools: []server.ServerTool{{Tool: mcp.NewTool("mirror"), Handler: mirror}}})
	for _, text := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"mirror","arguments":{"a":[1,2.5,"1e9"]},"_meta":{"progressToken":1}}}`,
		`{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"mirror","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`,
	} {
		m, bad := Parse([]byte(text))
		if bad != nil {
			t.Fatal(bad)
		}
		ctx := h.MCP.WithContext(t.Context(), describedSession{NewClientState(), NewOutbox(1, func(mcp.JSONRPCNotification) {})})
		if _, ok := h.callTool(ctx, m); !ok {
			t.Errorf("%s goes through the library", text)
		}
	}
}
