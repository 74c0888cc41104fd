package streamable

import (
	"context"
	"errors"
	"net/http"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/kenbun/kenbun-mcp/server/edge"
	"github.com/kenbun/kenbun-mcp/server/internal/rpc"
)

// CheckHead refuses requests whose head rules them out already, before anything is
// asked of the API.
func CheckHead(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodPost, http.MethodGet, http.MethodDelete:
		default:
			w.Header().Set("Allow", "POST, GET, DELETE")
			edge.WriteProblem(w, http.StatusMethodNotAllowed, "method_not_allowed", "MCP messages are sent with POST")
			return
		}
		if r.Header.Get("Content-Encoding") != "" {
			edge.WriteProblem(w, http.StatusUnsupportedMediaType, "unsupported_encoding", "send the body as it is, without Content-Encoding")
			return
		}
		if r.ContentLength > edge.MaxBody {
			edge.WriteTooLarge(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Reasons for refusing a message.
const (
	refusedBadMessage edge.Reason = "bad_message"
	refusedHeaders    edge.Reason = "header_mismatch"
)

// received is the message of a request, or why there is none.
type received struct {
	message *rpc.Message
	bad     *rpc.BadMessage
}

type messageKey struct{}

// ParseBody parses the body of a request, which later handlers find with messageOf.
func ParseBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m, bad := rpc.Parse(edge.Body(r))
		in := &received{m, bad}
		// The context may outlive the request, and must not hold the message.
		defer func() { *in = received{} }()
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), messageKey{}, in)))
	})
}

// messageOf returns the message that came with r, or why there is none.
func messageOf(r *http.Request) (*rpc.Message, *rpc.BadMessage) {
	in, ok := r.Context().Value(messageKey{}).(*received)
	if !ok || in.message == nil && in.bad == nil {
		return nil, &rpc.BadMessage{Code: mcp.PARSE_ERROR, Text: "there is no message"}
	}
	return in.message, in.bad
}

// IsToolCall reports whether r calls a tool.
func IsToolCall(r *http.Request) bool {
	m, bad := messageOf(r)
	return r.Method == http.MethodPost && bad == nil && m.Method == string(mcp.MethodToolsCall) && m.IsRequest()
}

// StaysOpen reports whether r is a request or a stream, which may stay open for
// long. Answers to questions, cancellations and ends of sessions end others, and do
// not.
func StaysOpen(r *http.Request) bool {
	m, bad := messageOf(r)
	return r.Method == http.MethodGet || r.Method == http.MethodPost && bad == nil && m.IsRequest()
}

// EndListening ends requests on which a client only listens when the server begins
// to drain, so that they do not delay its end.
func EndListening(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !onlyListens(r) {
			next.ServeHTTP(w, r)
			return
		}
		ctx, end := endedBy(r.Context(), edge.Serving(r.Context()))
		defer end()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// onlyListens reports whether r opens a stream of notifications: with GET in
// protocols before 2026-07-28, with a message since then.
func onlyListens(r *http.Request) bool {
	m, bad := messageOf(r)
	return r.Method == http.MethodGet || bad == nil && m.Method == string(mcp.MethodSubscriptionsListen)
}

// endedBy returns a context that ends with ctx and with other. The function
// returned frees what it took.
func endedBy(ctx, other context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(other, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// checkHeaders refuses a request of protocol 2026-07-28 whose headers differ from
// its body, because proxies go by the headers (MCP 2026-07-28,
// basic/transports/streamable-http). It returns nil if they agree.
func (e *Endpoint) checkHeaders(r *http.Request, m *rpc.Message) mcp.JSONRPCMessage {
	mismatch := func(text string) mcp.JSONRPCMessage { return rpc.ErrorResponse(m.ID, mcp.HEADER_MISMATCH, text) }
	for _, name := range []string{mcp.HeaderProtocolVersion, mcp.HeaderMethod, mcp.HeaderName} {
		if len(r.Header.Values(name)) > 1 {
			return mismatch("the header " + name + " appears twice")
		}
	}
	version := r.Header.Get(mcp.HeaderProtocolVersion)
	switch {
	case r.Header.Get(mcp.HeaderLastEventID) != "":
		return mismatch("streams of this version of the protocol cannot be resumed: send the request again, without " + mcp.HeaderLastEventID)
	case version == "":
		return mismatch("the header " + mcp.HeaderProtocolVersion + " is missing")
	case !mcp.IsValidProtocolVersion(version) && (m.Version == "" || m.Version == version):
		refusal := rpc.ErrorResponse(m.ID, mcp.UNSUPPORTED_PROTOCOL_VERSION, "this server does not support that version of the protocol; it supports "+supportedVersions())
		refusal.Error.Data = mcp.UnsupportedProtocolVersionData{Supported: mcp.ValidProtocolVersions, Requested: version}
		return refusal
	case m.Version == "":
		return rpc.ErrorResponse(m.ID, mcp.INVALID_PARAMS, "params._meta must have the version of the protocol, under "+mcp.MetaKeyProtocolVersion)
	case version != m.Version:
		return mismatch("the header " + mcp.HeaderProtocolVersion + " has another version of the protocol than the body")
	}
	err := mcp.ValidateStandardHeaders(r.Header.Get, version, mcp.MCPMethod(m.Method), m.Params)
	if err == nil && m.Method == string(mcp.MethodToolsCall) {
		err = e.checkParamHeaders(r.Header, m)
	}
	var differs mcp.HeaderMismatchError
	if errors.As(err, &differs) {
		return mismatch("the header " + differs.Header + " is missing or does not match the body")
	} else if err != nil {
		return mismatch("the headers do not match the body")
	}
	return nil
}

// checkParamHeaders compares the arguments that a tool wants in headers, too.
func (e *Endpoint) checkParamHeaders(header http.Header, m *rpc.Message) error {
	tool := e.rpc.MCP.GetTool(m.Name)
	if tool == nil || !e.mirrors(tool) {
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
func (e *Endpoint) mirrors(tool *server.ServerTool) bool {
	known, ok := e.mirroring.Load(tool.Tool.Name)
	if !ok {
		known, _ = e.mirroring.LoadOrStore(tool.Tool.Name, len(mcp.ExtractParamHeaderBindings(&tool.Tool)) > 0)
	}
	return known == true
}
