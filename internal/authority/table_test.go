package authority

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
	"github.com/kenbun/kenbun-mcp/internal/authority/exchange"
)

const day = 24 * time.Hour

// issue makes a token with everything that a request can ask for.
func (f *fixture) issue(email string, request domain.TokenRequest) Issued {
	f.t.Helper()
	as, err := f.Authenticate(f.t.Context(), f.session(email))
	if err != nil {
		f.t.Fatal(err)
	}
	issued, err := f.Create(f.t.Context(), as, request)
	if err != nil {
		f.t.Fatal(err)
	}
	return issued
}

var (
	tableRow = regexp.MustCompile(`(?s)<tr class="[a-z_]+">.*?</tr>`)
	tag      = regexp.MustCompile(`<[^>]*>`)
)

// rows returns the table's rows as a person reads them.
func rowsOf(page string) []string {
	var rows []string
	for _, row := range tableRow.FindAllString(page, -1) {
		rows = append(rows, strings.Join(strings.Fields(tag.ReplaceAllString(row, " ")), " "))
	}
	return rows
}

// TestN6_TheTableShowsActiveTokensFirst looks through every filter.
func TestN6_TheTableShowsActiveTokensFirst(t *testing.T) {
	f := newWebFixture(t, Config{})
	f.user("ada@example.com", RoleMember)
	now := f.clock.Now()
	soon, later := now.Add(day), now.Add(10*day)
	f.issue("ada@example.com", domain.TokenRequest{Name: "ended", Expires: &soon})
	revoked := f.issue("ada@example.com", domain.TokenRequest{Name: "gone"})
	if err := f.Revoke(t.Context(), mustUser(t, f, "ada@example.com").ID, revoked.ID); err != nil {
		t.Fatal(err)
	}
	f.issue("ada@example.com", domain.TokenRequest{Name: "to come", ValidFrom: &later})
	f.clock.advance(2 * day)
	f.issue("ada@example.com", domain.TokenRequest{Name: "newest", Permissions: domain.NewPermissionSet(domain.ReadLeads, domain.ReadTokens)})
	visit := f.visit("ada@example.com")
	for query, names := range map[string][]string{
		"":                             {"newest", "first"},
		"?state=active":                {"newest", "first"},
		"?state=nonsense":              {"newest", "first"},
		"?state=not_yet_valid":         {"to come"},
		"?state=expired":               {"ended"},
		"?state=revoked":               {"gone"},
		"?state=all":                   {"newest", "first", "gone", "ended", "to come"},
		"?state=all&q=NEWEST":          {"newest"},
		"?state=all&q=TO+C":            {"to come"},
		"?state=all&q=" + revoked.ID:   {"gone"},
		"?q=kbn_pat_":                  {"newest", "first"},
		"?state=all&q=%25":             nil,
		"?page=0":                      {"newest", "first"},
		"?page=99999999999999999999":   {"newest", "first"},
		"?page=7&state=active&q=first": {"first"},
	} {
		got := visit.get("/web/tokens" + query)
		wantStatus(t, got, http.StatusOK)
		rows := rowsOf(got.body)
		if len(rows) != len(names) {
			t.Errorf("%s: %q, want %q", query, rows, names)
			continue
		}
		if query == "" && !strings.HasPrefix(rows[0], "newest kbn_pat_") {
			t.Errorf("the newest is not the first: %q", rows)
		}
		for _, name := range names {
			if !strings.Contains("\n"+strings.Join(rows, "\n"), "\n"+name+" kbn_pat_") {
				t.Errorf("%s: %s is missing in %q", query, name, rows)
			}
		}
	}
	narrowed := rowsOf(visit.get("/web/tokens?q=newest").body)[0]
	if !strings.Contains(narrowed, "read:leads read:tokens") || !strings.Contains(narrowed, "30 Mar 2026, 10:00 UTC") {
		t.Errorf("S4: %s", narrowed)
	}
}

