package identity

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/ascii"
	"github.com/kenbun/kenbun-mcp/server/edge"
)

// authError is why a request was not accepted.
type authError struct {
	status int
	// code is RFC 6750's error code. Empty where the request brought no token,
	// as the RFC asks for (section 3.1).
	code        string
	description string
	retryAfter  string
	// reason is for the log and the answer, and cause how the API could not be asked.
	reason edge.Reason
	cause  client.Cause
}

func (e *authError) Error() string { return e.description }

var (
	// errInvalidToken is one answer for every token of the right form that does not
	// work, so that trying tokens teaches nothing.
	errInvalidToken = &authError{status: http.StatusUnauthorized, code: "invalid_token", reason: refusedToken,
		description: "this kenbun personal access token does not work: it was revoked, has expired, or was not copied completely"}
	errCannotVerify = &authError{status: http.StatusServiceUnavailable, code: "temporarily_unavailable", reason: refusedUnverified,
		description: "the token cannot be checked with kenbun right now; try again with the same token", retryAfter: "5"}
)

// TokenHeader is the name of the one header that counts for the token, in canonical
// form. Empty: a token may come in Authorization or in X-API-Key.
type TokenHeader string

// ParseTokenHeader checks the name of a header. It refuses headers that mean something
// else here, or that browsers send by themselves.
func ParseTokenHeader(name string) (TokenHeader, error) {
	canonical := http.CanonicalHeaderKey(name)
	switch {
	case name == "":
		return "", nil
	case !isHeaderName(name) || len(name) > maxTokenHeader:
		return "", fmt.Errorf("%q is not the name of a header: write one such as X-API-Key, of at most %d characters", name, maxTokenHeader)
	case slices.Contains(notForTokens, canonical), strings.HasPrefix(canonical, "Mcp-"), strings.HasPrefix(canonical, "Sec-"),
		strings.HasPrefix(canonical, "Access-Control-"), strings.HasPrefix(canonical, "X-Forwarded-"):
		return "", fmt.Errorf("the header %s has another meaning and cannot hold the token: choose one such as Authorization or X-API-Key", canonical)
	}
	return TokenHeader(canonical), nil
}

// maxTokenHeader bounds the name of the header, so that what a client shows of it
// stays short.
const maxTokenHeader = 40

var notForTokens = []string{
	"Accept", "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Cookie", "Expect", "Forwarded", "Host", "Keep-Alive",
	"Last-Event-Id", "Origin", "Proxy-Authorization", "Referer", "Te", "Traceparent", "Tracestate", "Trailer", "Transfer-Encoding",
	"Upgrade", "User-Agent", "Via", "X-Kenbun-Recipient", "X-Real-Ip", "X-Request-Id",
}

