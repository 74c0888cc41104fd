package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"runtime/debug"
	"slices"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/kenbun/kenbun-mcp/tools"
)

// errPanic is all that a client is told of a panic.
var errPanic = errors.New("something went wrong inside the server")

// answer has the library answer one message, and words the errors of the
// protocol itself. A panic costs this message alone. Notifications are answered
// with nil. header is that of the HTTP request that brought the message, nil
// where there was none.
func (s *Server) answer(ctx context.Context, header http.Header, m *message) (answer mcp.JSONRPCMessage) {
	if tools.RequestID(ctx) == "" {
		ctx = tools.WithRequestID(ctx, tools.NewRequestID())
	}
	ctx = withProgress(ctx, m)
	ctx, end := s.tracing.startMessage(ctx, header, m)
	defer func() { end(errorCode(answer)) }()
	defer func() {
		if r := recover(); r != nil {
			s.log.Error("panic while a message was handled", "request_id", tools.RequestID(ctx), "method", m.knownMethod(), "panic", r, "stack", string(debug.Stack()))
			answer = nil
			if m.hasID() {
				answer = errorResponse(m.ID, mcp.INTERNAL_ERROR, internalError(ctx))
			}
		}
	}()
	missing := &missingCapability{}
	ctx = context.WithValue(ctx, missingCapabilityKey{}, missing)
	ctx = server.WithSupportedProtocolVersions(ctx, mcp.ValidProtocolVersions)
	switch a := s.mcp.HandleMessage(ctx, m.text).(type) {
	case mcp.JSONRPCResponse:
		// The library turns every number into a float64, which changes large ones.
		a.ID = mcp.NewRequestId(m.ID)
		return a
	case mcp.JSONRPCError:
		if !m.hasID() {
			// The library answers notifications that it cannot read (JSON-RPC 2.0,
			// section 4.1, "Notification").
			return nil
		}
		if missing.name != "" {
			return missing.answer(m.ID)
		}
		return s.inOwnWords(ctx, m, a)
	default:
		return a
	}
}

// encode writes a message as JSON. In place of an answer that cannot be written
// it writes an error, since the client waits; of any other message nothing, which
// is nil. requestID is for the log.
func (s *Server) encode(requestID string, m any) []byte {
	data, err := json.Marshal(m)
	if err == nil {
		return data
	}
	s.log.Error("a message could not be written as JSON", "request_id", requestID, "cause", err)
	answer, ok := m.(mcp.JSONRPCResponse)
	if !ok {
		return nil
	}
	failure := mcp.JSONRPCError{JSONRPC: mcp.JSONRPC_VERSION, ID: answer.ID, Error: mcp.NewJSONRPCErrorDetails(mcp.INTERNAL_ERROR, errPanic.Error(), nil)}
	if data, err = json.Marshal(failure); err != nil {
		return nil // the id was read from JSON
	}
	return data
}

// inOwnWords tells what a client did wrong, in place of the library, whose words
// are for whoever programs with it.
func (s *Server) inOwnWords(ctx context.Context, m *message, answer mcp.JSONRPCError) mcp.JSONRPCError {
	own := mcp.JSONRPCError{JSONRPC: mcp.JSONRPC_VERSION, ID: mcp.NewRequestId(m.ID), Error: answer.Error}
	switch answer.Error.Code {
	case mcp.PARSE_ERROR, mcp.INVALID_REQUEST:
		own.Error.Message = "the request is not one that this method takes; the MCP specification tells its parameters"
	case mcp.METHOD_NOT_FOUND:
		own.Error.Message = "this server has no such method in this version of the protocol"
	case mcp.RESOURCE_NOT_FOUND:
		own.Error.Message = "there is no such resource; resources/list names those that there are"
	case mcp.UNSUPPORTED_PROTOCOL_VERSION:
		own.Error.Message = "this server does not speak that version of the protocol"
	case mcp.INVALID_PARAMS:
		own.Error.Message = s.invalidParams(m)
		if m.Method == string(mcp.MethodToolsCall) {
			s.metrics.ToolCall(otherName, otherName, 0)
		}
		if m.Method == string(mcp.MethodResourcesRead) && m.uri != nil {
			// MCP 2026-07-28, server/resources, "Error Handling".
			own.Error.Data = map[string]json.RawMessage{"uri": m.uri}
		}
	default:
		s.log.Error("a message was answered with an error", "request_id", tools.RequestID(ctx), "method", m.knownMethod(), "code", answer.Error.Code, "cause", answer.Error.Message)
		own.Error.Message, own.Error.Data = internalError(ctx), nil
	}
	return own
}

// internalError leads from what a client is told to what the log tells.
func internalError(ctx context.Context) string {
	return errPanic.Error() + "; its log tells more under the number " + tools.RequestID(ctx)
}

func (s *Server) invalidParams(m *message) string {
	if mcp.IsModernProtocol(m.metaVersion) && m.meta[mcp.MetaKeyClientCapabilities] == nil {
		return "params._meta has to tell the client's capabilities, under " + mcp.MetaKeyClientCapabilities
	}
	switch m.Method {
	case string(mcp.MethodToolsCall):
		return "there is no such tool; tools/list names those that there are"
	case string(mcp.MethodPromptsGet):
		return "there is no such prompt, or an argument of it is missing; prompts/list tells"
	case string(mcp.MethodResourcesRead):
		return "there is no such resource; resources/list names those that there are"
	}
	return "the parameters are not those that this method takes"
}

// knownMethod is the method, where it is one that may stand in a log: what
// clients invent does not.
func (m *message) knownMethod() string {
	if slices.Contains(knownMethods, m.Method) {
		return m.Method
	}
	return otherName
}

// missingCapability is what a client would have to be capable of for a call.
type missingCapability struct{ name string }

type missingCapabilityKey struct{}

// noteMissingCapability keeps what the library makes a plain internal error of:
// that a tool needs something of the client that this did not declare (MCP
// 2026-07-28, basic/index, "Error Codes").
func noteMissingCapability(next server.ToolHandlerFunc) server.ToolHandlerFunc {
	return func(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		result, err := next(ctx, request)
		var missing mcp.MissingRequiredClientCapabilityError
		if note, ok := ctx.Value(missingCapabilityKey{}).(*missingCapability); ok && errors.As(err, &missing) {
			note.name = missing.Capability
		}
		return result, err
	}
}

func (c *missingCapability) answer(id json.RawMessage) mcp.JSONRPCError {
	answer := errorResponse(id, mcp.MISSING_REQUIRED_CLIENT_CAPABILITY, "this call needs a client that is capable of "+c.name)
	answer.Error.Data = map[string]any{"requiredCapabilities": map[string]any{c.name: map[string]any{}}}
	return answer
}

// errorResponse answers the request id, or, for nil, says that the request
// could not be told.
func errorResponse(id json.RawMessage, code int, text string) mcp.JSONRPCError {
	var requestID any
	if len(id) > 0 {
		requestID = id
	}
	return mcp.JSONRPCError{
		JSONRPC: mcp.JSONRPC_VERSION,
		ID:      mcp.NewRequestId(requestID),
		Error:   mcp.NewJSONRPCErrorDetails(code, text, nil),
	}
}
