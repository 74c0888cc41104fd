package authority

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
)

// TestS3_TheValueIsShownOnce sends the form again, as a browser does when the
// page is loaded again.
func TestS3_TheValueIsShownOnce(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newWebFixture(t, Config{Store: store})
		f.user("ada@example.com", RoleMember)
		visit := f.visit("ada@example.com")
		values := visit.form("/web/tokens/new")
		values.Set("name", "Laptop")
		values.Set("expiry", "30")
		first := visit.post("/web/tokens/new", values)
		wantStatus(t, first, http.StatusCreated)
		value := shownField.FindStringSubmatch(first.body)[1]
		if !f.works(value) {
			t.Error("the value does not work")
		}
		if got := first.header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("Cache-Control %q", got)
		}
		again := visit.post("/web/tokens/new", values)
		wantStatus(t, again, http.StatusConflict)
		pages := again.body
		for _, path := range []string{"/web/tokens?state=all", "/web/tokens/new"} {
			pages += visit.get(path).body
		}
		if strings.Contains(pages, value) || strings.Contains(pages, value[len(value)-20:]) {
			t.Error("the value is shown again")
		}
		if n := len(f.list(value)); n != 2 {
			t.Errorf("%d tokens, with the one that there was", n)
		}
		if strings.Contains(f.log.String(), value[20:]) {
			t.Error("the value is in the log")
		}
	})
}

// TestN1_ExpiryToTheSecond compares the choices with what is stored.
func TestN1_ExpiryToTheSecond(t *testing.T) {
	f := newWebFixture(t, Config{})
	f.user("ada@example.com", RoleMember)
	visit := f.visit("ada@example.com")
	now := f.clock.Now().Truncate(time.Second)
	for choice, want := range map[string]string{
		"7": now.AddDate(0, 0, 7).Format(time.RFC3339), "30": now.AddDate(0, 0, 30).Format(time.RFC3339),
		"60": now.AddDate(0, 0, 60).Format(time.RFC3339), "90": now.AddDate(0, 0, 90).Format(time.RFC3339),
		"date": "2026-12-31T23:59:00Z", "never": "",
	} {
		value := visit.create(map[string][]string{"name": {"expiry " + choice}, "expiry": {choice}, "expires_at": {"2026-12-31T23:59"}})
		tokens, err := f.TokensOf(t.Context(), mustUser(t, f, "ada@example.com").ID)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(tokens, func(t domain.Token) bool { return t.Name == "expiry "+choice })
		got := ""
		if end := tokens[i].ExpiresAt; end != nil {
			got = end.Format(time.RFC3339)
		}
		if got != want || !f.works(value) {
			t.Errorf("%s: expires %q, want %q", choice, got, want)
		}
	}
}

func mustUser(t *testing.T, f *fixture, email string) domain.User {
	t.Helper()
	user, err := f.Member(t.Context(), email, "")
	if err != nil {
		t.Fatal(err)
	}
	return user
}

// TestS1_ChoiceOnOfferIsWhatTheRoleHolds narrows a token, and tries to widen it
// beyond the role.
func TestS1_ChoiceOnOfferIsWhatTheRoleHolds(t *testing.T) {
	f := newWebFixture(t, Config{})
	f.user("ada@example.com", RoleViewer)
	visit := f.visit("ada@example.com")
	page := visit.get("/web/tokens/new").body
	for _, p := range domain.KnownPermissions {
		if offered := strings.Contains(page, `value="`+string(p)+`"`); offered != RoleViewer.PermissionSet().Contains(p) {
			t.Errorf("%s is offered to a viewer: %t", p, offered)
		}
	}
	value := visit.create(map[string][]string{"name": {"reader"}, "expiry": {"7"}, "scope": {"some"}, "permission": {"read:tokens", "read:leads"}})
	wantStatus(t, f.send("GET", "/settings/tokens", "", bearer(value)), http.StatusOK)
	wantStatus(t, f.send("POST", "/settings/tokens", `{"name":"x"}`, bearer(value)), http.StatusForbidden)
	got := visit.submit("/web/tokens/new", map[string][]string{"name": {"writer"}, "expiry": {"7"}, "scope": {"some"}, "permission": {"write:leads"}})
	wantStatus(t, got, http.StatusUnprocessableEntity)
	if !strings.Contains(got.body, `id="permissions-problem"`) || !strings.Contains(got.body, "write:leads") {
		t.Error("the form does not say what is wrong")
	}
}

