package authority

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
)

// asked asks for a token with another one.
func (f *fixture) asked(with, body string) answer {
	f.t.Helper()
	return f.send("POST", "/settings/tokens", body, bearer(with))
}

func named(name string, ends time.Time) string {
	return fmt.Sprintf(`{"name":%q,"expires_at":%q}`, name, ends.UTC().Format(time.RFC3339))
}

// A token that rotates itself as often as it can comes to an end.
func TestR15_AShortLivedTokenCannotLastForEver(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store})
		first := f.user("ada@example.com", RoleMember)
		began := f.clock.Now()
		made := f.asked(first.Value, named("weekly", began.Add(7*24*time.Hour)))
		wantStatus(t, made, http.StatusCreated)
		current := decode[row](t, made)
		wantProblem(t, f.asked(current.Token, `{"name":"for ever"}`), http.StatusBadRequest, "invalid_request")
		wantProblem(t, f.asked(current.Token, named("long", began.Add(71*24*time.Hour))), http.StatusBadRequest, "invalid_request")
		later := fmt.Sprintf(`{"expires_at":%q}`, f.clock.Now().Add(8*24*time.Hour).UTC().Format(time.RFC3339))
		for _, body := range []string{`{"expires_at":null}`, later} {
			wantProblem(t, f.send("PATCH", "/settings/tokens/"+current.ID, body, bearer(current.Token)), http.StatusBadRequest, "invalid_request")
		}
		wantProblem(t, f.send("PATCH", "/settings/tokens/"+first.ID, `{"expires_at":"2036-01-01T00:00:00Z"}`, bearer(current.Token)), http.StatusBadRequest, "invalid_request")

		rotations := 0
		for ; rotations < 100; rotations++ {
			f.clock.advance(6 * 24 * time.Hour)
			next := f.asked(current.Token, named("weekly", f.clock.Now().Add(7*24*time.Hour)))
			if next.status != http.StatusCreated {
				wantProblem(t, next, http.StatusBadRequest, "invalid_request")
				break
			}
			old := current.ID
			current = decode[row](t, next)
			wantStatus(t, f.send("DELETE", "/settings/tokens/"+old, "", bearer(current.Token)), http.StatusNoContent)
		}
		if rotations < 9 || f.clock.Now().Sub(began) > 71*24*time.Hour {
			t.Errorf("it rotated %d times in %s", rotations, f.clock.Now().Sub(began))
		}
		f.clock.advance(8 * 24 * time.Hour)
		if f.works(current.Token) {
			t.Error("the last of them works")
		}
		// With a token that never expires, or in a session, there is no bound.
		wantStatus(t, f.asked(first.Value, `{"name":"for ever"}`), http.StatusCreated)
	})
}

// A token that expires could use another one to last longer: one that has no
// bound, and is shortened or given permissions by it.
func TestR15_AShortLivedTokenCannotLastForEverInAnotherOne(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store})
		first := f.user("ada@example.com", RoleMember)
		day := 24 * time.Hour
		weekly := decode[row](t, f.asked(first.Value, named("weekly", f.clock.Now().Add(7*day))))
		target := decode[row](t, f.asked(first.Value, `{"name":"target"}`))
		change := func(with, id, body string) answer {
			t.Helper()
			return f.send("PATCH", "/settings/tokens/"+id, body, bearer(with))
		}
		ends := func(in time.Duration) string {
			return fmt.Sprintf(`{"expires_at":%q}`, f.clock.Now().Add(in).UTC().Format(time.RFC3339))
		}
		wantStatus(t, change(weekly.Token, target.ID, `{"name":"renamed"}`), http.StatusOK)
		wantStatus(t, f.asked(target.Token, `{"name":"for ever"}`), http.StatusCreated) // a name bounds nothing

		// Shortened to a day: it lasts no more than ten, whatever it does.
		wantStatus(t, change(weekly.Token, target.ID, ends(day)), http.StatusOK)
		wantProblem(t, change(target.Token, target.ID, `{"expires_at":null}`), http.StatusBadRequest, "invalid_request")
		wantProblem(t, change(target.Token, target.ID, ends(2*day)), http.StatusBadRequest, "invalid_request")
		wantProblem(t, f.asked(target.Token, `{"name":"for ever"}`), http.StatusBadRequest, "invalid_request")
		wantProblem(t, f.asked(target.Token, named("long", f.clock.Now().Add(11*day))), http.StatusBadRequest, "invalid_request")
		wantStatus(t, f.asked(target.Token, named("short", f.clock.Now().Add(9*day))), http.StatusCreated)

		// Shortened to less than the bound of the one that did it: that bound holds.
		other := decode[row](t, f.asked(first.Value, `{"name":"other"}`))
		wantStatus(t, change(weekly.Token, other.ID, ends(69*day)), http.StatusOK)
		wantProblem(t, f.asked(other.Token, named("long", f.clock.Now().Add(71*day))), http.StatusBadRequest, "invalid_request")

		// A later change never raises a bound, not even of one without any.
		wantStatus(t, change(first.Value, target.ID, `{"expires_at":null}`), http.StatusOK)
		wantProblem(t, f.asked(target.Token, `{"name":"for ever"}`), http.StatusBadRequest, "invalid_request")
		wantStatus(t, change(target.Token, target.ID, ends(5*day)), http.StatusOK) // less is allowed

		// Nor does it last in the permissions of one that never expires.
		readsLeads := f.narrowed(first.Value, domain.ReadLeads)
		for _, body := range []string{`{"permissions":null}`, `{"permissions":["read:leads","write:tokens"]}`} {
			wantProblem(t, change(weekly.Token, readsLeads.ID, body), http.StatusForbidden, "forbidden")
		}
		wantStatus(t, change(first.Value, readsLeads.ID, ends(30*day)), http.StatusOK)
		wantStatus(t, change(weekly.Token, readsLeads.ID, `{"permissions":null}`), http.StatusOK)
		wantProblem(t, f.asked(readsLeads.Token, named("long", f.clock.Now().Add(71*day))), http.StatusBadRequest, "invalid_request")
		wantStatus(t, f.asked(readsLeads.Token, named("short", f.clock.Now().Add(69*day))), http.StatusCreated)
	})
}

