package server

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/tools"
)

// serverCallerID stands for the one caller of a server that acts with its own
// token.
const serverCallerID = "server"

// maxUncheckedCall bounds the tool calls, in bytes, that are worked on before the
// API was asked about their token. Reading what is larger can cost more than
// asking, and clients have no reason for it.
const maxUncheckedCall = 16 << 10

// requireToken lets a request pass as the user whose token it brings, and
// answers 401 to every other.
func requireToken(v *verifier, g *guesses, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		credential, err := credentialOf(r)
		if err != nil {
			challenge(w, err)
			return
		}
		caller := v.caller(credential)
		from := network(clientAddress(r.Context()))
		if wait := g.wait(from); wait > 0 && !v.acceptedLately(caller.ID) {
			g.holdBack(w, wait)
			return
		}
		if isToolCall(r) && (!isLarge(r) || v.acceptedLately(caller.ID)) {
			// A tool call is checked by the API itself, for the very thing it does.
			caller.API = observe(v.api.As(credential),
				func() { v.accepted.add(caller.ID) },
				func() { v.accepted.remove(caller.ID); g.count(from) })
		} else if err := v.verify(r.Context(), credential, caller.ID); err != nil {
			if errors.Is(err, errInvalidToken) {
				g.count(from)
			}
			challenge(w, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(withCaller(r.Context(), caller)))
	})
}

// authError is why a request was not let in.
type authError struct {
	status int
	// code is RFC 6750's error code. Empty where the request brought no token,
	// as the RFC asks for (section 3.1).
	code        string
	description string
	retryAfter  string
}

func (e *authError) Error() string { return e.description }

var (
	errNoCredential = &authError{status: http.StatusUnauthorized,
		description: "send your kenbun personal access token in the Authorization header as a Bearer token, or in X-API-Key"}
	errTwoCredentials = &authError{status: http.StatusBadRequest, code: "invalid_request",
		description: "send exactly one token, in Authorization or in X-API-Key"}
	// errInvalidToken is one answer for every token that does not work, so that
	// trying tokens teaches nothing.
	errInvalidToken = &authError{status: http.StatusUnauthorized, code: "invalid_token",
		description: "the token is not a kenbun personal access token that works: it was revoked, has expired, or was not copied whole"}
	errCannotVerify = &authError{status: http.StatusServiceUnavailable, code: "temporarily_unavailable",
		description: "kenbun cannot be asked about the token right now; try again with the same token", retryAfter: "5"}
)

// credentialOf takes the one token out of a request. Tokens in the address or
// in a cookie are not looked at.
func credentialOf(r *http.Request) (client.Credential, error) {
	authorization, apiKey := r.Header.Values("Authorization"), r.Header.Values("X-Api-Key")
	switch {
	case len(authorization)+len(apiKey) == 0:
		return client.Credential{}, errNoCredential
	case len(authorization)+len(apiKey) > 1:
		return client.Credential{}, errTwoCredentials
	}
	var value string
	if len(apiKey) == 1 {
		value = apiKey[0]
	} else {
		scheme, token, ok := strings.Cut(authorization[0], " ")
		if !ok || !strings.EqualFold(scheme, "Bearer") {
			return client.Credential{}, errInvalidToken
		}
		value = token
	}
	pat, err := client.ParsePAT(value)
	if err != nil {
		return client.Credential{}, errInvalidToken
	}
	return client.Credential{PAT: pat}, nil
}

// challenge answers a request that was not let in (RFC 6750, section 3).
func challenge(w http.ResponseWriter, err error) {
	var auth *authError
	if !errors.As(err, &auth) {
		auth = errCannotVerify
	}
	if auth.status == http.StatusUnauthorized {
		value := `Bearer realm="kenbun"`
		if auth.code != "" {
			value += fmt.Sprintf(`, error=%q, error_description=%q`, auth.code, auth.description)
		}
		w.Header().Set("WWW-Authenticate", value)
	}
	if auth.retryAfter != "" {
		w.Header().Set("Retry-After", auth.retryAfter)
	}
	code := auth.code
	if code == "" {
		code = "missing_token"
	}
	writeProblem(w, auth.status, code, auth.description)
}

// withCallerID marks requests whose token is the server's own.
func withCallerID(id string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(withCaller(r.Context(), tools.Caller{ID: id})))
	})
}
