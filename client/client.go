// Package client speaks the kenbun API as a user, with that user's personal
// access token (PAT).
//
// A [Client] holds what all users share: the address, the connections, the
// policy for timeouts and retries. It has no token. [Client.As] gives a
// [Caller], a cheap view through which each call acts as exactly one user:
//
//	c, err := client.New()
//	if err != nil {
//		return err
//	}
//	pat, err := client.ParsePAT(os.Getenv("KENBUN_PAT"))
//	if err != nil {
//		return err
//	}
//	tokens, err := c.As(client.Credential{PAT: pat}).ListTokens(ctx)
//
// # Secrets
//
// A token lives in a [Secret]. Printing, logging or encoding one gives
// "[redacted]"; [Secret.Reveal] is the only way to the value. The token goes
// on the wire in one place, and only to the scheme, host and port that the
// Client was made for. Redirects are never followed.
//
// # Errors
//
// A failed call returns an [*Error], and [Caller.CreateToken] may also return
// a [*CreateError] around one. Ask what happened with [errors.Is] and the
// sentinels of this package, such as [ErrUnauthenticated] or [ErrUnavailable];
// take [*Error] out with [errors.As] for the status, the waiting time and the
// request id. The end of the caller's own context shows as [context.Canceled]
// or [context.DeadlineExceeded].
//
// # Retries
//
// GET, DELETE and PATCH are sent again after a lost connection and after the
// statuses 408, 425, 429, 500, 502, 503 and 504, with a growing, jittered pause.
// A Retry-After of up to 30 seconds is kept to (RFC 9110, section 10.2.3); where
// the API asks for more, or for more than the context has left, the call
// returns with [Error.RetryAfter] set. The context ends any pause at once.
//
// A second POST could create a second live token, so it is sent again only if the
// first one surely did nothing. If the outcome is in doubt, [Caller.CreateToken]
// looks for the token that it may have created and revokes it.
//
// # Extensions
//
// kenbun documents no permissions of tokens, no start and no change of them. Some
// installations have these: [NewToken.Permissions], [NewToken.ValidFrom],
// [Caller.UpdateToken], and what they show in [Token]. Where none of them is used,
// nothing is sent that kenbun does not document.
//
// # Observation
//
// [WithObserver] reports each call to metrics and traces, without its content.
// [WithTraceContext] passes a trace on. [Client.Reachable] needs no token.
//
// # Text from the API
//
// Token names and all other strings in answers are unchanged input. Clean them
// before they reach a terminal, a page or a model. [Error.Message] is clean.
//
// Facts about the API are those of the kenbun API documentation, in
// particular its page "Personal Access Tokens".
package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/kenbun/kenbun-mcp/internal/ascii"
	"github.com/kenbun/kenbun-mcp/internal/keylock"
	"github.com/kenbun/kenbun-mcp/internal/trust"
)

// DefaultBaseURL is the address of kenbun's own API.
const DefaultBaseURL = "https://api.kenbun.io"

// Version is the version of this package, as sent in the User-Agent.
const Version = "0.1.0"

// Client has what all users of one API address share: connections, timeouts, retries. It
// holds no token. It is safe for concurrent use; make one and keep it.
type Client struct {
	base      *url.URL
	baseText  string
	userAgent string
	transport http.RoundTripper
	timeout   time.Duration // of a try
	retrying  *retryablehttp.Client
	observe   Observer
	// traceContext is nil where requests carry none.
	traceContext func(context.Context) (traceparent, tracestate string)

	// seen is set in the clients of [Caller.Observed].
	seen func(Observation)

	creates    *keylock.Lock
	created    *recentIDs
	lookPauses []time.Duration
	postPause  time.Duration
}

