package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"
)

// apiCodes are error codes of the embedded API and common ones. A known code decides over
// the status.
var apiCodes = map[string]Code{
	"token_limit_reached": CodeTokenLimit, "token_limit": CodeTokenLimit, "too_many_tokens": CodeTokenLimit, "limit_reached": CodeTokenLimit,
	"unauthenticated": CodeUnauthenticated, "authentication_required": CodeUnauthenticated, "invalid_token": CodeUnauthenticated,
	"forbidden": CodeForbidden, "permission_denied": CodeForbidden, "insufficient_scope": CodeForbidden, "insufficient_permissions": CodeForbidden,
	"not_found": CodeNotFound, "token_not_found": CodeNotFound,
	"rate_limited": CodeRateLimited, "rate_limit_exceeded": CodeRateLimited, "too_many_requests": CodeRateLimited,
	"invalid_argument": CodeInvalid, "invalid_request": CodeInvalid, "validation_error": CodeInvalid, "conflict": CodeInvalid,
	"name_taken": CodeInvalid, "name_exists": CodeInvalid, "duplicate_name": CodeInvalid, "already_exists": CodeInvalid,
	"unavailable": CodeUnavailable, "temporarily_unavailable": CodeUnavailable, "internal": CodeUnavailable, "internal_error": CodeUnavailable,
}

// verdict returns what the API's own refusal means, and what to do about it. code and
// message are from its answer, "" if it has none.
func verdict(cl *call, status int, code, message string) (_ Code, reason, advice string) {
	// A 401 and a failure keep their meaning: only a status can say that the token was
	// accepted, or that something was refused for good.
	if known, ok := apiCodes[strings.ToLower(code)]; ok && status != http.StatusUnauthorized && status < 500 {
		return meaning(cl, known, status)
	}
	switch kind := statusCode(cl, status); {
	case status == http.StatusConflict && cl.method == http.MethodPost && (code != "" || !saysLimit(message)):
		// kenbun documents 409 at a create for the limit; this one is for something else.
		return meaning(cl, CodeInvalid, status)
	case kind != "":
		return meaning(cl, kind, status)
	}
	return CodeUnexpectedAnswer, fmt.Sprintf("the answer has status %d, which the API does not use", status), "check the API address (KENBUN_API_URL)"
}

// saysLimit reports whether message leaves it at the limit on tokens.
func saysLimit(message string) bool {
	lower := strings.ToLower(message)
	return message == "" || strings.Contains(lower, "limit") || strings.Contains(lower, "too many") || strings.Contains(lower, "maximum")
}

// statusCodes are what statuses mean by themselves, where the method does not matter.
var statusCodes = map[int]Code{
	http.StatusBadRequest: CodeInvalid, http.StatusRequestEntityTooLarge: CodeInvalid, http.StatusRequestURITooLong: CodeInvalid,
	http.StatusUnsupportedMediaType: CodeInvalid, http.StatusUnprocessableEntity: CodeInvalid, http.StatusRequestHeaderFieldsTooLarge: CodeInvalid,
	http.StatusUnauthorized: CodeUnauthenticated, http.StatusForbidden: CodeForbidden,
	http.StatusNotFound: CodeNotFound, http.StatusGone: CodeNotFound, http.StatusConflict: CodeInvalid,
	http.StatusTooManyRequests: CodeRateLimited, http.StatusRequestTimeout: CodeUnavailable, http.StatusTooEarly: CodeUnavailable,
}

// statusCode returns what a status means by itself, "" for one that the API does not use.
func statusCode(cl *call, status int) Code {
	switch {
	case status == http.StatusConflict && cl.method == http.MethodPost:
		return CodeTokenLimit
	case (status == http.StatusMethodNotAllowed || status == http.StatusNotImplemented) && cl.method == http.MethodPatch:
		return CodeUnexpectedAnswer
	case status >= 500:
		return CodeUnavailable
	}
	return statusCodes[status]
}

