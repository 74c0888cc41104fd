package edge

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/ratelimit"
)

// Limits are how often clients may send requests. Each is a token bucket; a sixth
// of it, and at least ten requests, may come at once.
type Limits struct {
	// PerUser is how many requests a minute one user may send. 0: any number.
	PerUser int
	// PerAddress is how many requests a minute may come from one IPv4 address or
	// IPv6 network of 64 bits. 0: any number, also of tokens that do not work.
	PerAddress int
	// Store holds the buckets that replicas share. Nil: this process counts by
	// itself.
	Store ratelimit.Store
}

// MaxBuckets bounds the buckets in memory.
const MaxBuckets = 50_000

// RateLimits refuse requests that come too often, by address and by user.
type RateLimits struct {
	buckets       *ratelimit.Shared
	user, address rateLimit
	metrics       Metrics
}

// rateLimit is one limit, and what a refused client is advised.
type rateLimit struct {
	bucket ratelimit.Limit // zero: no limit
	advice string
}

// NewRateLimits returns the limits, with all buckets full.
func NewRateLimits(limits Limits, metrics Metrics, logger *slog.Logger) *RateLimits {
	return &RateLimits{
		metrics: metrics,
		buckets: ratelimit.NewShared(limits.Store, ratelimit.NewTable(MaxBuckets), logger),
		user: newRateLimit(limits.PerUser,
			"your user may send %d requests a minute to this server; wait for the time in Retry-After, and send fewer at once"),
		address: newRateLimit(limits.PerAddress,
			"your network address may send %d requests a minute to this server; wait for the time in Retry-After, and send fewer at once"),
	}
}

func newRateLimit(perMinute int, advice string) rateLimit {
	if perMinute <= 0 {
		return rateLimit{}
	}
	return rateLimit{ratelimit.PerMinute(perMinute), fmt.Sprintf(advice, perMinute)}
}

func (l rateLimit) off() bool { return l.bucket.Burst == 0 }

type levelKey struct{}

// GuardAddress limits the requests from one address. It does not need to know the
// user, so guessing tokens costs nobody else anything.
func (l *RateLimits) GuardAddress(next http.Handler) http.Handler {
	if l.address.off() {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		level := l.buckets.Take(r.Context(), "address:"+ClientNetwork(r.Context()), l.address.bucket)
		announce(w, l.address, level)
		if !level.Taken {
			l.metrics.Refused("address")
			RefuseForNow(w, level.Wait, l.address.advice)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), levelKey{}, level)))
	})
}

// GuardUser limits the requests of one user, whom user names. Users for whom known
// returns false are counted in this process alone, so that made-up ones do not
// fill the shared store.
func (l *RateLimits) GuardUser(user func(context.Context) string, known func(user string) bool) Guard {
	return func(next http.Handler) http.Handler {
		if l.user.off() {
			return next
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			name := user(r.Context())
			key := "user:" + name
			var level ratelimit.Level
			if known(name) {
				level = l.buckets.Take(r.Context(), key, l.user.bucket)
			} else {
				level = l.buckets.TakeOwn(key, l.user.bucket)
			}
			// The client sees the bucket that will be empty first.
			if ofAddress, ok := r.Context().Value(levelKey{}).(ratelimit.Level); !ok || level.Remaining <= ofAddress.Remaining {
				announce(w, l.user, level)
			}
			if !level.Taken {
				l.metrics.Refused("user")
				RefuseForNow(w, level.Wait, l.user.advice)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// announce shows the size of a bucket, what is left in it, and in how many seconds
// it is full again.
func announce(w http.ResponseWriter, limit rateLimit, level ratelimit.Level) {
	header := w.Header()
	header.Set("X-RateLimit-Limit", strconv.Itoa(limit.bucket.Burst))
	header.Set("X-RateLimit-Remaining", strconv.Itoa(level.Remaining))
	header.Set("X-RateLimit-Reset", Seconds(level.Full))
}

// RefuseForNow answers that a request may be sent again after wait.
func RefuseForNow(w http.ResponseWriter, wait time.Duration, advice string) {
	w.Header().Set("Retry-After", Seconds(max(wait, time.Second)))
	WriteProblem(w, http.StatusTooManyRequests, "rate_limited", advice)
}

// Seconds writes d in whole seconds, rounded up.
func Seconds(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }

// MaxOpenRequests bounds how many requests of one user are worked on at once. A
// request may wait minutes for its user, and a stream stays open for as long as
// its client likes.
const MaxOpenRequests = 256

var tooManyOpen = fmt.Sprintf("too many of your requests are open; wait for answers before sending more. You may have %d open, and use a quarter of the memory for bodies", MaxOpenRequests)

// OpenRequests bounds the requests and streams of each user that are not answered
// yet.
type OpenRequests struct {
	metrics Metrics

	mu sync.Mutex
	of map[string]int // by user
}

// NewOpenRequests returns a count of nothing.
func NewOpenRequests(metrics Metrics) *OpenRequests {
	return &OpenRequests{metrics: metrics, of: map[string]int{}}
}

// Guard refuses the requests of users who have too many open. Only requests for
// which counts returns true are counted and refused, so that those that end others
// always pass.
func (o *OpenRequests) Guard(user func(context.Context) string, counts func(*http.Request) bool) Guard {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !counts(r) {
				next.ServeHTTP(w, r)
				return
			}
			name := user(r.Context())
			if !o.take(name) {
				o.metrics.Refused("user")
				RefuseForNow(w, time.Second, tooManyOpen)
				return
			}
			defer o.giveBack(name)
			next.ServeHTTP(w, r)
		})
	}
}

func (o *OpenRequests) take(user string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.of[user] >= MaxOpenRequests {
		return false
	}
	o.of[user]++
	return true
}

func (o *OpenRequests) giveBack(user string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.of[user]--; o.of[user] == 0 {
		delete(o.of, user)
	}
}
