package server

import (
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	// unreadPatience is how long the rest of a small body is waited for after its
	// request was refused.
	unreadPatience = 100 * time.Millisecond
	// maxUnread is the largest body whose rest is read, in bytes.
	maxUnread = 16 << 10
)

// endUnreadBodies sees to it that an answer over HTTP/1 waits for no body. Before
// net/http sends an answer, and again after it, it reads up to 256 KiB of a body
// that the handler has left unread, for as long as the client likes to take. Here
// the connection ends after the answer, unless the rest of a small body is there
// already.
//
// HTTP/2 needs nothing of the kind: the answer goes out at once, the client is
// told to send no more, and the connection goes on.
func endUnreadBodies(next http.Handler) http.Handler {
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

// watchedBody knows whether it was read to its end.
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

// Unwrap lets http.ResponseController reach the writer below.
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
		_ = controller.SetReadDeadline(time.Now().Add(unreadPatience)) // without, that of net/http holds
		_, _ = io.CopyN(io.Discard, u.body, maxUnread+1)               // the body knows how that ended
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
// of the connection. Otherwise the kernel resets a connection of which something was
// not read, and a client that is still sending may lose the answer. net/http waits
// only where a body went beyond the limit of an [http.MaxBytesReader].
func lingerAfterAnswer(w http.ResponseWriter) {
	for writer := range writers(w) {
		w = writer // the last one is that of net/http
	}
	_, _ = http.MaxBytesReader(w, io.NopCloser(strings.NewReader("beyond")), 0).Read(make([]byte, 1)) // always beyond the limit
}