// TestK7_WhatIsStaleOrEndsStandsOut moves the time on.
func TestK7_WhatIsStaleOrEndsStandsOut(t *testing.T) {
	f := newWebFixture(t, Config{})
	used := f.user("ada@example.com", RoleMember)
	inWeek, inMonth := f.clock.Now().Add(97*day), f.clock.Now().Add(120*day)
	f.issue("ada@example.com", domain.TokenRequest{Name: "ends soon", Expires: &inWeek})
	f.issue("ada@example.com", domain.TokenRequest{Name: "ends later", Expires: &inMonth})
	if !f.works(used.Value) {
		t.Fatal("the token does not work")
	}
	f.clock.advance(90*day - time.Minute)
	look := func(name string) string {
		return rowsOf(f.visit("ada@example.com").get("/web/tokens?q=" + strings.ReplaceAll(name, " ", "+")).body)[0]
	}
	if row := look("first"); strings.Contains(row, "not used") {
		t.Errorf("before 90 days: %s", row)
	}
	f.clock.advance(time.Minute)
	for name, want := range map[string]string{"first": "not used for 90 days", "ends soon": "expires in 7 days", "ends later": "never used"} {
		if row := look(name); !strings.Contains(row, want) {
			t.Errorf("%s: %s", name, row)
		}
	}
	if row := look("ends later"); strings.Contains(row, "expires in") {
		t.Errorf("expires in 30 days: %s", row)
	}
	f.clock.advance(6*day + 12*time.Hour)
	if row := look("ends soon"); !strings.Contains(row, "expires within a day") {
		t.Errorf("on the last day: %s", row)
	}
}

// TestN11_TheTableIsFresh makes and revokes tokens past the page.
func TestN11_TheTableIsFresh(t *testing.T) {
	f := newWebFixture(t, Config{})
	f.user("ada@example.com", RoleMember)
	visit := f.visit("ada@example.com")
	for n := range 3 {
		issued := f.token("ada@example.com", fmt.Sprintf("token %d", n))
		got := visit.get("/web/tokens")
		if len(rowsOf(got.body)) != n+2 || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%d rows after %d, Cache-Control %q", len(rowsOf(got.body)), n+2, got.header.Get("Cache-Control"))
		}
		if n == 2 {
			wantStatus(t, f.send("DELETE", "/settings/tokens/"+issued.ID, "", bearer(issued.Value)), http.StatusNoContent)
			if rows := rowsOf(visit.get("/web/tokens").body); len(rows) != n+1 {
				t.Errorf("%d rows after the revocation", len(rows))
			}
		}
	}
}

func TestN6_LongTablesHavePages(t *testing.T) {
	const tokensPerPage = 50
	f := newWebFixture(t, Config{TokenLimit: 200})
	f.user("ada@example.com", RoleMember)
	for n := range 2 * tokensPerPage {
		f.clock.advance(time.Second)
		f.issue("ada@example.com", domain.TokenRequest{Name: fmt.Sprintf("number %d", n)})
	}
	visit := f.visit("ada@example.com")
	seen := map[string]bool{}
	for page, want := range map[string]int{"1": tokensPerPage, "2": tokensPerPage, "3": 1, "4": 1} {
		rows := rowsOf(visit.get("/web/tokens?page=" + page).body)
		if len(rows) != want {
			t.Errorf("page %s has %d rows", page, len(rows))
		}
		for _, row := range rows {
			seen[row] = true
		}
	}
	if len(seen) != 2*tokensPerPage+1 {
		t.Errorf("%d tokens on all pages", len(seen))
	}
}

