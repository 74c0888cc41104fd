package server

import (
	"context"
	"errors"
	"net/http"

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
	// header says where a token is looked for.
	header tokenHeader
}

// recognize takes the token out of a request. A token that is not known yet has
// to wait while its network guesses too much.
func (t *tokens) recognize(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		credential, err := t.header.credential(r)
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
		credential, _ := t.header.credential(r) // recognize has seen it
		from, connection := network(clientAddress(r.Context())), connectionOf(r.Context())
		caller.API = observe(t.verifier.api.As(credential),
			func() { t.verifier.accepted.add(caller.ID); connection.trust() },
			func() { t.verifier.accepted.remove(caller.ID); t.guesses.count(from) })
		next.ServeHTTP(w, r.WithContext(withCaller(r.Context(), caller)))
	})
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
