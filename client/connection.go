package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/kenbun/kenbun-mcp/internal/netproblem"
)

// causeOf returns the cause of err, and the error that says most about it.
func causeOf(err error) (Cause, error) {
	if errors.Is(err, errNotLoopback) {
		return CauseNotLoopback, errNotLoopback
	}
	kind, detail := netproblem.Of(err)
	return Cause(kind), detail
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

// withoutTokens returns err, or only its cleaned text if that holds a token: the
// standard library quotes what it could not read, and a server that echoes
// requests makes it quote ours.
func withoutTokens(err error, secret Secret) error {
	if err == nil || redactTokens(err.Error(), secret) == err.Error() {
		return err
	}
	return errors.New(cleanMessage(err.Error(), secret))
}
