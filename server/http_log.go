package server

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/human"
	"github.com/kenbun/kenbun-mcp/tools"
)

// logRequests gives each request a number, under which tools know it too, and
// logs and counts how it ended, with the reason of a refusal: never a header, a query or a body, and a path only
// where it is one of the server's own, since people paste tokens in the strangest
// places.
func logRequests(logger *slog.Logger, metrics Metrics) guard {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id := tools.NewRequestID()
			w.Header().Set("X-Request-Id", id)
			recorder := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
			started := time.Now()
			defer func() {
				metrics.Request(loggedPath(r.URL), recorder.status)
				fields := []any{"request_id", id, "method", loggedMethod(r.Method), "path", loggedPath(r.URL),
					"status", recorder.status, "duration_ms", time.Since(started).Milliseconds()}
				if recorder.reason != "" {
					fields = append(fields, "reason", recorder.reason)
				}
				if recorder.cause != "" {
					fields = append(fields, "cause", recorder.cause)
				}
				logger.Info("request", fields...)
			}()
			next.ServeHTTP(recorder, r.WithContext(tools.WithRequestID(r.Context(), id)))
		})
	}
}

func loggedPath(u *url.URL) string {
	path := plainPath(u)
	switch {
	case path == MCPPath, path == healthPath, path == readyPath, path == helpPath:
		return path
	case strings.HasPrefix(path, human.ClaimPath):
		return human.ClaimPath
	}
	return "other"
}

func loggedMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

// statusRecorder remembers the status of an answer, and why it is a refusal.
type statusRecorder struct {
	http.ResponseWriter
	status int
	wrote  bool
	reason reason
	cause  client.Cause
}

func (s *statusRecorder) WriteHeader(status int) {
	if !s.wrote {
		s.status, s.wrote = status, true
	}
	s.ResponseWriter.WriteHeader(status)
}

func (s *statusRecorder) Write(p []byte) (int, error) {
	s.wrote = true
	return s.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the writer below.
func (s *statusRecorder) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// Flush sends what was written so far; streams need it.
func (s *statusRecorder) Flush() {
	_ = s.FlushError() // not every writer can
}

// FlushError tells http.ResponseController whether it was sent.
func (s *statusRecorder) FlushError() error {
	s.wrote = true
	return http.NewResponseController(s.ResponseWriter).Flush()
}
