package client

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// maxRetryAfter is the longest wait that a call sits through on the API's word.
	maxRetryAfter = 30 * time.Second
	// longestWait is what an absurd wait is cut to, so that sums of it do not
	// overflow.
	longestWait = 365 * 24 * time.Hour
	// firstUnit is the shortest wait that Retry-After can ask for, apart from none. It
	// stands for one that cannot be read.
	firstUnit = time.Second

	// Numbers from firstEpoch on are Unix times and not waits, and from
	// firstEpochMillis on such in milliseconds.
	firstEpoch       = 1e9
	firstEpochMillis = 1e12
)

// retryAfter returns how long the API asks to wait, and whether it says so
// plainly.
//
// Retry-After is a number of seconds or a date (RFC 9110, section 10.2.3), the
// date read against the answer's own Date, so that this machine's clock does not
// matter. What servers send in their place is understood, too: fractions, which
// are rounded up, numbers with a unit, Unix times. Of several the longest counts.
// One that cannot be read is not plain, and a wait of a second rather than none. A
// 429 without it may tell in X-RateLimit-Reset or RateLimit-Reset.
func retryAfter(status int, header http.Header) (time.Duration, bool) {
	longest, asked, plain := time.Duration(0), false, false
	for _, value := range header.Values("Retry-After") {
		value = strings.TrimSpace(value)
		if value == "" {
			continue
		}
		asked = true
		if wait, ok := readWait(value, header); ok {
			longest, plain = max(longest, wait), true
		}
	}
	if asked && !plain {
		return firstUnit, false
	}
	if asked || status != http.StatusTooManyRequests {
		return longest, plain
	}
	for _, name := range [...]string{"X-Ratelimit-Reset", "Ratelimit-Reset"} {
		if wait, ok := waitOf(strings.TrimSpace(header.Get(name)), header); ok {
			return wait, true
		}
	}
	return 0, false
}

// readWait reads one field, in which a proxy may have joined several.
func readWait(value string, header http.Header) (longest time.Duration, ok bool) {
	if wait, ok := waitOf(value, header); ok {
		return wait, true
	}
	for part := range strings.SplitSeq(value, ",") {
		if wait, read := waitOf(strings.TrimSpace(part), header); read {
			longest, ok = max(longest, wait), true
		}
	}
	return longest, ok
}

// waitOf reads a date, a number, or a number with a unit.
func waitOf(value string, header http.Header) (time.Duration, bool) {
	if at, err := http.ParseTime(value); err == nil {
		return until(at, header), true
	}
	if at, err := time.Parse(time.RFC3339, value); err == nil {
		return until(at, header), true
	}
	number := strings.TrimLeft(value, "0123456789.")
	unit := strings.ToLower(strings.TrimSpace(number))
	count, err := strconv.ParseFloat(value[:len(value)-len(number)], 64)
	if err != nil && !math.IsInf(count, 1) {
		return 0, false
	}
	switch unit {
	case "":
		switch {
		case count >= firstEpochMillis && count < 1e16:
			return until(time.UnixMilli(int64(count)), header), true
		case count >= firstEpoch && count < 1e12:
			return until(time.Unix(int64(count), 0), header), true
		}
	case "ms", "milliseconds":
		count /= 1000
	case "s", "sec", "secs", "second", "seconds":
	case "m", "min", "mins", "minute", "minutes":
		count *= 60
	case "h", "hour", "hours":
		count *= 3600
	default:
		return 0, false
	}
	return time.Duration(math.Ceil(min(count, longestWait.Seconds()))) * time.Second, true
}

func until(at time.Time, header http.Header) time.Duration {
	answered := time.Now()
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		answered = date
	}
	return max(0, min(longestWait, at.Sub(answered)))
}
