package authority

import (
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
	"github.com/kenbun/kenbun-mcp/internal/authority/exchange"
)

func TestK4_EachRequestActsAsTheUserNow(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store})
		ada := f.user("Ada@example.com", RoleAdmin)
		ben := f.user("ben@example.com", RoleViewer)

		got := f.send("GET", "/me", "", bearer(ada.Value))
		wantStatus(t, got, http.StatusOK)
		sameForm(t, `{"org_member_id": "a", "first_name": "b", "last_name": "c", "email": "d", "role": "admin", "verified": true, "org_id": "e",
			"permissions": ["p"], "active_ou": "f"}`, got.body)
		adaMe, benMe := decode[meAnswer](t, got), decode[meAnswer](t, f.send("GET", "/me", "", bearer(ben.Value)))
		if adaMe.Email != "Ada@example.com" || adaMe.FirstName != "Ada" || adaMe.LastName != "Lovelace" || adaMe.Role != RoleAdmin || !adaMe.Verified {
			t.Errorf("me: %+v", adaMe)
		}
		if benMe.Email != "ben@example.com" || benMe.Role != RoleViewer || benMe.OrgMemberID == adaMe.OrgMemberID || benMe.OrgID != adaMe.OrgID {
			t.Errorf("me: %+v beside %+v", benMe, adaMe)
		}

		got = f.send("GET", "/org-units", "", bearer(ada.Value))
		wantStatus(t, got, http.StatusOK)
		sameForm(t, `[{"unit_id": "a", "org_id": "b", "name": "c", "slug": "d", "external_ref": null, "is_default": true}]`, got.body)
		if units := decode[[]unitAnswer](t, got); units[0].OrgID != adaMe.OrgID {
			t.Errorf("units %+v of organization %s", units, adaMe.OrgID)
		}
	})
}

func TestK8_ExpiredTokenStopsByItself(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store})
		caller := f.user("ada@example.com", RoleMember)
		end := f.clock.Now().Truncate(time.Second).Add(time.Hour)
		ending, err := f.IssueToken(t.Context(), "ada@example.com", "ending", &end)
		if err != nil {
			t.Fatal(err)
		}
		if !f.works(ending.Value) {
			t.Fatal("the token does not work")
		}
		f.clock.set(end)
		if f.works(ending.Value) {
			t.Error("the expired token works")
		}
		// It is listed, with its end, and was not revoked by anybody.
		listed, found := f.list(caller.Value)[ending.ID]
		if !found || listed.RevokedAt != nil || listed.ExpiresAt == nil || *listed.ExpiresAt != end.Format(time.RFC3339) {
			t.Errorf("listed is %t, as %+v", found, listed)
		}
	})
}

func TestR11_DeadAtTheInstantOfItsEnd(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store})
		f.user("ada@example.com", RoleMember)
		end := f.clock.Now().Truncate(time.Second).Add(time.Hour)
		issued, err := f.IssueToken(t.Context(), "ada@example.com", "ending", &end)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			offset time.Duration
			works  bool
		}{{-time.Microsecond, true}, {-1, true}, {0, false}, {1, false}, {time.Microsecond, false}} {
			f.clock.set(end.Add(c.offset))
			if got := f.works(issued.Value); got != c.works {
				t.Errorf("at the end %+d ns: works is %t", c.offset, got)
			}
		}
	})
}

func TestH1_DowngradeCountsAtOnce(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store})
		issued := f.user("ada@example.com", RoleOwner)
		for _, role := range []Role{RoleOwner, RoleViewer, RoleAdmin, RoleMember} {
			if err := f.SetRole(t.Context(), "ADA@example.com", role); err != nil {
				t.Fatal(err)
			}
			if got := decode[meAnswer](t, f.send("GET", "/me", "", bearer(issued.Value))); got.Role != role {
				t.Errorf("role %s, want %s", got.Role, role)
			}
		}
	})
}

// The endpoints ask for permissions that every role holds, so that the
// loss of one is shown on an endpoint that only some may use.
func TestH1_PermissionIsThatOfTheRoleNow(t *testing.T) {
	f := newFixture(t, Config{})
	issued := f.user("ada@example.com", RoleAdmin)
	guarded := f.api.HandlerFor([]exchange.Route{{Method: "GET", Pattern: "/scoring", Needs: "write:scoring", Serve: func(w http.ResponseWriter, _ *http.Request, _ domain.Identity) error {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}}})
	if got := record(guarded, "GET", "/scoring", bearer(issued.Value)); got.status != http.StatusNoContent {
		t.Fatalf("as admin: %d", got.status)
	}
	if err := f.SetRole(t.Context(), "ada@example.com", RoleMember); err != nil {
		t.Fatal(err)
	}
	got := record(guarded, "GET", "/scoring", bearer(issued.Value))
	wantProblem(t, got, http.StatusForbidden, "forbidden")
	if challenge := got.header.Get("WWW-Authenticate"); challenge != `Bearer realm="kenbun", error="insufficient_scope", scope="write:scoring"` {
		t.Errorf("challenge %s", challenge)
	}
}

