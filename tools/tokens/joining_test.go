package tokens_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/human/delivery"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/bend"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

func TestP12_ATokenThatKenbunRefusesDoesNotJoin(t *testing.T) {
	whileOpen(t, func(t *testing.T, o *openCase) {
		o.call(t.Context(), "revoke_token", id("pat_2")).failed(tools.CodeNeedsPerson, "is open")
		o.user.decision <- nil
		synctest.Wait()
		o.api.Bend(bend.Rule{Method: "GET", Status: 401, Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"message":"Unauthorized"}`})
		o.call(t.Context(), "revoke_token", id("pat_2")).failed(tools.CodeUnauthenticated)
		o.api.Bend()
		if text := o.call(t.Context(), "revoke_token", id("pat_2")).ok(nil).text(); !strings.Contains(text, "Token revoked") {
			t.Errorf("the outcome is lost: %q", text)
		}
	})
}

func TestP12_AnOutcomeThatWasKeptSaysSo(t *testing.T) {
	whileOpen(t, func(t *testing.T, o *openCase) {
		o.call(t.Context(), "revoke_token", id("pat_2")).failed(tools.CodeNeedsPerson, "is open")
		o.user.decision <- nil
		time.Sleep(3 * time.Minute)
		if text := o.call(t.Context(), "revoke_token", id("pat_2")).ok(nil).text(); !strings.Contains(text, "call made before, which ended 3 minutes ago; nothing was done again") {
			t.Errorf("the outcome is given as new: %q", text)
		}
		o.call(t.Context(), "revoke_token", id("pat_3")).failed(tools.CodeNeedsPerson, "is open")
		go func() {
			time.Sleep(time.Second)
			o.user.decision <- nil
		}()
		if text := o.call(t.Context(), "revoke_token", id("pat_3")).ok(nil).text(); strings.Contains(text, "made before") {
			t.Errorf("an outcome that was waited for is given as kept: %q", text)
		}
	})
}

func TestP12_ACallForAnotherRecipientDoesNotJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := bend.Unserved()
		f := inNoTime(t, api, api, withDeliverer(addressed{}))
		to := func(whom string) context.Context { return delivery.WithRecipient(t.Context(), whom) }
		made := func() int { return api.Count(http.MethodPost, "/") }
		f.callIn(to("ada"), f.asks("", nil), "create_token", createArguments("import", "1d")).failed(tools.CodeOutcomeUnknown)
		before := made()
		f.callIn(to("eve"), f.asks("", nil), "create_token", createArguments("import", "1d")).failed(tools.CodeOutcomeUnknown)
		if made() == before {
			t.Error("a call for another recipient joined the first")
		}
	})
}

// addressed delivers to whom the request names, and takes long.
type addressed struct{ delivery.Sealed }

func (addressed) Check(context.Context) error { return nil }

func (addressed) Deliver(ctx context.Context, _ tools.Caller, _ *client.CreatedToken) (tokens.Receipt, error) {
	time.Sleep(time.Minute)
	return tokens.Receipt{Method: "sealed", Note: "Sealed.", Sealed: "armor"}, nil
}

func TestP12_OneCallerDoesNotFillTheRoomForOpenCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := bend.Unserved()
		f := inNoTime(t, api, api, withDeliverer(addressed{}))
		const calls = 40
		left := make(chan bool, calls)
		for i := range calls {
			go func() {
				text := f.callIn(t.Context(), f.asks("", nil), "create_token", createArguments(fmt.Sprintf("import %d", i), "1d")).text()
				left <- strings.Contains(text, "joins this call")
			}()
		}
		n := 0
		for range calls {
			if <-left {
				n++
			}
		}
		if n > 32 {
			t.Errorf("%d calls of one caller are left open", n)
		}
		if n == 0 {
			t.Error("no call was left open: the test shows nothing")
		}
	})
}

// unequal takes ten minutes for its first delivery, and one for each later one.
type unequal struct {
	addressed
	first atomic.Bool
}

func (u *unequal) Deliver(ctx context.Context, caller tools.Caller, token *client.CreatedToken) (tokens.Receipt, error) {
	if u.first.CompareAndSwap(false, true) {
		time.Sleep(9 * time.Minute)
	}
	return u.addressed.Deliver(ctx, caller, token)
}

func TestP12_WhatHasEndedIsJoinedBeforeWhatHasNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := bend.Unserved()
		f := inNoTime(t, api, api, withDeliverer(&unequal{}))
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() {
				f.callIn(t.Context(), f.asks("", nil), "create_token", createArguments("import", "1d")).failed(tools.CodeOutcomeUnknown)
			})
			time.Sleep(time.Second)
		}
		both.Wait()
		time.Sleep(30 * time.Second)
		f.callIn(t.Context(), f.asks("", nil), "create_token", createArguments("import", "1d")).ok(nil)
	})
}

func TestR37_OnePageForANewTokenIsOpenAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := bend.Unserved()
		road := &counter{inHand: &inHand{}, asks: make(chan error)}
		f := inNoTime(t, api, api, withDeliverer(road))
		call := func(ctx context.Context, name string) *answer {
			return f.callIn(ctx, f.asks("", nil), "create_token", createArguments(name, "1d"))
		}
		call(t.Context(), "import").failed(tools.CodeNeedsPerson, "the page for the new token is open")
		go call(t.Context(), "import") // joins it
		synctest.Wait()
		call(t.Context(), "import").failed(tools.CodeRateLimited, "this question is open already")
		call(t.Context(), "export").failed(tools.CodeRateLimited, "another question")
		if road.open != 1 {
			t.Errorf("%d pages were opened", road.open)
		}
		road.asks <- nil
		synctest.Wait()
		// A call that was cancelled leaves no page, and nothing holds a later one back.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		call(ctx, "export").failed(tools.CodeUnavailable, "cancelled")
		call(t.Context(), "export").failed(tools.CodeNeedsPerson, "the page for the new token is open")
		if road.open != 3 {
			t.Errorf("%d pages were opened", road.open)
		}
	})
}

func TestP12_ARotationOfTheTokenInUseIsJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := bend.Unserved()
		user, v := newHesitant(), &vault{}
		f := inNoTime(t, api, api, func(c *toolsets.Config) { c.Keeper, c.ApprovalMethod = v, user })
		v.callers, v.as = f.callers, f.as
		const rotate = `{"id":"pat_1","expires":"30d"}`
		f.callIn(t.Context(), f.asks("", nil), "rotate_token", rotate).failed(tools.CodeNeedsPerson, "is open")
		user.decision <- nil
		synctest.Wait()
		var got rotated
		f.callIn(t.Context(), f.asks("", nil), "rotate_token", rotate).ok(&got)
		if got.Delivery.Road != "in place" || got.Replaced.ID != "pat_1" {
			t.Errorf("the same call is answered with %+v", got)
		}
	})
}

func TestP12_AnAnswerOfTheUserIsHeardAndDoesNotJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := bend.Unserved()
		f := inNoTime(t, api, api, withDeliverer(addressed{}), withoutSilence, func(c *toolsets.Config) { c.Policy.AllowNeverExpiring = true })
		const capabilities = `{"elicitation":{}}`
		never := createArguments("import", "never")
		first := f.callModern(capabilities, "create_token", never)
		first.asking()
		var both sync.WaitGroup
		both.Go(func() {
			f.callModern(capabilities, "create_token", never, state(first.Result.RequestState), response(agreed)).failed(tools.CodeOutcomeUnknown)
		})
		time.Sleep(10 * time.Second)
		second := f.callModern(capabilities, "create_token", never)
		second.asking()
		both.Wait()
		f.callModern(capabilities, "create_token", never, state(second.Result.RequestState), response(declined)).failed(tools.CodeDeclined, "said no")
	})
}