// TestS5_WhatIsEditedAndWhatStays sends the form with one change at a time.
func TestS5_WhatIsEditedAndWhatStays(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newWebFixture(t, Config{Store: store})
		f.user("ada@example.com", RoleMember)
		end, begin := f.clock.Now().Add(20*day), f.clock.Now().Add(-day)
		issued := f.issue("ada@example.com", domain.TokenRequest{Name: "Laptop", ValidFrom: &begin, Expires: &end, Permissions: domain.NewPermissionSet(domain.ReadLeads, domain.ReadTokens)})
		visit := f.visit("ada@example.com")
		path := "/web/tokens/" + issued.ID
		stored := func() domain.Token {
			t.Helper()
			tokens, err := f.TokensOf(t.Context(), mustUser(t, f, "ada@example.com").ID)
			if err != nil {
				t.Fatal(err)
			}
			if len(tokens) != 2 || tokens[0].ID != issued.ID && tokens[1].ID != issued.ID {
				t.Fatalf("%d tokens", len(tokens))
			}
			if tokens[0].ID == issued.ID {
				return tokens[0]
			}
			return tokens[1]
		}
		before := stored()
		unchanged := map[string][]string{
			"name": {"Laptop"}, "expiry": {"keep"}, "valid_from": {localTime(before.ValidFrom)}, "scope": {"some"}, "permission": {"read:leads", "read:tokens"},
		}
		with := func(field string, values ...string) map[string][]string {
			changed := map[string][]string{}
			for name, value := range unchanged {
				changed[name] = value
			}
			changed[field] = values
			return changed
		}
		for _, c := range []struct {
			fields map[string][]string
			holds  func(domain.Token) bool
		}{
			{unchanged, func(t domain.Token) bool { return t.Name == "Laptop" && t.ExpiresAt.Equal(*before.ExpiresAt) }},
			{with("name", "Desk"), func(t domain.Token) bool { return t.Name == "Desk" && t.ValidFrom.Equal(*before.ValidFrom) }},
			{with("expiry", "90"), func(t domain.Token) bool { return t.ExpiresAt.Equal(f.now().Add(90 * day).Truncate(time.Second)) }},
			{with("expiry", "never"), func(t domain.Token) bool { return t.ExpiresAt == nil }},
			{with("valid_from", ""), func(t domain.Token) bool { return t.ValidFrom == nil }},
			{with("permission", "read:tokens"), func(t domain.Token) bool { return t.Permissions.String() == "read:tokens" }},
			{with("scope", "all"), func(t domain.Token) bool { return t.Permissions == nil }},
		} {
			got := visit.submit(path, c.fields)
			wantStatus(t, got, http.StatusSeeOther)
			if !c.holds(stored()) {
				t.Errorf("%v came to %+v", c.fields, stored())
			}
			if page := visit.get(got.header.Get("Location")); !strings.Contains(page.body, "is saved.") {
				t.Error("the table does not say that it was saved")
			}
		}
		got := visit.submit(path, with("name", ""))
		wantStatus(t, got, http.StatusUnprocessableEntity)
		if !f.works(issued.Value) {
			t.Error("the value does not work any more")
		}
	})
}

// TestS5_WhatTheRoleLostStaysChosen edits a token whose user was demoted.
func TestS5_WhatTheRoleLostStaysChosen(t *testing.T) {
	f := newWebFixture(t, Config{})
	f.user("ada@example.com", RoleAdmin)
	issued := f.issue("ada@example.com", domain.TokenRequest{Name: "Scores", Permissions: domain.NewPermissionSet(domain.ReadScoring, domain.WriteScoring)})
	if err := f.SetRole(t.Context(), "ada@example.com", RoleViewer); err != nil {
		t.Fatal(err)
	}
	visit := f.visit("ada@example.com")
	path := "/web/tokens/" + issued.ID
	if page := visit.get(path).body; !strings.Contains(page, `value="write:scoring" checked`) || !strings.Contains(page, "not held by your role now") {
		t.Error("the form hides what the role lost")
	}
	kept := map[string][]string{"name": {"Renamed"}, "expiry": {"keep"}, "scope": {"some"}, "permission": {"read:scoring", "write:scoring"}}
	wantStatus(t, visit.submit(path, kept), http.StatusSeeOther)
	widened := map[string][]string{"name": {"Renamed"}, "expiry": {"keep"}, "scope": {"some"}, "permission": {"read:leads", "read:scoring", "write:scoring"}}
	got := visit.submit(path, widened)
	wantStatus(t, got, http.StatusUnprocessableEntity)
	if !strings.Contains(got.body, `id="permissions-problem"`) {
		t.Error("the form does not say what is wrong")
	}
}

// TestS6_RevokingAsksFirst looks at the page before, and sends its form twice.
func TestS6_RevokingAsksFirst(t *testing.T) {
	f := newWebFixture(t, Config{})
	issued := f.user("ada@example.com", RoleMember)
	visit := f.visit("ada@example.com")
	path := "/web/tokens/" + issued.ID + "/revoke"
	page := visit.get(path)
	if !strings.Contains(page.body, "This cannot be undone") || !strings.Contains(page.body, issued.Prefix) || !f.works(issued.Value) {
		t.Error("the page does not ask first")
	}
	values := visit.form(path)
	for range 2 {
		got := visit.post(path, values)
		wantStatus(t, got, http.StatusSeeOther)
		if f.works(issued.Value) {
			t.Error("H7: the token works after it was revoked")
		}
		if page := visit.get(got.header.Get("Location")).body; !strings.Contains(page, "is revoked") || len(rowsOf(page)) != 0 {
			t.Error("the table does not say that it was revoked")
		}
	}
	wantStatus(t, visit.get("/web/tokens/"+issued.ID), http.StatusConflict)
	wantStatus(t, visit.post("/web/tokens/"+issued.ID, values), http.StatusConflict)
	// An address alone claims nothing that is not so.
	other := f.token("ada@example.com", "other")
	if page := visit.get("/web/tokens?revoked=" + other.ID).body; strings.Contains(page, "is revoked") {
		t.Error("the page says of a live token that it is revoked")
	}
}

