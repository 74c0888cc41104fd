package authority

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
	"github.com/kenbun/kenbun-mcp/internal/authority/exchange"
)

// make creates a token over HTTP and returns it with its value.
func (f *fixture) make(credential, body string) row {
	f.t.Helper()
	got := f.send("POST", "/settings/tokens", body, bearer(credential))
	wantStatus(f.t, got, http.StatusCreated)
	return decode[row](f.t, got)
}

// narrowed makes a token that is narrowed to some permissions.
func (f *fixture) narrowed(credential string, permissions ...domain.Permission) row {
	f.t.Helper()
	list, err := json.Marshal(permissions)
	if err != nil {
		f.t.Fatal(err)
	}
	return f.make(credential, `{"name": "narrowed", "permissions": `+string(list)+`}`)
}

// holds returns what counts for a credential now.
func (f *fixture) holds(credential string) string {
	f.t.Helper()
	got := f.send("GET", "/me", "", bearer(credential))
	wantStatus(f.t, got, http.StatusOK)
	return strings.Join(decode[meAnswer](f.t, got).Permissions, " ")
}

func (f *fixture) session(email string) string {
	f.t.Helper()
	session, err := f.IssueSession(f.t.Context(), email, time.Hour)
	if err != nil {
		f.t.Fatal(err)
	}
	return session
}

func TestS1_TokenHoldsWhatWasChosenForIt(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store})
		caller := f.user("ada@example.com", RoleMember)
		got := f.send("POST", "/settings/tokens", `{"name": "import", "permissions": ["write:leads", "read:tokens", "read:leads"]}`, bearer(caller.Value))
		wantStatus(t, got, http.StatusCreated)
		sameForm(t, `{"id": "a", "name": "b", "token": "c", "token_prefix": "d", "created_at": "2026-03-28T10:00:00Z", "expires_at": null, "permissions": ["e"]}`, got.body)
		made := decode[row](t, got)
		const want = "read:leads read:tokens write:leads"
		if strings.Join(made.Permissions, " ") != want || f.holds(made.Token) != want {
			t.Errorf("made with %v, holds %s", made.Permissions, f.holds(made.Token))
		}
		if listed := f.list(caller.Value); strings.Join(listed[made.ID].Permissions, " ") != want || listed[caller.ID].Permissions != nil {
			t.Errorf("listed with %v, the other with %v", listed[made.ID].Permissions, listed[caller.ID].Permissions)
		}
	})
}

// The choice on offer is what the role holds.
func TestS1_NobodyGivesMoreThanHeHolds(t *testing.T) {
	f := newFixture(t, Config{})
	for _, role := range domain.Roles() {
		email := string(role) + "@example.com"
		caller := f.user(email, role)
		for _, credential := range []string{caller.Value, f.session(email)} {
			for _, p := range domain.KnownPermissions {
				got := f.send("POST", "/settings/tokens", `{"name": "x", "permissions": ["`+string(p)+`"]}`, bearer(credential))
				if slices.Contains(role.Permissions(), string(p)) {
					wantStatus(t, got, http.StatusCreated)
					wantStatus(t, f.send("DELETE", "/settings/tokens/"+decode[row](t, got).ID, "", bearer(credential)), http.StatusNoContent)
					continue
				}
				wantProblem(t, got, http.StatusForbidden, "forbidden")
				if !strings.Contains(got.body, string(p)) || !strings.Contains(got.header.Get("WWW-Authenticate"), `scope="`+string(p)+`"`) {
					t.Errorf("%s is refused %s with %s", role, p, got.shown())
				}
			}
		}
	}
}

func TestH2_IntersectionOfRoleAndTokenNow(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store})
		caller := f.user("ada@example.com", RoleAdmin)
		token := f.narrowed(caller.Value, domain.ReadTokens, domain.ReadLeads, domain.WriteLeads, domain.WriteScoring)
		for _, step := range []struct {
			role Role
			want string
		}{
			{RoleAdmin, "read:leads read:tokens write:leads write:scoring"},
			{RoleMember, "read:leads read:tokens write:leads"},
			{RoleViewer, "read:leads read:tokens"},
			{RoleOwner, "read:leads read:tokens write:leads write:scoring"},
		} {
			if err := f.SetRole(t.Context(), "ada@example.com", step.role); err != nil {
				t.Fatal(err)
			}
			if got := f.holds(token.Token); got != step.want {
				t.Errorf("as %s it holds %s, want %s", step.role, got, step.want)
			}
			if got := f.holds(caller.Value); got != strings.Join(step.role.Permissions(), " ") {
				t.Errorf("as %s what is not narrowed holds %s", step.role, got)
			}
		}
		// What it is narrowed to stays, whatever the role.
		if listed := f.list(caller.Value)[token.ID]; strings.Join(listed.Permissions, " ") != "read:leads read:tokens write:leads write:scoring" {
			t.Errorf("listed with %v", listed.Permissions)
		}
	})
}

