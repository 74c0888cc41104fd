package claims_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/human/claims"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/internal/state"
	"github.com/kenbun/kenbun-mcp/tools"
)

// sweep has claims swept until happened.
func sweep(t *testing.T, claims *claims.Claims, what string, happened func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !happened() {
		if ctx.Err() != nil {
			t.Fatalf("it did not come: %s", what)
		}
		if err := claims.SweepDue(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

func TestR39_ClaimEndsAfterTenMinutes(t *testing.T) {
	eachKind(t, func(t *testing.T, r *replicas) {
		created, id := r.deliver(t, r.here, r.ada, "x")
		r.pass(claims.MaxLifetime - time.Millisecond)
		if err := r.there.SweepDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !r.works(t, created.Value) {
			t.Fatal("it was revoked before its time")
		}
		r.pass(time.Millisecond)
		for range 2 {
			_, err := r.there.Fetch(t.Context(), id, r.ada)
			wantGone(t, err, claims.GoneExpired)
		}
		if r.works(t, created.Value) {
			t.Error("a token that nobody fetched in time works")
		}
	})
}

func TestA33_UnfetchedTokenIsRevokedByAnyReplica(t *testing.T) {
	eachKind(t, func(t *testing.T, r *replicas) {
		fetched, fetchedID := r.deliver(t, r.here, r.ada, "fetched")
		if _, err := r.here.Fetch(t.Context(), fetchedID, r.ada); err != nil {
			t.Fatal(err)
		}
		created, id := r.deliver(t, r.here, r.ada, "x")
		r.pass(claims.MaxLifetime)
		sweep(t, r.there, "the token is revoked", func() bool { return !r.works(t, created.Value) })
		if !r.works(t, fetched.Value) {
			t.Error("a token that was fetched in time was revoked")
		}
		if !strings.Contains(r.log.String(), `"level":"WARN","msg":"nobody fetched a claim; its token was revoked","claim":"`+id) {
			t.Errorf("the operator is not told: %s", r.log)
		}
		_, err := r.here.Fetch(t.Context(), id, r.ada)
		wantGone(t, err, claims.GoneExpired)
		if r.redis != nil && strings.Contains(r.redis.Dump(t), "kenbun-mcp:schedule (") {
			t.Error("what is done stays scheduled")
		}
	})
}

func TestA33_RevocationIsTriedAgainUntilItSucceeds(t *testing.T) {
	eachKind(t, func(t *testing.T, r *replicas) {
		created, id := r.deliver(t, r.here, r.ada, "x")
		r.pass(claims.MaxLifetime)
		broken := r.brokenAPI(t)
		if err := broken.SweepDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !r.works(t, created.Value) || !strings.Contains(r.log.String(), `"level":"ERROR","msg":"nobody fetched a claim, and its token could not be revoked"`) {
			t.Errorf("the API was out of reach: %s", r.log)
		}
		// Meanwhile nobody gets it, and its owner can have it revoked himself.
		if _, err := r.here.Fetch(t.Context(), id, r.ben); !errors.Is(err, claims.ErrNoClaim) {
			t.Error(err)
		}
		r.pass(time.Minute)
		sweep(t, r.there, "the token is revoked", func() bool { return !r.works(t, created.Value) })
	})
}

func TestA33_RevocationThatFailsIsPutOffLongerAndLonger(t *testing.T) {
	eachKind(t, func(t *testing.T, r *replicas) {
		created, _ := r.deliver(t, r.here, r.ada, "x")
		r.pass(2 * claims.MaxLifetime)
		if err := r.brokenAPI(t).SweepDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.pass(9 * time.Minute)
		if err := r.there.SweepDue(t.Context()); err != nil || !r.works(t, created.Value) {
			t.Errorf("it is tried again too soon: %v", err)
		}
		r.pass(time.Minute)
		sweep(t, r.there, "the token is revoked", func() bool { return !r.works(t, created.Value) })
	})
}

func TestR39_SweeperLeavesFetchedClaimsAlone(t *testing.T) {
	r := &replicas{api: kenbuntest.Start(t), log: &lockedBuffer{}}
	r.ada = r.caller(t, "ada@example.com", "ada's id")
	store, key := openStore(t, state.InMemory, nil), state.NewKey()
	r.here = r.claims(t, store, key.Derive("claims"))
	created, id := r.deliver(t, r.here, r.ada, "x")
	if _, err := r.here.Fetch(t.Context(), id, r.ada); err != nil {
		t.Fatal(err)
	}
	// As after a lost answer: it was fetched, and is still scheduled.
	if err := store.Schedule(t.Context(), "claim:"+id, r.now()); err != nil {
		t.Fatal(err)
	}
	r.pass(claims.MaxLifetime)
	if err := r.here.SweepDue(t.Context()); err != nil || !r.works(t, created.Value) {
		t.Errorf("it was revoked under the hands of its user: %v", err)
	}
	_, err := r.here.Fetch(t.Context(), id, r.ada)
	wantGone(t, err, claims.GoneFetched)
	if r.works(t, created.Value) {
		t.Error("a second try does not revoke it any more")
	}
}

// brokenAPI is a third replica, which cannot reach the API.
func (r *replicas) brokenAPI(t *testing.T) *claims.Claims {
	t.Helper()
	api, err := client.New(client.WithBaseURL("http://127.0.0.1:1"), client.WithRetry(0, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	return r.there.WithAPI(api)
}

func TestClaim_NotYetValidTokenIsRevokedWhenItCanBe(t *testing.T) {
	r := newReplicas(t, nil)
	expires := time.Now().Add(24 * time.Hour)
	created, err := r.ada.API.CreateToken(t.Context(), client.NewToken{Name: "later", ExpiresAt: &expires})
	if err != nil {
		t.Fatal(err)
	}
	from := r.now().Add(time.Hour)
	created.ValidFrom = &from
	if _, err := r.here.Deliver(t.Context(), r.ada, created); err != nil {
		t.Fatal(err)
	}
	r.pass(59 * time.Minute)
	if err := r.here.SweepDue(t.Context()); err != nil || !r.works(t, created.Value) {
		t.Fatalf("it was tried before the API would accept it: %v", err)
	}
	r.pass(time.Minute)
	sweep(t, r.there, "the token is revoked", func() bool { return !r.works(t, created.Value) })
}

func TestA33_ProcessThatEndsRevokesWhatOnlyItKnows(t *testing.T) {
	r := newReplicas(t, nil)
	created, id := r.deliver(t, r.here, r.ada, "x")
	fetched, fetchedID := r.deliver(t, r.here, r.ada, "fetched")
	if _, err := r.here.Fetch(t.Context(), fetchedID, r.ada); err != nil {
		t.Fatal(err)
	}
	if err := r.here.RevokeWaiting(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.works(t, created.Value) || !r.works(t, fetched.Value) {
		t.Error("the wrong token was revoked")
	}
	_, err := r.here.Fetch(t.Context(), id, r.ada)
	wantGone(t, err, claims.GoneExpired)

	// An API that is out of reach does not hold up the end.
	r.deliver(t, r.here, r.ada, "y")
	began := time.Now()
	if err := r.brokenAPI(t).RevokeWaiting(t.Context()); err != nil || time.Since(began) > 5*time.Second {
		t.Errorf("%v after %s", err, time.Since(began))
	}
}

func TestA33_ReplicaThatEndsLeavesClaimsToTheOthers(t *testing.T) {
	eachKind(t, func(t *testing.T, r *replicas) {
		if r.redis == nil {
			return
		}
		created, id := r.deliver(t, r.here, r.ada, "x")
		if err := r.here.RevokeWaiting(t.Context()); err != nil {
			t.Fatal(err)
		}
		if claimed, err := r.there.Fetch(t.Context(), id, r.ada); err != nil || !r.works(t, created.Value) {
			t.Error(claimed, err)
		}
	})
}

func TestClaims_SweepEndsWithItsContext(t *testing.T) {
	r := newReplicas(t, nil)
	created, _ := r.deliver(t, r.here, r.ada, "x")
	r.pass(claims.MaxLifetime)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.here.Sweep(ctx)
	}()
	deadline := time.Now().Add(20 * time.Second)
	for r.works(t, created.Value) && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond) // between looks at the API
	}
	if r.works(t, created.Value) {
		t.Error("what is due at the start is not swept")
	}
	cancel()
	<-ended
}

func TestP12_TokensThatWaitToBeClaimedAreListedForTheirUser(t *testing.T) {
	eachKind(t, func(t *testing.T, r *replicas) {
		unclaimed := func(caller tools.Caller) []string {
			ids, err := r.there.Unclaimed(t.Context(), caller)
			if err != nil {
				t.Fatal(err)
			}
			return ids
		}
		first, id := r.deliver(t, r.here, r.ada, "x")
		second, _ := r.deliver(t, r.here, r.ada, "y")
		if got := unclaimed(r.ada); !slices.Equal(got, []string{second.ID, first.ID}) {
			t.Errorf("%s and %s wait, and listed are %q", first.ID, second.ID, got)
		}
		if got := unclaimed(r.ben); len(got) != 0 {
			t.Errorf("somebody else is told %q", got)
		}
		if _, err := r.there.Fetch(t.Context(), id, r.ada); err != nil {
			t.Fatal(err)
		}
		if got := unclaimed(r.ada); !slices.Equal(got, []string{second.ID}) {
			t.Errorf("%s waits, and listed are %q", second.ID, got)
		}
		r.pass(claims.MaxLifetime)
		if err := r.there.SweepDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := unclaimed(r.ada); len(got) != 0 {
			t.Errorf("in the end, %q wait", got)
		}
	})
}
