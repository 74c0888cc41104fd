package edge

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

// MaxBody bounds the body of a request, in bytes.
const MaxBody = 1 << 20

// Bodies reads the bodies of requests, within one budget for all of them.
type Bodies struct {
	Budget  *BodyBudget
	Metrics Metrics
	// Caller names for whom a body counts at first.
	Caller func(context.Context) string
	// User names the user of a request, so that the bodies of all their tokens count
	// together. It is asked only for large bodies, and for callers with many. Nil:
	// each caller counts alone.
	User func(*http.Request) string
	// First is the time for the first bytes of a body, and Longest that for all of it.
	First, Longest time.Duration
}

// slowestBody is how many bytes of a body have to come in a second once the time
// for the first ones is over.
const slowestBody = 40 << 10

// deadline returns when the next bytes must be there of a body that began at
// begun, and of which so many bytes have come.
func (b *Bodies) deadline(begun time.Time, came int) time.Time {
	return begun.Add(min(b.First+time.Duration(came)*time.Second/slowestBody, b.Longest))
}

// firstPart is how much room a body is given at first, in bytes.
const firstPart = 512

var errTooLarge = errors.New("the body is too large")

type bodyKey struct{}

// Body returns the body of a request that [Bodies] has read. It may be used only
// until the request is answered.
func Body(r *http.Request) []byte {
	body, _ := r.Context().Value(bodyKey{}).(*[]byte)
	if body == nil {
		return nil
	}
	return *body
}

// Read reads the whole body before the next handler, which finds it with [Body].
//
// Once a body is read to its end net/http lifts the time limit for reading, so
// that the request may wait for its user.
func (b *Bodies) Read(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		controller := http.NewResponseController(w)
		in := &incoming{
			Bodies: b, share: b.Budget.open(b.Caller(r.Context())), r: r, begun: time.Now(),
			limit: func(end time.Time) { _ = controller.SetReadDeadline(end) }, // if it fails, that of net/http holds
		}
		defer in.share.release()
		body, err := in.body()
		switch {
		case errors.Is(err, errTooLarge):
			WriteTooLarge(w)
			return
		case errors.Is(err, errUserFull):
			b.Metrics.Refused("user")
			RefuseForNow(w, time.Second, tooManyOpen)
			return
		case errors.Is(err, errBudgetFull):
			b.Metrics.Refused("bodies")
			w.Header().Set("Retry-After", "1")
			WriteProblem(w, http.StatusServiceUnavailable, "busy", "the memory for requests is full; send this one again in a second")
			return
		case errors.Is(err, os.ErrDeadlineExceeded):
			WriteProblem(w, http.StatusRequestTimeout, "too_slow", "the body arrived too slowly; send it again, at 40 KiB a second or faster")
			return
		case err != nil:
			WriteProblem(w, http.StatusBadRequest, "unreadable", "the body could not be read completely")
			return
		}
		in.limit(time.Time{})
		end := connectionOf(r.Context()).work()
		defer end()
		// The context may outlive the request, and must not hold the body.
		defer func() { body = nil }()
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), bodyKey{}, &body)))
	})
}

// WriteTooLarge answers a request whose body is larger than [MaxBody].
func WriteTooLarge(w http.ResponseWriter) {
	WriteProblem(w, http.StatusRequestEntityTooLarge, "too_large", "the body is larger than 1 MiB")
}

// incoming is a body that is being read.
type incoming struct {
	*Bodies
	r     *http.Request
	share *share
	begun time.Time
	limit func(end time.Time)
	named bool // the share counts for the user
}

// body returns what there is to read, up to [MaxBody].
func (in *incoming) body() ([]byte, error) {
	if in.r.ContentLength == 0 {
		return nil, nil
	}
	// The buffer grows with what has come, so that a length that is only announced
	// holds no memory. A body without a meaning is read into the same place again
	// and again: a stream would hold it for as long as it is open.
	meaningless := in.r.Method != http.MethodPost
	var body []byte
	for came := 0; ; {
		if len(body) == cap(body) {
			size := min(max(2*cap(body), firstPart), MaxBody)
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
		in.limit(in.deadline(in.begun, came))
		n, err := in.r.Body.Read(body[len(body):cap(body)])
		came += n
		if !meaningless {
			body = body[:len(body)+n]
		}
		switch {
		case came > MaxBody:
			return nil, errTooLarge
		case errors.Is(err, io.EOF):
			return body, nil
		case err != nil:
			return nil, err
		}
	}
}

// reserve takes room for size bytes. Before the first large part, and for a caller
// with much open already, it finds out the user.
func (in *incoming) reserve(size int) error {
	if !in.named && in.User != nil && (size > smallBody || in.share.held() > tokenBytes) {
		in.named = true
		in.share.moveTo(in.User(in.r))
	}
	return in.share.grow(size)
}
