package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"runtime/debug"
	"slices"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"go.opentelemetry.io/otel/trace"

	"github.com/kenbun/kenbun-mcp/tools"
)

// Handler answers messages with the tools of an MCP server, whichever transport they
// came over.
type Handler struct {
	MCP         *server.MCPServer
	Log         *slog.Logger
	tracing     *tracing
	unknownTool func()
	tools       map[string]server.ToolHandlerFunc
	info        mcp.Implementation
}

// Config is what a [Handler] is made from.
type Config struct {
	MCP *server.MCPServer
	// Tools are those of MCP that can be called past it. They must be ones that
	// speak with the session alone, ask for input only in protocol 2026-07-28, and
	// read their raw arguments.
	Tools []server.ServerTool
	// Info is how MCP describes itself.
	Info   mcp.Implementation
	Logger *slog.Logger
	// Traces is where the spans of messages go. Nil: there are none.
	Traces trace.TracerProvider
	// UnknownTool is called for each call of a tool that does not exist.
	UnknownTool func()
}

// New returns a Handler.
func New(config Config) *Handler {
	h := &Handler{MCP: config.MCP, Log: config.Logger, unknownTool: config.UnknownTool, tools: map[string]server.ToolHandlerFunc{}, info: config.Info}
	for _, tool := range config.Tools {
		h.tools[tool.Tool.Name] = NoteMissingCapability(tool.Handler)
	}
	h.tracing = newTracing(config.Traces, config.Info.Version, slices.Collect(maps.Keys(h.tools)))
	return h
}

// errPanic is what a client sees of a panic.
var errPanic = errors.New("something went wrong inside the server")

// Answer answers one message. Errors of the protocol are in the server's own words,
// not the library's. A panic fails this message alone. The answer to a notification
// is nil. header is that of the HTTP request with the message, nil if there was
// none.
func (h *Handler) Answer(ctx context.Context, header http.Header, m *Message) (answer mcp.JSONRPCMessage) {
	if tools.RequestID(ctx) == "" {
		ctx = tools.WithRequestID(ctx, tools.NewRequestID())
	}
	ctx = withProgress(ctx, m)
	ctx, end := h.tracing.startMessage(ctx, header, m)
	defer func() { end(errorCode(answer)) }()
	defer func() {
		if r := recover(); r != nil {
			h.Log.Error("panic while a message was handled", "request_id", tools.RequestID(ctx), "method", m.knownMethod(), "panic", r, "stack", string(debug.Stack()))
			answer = nil
			if m.hasID() {
				answer = ErrorResponse(m.ID, mcp.INTERNAL_ERROR, internalError(ctx))
			}
		}
	}()
	missing := &missingCapability{}
	ctx = context.WithValue(ctx, missingCapabilityKey{}, missing)
	ctx = server.WithSupportedProtocolVersions(ctx, mcp.ValidProtocolVersions)
	called, ok := h.callTool(ctx, m)
	if !ok {
		called = h.MCP.HandleMessage(ctx, m.Text)
	}
	switch a := called.(type) {
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
		return h.inOwnWords(ctx, m, a)
	default:
		return a
	}
}

