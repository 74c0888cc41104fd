package authority

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestK6_AFormOfAnotherSessionIsShownAndNotCarriedOut sends forms whose session
// is not the browser's.
func TestK6_AFormOfAnotherSessionIsShownAndNotCarriedOut(t *testing.T) {
	f := newWebFixture(t, Config{})
	issued := f.user("ada@example.com", RoleMember)
	before, now := f.visit("ada@example.com"), f.visit("ada@example.com")
	typed := url.Values{"name": {"typed"}, "expiry": {"60"}, "scope": {"some"}, "permission": {"read:leads"}}
	for _, path := range []string{"/web/tokens/new", "/web/tokens/" + issued.ID} {
		values := before.form(path)
		for name, value := range typed {
			values[name] = value
		}
		got := now.post(path, values)
		wantStatus(t, got, http.StatusForbidden)
		for _, want := range []string{`value="typed"`, `value="60" checked`, `value="read:leads" checked`, "opened in another session"} {
			if !strings.Contains(got.body, want) {
				t.Errorf("%s: the page lacks %s", path, want)
			}
		}
		if sentAsShown(got.body).Get("csrf") == values.Get("csrf") {
			t.Errorf("%s: the form keeps the other session's secret", path)
		}
		// Another site gets no further than before.
		if got := now.post(path, values, "Sec-Fetch-Site: cross-site"); got.status != http.StatusForbidden || strings.Contains(got.body, "typed") {
			t.Errorf("%s: from another site: status %d", path, got.status)
		}
	}
	if rows := f.list(issued.Value); len(rows) != 1 || rows[issued.ID].Name != issued.Name {
		t.Errorf("there are %d tokens, and the first is %q", len(rows), rows[issued.ID].Name)
	}
	// What changed since the form was opened is not hidden behind what was typed.
	values := before.form("/web/tokens/" + issued.ID)
	wantStatus(t, now.submit("/web/tokens/"+issued.ID, map[string][]string{"name": {"Renamed"}, "expiry": {"never"}, "scope": {"all"}}), http.StatusSeeOther)
	wantStatus(t, now.post("/web/tokens/"+issued.ID, values), http.StatusConflict)
}

// TestN4_AFormOutlivesAStoreThatIsAway sends the form again that the page keeps.
func TestN4_AFormOutlivesAStoreThatIsAway(t *testing.T) {
	f := newWebFixture(t, Config{})
	f.user("ada@example.com", RoleMember)
	visit := f.visit("ada@example.com")
	values := visit.form("/web/tokens/new")
	for name, value := range map[string]string{"name": "typed", "expiry": "60", "expires_at": "", "valid_from": "", "scope": "all"} {
		values.Set(name, value)
	}
	sent := url.Values{"stray": {"x"}}
	for name, value := range values {
		sent[name] = value
	}
	if err := f.store.Close(); err != nil {
		t.Fatal(err)
	}
	got := visit.post("/web/tokens/new", sent)
	wantStatus(t, got, http.StatusServiceUnavailable)
	if again := sentAsShown(got.body); again.Encode() != values.Encode() || !strings.Contains(got.body, `action="/web/tokens/new"`) {
		t.Errorf("the page sends %d fields again, of %d", len(again), len(values))
	}
	if got := visit.get("/web/tokens/new"); got.status != http.StatusServiceUnavailable || strings.Contains(got.body, "<form method") {
		t.Error("a page that was only looked at has a form to send again")
	}
}