// New returns a Client. By default it uses [DefaultBaseURL], and the proxy in HTTPS_PROXY,
// subject to NO_PROXY. It does no I/O, except to read the file of [WithCAFile].
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
		timeout:   o.timeout,
		observe:   o.observe, traceContext: o.traceContext,
		creates: keylock.New(), created: &recentIDs{},
		lookPauses: []time.Duration{500 * time.Millisecond, 2 * time.Second},
		postPause:  firstUnit,
	}
	c.retrying = &retryablehttp.Client{
		HTTPClient: &http.Client{
			Transport:     &authorizer{base: transport, scheme: base.Scheme, host: base.Host, timeout: o.timeout},
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

// CloseIdleConnections closes idle connections. Further calls are possible.
func (c *Client) CloseIdleConnections() {
	if closer, ok := c.transport.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

// Credential authenticates one user.
type Credential struct {
	// PAT is the personal access token.
	PAT Secret
	// Session, if set, is the bearer token of a signed-in session. It replaces PAT for
	// managing tokens (/settings/tokens) only, as in the kenbun API documentation, Personal
	// Access Tokens.
	Session Secret
}

// As returns a view of c that acts as the user of cred. It is cheap and does no I/O.
func (c *Client) As(cred Credential) *Caller { return &Caller{client: c, cred: cred} }

// Caller makes calls as one user. It is safe for concurrent use.
type Caller struct {
	client *Client
	cred   Credential
}

// Observed returns a view of u that calls seen after each exchange with the API.
func (u *Caller) Observed(seen func(Observation)) *Caller {
	c := *u.client
	c.seen = seen
	return &Caller{client: &c, cred: u.cred}
}

// TokenPrefix returns the public prefix of the caller's PAT, or "" if there is none.
func (u *Caller) TokenPrefix() string { return u.cred.PAT.Prefix() }

// tokenManager is the secret for /settings/tokens.
func (u *Caller) tokenManager() Secret {
	if !u.cred.Session.IsZero() {
		return u.cred.Session
	}
	return u.cred.PAT
}

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

// WithBaseURL sets the address of the API. It must begin with https://; http:// is allowed
// for localhost, 127.0.0.0/8 and [::1]. A path prefix is kept; user info, query and fragment
// are refused.
func WithBaseURL(address string) Option { return func(o *options) { o.baseURL = address } }

// WithCAFile trusts the certificates of a PEM file in addition to the system's. An empty
// path changes nothing. Verification itself cannot be turned off.
func WithCAFile(path string) Option { return func(o *options) { o.caFile = path } }

// WithUserAgent sets the User-Agent, "kenbun-go/" and [Version] by default.
func WithUserAgent(agent string) Option { return func(o *options) { o.userAgent = agent } }

// WithTimeout limits each try, from connecting to the end of the answer; 15 seconds by
// default. Limit the call as a whole by its context.
func WithTimeout(perTry time.Duration) Option { return func(o *options) { o.timeout = perTry } }

// WithRetry sets how often a request is sent again (0 to 20, 3 by default) and the bounds of
// the growing pause before it (200 ms and 5 s by default). A Retry-After of up to 30 seconds
// is obeyed even beyond maxWait.
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

// parseBaseURL checks and normalises the address of the API. Its errors never repeat the
// text, which could hold a password.
func parseBaseURL(text string) (*url.URL, error) {
	if text == "" {
		return nil, fmt.Errorf("the API address is empty; leave it out for %s, or give one such as that", DefaultBaseURL)
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("the API address is no URL; give one such as %s", DefaultBaseURL)
	}
	switch {
	case u.User != nil:
		return nil, errors.New("the API address must not hold a user name or password; the token is given on its own")
	case u.RawQuery != "" || u.ForceQuery:
		return nil, errors.New(`the API address must not have a query; remove the "?" and what follows it`)
	case u.Fragment != "" || strings.Contains(text, "#"):
		return nil, errors.New(`the API address must not have a fragment; remove the "#" and what follows it`)
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("the API address must begin with https://; give one such as %s", DefaultBaseURL)
	case u.Hostname() == "":
		return nil, fmt.Errorf("the API address names no host; give one such as %s", DefaultBaseURL)
	case u.Scheme == "http" && !trust.IsLoopback(u.Hostname()):
		return nil, errors.New("the API address must begin with https://, since a token would travel in the clear; http:// is for localhost, 127.0.0.0/8 and [::1] only")
	}
	for _, r := range u.Host {
		if r <= ' ' || r >= 0x7f {
			return nil, errors.New(`the host of the API address must be plain ASCII; write international names in their "xn--" form`)
		}
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, errors.New("the port of the API address must be a number from 1 to 65535")
		}
	}
	u.Host = strings.TrimSuffix(ascii.Lower(u.Host), ":")
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = strings.TrimRight(u.RawPath, "/")
	if u.Path != "" && path.Clean(u.Path) != u.Path {
		return nil, errors.New(`the path of the API address must not have empty parts, "." or ".."`)
	}
	return u, nil
}

// hostPort returns where connections go, for messages.
func hostPort(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	if u.Scheme == "http" {
		return u.Host + ":80"
	}
	return u.Host + ":443"
}