// Every endpoint × a token with nothing but what it needs, and one with all but
// that.
func TestH2_EachEndpointAsksForItsPermission(t *testing.T) {
	f := newFixture(t, Config{TokenLimit: 1000})
	caller := f.user("ada@example.com", RoleOwner)
	for _, rt := range f.api.Routes() {
		if rt.Needs == "" {
			continue
		}
		path := strings.Replace(rt.Pattern, "{id}", domain.NewID("pat_"), 1)
		others := slices.DeleteFunc(slices.Clone(domain.KnownPermissions), func(p domain.Permission) bool { return p == rt.Needs })
		refused := f.send(rt.Method, path, "", bearer(f.narrowed(caller.Value, others...).Token))
		wantProblem(t, refused, http.StatusForbidden, "forbidden")
		if !strings.Contains(refused.body, "this token does not hold the permission "+string(rt.Needs)) {
			t.Errorf("%s %s: %s", rt.Method, rt.Pattern, refused.shown())
		}
		if challenge := refused.header.Get("WWW-Authenticate"); !strings.Contains(challenge, `error="insufficient_scope", scope="`+string(rt.Needs)+`"`) {
			t.Errorf("%s %s: challenge %s", rt.Method, rt.Pattern, challenge)
		}
		if got := f.send(rt.Method, path, "", bearer(f.narrowed(caller.Value, rt.Needs).Token)); got.status == http.StatusForbidden {
			t.Errorf("%s %s: refused with what it needs: %s", rt.Method, rt.Pattern, got.shown())
		}
	}
}

func TestH2_RoleAndTokenAreToldApart(t *testing.T) {
	f := newFixture(t, Config{})
	caller := f.user("ada@example.com", RoleAdmin)
	token := f.narrowed(caller.Value, domain.ReadTokens, domain.WriteScoring)
	guarded := f.api.HandlerFor([]exchange.Route{{Method: "GET", Pattern: "/scoring", Needs: domain.WriteScoring, Serve: func(w http.ResponseWriter, _ *http.Request, _ domain.Identity) error {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}}})
	if got := record(guarded, "GET", "/scoring", bearer(token.Token)); got.status != http.StatusNoContent {
		t.Fatalf("as admin: %d", got.status)
	}
	if err := f.SetRole(t.Context(), "ada@example.com", RoleViewer); err != nil {
		t.Fatal(err)
	}
	got := record(guarded, "GET", "/scoring", bearer(token.Token))
	wantProblem(t, got, http.StatusForbidden, "forbidden")
	if !strings.Contains(got.body, "your role does not hold") {
		t.Errorf("as viewer: %s", got.shown())
	}
}

func TestH2_WhatANarrowedTokenMakesIsNoWider(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store})
		caller := f.user("ada@example.com", RoleOwner)
		parent := f.narrowed(caller.Value, domain.ReadTokens, domain.WriteTokens, domain.ReadLeads)
		const want = "read:leads read:tokens write:tokens"

		child := f.make(parent.Token, `{"name": "child"}`)
		if strings.Join(child.Permissions, " ") != want || f.holds(child.Token) != want {
			t.Errorf("without a choice: %v", child.Permissions)
		}
		grandchild := f.make(child.Token, `{"name": "grandchild", "permissions": ["read:leads"]}`)
		if f.holds(grandchild.Token) != "read:leads" {
			t.Errorf("with a choice: %v", grandchild.Permissions)
		}
		wantProblem(t, f.send("POST", "/settings/tokens", `{"name": "x", "permissions": ["read:leads", "write:leads"]}`, bearer(parent.Token)), http.StatusForbidden, "forbidden")

		// Under a role that holds less it passes on all that it is narrowed to,
		// so that a rotation loses nothing; what counts is still the role's.
		wide := f.narrowed(caller.Value, domain.ReadTokens, domain.WriteTokens, domain.WriteScoring)
		if err := f.SetRole(t.Context(), "ada@example.com", RoleViewer); err != nil {
			t.Fatal(err)
		}
		rotated := f.make(wide.Token, `{"name": "rotated"}`)
		if strings.Join(rotated.Permissions, " ") != "read:tokens write:scoring write:tokens" || f.holds(rotated.Token) != "read:tokens write:tokens" {
			t.Errorf("rotated it is narrowed to %v and holds %s", rotated.Permissions, f.holds(rotated.Token))
		}
		wantProblem(t, f.send("POST", "/settings/tokens", `{"name": "x", "permissions": ["write:scoring"]}`, bearer(wide.Token)), http.StatusForbidden, "forbidden")
	})
}

