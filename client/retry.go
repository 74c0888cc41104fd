package client

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

type onceKey struct{}

// Once returns a context whose calls are tried once, whatever [WithRetry] says.
func Once(ctx context.Context) context.Context { return context.WithValue(ctx, onceKey{}, true) }

func isOnce(ctx context.Context) bool {
	once, _ := ctx.Value(onceKey{}).(bool)
	return once
}

// checkRetry is the [retryablehttp.CheckRetry] of all calls. It runs after the head of an
// answer and again after its body.
func checkRetry(ctx context.Context, resp *http.Response, err error) (bool, error) {
	cl := callFrom(ctx)
	if cl == nil {
		return false, err
	}
	// A PATCH here sets values and adds nothing, so a client may repeat it (RFC 9110,
	// section 9.2.2).
	repeatable := cl.method != http.MethodPost
	var retry bool
	if err != nil {
		neverLeft := resp == nil && cl.neverLeft()
		if !neverLeft {
			cl.inDoubt = true
		}
		retry = (repeatable || neverLeft) && isTransient(err)
	} else {
		plain := plainlyRefused(resp)
		if !plain && isFailing(resp.StatusCode) {
			cl.inDoubt = true
		}
		retry = (repeatable && isFailing(resp.StatusCode) || plain) && withinReach(ctx, resp)
	}
	retry = retry && !isOnce(ctx)
	if retry && ctx.Err() != nil {
		return false, ctx.Err()
	}
	return retry, nil
}

// isFailing reports whether status is a failure that may pass. 500 is among them: GET,
// DELETE and PATCH are repeatable.
func isFailing(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests,
		http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// plainlyRefused reports whether the API said that it did nothing: 429, or 503 with
// Retry-After.
func plainlyRefused(resp *http.Response) bool {
	if resp.StatusCode == http.StatusTooManyRequests {
		return true
	}
	_, ok := retryAfter(resp.StatusCode, resp.Header)
	return ok && resp.StatusCode == http.StatusServiceUnavailable
}

// withinReach reports whether a call should and can wait as long as the API asks.
func withinReach(ctx context.Context, resp *http.Response) bool {
	wait, _ := retryAfter(resp.StatusCode, resp.Header)
	if deadline, has := ctx.Deadline(); wait > 0 && has && time.Until(deadline) <= wait {
		return false
	}
	return wait <= maxRetryAfter
}

// backoff is the [retryablehttp.Backoff] of all calls. An answered POST waits at least
// postPause, since Retry-After has whole seconds.
func (c *Client) backoff(minWait, maxWait time.Duration, attempt int, resp *http.Response) time.Duration {
	wait := pause(minWait, maxWait, attempt, resp)
	if resp != nil && resp.Request != nil && resp.Request.Method == http.MethodPost {
		return max(wait, c.postPause)
	}
	return wait
}

// pause returns what the API asked for, else a doubling pause with jitter, so that callers
// who failed together do not come back together.
func pause(minWait, maxWait time.Duration, attempt int, resp *http.Response) time.Duration {
	if resp != nil {
		if wait, plain := retryAfter(resp.StatusCode, resp.Header); plain || wait > 0 {
			return wait + rand.N(minWait+1) //nolint:gosec,forbidigo // chance, not secrecy
		}
	}
	wait := maxWait
	if doubled := minWait << min(attempt, 30); doubled>>min(attempt, 30) == minWait && doubled < maxWait {
		wait = doubled
	}
	return wait/2 + rand.N(wait/2+1) //nolint:gosec,forbidigo // as above
}

// isTransient reports whether a connection error may go away by itself.
func isTransient(err error) bool {
	switch {
	case errors.Is(err, errForeignOrigin), errors.Is(err, errAnswerTooLarge):
		return false
	}
	switch cause, _ := causeOf(err); cause {
	case CauseUnknownCA, CauseCertificateHost, CauseCertificateExpired, CauseNotTLS, CauseNoSuchHost, CauseNotLoopback,
		CauseProxyLogin, CauseProxyRefused, CauseNotHTTP:
		return false
	}
	return true
}

const (
	// maxRetryAfter is the longest wait that a call sits through on the API's word.
	maxRetryAfter = 30 * time.Second
	// longestWait caps absurd waits, so that sums of them do not overflow.
	longestWait = 365 * 24 * time.Hour
	// firstUnit is the shortest wait that Retry-After can ask for, apart from none. It
	// stands for an unreadable one.
	firstUnit = time.Second

	// Numbers from firstEpoch on are Unix times and not waits, from firstEpochMillis on in
	// milliseconds.
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
// 429 without it may use X-RateLimit-Reset or RateLimit-Reset.
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
