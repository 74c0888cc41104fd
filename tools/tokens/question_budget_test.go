package tokens_test

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/tools"
)

// A user with two tokens is one user, who is asked no more for it.
func TestR37_TwoTokensOfAUserShareTheirQuestions(t *testing.T) {
	f := newFixture(t)
	first, second := f.as(f.pat), f.as(f.token("second").Value)
	session := f.asksWith(`{}`, declined)
	target := f.token("target")
	f.callIn(t.Context(), session, "revoke_token", id(target.ID)).failed(tools.CodeDeclined, "the user said no")
	f.callers.set(second)
	f.callIn(t.Context(), session, "revoke_token", id(target.ID)).failed(tools.CodeDeclined, "the user said no", "\nWait: ")
	if n := len(session.asked()); n != 1 {
		t.Errorf("the user was asked %d times", n)
	}
	// Two are open at most, whichever token asks.
	one, two, three := f.token("one"), f.token("two"), f.token("three")
	f.callModern(canAsk, "revoke_token", id(one.ID)).asking()
	f.callers.set(first)
	f.callModern(canAsk, "revoke_token", id(one.ID)).failed(tools.CodeRateLimited, "another question about the same token is open")
	f.callModern(canAsk, "revoke_token", id(two.ID)).asking()
	f.callers.set(second)
	f.callModern(canAsk, "revoke_token", id(three.ID)).failed(tools.CodeRateLimited, "2 questions are open")
	f.callers.set(f.as(f.api.User(t, "ben@example.test", authority.RoleMember)))
	f.callModern(canAsk, "revoke_token", id(f.api.Token(t, "ben@example.test", "of another user", nil).ID)).asking()
}

// Where the API does not say who the user is, each token has a budget. An answer
// counts where its question was opened, also once the API says it.
func TestR37_QuestionsAreCountedPerTokenWithoutMe(t *testing.T) {
	clock := &settableClock{now: time.Now()}
	f := newFixture(t, withClock(clock))
	target := f.token("target")
	second := f.as(f.token("second").Value)
	f.proxy.refuse(http.MethodGet, "/me", http.StatusServiceUnavailable)
	sealed := f.callModern(canAsk, "revoke_token", id(target.ID)).asking()
	f.callModern(canAsk, "revoke_token", id(target.ID)).failed(tools.CodeRateLimited, "open already")
	first := f.as(f.pat)
	f.callers.set(second)
	f.callModern(canAsk, "revoke_token", id(target.ID)).asking()
	f.callers.set(first)
	f.proxy.instead(nil)
	clock.advance(2 * time.Minute)
	f.callModern(canAsk, "revoke_token", id(target.ID), state(sealed), response(agreed)).ok(nil)
	f.mustBeRevoked(target.ID)
}

// offered is the state of the offer of a page that a call was answered with.
func offered(a *answer) string {
	a.t.Helper()
	if _, offers := a.Result.InputRequests["connect"]; !offers || a.Result.RequestState == "" {
		a.t.Fatalf("want the offer of a page, got %s", a.raw)
	}
	return a.Result.RequestState
}

// A page for a token is a question, too.
func TestR37_TheOfferOfAPageHasABudget(t *testing.T) {
	clock := &settableClock{now: time.Now()}
	const url = `{"url":{}}`
	t.Run("after a no", func(t *testing.T) {
		f := unconnected(t, &letterBox{fills: true}, withClock(clock))
		session := f.asksWith(url, declined)
		f.callIn(t.Context(), session, "whoami", "{}").failed(tools.CodeUnauthenticated, "set KENBUN_PAT")
		for range 100 {
			f.callIn(t.Context(), session, "whoami", "{}").failed(tools.CodeUnauthenticated, "set KENBUN_PAT", "the user said no", "kenbun-mcp login", "\nWait: 300 seconds")
		}
		if n := len(session.asked()); n != 1 {
			t.Errorf("the user was asked %d times", n)
		}
		clock.advance(5*time.Minute + time.Second)
		f.callIn(t.Context(), f.asksWith(url, `{"action":"accept"}`), "whoami", "{}").ok(nil)
	})
	t.Run("after a no across rounds", func(t *testing.T) {
		f := unconnected(t, &letterBox{fills: true}, withClock(clock))
		capabilities := `{"elicitation":` + url + `}`
		sealed := offered(f.callModern(capabilities, "whoami", "{}"))
		// A client that lost the answer is asked the same again.
		if again := offered(f.callModern(capabilities, "whoami", "{}", state(sealed))); again != sealed {
			t.Error("the question is another one")
		}
		no := `,"inputResponses":{"connect":` + declined + `}`
		f.callModern(capabilities, "whoami", "{}", state(sealed), no).failed(tools.CodeUnauthenticated, "set KENBUN_PAT")
		f.callModern(capabilities, "whoami", "{}").failed(tools.CodeUnauthenticated, "the user said no", "\nWait: ")
		f.callModern(capabilities, "whoami", "{}", state(sealed), no).failed(tools.CodeUnauthenticated, "used before")
	})
	t.Run("for as long as the page is open", func(t *testing.T) {
		f := unconnected(t, &letterBox{fills: true}, withClock(clock))
		capabilities := `{"elicitation":` + url + `}`
		sealed := offered(f.callModern(capabilities, "whoami", "{}"))
		clock.advance(14 * time.Minute)
		if again := offered(f.callModern(capabilities, "whoami", "{}", state(sealed))); again != sealed {
			t.Error("the question is another one")
		}
		yes := `,"inputResponses":{"connect":{"action":"accept"}}`
		f.callModern(capabilities, "whoami", "{}", state(sealed), yes).ok(nil)
	})
	t.Run("without an answer", func(t *testing.T) {
		box := &letterBox{}
		f := unconnected(t, box, withClock(clock))
		f.call("whoami", "{}").failed(tools.CodeUnauthenticated, "the page was closed")
		for range 100 {
			f.call("whoami", "{}").failed(tools.CodeUnauthenticated, "gave no token", "\nWait: 60 seconds")
		}
		if box.shown != 1 {
			t.Errorf("the page was shown %d times", box.shown)
		}
	})
	t.Run("while it is open", func(t *testing.T) {
		f := unconnected(t, &letterBox{fills: true})
		asked, answer := make(chan struct{}), make(chan struct{})
		session := f.asks(url, func(context.Context) (json.RawMessage, error) {
			close(asked)
			<-answer
			return json.RawMessage(`{"action":"accept"}`), nil
		})
		var calls sync.WaitGroup
		calls.Go(func() { f.callIn(t.Context(), session, "whoami", "{}").ok(nil) })
		<-asked
		for range 10 {
			f.callIn(t.Context(), session, "whoami", "{}").ok(nil)
		}
		close(answer)
		calls.Wait()
		if n := len(session.asked()); n != 1 {
			t.Errorf("the user was asked %d times", n)
		}
	})
}
