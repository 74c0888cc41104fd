package authority

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// RateLimit is how many requests are answered in a period. Its zero value is no
// limit.
type RateLimit struct {
	// Requests is at least 1, and at most a million.
	Requests int
	// Period is a second, a minute, an hour or a day of 24 hours.
	Period time.Duration
}

// maxRateLimit is beyond what one process could answer in a second, and far from
// where numbers overflow.
const maxRateLimit = 1_000_000

var ratePeriods = []struct {
	letter, name string
	period       time.Duration
}{
	{"s", "second", time.Second},
	{"m", "minute", time.Minute},
	{"h", "hour", time.Hour},
	{"d", "day", 24 * time.Hour},
}

// String writes l as [ParseRateLimits] reads it.
func (l RateLimit) String() string {
	for _, p := range ratePeriods {
		if l.Period == p.period {
			return fmt.Sprintf("%d/%s", l.Requests, p.letter)
		}
	}
	return "0"
}

// words is l in a sentence.
func (l RateLimit) words() string {
	for _, p := range ratePeriods {
		if l.Period == p.period && l.Requests == 1 {
			return "one request a " + p.name
		} else if l.Period == p.period {
			return fmt.Sprintf("%d requests a %s", l.Requests, p.name)
		}
	}
	return "any number of requests"
}

func (l RateLimit) validate() error {
	known := false
	for _, p := range ratePeriods {
		known = known || p.period == l.Period
	}
	if !known || l.Requests < 1 || l.Requests > maxRateLimit {
		return &InvalidError{Field: "rate limit", Problem: fmt.Sprintf("must be 1 to %d requests a second, minute, hour or day", maxRateLimit)}
	}
	return nil
}

// ParseRateLimits reads limits such as "60/m,1000/d": requests in a second (s),
// minute (m), hour (h) or day (d), a minute where nothing is said, and each of
// them once. "0" is none. It returns an [*InvalidError] for anything else.
func ParseRateLimits(s string) ([]RateLimit, error) {
	if s == "0" {
		return nil, nil
	}
	var limits []RateLimit
	seen := map[time.Duration]bool{}
	for part := range strings.SplitSeq(s, ",") {
		limit, err := parseRateLimit(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		if seen[limit.Period] {
			return nil, &InvalidError{Field: "rate limit", Problem: fmt.Sprintf("%q names one period twice", s)}
		}
		seen[limit.Period] = true
		limits = append(limits, limit)
	}
	return limits, nil
}

func parseRateLimit(s string) (RateLimit, error) {
	number, letter, given := strings.Cut(s, "/")
	if !given {
		letter = "m"
	}
	requests, err := strconv.Atoi(number)
	limit := RateLimit{Requests: requests}
	for _, p := range ratePeriods {
		if p.letter == letter {
			limit.Period = p.period
		}
	}
	if err != nil || number != strconv.Itoa(requests) || limit.validate() != nil {
		return RateLimit{}, &InvalidError{Field: "rate limit", Problem: fmt.Sprintf(
			`%s must be 1 to %d requests in a second, minute, hour or day, such as 60/m, or "0" alone for none`, quoteShort(s), maxRateLimit)}
	}
	return limit, nil
}

// rateLevel is what is left of a limit after a request was counted, or was not.
type rateLevel struct {
	taken     bool
	limit     RateLimit
	capacity  int // how many requests may come at once
	remaining int
	wait      time.Duration // until another request is answered; 0 if one is now
	reset     time.Duration // until the whole capacity is there again
}

// announce tells the caller what is left.
func (l rateLevel) announce(h http.Header) {
	h.Set("X-RateLimit-Limit", strconv.Itoa(l.capacity))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(l.remaining))
	h.Set("X-RateLimit-Reset", wholeSeconds(l.reset))
}

// rateLimited answers a request that was not carried out, and says of whom it
// were too many.
func rateLimited(whose string, level rateLevel) *problem {
	return &problem{
		status: http.StatusTooManyRequests, code: "rate_limited",
		message: fmt.Sprintf("%s may send %s: wait as long as Retry-After says, and send fewer at once", whose, level.limit.words()),
		header:  http.Header{"Retry-After": {wholeSeconds(max(level.wait, time.Second))}},
	}
}

// wholeSeconds is rounded up: who waits that long has waited long enough.
func wholeSeconds(d time.Duration) string {
	return strconv.FormatInt(int64(math.Ceil(d.Seconds())), 10)
}