func TestChildrenAreShownAndRevokedWithTheirParent(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store})
		first := f.user("ada@example.com", RoleMember)
		parent := decode[row](t, f.asked(first.Value, `{"name":"parent"}`))
		child := decode[row](t, f.asked(parent.Token, `{"name":"child"}`))
		grandchild := decode[row](t, f.asked(child.Token, `{"name":"grandchild"}`))
		other := decode[row](t, f.asked(first.Value, `{"name":"other"}`))
		rows := f.list(first.Value)
		for id, want := range map[string]string{parent.ID: first.ID, child.ID: parent.ID, grandchild.ID: child.ID, other.ID: first.ID, first.ID: ""} {
			if got := rows[id].ParentID; got != want {
				t.Errorf("%s was made with %q, want %q", rows[id].Name, got, want)
			}
		}
		wantStatus(t, f.send("DELETE", "/settings/tokens/"+parent.ID, "", bearer(first.Value)), http.StatusNoContent)
		if !f.works(child.Token) || !f.works(grandchild.Token) {
			t.Error("a plain revocation took more than the token")
		}
		stranger := f.user("eve@example.com", RoleMember)
		wantProblem(t, f.send("DELETE", "/settings/tokens/"+parent.ID+"?descendants=true", "", bearer(stranger.Value)), http.StatusNotFound, "not_found")
		// The parent is dead already, and what it made goes all the same.
		wantStatus(t, f.send("DELETE", "/settings/tokens/"+parent.ID+"?descendants=true", "", bearer(first.Value)), http.StatusNoContent)
		if f.works(child.Token) || f.works(grandchild.Token) || !f.works(other.Token) || !f.works(first.Value) {
			t.Error("not exactly the line of the parent was revoked")
		}
		wantProblem(t, f.send("DELETE", "/settings/tokens/"+parent.ID+"?descendants=true", "", bearer(first.Value)), http.StatusNotFound, "not_found")
		wantProblem(t, f.send("DELETE", "/settings/tokens/"+other.ID+"?descendants=no", "", bearer(first.Value)), http.StatusBadRequest, "invalid_request")
	})
}

func TestMaxTokenLifetimeHoldsForNewTokensAndExtensions(t *testing.T) {
	overLastingStores(t, func(t *testing.T, store string) {
		open := newFixture(t, Config{Store: store})
		never := open.user("ada@example.com", RoleMember)
		f := newFixture(t, Config{Store: store, MaxTokenLifetime: 30 * 24 * time.Hour})
		now := f.clock.Now()
		if !f.works(never.Value) {
			t.Error("a token that was there does not work any more")
		}
		for _, body := range []string{`{"name":"x"}`, named("x", now.Add(31*24*time.Hour))} {
			got := f.asked(never.Value, body)
			wantProblem(t, got, http.StatusBadRequest, "invalid_request")
			if !strings.Contains(got.body, "30 days") {
				t.Errorf("the answer is %s", got.body)
			}
		}
		made := f.asked(never.Value, named("x", now.Add(30*24*time.Hour)))
		wantStatus(t, made, http.StatusCreated)
		path := "/settings/tokens/" + decode[row](t, made).ID
		f.clock.advance(24 * time.Hour)
		for _, body := range []string{`{"expires_at":null}`, fmt.Sprintf(`{"expires_at":%q}`, now.Add(31*24*time.Hour).UTC().Format(time.RFC3339))} {
			wantProblem(t, f.send("PATCH", path, body, bearer(never.Value)), http.StatusBadRequest, "invalid_request")
		}
		// What makes a life shorter is welcome.
		wantStatus(t, f.send("PATCH", "/settings/tokens/"+never.ID, `{"expires_at":"2030-01-01T00:00:00Z"}`, bearer(never.Value)), http.StatusOK)
		if _, err := f.IssueToken(t.Context(), "ada@example.com", "x", nil); err == nil {
			t.Error("the operator's own command made one that never expires")
		}
	})
}
