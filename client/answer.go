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

// apiCodes are codes that the API may give for an error, as the embedded API and
// common usage have them. Where one is known it decides over the status.
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

// verdict says what the API's own no means, and what to do about it. code and
// message are what it said, "" if nothing.
func verdict(cl *call, status int, code, message string) (_ Code, reason, advice string) {
	// A 401 and a failure stay what they are: that the token was accepted, or that
	// something was refused for good, needs a status that says so.
	if known, ok := apiCodes[strings.ToLower(code)]; ok && status != http.StatusUnauthorized && status < 500 {
		return known, codeReason(cl, known, status), codeAdvice(cl, known)
	}
	switch kind := statusCode(cl, status); {
	case status == http.StatusConflict && cl.method == http.MethodPost && (code != "" || !saysLimit(message)):
		// kenbun documents 409 at a create for the limit; this one is for something
		// else.
		return CodeInvalid, codeReason(cl, CodeInvalid, status), codeAdvice(cl, CodeInvalid)
	case kind != "":
		return kind, codeReason(cl, kind, status), codeAdvice(cl, kind)
	}
	return CodeUnexpectedAnswer, fmt.Sprintf("the answer has status %d, which the API does not use", status), "check the API address (KENBUN_API_URL)"
}

// saysLimit reports whether message leaves it at the limit on tokens.
func saysLimit(message string) bool {
	lower := strings.ToLower(message)
	return message == "" || strings.Contains(lower, "limit") || strings.Contains(lower, "too many") || strings.Contains(lower, "maximum")
}

// statusCode is what a status means by itself, "" for one that the API does not
// use.
func statusCode(cl *call, status int) Code {
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong,
		http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity, http.StatusRequestHeaderFieldsTooLarge:
		return CodeInvalid
	case http.StatusUnauthorized:
		return CodeUnauthenticated
	case http.StatusForbidden:
		return CodeForbidden
	case http.StatusNotFound, http.StatusGone:
		return CodeNotFound
	case http.StatusConflict:
		if cl.method == http.MethodPost {
			return CodeTokenLimit
		}
		return CodeInvalid
	case http.StatusTooManyRequests:
		return CodeRateLimited
	case http.StatusRequestTimeout, http.StatusTooEarly:
		return CodeUnavailable
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		if cl.method == http.MethodPatch {
			return CodeUnexpectedAnswer
		}
	}
	if status >= 500 {
		return CodeUnavailable
	}
	return ""
}

func codeReason(cl *call, kind Code, status int) string {
	switch kind {
	case CodeUnauthenticated:
		return "the API does not accept the token; it may be revoked, expired or copied incompletely"
	case CodeForbidden:
		return "the API does not allow this to the user or to the token"
	case CodeNotFound:
		if cl.isAboutToken() {
			return "the user has no token with this id"
		}
		return "there is no such place in the API"
	case CodeTokenLimit:
		return "the user has as many tokens as the API allows"
	case CodeRateLimited:
		return "the API gets too many requests"
	case CodeUnexpectedAnswer:
		return "this API cannot change tokens"
	case CodeUnavailable:
		if status == http.StatusRequestTimeout || status == http.StatusTooEarly {
			return "the API did not get to the request"
		}
		return "the API has a failure of its own"
	}
	if status == http.StatusConflict {
		if cl.method == http.MethodPatch {
			return "the token is in a state in which it cannot be changed, such as revoked"
		}
		return "the API refused the request because of a conflict with what is there"
	}
	return "the API refused the request as invalid"
}

func codeAdvice(cl *call, kind Code) string {
	switch kind {
	case CodeNotFound:
		if cl.isAboutToken() {
			return "list the tokens to see the ids"
		}
		return "check the API address (KENBUN_API_URL)"
	case CodeTokenLimit:
		return "revoke unused ones first"
	case CodeUnexpectedAnswer:
		return "make a new one and revoke the old one"
	case CodeUnavailable:
		return "try again later"
	}
	return ""
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

// decodeAnswer reads a good answer into out, a pointer. Fields that out does
// not have are dropped; anything after the value is refused.
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

// isJSON reports whether contentType is application/json or ends in +json
// (RFC 6839).
func isJSON(contentType string) bool {
	if contentType == "application/json" {
		return true
	}
	mediaType, _, err := mime.ParseMediaType(contentType)
	return err == nil && (mediaType == "application/json" || strings.HasSuffix(mediaType, "+json"))
}