// TestS7_UsageOfAToken writes more uses than a page holds.
func TestS7_UsageOfAToken(t *testing.T) {
	f := newWebFixture(t, Config{})
	issued := f.user("ada@example.com", RoleMember)
	for n := range exchange.PageSize + 1 {
		_, err := f.writes().ExecContext(t.Context(), `INSERT INTO token_uses (token_id, at, request_id, method, path, status) VALUES ($1, $2, $3, $4, $5, $6)`,
			issued.ID, f.now().Add(time.Duration(n)*time.Second).UnixMicro(), fmt.Sprintf("req_%d", n), "GET", "/me", 200)
		if err != nil {
			t.Fatal(err)
		}
	}
	visit := f.visit("ada@example.com")
	path := "/web/tokens/" + issued.ID + "/usage"
	first, second := visit.get(path).body, visit.get(path+"?page=2").body
	if !strings.Contains(first, "req_25<") || strings.Contains(first, "req_0<") || !strings.Contains(first, `rel="next"`) {
		t.Error("the first page does not begin with the newest")
	}
	if !strings.Contains(second, "req_0<") || strings.Contains(second, "req_25<") || !strings.Contains(second, `rel="prev"`) {
		t.Error("the second page does not hold the oldest")
	}
	if beyond := visit.get(path + "?page=9").body; !strings.Contains(beyond, "req_0<") {
		t.Error("a page beyond the last is not the last")
	}
}

// TestK6_EveryPageIsGuarded asks for each page, without and with a session.
func TestK6_EveryPageIsGuarded(t *testing.T) {
	f := newWebFixture(t, Config{})
	issued := f.user("ada@example.com", RoleMember)
	visit := f.visit("ada@example.com")
	for _, c := range []struct {
		path   string
		status int
	}{
		{"/web/tokens", 200},
		{"/web/tokens/new", 200},
		{"/web/tokens/" + issued.ID, 200},
		{"/web/tokens/" + issued.ID + "/revoke", 200},
		{"/web/tokens/" + issued.ID + "/usage", 200},
		{"/web/tokens/..%2f", 404},
		{"/web/tokens/", 200},
		{"/web/nothing", 404},
		{"/web/sign-out", 405},
		{f.link("ada@example.com"), 200},
	} {
		for _, got := range []answer{visit.get(c.path), f.send("GET", c.path, "")} {
			for name, want := range map[string]string{
				"Cache-Control": "no-store", "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Content-Type": "text/html; charset=utf-8",
				"Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
			} {
				if got.header.Get(name) != want {
					t.Errorf("%s: %s is %q", c.path, name, got.header.Get(name))
				}
			}
			if policy := got.header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; ") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") {
				t.Errorf("%s: policy %q", c.path, policy)
			}
			if strings.Contains(got.body, "src=") || strings.Contains(got.body, "http://") && !strings.Contains(got.body, "xmlns='http://www.w3.org") {
				t.Errorf("%s loads something", c.path)
			}
		}
		if got := visit.get(c.path); got.status != c.status {
			t.Errorf("%s: status %d", c.path, got.status)
		}
	}
	wantStatus(t, f.send("GET", "/web/tokens", ""), http.StatusUnauthorized)
	// Only where it is asked for.
	wantStatus(t, newFixture(t, Config{}).send("GET", "/web/tokens", ""), http.StatusNotFound)
}

// TestN4_PagesWithoutAStore closes the store under a session.
func TestN4_PagesWithoutAStore(t *testing.T) {
	f := newWebFixture(t, Config{})
	f.user("ada@example.com", RoleMember)
	visit := f.visit("ada@example.com")
	if err := f.store.Close(); err != nil {
		t.Fatal(err)
	}
	got := visit.get("/web/tokens")
	if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" || strings.Contains(withoutID(got), "sql") {
		t.Errorf("status %d, Retry-After %q", got.status, got.header.Get("Retry-After"))
	}
}
