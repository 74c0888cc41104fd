package limits

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// countIdle is how long the count of an idle token is kept.
const countIdle = time.Minute

// Tokens counts the requests of each token in fixed periods that begin with a whole
// minute, or at midnight UTC. Counts are this process's alone. A nil Tokens has no limit.
type Tokens struct {
	rates []Rate

	mu     sync.Mutex
	tokens map[string]*tokenCount
	swept  time.Time
}

type tokenCount struct {
	windows []window // one for each rate
	seen    time.Time
}

// window is the count of the period that begins at start.
type window struct {
	start    time.Time
	requests int
}

// NewTokens returns nil if there are no rates.
func NewTokens(rates []Rate) *Tokens {
	if len(rates) == 0 {
		return nil
	}
	return &Tokens{rates: rates, tokens: map[string]*tokenCount{}}
}

// Take counts a request of a token unless one of the limits is reached.
func (t *Tokens) Take(tokenID string, now time.Time) Level {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sweep(now)
	count, known := t.tokens[tokenID]
	if !known {
		count = &tokenCount{windows: make([]window, len(t.rates))}
		t.tokens[tokenID] = count
	}
	count.seen = now
	level := t.level(count, now)
	if level.Taken {
		for i := range count.windows {
			count.windows[i].requests++
		}
	}
	return level
}

// level returns the limit with the fewest requests left or, if some are reached, the one
// with the longest wait.
func (t *Tokens) level(count *tokenCount, now time.Time) Level {
	var tightest, refusing *Level
	for i, rate := range t.rates {
		w := &count.windows[i]
		// A clock that is set back does not begin a period again.
		if start := now.Truncate(rate.Period); start.After(w.start) {
			*w = window{start: start}
		}
		level := Level{
			Taken: w.requests < rate.Requests, Rate: rate, Capacity: rate.Requests,
			Remaining: max(rate.Requests-w.requests-1, 0), Reset: w.start.Add(rate.Period).Sub(now),
		}
		if level.Remaining == 0 {
			level.Wait = level.Reset
		}
		if !level.Taken && (refusing == nil || level.Wait > refusing.Wait) {
			refusing = &level
		}
		if tightest == nil || level.Remaining < tightest.Remaining {
			tightest = &level
		}
	}
	if refusing != nil {
		return *refusing
	}
	return *tightest
}

// sweep forgets idle counts whose periods are over.
func (t *Tokens) sweep(now time.Time) {
	if now.Sub(t.swept) < countIdle {
		return
	}
	t.swept = now
	for id, count := range t.tokens {
		if now.Sub(count.seen) >= countIdle && t.over(count, now) {
			delete(t.tokens, id)
		}
	}
}

func (t *Tokens) over(count *tokenCount, now time.Time) bool {
	for i, rate := range t.rates {
		if now.Before(count.windows[i].start.Add(rate.Period)) {
			return false
		}
	}
	return true
}

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
