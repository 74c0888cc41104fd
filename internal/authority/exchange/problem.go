package exchange

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
)

// Problem is a refused or failed request. Its message says what to change, and holds
// nothing from the store or from other users.
type Problem struct {
	Status  int
	Code    string
	Message string
	Header  http.Header
	// Reason is for the log. Empty: the code.
	Reason string
}

// Error implements error.
func (p *Problem) Error() string { return p.Code + ": " + p.Message }

// BearerRealm is the realm of the challenges of RFC 6750, section 3.
const BearerRealm = `Bearer realm="kenbun"`

// BadRequest answers a request that cannot be understood.
func BadRequest(message string) *Problem {
	return &Problem{Status: http.StatusBadRequest, Code: "invalid_request", Message: message}
}

// InvalidCredential is the same for all causes, so that nobody learns which values once
// worked.
func InvalidCredential() *Problem {
	return &Problem{
		Status: http.StatusUnauthorized, Code: "unauthenticated",
		Message: "the token is not valid: it may have been revoked, have expired, not be valid yet, or not have been copied in full; " +
			"its owner sees which in GET /settings/tokens, by its prefix, with another token or a session",
		Header: http.Header{"Www-Authenticate": {BearerRealm + `, error="invalid_token", error_description="the token is not valid"`}},
	}
}

func forbidden(e *domain.ForbiddenError) *Problem {
	p := &Problem{Status: http.StatusForbidden, Code: "forbidden", Message: e.Reason}
	challenge := BearerRealm + `, error="insufficient_scope"`
	if e.Needs != "" {
		challenge += `, scope="` + string(e.Needs) + `"`
	}
	if e.Narrow {
		p.Header = http.Header{"Www-Authenticate": {challenge}}
	}
	return p
}

// NoSuchPath answers a path that is not served.
func NoSuchPath() *Problem {
	return &Problem{Status: http.StatusNotFound, Code: "not_found", Message: "there is nothing at this path"}
}

// MethodNotAllowed answers a method that is not served at the path.
func MethodNotAllowed(allowed []string) *Problem {
	list := strings.Join(allowed, ", ")
	return &Problem{
		Status: http.StatusMethodNotAllowed, Code: "method_not_allowed",
		Message: "this path answers to " + list,
		Header:  http.Header{"Allow": {list}},
	}
}

// BodyTooLarge answers a body beyond [MaxBody].
func BodyTooLarge() *Problem {
	return &Problem{Status: http.StatusRequestEntityTooLarge, Code: "request_too_large", Message: "the body is larger than 64 KiB"}
}

// UnsupportedMediaType answers a body of another kind.
func UnsupportedMediaType(message string) *Problem {
	return &Problem{Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type", Message: message}
}

// Unavailable answers a request that changed nothing and may be sent again.
func Unavailable() *Problem {
	return &Problem{
		Status: http.StatusServiceUnavailable, Code: "unavailable",
		Message: "the service cannot verify or store anything right now: try again in a moment",
		Header:  http.Header{"Retry-After": {"1"}},
	}
}

// outcomeUnknown has no Retry-After, since a retry may be carried out twice.
func outcomeUnknown() *Problem {
	return &Problem{
		Status: http.StatusServiceUnavailable, Code: "outcome_unknown",
		Message: "the store was lost during a write: check whether the change was made before you try again",
	}
}

// InternalError answers a request that failed here.
func InternalError() *Problem {
	return &Problem{
		Status: http.StatusInternalServerError, Code: "internal",
		Message: "the request failed inside the service: its log has the cause under the request id",
	}
}

type problemBody struct {
	Error struct {
		Code      string `json:"code"`
		Message   string `json:"message"`
		RequestID string `json:"request_id"`
	} `json:"error"`
}

// Write answers with the problem.
func (p *Problem) Write(w http.ResponseWriter, requestID string) error {
	for name, values := range p.Header {
		w.Header()[name] = values
	}
	var body problemBody
	body.Error.Code, body.Error.Message, body.Error.RequestID = p.Code, p.Message, requestID
	return WriteJSON(w, p.Status, body)
}

// WriteJSON answers with JSON.
func WriteJSON(w http.ResponseWriter, status int, body any) error {
	content, err := json.Marshal(body)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, err = w.Write(append(content, '\n'))
	return err
}
