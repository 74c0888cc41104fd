package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"syscall"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/proxy"
	"github.com/kenbun/kenbun-mcp/internal/settings"
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
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.caFile != "" {
		roots, err := rootsWith(o.caFile)
		if err != nil {
			return nil, err
		}
		tlsConfig.RootCAs = roots
	}
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	if base.Scheme == "http" {
		dialer.ControlContext = loopbackOnly
	}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		OnProxyConnectResponse: proxy.CheckAnswer,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        tlsConfig,
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

// rootsWith returns the system's roots and those in file.
func rootsWith(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, &unreadableFile{file, err}
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("the certificates of the system cannot be read: %w", err)
	}
	if !roots.AppendCertsFromPEM(settings.PEM(pem)) {
		return nil, fmt.Errorf("the CA file %s holds no certificate; it must be PEM, with lines such as -----BEGIN CERTIFICATE-----", file)
	}
	return roots, nil
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

// unreadableFile is a file of certificates that cannot be read, in words for
// whoever named it.
type unreadableFile struct {
	name  string
	cause error
}

func (e *unreadableFile) Error() string {
	why := "see that it is a file that this process may read"
	switch {
	case errors.Is(e.cause, fs.ErrNotExist):
		why = "it does not exist"
	case errors.Is(e.cause, fs.ErrPermission):
		why = "this process has no right to"
	}
	return "the CA file " + e.name + " cannot be read: " + why
}

func (e *unreadableFile) Unwrap() error { return e.cause }
