package server

import (
	"errors"
	"net/http"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// checkHeaders refuses a request of protocol 2026-07-28 whose headers do not say
// what its body says: what stands between client and server goes by the headers
// (MCP 2026-07-28, basic/transports/streamable-http). It returns nil if they
// agree.
func (e *endpoint) checkHeaders(r *http.Request, m *message) mcp.JSONRPCMessage {
	mismatch := func(text string) mcp.JSONRPCMessage { return errorResponse(m.ID, mcp.HEADER_MISMATCH, text) }
	for _, name := range []string{mcp.HeaderProtocolVersion, mcp.HeaderMethod, mcp.HeaderName} {
		if len(r.Header.Values(name)) > 1 {
			return mismatch("the header " + name + " comes twice")
		}
	}
	version := r.Header.Get(mcp.HeaderProtocolVersion)
	switch {
	case r.Header.Get(mcp.HeaderLastEventID) != "":
		return mismatch("streams of this version of the protocol are not taken up again: send the request anew, without " + mcp.HeaderLastEventID)
	case version == "":
		return mismatch("the header " + mcp.HeaderProtocolVersion + " is missing")
	case !mcp.IsValidProtocolVersion(version) && (m.metaVersion == "" || m.metaVersion == version):
		refusal := errorResponse(m.ID, mcp.UNSUPPORTED_PROTOCOL_VERSION, "this server does not speak that version of the protocol; it speaks "+supportedVersions())
		refusal.Error.Data = mcp.UnsupportedProtocolVersionData{Supported: mcp.ValidProtocolVersions, Requested: version}
		return refusal
	case m.metaVersion == "":
		return errorResponse(m.ID, mcp.INVALID_PARAMS, "params._meta has to tell the version of the protocol, under "+mcp.MetaKeyProtocolVersion)
	case version != m.metaVersion:
		return mismatch("the header " + mcp.HeaderProtocolVersion + " names another version of the protocol than the body")
	}
	err := mcp.ValidateStandardHeaders(r.Header.Get, version, mcp.MCPMethod(m.Method), m.Params)
	if err == nil && m.Method == string(mcp.MethodToolsCall) {
		err = e.checkParamHeaders(r.Header, m)
	}
	var differs mcp.HeaderMismatchError
	if errors.As(err, &differs) {
		return mismatch("the header " + differs.Header + " is missing or does not say what the body says")
	} else if err != nil {
		return mismatch("the headers do not say what the body says")
	}
	return nil
}

// checkParamHeaders compares the arguments that a tool wants to see in headers,
// too.
func (e *endpoint) checkParamHeaders(header http.Header, m *message) error {
	tool := e.server.mcp.GetTool(m.name)
	if tool == nil || !e.server.mirrors(tool) {
		return nil
	}
	return mcp.ValidateParamHeadersLookup(func(name string) (string, bool) {
		values := header.Values(name)
		if len(values) == 0 {
			return "", false
		}
		return values[0], true
	}, &tool.Tool, m.Params)
}

// mirrors reports whether a tool has arguments that clients send in headers,
// too. Reading its schema at each call would cost more than the call.
func (s *Server) mirrors(tool *server.ServerTool) bool {
	known, ok := s.mirroring.Load(tool.Tool.Name)
	if !ok {
		known, _ = s.mirroring.LoadOrStore(tool.Tool.Name, len(mcp.ExtractParamHeaderBindings(&tool.Tool)) > 0)
	}
	return known == true
}
