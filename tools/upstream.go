package tools

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/kenbun/kenbun-mcp/client"
)

// Upstream converts an error of the API client. doing completes the sentence "could not
// …".
func Upstream(err error, doing string) *Error {
	var api *client.Error
	var wait time.Duration
	said := ""
	if errors.As(err, &api) {
		wait = api.RetryAfter
		said = SaidBy(api)
	}
	e := classify(err, doing)
	e.RetryAfter, e.Said = wait, said
	return e.Because(err)
}

// NoNewToken ends the advice for a call that fails for a reason other than the token.
const NoNewToken = " A new token would not help."

// classify words kenbun's own answers. Other failures have the words of their cause, as
// in a terminal.
func classify(err error, doing string) *Error {
	var api *client.Error
	isAPIError := errors.As(err, &api)
	switch {
	case errors.Is(err, context.Canceled):
		return NewError(CodeUnavailable, "the call was cancelled; could not %s", doing).
			Advise("Call again when it is wanted.")
	case isAPIError && api.Cause != client.CauseAPI && api.Cause != client.CauseNotSent:
		return byCause(api, doing)
	case errors.Is(err, client.ErrUnauthenticated):
		return NewError(CodeUnauthenticated, "kenbun does not accept the token").
			Advise("The token was revoked, has expired, or was not copied whole: in kenbun under Settings > Integrations > Personal Tokens a revoked one is marked or missing and an expired one shows a past date; if it is there and alive, it was copied wrong. The user has to give the server a token that works.")
	case errors.Is(err, client.ErrForbidden):
		return NewError(CodeForbidden, "kenbun does not let this user %s with this token", doing).
			Advise("The user's role, the token's permissions or the active organizational unit do not allow it.")
	case errors.Is(err, client.ErrRateLimited):
		return NewError(CodeRateLimited, "kenbun has received too many requests; could not %s", doing).
			Advise("Wait, then call again.%s", NoNewToken)
	case errors.Is(err, client.ErrInvalid):
		return NewError(CodeInvalidArgument, "kenbun does not accept what it was asked; could not %s", doing).
			Advise("Check the arguments against what kenbun said, if it said anything. If they are right, the user should check the API's address (KENBUN_API_URL).")
	case errors.Is(err, client.ErrUnexpectedAnswer), errors.Is(err, client.ErrNotFound):
		return NewError(CodeUnavailable, "the API answered in a way that is not kenbun's; could not %s", doing).
			Advise("The user should check the API's address (KENBUN_API_URL) and whether a proxy or sign-in page answers in its place.")
	case errors.Is(err, client.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return NewError(CodeUnavailable, "kenbun is out of reach or not able to answer; could not %s", doing).
			Advise("Wait a little, then call again.%s", NoNewToken)
	default:
		return NewError(CodeInternal, "could not %s", doing).
			Advise("The server's log has the details.")
	}
}

// byCause words an error that is not kenbun's own.
func byCause(api *client.Error, doing string) *Error {
	code := CodeUnavailable
	if api.Code == client.CodeRateLimited {
		code = CodeRateLimited
	}
	e := NewError(code, "could not %s: %s", doing, api.Reason)
	advice := strings.TrimSuffix(api.Advice, ".")
	switch {
	case api.MayPass() && api.Cause == client.CauseIntermediary:
		return e.Advise("Wait, then call again.%s", NoNewToken)
	case api.MayPass() && strings.HasPrefix(advice, "try again"):
		return e.Advise("Wait a little, then call again.%s", NoNewToken)
	case api.MayPass():
		return e.Advise("Wait a little, then call again. If it stays like this, the user or the operator of this server should do this: %s.%s", advice, NoNewToken)
	case advice == "":
		return e.Advise("The server's log has the details.")
	}
	return e.Advise("Calling again does not help until this is fixed. Tell the user what to do where this server runs: %s.%s", advice, NoNewToken)
}

// maxSaid bounds the quoted part of an answer's own words, in characters.
const maxSaid = 200

// SaidBy quotes what an answer said: cleaned, without addresses, and cut.
func SaidBy(api *client.Error) string {
	who := "kenbun says"
	switch {
	case api.Cause == client.CauseIntermediary:
		who = "what answered says of itself"
	case api.Cause != client.CauseAPI, api.Code == client.CodeRateLimited, api.Status >= 500:
		return "" // the inside of a failure helps nobody here
	}
	text := Shown(anAddress().ReplaceAllString(api.Message, "[address]"), maxSaid)
	code := Shown(api.APICode, 64)
	if utf8.RuneCountInString(text) == 0 && code == "" {
		return ""
	}
	said := who
	if text != "" {
		said += fmt.Sprintf(": %q", text)
	}
	if code != "" {
		said += fmt.Sprintf(" (its code: %q)", code)
	}
	return said
}

// anAddress matches addresses to which a model or a user could be sent.
var anAddress = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)\b[a-z][a-z0-9+.-]*://\S+|\bwww\.\S+`)
})
