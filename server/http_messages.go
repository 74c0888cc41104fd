package server

import (
	"context"
	"errors"
	"io"
	"net/http"
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

// leaveLargeBodies ends connections whose request was answered before its body
// was read, if that may be large: net/http would otherwise read up to 256 KiB of
// it first.
func leaveLargeBodies(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 1 && r.ContentLength > maxUnprovenBody {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// keepConnection takes back what leaveLargeBodies decided: the body was read.
func keepConnection(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 && r.ProtoMinor > 0 && len(r.TransferEncoding) == 0 {
		w.Header().Del("Connection")
	}
}

// bodies reads the bodies of requests, within one budget for all of them.
type bodies struct {
	budget  *bodyBudget
	metrics Metrics
	// unproven and proven are the time limits for a whole body, for tokens that
	// the API has not accepted lately and for those that it has.
	unproven, proven time.Duration
}

// firstPart is how much room a body is given at first, in bytes.
const firstPart = 512

var errTooLarge = errors.New("the body is too large")

// read reads the whole body before anything looks at it. The sender's token has
// to be proven before more than 16 KiB are read, and where strangers have used
// up their part of the budget.
//
// Once a body is read to its end net/http lifts the time limit for reading, so
// that the call may wait for a person.
func (b *bodies) read(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in := &incoming{
			bodies: b, from: senderOf(r), share: b.budget.open(), r: r,
			limit: func(d time.Duration) { _ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(d)) }, // without, that of net/http holds
		}
		defer in.share.release()
		body, err := in.body(r.Context())
		var refused *authError
		switch {
		case errors.As(err, &refused):
			challenge(w, refused)
			return
		case errors.Is(err, errTooLarge):
			writeTooLarge(w)
			return
		case errors.Is(err, errCallerFull):
			b.metrics.Refused("user")
			refuseForNow(w, time.Second, tooManyOpen)
			return
		case errors.Is(err, errBudgetFull):
			b.metrics.Refused("bodies")
			w.Header().Set("Retry-After", "1")
			writeProblem(w, http.StatusServiceUnavailable, "busy", "all the memory for requests is in use; send this one again in a second")
			return
		case err != nil:
			writeProblem(w, http.StatusBadRequest, "unreadable", "the body could not be read to its end")
			return
		}
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		keepConnection(w, r)
		end := connectionOf(r.Context()).work()
		defer end()
		next.ServeHTTP(w, r.WithContext(withMessage(r.Context(), body)))
	})
}

// incoming is a body that is being read.
type incoming struct {
	*bodies
	r     *http.Request
	from  *sender
	share *share
	limit func(time.Duration)
}

// body returns what there is to read, up to its limit.
func (in *incoming) body(ctx context.Context) ([]byte, error) {
	switch {
	case in.r.ContentLength == 0:
		return nil, nil
	case in.from.proven, in.r.Method != http.MethodPost, in.r.ContentLength > maxUnprovenBody:
		if err := in.prove(ctx); err != nil {
			return nil, err
		}
	default:
		in.limit(in.unproven)
	}
	if in.r.Method != http.MethodPost {
		// It means nothing, and a stream would hold it for as long as it is open.
		n, err := io.Copy(io.Discard, io.LimitReader(in.r.Body, maxRequestBody+1))
		if n > maxRequestBody {
			err = errTooLarge
		}
		return nil, err
	}
	// The buffer grows with what has come, so that nobody holds memory for what
	// they only announce.
	var body []byte
	for {
		if len(body) == cap(body) {
			size := min(max(2*cap(body), firstPart), maxRequestBody)
			if in.r.ContentLength > 0 {
				size = min(size, int(in.r.ContentLength))
			}
			if err := in.reserve(ctx, size); err != nil {
				return nil, err
			}
			// One byte more, for whatever comes beyond the end.
			body = append(make([]byte, 0, size+1), body...)
		}
		n, err := in.r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case len(body) > maxRequestBody:
			return nil, errTooLarge
		case errors.Is(err, io.EOF):
			return body, nil
		case err != nil:
			return nil, err
		}
	}
}

// reserve takes room for size bytes, and proves the token first where it has to
// be.
func (in *incoming) reserve(ctx context.Context, size int) error {
	if size > maxUnprovenBody {
		if err := in.prove(ctx); err != nil {
			return err
		}
	}
	err := in.share.grow(size)
	if err == nil || in.from.proven {
		return err
	}
	if err := in.prove(ctx); err != nil {
		return err
	}
	return in.share.grow(size)
}

// prove has the API accept the token, if it did not lately, and gives the body
// the time of a known caller.
func (in *incoming) prove(ctx context.Context) error {
	if err := in.from.prove(ctx); err != nil {
		return err
	}
	in.share.prove(in.from.id)
	in.limit(in.proven)
	return nil
}

// received is the message of a request, or why it is none.
type received struct {
	message *message
	bad     *badMessage
}

func withMessage(ctx context.Context, body []byte) context.Context {
	m, bad := parseMessage(body)
	return context.WithValue(ctx, bodyKey{}, received{m, bad})
}

// messageOf is the message that came with r, or why there is none.
func messageOf(r *http.Request) (*message, *badMessage) {
	in, ok := r.Context().Value(bodyKey{}).(received)
	if !ok {
		return nil, &badMessage{code: mcp.PARSE_ERROR, text: "there is no message"}
	}
	return in.message, in.bad
}

func isToolCall(r *http.Request) bool {
	m, bad := messageOf(r)
	return r.Method == http.MethodPost && bad == nil && m.Method == string(mcp.MethodToolsCall) && m.isRequest()
}