func TestH1_SuspendedUserStops(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store})
		first := f.user("ada@example.com", RoleOwner)
		second := f.token("ada@example.com", "second")
		session, err := f.IssueSession(t.Context(), "ada@example.com", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		ben := f.user("ben@example.com", RoleMember)
		all := []string{first.Value, second.Value, session}
		if err := f.Suspend(t.Context(), "ada@example.com"); err != nil {
			t.Fatal(err)
		}
		for i, value := range all {
			if f.works(value) {
				t.Errorf("credential %d of a suspended user works", i)
			}
		}
		if !f.works(ben.Value) {
			t.Error("somebody else was suspended too")
		}
		if value, err := f.IssueSession(t.Context(), "ada@example.com", time.Hour); !errors.Is(err, domain.ErrSuspended) || value != "" {
			t.Errorf("a session for a suspended user: %v", err)
		}
		if link, err := f.IssueSignInLink(t.Context(), "ada@example.com", "", f.url); !errors.Is(err, domain.ErrSuspended) || link != "" {
			t.Errorf("a link for a suspended user: %v", err)
		}
		if err := f.Restore(t.Context(), "ada@example.com"); err != nil {
			t.Fatal(err)
		}
		for i, value := range all {
			if !f.works(value) {
				t.Errorf("credential %d of a restored user does not work", i)
			}
		}
	})
}

func TestH1_TokenStaysBoundToItsOrganization(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store})
		ctx := t.Context()
		atHome := f.user("ada@example.com", RoleOwner)
		home := decode[meAnswer](t, f.send("GET", "/me", "", bearer(atHome.Value)))
		if err := f.AddMember(ctx, "ada@example.com", "Elsewhere", RoleViewer); err != nil {
			t.Fatal(err)
		}
		if now := decode[meAnswer](t, f.send("GET", "/me", "", bearer(atHome.Value))); !reflect.DeepEqual(now, home) {
			t.Errorf("a further membership changed %+v to %+v", home, now)
		}
		if _, err := f.IssueToken(ctx, "ada@example.com", "where?", nil); !errors.Is(err, domain.ErrSeveralOrganizations) {
			t.Errorf("a token in one of two organizations: %v", err)
		}
		if err := f.RemoveMember(ctx, "ada@example.com", DefaultOrganization); err != nil {
			t.Fatal(err)
		}
		if f.works(atHome.Value) {
			t.Error("a token works in an organization that its user was removed from")
		}
		elsewhere := f.token("ada@example.com", "elsewhere")
		there := decode[meAnswer](t, f.send("GET", "/me", "", bearer(elsewhere.Value)))
		if there.OrgID == home.OrgID || there.Role != RoleViewer {
			t.Errorf("a token made in another organization acts as %+v", there)
		}
		if err := f.AddMember(ctx, "ada@example.com", DefaultOrganization, RoleMember); err != nil {
			t.Fatal(err)
		}
		if again := decode[meAnswer](t, f.send("GET", "/me", "", bearer(atHome.Value))); again.OrgID != home.OrgID || again.Role != RoleMember {
			t.Errorf("a member again: %+v", again)
		}
	})
}

func TestN10_SessionIsABearer(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store})
		f.user("ada@example.com", RoleMember)
		session, err := f.IssueSession(t.Context(), "ada@example.com", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(session, "kbn_session_") || !f.works(session) {
			t.Fatal("the session does not work")
		}
		got := f.send("POST", "/settings/tokens", `{"name": "by session"}`, bearer(session))
		wantStatus(t, got, http.StatusCreated)
		wantProblem(t, f.send("GET", "/me", "", "X-API-Key: "+session), http.StatusUnauthorized, "unauthenticated")
		f.clock.advance(time.Hour)
		if f.works(session) {
			t.Error("the session outlives its end")
		}
		for _, lifetime := range []time.Duration{-1, 1, 31 * 24 * time.Hour} {
			var invalid *InvalidError
			if _, err := f.IssueSession(t.Context(), "ada@example.com", lifetime); !errors.As(err, &invalid) {
				t.Errorf("a session for %s: %v", lifetime, err)
			}
		}
	})
}

