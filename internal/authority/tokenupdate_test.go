package authority

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
)

func TestS2_RefusedBeforeItsBeginning(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store})
		caller := f.user("ada@example.com", RoleMember)
		begin := f.clock.Now().Truncate(time.Second).Add(time.Hour)
		end := begin.Add(time.Hour)
		got := f.send("POST", "/settings/tokens", `{"name": "later", "valid_from": "`+begin.Format(time.RFC3339)+`", "expires_at": "`+end.Format(time.RFC3339)+`"}`, bearer(caller.Value))
		wantStatus(t, got, http.StatusCreated)
		later := decode[row](t, got)
		if later.ValidFrom == nil || *later.ValidFrom != begin.Format(time.RFC3339) {
			t.Errorf("begins at %v", later.ValidFrom)
		}
		for _, c := range []struct {
			at    time.Time
			works bool
		}{{f.clock.Now(), false}, {begin.Add(-1), false}, {begin, true}, {end.Add(-1), true}, {end, false}} {
			f.clock.set(c.at)
			if got := f.works(later.Token); got != c.works {
				t.Errorf("at %s: works is %t", c.at, got)
			}
		}
		if !strings.Contains(f.log.String(), `"refused":"`+domain.CauseNotYet+`"`) {
			t.Error("the log does not name the cause")
		}
	})
}

func TestS2_BeginningIsCheckedAndKeptInSeconds(t *testing.T) {
	f := newFixture(t, Config{})
	caller := f.user("ada@example.com", RoleMember)
	for _, c := range []struct{ from, until, want string }{
		{`"2026-12-31T00:00:00Z"`, ``, "2026-12-31T00:00:00Z"},
		{`"2026-12-31T00:00:00+02:00"`, ``, "2026-12-30T22:00:00Z"},
		{`"2026-12-31T00:00:00.001Z"`, ``, "2026-12-31T00:00:01Z"}, // never before what was asked
		{`"2020-01-01T00:00:00Z"`, ``, "2020-01-01T00:00:00Z"},
		{`"1970-01-01T00:00:00Z"`, ``, "1970-01-01T00:00:00Z"},
		{`"2027-01-01T00:00:00Z"`, `"2027-01-01T00:00:01Z"`, "2027-01-01T00:00:00Z"},
		{`"2027-01-01T00:00:00Z"`, `"2027-01-01T00:00:00Z"`, ""},
		{`"2027-01-01T00:00:00.5Z"`, `"2027-01-01T00:00:01Z"`, ""},
		{`"2027-01-02T00:00:00Z"`, `"2027-01-01T00:00:00Z"`, ""},
		{`"1969-12-31T23:59:59Z"`, ``, ""},
		{`"0000-01-01T00:00:00Z"`, ``, ""},
		{`"9999-12-31T23:59:59.5Z"`, ``, ""},
		{`"9999-12-31T23:59:59-01:00"`, ``, ""},
		{`"tomorrow"`, ``, ""},
		{`""`, ``, ""},
		{`null`, ``, ""},
		{`0`, ``, ""},
		{`1e400`, ``, ""},
		{`["2026-12-31T00:00:00Z"]`, ``, ""},
	} {
		body := `{"name": "x", "valid_from": ` + c.from
		if c.until != "" {
			body += `, "expires_at": ` + c.until
		}
		got := f.send("POST", "/settings/tokens", body+`}`, bearer(caller.Value))
		if c.want == "" {
			wantProblem(t, got, http.StatusBadRequest, "invalid_request")
			if !strings.Contains(got.body, "valid_from") {
				t.Errorf("%s: %s", c.from, got.shown())
			}
			continue
		}
		wantStatus(t, got, http.StatusCreated)
		if from := decode[row](t, got).ValidFrom; from == nil || *from != c.want {
			t.Errorf("%s became %v, want %s", c.from, from, c.want)
		}
	}
}

