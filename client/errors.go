package client

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/plaintext"
)

// Errors for [errors.Is]. An error of this package matches at most one, with two exceptions.
// A [*CreateError] or [*RevokeError] of unknown outcome matches ErrOutcomeUnknown and its
// reason. An answer that is not the API's matches ErrIntermediary and its kind.
var (
	// ErrInvalid: the request was refused, before it was sent or by the API (400, 409 other
	// than at a create, 413, 414, 415, 422, 431).
	ErrInvalid = errors.New("invalid request")
	// ErrUnauthenticated: there is no token, or the API does not accept it (401).
	ErrUnauthenticated = errors.New("not authenticated")
	// ErrForbidden: the user or the token may not do this (403).
	ErrForbidden = errors.New("not allowed")
	// ErrNotFound: there is no such thing, or it is somebody else's (404, 410).
	ErrNotFound = errors.New("not found")
	// ErrTokenLimit: the user has as many tokens as the API allows (409 at a create, or when
	// an expired token gets a new expiry).
	ErrTokenLimit = errors.New("token limit reached")
	// ErrRateLimited: too many requests (429); see [Error.RetryAfter].
	ErrRateLimited = errors.New("too many requests")
	// ErrUnavailable: the API failed (5xx, 408, 425), could not be reached, or did not
	// answer in time.
	ErrUnavailable = errors.New("the kenbun API is unavailable")
	// ErrUnexpectedAnswer: the answer is not one of the kenbun API: a redirect, another
	// content type, over 1 MiB, out of the bounds of [Caller.ReadTokens], malformed or
	// incomplete JSON, or something else than was asked for.
	ErrUnexpectedAnswer = errors.New("unexpected answer")
	// ErrOutcomeUnknown: a token may be live. A [*CreateError] with [OutcomeUnknown]
	// matches, and every [*RevokeError].
	ErrOutcomeUnknown = errors.New("outcome unknown")
	// ErrIntermediary: something between here and the API answered. It says nothing about a
	// token, a role, or what the API knows.
	ErrIntermediary = errors.New("answered by something in between")
)

// Code names the kind of an [Error]. The values are stable.
type Code string

// The codes, each with its sentinel.
const (
	CodeInvalid          Code = "invalid_argument"    // ErrInvalid
	CodeUnauthenticated  Code = "unauthenticated"     // ErrUnauthenticated
	CodeForbidden        Code = "forbidden"           // ErrForbidden
	CodeNotFound         Code = "not_found"           // ErrNotFound
	CodeTokenLimit       Code = "token_limit_reached" // ErrTokenLimit
	CodeRateLimited      Code = "rate_limited"        // ErrRateLimited
	CodeUnavailable      Code = "unavailable"         // ErrUnavailable
	CodeUnexpectedAnswer Code = "unexpected_answer"   // ErrUnexpectedAnswer
	CodeCanceled         Code = "canceled"            // context.Canceled, the caller's
)

// sentinels has no error for CodeCanceled: that is context.Canceled.
var sentinels = map[Code]error{
	CodeInvalid: ErrInvalid, CodeUnauthenticated: ErrUnauthenticated, CodeForbidden: ErrForbidden, CodeNotFound: ErrNotFound,
	CodeTokenLimit: ErrTokenLimit, CodeRateLimited: ErrRateLimited, CodeUnavailable: ErrUnavailable, CodeUnexpectedAnswer: ErrUnexpectedAnswer,
}

// Error is a call that failed.
type Error struct {
	// Op is what was tried, such as "list tokens".
	Op string
	// Code is the kind of failure; use errors.Is with the sentinels where possible.
	Code Code
	// Cause says whose answer the error rests on, or how far the request came.
	Cause Cause
	// Status is the HTTP status of the last answer, 0 if there was none.
	Status int
	// Reason is what happened. It holds no text from the API, and no secret.
	Reason string
	// Advice is what to do about it, beginning with a verb in lower case. It may be empty.
	Advice string
	// Message is text from the API, or from something in between: cleaned, in one line, at
	// most 300 characters, tokens redacted. Treat it as data, not instructions.
	Message string
	// APICode is the API's own error code, if any: at most 64 letters, digits, "_", "-", "."
	// and ":".
	APICode string
	// RetryAfter is how long the API asks to wait, 0 if it did not say.
	RetryAfter time.Duration
	// RequestID is the API's name for the request, for its support; "" if unknown.
	RequestID string
	// Attempts is how often the request was sent or tried to be sent.
	Attempts int

	cause error
}