// meanings has, for each code, what the API's refusal means and what to do about it.
var meanings = map[Code]struct{ reason, advice string }{
	CodeUnauthenticated:  {"the API does not accept the token; it may be revoked, expired or copied incompletely", ""},
	CodeForbidden:        {"the API does not allow this to the user or to the token", ""},
	CodeNotFound:         {"there is no such place in the API", "check the API address (KENBUN_API_URL)"},
	CodeTokenLimit:       {"the user has as many tokens as the API allows", "revoke unused ones first"},
	CodeRateLimited:      {"the API gets too many requests", ""},
	CodeUnexpectedAnswer: {"this API cannot change tokens", "make a new one and revoke the old one"},
	CodeUnavailable:      {"the API has a failure of its own", "try again later"},
	CodeInvalid:          {"the API refused the request as invalid", ""},
}

// meaning returns what to say about a refusal of the given code and status.
func meaning(cl *call, code Code, status int) (_ Code, reason, advice string) {
	m := meanings[code]
	switch {
	case code == CodeNotFound && cl.isAboutToken():
		m.reason, m.advice = "the user has no token with this id", "list the tokens to see the ids"
	case code == CodeUnavailable && (status == http.StatusRequestTimeout || status == http.StatusTooEarly):
		m.reason = "the API did not get to the request"
	case code == CodeInvalid && status == http.StatusConflict && cl.method == http.MethodPatch:
		m.reason = "the token is in a state in which it cannot be changed, such as revoked"
	case code == CodeInvalid && status == http.StatusConflict:
		m.reason = "the API refused the request because of a conflict with what is there"
	}
	return code, m.reason, m.advice
}

// isAboutToken reports whether the call names one token.
func (cl *call) isAboutToken() bool {
	return cl.method == http.MethodDelete || cl.method == http.MethodPatch
}

// get makes a GET call and decodes its answer into out.
func (c *Client) get(ctx context.Context, op, path string, secret Secret, out any) (*call, error) {
	cl := &call{op: op, method: http.MethodGet, path: path, secret: secret}
	ctx, end := c.begin(ctx, cl)
	err := c.fetch(ctx, cl, out)
	end(err)
	return cl, err
}

func (c *Client) fetch(ctx context.Context, cl *call, out any) error {
	a, err := c.exchange(ctx, cl)
	if err != nil {
		return err
	}
	if a.status < 200 || a.status > 299 {
		return statusError(cl, a)
	}
	return decodeAnswer(cl, a, out)
}

// getStream makes a GET call whose answer goes to cl.stream as it comes in.
func (c *Client) getStream(ctx context.Context, cl *call) error {
	cl.method = http.MethodGet
	ctx, end := c.begin(ctx, cl)
	err := c.fetchStream(ctx, cl)
	end(err)
	return err
}

func (c *Client) fetchStream(ctx context.Context, cl *call) error {
	a, err := c.exchange(ctx, cl)
	var bad *listError
	switch {
	case err != nil:
		return err
	case a.status < 200 || a.status > 299:
		return statusError(cl, a)
	case len(a.body) > 0:
		return notTheAPI(cl, a)
	case errors.As(cl.streamed, &bad):
		return unexpected(cl, a, bad.reason, bad.cause)
	}
	return cl.streamed
}

// decodeAnswer reads a good answer into out, a pointer. Unknown fields are dropped; anything
// after the value is refused.
func decodeAnswer(cl *call, a *answer, out any) error {
	if len(a.body) == 0 {
		return unexpected(cl, a, emptyAnswer, nil)
	}
	if !isJSON(a.header.Get("Content-Type")) {
		return notTheAPI(cl, a)
	}
	if err := json.Unmarshal(a.body, out); err != nil {
		return unexpected(cl, a, malformedAnswer, err)
	}
	return nil
}

// What is wrong with a good answer's body.
const (
	emptyAnswer     = "the answer is empty"
	malformedAnswer = "the answer is malformed, or not of the form that the API documents"
)

// isJSON reports whether contentType is application/json or has the suffix +json (RFC 6839).
func isJSON(contentType string) bool {
	if contentType == "application/json" {
		return true
	}
	mediaType, _, err := mime.ParseMediaType(contentType)
	return err == nil && (mediaType == "application/json" || strings.HasSuffix(mediaType, "+json"))
}
