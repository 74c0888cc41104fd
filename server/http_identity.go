package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/server/edge"
	"github.com/kenbun/kenbun-mcp/tools"
)

// serverCallerID stands for the one caller of a server that acts with its own
// token.
const serverCallerID = "server"

// tokens lets a request pass as the user whose token it brings, and answers 401
// to every other. Nothing of a body is read before the API has accepted the
// token, now or lately.
type tokens struct {
	verifier *verifier
	guesses  *guesses
	// header says where a token is looked for.
	header tokenHeader
}

// recognize takes the token out of a request, and has the API check it unless it
// was accepted lately. A token that is new has to wait while its network guesses
// too much.
func (t *tokens) recognize(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		credential, err := t.header.credential(r)
		if err != nil {
			challenge(w, err)
			return
		}
		caller := t.verifier.caller(credential)
		began := time.Now()
		if !t.verifier.acceptedLately(caller.ID) {
			if !t.verifier.accepted.has(caller.ID) {
				leave, wait := t.guesses.enter(r.Context(), edge.ClientNetwork(r.Context()))
				if wait > 0 {
					t.guesses.holdBack(w, wait)
					return
				}
				err = t.check(r.Context(), credential, caller.ID)
				leave()
			} else {
				err = t.check(r.Context(), credential, caller.ID)
			}
			if err != nil {
				challenge(w, err)
				return
			}
		}
		edge.Trust(r.Context())
		ctx := tools.WithWaited(r.Context(), time.Since(began))
		next.ServeHTTP(w, r.WithContext(withCaller(ctx, caller)))
	})
}

// check has the API check a token, and counts a no as a guess.
func (t *tokens) check(ctx context.Context, credential client.Credential, callerID string) error {
	err := t.verifier.verify(ctx, credential, callerID)
	if errors.Is(err, errInvalidToken) {
		t.guesses.count(edge.ClientNetwork(ctx))
	}
	return err
}

// user names the user of a request for whom its body counts.
func (t *tokens) user(r *http.Request) string {
	caller, _ := callerFrom(r.Context())
	return t.verifier.user(r.Context(), caller)
}

// verify has the API check a token again that was accepted lately, unless the call
// itself does: a tool call is checked by the API for the very thing it does.
func (t *tokens) verify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, _ := callerFrom(r.Context())
		credential, _ := t.header.credential(r) // recognize has seen it
		if !isToolCall(r) {
			if err := t.check(r.Context(), credential, caller.ID); err != nil {
				challenge(w, err)
				return
			}
			next.ServeHTTP(w, r)
			return
		}
		from := edge.ClientNetwork(r.Context())
		caller.API = observe(t.verifier.api.As(credential),
			func() { t.verifier.accepted.add(caller.ID) },
			func() { t.verifier.accepted.remove(caller.ID); t.guesses.count(from) })
		next.ServeHTTP(w, r.WithContext(withCaller(r.Context(), caller)))
	})
}

// asServer has requests run with the server's own token.
func asServer(next http.Handler) http.Handler {
	const id = serverCallerID
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		edge.Trust(r.Context())
		next.ServeHTTP(w, r.WithContext(withCaller(r.Context(), tools.Caller{ID: id})))
	})
}
