package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/netproblem"
	"github.com/kenbun/kenbun-mcp/internal/proxy"
	"github.com/kenbun/kenbun-mcp/internal/trust"
)

const (
	dialTimeout      = 5 * time.Second
	handshakeTimeout = 5 * time.Second
	maxHeaderBytes   = 64 << 10
)

// newTransport makes the connections to base.
func newTransport(base *url.URL, o *options) (*http.Transport, error) {
	if base.Scheme == "https" {
		if err := proxy.Check(base); err != nil {
			return nil, err
		}
		if err := trust.CheckEnvironment(); err != nil {
			return nil, err
		}
	}
	trusted, err := trust.TLSConfig(o.caFile)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	if base.Scheme == "http" {
		dialer.ControlContext = loopbackOnly
	}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		OnProxyConnectResponse: proxy.CheckAnswer,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        trusted,
		TLSHandshakeTimeout:    handshakeTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		MaxIdleConns:           100,
		MaxIdleConnsPerHost:    32,
		IdleConnTimeout:        90 * time.Second,
		ForceAttemptHTTP2:      true,
		// A connection that was lost to sleep or NAT must not cost every call its timeout.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 5 * time.Second},
	}, nil
}

// errNotLoopback: a name such as localhost was made to lead elsewhere.
var errNotLoopback = errors.New("an http:// address must lead to this machine itself")

// loopbackOnly applies the rule of the base URL to the resolved address.
func loopbackOnly(_ context.Context, _, address string, _ syscall.RawConn) error {
	addr, err := netip.ParseAddrPort(address)
	if err != nil || !addr.Addr().Unmap().IsLoopback() {
		return errNotLoopback
	}
	return nil
}

// errForeignOrigin: a request was about to leave for another address.
var errForeignOrigin = errors.New("the request was not for the configured API address, and was not sent")

// authorizer is the one place where a token is added to a request. It sends nothing to
// another origin. It has no CloseIdleConnections on purpose: go-retryablehttp calls that
// after each failed call, and one user's failure must not close everybody's connections.
type authorizer struct {
	base         http.RoundTripper
	scheme, host string
	// timeout bounds a try, up to the end of its body. The timeout of an [http.Client]
	// would take two goroutines more, since it does not know this RoundTripper.
	timeout time.Duration
}

// RoundTrip implements [http.RoundTripper].
func (t *authorizer) RoundTrip(req *http.Request) (*http.Response, error) {
	cl := callFrom(req.Context())
	if cl == nil || req.URL.Scheme != t.scheme || req.URL.Host != t.host || req.Host != t.host {
		if req.Body != nil {
			_ = req.Body.Close() // nothing was sent; its error changes nothing
		}
		return nil, errForeignOrigin
	}
	cl.beginAttempt()
	ctx, cancel := context.WithTimeout(req.Context(), t.timeout)
	authorized := req.WithContext(ctx) // a RoundTripper must not change the request it was given
	authorized.Header = maps.Clone(req.Header)
	authorized.Header["Authorization"] = []string{"Bearer " + cl.secret.Reveal()}
	resp, err := t.base.RoundTrip(authorized)
	if err != nil {
		cancel()
		return nil, err
	}
	resp.Body = &timedBody{resp.Body, cancel}
	return resp, nil
}

// timedBody ends the time of a try when it is closed.
type timedBody struct {
	io.ReadCloser
	end context.CancelFunc
}

func (b *timedBody) Close() error {
	defer b.end()
	return b.ReadCloser.Close()
}

// causeOf returns the cause of err, and the error that says most about it.
func causeOf(err error) (Cause, error) {
	if errors.Is(err, errNotLoopback) {
		return CauseNotLoopback, errNotLoopback
	}
	kind, detail := netproblem.Of(err)
	return Cause(kind), detail
}

// attemptTimeout replaces net/http's timeout error, which claims to be a
// context.DeadlineExceeded: here that means the caller's context alone.
type attemptTimeout struct{}

func (attemptTimeout) Error() string   { return "the try took longer than its timeout" }
func (attemptTimeout) Timeout() bool   { return true }
func (attemptTimeout) Temporary() bool { return true }

// contextError is a call that its own caller ended.
func contextError(cl *call, cause error) *Error {
	e := &Error{Op: cl.op, Attempts: cl.attempts, cause: cause, Code: CodeCanceled, Cause: CauseCanceled, Reason: "canceled before the API had answered"}
	if errors.Is(cause, context.DeadlineExceeded) {
		e.Code, e.Cause = CodeUnavailable, CauseTimeout
		e.Reason = "the API did not answer in the time that this call had"
	}
	return e.advise()
}

// connectionError is a call without an answer, in words.
func (c *Client) connectionError(ctx context.Context, cl *call, err error) *Error {
	if ctxErr := ctx.Err(); ctxErr != nil {
		return contextError(cl, ctxErr)
	}
	e := &Error{Op: cl.op, Attempts: cl.attempts, Code: CodeUnavailable, cause: withoutTokens(err, cl.secret)}
	switch {
	case errors.Is(err, errForeignOrigin):
		e.Code, e.Cause, e.Reason = CodeInvalid, CauseNotSent, errForeignOrigin.Error()
		return e
	case errors.Is(err, errAnswerTooLarge):
		e.Code, e.Cause, e.Reason = CodeUnexpectedAnswer, CauseForm, errAnswerTooLarge.Error()
		return e.advise()
	case errors.Is(err, context.DeadlineExceeded):
		e.cause = attemptTimeout{}
	case errors.Is(err, context.Canceled):
		e.cause = nil
	}
	var detail error
	e.Cause, detail = causeOf(err)
	if e.Cause == CauseNotLoopback {
		e.Reason = fmt.Sprintf("could not connect to %s: %s", hostPort(c.base), errNotLoopback)
	} else {
		e.Reason = netproblem.Kind(e.Cause).Describe(hostPort(c.base), detail)
	}
	if e.Cause == CauseNotHTTP {
		e.Code = CodeUnexpectedAnswer
	}
	return e.advise()
}

// withoutTokens returns err, or its cleaned text if that holds a token: the standard library
// quotes what it could not read, which may echo a request.
func withoutTokens(err error, secret Secret) error {
	if err == nil || redactTokens(err.Error(), secret) == err.Error() {
		return err
	}
	return errors.New(cleanMessage(err.Error(), secret))
}