func TestN8_NobodyElseSeesTokens(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store})
		ada := f.user("ada@example.com", RoleMember)
		for _, role := range domain.Roles() {
			other := f.user(string(role)+"@example.com", role)
			list := decode[[]row](t, f.send("GET", "/settings/tokens", "", bearer(other.Value)))
			if len(list) != 1 || list[0].ID != other.ID {
				t.Errorf("%s sees %+v", role, list)
			}
			wantStatus(t, f.send("DELETE", "/settings/tokens/"+ada.ID, "", bearer(other.Value)), http.StatusNotFound)
		}
		if !f.works(ada.Value) {
			t.Error("somebody else revoked the token")
		}
	})
}

// users × ids × verbs
func TestR16_AnothersIDLooksAbsent(t *testing.T) {
	f := newFixture(t, Config{})
	users := map[string]Issued{}
	for _, email := range []string{"ada@example.com", "ben@example.com", "cleo@example.com"} {
		users[email] = f.user(email, RoleOwner)
	}
	for email, caller := range users {
		for owner, target := range users {
			if owner == email {
				continue
			}
			for _, method := range []string{"GET", "DELETE", "PATCH", "PUT", "POST"} {
				foreign := f.send(method, "/settings/tokens/"+target.ID, "", bearer(caller.Value))
				absent := f.send(method, "/settings/tokens/"+domain.NewID("pat_"), "", bearer(caller.Value))
				if foreign.status != absent.status || foreign.status < 400 || foreign.status > 499 {
					t.Errorf("%s: %d for another's, %d for nobody's", method, foreign.status, absent.status)
				}
			}
		}
	}
	for email, issued := range users {
		if !f.works(issued.Value) {
			t.Errorf("the token of %s was revoked", email)
		}
	}
}

func TestUsers(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store})
		ctx := t.Context()
		added, err := f.AddUser(ctx, NewUser{Email: "Ada@Example.com", FirstName: "Ada", LastName: "Lovelace", Role: RoleAdmin, Organization: "Analytical Engines"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.AddUser(ctx, NewUser{Email: "ben@example.com", Organization: "analytical engines"}); err != nil {
			t.Fatal(err)
		}
		if _, err := f.AddUser(ctx, NewUser{Email: "ada@example.COM"}); !errors.Is(err, domain.ErrUserExists) {
			t.Errorf("the same address again: %v", err)
		}
		users, err := f.Users(ctx)
		if err != nil || len(users) != 2 {
			t.Fatalf("users %+v: %v", users, err)
		}
		if users[0] != added || users[1].Role != RoleMember || users[1].OrgID != added.OrgID || users[1].Organization != "Analytical Engines" {
			t.Errorf("users %+v, added %+v", users, added)
		}
		for name, err := range map[string]error{
			"SetRole":      f.SetRole(ctx, "nobody@example.com", RoleOwner),
			"Suspend":      f.Suspend(ctx, "nobody@example.com"),
			"Restore":      f.Restore(ctx, "nobody@example.com"),
			"AddMember":    f.AddMember(ctx, "nobody@example.com", "x", RoleOwner),
			"RemoveMember": f.RemoveMember(ctx, "nobody@example.com", "x"),
		} {
			if !errors.Is(err, domain.ErrUnknownUser) {
				t.Errorf("%s of nobody: %v", name, err)
			}
		}
		if err := f.RemoveMember(ctx, added.ID, "no such"); !errors.Is(err, domain.ErrNotMember) {
			t.Errorf("removed from nowhere: %v", err)
		}
	})
}

func TestUsers_BadValuesAreRefused(t *testing.T) {
	f := newFixture(t, Config{})
	for _, n := range []NewUser{
		{},
		{Email: "ada"},
		{Email: "Ada <ada@example.com>"},
		{Email: "ada@example.com\n"},
		{Email: strings.Repeat("a", 250) + "@example.com"},
		{Email: "ada@example.com", Role: "root"},
		{Email: "ada@example.com", Role: "Admin"},
		{Email: "ada@example.com", FirstName: "\x1b[2J"},
		{Email: "ada@example.com", LastName: strings.Repeat("x", 101)},
		{Email: "ada@example.com", Organization: "a\u202eb"},
	} {
		var invalid *InvalidError
		if _, err := f.AddUser(t.Context(), n); !errors.As(err, &invalid) {
			t.Errorf("%+v: %v", n, err)
		}
	}
	if users, err := f.Users(t.Context()); err != nil || len(users) != 0 {
		t.Errorf("left behind: %+v, %v", users, err)
	}
}
