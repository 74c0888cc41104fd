package server

import (
	"context"
	"net/http"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/kenbun/kenbun-mcp/server/edge"
)

// checkHead refuses requests whose head rules them out already, before anything is
// asked of the API.
func checkHead(next http.Handler) http.Handler {
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
	message *message
	bad     *badMessage
}

type messageKey struct{}

// parseBody parses the body of a request, which later handlers find with messageOf.
func parseBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m, bad := parseMessage(edge.Body(r))
		in := &received{m, bad}
		// The context may outlive the request, and must not hold the message.
		defer func() { *in = received{} }()
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), messageKey{}, in)))
	})
}

// messageOf returns the message that came with r, or why there is none.
func messageOf(r *http.Request) (*message, *badMessage) {
	in, ok := r.Context().Value(messageKey{}).(*received)
	if !ok || in.message == nil && in.bad == nil {
		return nil, &badMessage{code: mcp.PARSE_ERROR, text: "there is no message"}
	}
	return in.message, in.bad
}

// isToolCall reports whether r calls a tool.
func isToolCall(r *http.Request) bool {
	m, bad := messageOf(r)
	return r.Method == http.MethodPost && bad == nil && m.Method == string(mcp.MethodToolsCall) && m.isRequest()
}

// staysOpen reports whether r is a request or a stream, which may stay open for
// long. Answers to questions, cancellations and ends of sessions end others, and do
// not.
func staysOpen(r *http.Request) bool {
	m, bad := messageOf(r)
	return r.Method == http.MethodGet || r.Method == http.MethodPost && bad == nil && m.isRequest()
}

// endListening ends requests on which a client only listens when the server begins
// to drain, so that they do not delay its end.
func endListening(next http.Handler) http.Handler {
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
