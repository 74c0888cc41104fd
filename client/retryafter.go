package client

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter is the longest wait that a call sits through on the API's word.
const maxRetryAfter = 30 * time.Second

// longestWait is what an absurd wait is cut to, so that sums of it do not
// overflow.
const longestWait = 365 * 24 * time.Hour

// retryAfter returns how long the API asks to wait, and whether it asked.
// Retry-After is a number of seconds or a date (RFC 9110, section 10.2.3), the
// date read against the answer's own Date, so that this machine's clock does not
// matter. A 429 without it may tell in X-RateLimit-Reset or RateLimit-Reset:
// seconds, or, beyond any sensible wait, a Unix time.
func retryAfter(status int, header http.Header) (time.Duration, bool) {
	value := strings.TrimSpace(header.Get("Retry-After"))
	if wait, ok := wholeSeconds(value); ok {
		return wait, true
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, min(longestWait, at.Sub(answeredAt(header)))), true
	}
	if status != http.StatusTooManyRequests {
		return 0, false
	}
	for _, name := range [...]string{"X-Ratelimit-Reset", "Ratelimit-Reset"} {
		value := strings.TrimSpace(header.Get(name))
		wait, ok := wholeSeconds(value)
		if !ok {
			continue
		}
		if unix, err := strconv.ParseInt(value, 10, 64); err == nil && unix > int64(longestWait/time.Second) {
			return max(0, min(longestWait, time.Unix(unix, 0).Sub(answeredAt(header)))), true
		}
		return wait, true
	}
	return 0, false
}

func answeredAt(header http.Header) time.Time {
	if at, err := http.ParseTime(header.Get("Date")); err == nil {
		return at
	}
	return time.Now()
}

// wholeSeconds reads digits alone, however many, and caps what they say.
func wholeSeconds(digits string) (time.Duration, bool) {
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	seconds, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || seconds > int64(longestWait/time.Second) {
		return longestWait, true // more than an int64 holds is a long wait, too
	}
	return time.Duration(seconds) * time.Second, true
}