func isHeaderName(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool {
		return r > unicode.MaxASCII || !strings.ContainsRune("!#$%&'*+-.^_`|~", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}

// values returns the values of Authorization, which have a scheme, and those of the
// headers that hold a token alone, as far as they count.
func (h TokenHeader) values(header http.Header) (authorization, alone []string) {
	switch h {
	case "":
		return header.Values("Authorization"), header.Values("X-Api-Key")
	case "Authorization":
		return header.Values("Authorization"), nil
	}
	return nil, header.Values(string(h))
}

// IsIn reports whether a request brings a token, of whatever form.
func (h TokenHeader) IsIn(header http.Header) bool {
	authorization, alone := h.values(header)
	return len(authorization)+len(alone) > 0
}

// doubled reports whether more than one header came in which a token counts.
func (h TokenHeader) doubled(header http.Header) bool {
	authorization, alone := h.values(header)
	return len(authorization)+len(alone) > 1
}

// Name returns the header in which users should send the token.
func (h TokenHeader) Name() string {
	if h == "" {
		return "Authorization"
	}
	return string(h)
}

// credential returns the one token of a request. Tokens in the address or in a
// cookie do not count.
func (h TokenHeader) credential(r *http.Request) (client.Credential, error) {
	value, problem := h.token(r.Header)
	if problem == nil {
		pat, err := client.ParsePAT(value)
		if err == nil {
			return client.Credential{PAT: pat}, nil
		}
		if !errors.As(err, &problem) {
			return client.Credential{}, errInvalidToken
		}
	}
	return client.Credential{}, h.refusal(problem, r.Header)
}

// token returns the text in the place of the token, or what is wrong with the
// place.
func (h TokenHeader) token(header http.Header) (string, *client.TokenFormError) {
	authorization, alone := h.values(header)
	switch {
	case len(authorization)+len(alone) == 0:
		return "", &client.TokenFormError{Problem: client.TokenMissing}
	case len(authorization)+len(alone) > 1:
		return "", &client.TokenFormError{Problem: client.TokenTwice}
	case len(alone) == 1:
		return alone[0], nil
	}
	return afterBearer(authorization[0])
}

// afterBearer returns what follows the scheme in an Authorization header, after any
// number of spaces (RFC 9110, section 11.4).
func afterBearer(value string) (string, *client.TokenFormError) {
	scheme, rest, spaced := strings.Cut(value, " ")
	switch {
	case value == "":
		return "", &client.TokenFormError{Problem: client.TokenEmpty}
	case ascii.EqualFold(scheme, "Bearer"):
		return strings.TrimLeft(rest, " "), nil
	}
	// The scheme is not Bearer. What was sent in its place may be the whole mistake.
	problem := client.TokenNoScheme
	_, err := client.ParsePAT(value)
	var form *client.TokenFormError
	switch {
	case err == nil || !errors.As(err, &form), form.Problem == client.TokenOtherProduct && !spaced:
	case ascii.EqualFold(strings.TrimRight(scheme, ":=,"), "Bearer"):
		problem = client.TokenWrongScheme
	case len(value) > len("Bearer") && ascii.EqualFold(value[:len("Bearer")], "Bearer") && value[len("Bearer")] == '\t':
		problem = client.TokenWhiteSpace
	case value[0] == '"' || value[0] == '\'':
		problem = client.TokenQuoted
	case form.Problem == client.TokenWhiteSpace && spaced && !strings.HasPrefix(value, "kbn_"):
		problem = client.TokenWrongScheme
	case form.Problem != client.TokenWrongPrefix:
		return "", form
	}
	return "", &client.TokenFormError{Problem: problem}
}

// refusal is the answer to a token that was given in a wrong way.
func (h TokenHeader) refusal(problem *client.TokenFormError, header http.Header) *authError {
	refused := &authError{
		status: http.StatusUnauthorized, code: "invalid_token", reason: edge.Reason(problem.Problem), description: problem.Error(),
	}
	switch {
	case problem.Problem == client.TokenMissing:
		refused.code, refused.description = "", h.Needed()
	case h.doubled(header):
		if h == "" {
			refused.description += ", in Authorization or in X-API-Key; if a gateway adds one, the operator can choose the header that counts with --token-header"
		}
		refused.status, refused.code = http.StatusBadRequest, "invalid_request"
	}
	return refused
}

// Needed returns the text for a client without a token, short enough for where
// clients show it.
func (h TokenHeader) Needed() string {
	return "this server needs a kenbun token in the " + h.Name() + " header, see " + HelpPath
}

// HelpPath is the path that shows how to connect. It needs no token.
const HelpPath = "/help"

// Reasons for refusing a request that are not about the form of its token.
const (
	// refusedToken is for a token that has the right form and does not work.
	refusedToken      edge.Reason = "token_refused"
	refusedUnverified edge.Reason = "token_not_verified"
	refusedMissingKey edge.Reason = "missing_key"
	refusedWrongKey   edge.Reason = "wrong_key"
	refusedNoneWanted edge.Reason = "token_not_wanted"
	refusedOtherUser  edge.Reason = "other_user"
	refusedForwarded  edge.Reason = "forwarded"
)

// challenge answers a request that was not accepted (RFC 6750, section 3). Contrary
// to the RFC the challenge to a request without a token says what is missing, since
// some clients show nothing else.
func challenge(w http.ResponseWriter, err error) {
	var auth *authError
	if !errors.As(err, &auth) {
		auth = errCannotVerify
	}
	if auth.status == http.StatusUnauthorized {
		value := `Bearer realm="kenbun"`
		if auth.code != "" {
			value += fmt.Sprintf(`, error=%q`, auth.code)
		}
		w.Header().Set("WWW-Authenticate", value+fmt.Sprintf(`, error_description=%q`, auth.description))
	}
	if auth.retryAfter != "" {
		w.Header().Set("Retry-After", auth.retryAfter)
	}
	code := auth.code
	if code == "" {
		code = "missing_token"
	}
	edge.SendProblem(w, auth.status, edge.Problem{Error: code, Description: auth.description, Reason: auth.reason}, string(auth.cause))
}
