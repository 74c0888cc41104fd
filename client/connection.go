package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
)

// fault is a kind of failure below HTTP.
type fault int

const (
	faultLost fault = iota
	faultTimeout
	faultDial
	faultNoSuchHost
	faultCertificate
	faultNotTLS
	faultHandshake
	faultProxy
	faultProxyRefused
	faultMalformed
)

// classify finds the kind of err, and the error that says most about it.
func classify(err error) (fault, error) {
	var refusal *proxyRefusal
	if errors.As(err, &refusal) {
		return faultProxyRefused, refusal
	}
	var op *net.OpError
	isOp := errors.As(err, &op)
	if isOp && op.Op == "proxyconnect" {
		return faultProxy, op
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		if dns.IsNotFound {
			return faultNoSuchHost, dns
		}
		return faultDial, dns
	}
	if isOp && op.Op == "dial" {
		return faultDial, op
	}
	if cert := certificateError(err); cert != nil {
		return faultCertificate, cert
	}
	var record tls.RecordHeaderError
	if errors.As(err, &record) || errors.Is(err, http.ErrSchemeMismatch) {
		return faultNotTLS, err
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return faultTimeout, err
	}
	if isOp && (op.Op == "remote error" || op.Op == "local error") {
		return faultHandshake, op
	}
	// The standard library has no types for these.
	switch text := err.Error(); {
	case strings.Contains(text, "tls: "):
		return faultHandshake, err
	case strings.Contains(text, "malformed"), strings.Contains(text, "response headers exceeded"):
		return faultMalformed, err
	}
	return faultLost, err
}

func certificateError(err error) error {
	var verification *tls.CertificateVerificationError
	if errors.As(err, &verification) {
		return verification.Err
	}
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &unknown) {
		return unknown
	}
	var host x509.HostnameError
	if errors.As(err, &host) {
		return host
	}
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) {
		return invalid
	}
	return nil
}

// attemptTimeout stands in for net/http's own timeout error, which claims to be
// a context.DeadlineExceeded; here that means the caller's context alone.
type attemptTimeout struct{}

func (attemptTimeout) Error() string   { return "the try took longer than its timeout" }
func (attemptTimeout) Timeout() bool   { return true }
func (attemptTimeout) Temporary() bool { return true }

// contextError is a call that its own caller ended.
func contextError(cl *call, cause error) *Error {
	e := &Error{Op: cl.op, Attempts: cl.attempts, cause: cause, Code: CodeCanceled, Reason: "canceled before the API had answered"}
	if errors.Is(cause, context.DeadlineExceeded) {
		e.Code = CodeUnavailable
		e.Reason = "the API did not answer in the time that this call had"
	}
	return e
}

// connectionError is a call without an answer, in words.
func (c *Client) connectionError(ctx context.Context, cl *call, err error) *Error {
	if ctxErr := ctx.Err(); ctxErr != nil {
		return contextError(cl, ctxErr)
	}
	e := &Error{Op: cl.op, Attempts: cl.attempts, Code: CodeUnavailable, cause: withoutTokens(err, cl.secret)}
	switch {
	case errors.Is(err, errForeignOrigin):
		e.Code, e.Reason = CodeInvalid, errForeignOrigin.Error()
		return e
	case errors.Is(err, errAnswerTooLarge):
		e.Code, e.Reason = CodeUnexpectedAnswer, errAnswerTooLarge.Error()
		return e
	case errors.Is(err, context.DeadlineExceeded):
		e.cause = attemptTimeout{}
	case errors.Is(err, context.Canceled):
		e.cause = nil
	}
	e.Reason = faultReason(hostPort(c.base), err)
	if kind, _ := classify(err); kind == faultMalformed {
		e.Code = CodeUnexpectedAnswer
	}
	return e
}

// faultReason tells in plain words what err is and what to do about it. It
// repeats nothing that the other side sent.
func faultReason(host string, err error) string {
	kind, detail := classify(err)
	switch kind {
	case faultProxyRefused:
		var refusal *proxyRefusal
		if errors.As(detail, &refusal) && refusal.status == http.StatusProxyAuthRequired {
			return fmt.Sprintf("the proxy on the way to %s wants a login; put user and password into HTTPS_PROXY", host)
		}
		return fmt.Sprintf("the proxy on the way to %s refused the connection; check HTTPS_PROXY, or let NO_PROXY name the host", host)
	case faultProxy:
		return fmt.Sprintf("could not connect to the proxy on the way to %s (%s); check HTTPS_PROXY", host, shortCause(detail))
	case faultNoSuchHost:
		return fmt.Sprintf("could not find the address of %s; check the API address, and that the network (DNS, VPN) is up", host)
	case faultDial:
		if errors.Is(err, errNotLoopback) {
			return fmt.Sprintf("could not connect to %s: %s", host, errNotLoopback)
		}
		return fmt.Sprintf("could not connect to %s (%s); check the network, and HTTPS_PROXY if it needs a proxy", host, shortCause(detail))
	case faultCertificate:
		return certificateReason(host, detail)
	case faultNotTLS:
		return fmt.Sprintf("%s does not speak TLS; check the API address and its port", host)
	case faultHandshake:
		return fmt.Sprintf("could not agree on TLS with %s; version 1.2 or later is needed", host)
	case faultTimeout:
		return fmt.Sprintf("%s did not answer in time", host)
	case faultMalformed:
		return fmt.Sprintf("%s does not speak HTTP as it should; check the API address and its port", host)
	}
	return fmt.Sprintf("the connection to %s was lost before the answer was complete", host)
}

func certificateReason(host string, err error) string {
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	switch {
	case errors.As(err, &name):
		return fmt.Sprintf("the certificate of %s is for another host; check the API address", host)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Sprintf("the certificate of %s has expired or is not valid yet; check this machine's clock", host)
	default:
		return fmt.Sprintf("the certificate of %s cannot be verified; in a network that inspects TLS, put its root certificate into a PEM file and name that in KENBUN_CA_FILE", host)
	}
}

// shortCause names the innermost cause where the operating system or Go has a
// word for it.
func shortCause(err error) string {
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

// withoutTokens returns err, or only its cleaned text if that holds a token: the
// standard library quotes what it could not read, and a server that echoes
// requests makes it quote ours.
func withoutTokens(err error, secret Secret) error {
	if err == nil || redactTokens(err.Error(), secret) == err.Error() {
		return err
	}
	return errors.New(cleanMessage(err.Error(), secret))
}
