package server

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/ratelimit"
)

// Limits are how often clients may ask. Each is a token bucket that a sixth of
// it, and at least ten, may leave at once.
type Limits struct {
	// PerUser is how many requests a minute come from one user. 0: any number.
	PerUser int
	// PerAddress is how many requests a minute come from one IPv4 address or
	// IPv6 network of 64 bits. 0: any number, also of tokens that do not work.
	PerAddress int
	// Store holds the buckets that replicas share. Nil: this process counts by
	// itself.
	Store ratelimit.Store
}

// maxBuckets bounds the buckets in memory.
const maxBuckets = 50_000

// rateLimits hold requests back, by the address that they come from and by
// their user.
type rateLimits struct {
	buckets       *ratelimit.Shared
	user, address rateLimit
	metrics       Metrics
}

// rateLimit is one limit and how its refusal is told.
type rateLimit struct {
	bucket ratelimit.Limit // nothing in it: no limit
	advice string
}

func newRateLimits(limits Limits, metrics Metrics, logger *slog.Logger) *rateLimits {
	return &rateLimits{
		metrics: metrics,
		buckets: ratelimit.NewShared(limits.Store, ratelimit.NewTable(maxBuckets), logger),
		user: newRateLimit(limits.PerUser,
			"your user may send %d requests a minute to this server; wait as long as Retry-After says, and send fewer at once"),
		address: newRateLimit(limits.PerAddress,
			"your network address may send %d requests a minute to this server; wait as long as Retry-After says, and send fewer at once"),
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

// guardAddress holds back whoever sends too much from one address. It asks
// nobody who somebody is, so that guessing costs nobody anything.
func (l *rateLimits) guardAddress(next http.Handler) http.Handler {
	if l.address.off() {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		level := l.buckets.Take(r.Context(), "address:"+network(clientAddress(r.Context())), l.address.bucket)
		announce(w, l.address, level)
		if !level.Taken {
			l.metrics.Refused("address")
			refuseForNow(w, level.Wait, l.address.advice)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), levelKey{}, level)))
	})
}

// guardUser holds back a user who sends too much. Users whom known does not know
// are counted in this process: whoever makes tokens up shall not fill a store.
func (l *rateLimits) guardUser(known func(callerID string) bool) guard {
	return func(next http.Handler) http.Handler {
		if l.user.off() {
			return next
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			caller, _ := callerFrom(r.Context())
			key := "user:" + caller.ID
			var level ratelimit.Level
			if known(caller.ID) {
				level = l.buckets.Take(r.Context(), key, l.user.bucket)
			} else {
				level = l.buckets.TakeOwn(key, l.user.bucket)
			}
			// The client is told the bucket that will be empty first.
			if ofAddress, ok := r.Context().Value(levelKey{}).(ratelimit.Level); !ok || level.Remaining <= ofAddress.Remaining {
				announce(w, l.user, level)
			}
			if !level.Taken {
				l.metrics.Refused("user")
				refuseForNow(w, level.Wait, l.user.advice)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// announce tells what a bucket holds when it is full, what is left in it, and in
// how many seconds it is full again.
func announce(w http.ResponseWriter, limit rateLimit, level ratelimit.Level) {
	header := w.Header()
	header.Set("X-RateLimit-Limit", strconv.Itoa(limit.bucket.Burst))
	header.Set("X-RateLimit-Remaining", strconv.Itoa(level.Remaining))
	header.Set("X-RateLimit-Reset", seconds(level.Full))
}

// refuseForNow answers a request that came too early by wait.
func refuseForNow(w http.ResponseWriter, wait time.Duration, advice string) {
	w.Header().Set("Retry-After", seconds(max(wait, time.Second)))
	writeProblem(w, http.StatusTooManyRequests, "rate_limited", advice)
}

// seconds writes d in whole seconds, rounded up.
func seconds(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }
