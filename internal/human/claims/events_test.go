package claims_test

import (
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/human/claims"
)

func TestClaims_TellWhatHappens(t *testing.T) {
	eachKind(t, func(t *testing.T, r *replicas) {
		_, id := r.deliver(t, r.here, r.ada, "fetched")
		claimed, err := r.there.Fetch(t.Context(), id, r.ada)
		if err != nil {
			t.Fatal(err)
		}
		r.expectEvents(t, "a claim that is fetched", claims.EventMade, claims.EventFetched)
		_, err = r.here.Fetch(t.Context(), id, r.ben)
		if err == nil {
			t.Error("somebody else fetched it")
		}
		r.expectEvents(t, "somebody else's try")
		_, err = r.here.Fetch(t.Context(), id, r.ada)
		wantGone(t, err, claims.GoneFetched)
		r.expectEvents(t, "a second try", claims.EventContested)
		r.here.TakeBack(t.Context(), id, claimed, r.ada)
		r.expectEvents(t, "a value that could not be handed over", claims.EventTakenBack)

		late, id := r.deliver(t, r.here, r.ada, "late")
		swept, _ := r.deliver(t, r.here, r.ada, "swept")
		r.pass(claims.MaxLifetime)
		_, err = r.here.Fetch(t.Context(), id, r.ada)
		wantGone(t, err, claims.GoneExpired)
		sweep(t, r.there, "the tokens are revoked", func() bool { return !r.works(t, late.Value) && !r.works(t, swept.Value) })
		r.expectEvents(t, "claims that nobody fetched in time", claims.EventMade, claims.EventMade, claims.EventExpired, claims.EventExpired)
	})
}