func TestS4_ListShowsValidityAndRights(t *testing.T) {
	f := newFixture(t, Config{})
	caller := f.user("ada@example.com", RoleMember)
	f.clock.advance(time.Second)
	f.make(caller.Value, `{"name": "import", "valid_from": "2026-04-01T00:00:00Z", "expires_at": "2026-05-01T00:00:00Z", "permissions": ["read:leads"]}`)
	got := f.send("GET", "/settings/tokens", "", bearer(caller.Value))
	sameForm(t, `[
		{"id": "a", "name": "b", "token_prefix": "c", "created_at": "2026-03-28T10:00:00Z", "last_used_at": null, "expires_at": "2026-03-28T10:00:00Z", "revoked_at": null,
			"valid_from": "2026-03-28T10:00:00Z", "permissions": ["d"], "parent_id": "e"},
		{"id": "a", "name": "b", "token_prefix": "c", "created_at": "2026-03-28T10:00:00Z", "last_used_at": "2026-03-28T10:00:00Z", "expires_at": null, "revoked_at": null}]`, got.body)
	listed := decode[[]row](t, got)[0]
	if *listed.ValidFrom != "2026-04-01T00:00:00Z" || *listed.ExpiresAt != "2026-05-01T00:00:00Z" || listed.Permissions[0] != "read:leads" {
		t.Errorf("listed as %s", got.shown())
	}
}

func TestS5_EverythingButTheValueCanBeChanged(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store})
		caller := f.user("ada@example.com", RoleMember)
		target := f.token("ada@example.com", "target")
		path := "/settings/tokens/" + target.ID
		for _, c := range []struct{ body, want string }{
			{`{"name": "renamed"}`, `"name":"renamed","token_prefix":"` + target.Prefix + `","created_at":"2026-03-28T10:00:00Z","last_used_at":null,"expires_at":null,"revoked_at":null}`},
			{`{"expires_at": "2026-06-01T00:00:00Z"}`, `"name":"renamed","token_prefix":"` + target.Prefix + `","created_at":"2026-03-28T10:00:00Z","last_used_at":null,"expires_at":"2026-06-01T00:00:00Z","revoked_at":null}`},
			{`{"valid_from": "2026-05-01T00:00:00Z"}`, `"expires_at":"2026-06-01T00:00:00Z","revoked_at":null,"valid_from":"2026-05-01T00:00:00Z"}`},
			{`{"permissions": ["write:leads", "read:leads"]}`, `"valid_from":"2026-05-01T00:00:00Z","permissions":["read:leads","write:leads"]}`},
			{`{"valid_from": null, "expires_at": null}`, `"expires_at":null,"revoked_at":null,"permissions":["read:leads","write:leads"]}`},
			{`{"permissions": null}`, `"expires_at":null,"revoked_at":null}`},
			{`{"name": "all at once", "valid_from": "2026-03-01T00:00:00Z", "expires_at": "2027-01-01T00:00:00Z", "permissions": ["read:tokens"]}`,
				`"name":"all at once","token_prefix":"` + target.Prefix + `","created_at":"2026-03-28T10:00:00Z","last_used_at":null,"expires_at":"2027-01-01T00:00:00Z","revoked_at":null,"valid_from":"2026-03-01T00:00:00Z","permissions":["read:tokens"]}`},
		} {
			got := f.send("PATCH", path, c.body, bearer(caller.Value))
			wantStatus(t, got, http.StatusOK)
			if !strings.HasSuffix(strings.TrimSpace(got.body), c.want) {
				t.Errorf("%s is answered by %s, want …%s", c.body, got.shown(), c.want)
			}
			if list := f.send("GET", "/settings/tokens", "", bearer(caller.Value)); !strings.Contains(list.body, strings.TrimSpace(got.body)) {
				t.Errorf("%s is listed as %s", c.body, list.shown())
			}
		}
		if !f.works(target.Value) || f.holds(target.Value) != "read:tokens" {
			t.Error("the value changed")
		}
	})
}

