package edge

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"time"
)

// Metrics counts requests and refusals. Its methods are called concurrently, with
// values from closed sets.
type Metrics interface {
	// Request counts a finished HTTP request by path and status.
	Request(path string, status int)
	// Refused counts a request that a limit refused: "user", "address", "failures",
	// "connections", "bodies" or "sessions".
	Refused(limit string)
}

// RequestLog writes one line for each request.
type RequestLog struct {
	Logger  *slog.Logger
	Metrics Metrics
	// Number gives a request its number, and returns a context that carries it.
	Number func(context.Context) (_ context.Context, id string)
	// Path returns what is logged of an address: a path of the server's own, or
	// "other".
	Path func(*url.URL) string
}

// Guard numbers, logs and counts each request, with the reason if it was refused.
// It never logs a header, a query or a body, and only known paths: users paste
// tokens everywhere.
func (l RequestLog) Guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, id := l.Number(r.Context())
		w.Header().Set(requestIDHeader, id)
		recorder := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
		started := time.Now()
		defer func() {
			path := l.Path(r.URL)
			l.Metrics.Request(path, recorder.status)
			if !l.Logger.Enabled(ctx, slog.LevelInfo) {
				return
			}
			fields := []any{
				"request_id", id, "method", loggedMethod(r.Method), "path", path,
				"status", recorder.status, "duration_ms", time.Since(started).Milliseconds(),
			}
			if recorder.reason != "" {
				fields = append(fields, "reason", recorder.reason)
			}
			if recorder.cause != "" {
				fields = append(fields, "cause", recorder.cause)
			}
			l.Logger.Info("request", fields...)
		}()
		next.ServeHTTP(recorder, r.WithContext(ctx))
	})
}

const requestIDHeader = "X-Request-Id"

func loggedMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

// statusRecorder records the status of an answer, and why it is a refusal.
type statusRecorder struct {
	http.ResponseWriter
	status int
	wrote  bool
	reason Reason
	cause  string
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

// Unwrap implements the interface of http.ResponseController.
func (s *statusRecorder) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// Flush implements [http.Flusher], which streams need.
func (s *statusRecorder) Flush() {
	_ = s.FlushError() // not every writer can
}

// FlushError implements the interface of http.ResponseController.
func (s *statusRecorder) FlushError() error {
	s.wrote = true
	return http.NewResponseController(s.ResponseWriter).Flush()
}

// RecoverPanics turns a panic into an error answer, so that it costs one request.
// An answer that has begun is aborted instead, so that it is not taken for a
// complete one.
func RecoverPanics(logger *slog.Logger) Guard {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			recorder := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
			defer func() {
				p := recover()
				if p == nil {
					return
				}
				if p != http.ErrAbortHandler { //nolint:errorlint // net/http compares it like this, too
					logger.Error("panic while a request was handled", "request_id", w.Header().Get(requestIDHeader), "panic", p, "stack", string(debug.Stack()))
				}
				if recorder.wrote || p == http.ErrAbortHandler { //nolint:errorlint // as above
					panic(http.ErrAbortHandler)
				}
				WriteProblem(w, http.StatusInternalServerError, "internal", "something went wrong inside the server")
			}()
			next.ServeHTTP(recorder, r)
		})
	}
}
