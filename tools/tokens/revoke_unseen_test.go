package tokens_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/tools"
)

// badLists are what can be wrong with a list of tokens.
var badLists = map[string]proxying{
	"fails":         answering(http.StatusInternalServerError, "application/json", `{}`),
	"is refused":    answering(http.StatusForbidden, "application/json", `{}`),
	"breaks off":    func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) },
	"is no list":    answering(http.StatusOK, "text/html", "<html>"),
	"is of a bomb":  answering(http.StatusOK, "application/json", `[{"name":"`+strings.Repeat("x", 1<<20)),
	"never ends":    endlessList,
	"takes forever": func(_ http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() },
}

func endlessList(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	w.Header().Set("Content-Type", "application/json")
	entries := strings.Repeat(`{"id":"pat_other","created_at":"2026-01-01T00:00:00Z"},`, 1000)
	_, err := io.WriteString(w, "["+entries)
	for err == nil {
		_, err = io.WriteString(w, entries)
	}
}

// withList answers a request for the list in its own way, and passes all others.
func withList(handle proxying) proxying {
	return func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Method == http.MethodGet && r.URL.Path == "/settings/tokens" {
			handle(w, r, pass)
			return
		}
		pass.ServeHTTP(w, r)
	}
}

func TestRevokingNeedsNoList(t *testing.T) {
	for name, list := range badLists {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			token := f.token("leaked")
			f.proxy.instead(withList(list))
			session := f.asksWith(`{}`, agreed)
			// It is done, and without a list nothing shows it.
			f.callIn(t.Context(), session, "revoke_token", id(token.ID)).failed(tools.CodeOutcomeUnknown, token.ID, "may be alive")
			f.proxy.instead(nil)
			f.mustBeRevoked(token.ID)
			if asked := session.asked(); len(asked) != 1 || !strings.Contains(asked[0].Message, token.ID) || !strings.Contains(asked[0].Message, "Details: not known") || !strings.Contains(asked[0].Message, "In use: perhaps") {
				t.Errorf("the person was asked %+v", asked)
			}
		})
	}
}

// A model could ask so often that the list is refused, and the user would decide
// about a token that they are not shown.
func TestR37_RevokingWaitsForAListThatIsAskedForTooOften(t *testing.T) {
	limited := withList(answering(http.StatusTooManyRequests, "application/json", `{}`, "Retry-After", "120"))
	f := newFixture(t)
	token := f.token("leaked")
	f.proxy.instead(limited)
	session := f.asksWith(`{}`, agreed)
	for _, unseen := range []string{token.ID, "pat_invented"} {
		f.callIn(t.Context(), session, "revoke_token", id(unseen)).failed(tools.CodeRateLimited, "was not revoked", "Personal Tokens", "\nWait: 120 seconds")
	}
	if n := len(session.asked()); n != 0 {
		t.Errorf("the user was asked %d times", n)
	}
	f.proxy.instead(nil)
	f.mustBeLive(token.ID)
	// A token that the user was shown does not wait. Whether it is revoked, the list
	// says later.
	session = f.asks(`{}`, func(context.Context) (json.RawMessage, error) {
		f.proxy.instead(limited)
		return json.RawMessage(agreed), nil
	})
	f.callIn(t.Context(), session, "revoke_token", id(token.ID)).failed(tools.CodeOutcomeUnknown, token.ID, "\nWait: 120 seconds")
	f.proxy.instead(nil)
	f.mustBeRevoked(token.ID)
}

func TestRevokingWithoutAListNeedsADecision(t *testing.T) {
	f := newFixture(t, withoutSilence)
	token := f.token("leaked")
	f.proxy.instead(withList(badLists["fails"]))
	f.callIn(t.Context(), f.asksWith(`{}`, declined), "revoke_token", id(token.ID)).failed(tools.CodeDeclined, "the user said no")
	f.call("revoke_token", id(token.ID)).failed(tools.CodeNeedsPerson, "kenbun-mcp tokens revoke "+token.ID)
	sealed := f.callModern(`{"elicitation":{}}`, "revoke_token", id(token.ID)).asking()
	f.proxy.instead(nil)
	f.mustBeLive(token.ID)
	// An answer to the question without details does not count once they are
	// known, and the person is shown them.
	f.callModern(`{"elicitation":{}}`, "revoke_token", id(token.ID), state(sealed), response(agreed)).failed(tools.CodeDeclined, "the user is asked again")
	f.mustBeLive(token.ID)
	f.proxy.instead(withList(badLists["fails"]))
	sealed = f.callModern(`{"elicitation":{}}`, "revoke_token", id(token.ID)).asking()
	f.callModern(`{"elicitation":{}}`, "revoke_token", id(token.ID), state(sealed), response(agreed)).failed(tools.CodeOutcomeUnknown)
	f.proxy.instead(nil)
	f.mustBeRevoked(token.ID)
}

// What the operator does not leave to a person is not done because the list fails.
func TestRevokingWithoutAListKeepsTheTokenInUse(t *testing.T) {
	f := newFixture(t, trustClients)
	f.proxy.instead(withList(badLists["fails"]))
	f.call("revoke_token", id("pat_other")).failed(tools.CodeUnavailable, "may be the token that the server itself runs on", "kenbun-mcp tokens revoke pat_other")
	f = newFixture(t, trustClients, withPolicy(func(p *tools.Policy) { p.AllowSelfRevoke = true }))
	token := f.token("leaked")
	f.proxy.instead(withList(badLists["fails"]))
	f.call("revoke_token", id(token.ID)).failed(tools.CodeOutcomeUnknown)
	f.call("revoke_token", id("pat_other")).failed(tools.CodeOutcomeUnknown)
	f.proxy.instead(nil)
	f.mustBeRevoked(token.ID)
}

func TestRevokingGoesOnWhenTheListFailsMeanwhile(t *testing.T) {
	f := newFixture(t)
	token := f.token("leaked")
	lists := 0
	f.proxy.instead(withList(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if lists++; lists > 1 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		pass.ServeHTTP(w, r)
	}))
	f.callIn(t.Context(), f.asksWith(`{}`, agreed), "revoke_token", id(token.ID)).failed(tools.CodeOutcomeUnknown, token.ID)
	f.proxy.instead(nil)
	f.mustBeRevoked(token.ID)
}

// A token that is refused is no reason to ask anybody.
func TestRevokingWithABadTokenAsksNobody(t *testing.T) {
	f := newFixture(t)
	f.proxy.instead(withList(answering(http.StatusUnauthorized, "application/json", `{}`)))
	session := f.asksWith(`{}`, agreed)
	f.callIn(t.Context(), session, "revoke_token", id("pat_other")).failed(tools.CodeUnauthenticated)
	if len(session.asked()) != 0 {
		t.Error("the person was asked")
	}
}
