package authority

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// problem is a refused or failed request. Its message tells a programmer what
// to change; it holds nothing that came from the store or from other users.
type problem struct {
	status  int
	code    string
	message string
	header  http.Header
	// reason is for the log. Empty: the code.
	reason string
}

func (p *problem) Error() string { return p.code + ": " + p.message }

// bearerRealm is the realm of the challenges of RFC 6750, section 3.
const bearerRealm = `Bearer realm="kenbun"`

func badRequest(message string) *problem {
	return &problem{status: http.StatusBadRequest, code: "invalid_request", message: message}
}

// missingCredential answers a request without a credential of a kind that is
// known here. RFC 6750, section 3.1: its challenge has no error code.
func missingCredential() *problem {
	return &problem{
		status:  http.StatusUnauthorized,
		code:    "unauthenticated",
		message: "send a personal access token as Authorization: Bearer, or in X-API-Key",
		header:  http.Header{"Www-Authenticate": {bearerRealm}},
		reason:  "missing_token",
	}
}

// serviceAccount answers the kenbun API's other kind of credential, which is
// owned by a unit and acts as nobody.
func serviceAccount() *problem {
	p := missingCredential()
	p.message = "service accounts (Authorization: Basic) are not served here: send a personal access token as Authorization: Bearer, or in X-API-Key"
	p.reason = "wrong_scheme"
	return p
}

// invalidCredential is one answer for all causes: who tries out values must not
// learn which of them once worked.
func invalidCredential() *problem {
	return &problem{
		status: http.StatusUnauthorized,
		code:   "unauthenticated",
		message: "the token is not valid: it may have been revoked, have expired, not be valid yet, or not have been copied in full; " +
			"its owner sees which in GET /settings/tokens, by its prefix, with another token or a session",
		header: http.Header{"Www-Authenticate": {bearerRealm + `, error="invalid_token", error_description="the token is not valid"`}},
	}
}

func severalCredentials() *problem {
	return &problem{
		status:  http.StatusBadRequest,
		code:    "invalid_request",
		message: "send exactly one credential: either one Authorization header or one X-API-Key header",
		header:  http.Header{"Www-Authenticate": {bearerRealm + `, error="invalid_request"`}},
	}
}

// missingPermission names what a request needs, and tells whether another token
// of the same user would do.
func missingPermission(p permission, as identity) *problem {
	message := "your role does not hold the permission " + string(p)
	if as.narrowed && rolePermissions[as.role].contains(p) {
		message = "this token does not hold the permission " + string(p) + ": it is narrowed to fewer than your role has"
	}
	return forbidden(p, message)
}

// cannotDelegate answers who would give a token more than he holds.
func cannotDelegate(p permission) *problem {
	return forbidden(p, "you do not hold the permission "+string(p)+" yourself, and so no token can get it from you")
}

// cannotWiden answers a narrowed token that reaches for one that may do more.
func cannotWiden() *problem {
	return &problem{
		status: http.StatusForbidden, code: "forbidden",
		message: "a narrowed token changes tokens within its own permissions only: use a session or a token that is not narrowed",
		header:  http.Header{"Www-Authenticate": {bearerRealm + `, error="insufficient_scope"`}},
	}
}

// cannotAddForLonger answers a token that adds permissions to one that expires
// after bound.
func cannotAddForLonger(bound time.Time) *problem {
	return &problem{
		status: http.StatusForbidden, code: "forbidden",
		message: "the token in use expires, and adds permissions only to tokens that expire by " + bound.UTC().Format(time.RFC3339) +
			": use a session or a token that never expires",
	}
}

// ofAnotherOrganization answers a change of one's own token that is bound to
// another organization than the credential.
func ofAnotherOrganization() *problem {
	return &problem{
		status: http.StatusForbidden, code: "forbidden",
		message: "the token is bound to another organization: change it with a session or token of that one",
	}
}

func forbidden(needed permission, message string) *problem {
	return &problem{
		status:  http.StatusForbidden,
		code:    "forbidden",
		message: message,
		header:  http.Header{"Www-Authenticate": {bearerRealm + `, error="insufficient_scope", scope="` + string(needed) + `"`}},
	}
}

func noSuchPath() *problem {
	return &problem{status: http.StatusNotFound, code: "not_found", message: "there is nothing at this path"}
}

func noSuchToken() *problem {
	return &problem{status: http.StatusNotFound, code: "not_found", message: "you have no token with this id: see the ids with GET /settings/tokens"}
}

func noSuchUnit() *problem {
	return &problem{status: http.StatusNotFound, code: "not_found", message: "your organization has no unit with this id: see the ids with GET /org-units"}
}

func methodNotAllowed(allowed []string) *problem {
	list := strings.Join(allowed, ", ")
	return &problem{
		status: http.StatusMethodNotAllowed, code: "method_not_allowed",
		message: "this path answers to " + list,
		header:  http.Header{"Allow": {list}},
	}
}

func tokenLimitReached() *problem {
	return &problem{status: http.StatusConflict, code: "token_limit_reached", message: ErrTokenLimit.Error()}
}

func tokenRevoked() *problem {
	return &problem{status: http.StatusConflict, code: "token_revoked", message: "the token is revoked for good and cannot be changed: create another one"}
}

func bodyTooLarge() *problem {
	return &problem{status: http.StatusRequestEntityTooLarge, code: "request_too_large", message: "the body is larger than 64 KiB"}
}

func unsupportedMediaType(message string) *problem {
	return &problem{status: http.StatusUnsupportedMediaType, code: "unsupported_media_type", message: message}
}

// unavailable answers a request that surely changed nothing and may be sent
// again.
func unavailable() *problem {
	return &problem{
		status: http.StatusServiceUnavailable, code: "unavailable",
		message: "the service cannot verify or store anything right now: try again in a moment",
		header:  http.Header{"Retry-After": {"1"}},
	}
}

// outcomeUnknown has no Retry-After: whoever sends the request again may have it
// carried out twice.
func outcomeUnknown() *problem {
	return &problem{
		status: http.StatusServiceUnavailable, code: "outcome_unknown",
		message: "the store was lost while it was written to: look whether the change was made before you try again",
	}
}

func internalError() *problem {
	return &problem{
		status: http.StatusInternalServerError, code: "internal",
		message: "the request failed inside the service: its log tells why, under the request id",
	}
}

type problemBody struct {
	Error problemDetail `json:"error"`
}

type problemDetail struct {
	Code      string `json:"code"`
	Message   string `json:"message"`
	RequestID string `json:"request_id"`
}

func (p *problem) write(w http.ResponseWriter, requestID string) error {
	for name, values := range p.header {
		w.Header()[name] = values
	}
	return writeJSON(w, p.status, problemBody{problemDetail{Code: p.code, Message: p.message, RequestID: requestID}})
}

func writeJSON(w http.ResponseWriter, status int, body any) error {
	content, err := json.Marshal(body)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, err = w.Write(append(content, '\n'))
	return err
}
