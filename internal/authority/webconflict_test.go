package authority

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
)

var (
	inputField = regexp.MustCompile(`<input [^>]*>`)
	attribute  = regexp.MustCompile(` ([a-z]+)="([^"]*)"`)
)

// sentAsShown returns what the form on a page sends if nothing is changed in it.
func sentAsShown(page string) url.Values {
	values := url.Values{}
	_, form, _ := strings.Cut(page, "<main")
	for _, input := range inputField.FindAllString(form, -1) {
		has := map[string]string{}
		for _, found := range attribute.FindAllStringSubmatch(input, -1) {
			has[found[1]] = html.UnescapeString(found[2])
		}
		if (has["type"] != "radio" && has["type"] != "checkbox") || strings.HasSuffix(input, " checked>") || strings.Contains(input, " checked ") {
			values.Add(has["name"], has["value"])
		}
	}
	return values
}

// TestS5_AFormUndoesNothingThatItDoesNotShow narrows a token while the form in
// which it is renamed is open.
func TestS5_AFormUndoesNothingThatItDoesNotShow(t *testing.T) {
	f := newWebFixture(t, Config{})
	issued := f.user("ada@example.com", RoleMember)
	visit := f.visit("ada@example.com")
	path := "/web/tokens/" + issued.ID
	values := visit.form(path)
	for name, value := range map[string]string{"name": "Renamed", "expiry": "keep", "scope": "all"} {
		values.Set(name, value)
	}
	session, err := f.IssueSession(t.Context(), "ada@example.com", 0)
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, f.send("PATCH", "/settings/tokens/"+issued.ID, `{"permissions": ["read:leads"]}`, bearer(session)), http.StatusOK)
	got := visit.post(path, values)
	wantStatus(t, got, http.StatusConflict)
	if row := f.list(session)[issued.ID]; len(row.Permissions) != 1 || row.Name != issued.Name {
		t.Errorf("the token is %q with %v", row.Name, row.Permissions)
	}
	// What was typed is there, and what was changed meanwhile as well.
	for _, want := range []string{"was changed after this form was opened", `value="Renamed"`, `value="some" checked`, `value="read:leads" checked`} {
		if !strings.Contains(got.body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(got.body, `value="write:leads" checked`) || strings.Contains(got.body, `-problem"`) {
		t.Error("the page shows the token wider than it is, or a conflict where there is none")
	}
	values.Del("seen")
	wantStatus(t, visit.post(path, values), http.StatusBadRequest)
	wantStatus(t, visit.post(path, sentAsShown(got.body)), http.StatusSeeOther)
	if row := f.list(session)[issued.ID]; len(row.Permissions) != 1 || row.Name != "Renamed" {
		t.Errorf("the token is %q with %v", row.Name, row.Permissions)
	}
}

// TestS5_AConflictShowsBothSides changes everything of a token while its form is
// open, and all but the name in the form as well.
func TestS5_AConflictShowsBothSides(t *testing.T) {
	f := newWebFixture(t, Config{})
	f.user("ada@example.com", RoleMember)
	begin, end := f.clock.Now().Add(day), f.clock.Now().Add(20*day)
	issued := f.issue("ada@example.com", domain.TokenRequest{Name: "Laptop", ValidFrom: &begin, Expires: &end, Permissions: domain.NewPermissionSet(domain.ReadLeads, domain.ReadTokens)})
	visit := f.visit("ada@example.com")
	path := "/web/tokens/" + issued.ID
	values := sentAsShown(visit.get(path).body)
	session, err := f.IssueSession(t.Context(), "ada@example.com", 0)
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, f.send("PATCH", "/settings/tokens/"+issued.ID,
		`{"name": "Desk & \"chair\"", "valid_from": null, "expires_at": null, "permissions": ["read:tokens"]}`, bearer(session)), http.StatusOK)

	// Nobody typed anything: the token is shown as it is, whichever way a browser
	// writes a time that ends in a whole minute.
	values.Set("valid_from", strings.TrimSuffix(values.Get("valid_from"), ":00"))
	got := visit.post(path, values)
	wantStatus(t, got, http.StatusConflict)
	if strings.Contains(got.body, `-problem"`) {
		t.Error("the page complains of a field that nobody changed in the form")
	}
	if now, want := sentAsShown(got.body), sentAsShown(visit.get(path).body); now.Encode() != want.Encode() {
		t.Errorf("the form sends\n%v, want\n%v", now, want)
	}

	for name, typed := range map[string][]string{
		"expiry": {"30"}, "valid_from": {localTime(&end)}, "permission": {"read:leads"},
	} {
		values[name] = typed
	}
	got = visit.post(path, values)
	wantStatus(t, got, http.StatusConflict)
	for _, want := range []string{
		`value="Desk &amp; &#34;chair&#34;"`, `value="30" checked`, `value="` + localTime(&end) + `"`, `value="read:leads" checked`,
		"The expiry was changed meanwhile. It is now: never.",
		"“Valid from” was changed meanwhile. It is now: its creation.",
		"The choice of permissions was changed meanwhile. It is now: read:tokens.",
	} {
		if !strings.Contains(got.body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(got.body, `name-problem"`) || strings.Contains(got.body, `value="read:tokens" checked`) {
		t.Error("the page mixes both sides up")
	}
	again := sentAsShown(got.body)
	again.Set("valid_from", "")
	wantStatus(t, visit.post(path, again), http.StatusSeeOther)
	if row := f.list(session)[issued.ID]; row.Name != `Desk & "chair"` || row.ExpiresAt == nil || len(row.Permissions) != 1 || row.Permissions[0] != "read:leads" {
		t.Errorf("the token is %q until %v with %v", row.Name, row.ExpiresAt, row.Permissions)
	}
	for _, seen := range []string{"", "%zz", "="} {
		values.Set("seen", seen)
		if got := visit.post(path, values); got.status != http.StatusBadRequest && got.status != http.StatusConflict {
			t.Errorf("seen %q: status %d", seen, got.status)
		}
	}
}

// TestS5_APermissionOfAnotherVersionStaysChosen opens the form of a token that was
// narrowed by a version with more permissions, and overtakes it.
func TestS5_APermissionOfAnotherVersionStaysChosen(t *testing.T) {
	f := newWebFixture(t, Config{})
	f.user("ada@example.com", RoleMember)
	issued := f.issue("ada@example.com", domain.TokenRequest{Name: "Laptop", Permissions: domain.NewPermissionSet(domain.ReadLeads)})
	if _, err := f.writes().ExecContext(t.Context(), `UPDATE tokens SET permissions = 'read:leads read:weather' WHERE id = $1`, issued.ID); err != nil {
		t.Fatal(err)
	}
	visit := f.visit("ada@example.com")
	path := "/web/tokens/" + issued.ID
	values := sentAsShown(visit.get(path).body)
	if _, err := f.writes().ExecContext(t.Context(), `UPDATE tokens SET name = 'Desk' WHERE id = $1`, issued.ID); err != nil {
		t.Fatal(err)
	}
	for name, page := range map[string]string{"form": visit.get(path).body, "conflict": visit.post(path, values).body} {
		if !strings.Contains(page, `value="read:weather" checked`) {
			t.Errorf("%s: the permission is taken away unseen", name)
		}
	}
	values = sentAsShown(visit.get(path).body)
	values.Add("permission", "read:nothing")
	if got := visit.post(path, values); strings.Contains(got.body, "read:nothing") {
		t.Error("the form offers what nobody knows")
	}
}
