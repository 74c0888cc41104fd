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

// TestH6_EditingShowsTheTokenAndOffersNeverOnce opens the forms of a token with
// an end and of one without, and the page before a revocation.
func TestH6_EditingShowsTheTokenAndOffersNeverOnce(t *testing.T) {
	f := newWebFixture(t, Config{})
	forever := f.user("ada@example.com", RoleMember)
	begin, end := f.clock.Now().Add(day), f.clock.Now().Add(20*day)
	ending := f.issue("ada@example.com", domain.TokenRequest{Name: "ending", ValidFrom: &begin, Expires: &end})
	visit := f.visit("ada@example.com")
	for _, c := range []struct {
		issued  Issued
		checked string
		keeps   bool
	}{{forever, "never", false}, {ending, "keep", true}} {
		page := visit.get("/web/tokens/" + c.issued.ID).body
		if !strings.Contains(page, "<code>"+c.issued.Prefix+"</code>") {
			t.Errorf("%s: the form does not show which token it is", c.issued.Name)
		}
		if !strings.Contains(page, `value="`+c.checked+`" checked`) || strings.Contains(page, `value="keep"`) != c.keeps {
			t.Errorf("%s: the form does not begin with the expiry that the token has", c.issued.Name)
		}
	}
	if page := visit.get("/web/tokens/" + ending.ID + "/revoke").body; !strings.Contains(page, `Valid from</th><td><bdi>`+begin.UTC().Format("2 Jan 2006, 15:04")) {
		t.Error("S2: the page before a revocation does not tell from when the token is valid")
	}
}