// A child may outlive its parent, and so a rotation works, but not for ever.
func TestH2_ExpiryIsBoundedByTheParents(t *testing.T) {
	f := newFixture(t, Config{})
	caller := f.user("ada@example.com", RoleOwner)
	parent := f.make(caller.Value, `{"name": "parent", "expires_at": "2026-03-28T11:00:00Z", "permissions": ["write:tokens"]}`)
	wantProblem(t, f.send("POST", "/settings/tokens", `{"name": "child"}`, bearer(parent.Token)), http.StatusBadRequest, "invalid_request")
	child := f.make(parent.Token, `{"name": "child", "expires_at": "2026-03-28T19:00:00Z"}`)
	f.clock.advance(2 * time.Hour)
	if f.works(parent.Token) || !f.works(child.Token) {
		t.Error("the child should live on without its parent, to its own end")
	}
}

func TestH2_NarrowedTokenChangesNoWiderOne(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store})
		caller := f.user("ada@example.com", RoleOwner)
		narrow := f.narrowed(caller.Value, domain.ReadTokens, domain.WriteTokens, domain.ReadLeads)
		wider := f.narrowed(caller.Value, domain.ReadTokens, domain.WriteTokens, domain.ReadLeads, domain.WriteLeads)
		beside := f.narrowed(caller.Value, domain.ReadEvents)
		within := f.narrowed(caller.Value, domain.ReadLeads)
		before := f.list(caller.Value)
		for _, c := range []struct {
			id, body string
			status   int
		}{
			{caller.ID, `{"name": "mine"}`, 403},
			{caller.ID, `{"expires_at": null}`, 403},
			{caller.ID, `{"permissions": ["read:leads"]}`, 403},
			{wider.ID, `{"name": "mine"}`, 403},
			{wider.ID, `{"expires_at": "2030-01-01T00:00:00Z"}`, 403},
			{wider.ID, `{"permissions": ["read:leads"]}`, 403},
			{beside.ID, `{"name": "mine"}`, 403},
			{within.ID, `{"permissions": null}`, 403},
			{within.ID, `{"permissions": ["write:leads"]}`, 403},
			{within.ID, `{"permissions": ["read:leads", "read:events"], "name": "mine"}`, 403},
			{narrow.ID, `{"permissions": null}`, 403},
			{narrow.ID, `{"permissions": ["read:tokens", "write:tokens", "read:leads", "write:leads"]}`, 403},
		} {
			got := f.send("PATCH", "/settings/tokens/"+c.id, c.body, bearer(narrow.Token))
			wantProblem(t, got, c.status, "forbidden")
		}
		after := f.list(caller.Value)
		for id := range before {
			if a, b := before[id], after[id]; a.Name != b.Name || fmt.Sprint(a.Permissions) != fmt.Sprint(b.Permissions) || a.ExpiresAt != b.ExpiresAt {
				t.Errorf("a refused change was made: %+v became %+v", a, b)
			}
		}
		for _, id := range []string{within.ID, narrow.ID} {
			wantStatus(t, f.send("PATCH", "/settings/tokens/"+id, `{"name": "mine", "permissions": ["read:leads"]}`, bearer(f.narrowed(caller.Value, domain.ReadTokens, domain.WriteTokens, domain.ReadLeads).Token)), http.StatusOK)
		}
		if got := f.holds(narrow.Token); got != "read:leads" {
			t.Errorf("narrowed further it holds %s", got)
		}
	})
}

func TestPermissionSet(t *testing.T) {
	set := domain.NewPermissionSet(domain.WriteLeads, domain.ReadTokens, domain.WriteLeads)
	if got := set.String(); got != "read:tokens write:leads" {
		t.Errorf("stored as %q", got)
	}
	if got := domain.StoredPermissions(set.String()); fmt.Sprint(got) != fmt.Sprint(set) {
		t.Errorf("read back as %v", got)
	}
	if empty := domain.StoredPermissions(""); empty == nil || len(empty) != 0 || empty.Contains(domain.ReadTokens) || len(empty.Intersect(domain.KnownPermissions)) != 0 {
		t.Error("what was stored as no permission is something else")
	}
	if !domain.NewPermissionSet().Within(set) || !set.Within(domain.KnownPermissions) || domain.KnownPermissions.Within(set) {
		t.Error("within")
	}
	// One that a later version stored counts for nothing here.
	if got := domain.StoredPermissions("read:future read:leads").Intersect(domain.KnownPermissions).String(); got != "read:leads" {
		t.Errorf("an unknown permission counts: %q", got)
	}
}
