// Package limits counts requests in memory: by token in fixed periods, and by network
// address in token buckets.
package limits

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
	"github.com/kenbun/kenbun-mcp/internal/plaintext"
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

// Rate is a number of requests in a period. Its zero value is no limit.
type Rate struct {
	// Requests is from 1 to a million.
	Requests int
	// Period is a second, a minute, an hour or a day of 24 hours.
	Period time.Duration
}

// maxRequests is beyond what one process answers in a second.
const maxRequests = 1_000_000

var periods = []struct {
	letter, name string
	period       time.Duration
}{
	{"s", "second", time.Second},
	{"m", "minute", time.Minute},
	{"h", "hour", time.Hour},
	{"d", "day", 24 * time.Hour},
}

// String writes r as [Parse] reads it.
func (r Rate) String() string {
	for _, p := range periods {
		if r.Period == p.period {
			return fmt.Sprintf("%d/%s", r.Requests, p.letter)
		}
	}
	return "0"
}

// Words is r in a sentence, such as "60 requests a minute".
func (r Rate) Words() string {
	for _, p := range periods {
		if r.Period == p.period && r.Requests == 1 {
			return "one request a " + p.name
		} else if r.Period == p.period {
			return fmt.Sprintf("%d requests a %s", r.Requests, p.name)
		}
	}
	return "any number of requests"
}

// Validate returns a [*domain.InvalidError] unless r is a limit.
func (r Rate) Validate() error {
	known := false
	for _, p := range periods {
		known = known || p.period == r.Period
	}
	if !known || r.Requests < 1 || r.Requests > maxRequests {
		return &domain.InvalidError{Field: "rate limit", Problem: fmt.Sprintf("must be 1 to %d requests a second, minute, hour or day", maxRequests)}
	}
	return nil
}

// Parse reads limits such as "60/m,1000/d": requests in a second (s), minute (m), hour
// (h) or day (d). The default is a minute. Each period may occur once; "0" is no limit.
// The error is a [*domain.InvalidError].
func Parse(s string) ([]Rate, error) {
	if s == "0" {
		return nil, nil
	}
	var rates []Rate
	seen := map[time.Duration]bool{}
	for part := range strings.SplitSeq(s, ",") {
		rate, err := parseRate(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		if seen[rate.Period] {
			return nil, &domain.InvalidError{Field: "rate limit", Problem: fmt.Sprintf("%q names one period twice", s)}
		}
		seen[rate.Period] = true
		rates = append(rates, rate)
	}
	return rates, nil
}

func parseRate(s string) (Rate, error) {
	number, letter, given := strings.Cut(s, "/")
	if !given {
		letter = "m"
	}
	requests, err := strconv.Atoi(number)
	rate := Rate{Requests: requests}
	for _, p := range periods {
		if p.letter == letter {
			rate.Period = p.period
		}
	}
	if err != nil || number != strconv.Itoa(requests) || rate.Validate() != nil {
		return Rate{}, &domain.InvalidError{Field: "rate limit", Problem: fmt.Sprintf(
			`%s must be 1 to %d requests in a second, minute, hour or day, such as 60/m, or "0" alone for none`, plaintext.QuoteShort(s), maxRequests)}
	}
	return rate, nil
}

// Level is what is left of a limit after a request.
type Level struct {
	Taken     bool // the request may be answered
	Rate      Rate
	Capacity  int // how many requests may come at once
	Remaining int
	Wait      time.Duration // until another request is answered; 0 if one is now
	Reset     time.Duration // until the whole capacity is back
}
