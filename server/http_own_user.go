package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"strings"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/ascii"
	"github.com/kenbun/kenbun-mcp/internal/peer"
)

// guardOwnUser passes requests to a server that acts with its own token: those
// of its own user, who has the key or reaches it over its unix socket. It stands
// before everything that reads a body or counts requests.
func guardOwnUser(key client.Secret) guard {
	return func(next http.Handler) http.Handler { return requireKey(key, requireOwnUser(next)) }
}

var (
	errNoKey = &authError{status: http.StatusUnauthorized,
		description: "this server acts with its own token and needs its key: send what is in its key file in the Authorization header as a Bearer token, or in X-API-Key"}
	errTwoKeys = &authError{status: http.StatusUnauthorized, code: "invalid_request",
		description: "send exactly one key, in Authorization or in X-API-Key"}
	errWrongKey = &authError{status: http.StatusUnauthorized, code: "invalid_token",
		description: "this is not the key of this server, which acts with its own token: send what is in its key file; a kenbun token would not be used here"}
)

// requireKey refuses requests without the server's key. Over a unix socket the
// modes of the socket and of its folder take the place of the key, and a request
// must bring none.
func requireKey(key client.Secret, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if overUnixSocket(r) {
			if len(r.Header.Values("Authorization"))+len(r.Header.Values("X-Api-Key")) > 0 {
				refuseUnread(w, &authError{status: http.StatusBadRequest, code: "invalid_request",
					description: "this server acts with its own token and would not use yours; send none, or start it with --identity caller"})
				return
			}
		} else if err := checkKey(r, key); err != nil {
			refuseUnread(w, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func checkKey(r *http.Request, key client.Secret) *authError {
	authorization, apiKey := r.Header.Values("Authorization"), r.Header.Values("X-Api-Key")
	switch {
	case len(authorization)+len(apiKey) == 0:
		return errNoKey
	case len(authorization)+len(apiKey) > 1:
		return errTwoKeys
	}
	var sent string
	if len(apiKey) == 1 {
		sent = apiKey[0]
	} else if scheme, value, ok := strings.Cut(authorization[0], " "); ok && ascii.EqualFold(scheme, "Bearer") {
		sent = value
	}
	// Hashes have one length, so that the time tells nothing of the key's.
	got, want := sha256.Sum256([]byte(sent)), sha256.Sum256([]byte(key.Reveal()))
	if subtle.ConstantTimeCompare(got[:], want[:]) != 1 || key.Reveal() == "" {
		return errWrongKey
	}
	return nil
}

// forwardingHeaders are what proxies add for their clients, who may be anywhere.
var forwardingHeaders = []string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip"}

// requireOwnUser refuses requests of other users, of other machines and of
// clients behind a proxy.
func requireOwnUser(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		own := peer.IsOwnUser(r.Context())
		for _, header := range forwardingHeaders {
			own = own && len(r.Header.Values(header)) == 0
		}
		if !own {
			refuseUnread(w, &authError{status: http.StatusForbidden, code: "forbidden",
				description: "this server acts with its own token and answers its own user on its own machine only"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// refuseUnread refuses a request and ends its connection, so that the body need
// not be read.
func refuseUnread(w http.ResponseWriter, refusal *authError) {
	w.Header().Set("Connection", "close")
	challenge(w, refusal)
}

func overUnixSocket(r *http.Request) bool {
	_, ok := r.Context().Value(http.LocalAddrContextKey).(*net.UnixAddr)
	return ok
}
