package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
)

type bodyKey struct{}

// checkHead refuses what the head of a request already rules out, before anybody
// is asked about anything.
func checkHead(next http.Handler) http.Handler {
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
		if r.ContentLength > maxRequestBody {
			writeTooLarge(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func writeTooLarge(w http.ResponseWriter) {
	writeProblem(w, http.StatusRequestEntityTooLarge, "too_large", "the body is larger than 1 MiB")
}

// bodies reads the bodies of requests, within one budget for all of them.
type bodies struct {
	budget  *bodyBudget
	metrics Metrics
	// user names the user of a request, so that the bodies of all their tokens count
	// together. Nil: each caller counts alone.
	user func(*http.Request) string
	pace pace
}

// pace is how slowly a body may come.
type pace struct {
	// first is the time for its first bytes, and longest that for all of it.
	first, longest time.Duration
}

// slowestBody is how many bytes of a body have to come in a second once the time
// for the first ones is over.
const slowestBody = 40 << 10

// deadline is when the next bytes must be there of a body that has begun at
// begun, and of which so many bytes have come.
func (p pace) deadline(begun time.Time, came int) time.Time {
	return begun.Add(min(p.first+time.Duration(came)*time.Second/slowestBody, p.longest))
}

// firstPart is how much room a body is given at first, in bytes.
const firstPart = 512

var errTooLarge = errors.New("the body is too large")

// read reads the whole body before anything looks at it.
//
// Once a body is read to its end net/http lifts the time limit for reading, so
// that the call may wait for a person.
func (b *bodies) read(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, _ := callerFrom(r.Context())
		controller := http.NewResponseController(w)
		in := &incoming{
			bodies: b, share: b.budget.open(caller.ID), r: r, begun: time.Now(),
			limit: func(end time.Time) { _ = controller.SetReadDeadline(end) }, // without, that of net/http holds
		}
		defer in.share.release()
		body, err := in.body()
		switch {
		case errors.Is(err, errTooLarge):
			writeTooLarge(w)
			return
		case errors.Is(err, errUserFull):
			b.metrics.Refused("user")
			refuseForNow(w, time.Second, tooManyOpen)
			return
		case errors.Is(err, errBudgetFull):
			b.metrics.Refused("bodies")
			w.Header().Set("Retry-After", "1")
			writeProblem(w, http.StatusServiceUnavailable, "busy", "all the memory for requests is in use; send this one again in a second")
			return
		case errors.Is(err, os.ErrDeadlineExceeded):
			writeProblem(w, http.StatusRequestTimeout, "too_slow", "the body came too slowly; send it again, at 40 KiB a second or faster")
			return
		case err != nil:
			writeProblem(w, http.StatusBadRequest, "unreadable", "the body could not be read to its end")
			return
		}
		in.limit(time.Time{})
		end := connectionOf(r.Context()).work()
		defer end()
		m := newReceived(body)
		// The context may outlive the request, in a call that goes on.
		defer m.forget()
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), bodyKey{}, m)))
	})
}

// incoming is a body that is being read.
type incoming struct {
	*bodies
	r     *http.Request
	share *share
	begun time.Time
	limit func(end time.Time)
	named bool // the share counts for the user
}

// body returns what there is to read, up to its limit.
func (in *incoming) body() ([]byte, error) {
	if in.r.ContentLength == 0 {
		return nil, nil
	}
	// The buffer grows with what has come, so that nobody holds memory for what
	// they only announce. A body that means nothing is read into the same place
	// again and again: a stream would hold it for as long as it is open.
	meansNothing := in.r.Method != http.MethodPost
	var body []byte
	for came := 0; ; {
		if len(body) == cap(body) {
			size := min(max(2*cap(body), firstPart), maxRequestBody)
			if cap(body) < smallBody {
				size = min(size, smallBody)
			}
			if in.r.ContentLength > 0 {
				size = min(size, int(in.r.ContentLength))
			}
			if err := in.reserve(size); err != nil {
				return nil, err
			}
			// One byte more, for whatever comes beyond the end.
			body = append(make([]byte, 0, size+1), body...)
		}
		in.limit(in.pace.deadline(in.begun, came))
		n, err := in.r.Body.Read(body[len(body):cap(body)])
		came += n
		if !meansNothing {
			body = body[:len(body)+n]
		}
		switch {
		case came > maxRequestBody:
			return nil, errTooLarge
		case errors.Is(err, io.EOF):
			return body, nil
		case err != nil:
			return nil, err
		}
	}
}

// reserve takes room for size bytes. Before the first large part, and for a token
// that holds much already, it finds out whose they are.
func (in *incoming) reserve(size int) error {
	if !in.named && in.user != nil && (size > smallBody || in.share.held() > tokenBytes) {
		in.named = true
		in.share.moveTo(in.user(in.r))
	}
	return in.share.grow(size)
}

// received is the message of a request, or why it is none.
type received struct {
	message *message
	bad     *badMessage
}

func newReceived(body []byte) *received {
	m, bad := parseMessage(body)
	return &received{m, bad}
}

func (r *received) forget() { *r = received{} }

// messageOf is the message that came with r, or why there is none.
func messageOf(r *http.Request) (*message, *badMessage) {
	in, ok := r.Context().Value(bodyKey{}).(*received)
	if !ok || in.message == nil && in.bad == nil {
		return nil, &badMessage{code: mcp.PARSE_ERROR, text: "there is no message"}
	}
	return in.message, in.bad
}

func isToolCall(r *http.Request) bool {
	m, bad := messageOf(r)
	return r.Method == http.MethodPost && bad == nil && m.Method == string(mcp.MethodToolsCall) && m.isRequest()
}
