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

	"github.com/kenbun/kenbun-mcp/internal/proxy"
)

// classify finds the kind of err, and the error that says most about it.
func classify(err error) (Cause, error) {
	var refusal *proxy.RefusedError
	if errors.As(err, &refusal) {
		if refusal.Status == http.StatusProxyAuthRequired {
			return CauseProxyLogin, refusal
		}
		return CauseProxyRefused, refusal
	}
	var op *net.OpError
	isOp := errors.As(err, &op)
	if isOp && op.Op == "proxyconnect" {
		return CauseProxyUnreachable, op
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		if dns.IsNotFound {
			return CauseNoSuchHost, dns
		}
		return CauseUnreachable, dns
	}
	if isOp && op.Op == "dial" {
		switch {
		case errors.Is(err, errNotLoopback):
			return CauseNotLoopback, op
		case errors.Is(err, syscall.ECONNREFUSED):
			return CauseConnectionRefused, op
		}
		return CauseUnreachable, op
	}
	if cert := certificateError(err); cert != nil {
		return certificateCause(cert), cert
	}
	var record tls.RecordHeaderError
	if errors.As(err, &record) || errors.Is(err, http.ErrSchemeMismatch) {
		return CauseNotTLS, err
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return CauseTimeout, err
	}
	if isOp && (op.Op == "remote error" || op.Op == "local error") {
		return CauseTLS, op
	}
	// The standard library has no types for these.
	switch text := err.Error(); {
	case strings.Contains(text, "tls: "):
		return CauseTLS, err
	case strings.Contains(text, "malformed"), strings.Contains(text, "response headers exceeded"):
		return CauseNotHTTP, err
	}
	return CauseLost, err
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
	e.Cause, detail = classify(err)
	e.Reason = causeReason(e.Cause, hostPort(c.base), detail)
	if e.Cause == CauseNotHTTP {
		e.Code = CodeUnexpectedAnswer
	}
	return e.advise()
}

// causeReason tells in plain words what happened below HTTP. It repeats nothing
// that the other side sent.
func causeReason(cause Cause, host string, detail error) string {
	switch cause {
	case CauseProxyLogin:
		return fmt.Sprintf("the proxy on the way to %s wants a login", host)
	case CauseProxyRefused:
		return fmt.Sprintf("the proxy on the way to %s refused the connection", host)
	case CauseProxyUnreachable:
		return fmt.Sprintf("could not connect to the proxy on the way to %s (%s)", host, shortCause(detail))
	case CauseNoSuchHost:
		return fmt.Sprintf("could not find the address of %s", host)
	case CauseNotLoopback:
		return fmt.Sprintf("could not connect to %s: %s", host, errNotLoopback)
	case CauseConnectionRefused, CauseUnreachable:
		return fmt.Sprintf("could not connect to %s (%s)", host, shortCause(detail))
	case CauseUnknownCA:
		return fmt.Sprintf("the certificate of %s cannot be verified", host)
	case CauseCertificateHost:
		return fmt.Sprintf("the certificate of %s is for another host", host)
	case CauseCertificateExpired:
		return fmt.Sprintf("the certificate of %s has expired or is not valid yet", host)
	case CauseNotTLS:
		return fmt.Sprintf("%s does not speak TLS", host)
	case CauseTLS:
		return fmt.Sprintf("could not agree on TLS with %s; version 1.2 or later is needed", host)
	case CauseTimeout:
		return fmt.Sprintf("%s did not answer in time", host)
	case CauseNotHTTP:
		return fmt.Sprintf("%s does not speak HTTP as it should", host)
	}
	return fmt.Sprintf("the connection to %s was lost before the answer was complete", host)
}

func certificateCause(err error) Cause {
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	switch {
	case errors.As(err, &name):
		return CauseCertificateHost
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return CauseCertificateExpired
	}
	return CauseUnknownCA
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
