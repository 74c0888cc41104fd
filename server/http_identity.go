package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/ascii"
	"github.com/kenbun/kenbun-mcp/tools"
)

// serverCallerID stands for the one caller of a server that acts with its own
// token.
const serverCallerID = "server"

// tokens lets a request pass as the user whose token it brings, and answers 401
// to every other: before the body is read, as far as that can be told without
// asking the API, and after it for good.
type tokens struct {
	verifier *verifier
	guesses  *guesses
}

// recognize takes the token out of a request. A token that is not known yet has
// to wait while its network guesses too much.
func (t *tokens) recognize(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		credential, err := credentialOf(r)
		if err != nil {
			challenge(w, err)
			return
		}
		caller := t.verifier.caller(credential)
		from := network(clientAddress(r.Context()))
		known := t.verifier.acceptedLately(caller.ID)
		if wait := t.guesses.wait(from); wait > 0 && !known {
			t.guesses.holdBack(w, wait)
			return
		}
		if known {
			connectionOf(r.Context()).trust()
		}
		verify := func(ctx context.Context) error {
			err := t.verifier.verify(ctx, credential, caller.ID)
			if errors.Is(err, errInvalidToken) {
				t.guesses.count(from)
			}
			return err
		}
		ctx := withSender(r.Context(), &sender{id: caller.ID, proven: known, verify: verify})
		next.ServeHTTP(w, r.WithContext(withCaller(ctx, caller)))
	})
}

// verify has the API check the token, unless the call itself does: a tool call is
// checked by the API for the very thing it does.
func (t *tokens) verify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isToolCall(r) {
			// What was accepted lately is not accepted for good.
			if err := senderOf(r).verify(r.Context()); err != nil {
				challenge(w, err)
				return
			}
			connectionOf(r.Context()).trust()
			next.ServeHTTP(w, r)
			return
		}
		caller, _ := callerFrom(r.Context())
		credential, _ := credentialOf(r) // recognize has seen it
		from, connection := network(clientAddress(r.Context())), connectionOf(r.Context())
		caller.API = observe(t.verifier.api.As(credential),
			func() { t.verifier.accepted.add(caller.ID); connection.trust() },
			func() { t.verifier.accepted.remove(caller.ID); t.guesses.count(from) })
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
		if !ok || !ascii.EqualFold(scheme, "Bearer") {
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

// asServer has requests run with the server's own token.
func asServer(next http.Handler) http.Handler {
	const id = serverCallerID
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connectionOf(r.Context()).trust()
		ctx := withSender(r.Context(), &sender{id: id, proven: true})
		next.ServeHTTP(w, r.WithContext(withCaller(ctx, tools.Caller{ID: id})))
	})
}
