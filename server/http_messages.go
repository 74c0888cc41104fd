package server

import (
	"bytes"
	"context"
	"encoding/json"
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
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.ContentLength = int64(len(body))
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), bodyKey{}, parseMessage(body))))
	})
}

// httpMessage is as much of a message as the server itself needs to know.
type httpMessage struct {
	Method string `json:"method"`
	Params struct {
		Meta map[string]json.RawMessage `json:"_meta"`
	} `json:"params"`
}

func parseMessage(body []byte) httpMessage {
	var m httpMessage
	if json.Unmarshal(body, &m) != nil {
		return httpMessage{} // the library says what is wrong with it
	}
	return m
}

func messageOf(r *http.Request) httpMessage {
	m, _ := r.Context().Value(bodyKey{}).(httpMessage)
	return m
}

func isToolCall(r *http.Request) bool {
	return r.Method == http.MethodPost && messageOf(r).Method == string(mcp.MethodToolsCall)
}

// guardMessages keeps back what the library would take too far. In the
// stateless protocol requests have no session, and a cancellation would end
// whichever request of whichever user has the same number; a client of that
// protocol cancels by closing the connection.
func guardMessages(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m := messageOf(r)
		_, stateless := m.Params.Meta[mcp.MetaKeyProtocolVersion]
		stateless = stateless || mcp.IsModernProtocol(r.Header.Get(mcp.HeaderProtocolVersion))
		if stateless && m.Method == string(mcp.MethodNotificationCancelled) {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		next.ServeHTTP(w, r)
	})
}
