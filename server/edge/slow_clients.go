package edge

import (
	"io"
	"net/http"
	"strings"
	"time"
)

// EndDoubtfulConnections closes a connection after a request whose end is not
// beyond doubt. A proxy in front may read the same bytes differently, and take for
// the body of one user's request what is another request here (RFC 9112, section
// 11.2).
//
// net/http refuses most of such framing. It silently accepts a Content-Length
// beside Transfer-Encoding, and a Transfer-Encoding in HTTP/1.0. Requests of these
// two kinds are the last on their connection.
func EndDoubtfulConnections(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 1 && (r.ProtoMinor == 0 || len(r.TransferEncoding) > 0) {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

const (
	// unreadPatience is how long to wait for the rest of a small body after its
	// request was refused.
	unreadPatience = 100 * time.Millisecond
	// maxUnread is the largest body whose rest is read, in bytes.
	maxUnread = 16 << 10
)

// EndUnreadBodies keeps answers over HTTP/1 from waiting for a body. Before
// net/http sends an answer, and again after it, it reads up to 256 KiB of a body
// that the handler has left unread, however long the client takes. Here
// the connection ends after the answer, unless the rest of a small body is there
// already.
//
// HTTP/2 does not need this: the answer goes out at once, the client is told to
// stop sending, and the connection stays open.
func EndUnreadBodies(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 || r.Body == nil || r.Body == http.NoBody {
			next.ServeHTTP(w, r)
			return
		}
		body := &watchedBody{ReadCloser: r.Body}
		watched := &unreadWriter{ResponseWriter: w, body: body, mayWait: r.ContentLength <= maxUnread && r.Header.Get("Expect") == ""}
		r.Body = body
		defer watched.settle() // net/http answers for a handler that wrote nothing
		next.ServeHTTP(watched, r)
	})
}

// watchedBody records whether it was read to its end.
type watchedBody struct {
	io.ReadCloser
	ended bool
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.ended = true
	}
	return n, err
}

// unreadWriter looks at the body before the head of the answer is written.
type unreadWriter struct {
	http.ResponseWriter
	body    *watchedBody
	mayWait bool // the rest is small, and the client sends it without being asked
	settled bool
}

func (u *unreadWriter) WriteHeader(status int) {
	if status >= http.StatusOK {
		u.settle()
	}
	u.ResponseWriter.WriteHeader(status)
}

func (u *unreadWriter) Write(p []byte) (int, error) {
	u.settle()
	return u.ResponseWriter.Write(p)
}

// Unwrap implements the interface of http.ResponseController.
func (u *unreadWriter) Unwrap() http.ResponseWriter { return u.ResponseWriter }

func (u *unreadWriter) settle() {
	if u.settled {
		return
	}
	u.settled = true
	if u.body.ended {
		return
	}
	controller := http.NewResponseController(u.ResponseWriter)
	if u.mayWait && u.Header().Get("Connection") != "close" {
		_ = controller.SetReadDeadline(time.Now().Add(unreadPatience)) // if it fails, that of net/http holds
		_, _ = io.CopyN(io.Discard, u.body, maxUnread+1)               // the body records how that ended
	}
	if u.body.ended {
		_ = controller.SetReadDeadline(time.Time{})
		return
	}
	u.Header().Set("Connection", "close")
	// After the answer net/http tries to read the rest once more.
	_ = controller.SetReadDeadline(time.Now())
	lingerAfterAnswer(u.ResponseWriter)
}

// lingerAfterAnswer makes net/http wait half a second between the answer and the end
// of the connection. Otherwise the kernel resets a connection with unread data, and a
// client that is still sending may lose the answer. net/http waits only if a body
// exceeded the limit of an [http.MaxBytesReader].
func lingerAfterAnswer(w http.ResponseWriter) {
	for writer := range writers(w) {
		w = writer // the last one is that of net/http
	}
	_, _ = http.MaxBytesReader(w, io.NopCloser(strings.NewReader("beyond")), 0).Read(make([]byte, 1)) // always exceeds the limit
}

// CutOffSlowReaders gives up answers of HTTP/2 that their clients do not read. Such
// a client can hold an answer up with flow control (RFC 9113, section 5.2), which
// the time limit of the connection does not notice.
func CutOffSlowReaders(patience time.Duration) Guard {
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

// Flush implements [http.Flusher], which streams need.
func (l *limitedWriter) Flush() {
	_ = l.FlushError() // the next write fails, too
}

// FlushError implements the interface of http.ResponseController.
func (l *limitedWriter) FlushError() error {
	l.begin()
	defer l.done()
	return l.controller.Flush()
}

// Unwrap implements the interface of http.ResponseController.
func (l *limitedWriter) Unwrap() http.ResponseWriter { return l.ResponseWriter }
