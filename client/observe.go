package client

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
)

// Operation names a call of the API, for metrics and traces. The set is closed; see
// [Operations].
type Operation string

// The operations.
const (
	OperationMe          Operation = "me"
	OperationOrgUnits    Operation = "org_units"
	OperationListTokens  Operation = "list_tokens"
	OperationCreateToken Operation = "create_token"
	OperationRevokeToken Operation = "revoke_token"
	OperationUpdateToken Operation = "update_token"
	OperationReachable   Operation = "reachable"
	OperationOther       Operation = "other"
)

// Operations returns every [Operation] that an [Observation] can have.
func Operations() []Operation {
	return []Operation{
		OperationMe, OperationOrgUnits, OperationListTokens, OperationCreateToken, OperationRevokeToken, OperationUpdateToken,
		OperationReachable, OperationOther,
	}
}

// Observation describes a finished call without any of its content.
type Observation struct {
	// Operation is what was asked of the API. A method of [Caller] may make several
	// exchanges: a create also lists.
	Operation Operation
	// Token is what the exchange shows about the token that it was made with.
	Token TokenVerdict
	// Code is the kind of failure, empty for a success.
	Code Code
	// Status is the HTTP status of the last answer, 0 if there was none.
	Status int
	// Attempts is how often the request was sent or tried to be sent; 0 if never.
	Attempts int
	// Duration is from the first try to the end of the last, pauses included.
	Duration time.Duration
}

// TokenVerdict is what an exchange shows about its token.
type TokenVerdict int

const (
	// TokenUnknown means that it shows nothing.
	TokenUnknown TokenVerdict = iota
	// TokenAccepted means that the API answered, or refused what the user may not do.
	TokenAccepted
	// TokenRefused means that the API does not accept the token.
	TokenRefused
	// TokenDoubted means that the API refused the token for a call that it may refuse to a
	// good token (see [Caller.Me]).
	TokenDoubted
)

// verdict is about the token of cl, which ended with err.
func (cl *call) verdict(err error) TokenVerdict {
	switch {
	case cl.secret.IsZero() || cl.attempts == 0:
		return TokenUnknown
	case errors.Is(err, ErrUnauthenticated) && (cl.path == mePath || cl.path == orgUnitsPath):
		return TokenDoubted
	case errors.Is(err, ErrUnauthenticated):
		return TokenRefused
	case errors.Is(err, ErrForbidden), err == nil && cl.method == http.MethodGet:
		// The good answer to a change is looked at only later, and may be somebody else's.
		return TokenAccepted
	}
	return TokenUnknown
}

// Observer observes calls. It is called before each, and returns the context for the call
// and a function that is called once at its end. Both run in the goroutine of the call,
// concurrently, and should be fast.
type Observer func(ctx context.Context, operation Operation) (context.Context, func(Observation))

// WithObserver has observe watch all calls. Nil, the default, watches none.
func WithObserver(observe Observer) Option { return func(o *options) { o.observe = observe } }

// WithTraceContext sends the header fields traceparent and tracestate (W3C Trace Context)
// with each request. current is called once a call, with the context that an [Observer]
// returned. An empty or invalid field is not sent.
func WithTraceContext(current func(ctx context.Context) (traceparent, tracestate string)) Option {
	return func(o *options) { o.traceContext = current }
}

// begin reports a call to the observer. The function returned reports its end.
func (c *Client) begin(ctx context.Context, cl *call) (context.Context, func(error)) {
	if c.observe == nil && c.seen == nil {
		return ctx, func(error) {}
	}
	operation := cl.operation()
	started := time.Now()
	end := func(Observation) {}
	if c.observe != nil {
		ctx, end = c.observe(ctx, operation)
	}
	return ctx, func(err error) {
		seen := Observation{Operation: operation, Token: cl.verdict(err), Attempts: cl.attempts, Duration: time.Since(started)}
		if cl.answer != nil {
			seen.Status = cl.answer.status
		}
		var e *Error
		switch {
		case errors.As(err, &e):
			seen.Code = e.Code
		case err != nil:
			seen.Code = CodeUnexpectedAnswer
		}
		end(seen)
		if c.seen != nil {
			c.seen(seen)
		}
	}
}

func (cl *call) operation() Operation {
	switch {
	case cl.op == opReachable:
		return OperationReachable
	case cl.method == http.MethodGet && cl.path == mePath:
		return OperationMe
	case cl.method == http.MethodGet && cl.path == orgUnitsPath:
		return OperationOrgUnits
	case cl.method == http.MethodGet && cl.path == tokensPath:
		return OperationListTokens
	case cl.method == http.MethodPost && cl.path == tokensPath:
		return OperationCreateToken
	case cl.method == http.MethodDelete && strings.HasPrefix(cl.path, tokensPath+"/"):
		return OperationRevokeToken
	case cl.method == http.MethodPatch && strings.HasPrefix(cl.path, tokensPath+"/"):
		return OperationUpdateToken
	}
	return OperationOther
}

// addTraceContext writes the trace's header fields.
func (c *Client) addTraceContext(ctx context.Context, header http.Header) {
	if c.traceContext == nil {
		return
	}
	parent, state := c.traceContext(ctx)
	if !isHeaderText(parent) {
		return // without a parent, the state means nothing
	}
	header["Traceparent"] = []string{parent}
	if isHeaderText(state) {
		header["Tracestate"] = []string{state}
	}
}
