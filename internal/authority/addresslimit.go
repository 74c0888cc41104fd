package authority

import (
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// maxAddresses bounds what is remembered of strangers. Where more of them come,
// the one that has been quiet for the longest is forgotten.
const maxAddresses = 50_000

// addressLimit is the limit at the gateway: a bucket for each client address,
// which counts requests before anybody is asked who they are from, so that
// guessing tokens costs the store nothing.
type addressLimit struct {
	limit   RateLimit
	burst   int
	proxies []netip.Prefix

	mu      sync.Mutex
	buckets *simplelru.LRU[netip.Prefix, *rate.Limiter]
}

// newAddressLimit returns nil if there is no limit. A sixth of it, and at least
// ten, may come at once.
func newAddressLimit(limit RateLimit, proxies []netip.Prefix) *addressLimit {
	if limit == (RateLimit{}) {
		return nil
	}
	buckets, err := simplelru.NewLRU[netip.Prefix, *rate.Limiter](maxAddresses, nil)
	if err != nil {
		panic(fmt.Errorf("authority: a table of %d addresses: %w", maxAddresses, err)) // for a size of 0 alone
	}
	return &addressLimit{limit: limit, burst: min(max(limit.Requests/6, 10), limit.Requests), proxies: proxies, buckets: buckets}
}

// take counts a request at the time now, unless there have been too many from
// its address.
func (l *addressLimit) take(r *http.Request, now time.Time) rateLevel {
	from := network(clientAddress(r, l.proxies))
	interval := l.limit.Period / time.Duration(l.limit.Requests)
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket, known := l.buckets.Get(from)
	if !known {
		bucket = rate.NewLimiter(rate.Every(interval), l.burst)
		l.buckets.Add(from, bucket)
	}
	level := rateLevel{taken: bucket.AllowN(now, 1), limit: l.limit, capacity: l.burst}
	left := max(bucket.TokensAt(now), 0)
	level.remaining = int(left)
	if left < 1 {
		level.wait = time.Duration((1 - left) * float64(interval))
	}
	level.reset = time.Duration((float64(l.burst) - left) * float64(interval))
	return level
}
