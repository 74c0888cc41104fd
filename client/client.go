package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// DefaultBaseURL is the address of kenbun's own API.
const DefaultBaseURL = "https://api.kenbun.io"

// Version is the version of this package, as sent in the User-Agent.
const Version = "0.1.0"

// Client is what all users of one API address share: connections, timeouts,
// retries. It holds no token. It is safe for concurrent use; make one and keep
// it.
type Client struct {
	base      *url.URL
	baseText  string
	userAgent string
	transport http.RoundTripper
	retrying  *retryablehttp.Client
	observe   Observer
	// traceContext is nil where requests carry none.
	traceContext func(context.Context) (traceparent, tracestate string)

	// seen is set in the clients of [Caller.Observed].
	seen func(Observation)

	creates    *createLocks
	created    *recentIDs
	lookPauses []time.Duration
	postPause  time.Duration
}

// New makes a Client. Without options it speaks to [DefaultBaseURL], through
// the proxy that HTTPS_PROXY and NO_PROXY name, if any. It does no I/O, but to
// read the file of [WithCAFile].
func New(opts ...Option) (*Client, error) {
	o := defaultOptions()
	for _, opt := range opts {
		opt(&o)
	}
	if err := o.validate(); err != nil {
		return nil, err
	}
	base, err := parseBaseURL(o.baseURL)
	if err != nil {
		return nil, err
	}
	transport := o.transport
	if transport == nil {
		if transport, err = newTransport(base, &o); err != nil {
			return nil, err
		}
	}
	c := &Client{
		base:      base,
		baseText:  base.String(),
		userAgent: o.userAgent,
		transport: transport,
		observe:   o.observe, traceContext: o.traceContext,
		creates: &createLocks{}, created: &recentIDs{},
		lookPauses: []time.Duration{500 * time.Millisecond, 2 * time.Second},
		postPause:  firstUnit,
	}
	c.retrying = &retryablehttp.Client{
		HTTPClient: &http.Client{
			Transport:     &authorizer{base: transport, scheme: base.Scheme, host: base.Host},
			Timeout:       o.timeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		RetryMax:     o.retryMax,
		RetryWaitMin: o.retryMinWait,
		RetryWaitMax: o.retryMaxWait,
		CheckRetry:   checkRetry,
		Backoff:      c.backoff,
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	return c, nil
}

// BaseURL returns the address of the API, without a slash at its end.
func (c *Client) BaseURL() string { return c.baseText }

// CloseIdleConnections closes the connections that no call is using. Calls can
// go on being made.
func (c *Client) CloseIdleConnections() {
	if closer, ok := c.transport.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

// Credential is what a user proves to be himself with.
type Credential struct {
	// PAT is the personal access token.
	PAT Secret
	// Session, if set, is the bearer token of a signed-in session. It is used in
	// place of PAT for managing tokens (/settings/tokens), and for nothing else: the
	// kenbun API documentation, Personal Access Tokens, shows a session there.
	Session Secret
}

// As returns a view of c that acts as the user whom cred belongs to. It is
// cheap and does no I/O; a server may call it for each request.
func (c *Client) As(cred Credential) *Caller { return &Caller{client: c, cred: cred} }

// Caller makes calls as one user. It is safe for concurrent use.
type Caller struct {
	client *Client
	cred   Credential
}

// Observed returns a view of u that calls seen after each exchange with the API, also
// those of methods that make several.
func (u *Caller) Observed(seen func(Observation)) *Caller {
	c := *u.client
	c.seen = seen
	return &Caller{client: &c, cred: u.cred}
}

// TokenPrefix returns the public prefix of the caller's PAT, as token lists
// show it, or "" if there is none.
func (u *Caller) TokenPrefix() string { return u.cred.PAT.Prefix() }

// tokenManager is the secret for /settings/tokens.
func (u *Caller) tokenManager() Secret {
	if !u.cred.Session.IsZero() {
		return u.cred.Session
	}
	return u.cred.PAT
}
