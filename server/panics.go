package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// errPanic is all that a client is told of a panic.
var errPanic = errors.New("something went wrong inside the server")

// recoverToolPanics turns a panic of a tool into an error of this call. Over
// HTTP it must not get further: the library's goroutine that writes a call's
// notifications would go on using the answer after net/http has given its
// buffer to another connection.
func recoverToolPanics(logger *slog.Logger) server.ToolHandlerMiddleware {
	return func(next server.ToolHandlerFunc) server.ToolHandlerFunc {
		return func(ctx context.Context, request mcp.CallToolRequest) (result *mcp.CallToolResult, err error) {
			defer func() {
				if p := recover(); p != nil {
					logger.Error("panic in a tool", "tool", request.Params.Name, "panic", p, "stack", string(debug.Stack()))
					result, err = nil, errPanic
				}
			}()
			return next(ctx, request)
		}
	}
}

// recoverPanics turns a panic into an answer, so that it costs one request. An
// answer that has begun is broken off instead, so that nobody takes it for
// whole.
func recoverPanics(logger *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorder := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p != http.ErrAbortHandler { //nolint:errorlint // net/http compares it like this, too
				logger.Error("panic while a request was handled", "request_id", w.Header().Get("X-Request-Id"), "panic", p, "stack", string(debug.Stack()))
			}
			if recorder.wrote || p == http.ErrAbortHandler { //nolint:errorlint // as above
				panic(http.ErrAbortHandler)
			}
			writeProblem(w, http.StatusInternalServerError, "internal", errPanic.Error())
		}()
		next.ServeHTTP(recorder, r)
	})
}