// Error returns the whole story in one line.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Op != "" {
		b.WriteString(e.Op)
		b.WriteString(": ")
	}
	b.WriteString(e.Reason)
	if e.Advice != "" {
		b.WriteString("; ")
		b.WriteString(e.Advice)
	}
	if e.RetryAfter > 0 {
		fmt.Fprintf(&b, "; try again in %s", e.RetryAfter.Round(time.Second))
	}
	switch {
	case e.Message == "":
	case e.Cause.isForeign():
		fmt.Fprintf(&b, "; it says %q", e.Message)
	default:
		fmt.Fprintf(&b, "; the API said %q", e.Message)
	}
	switch {
	case e.Status != 0 && e.RequestID != "":
		fmt.Fprintf(&b, " (status %d, request id %s)", e.Status, e.RequestID)
	case e.Status != 0:
		fmt.Fprintf(&b, " (status %d)", e.Status)
	}
	return b.String()
}

// Unwrap returns the error underneath, nil if there is none.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether target is the sentinel of the error's code, or [ErrIntermediary] if the
// answer was not the API's.
func (e *Error) Is(target error) bool {
	if target == ErrIntermediary {
		return e.Cause.isForeign()
	}
	sentinel, ok := sentinels[e.Code]
	return ok && target == sentinel
}

// Outcome says what became of a create without a plain answer.
type Outcome string

// The outcomes of a [CreateError].
const (
	// OutcomeNotCreated: the list shows no token that the call could have made.
	OutcomeNotCreated Outcome = "not_created"
	// OutcomeRevoked: a token was made, its value is lost or not to be trusted, and it was
	// revoked.
	OutcomeRevoked Outcome = "revoked"
	// OutcomeUnknown: a token may be live. The user has to look.
	OutcomeUnknown Outcome = "unknown"
)

// CreateError is a create that ended neither with a good token nor with a plain refusal.
// After OutcomeNotCreated and OutcomeRevoked no token of the call is live, and it may be
// repeated: see [Error.MayPass] for whether that helps.
type CreateError struct {
	Outcome Outcome
	// Name is the name that the token was to have.
	Name string
	// TokenIDs are what was revoked, or, for OutcomeUnknown, what may have been made. It may
	// be empty.
	TokenIDs []string

	reason  error // why the create was in doubt
	cleanup error // why the doubt could not be removed
}

// Error says what happened, what became of the token and what to do.
func (e *CreateError) Error() string {
	var b strings.Builder
	b.WriteString(e.reason.Error())
	ids := strings.Join(e.TokenIDs, ", ")
	switch e.Outcome {
	case OutcomeNotCreated:
		fmt.Fprintf(&b, "; no new token named %s is in the list%s", plaintext.Quote(e.Name), e.again())
	case OutcomeRevoked:
		fmt.Fprintf(&b, "; the token that was made (%s) has been revoked%s", ids, e.again())
	default:
		fmt.Fprintf(&b, "; a token named %s may be live: look for it in kenbun under Settings > Integrations > Personal Tokens", plaintext.Quote(e.Name))
		if ids != "" {
			fmt.Fprintf(&b, " (id %s)", ids)
		}
		b.WriteString(" and revoke it if nobody uses it")
		if e.cleanup != nil {
			fmt.Fprintf(&b, "; it could not be cleared up here: %s", e.cleanup)
		}
	}
	return b.String()
}

// again says whether it helps to try the same again, to complete a sentence.
func (e *CreateError) again() string {
	var reason *Error
	if errors.As(e.reason, &reason) && !reason.MayPass() && reason.Cause != CauseCanceled {
		return ", and the same call is likely to end in the same way"
	}
	return ", so it can be tried again"
}

// Unwrap returns the reason: an [*Error] in all cases.
func (e *CreateError) Unwrap() error { return e.reason }

// Is reports whether target is [ErrOutcomeUnknown] and the outcome unknown.
func (e *CreateError) Is(target error) bool {
	return e.Outcome == OutcomeUnknown && target == ErrOutcomeUnknown
}

// AcceptsToken reports whether err shows that the API accepted the token: it is nil, or the
// user lacked permission.
func AcceptsToken(err error) bool { return err == nil || errors.Is(err, ErrForbidden) }

// Cause says whose answer an [Error] rests on, or how far the request came. The set is
// closed and stable: values can stand in logs and metrics.
type Cause string

