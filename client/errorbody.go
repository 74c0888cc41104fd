package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

const (
	// apiTokenLimit is what an API that can change tokens calls its limit.
	apiTokenLimit    = "token_limit_reached"
	tokenLimitReason = "the user has as many tokens as the API allows; revoke unused ones first"
)

// statusError turns an answer that is no success into an error.
func statusError(cl *call, a *answer) *Error {
	e := &Error{Op: cl.op, Status: a.status, Attempts: cl.attempts}
	e.Code, e.Reason = meaning(cl, a.status)
	e.RetryAfter, _ = retryAfter(a.status, a.header)
	said := parseErrorBody(a.header.Get("Content-Type"), a.body)
	e.Message = cleanMessage(said.message, cl.secret)
	e.APICode = identifier(said.code, cl.secret)
	if a.status == http.StatusConflict && cl.method == http.MethodPatch && e.APICode == apiTokenLimit {
		// An expired token counts again once it has a new end.
		e.Code, e.Reason = CodeTokenLimit, tokenLimitReason
	}
	if e.RequestID = identifier(said.requestID, cl.secret); e.RequestID == "" {
		e.RequestID = requestID(cl, a)
	}
	return e
}

// unexpected is an answer of good status that cannot be what was asked for.
func unexpected(cl *call, a *answer, reason string, cause error) *Error {
	return &Error{
		Op: cl.op, Code: CodeUnexpectedAnswer, Status: a.status, Attempts: cl.attempts,
		Reason: reason, RequestID: requestID(cl, a), cause: withoutTokens(cause, cl.secret),
	}
}

func requestID(cl *call, a *answer) string {
	return identifier(a.header.Get("X-Request-Id"), cl.secret)
}

// meaning says what a status means, and what to do about it.
func meaning(cl *call, status int) (Code, string) {
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong,
		http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity, http.StatusRequestHeaderFieldsTooLarge:
		return CodeInvalid, "the API refused the request as invalid"
	case http.StatusUnauthorized:
		return CodeUnauthenticated, "the API does not accept the token; it may be revoked, expired or copied incompletely"
	case http.StatusForbidden:
		return CodeForbidden, "the API does not allow this to the user or to the token"
	case http.StatusNotFound, http.StatusGone:
		if cl.method == http.MethodDelete || cl.method == http.MethodPatch {
			return CodeNotFound, "the user has no token with this id; list the tokens to see the ids"
		}
		return CodeNotFound, "there is no such place in the API; check the API address"
	case http.StatusConflict:
		if cl.method == http.MethodPost {
			return CodeTokenLimit, tokenLimitReason
		}
		if cl.method == http.MethodPatch {
			return CodeInvalid, "the token is in a state in which it cannot be changed, such as revoked"
		}
		return CodeInvalid, "the API refused the request because of a conflict"
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		if cl.method == http.MethodPatch {
			return CodeUnexpectedAnswer, "this API cannot change tokens; make a new one and revoke the old one"
		}
	case http.StatusTooManyRequests:
		return CodeRateLimited, "too many requests"
	case http.StatusRequestTimeout, http.StatusTooEarly:
		return CodeUnavailable, "the API did not get to the request"
	case http.StatusProxyAuthRequired:
		return CodeUnavailable, "a proxy on the way to the API wants a login; put user and password into HTTPS_PROXY"
	}
	switch {
	case status >= 500:
		return CodeUnavailable, "the API has a failure of its own; try again later"
	case status >= 300 && status < 400:
		return CodeUnexpectedAnswer, "the API answered with a redirect, which is never followed; check the API address"
	}
	return CodeUnexpectedAnswer, fmt.Sprintf("the answer has status %d, which the API does not use; check the API address", status)
}

// errorBody is what the body of an error says.
type errorBody struct{ message, code, requestID string }

// parseErrorBody reads the shapes that error bodies come in: an object with
// "message", "detail", "title", "error" or "errors", nested or not, which covers
// problem details (RFC 9457), or plain text. kenbun's API documentation shows no
// error body, so none is relied upon. HTML says nothing.
func parseErrorBody(contentType string, body []byte) errorBody {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return errorBody{}
	}
	if isJSON(contentType) || body[0] == '{' || body[0] == '[' || body[0] == '"' {
		var value any
		if json.Unmarshal(body, &value) == nil {
			return readError(value, 0)
		}
		return errorBody{}
	}
	if strings.HasPrefix(strings.ToLower(contentType), "text/plain") && body[0] != '<' {
		return errorBody{message: string(body)}
	}
	return errorBody{}
}

// readError looks through value for what it says, down to a sane depth.
func readError(value any, depth int) errorBody {
	if depth > 4 {
		return errorBody{}
	}
	switch v := value.(type) {
	case string:
		return errorBody{message: v}
	case []any:
		return readErrors(v, depth)
	case map[string]any:
		said := errorBody{
			message:   firstString(v, "message", "detail", "error_description", "title", "msg"),
			code:      firstString(v, "code", "error_code"),
			requestID: firstString(v, "request_id", "requestId", "trace_id"),
		}
		for _, name := range [...]string{"error", "errors"} {
			inner := readError(v[name], depth+1)
			if text, ok := v[name].(string); ok && said.message != "" {
				// {"error": "invalid_grant", "message": "..."}: the short one is the code.
				inner = errorBody{code: text}
			}
			said.message = firstOf(said.message, inner.message)
			said.code = firstOf(said.code, inner.code)
			said.requestID = firstOf(said.requestID, inner.requestID)
		}
		return said
	}
	return errorBody{}
}

// readErrors joins the messages of a list; the first code and id win.
func readErrors(list []any, depth int) errorBody {
	var said errorBody
	var messages []string
	for _, item := range list[:min(len(list), 5)] {
		inner := readError(item, depth+1)
		if inner.message != "" {
			messages = append(messages, inner.message)
		}
		said.code = firstOf(said.code, inner.code)
		said.requestID = firstOf(said.requestID, inner.requestID)
	}
	said.message = strings.Join(messages, "; ")
	return said
}

func firstString(object map[string]any, names ...string) string {
	for _, name := range names {
		if text, ok := object[name].(string); ok && strings.TrimSpace(text) != "" {
			return text
		}
	}
	return ""
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// identifier returns text if it can stand as a name in an error or a log, else "".
func identifier(text string, secret Secret) string {
	if len(text) > 64 {
		return ""
	}
	for i := range len(text) {
		if !isTokenByte(text[i]) && text[i] != '.' && text[i] != ':' {
			return ""
		}
	}
	if redactTokens(text, secret) != text {
		return ""
	}
	return text
}