// A change counts with the next request.
func TestS5_ChangesCountAtOnce(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store})
		caller := f.user("ada@example.com", RoleMember)
		target := f.token("ada@example.com", "target")
		change := func(body string) {
			t.Helper()
			wantStatus(t, f.send("PATCH", "/settings/tokens/"+target.ID, body, bearer(caller.Value)), http.StatusOK)
		}
		if !f.works(target.Value) {
			t.Fatal("the token does not work")
		}
		change(`{"permissions": ["read:leads"]}`)
		wantProblem(t, f.send("GET", "/settings/tokens", "", bearer(target.Value)), http.StatusForbidden, "forbidden")
		change(`{"permissions": null}`)
		wantStatus(t, f.send("GET", "/settings/tokens", "", bearer(target.Value)), http.StatusOK)
		change(`{"valid_from": "2026-04-01T00:00:00Z"}`)
		if f.works(target.Value) {
			t.Error("it works before its new beginning")
		}
		change(`{"valid_from": null, "expires_at": "2026-03-28T11:00:00Z"}`)
		if !f.works(target.Value) {
			t.Error("it does not work without a beginning")
		}
		f.clock.advance(time.Hour)
		if f.works(target.Value) {
			t.Error("it outlives its new end")
		}
		change(`{"expires_at": "2026-03-28T12:00:00Z"}`)
		if !f.works(target.Value) {
			t.Error("it does not work although it was given a new end")
		}
	})
}

func TestS5_BadChangesChangeNothing(t *testing.T) {
	f := newFixture(t, Config{})
	caller := f.user("ada@example.com", RoleMember)
	f.clock.advance(time.Minute)
	target := f.make(caller.Value, `{"name": "target", "valid_from": "2026-05-01T00:00:00Z", "expires_at": "2026-06-01T00:00:00Z", "permissions": ["read:leads"]}`)
	before := f.list(caller.Value)[target.ID]
	for body, says := range map[string]string{
		`{}`:                                            "at least one",
		`{"name": ""}`:                                  "name is required",
		`{"name": null}`:                                "name must be a string",
		`{"name": "x", "id": "y"}`:                      "the fields are name, valid_from, expires_at, permissions",
		`{"name": "x", "token": "y"}`:                   "no field",
		`{"name": "x", "revoked_at": null}`:             "no field",
		`{"name": "x", "name": "y"}`:                    "twice",
		`{"expires_at": "2026-03-28T10:00:00Z"}`:        "future",
		`{"expires_at": "2026-05-01T00:00:00Z"}`:        "before expires_at",
		`{"valid_from": "2026-06-01T00:00:00Z"}`:        "before expires_at",
		`{"valid_from": 1}`:                             "valid_from must be a string",
		`{"permissions": []}`:                           "at least one permission",
		`{"permissions": "read:leads"}`:                 "array of strings",
		`{"permissions": {}}`:                           "array of strings",
		`{"permissions": [null]}`:                       "nothing but strings",
		`{"permissions": [["read:leads"]]}`:             "nothing but strings",
		`{"permissions": ["read:leads", 1]}`:            "nothing but strings",
		`{"permissions": ["read:everything"]}`:          `does not include \"read:everything\": the permissions are read:accounts`,
		`{"permissions": ["Read:Leads"]}`:               "does not include",
		`{"permissions": ["read:leads "]}`:              "does not include",
		`{"permissions": [""]}`:                         "does not include",
		`{"permissions": ["*"]}`:                        "does not include",
		`{"permissions": ["read:leads","read:leads"]}`:  "twice",
		`{"permissions": ["read:leads"], "Name": "x"}`:  `write the field as \"name\"`,
		`{"name": "x", "permissions": ["read:leads"`:    "not valid JSON",
		`{"name": "x", "permissions": ["read:leads"]]}`: "not valid JSON",
		`[{"name": "x"}]`:                               "JSON object",
	} {
		got := f.send("PATCH", "/settings/tokens/"+target.ID, body, bearer(caller.Value))
		wantProblem(t, got, http.StatusBadRequest, "invalid_request")
		if !strings.Contains(got.body, says) {
			t.Errorf("%s is answered by %s", body, got.shown())
		}
	}
	if after := f.list(caller.Value)[target.ID]; after.Name != before.Name || *after.ExpiresAt != *before.ExpiresAt || *after.ValidFrom != *before.ValidFrom || len(after.Permissions) != 1 {
		t.Errorf("%+v became %+v", before, after)
	}
}

