// Package limits counts requests in memory: by token in fixed periods, and by network
// address in token buckets.
package limits

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
	"github.com/kenbun/kenbun-mcp/internal/plaintext"
)

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
