package tokens_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

const canAsk = `{"elicitation":{"form":{}}}`

// settableClock is a clock that a test moves.
type settableClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *settableClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *settableClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func withClock(clock *settableClock) option {
	return func(c *toolsets.Config) { c.Now = clock.Now }
}

func TestR38_AQuestionAcrossTwoCalls(t *testing.T) {
	f := newFixture(t)
	token := f.token("old laptop")
	question := f.callModern(canAsk, "revoke_token", id(token.ID))
	sealed := question.asking()
	f.mustBeLive(token.ID)
	if question.Result.IsError || question.Result.StructuredContent != nil {
		t.Errorf("a question that looks like a result: %s", question.raw)
	}
	var got revoked
	f.callModern(canAsk, "revoke_token", id(token.ID), state(sealed), response(agreed)).ok(&got)
	if got.Outcome != "revoked" {
		t.Errorf("outcome %q", got.Outcome)
	}
	f.mustBeRevoked(token.ID)
}

func TestR38_A7_AStateCountsOnce(t *testing.T) {
	f := newFixture(t, withPolicy(func(p *tools.Policy) { p.AllowNeverExpiring = true }))
	never := createArguments("import", "never")
	sealed := f.callModern(canAsk, "create_token", never).asking()
	var wait sync.WaitGroup
	answers := make(chan *answer, 20)
	for range cap(answers) {
		wait.Go(func() {
			answers <- f.callModern(canAsk, "create_token", never, state(sealed), response(agreed))
		})
	}
	wait.Wait()
	close(answers)
	done := 0
	for a := range answers {
		if a.Result.IsError {
			a.failed(tools.CodeDeclined, "used before", "no token was made")
		} else {
			done++
		}
	}
	if done != 1 || len(f.listed()) != 2 {
		t.Errorf("one yes led to %d successes and %d new tokens", done, len(f.listed())-1)
	}
}

func TestR38_A7_AlteredStatesDoNotCount(t *testing.T) {
	f := newFixture(t)
	token := f.token("old laptop")
	sealed := f.callModern(canAsk, "revoke_token", id(token.ID)).asking()
	box, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		t.Fatal(err)
	}
	altered := map[string]string{
		"not base64":  "!!!",
		"too short":   "AAAA",
		"of zeros":    base64.RawURLEncoding.EncodeToString(make([]byte, len(box))),
		"cut":         base64.RawURLEncoding.EncodeToString(box[:len(box)-1]),
		"lengthened":  base64.RawURLEncoding.EncodeToString(append(box[:len(box):len(box)], 0)),
		"plain JSON":  base64.RawURLEncoding.EncodeToString([]byte(`{"claims":{},"expires":"2099-01-01T00:00:00Z","nonce":"x"}`)),
		"with a tail": sealed + "A",
		"padded":      sealed + "=",
		"with a line": sealed[:10] + "\n" + sealed[10:],
	}
	for at := range box {
		flipped := append([]byte(nil), box...)
		flipped[at] ^= 0x01
		altered["flipped at "+string(rune('0'+at%10))+" of "+base64.RawURLEncoding.EncodeToString(flipped[:8])] = base64.RawURLEncoding.EncodeToString(flipped)
	}
	for label, forged := range altered {
		t.Run(label, func(t *testing.T) {
			f.t = t
			f.callModern(canAsk, "revoke_token", id(token.ID), state(forged), response(agreed)).failed(tools.CodeDeclined, "altered or is not from this server")
		})
	}
	f.t = t
	f.mustBeLive(token.ID)
	// All that did not use up the true one.
	f.callModern(canAsk, "revoke_token", id(token.ID), state(sealed), response(agreed)).ok(nil)
}

func TestR38_A7_AStateOfAnotherServerDoesNotCount(t *testing.T) {
	f, other := newFixture(t), newFixture(t)
	token := f.token("old laptop")
	sealed := f.callModern(canAsk, "revoke_token", id(token.ID)).asking()
	other.callers.set(f.as(f.pat)) // the same user of the same API, another process
	other.callModern(canAsk, "revoke_token", id(token.ID), state(sealed), response(agreed)).failed(tools.CodeDeclined, "not from this server")
	f.mustBeLive(token.ID)
}

func TestR38_A7_AStateEndsAfterFiveMinutes(t *testing.T) {
	clock := &settableClock{now: time.Now()}
	f := newFixture(t, withClock(clock))
	first, second := f.token("first of two"), f.token("second of two")
	sealed := f.callModern(canAsk, "revoke_token", id(first.ID)).asking()
	clock.advance(5*time.Minute - time.Nanosecond)
	f.callModern(canAsk, "revoke_token", id(first.ID), state(sealed), response(agreed)).ok(nil)

	sealed = f.callModern(canAsk, "revoke_token", id(second.ID)).asking()
	clock.advance(5 * time.Minute)
	f.callModern(canAsk, "revoke_token", id(second.ID), state(sealed), response(agreed)).failed(tools.CodeDeclined, "too late")
	f.mustBeLive(second.ID)
	clock.advance(365 * 24 * time.Hour)
	f.callModern(canAsk, "revoke_token", id(second.ID), state(sealed), response(agreed)).failed(tools.CodeDeclined, "too late")
	f.mustBeLive(second.ID)
}

