package limits

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// maxAddresses bounds how many networks are remembered, the least recent forgotten first.
const maxAddresses = 50_000

// Addresses has a bucket for each client's network. It counts requests before
// authentication, so that guessing tokens costs the store nothing.
type Addresses struct {
	rate  Rate
	burst int

	mu      sync.Mutex
	buckets *simplelru.LRU[netip.Prefix, *rate.Limiter]
}

// NewAddresses returns nil for no limit. Bursts are a sixth of it, and at least ten.
func NewAddresses(limit Rate) *Addresses {
	if limit == (Rate{}) {
		return nil
	}
	buckets, err := simplelru.NewLRU[netip.Prefix, *rate.Limiter](maxAddresses, nil)
	if err != nil {
		panic(fmt.Errorf("limits: a table of %d addresses: %w", maxAddresses, err)) // for a size of 0 alone
	}
	return &Addresses{rate: limit, burst: min(max(limit.Requests/6, 10), limit.Requests), buckets: buckets}
}

// Take counts a request unless the network's limit is reached.
func (a *Addresses) Take(from netip.Prefix, now time.Time) Level {
	interval := a.rate.Period / time.Duration(a.rate.Requests)
	a.mu.Lock()
	defer a.mu.Unlock()
	bucket, known := a.buckets.Get(from)
	if !known {
		bucket = rate.NewLimiter(rate.Every(interval), a.burst)
		a.buckets.Add(from, bucket)
	}
	level := Level{Taken: bucket.AllowN(now, 1), Rate: a.rate, Capacity: a.burst}
	left := max(bucket.TokensAt(now), 0)
	level.Remaining = int(left)
	if left < 1 {
		level.Wait = time.Duration((1 - left) * float64(interval))
	}
	level.Reset = time.Duration((float64(a.burst) - left) * float64(interval))
	return level
}
