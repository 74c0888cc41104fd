package client

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

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
		ResponseHeaderTimeout:  o.timeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		MaxIdleConns:           100,
		MaxIdleConnsPerHost:    32,
		IdleConnTimeout:        90 * time.Second,
		ForceAttemptHTTP2:      true,
		// A connection that a laptop's sleep or a NAT has killed answers no ping, and
		// must not cost every call its timeout.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 5 * time.Second},
	}, nil
}

// errNotLoopback: a name such as localhost was made to lead elsewhere.
var errNotLoopback = errors.New("an http:// address must lead to this machine itself")

// loopbackOnly holds the rule of the base URL for the address that a name
// resolves to as well.
func loopbackOnly(_ context.Context, _, address string, _ syscall.RawConn) error {
	addr, err := netip.ParseAddrPort(address)
	if err != nil || !addr.Addr().Unmap().IsLoopback() {
		return errNotLoopback
	}
	return nil
}

// errForeignOrigin: a request was about to leave for another address.
var errForeignOrigin = errors.New("the request was not for the configured API address, and was not sent")

// authorizer is the one place where a token meets a request. It sends nothing
// to an origin but its own.
//
// It has no CloseIdleConnections, on purpose: go-retryablehttp calls that after
// each failed call, and one user's failure must not close everybody's
// connections.
type authorizer struct {
	base         http.RoundTripper
	scheme, host string
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
	authorized := *req // a RoundTripper must not change the request it was given
	authorized.Header = maps.Clone(req.Header)
	authorized.Header["Authorization"] = []string{"Bearer " + cl.secret.Reveal()}
	return t.base.RoundTrip(&authorized)
}