// Encode writes a message as JSON. An answer that cannot be written becomes an
// error, since the client waits for one. Any other message becomes nil. requestID
// is for the log.
func (h *Handler) Encode(requestID string, m any) []byte {
	data, err := json.Marshal(plain(m))
	if err == nil {
		return data
	}
	h.Log.Error("a message could not be written as JSON", "request_id", requestID, "cause", err)
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

// plain returns a message with the result of a tool as a struct. The library encodes
// such a result by way of a map and of JSON that is read and copied again.
func plain(m any) any {
	answer, _ := m.(mcp.JSONRPCResponse)
	r, ok := answer.Result.(*mcp.CallToolResult)
	if !ok || r == nil {
		return m
	}
	result := toolResult{r.Meta, r.Content, r.InputRequests, r.IsError, r.RequestState, r.ResultType, r.StructuredContent}
	if r.Content == nil {
		result.Content = []mcp.Content{}
	}
	if len(r.RawStructuredContent) > 0 {
		result.StructuredContent = r.RawStructuredContent
	}
	answer.Result = result
	return answer
}

// toolResult has the members of an [mcp.CallToolResult].
type toolResult struct {
	Meta              *mcp.Meta         `json:"_meta,omitempty"`
	Content           []mcp.Content     `json:"content"`
	InputRequests     mcp.InputRequests `json:"inputRequests,omitempty"`
	IsError           bool              `json:"isError,omitempty"`
	RequestState      string            `json:"requestState,omitempty"`
	ResultType        mcp.ResultType    `json:"resultType,omitempty"`
	StructuredContent any               `json:"structuredContent,omitempty"`
}

// inOwnWords rewords an error for clients. The library's words are for programmers
// who use it.
func (h *Handler) inOwnWords(ctx context.Context, m *Message, answer mcp.JSONRPCError) mcp.JSONRPCError {
	own := mcp.JSONRPCError{JSONRPC: mcp.JSONRPC_VERSION, ID: mcp.NewRequestId(m.ID), Error: answer.Error}
	switch answer.Error.Code {
	case mcp.PARSE_ERROR, mcp.INVALID_REQUEST:
		own.Error.Message = "the request does not fit this method; the MCP specification has its parameters"
	case mcp.METHOD_NOT_FOUND:
		own.Error.Message = "this server has no such method in this version of the protocol"
	case mcp.RESOURCE_NOT_FOUND:
		own.Error.Message = "there is no such resource; resources/list shows which there are"
	case mcp.UNSUPPORTED_PROTOCOL_VERSION:
		own.Error.Message = "this server does not support that version of the protocol"
	case mcp.INVALID_PARAMS:
		own.Error.Message = h.invalidParams(m)
		if m.Method == string(mcp.MethodToolsCall) {
			h.unknownTool()
		}
		if m.Method == string(mcp.MethodResourcesRead) && m.params["uri"] != nil {
			// MCP 2026-07-28, server/resources, "Error Handling".
			own.Error.Data = map[string]json.RawMessage{"uri": m.params["uri"]}
		}
	default:
		h.Log.Error("a message was answered with an error", "request_id", tools.RequestID(ctx), "method", m.knownMethod(), "code", answer.Error.Code, "cause", answer.Error.Message)
		own.Error.Message, own.Error.Data = internalError(ctx), nil
	}
	return own
}

// internalError points the client to the log.
func internalError(ctx context.Context) string {
	return errPanic.Error() + "; its log has the details under request id " + tools.RequestID(ctx)
}

func (h *Handler) invalidParams(m *Message) string {
	if mcp.IsModernProtocol(m.Version) && m.Meta[mcp.MetaKeyClientCapabilities] == nil {
		return "params._meta must have the client's capabilities, under " + mcp.MetaKeyClientCapabilities
	}
	switch m.Method {
	case string(mcp.MethodToolsCall):
		return "there is no such tool; tools/list shows which there are"
	case string(mcp.MethodPromptsGet):
		return "there is no such prompt, or one of its arguments is missing; see prompts/list"
	case string(mcp.MethodResourcesRead):
		return "there is no such resource; resources/list shows which there are"
	}
	return "the parameters do not fit this method"
}

// knownMethod returns the method for the log, without names that clients made up.
func (m *Message) knownMethod() string {
	if slices.Contains(knownMethods, m.Method) {
		return m.Method
	}
	return OtherName
}

// missingCapability is the capability that a client lacks for a call.
type missingCapability struct{ name string }

type missingCapabilityKey struct{}

// NoteMissingCapability records that a tool needs a capability that the client did
// not declare (MCP 2026-07-28, basic/index, "Error Codes"). The library would
// report an internal error.
func NoteMissingCapability(next server.ToolHandlerFunc) server.ToolHandlerFunc {
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
	answer := ErrorResponse(id, mcp.MISSING_REQUIRED_CLIENT_CAPABILITY, "this call needs a client with the capability "+c.name)
	answer.Error.Data = map[string]any{"requiredCapabilities": map[string]any{c.name: map[string]any{}}}
	return answer
}

// ErrorResponse is the error answer to the request id. Nil means that the request
// is not known.
func ErrorResponse(id json.RawMessage, code int, text string) mcp.JSONRPCError {
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

// withProgress sends the client notifications of progress, if it asked for them
// with a progress token.
func withProgress(ctx context.Context, m *Message) context.Context {
	token := m.Meta["progressToken"]
	session := server.ClientSessionFromContext(ctx)
	if m.Method != string(mcp.MethodToolsCall) || session == nil || len(token) == 0 || string(token) == "null" {
		return ctx
	}
	token = bytes.Clone(token) // the call may go on, and must not hold the message
	return tools.WithProgress(ctx, func(elapsed time.Duration, message string) {
		n := mcp.JSONRPCNotification{JSONRPC: mcp.JSONRPC_VERSION}
		n.Method = string(mcp.MethodNotificationProgress)
		n.Params.AdditionalFields = map[string]any{
			"progressToken": token, "progress": math.Round(elapsed.Seconds()*10) / 10, "message": message,
		}
		select {
		case session.NotificationChannel() <- n:
		default: // a client that does not read misses nothing that it needs
		}
	})
}