func TestS5_RevokedStaysAsItIs(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store})
		caller := f.user("ada@example.com", RoleMember)
		target := f.token("ada@example.com", "target")
		wantStatus(t, f.send("DELETE", "/settings/tokens/"+target.ID, "", bearer(caller.Value)), http.StatusNoContent)
		before := f.send("GET", "/settings/tokens", "", bearer(caller.Value)).body
		wantProblem(t, f.send("PATCH", "/settings/tokens/"+target.ID, `{"name": "x"}`, bearer(caller.Value)), http.StatusConflict, "token_revoked")
		if after := f.send("GET", "/settings/tokens", "", bearer(caller.Value)).body; after != before {
			t.Errorf("the list became %s", after)
		}
	})
}

// Of several reasons why a revoked token cannot come back, that one is told
// which no waiting and no revoking of others will change.
func TestS5_RevokedIsToldBeforeAnythingElse(t *testing.T) {
	f := newFixture(t, Config{TokenLimit: 2})
	caller := f.user("ada@example.com", RoleMember)
	gone := f.make(caller.Value, `{"name": "gone", "expires_at": "2026-03-28T11:00:00Z"}`)
	wantStatus(t, f.send("DELETE", "/settings/tokens/"+gone.ID, "", bearer(caller.Value)), http.StatusNoContent)
	f.clock.advance(time.Hour)
	f.token("ada@example.com", "other")
	wantProblem(t, f.send("PATCH", "/settings/tokens/"+gone.ID, `{"expires_at": null}`, bearer(caller.Value)), http.StatusConflict, "token_revoked")
}

// An expired token that is given a new end is one active token more.
func TestS5_LimitHoldsForTokensThatComeBack(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store, TokenLimit: 2})
		caller := f.user("ada@example.com", RoleMember)
		expired := f.make(caller.Value, `{"name": "expired", "expires_at": "2026-03-28T11:00:00Z"}`)
		path := "/settings/tokens/" + expired.ID
		f.clock.advance(time.Hour)
		other := f.token("ada@example.com", "other")
		wantProblem(t, f.send("PATCH", path, `{"expires_at": null}`, bearer(caller.Value)), http.StatusConflict, "token_limit_reached")
		wantStatus(t, f.send("PATCH", path, `{"name": "still expired"}`, bearer(caller.Value)), http.StatusOK)
		if f.works(expired.Token) {
			t.Error("it came back")
		}
		wantStatus(t, f.send("DELETE", "/settings/tokens/"+other.ID, "", bearer(caller.Value)), http.StatusNoContent)
		wantStatus(t, f.send("PATCH", path, `{"expires_at": null}`, bearer(caller.Value)), http.StatusOK)
		wantStatus(t, f.send("PATCH", path, `{"expires_at": "2026-12-01T00:00:00Z"}`, bearer(caller.Value)), http.StatusOK)
		if !f.works(expired.Token) {
			t.Error("it did not come back")
		}
	})
}