func TestR38_A7_AStateBelongsToUserToolTargetAndArguments(t *testing.T) {
	f := newFixture(t, withPolicy(func(p *tools.Policy) { p.AllowNeverExpiring = true }))
	token, other := f.token("old laptop"), f.token("build server")
	sealed := f.callModern(canAsk, "revoke_token", id(token.ID)).asking()

	t.Run("another target", func(t *testing.T) {
		f.t = t
		f.callModern(canAsk, "revoke_token", id(other.ID), state(sealed), response(agreed)).failed(tools.CodeDeclined, "another question")
		f.mustBeLive(other.ID)
	})
	t.Run("other arguments", func(t *testing.T) {
		f.t = t
		lasting := func(days string) string { return `{"id":` + quoted(other.ID) + `,"expires":` + quoted(days) + `}` }
		short := f.callModern(canAsk, "rotate_token", lasting("7d")).asking()
		f.callModern(canAsk, "rotate_token", lasting("300d"), state(short), response(agreed)).failed(tools.CodeDeclined, "another question")
		f.mustBeLive(other.ID)
	})
	t.Run("another tool", func(t *testing.T) {
		f.t = t
		f.callModern(canAsk, "create_token", createArguments(token.ID, "never"), state(sealed), response(agreed)).failed(tools.CodeDeclined, "another question")
	})
	t.Run("another credential of the same user", func(t *testing.T) {
		f.t = t
		defer f.callers.set(f.as(f.pat))
		f.callers.set(f.as(other.Value))
		f.callModern(canAsk, "revoke_token", id(token.ID), state(sealed), response(agreed)).failed(tools.CodeDeclined, "another question")
	})
	t.Run("another user", func(t *testing.T) {
		f.t = t
		defer f.callers.set(f.as(f.pat))
		f.callers.set(f.as(f.api.User(t, "eve@example.test", authority.RoleOwner)))
		f.callModern(canAsk, "revoke_token", id(token.ID), state(sealed), response(agreed)).failed(tools.CodeNotFound)
		// Even a question about the very same words is another user's.
		never := createArguments("import", "never")
		eves := f.callModern(canAsk, "create_token", never).asking()
		f.callers.set(f.as(f.pat))
		f.callModern(canAsk, "create_token", never, state(eves), response(agreed)).failed(tools.CodeDeclined, "another question")
	})
	f.t = t
	f.mustBeLive(token.ID)
	if n := len(f.listed()); n != 3 {
		t.Errorf("the user has %d tokens, want 3", n)
	}
	f.callModern(canAsk, "revoke_token", id(token.ID), state(sealed), response(agreed)).ok(nil)
}

// The person agreed to what was shown. What it became meanwhile is another
// question.
func TestR38_A_TargetThatChangedIsAskedAboutAnew(t *testing.T) {
	renamed := func(t *testing.T, name string) proxying {
		return rewriting(t, func(row map[string]json.RawMessage) {
			if string(row["name"]) == `"old laptop"` {
				row["name"] = json.RawMessage(quoted(name))
			}
		})
	}
	t.Run("between two calls", func(t *testing.T) {
		f := newFixture(t)
		token := f.token("old laptop")
		sealed := f.callModern(canAsk, "revoke_token", id(token.ID)).asking()
		f.proxy.instead(renamed(t, "production"))
		f.callModern(canAsk, "revoke_token", id(token.ID), state(sealed), response(agreed)).failed(tools.CodeDeclined, "not revoked", "asked again")
		f.proxy.instead(nil)
		f.mustBeLive(token.ID)
	})
	t.Run("while the person thinks", func(t *testing.T) {
		f := newFixture(t)
		token := f.token("old laptop")
		session := f.asks(`{}`, func(context.Context) (json.RawMessage, error) {
			f.proxy.instead(renamed(t, "production"))
			return json.RawMessage(agreed), nil
		})
		f.callIn(t.Context(), session, "revoke_token", id(token.ID)).failed(tools.CodeDeclined, "changed after the user was asked", "asked again")
		f.proxy.instead(nil)
		f.mustBeLive(token.ID)
	})
	t.Run("revoked by somebody else while the person thinks", func(t *testing.T) {
		f := newFixture(t)
		token := f.token("old laptop")
		session := f.asks(`{}`, func(ctx context.Context) (json.RawMessage, error) {
			return json.RawMessage(agreed), f.api.As(t, f.pat).RevokeToken(ctx, token.ID)
		})
		var got revoked
		f.callIn(t.Context(), session, "revoke_token", id(token.ID)).ok(&got)
		if got.Outcome != "already_revoked" {
			t.Errorf("outcome %q, want already_revoked", got.Outcome)
		}
	})
}

func TestR38_StateAndAnswerBelongTogether(t *testing.T) {
	f := newFixture(t)
	token := f.token("old laptop")
	sealed := f.callModern(canAsk, "revoke_token", id(token.ID)).asking()
	f.callModern(canAsk, "revoke_token", id(token.ID), state(sealed)).asking()
	f.callModern(canAsk, "revoke_token", id(token.ID), response(agreed)).failed(tools.CodeRateLimited, "open already")
	f.callModern(canAsk, "revoke_token", id(token.ID), state(sealed), `,"inputResponses":{"another":`+agreed+`}`).asking()
	f.callModern(canAsk, "revoke_token", id(token.ID), state(""), response(agreed)).failed(tools.CodeRateLimited, "open already")
	f.mustBeLive(token.ID)
}