// TestK1_FormsKeepWhatWasTyped sends forms with mistakes in every field.
func TestK1_FormsKeepWhatWasTyped(t *testing.T) {
	f := newWebFixture(t, Config{TokenLimit: 2})
	f.user("ada@example.com", RoleMember)
	visit := f.visit("ada@example.com")
	const name = `<b>"Nightly" & 'import'</b>`
	for what, c := range map[string]struct {
		field  string
		fields map[string][]string
	}{
		"no name":         {"name", map[string][]string{"name": {" "}}},
		"a long name":     {"name", map[string][]string{"name": {strings.Repeat("é", 101)}}},
		"no expiry":       {"expires", map[string][]string{"expiry": {""}}},
		"any expiry":      {"expires", map[string][]string{"expiry": {"36500"}}},
		"no date":         {"expires", map[string][]string{"expiry": {"date"}}},
		"a past date":     {"expires", map[string][]string{"expiry": {"date"}, "expires_at": {"2020-01-01T00:00"}}},
		"words":           {"expires", map[string][]string{"expiry": {"date"}, "expires_at": {"tomorrow"}}},
		"a broken begin":  {"valid", map[string][]string{"valid_from": {"2026-02-30T00:00"}}},
		"begin after end": {"valid", map[string][]string{"valid_from": {"2027-01-01T00:00"}}},
		"nothing chosen":  {"permissions", map[string][]string{"scope": {"some"}}},
		"unknown":         {"permissions", map[string][]string{"scope": {"some"}, "permission": {"admin:write"}}},
	} {
		fields := map[string][]string{"name": {name}, "expiry": {"60"}, "scope": {"all"}, "permission": {"read:leads"}}
		for field, value := range c.fields {
			fields[field] = value
		}
		if what == "nothing chosen" {
			delete(fields, "permission")
		}
		got := visit.submit("/web/tokens/new", fields)
		if got.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: status %d", what, got.status)
			continue
		}
		if !strings.Contains(got.body, `id="`+c.field+`-problem" class="problem">`) {
			t.Errorf("%s: nothing stands at %s", what, c.field)
		}
		if c.field != "name" && !strings.Contains(got.body, `value="&lt;b&gt;&#34;Nightly&#34; &amp; &#39;import&#39;&lt;/b&gt;"`) {
			t.Errorf("%s: the name is lost", what)
		}
		if c.field != "permissions" && !strings.Contains(got.body, `value="read:leads" checked`) {
			t.Errorf("%s: the choice of permissions is lost", what)
		}
		if c.field != "expires" && !strings.Contains(got.body, `value="60" checked`) {
			t.Errorf("%s: the expiry is lost", what)
		}
	}
	visit.create(map[string][]string{"name": {"second"}, "expiry": {"7"}})
	got := visit.submit("/web/tokens/new", map[string][]string{"name": {"third"}, "expiry": {"7"}})
	wantStatus(t, got, http.StatusConflict)
	if !strings.Contains(got.body, "limit of active tokens") || !strings.Contains(got.body, `value="third"`) {
		t.Error("the limit is not told")
	}
}

// A form that made no token can be sent again, as a browser does that loads the
// answer again.
func TestK6_AFormThatMadeNothingIsNotUsedUp(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newWebFixture(t, Config{Store: store, TokenLimit: 1})
		first := f.user("ada@example.com", RoleMember)
		visit := f.visit("ada@example.com")
		values := visit.form("/web/tokens/new")
		for name, value := range map[string]string{"name": "second", "expiry": "7", "scope": "all"} {
			values.Set(name, value)
		}
		wantStatus(t, visit.post("/web/tokens/new", values), http.StatusConflict)
		wantStatus(t, visit.submit("/web/tokens/"+first.ID+"/revoke", nil), http.StatusSeeOther)
		wantStatus(t, visit.post("/web/tokens/new", values), http.StatusCreated)
		wantStatus(t, visit.post("/web/tokens/new", values), http.StatusConflict)
	})
}

// The name of a form is the sender's to write, and PostgreSQL takes no NUL.
func TestK6_AFormOfADamagedNameIsRefused(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newWebFixture(t, Config{Store: store})
		f.user("ada@example.com", RoleMember)
		visit := f.visit("ada@example.com")
		for _, name := range []string{"", "\x00" + rand.Text()[1:], "\xff" + rand.Text()[1:], rand.Text() + "A"} {
			fields := map[string][]string{"form": {name}, "name": {"x"}, "expiry": {"7"}, "scope": {"all"}}
			wantStatus(t, visit.submit("/web/tokens/new", fields), http.StatusBadRequest)
		}
	})
}