// The causes.
const (
	// CauseAPI: the kenbun API itself answered. Only such an error says anything about a
	// token, a role, or what the API knows.
	CauseAPI Cause = "api"
	// CauseIntermediary: a proxy, firewall, gateway or sign-in page answered in place of the
	// API.
	CauseIntermediary Cause = "intermediary"
	// CauseRedirect: the answer is a redirect, which is never followed.
	CauseRedirect Cause = "redirect"
	// CauseGateway: something in front of the API failed, or could not reach it.
	CauseGateway Cause = "gateway"
	// CauseForm: the answer is malformed, incomplete or too large.
	CauseForm Cause = "unexpected_form"
	// CauseMismatch: the API did something else than it was asked to do.
	CauseMismatch Cause = "mismatch"

	CauseProxyLogin       Cause = "proxy_login"
	CauseProxyRefused     Cause = "proxy_refused"
	CauseProxyUnreachable Cause = "proxy_unreachable"

	CauseNoSuchHost        Cause = "no_such_host"
	CauseConnectionRefused Cause = "connection_refused"
	CauseUnreachable       Cause = "unreachable"
	CauseNotLoopback       Cause = "not_loopback"

	CauseUnknownCA          Cause = "unknown_ca"
	CauseCertificateHost    Cause = "certificate_host"
	CauseCertificateExpired Cause = "certificate_expired"
	CauseNotTLS             Cause = "not_tls"
	CauseTLS                Cause = "tls"

	CauseTimeout  Cause = "timeout"
	CauseLost     Cause = "connection_lost"
	CauseNotHTTP  Cause = "not_http"
	CauseCanceled Cause = "canceled"
	// CauseNotSent: the request was refused here, before anything was sent.
	CauseNotSent Cause = "not_sent"
)

// remedies has, for each cause, the advice and whether it may pass by itself. For the API's
// own answers see meanings.
var remedies = map[Cause]struct {
	advice string
	passes bool
}{
	CauseIntermediary: {advice: "check the API address (KENBUN_API_URL), and what stands between here and it: a proxy, firewall, gateway or sign-in page. Neither the token nor the user's role is the reason"},
	CauseRedirect:     {advice: "check the API address (KENBUN_API_URL), and that no sign-in page of the network stands in between"},
	CauseGateway:      {advice: "try again later", passes: true},
	CauseForm:         {advice: "check that the API address (KENBUN_API_URL) is the API's and not that of its web page, and that no sign-in page of the network stands in between"},

	CauseProxyLogin:       {advice: "put user and password into HTTPS_PROXY"},
	CauseProxyRefused:     {advice: "check HTTPS_PROXY, or let NO_PROXY name the host"},
	CauseProxyUnreachable: {advice: "check HTTPS_PROXY"},

	CauseNoSuchHost: {advice: "check the API address (KENBUN_API_URL), and that the network (DNS, VPN) is up"},
	// An API that restarts refuses connections, too.
	CauseConnectionRefused: {advice: "check the API address and its port (KENBUN_API_URL), and HTTPS_PROXY if the network needs a proxy", passes: true},
	CauseUnreachable:       {advice: "check the network, and HTTPS_PROXY if it needs a proxy", passes: true},
	CauseNotLoopback:       {advice: "use https:// in the API address (KENBUN_API_URL)"},

	CauseUnknownCA:          {advice: "in a network that inspects TLS, put its root certificate into a PEM file and name that in KENBUN_CA_FILE"},
	CauseCertificateHost:    {advice: "check the API address (KENBUN_API_URL)"},
	CauseCertificateExpired: {advice: "check this machine's clock; if it is right, the API's certificate has to be renewed"},
	CauseNotTLS:             {advice: "check the API address and its port (KENBUN_API_URL)"},
	CauseTLS:                {advice: "check the API address (KENBUN_API_URL), and that nothing in between offers less than TLS 1.2"},

	CauseTimeout: {advice: "try again later", passes: true},
	CauseLost:    {advice: "try again", passes: true},
	CauseNotHTTP: {advice: "check the API address and its port (KENBUN_API_URL)"},
}

// isForeign reports whether an answer came, and from something else than the API.
func (c Cause) isForeign() bool {
	switch c {
	case CauseIntermediary, CauseRedirect, CauseGateway, CauseProxyLogin, CauseProxyRefused:
		return true
	}
	return false
}

// advise sets the advice for e's cause, unless it has one.
func (e *Error) advise() *Error {
	if e.Advice == "" {
		e.Advice = remedies[e.Cause].advice
	}
	return e
}

// MayPass reports whether the same call may succeed later without any change. If not,
// waiting does not help.
func (e *Error) MayPass() bool {
	if e.RetryAfter > 0 || e.Code == CodeRateLimited {
		return true
	}
	if e.Cause == CauseAPI || e.Cause == "" {
		return e.Code == CodeUnavailable
	}
	return remedies[e.Cause].passes
}
