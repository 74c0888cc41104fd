package tools

import (
	"context"
	"errors"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
)

// upstream turns an error of the API client into one of ours. doing completes
// the sentence "could not …".
func upstream(err error, doing string) *Error {
	var api *client.Error
	var wait time.Duration
	if errors.As(err, &api) {
		wait = api.RetryAfter
	}
	e := classify(err, doing)
	e.RetryAfter = wait
	return e.because(err)
}

func classify(err error, doing string) *Error {
	switch {
	case errors.Is(err, context.Canceled):
		return newError(CodeUnavailable, "the call was cancelled; could not %s", doing).
			next("Call again when it is wanted.")
	case errors.Is(err, client.ErrUnauthenticated):
		return newError(CodeUnauthenticated, "kenbun does not accept the token").
			next("The token was revoked, has expired, or was not copied whole: in kenbun under Settings > Integrations > Personal Tokens a revoked one is marked or missing and an expired one shows a past date; if it is there and alive, it was copied wrong. The person has to give the server a token that works.")
	case errors.Is(err, client.ErrForbidden):
		return newError(CodeForbidden, "kenbun does not let this user %s with this token", doing).
			next("The user's role, the token's permissions or the active organizational unit do not allow it. Where a personal access token may not manage tokens, the person can set KENBUN_SESSION_TOKEN.")
	case errors.Is(err, client.ErrTokenLimit):
		return newError(CodeTokenLimitReached, "the user has as many tokens as kenbun allows").
			next("Find unused ones with list_tokens and its unused_days, and ask the person which to revoke.")
	case errors.Is(err, client.ErrRateLimited):
		return newError(CodeRateLimited, "kenbun is asked too often; could not %s", doing).
			next("Wait, then call again. A new token would not help.")
	case errors.Is(err, client.ErrInvalid):
		return newError(CodeInvalidArgument, "kenbun does not accept what it was asked; could not %s", doing).
			next("Check the arguments. If they are right, the person should check the API's address (KENBUN_API_URL).")
	case errors.Is(err, client.ErrUnexpectedAnswer), errors.Is(err, client.ErrNotFound):
		return newError(CodeUnavailable, "the API answered in a way that is not kenbun's; could not %s", doing).
			next("The person should check the API's address (KENBUN_API_URL) and whether a proxy or sign-in page answers in its place.")
	case errors.Is(err, client.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return newError(CodeUnavailable, "kenbun is out of reach or not able to answer; could not %s", doing).
			next("Wait a little, then call again. A new token would not help.")
	default:
		return newError(CodeInternal, "could not %s", doing).
			next("The server's log tells more.")
	}
}

func tokenNotFound() *Error {
	return newError(CodeNotFound, "this user has no token with that id").
		next("list_tokens with status \"all\" shows the ids. Only one's own tokens can be found.")
}
