// Package netproblem finds out what went wrong with a connection, and says it in
// words that hold no address but the host's and nothing that the other side sent.
package netproblem

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/kenbun/kenbun-mcp/internal/proxy"
)

// Kind says how far a connection came. The values are stable: they can stand in
// logs and metrics.
type Kind string

// The kinds.
const (
	ProxyLogin       Kind = "proxy_login"
	ProxyRefused     Kind = "proxy_refused"
	ProxyUnreachable Kind = "proxy_unreachable"

	NoSuchHost        Kind = "no_such_host"
	ConnectionRefused Kind = "connection_refused"
	Unreachable       Kind = "unreachable"

	UnknownCA          Kind = "unknown_ca"
	CertificateHost    Kind = "certificate_host"
	CertificateExpired Kind = "certificate_expired"
	NotTLS             Kind = "not_tls"
	TLS                Kind = "tls"

	Timeout Kind = "timeout"
	NotHTTP Kind = "not_http"
	// Lost stands for everything else.
	Lost Kind = "connection_lost"
)

// Of returns the kind of err, and the error in its chain that says most about it.
func Of(err error) (Kind, error) {
	var refusal *proxy.RefusedError
	if errors.As(err, &refusal) {
		if refusal.Status == http.StatusProxyAuthRequired {
			return ProxyLogin, refusal
		}
		return ProxyRefused, refusal
	}
	var op *net.OpError
	isOp := errors.As(err, &op)
	if isOp && op.Op == "proxyconnect" {
		return ProxyUnreachable, op
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		if dns.IsNotFound {
			return NoSuchHost, dns
		}
		return Unreachable, dns
	}
	if isOp && op.Op == "dial" {
		if errors.Is(err, syscall.ECONNREFUSED) {
			return ConnectionRefused, op
		}
		return Unreachable, op
	}
	if kind, cert := certificate(err); cert != nil {
		return kind, cert
	}
	var record tls.RecordHeaderError
	if errors.As(err, &record) || errors.Is(err, http.ErrSchemeMismatch) {
		return NotTLS, err
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return Timeout, err
	}
	if isOp && (op.Op == "remote error" || op.Op == "local error") {
		return TLS, op
	}
	// The standard library has no types for these.
	switch text := err.Error(); {
	case strings.Contains(text, "tls: "):
		return TLS, err
	case strings.Contains(text, "malformed"), strings.Contains(text, "response headers exceeded"):
		return NotHTTP, err
	}
	return Lost, err
}

func certificate(err error) (Kind, error) {
	var verification *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &host):
		return CertificateHost, host
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return CertificateExpired, invalid
	case errors.As(err, &invalid):
		return UnknownCA, invalid
	case errors.As(err, &unknown):
		return UnknownCA, unknown
	case errors.As(err, &verification):
		return UnknownCA, verification.Err
	}
	return "", nil
}

// Describe returns a sentence about a connection to host. detail is the error that
// [Of] returned.
func (k Kind) Describe(host string, detail error) string {
	switch k {
	case ProxyLogin:
		return fmt.Sprintf("the proxy on the way to %s wants a login", host)
	case ProxyRefused:
		return fmt.Sprintf("the proxy on the way to %s refused the connection", host)
	case ProxyUnreachable:
		return fmt.Sprintf("could not connect to the proxy on the way to %s (%s)", host, innermost(detail))
	case NoSuchHost:
		return fmt.Sprintf("could not find the address of %s", host)
	case ConnectionRefused, Unreachable:
		return fmt.Sprintf("could not connect to %s (%s)", host, innermost(detail))
	case UnknownCA:
		return fmt.Sprintf("the certificate of %s cannot be verified", host)
	case CertificateHost:
		return fmt.Sprintf("the certificate of %s is for another host", host)
	case CertificateExpired:
		return fmt.Sprintf("the certificate of %s has expired or is not valid yet", host)
	case NotTLS:
		return fmt.Sprintf("%s does not speak TLS", host)
	case TLS:
		return fmt.Sprintf("could not agree on TLS with %s; version 1.2 or later is needed", host)
	case Timeout:
		return fmt.Sprintf("%s did not answer in time", host)
	case NotHTTP:
		return fmt.Sprintf("%s does not speak HTTP as it should", host)
	}
	return fmt.Sprintf("the connection to %s was lost before the answer was complete", host)
}

// innermost names the innermost cause where the operating system or Go has a word
// for it.
func innermost(err error) string {
	var errno syscall.Errno
	var timeout net.Error
	switch {
	case errors.As(err, &errno):
		return errno.Error()
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.Is(err, io.EOF):
		return "closed by the other side"
	}
	return "no connection"
}
