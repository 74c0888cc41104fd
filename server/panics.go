package server

import (
	"log/slog"
	"net/http"
	"runtime/debug"
)

// recoverPanics turns a panic into an answer, so that it costs one request. An
// answer that has begun is broken off instead, so that nobody takes it for
// whole.
func recoverPanics(logger *slog.Logger) guard {
	return func(next http.Handler) http.Handler {
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
}
