package tools

import (
	"context"
	"errors"

	"github.com/kenbun/kenbun-mcp/client"
)

// reason names in the log why a tool answered with an error. The set is closed: it
// is that of [client.Cause], [client.TokenProblem], [Code] and of the constants here.
type reason string

const (
	reasonCanceled    reason = "canceled"
	reasonTimeout     reason = "timeout"
	reasonAuditLog    reason = "audit_log"
	reasonSharedState reason = "shared_state"
	reasonUnsettled   reason = "unsettled_token"
)

// reasoned sets why an error is, where its cause does not show it, and returns e.
func (e *Error) reasoned(why reason) *Error {
	e.why = why
	return e
}

// reasonOf names why e is an error.
func reasonOf(e *Error) reason {
	var api *client.Error
	var form *client.TokenFormError
	switch {
	case e.why != "":
		return e.why
	case errors.As(e.cause, &api) && api.Cause != "":
		return reason(api.Cause)
	case errors.As(e.cause, &form):
		return reason(form.Problem)
	case errors.Is(e.cause, ErrNotConnected):
		return reason(client.TokenMissing)
	case errors.Is(e.cause, context.Canceled):
		return reasonCanceled
	case errors.Is(e.cause, context.DeadlineExceeded):
		return reasonTimeout
	}
	return reason(e.Code)
}

// withRequestID returns e as it is answered in the request of ctx. It names the
// request where the log tells more of the reason than the answer.
func (e *Error) withRequestID(ctx context.Context) *Error {
	switch e.Code {
	case CodeUnavailable, CodeUnauthenticated, CodeOutcomeUnknown, CodeCannotDeliver:
		named := *e
		named.requestID = RequestID(ctx)
		return &named
	}
	return e
}
