package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"
)

type onceKey struct{}

// Once returns a context whose calls are tried once, whatever [WithRetry] says:
// for a question whose answer is not worth a wait.
func Once(ctx context.Context) context.Context { return context.WithValue(ctx, onceKey{}, true) }

func isOnce(ctx context.Context) bool {
	once, _ := ctx.Value(onceKey{}).(bool)
	return once
}

// checkRetry is the [retryablehttp.CheckRetry] of all calls. It is asked after
// the head of an answer and again after its body.
func checkRetry(ctx context.Context, resp *http.Response, err error) (bool, error) {
	cl := callFrom(ctx)
	if cl == nil {
		return false, err
	}
	// A PATCH here names what shall be and not what is to be added (RFC 9110,
	// section 9.2.2, lets a client that knows this repeat it).
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

// isFailing reports whether status is a failure that may pass. 500 is among
// them: GET, DELETE and PATCH do no harm
// twice.
func isFailing(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests,
		http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// plainlyRefused reports whether the API said that it did nothing, and to come
// back: 429, or 503 with Retry-After.
func plainlyRefused(resp *http.Response) bool {
	if resp.StatusCode == http.StatusTooManyRequests {
		return true
	}
	_, ok := retryAfter(resp.StatusCode, resp.Header)
	return ok && resp.StatusCode == http.StatusServiceUnavailable
}

// withinReach reports whether the wait that the API asks for is one that a call
// should sit through, and can.
func withinReach(ctx context.Context, resp *http.Response) bool {
	wait, _ := retryAfter(resp.StatusCode, resp.Header)
	if deadline, has := ctx.Deadline(); wait > 0 && has && time.Until(deadline) <= wait {
		return false
	}
	return wait <= maxRetryAfter
}

// backoff is the [retryablehttp.Backoff] of all calls. An answered POST waits for
// postPause at least: whatever the API says of waiting is in whole seconds.
func (c *Client) backoff(minWait, maxWait time.Duration, attempt int, resp *http.Response) time.Duration {
	wait := pause(minWait, maxWait, attempt, resp)
	if resp != nil && resp.Request != nil && resp.Request.Method == http.MethodPost {
		return max(wait, c.postPause)
	}
	return wait
}

// pause is what the API asked for, else a pause that doubles each time, half of it
// by chance so that callers who failed together do not come back together.
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
	switch cause, _ := classify(err); cause {
	case CauseUnknownCA, CauseCertificateHost, CauseCertificateExpired, CauseNotTLS, CauseNoSuchHost, CauseNotLoopback,
		CauseProxyLogin, CauseProxyRefused, CauseNotHTTP:
		return false
	}
	return true
}
