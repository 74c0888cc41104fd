package claims_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/claimkey"
	"github.com/kenbun/kenbun-mcp/internal/human/claims"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

// A token that kenbun does not accept any more may be revoked, or its user suspended
// for a while. Only the list shows which.
func TestP22_ATokenThatIsNotAcceptedAnyMoreIsNotCalledRevoked(t *testing.T) {
	const uncertain = "it is not certain that "
	wantUncertain := func(t *testing.T, r *replicas, id, tokenID string) {
		t.Helper()
		keys, err := claimkey.Derive(r.ada.API, id)
		if err != nil {
			t.Fatal(err)
		}
		var gone *claims.GoneError
		_, err = r.there.FetchSealed(t.Context(), id, claimkey.Prove(keys.Proof, id, "mcp.example.com"), []string{"mcp.example.com"})
		if !errors.As(err, &gone) || gone.Revoked || !strings.Contains(gone.Error(), uncertain) || !strings.Contains(gone.Error(), "tokens revoke "+tokenID) {
			t.Errorf("the user is told %v", err)
		}
		if log := r.log.String(); !strings.Contains(log, "does not accept its token any more, and "+uncertain) || strings.Contains(log, "its token was revoked") {
			t.Errorf("the operator is told %s", log)
		}
		r.audit.mu.Lock()
		defer r.audit.mu.Unlock()
		for _, line := range r.audit.lines {
			if strings.Contains(line, `"action":"revoke"`) && strings.Contains(line, tokenID) && (!strings.Contains(line, `"left":"unknown"`) || !strings.Contains(line, `"outcome":"outcome_unknown"`)) {
				t.Errorf("the audit log has %s", line)
			}
		}
	}
	eachKind(t, func(t *testing.T, r *replicas) {
		t.Run("revoked by its user", func(t *testing.T) {
			created, id := r.deliver(t, r.here, r.ada, "x")
			if err := r.ada.API.RevokeToken(t.Context(), created.ID); err != nil {
				t.Fatal(err)
			}
			r.pass(claims.MaxLifetime)
			if err := r.here.SweepDue(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantUncertain(t, r, id, created.ID)
			if found, err := r.there.WithClaims(nil).Recover(t.Context(), r.ada); err != nil || len(found) > 0 {
				t.Errorf("what the user did is told as left behind: %+v, %v", found, err)
			}
			_, err := r.there.Fetch(t.Context(), id, r.ada)
			wantGone(t, err, claims.GoneExpired) // now the list has been looked at
		})
		t.Run("of a user who was suspended", func(t *testing.T) {
			created, id := r.deliver(t, r.here, r.ada, "y")
			if err := r.api.Authority.Suspend(t.Context(), "ada@example.com"); err != nil {
				t.Fatal(err)
			}
			r.pass(claims.MaxLifetime)
			if err := r.here.SweepDue(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantUncertain(t, r, id, created.ID)
			if err := r.api.Authority.Restore(t.Context(), "ada@example.com"); err != nil {
				t.Fatal(err)
			}
			if !r.works(t, created.Value) {
				t.Fatal("the token is revoked: nothing was tried")
			}
			_, err := r.there.Fetch(t.Context(), id, r.ada)
			wantGone(t, err, claims.GoneExpired)
			if r.works(t, created.Value) {
				t.Error("its user came, and it lives")
			}
		})
	})
	// The user's next call looks at the list as well.
	r := newReplicas(t, kenbuntest.StartRedis(t))
	created, _ := r.deliver(t, r.here, r.ada, "z")
	if err := r.api.Authority.Suspend(t.Context(), "ada@example.com"); err != nil {
		t.Fatal(err)
	}
	r.pass(claims.MaxLifetime)
	if err := r.here.SweepDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.api.Authority.Restore(t.Context(), "ada@example.com"); err != nil {
		t.Fatal(err)
	}
	found, err := r.there.WithClaims(nil).Recover(t.Context(), r.ada)
	if err != nil {
		t.Fatal(err)
	}
	mustFind(t, found, tokens.RecoveredRevoked)
	if r.works(t, created.Value) {
		t.Error("it lives after its user's next call")
	}
}