func TestS5_TokenOfAnotherOrganization(t *testing.T) {
	f := newFixture(t, Config{})
	ctx := t.Context()
	home := f.user("ada@example.com", RoleViewer)
	if err := f.RemoveMember(ctx, "ada@example.com", DefaultOrganization); err != nil {
		t.Fatal(err)
	}
	if err := f.AddMember(ctx, "ada@example.com", "Elsewhere", RoleOwner); err != nil {
		t.Fatal(err)
	}
	away := f.token("ada@example.com", "away")
	got := f.send("PATCH", "/settings/tokens/"+home.ID, `{"name": "x"}`, bearer(away.Value))
	wantProblem(t, got, http.StatusForbidden, "forbidden")
	// To end it is everybody's right whose it is.
	wantStatus(t, f.send("DELETE", "/settings/tokens/"+home.ID, "", bearer(away.Value)), http.StatusNoContent)
}

func TestS8_RotationByTheTokenItself(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store})
		caller := f.user("ada@example.com", RoleMember)
		old := f.narrowed(caller.Value, domain.ReadTokens, domain.WriteTokens, domain.ReadLeads)
		fresh := f.make(old.Token, `{"name": "narrowed"}`)
		if f.holds(fresh.Token) != f.holds(old.Token) {
			t.Error("the new one holds something else")
		}
		wantStatus(t, f.send("DELETE", "/settings/tokens/"+old.ID, "", bearer(fresh.Token)), http.StatusNoContent)
		if f.works(old.Token) || !f.works(fresh.Token) {
			t.Error("the old one should not work, and the new one should")
		}
	})
}

// H8: there is no way to another value but another token.
func TestH8_NoRotationInPlace(t *testing.T) {
	f := newFixture(t, Config{})
	caller := f.user("ada@example.com", RoleOwner)
	for _, field := range []string{"token", "value", "secret", "token_prefix", "digest", "rotate"} {
		wantProblem(t, f.send("PATCH", "/settings/tokens/"+caller.ID, `{"name": "x", "`+field+`": "y"}`, bearer(caller.Value)), http.StatusBadRequest, "invalid_request")
	}
	for _, path := range []string{"/rotate", "/regenerate", "/token", ""} {
		if got := f.send("POST", "/settings/tokens/"+caller.ID+path, `{}`, bearer(caller.Value)); got.status != http.StatusNotFound && got.status != http.StatusMethodNotAllowed {
			t.Errorf("POST …%s: %d", path, got.status)
		}
	}
	if !f.works(caller.Value) {
		t.Error("the value changed")
	}
}

func TestN1_ExpiryIsCountedToTheSecond(t *testing.T) {
	f := newFixture(t, Config{})
	caller := f.user("ada@example.com", RoleMember)
	created := f.clock.Now().Truncate(time.Second)
	for _, days := range []int{7, 30, 60, 90} {
		f.clock.set(created)
		end := created.AddDate(0, 0, days)
		got := f.make(caller.Value, `{"name": "`+strconv.Itoa(days)+` days", "expires_at": "`+end.Format(time.RFC3339)+`"}`)
		if *got.ExpiresAt != end.Format(time.RFC3339) {
			t.Errorf("%d days end at %s", days, *got.ExpiresAt)
		}
		f.clock.set(end.Add(-time.Second))
		if !f.works(got.Token) {
			t.Errorf("%d days: refused a second before", days)
		}
		f.clock.set(end)
		if f.works(got.Token) {
			t.Errorf("%d days: works afterwards", days)
		}
	}
}

func TestN2_NameIsRequired(t *testing.T) {
	f := newFixture(t, Config{})
	caller := f.user("ada@example.com", RoleMember)
	for _, body := range []string{`{}`, `{"expires_at": "2027-01-01T00:00:00Z"}`, `{"name": ""}`, `{"name": "\u00a0\u2003"}`} {
		got := f.send("POST", "/settings/tokens", body, bearer(caller.Value))
		wantProblem(t, got, http.StatusBadRequest, "invalid_request")
		if !strings.Contains(got.body, "name is required") {
			t.Errorf("%s: %s", body, got.shown())
		}
	}
}
