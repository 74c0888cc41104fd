package rpc

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// callTool calls one of the server's own tools with the parameters that [Parse] has
// read. The library would read the message four times more. ok is false for all that
// is not an ordinary call of such a tool: those are left to the library, which knows
// what is wrong with them.
func (h *Handler) callTool(ctx context.Context, m *Message) (_ mcp.JSONRPCMessage, ok bool) {
	tool := h.tools[m.Name]
	if tool == nil || m.Method != string(mcp.MethodToolsCall) || !m.IsRequest() {
		return nil, false
	}
	info, ok := m.protocolInfo()
	if !ok {
		return nil, false
	}
	request, ok := m.toolCall()
	if !ok {
		return nil, false
	}
	ctx = server.WithRequestProtocolInfo(ctx, info)
	if info.Modern {
		describeClient(server.ClientSessionFromContext(ctx), info)
	}
	result, err := tool(ctx, request)
	if err != nil {
		return ErrorResponse(m.ID, mcp.INTERNAL_ERROR, err.Error()), true
	}
	if info.Modern {
		if result.ResultType == "" {
			result.ResultType = mcp.ResultTypeComplete
		}
		if meta := result.EnsureResultMeta(); meta.ServerInfo() == nil {
			meta.SetServerInfo(h.info)
		}
	}
	return mcp.NewJSONRPCResultResponse(mcp.NewRequestId(m.ID), result), true
}

// toolCall returns the parameters of an ordinary call of a tool.
func (m *Message) toolCall() (request mcp.CallToolRequest, ok bool) {
	arguments := m.params["arguments"]
	if _, isTask := m.params["task"]; isTask || mayOverflow(arguments) {
		return request, false
	}
	request.Method = m.Method
	request.Params.Name = m.Name
	// The call may go on after its answer, and must not hold the message.
	request.Params.RawArguments = bytes.Clone(arguments)
	if state, has := m.params["requestState"]; has && json.Unmarshal(state, &request.Params.RequestState) != nil {
		return request, false
	}
	if responses, has := m.params["inputResponses"]; has && json.Unmarshal(responses, &request.Params.InputResponses) != nil {
		return request, false
	}
	return request, true
}

// protocolInfo returns what a message says about its protocol and its client. ok is
// false if something about it is not in order.
func (m *Message) protocolInfo() (info *server.RequestProtocolInfo, ok bool) {
	if mayOverflow(m.params["_meta"]) {
		return nil, false
	}
	info = &server.RequestProtocolInfo{ProtocolVersion: m.Version}
	if !mcp.IsModernProtocol(m.Version) {
		return info, true
	}
	info.Modern = true
	if !mcp.IsValidProtocolVersion(m.Version) || json.Unmarshal(m.Meta[mcp.MetaKeyClientCapabilities], &info.ClientCapabilities) != nil || info.ClientCapabilities == nil {
		return nil, false
	}
	if named, has := m.Meta[mcp.MetaKeyClientInfo]; has && json.Unmarshal(named, &info.ClientInfo) != nil {
		return nil, false
	}
	if level, has := m.Meta[mcp.MetaKeyLogLevel]; has && json.Unmarshal(level, &info.LogLevel) != nil {
		return nil, false
	}
	return info, true
}

// describeClient notes in the session what the handshake of older protocols would.
func describeClient(session server.ClientSession, info *server.RequestProtocolInfo) {
	if session == nil {
		return
	}
	if described, ok := session.(server.SessionWithClientInfo); ok {
		if info.ClientInfo != nil {
			described.SetClientInfo(*info.ClientInfo)
		}
		described.SetClientCapabilities(*info.ClientCapabilities)
	}
	if !session.Initialized() {
		session.Initialize()
	}
}

// mayOverflow reports whether a JSON value has a number that may not fit into a
// float64, which the library refuses: one with an exponent, or a very long one.
func mayOverflow(value json.RawMessage) bool {
	inString, digits := false, 0
	for i := 0; i < len(value); i++ {
		c := value[i]
		switch {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c >= '0' && c <= '9':
			if digits++; digits > 300 {
				return true
			}
			continue
		case (c == 'e' || c == 'E') && digits > 0:
			return true
		case c == '.':
			continue
		}
		digits = 0
	}
	return false
}
