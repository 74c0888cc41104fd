package server

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/mark3labs/mcp-go/mcp"
)

type bodyKey struct{}

// bufferBody reads the whole body, up to its limit, before anything looks at
// it. Once a body is read to its end net/http lifts the time limit for reading,
// so that the call may wait for a person.
func bufferBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodPost, http.MethodGet, http.MethodDelete:
		default:
			w.Header().Set("Allow", "POST, GET, DELETE")
			writeProblem(w, http.StatusMethodNotAllowed, "method_not_allowed", "MCP messages are sent with POST")
			return
		}
		if r.Header.Get("Content-Encoding") != "" {
			writeProblem(w, http.StatusUnsupportedMediaType, "unsupported_encoding", "send the body as it is, without Content-Encoding")
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequestBody))
		var tooLarge *http.MaxBytesError
		switch {
		case errors.As(err, &tooLarge):
			writeProblem(w, http.StatusRequestEntityTooLarge, "too_large", "the body is larger than 1 MiB")
			return
		case err != nil:
			writeProblem(w, http.StatusBadRequest, "unreadable", "the body could not be read to its end")
			return
		}
		if r.Method != http.MethodPost {
			// It means nothing, and a stream would hold it for as long as it is open.
			body = nil
		}
		next.ServeHTTP(w, r.WithContext(withMessage(r.Context(), body)))
	})
}

// received is the message of a request, or why it is none.
type received struct {
	message *message
	bad     *badMessage
}

func withMessage(ctx context.Context, body []byte) context.Context {
	m, bad := parseMessage(body)
	return context.WithValue(ctx, bodyKey{}, received{m, bad})
}

// messageOf is the message that came with r, or why there is none.
func messageOf(r *http.Request) (*message, *badMessage) {
	in, ok := r.Context().Value(bodyKey{}).(received)
	if !ok {
		return nil, &badMessage{code: mcp.PARSE_ERROR, text: "there is no message"}
	}
	return in.message, in.bad
}

func isToolCall(r *http.Request) bool {
	m, bad := messageOf(r)
	return r.Method == http.MethodPost && bad == nil && m.Method == string(mcp.MethodToolsCall) && m.isRequest()
}

func isLarge(r *http.Request) bool {
	m, bad := messageOf(r)
	return bad == nil && len(m.text) > maxUncheckedCall
}
