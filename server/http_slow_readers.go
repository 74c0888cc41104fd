package server

import (
	"net/http"
	"time"
)

// cutOffSlowReaders gives up the answers of HTTP/2 that their clients do not
// take. Such a client can keep an answer waiting without a byte on the
// connection that could be late (RFC 9113, section 5.2), so that the connection's
// own limit does not see it.
func cutOffSlowReaders(patience time.Duration) guard {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ProtoMajor != 2 {
				next.ServeHTTP(w, r)
				return
			}
			limited := &limitedWriter{ResponseWriter: w, controller: http.NewResponseController(w), patience: patience}
			// The end of the answer is written when the handler is done.
			defer limited.begin()
			next.ServeHTTP(limited, r)
		})
	}
}

// limitedWriter has a time limit on each write, and none between them.
type limitedWriter struct {
	http.ResponseWriter
	controller *http.ResponseController
	patience   time.Duration
}

// begin and done cannot fail on HTTP/2, but on a stream that is gone: writing
// says so.
func (l *limitedWriter) begin() { _ = l.controller.SetWriteDeadline(time.Now().Add(l.patience)) }
func (l *limitedWriter) done()  { _ = l.controller.SetWriteDeadline(time.Time{}) }

func (l *limitedWriter) Write(p []byte) (int, error) {
	l.begin()
	defer l.done()
	return l.ResponseWriter.Write(p)
}

// Flush sends what was written so far; streams need it.
func (l *limitedWriter) Flush() {
	_ = l.FlushError() // the next write fails, too
}

// FlushError tells http.ResponseController whether it was sent.
func (l *limitedWriter) FlushError() error {
	l.begin()
	defer l.done()
	return l.controller.Flush()
}

// Unwrap lets http.ResponseController reach the writer below.
func (l *limitedWriter) Unwrap() http.ResponseWriter { return l.ResponseWriter }
