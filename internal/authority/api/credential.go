package api

import (
	"net/http"
	"strings"

	"github.com/kenbun/kenbun-mcp/internal/ascii"
	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
	"github.com/kenbun/kenbun-mcp/internal/authority/exchange"
)

// credentialOf returns the one credential in the headers. No other place is read.
func credentialOf(h http.Header) (string, error) {
	authorization, apiKey := h.Values("Authorization"), h.Values("X-Api-Key")
	switch {
	case len(authorization)+len(apiKey) == 0:
		return "", missingCredential()
	case len(authorization)+len(apiKey) > 1:
		return "", severalCredentials()
	case len(apiKey) == 1:
		if !strings.HasPrefix(apiKey[0], string(domain.PersonalAccessToken)) {
			// A session is accepted as a bearer token only.
			return "", malformedCredential(apiKey[0])
		}
		return apiKey[0], nil
	}
	// RFC 9110, section 11.4: the scheme in any case, then spaces.
	scheme, rest, _ := strings.Cut(authorization[0], " ")
	if ascii.EqualFold(scheme, "Basic") {
		return "", serviceAccount()
	}
	if !ascii.EqualFold(scheme, "Bearer") {
		return "", notBearer(authorization[0])
	}
	return strings.TrimLeft(rest, " "), nil
}

// missingCredential answers a request without a known kind of credential. Its challenge
// has no error code (RFC 6750, section 3.1).
func missingCredential() *exchange.Problem {
	return &exchange.Problem{
		Status: http.StatusUnauthorized, Code: "unauthenticated", Reason: "missing_token",
		Message: "send a personal access token as Authorization: Bearer, or in X-API-Key",
		Header:  http.Header{"Www-Authenticate": {exchange.BearerRealm}},
	}
}

// serviceAccount answers the kenbun API's other kind of credential.
func serviceAccount() *exchange.Problem {
	p := missingCredential()
	p.Message = "service accounts (Authorization: Basic) are not served here: send a personal access token as Authorization: Bearer, or in X-API-Key"
	p.Reason = "wrong_scheme"
	return p
}

func severalCredentials() *exchange.Problem {
	return &exchange.Problem{
		Status: http.StatusBadRequest, Code: "invalid_request",
		Message: "send exactly one credential: either one Authorization header or one X-API-Key header",
		Header:  http.Header{"Www-Authenticate": {exchange.BearerRealm + `, error="invalid_request"`}},
	}
}

// notBearer answers an Authorization header without the scheme Bearer.
func notBearer(value string) *exchange.Problem {
	p := missingCredential()
	switch {
	case strings.HasPrefix(value, "kbn_"):
		p.Reason, p.Message = "missing_scheme", "the word Bearer is missing: send Authorization: Bearer, a space and the token"
	case isVariable(value):
		return malformedCredential(value)
	case value != "":
		p.Reason, p.Message = "wrong_scheme", "this scheme is not served: send a personal access token as Authorization: Bearer, or in X-API-Key"
	}
	return p
}

// malformedCredential answers a value that cannot be a credential. Its hints are about
// obvious mistakes in a client's settings and reveal nothing about any token.
func malformedCredential(value string) *exchange.Problem {
	p := exchange.InvalidCredential()
	p.Reason = "malformed_token"
	bare := strings.Trim(value, "\"'`<> ")
	switch {
	case bare == "":
		p.Reason, p.Message = "empty_token", "the token is empty: send a personal access token as Authorization: Bearer, or in X-API-Key"
	case isVariable(bare):
		p.Reason, p.Message = "unexpanded_variable", "there is a variable in place of the token, and it was not replaced by a value"
	case bare != value && strings.HasPrefix(bare, "kbn_"):
		p.Reason, p.Message = "quoted_token", "the token has a quotation mark, a bracket or a space around it: send only the token"
	case len(bare) > len("bearer ") && strings.HasPrefix(strings.ToLower(bare), "bearer "):
		p.Reason, p.Message = "name_before_token", "the token has the word Bearer before it: send it once in Authorization, and not at all in X-API-Key"
	}
	return p
}

// isVariable reports whether text looks like an unexpanded variable.
func isVariable(text string) bool {
	return strings.HasPrefix(text, "$") || strings.HasPrefix(text, "{") && strings.HasSuffix(text, "}") ||
		len(text) > 2 && strings.HasPrefix(text, "%") && strings.HasSuffix(text, "%") || text == "undefined" || text == "null"
}
