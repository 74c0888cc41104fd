package identity

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/ascii"
	"github.com/kenbun/kenbun-mcp/internal/peer"
	"github.com/kenbun/kenbun-mcp/internal/redact"
	"github.com/kenbun/kenbun-mcp/server/edge"
	"github.com/kenbun/kenbun-mcp/tools"
)

// GuardOwnUser accepts the requests of the server's own user, for a server that acts
// with its own token: over TCP with the key, or over its unix socket. It stands
// before everything that reads a body or counts requests.
func GuardOwnUser(key client.Secret, header TokenHeader) edge.Guard {
	return func(next http.Handler) http.Handler { return requireKey(key, header, requireOwnUser(next)) }
}

var (
	errNoneWanted = &authError{status: http.StatusBadRequest, code: "invalid_request", reason: refusedNoneWanted,
		description: "this server acts with its own token and does not use yours; send none, or start it with --identity caller"}
	errNoKey = &authError{status: http.StatusUnauthorized, reason: refusedMissingKey,
		description: "this server acts with its own token and needs its key: send what is in its key file in the Authorization header as a Bearer token, or in X-API-Key"}
	errTwoKeys = &authError{status: http.StatusUnauthorized, code: "invalid_request", reason: edge.Reason(client.TokenTwice),
		description: "send exactly one key, in Authorization or in X-API-Key"}
	errWrongKey = &authError{status: http.StatusUnauthorized, code: "invalid_token", reason: refusedWrongKey,
		description: "this is not the key of this server, which acts with its own token: send what is in its key file. A kenbun token is not used here"}
)

// requireKey refuses requests without the server's key. Over a unix socket the
// modes of the socket and of its folder take the place of the key, and a request
// must bring none.
func requireKey(key client.Secret, header TokenHeader, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := header
		if bringsUserToken(r.Header) {
			// Whichever header counts: a user who sends a token of their own must not be
			// served as the server's user.
			header = ""
		}
		if edge.OverUnixSocket(r) {
			if header.IsIn(r.Header) {
				challenge(w, errNoneWanted)
				return
			}
		} else if err := checkKey(r, key, header); err != nil {
			challenge(w, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// bringsUserToken reports whether a kenbun token is in one of the headers in which a
// token counts by default, also as the password of Basic.
func bringsUserToken(header http.Header) bool {
	authorization, alone := TokenHeader("").values(header)
	for _, value := range slices.Concat(authorization, alone) {
		scheme, rest, _ := strings.Cut(value, " ")
		if ascii.EqualFold(scheme, "Basic") {
			if pair, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest)); err == nil {
				value = string(pair)
			}
		}
		value = strings.ToLower(value)
		if strings.Contains(value, redact.PAT) || strings.Contains(value, redact.Session) || strings.Contains(value, redact.Link) {
			return true
		}
	}
	return false
}

func checkKey(r *http.Request, key client.Secret, header TokenHeader) *authError {
	sent, problem := header.token(r.Header)
	switch {
	case problem == nil:
	case problem.Problem == client.TokenMissing:
		return errNoKey
	case problem.Problem == client.TokenTwice && header.doubled(r.Header):
		return errTwoKeys
	}
	// Hashes have one length, so that the time tells nothing of the key's.
	got, want := sha256.Sum256([]byte(sent)), sha256.Sum256([]byte(key.Reveal()))
	if subtle.ConstantTimeCompare(got[:], want[:]) == 1 && key.Reveal() != "" {
		return nil
	}
	if problem == nil {
		_, err := client.ParsePAT(sent)
		_ = errors.As(err, &problem) // a kenbun token has no problem, and is the wrong thing
		if sent != strings.Trim(sent, "\"'`<>") {
			problem = &client.TokenFormError{Problem: client.TokenQuoted}
		}
	}
	return wrongKey(problem)
}

// wrongKey is the answer to something that is not the key, with a reason that its
// form suggests.
func wrongKey(problem *client.TokenFormError) *authError {
	if problem == nil {
		return errWrongKey
	}
	refused := *errWrongKey
	switch problem.Problem {
	case client.TokenEmpty:
		refused.description = "the key is empty: " + errNoKey.description
	case client.TokenNoScheme, client.TokenWrongScheme, client.TokenUnexpanded, client.TokenPlaceholder, client.TokenQuoted,
		client.TokenWhiteSpace, client.TokenNamed, client.TokenTwice:
		refused.description = strings.ReplaceAll(problem.Error(), "token", "key")
	default:
		return errWrongKey
	}
	refused.reason = edge.Reason(problem.Problem)
	return &refused
}

// forwardingHeaders are what proxies add for their clients, who may be anywhere.
var forwardingHeaders = []string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip"}

// requireOwnUser refuses requests of other users, of other machines and of
// clients behind a proxy.
func requireOwnUser(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refused := &authError{status: http.StatusForbidden, code: "forbidden"}
		if !peer.IsOwnUser(r.Context()) {
			refused.reason = refusedOtherUser
			refused.description = "this server acts with its own token and only answers its own user on its own machine"
		}
		for _, header := range forwardingHeaders {
			if len(r.Header.Values(header)) > 0 {
				refused.reason = refusedForwarded
				refused.description = "the request has the forwarding header " + header + ", but this server acts with its own token and must not be behind a proxy: connect to it directly, or ask its operator to use --identity caller"
			}
		}
		if refused.reason != "" {
			challenge(w, refused)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// serverCallerID is the id of the one caller of a server that acts with its own
// token.
const serverCallerID = "server"

// AsServer has requests run with the server's own token.
func AsServer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		edge.Trust(r.Context())
		next.ServeHTTP(w, r.WithContext(WithCaller(r.Context(), tools.Caller{ID: serverCallerID})))
	})
}
