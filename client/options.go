package client

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// Option changes how [New] makes a [Client].
type Option func(*options)

type options struct {
	baseURL      string
	caFile       string
	userAgent    string
	timeout      time.Duration
	retryMax     int
	retryMinWait time.Duration
	retryMaxWait time.Duration
	transport    http.RoundTripper
	observe      Observer
	traceContext func(context.Context) (traceparent, tracestate string)
}

func defaultOptions() options {
	return options{
		baseURL:      DefaultBaseURL,
		userAgent:    "kenbun-go/" + Version,
		timeout:      15 * time.Second,
		retryMax:     3,
		retryMinWait: 200 * time.Millisecond,
		retryMaxWait: 5 * time.Second,
	}
}

func (o *options) validate() error {
	switch {
	case o.timeout <= 0:
		return errors.New("the timeout must be longer than zero; leave it out for 15 seconds")
	case o.retryMax < 0 || o.retryMax > 20:
		return errors.New("the number of retries must be from 0 (none) to 20")
	case o.retryMinWait < 0 || o.retryMaxWait < o.retryMinWait:
		return errors.New("the shortest pause between tries must not be negative, nor longer than the longest")
	case o.transport != nil && o.caFile != "":
		return errors.New("a CA file has no effect on a transport of your own; put its certificates into that transport")
	case !isHeaderText(o.userAgent):
		return errors.New("the user agent must be visible ASCII characters and spaces, and not empty")
	}
	return nil
}

// WithBaseURL sets the address of the API. It must begin with https://; http://
// is allowed for localhost, 127.0.0.0/8 and [::1]. A path prefix is kept; user
// info, query and fragment are refused.
func WithBaseURL(address string) Option { return func(o *options) { o.baseURL = address } }

// WithCAFile trusts the certificates of a PEM file in addition to those of the
// system, for networks that inspect TLS and for private installations. An empty
// path changes nothing. Verification itself cannot be turned off.
func WithCAFile(path string) Option { return func(o *options) { o.caFile = path } }

// WithUserAgent sets the User-Agent, "kenbun-go/" and [Version] by default.
func WithUserAgent(agent string) Option { return func(o *options) { o.userAgent = agent } }

// WithTimeout limits each try, from connecting to the end of the answer; 15
// seconds by default. A call takes several tries at most; limit it as a whole by
// its context.
func WithTimeout(perTry time.Duration) Option { return func(o *options) { o.timeout = perTry } }

// WithRetry sets how many times a request is sent again (0 to 20, 3 by default) and
// the bounds of the growing pause before it (200 ms and 5 s by default). A
// Retry-After is kept to beyond maxWait, up to 30 seconds.
func WithRetry(times int, minWait, maxWait time.Duration) Option {
	return func(o *options) { o.retryMax, o.retryMinWait, o.retryMaxWait = times, minWait, maxWait }
}

// WithTransport replaces the connections by a transport of the caller's, for
// tests and instrumentation. It sees requests with the token in them. Timeouts,
// retries, and the rule that redirects are not followed hold all the same.
//
// A transport that does not report to [net/http/httptrace] cannot prove that a
// request never left; creates through it are not sent again after a connection
// error.
func WithTransport(rt http.RoundTripper) Option { return func(o *options) { o.transport = rt } }

// isHeaderText reports whether text can stand in a header field as it is.
func isHeaderText(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return text != "" && text[0] != ' ' && text[len(text)-1] != ' '
}
