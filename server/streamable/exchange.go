package streamable

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
)

// heartbeat is how often a silent stream shows that it is alive, to proxies that
// close silent connections.
const heartbeat = 15 * time.Second

var (
	errStreamEnded  = errors.New("the answer has ended")
	errCannotStream = errors.New("the client does not accept a stream of events")
)

// exchange is the answer to one HTTP request: a single JSON document or, from
// the first notification or question on, a stream of events that ends with the
// answer (MCP 2025-11-25 and 2026-07-28, basic/transports, "Streamable HTTP").
type exchange struct {
	w          http.ResponseWriter
	takesEvent bool

	mu        sync.Mutex
	streaming bool
	ended     bool
	beat      *time.Timer
}

func newExchange(w http.ResponseWriter, r *http.Request) *exchange {
	return &exchange{w: w, takesEvent: takesEvents(r)}
}

// takesEvents reports whether the client accepts a stream. Without an Accept header
// it accepts anything (RFC 9110, section 12.5.1).
func takesEvents(r *http.Request) bool {
	accepted := strings.ToLower(strings.Join(r.Header.Values("Accept"), ","))
	return accepted == "" || strings.Contains(accepted, "text/event-stream") || strings.Contains(accepted, "*/*") || strings.Contains(accepted, "text/*")
}

// send writes a message before the answer.
func (x *exchange) send(m any) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.ended:
		return errStreamEnded
	case !x.takesEvent:
		return errCannotStream
	}
	x.beginStream()
	return x.writeEvent(m)
}

// open begins the stream before there is a message, with a comment. Some proxies
// hold the head of an answer back until the first bytes of its body (nginx does
// over HTTP/2), and the client would wait.
func (x *exchange) open() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.beginStream()
	x.comment()
}

func (x *exchange) beginStream() {
	if x.streaming {
		return
	}
	x.streaming = true
	header := x.w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Accel-Buffering", "no") // nginx would keep events back
	x.w.WriteHeader(http.StatusOK)
	x.beat = time.AfterFunc(heartbeat, x.showLife)
}

func (x *exchange) showLife() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ended {
		return
	}
	x.comment()
	x.beat.Reset(heartbeat)
}

// comment writes an empty comment.
func (x *exchange) comment() {
	_, _ = x.w.Write([]byte(":\n\n")) // a client that is gone ends the request by that
	x.flush()
}

func (x *exchange) writeEvent(m any) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return x.writeData(data)
}

func (x *exchange) writeData(data []byte) error {
	event := make([]byte, 0, len(data)+32)
	event = append(event, "event: message\ndata: "...)
	event = append(event, data...)
	event = append(event, "\n\n"...)
	if _, err := x.w.Write(event); err != nil { //nolint:gosec // no browser takes a stream of events for a page
		return err
	}
	x.flush()
	return nil
}

func (x *exchange) flush() {
	_ = http.NewResponseController(x.w).Flush() // not every writer can
}

// finish writes the answer, which is JSON, and nothing may follow it.
func (x *exchange) finish(answer []byte, status int) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ended {
		return errStreamEnded
	}
	x.endLocked()
	if x.streaming {
		return x.writeData(answer)
	}
	return writeDocument(x.w, status, answer)
}

// end ends the exchange without an answer.
func (x *exchange) end() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.endLocked()
}

func (x *exchange) endLocked() {
	x.ended = true
	if x.beat != nil {
		x.beat.Stop()
	}
}

// writeMessage answers with one JSON-RPC message in JSON.
func writeMessage(w http.ResponseWriter, status int, m mcp.JSONRPCMessage) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return writeDocument(w, status, data)
}

func writeDocument(w http.ResponseWriter, status int, data []byte) error {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, err := w.Write(append(data, '\n')) //nolint:gosec // JSON that says that it is JSON
	return err
}
