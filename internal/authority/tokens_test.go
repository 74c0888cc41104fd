package authority

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
)

// sameForm checks that got has the members of the documentation's example, in
// its order, each of the same JSON type.
func sameForm(t *testing.T, example, got string) {
	t.Helper()
	if want, have := form(t, example), form(t, got); want != have {
		t.Errorf("form of the answer\n got %s\nwant %s", have, want)
	}
}

var isoSeconds = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`)

// form lists the members of objects by name and everything else by its type; an
// array of strings counts as one thing, however many there are.
func form(t *testing.T, text string) string {
	t.Helper()
	var out []string
	tokens := json.NewDecoder(strings.NewReader(text))
	for {
		token, err := tokens.Token()
		if err != nil {
			return strings.Join(out, " ")
		}
		isName := strings.HasPrefix(strings.TrimSpace(text[tokens.InputOffset():]), ":")
		switch v := token.(type) {
		case json.Delim:
			out = append(out, v.String())
		case string:
			switch {
			case isName:
				out = append(out, v+":")
			case out[len(out)-1] == "string":
			case isoSeconds.MatchString(v):
				out = append(out, "time")
			default:
				out = append(out, "string")
			}
		case nil:
			out = append(out, "null")
		default:
			out = append(out, fmt.Sprintf("%T", v))
		}
	}
}

func TestK1_CreateAnswersAsDocumented(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store})
		caller := f.user("ada@example.com", RoleMember)
		got := f.send("POST", "/settings/tokens", `{"name": "MCP Server - Laptop", "expires_at": "2027-01-01T00:00:00Z"}`, bearer(caller.Value))
		wantStatus(t, got, http.StatusCreated)
		sameForm(t, `{"id": "pat_abc123", "name": "MCP Server - Laptop", "token": "text", "token_prefix": "text",
			"created_at": "2026-03-28T10:00:00Z", "expires_at": "2027-01-01T00:00:00Z"}`, got.body)
		made := decode[map[string]any](t, got)
		if !strings.HasPrefix(made["id"].(string), "pat_") || made["name"] != "MCP Server - Laptop" ||
			made["created_at"] != "2026-03-28T10:00:00Z" || made["expires_at"] != "2027-01-01T00:00:00Z" {
			t.Errorf("answer %s", got.shown())
		}
		if !f.works(made["token"].(string)) {
			t.Error("the new token does not work")
		}

		got = f.send("POST", "/settings/tokens", `{"name": "no end"}`, bearer(caller.Value))
		wantStatus(t, got, http.StatusCreated)
		if v, present := decode[map[string]any](t, got)["expires_at"]; !present || v != nil {
			t.Errorf("expires_at of a token without end is %v, want null", v)
		}
	})
}

func TestK1_NameIsCountedInCodePoints(t *testing.T) {
	f := newFixture(t, Config{})
	caller := f.user("ada@example.com", RoleMember)
	for _, c := range []struct {
		name   string
		status int
	}{
		{"x", 201},
		{strings.Repeat("x", 100), 201},
		{strings.Repeat("é", 100), 201},
		{strings.Repeat("🔑", 100), 201},
		{strings.Repeat("e\u0301", 50), 201},
		{"  kept as it is  ", 201},
		{`<b>"quotes" & %_ ' OR 1=1 --</b>`, 201},
		{"", 400},
		{"   ", 400},
		{strings.Repeat("x", 101), 400},
		{strings.Repeat("🔑", 101), 400},
		{strings.Repeat("e\u0301", 51), 400},
		{"empty\u2800Braille", 400},
		{"zero\u200bwidth", 400},
		{"filler\u3164", 400},
		{"tag\U000E0041", 400},
	} {
		body, err := json.Marshal(map[string]string{"name": c.name})
		if err != nil {
			t.Fatal(err)
		}
		got := f.send("POST", "/settings/tokens", string(body), bearer(caller.Value))
		if got.status != c.status {
			t.Errorf("%q: status %d, want %d: %s", c.name, got.status, c.status, got.shown())
		} else if c.status == 201 && decode[map[string]any](t, got)["name"] != c.name {
			t.Errorf("%q came back as %s", c.name, got.shown())
		}
	}
}

func TestK1_ExpiryIsRFC3339InTheFuture(t *testing.T) {
	f := newFixture(t, Config{})
	caller := f.user("ada@example.com", RoleMember)
	for _, c := range []struct{ expires, want string }{
		{`"2026-12-31T23:59:59Z"`, "2026-12-31T23:59:59Z"},
		{`"2026-12-31T23:59:59+02:00"`, "2026-12-31T21:59:59Z"},
		{`"2026-12-31T23:59:59.999Z"`, "2026-12-31T23:59:59Z"}, // never later than asked
		{`"9999-12-31T23:59:59Z"`, "9999-12-31T23:59:59Z"},
		{`"2026-03-28T10:00:01Z"`, "2026-03-28T10:00:01Z"},
		{`"2026-03-28T10:00:00Z"`, ""},
		{`"2026-03-28T10:00:00.9Z"`, ""}, // in the future, but not in whole seconds
		{`"2020-01-01T00:00:00Z"`, ""},
		{`"0001-01-01T00:00:00Z"`, ""},
		{`"0000-00-00T00:00:00Z"`, ""},
		{`"9999-12-31T23:59:59-01:00"`, ""}, // the year 10000 in UTC
		{`"10000-01-01T00:00:00Z"`, ""},
		{`"2026-12-31"`, ""},
		{`"2026-12-31T23:59:59"`, ""}, // no zone
		{`"2026-12-31 23:59:59Z"`, ""},
		{`"2026-12-31T3:59:59Z"`, ""},
		{`"2026-12-31T23:59:59,5Z"`, ""},
		{`"2026-12-31T23:59:59+24:00"`, ""},
		{`"2026-02-30T00:00:00Z"`, ""},
		{`"30d"`, ""},
		{`"never"`, ""},
		{`""`, ""},
		{`" 2026-12-31T23:59:59Z"`, ""},
		{`1798761599`, ""},
		{`0`, ""},
		{`-1`, ""},
		{`9e18`, ""},
		{`null`, ""},
		{`true`, ""},
		{`{}`, ""},
		{`[]`, ""},
	} {
		got := f.send("POST", "/settings/tokens", `{"name": "x", "expires_at": `+c.expires+`}`, bearer(caller.Value))
		if c.want == "" {
			if got.status != http.StatusBadRequest || !strings.Contains(got.body, "expires_at") {
				t.Errorf("%s: %d %s", c.expires, got.status, got.shown())
			}
			continue
		}
		wantStatus(t, got, http.StatusCreated)
		if expires := decode[map[string]any](t, got)["expires_at"]; expires != c.want {
			t.Errorf("%s became %v, want %s", c.expires, expires, c.want)
		}
	}
}

func TestK2_ListAnswersAsDocumented(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store})
		used := f.user("ada@example.com", RoleViewer)
		f.clock.advance(time.Hour)
		revoked := f.token("ada@example.com", "CI Pipeline")
		f.clock.advance(time.Hour)
		wantStatus(t, f.send("DELETE", "/settings/tokens/"+revoked.ID, "", bearer(used.Value)), http.StatusNoContent)
		expires := f.clock.Now().Add(24 * time.Hour)
		ending, err := f.IssueToken(t.Context(), "ada@example.com", "ending", &expires)
		if err != nil {
			t.Fatal(err)
		}

		got := f.send("GET", "/settings/tokens", "", bearer(used.Value))
		wantStatus(t, got, http.StatusOK)
		sameForm(t, `[
			{"id": "a", "name": "b", "token_prefix": "c", "created_at": "2026-03-28T10:00:00Z", "last_used_at": null, "expires_at": "2026-03-28T10:00:00Z", "revoked_at": null},
			{"id": "a", "name": "b", "token_prefix": "c", "created_at": "2026-03-28T10:00:00Z", "last_used_at": null, "expires_at": null, "revoked_at": "2026-03-28T10:00:00Z"},
			{"id": "a", "name": "b", "token_prefix": "c", "created_at": "2026-03-28T10:00:00Z", "last_used_at": "2026-03-28T10:00:00Z", "expires_at": null, "revoked_at": null}]`, got.body)
		list := decode[[]map[string]any](t, got)
		for i, want := range []Issued{ending, revoked, used} { // the newest first
			if list[i]["id"] != want.ID || list[i]["name"] != want.Name || list[i]["token_prefix"] != want.Prefix {
				t.Errorf("row %d is %v, want %v", i, list[i], want)
			}
			secret := strings.TrimPrefix(want.Value, want.Prefix)
			if strings.Contains(got.body, secret) {
				t.Errorf("the list holds the value of %s", want.ID)
			}
		}
		if list[1]["revoked_at"] != "2026-03-28T12:00:00Z" || list[2]["last_used_at"] != "2026-03-28T12:00:00Z" || list[0]["expires_at"] != "2026-03-29T12:00:00Z" {
			t.Errorf("times in %s", got.shown())
		}
	})
}

func TestK2_EmptyListIsAnArray(t *testing.T) {
	f := newFixture(t, Config{})
	if _, err := f.AddUser(t.Context(), NewUser{Email: "ada@example.com"}); err != nil {
		t.Fatal(err)
	}
	session, err := f.IssueSession(t.Context(), "ada@example.com", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if got := f.send("GET", "/settings/tokens", "", bearer(session)); strings.TrimSpace(got.body) != "[]" {
		t.Errorf("list of nobody's tokens: %s", got.shown())
	}
}

func TestK2_LastUseIsStoredOnceAMinute(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store})
		caller := f.user("ada@example.com", RoleViewer)
		lastUsed := func() any {
			t.Helper()
			return decode[[]map[string]any](t, f.send("GET", "/settings/tokens", "", bearer(caller.Value)))[0]["last_used_at"]
		}
		for _, step := range []struct {
			advance time.Duration
			want    string
		}{
			{0, "2026-03-28T10:00:00Z"},
			{59 * time.Second, "2026-03-28T10:00:00Z"},
			{time.Second, "2026-03-28T10:01:00Z"},
			{-30 * time.Second, "2026-03-28T10:01:00Z"}, // a clock that goes back
			{time.Hour, "2026-03-28T11:00:30Z"},
		} {
			f.clock.advance(step.advance)
			if got := lastUsed(); got != step.want {
				t.Errorf("after %s last use is %v, want %s", step.advance, got, step.want)
			}
		}
	})
}

func TestK3_RevokedForGoodAtOnce(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store})
		caller := f.user("ada@example.com", RoleMember)
		victim := f.token("ada@example.com", "victim")
		if !f.works(victim.Value) {
			t.Fatal("the token does not work")
		}
		got := f.send("DELETE", "/settings/tokens/"+victim.ID, "", bearer(caller.Value))
		wantStatus(t, got, http.StatusNoContent)
		if got.body != "" || got.header.Get("Content-Type") != "" {
			t.Errorf("204 with a body %q of type %q", got.shown(), got.header.Get("Content-Type"))
		}
		if f.works(victim.Value) {
			t.Error("the revoked token works")
		}
		before := f.send("GET", "/settings/tokens", "", bearer(caller.Value)).body
		f.clock.advance(time.Second)
		// Only one request revokes a token; the time stands.
		wantProblem(t, f.send("DELETE", "/settings/tokens/"+victim.ID, "", bearer(caller.Value)), http.StatusNotFound, "not_found")
		if after := f.send("GET", "/settings/tokens", "", bearer(caller.Value)).body; before != after {
			t.Errorf("a second DELETE changed the list\n%s\n%s", before, after)
		}
		// A token may end itself.
		wantStatus(t, f.send("DELETE", "/settings/tokens/"+caller.ID, "", bearer(caller.Value)), http.StatusNoContent)
		if f.works(caller.Value) {
			t.Error("the token that revoked itself works")
		}
	})
}

func TestK3_UnknownAndForeignLookTheSame(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store})
		ada := f.user("ada@example.com", RoleMember)
		ben := f.user("ben@example.com", RoleOwner)
		requestID := regexp.MustCompile(`req_[0-9A-Za-z]+`)
		var first string
		for _, id := range []string{domain.NewID("pat_"), ada.ID, "x", "%00", "%2e%2e", "pat_%25", "*"} {
			got := f.send("DELETE", "/settings/tokens/"+id, "", bearer(ben.Value))
			wantProblem(t, got, http.StatusNotFound, "not_found")
			got.header.Del("Date")
			same := requestID.ReplaceAllString(fmt.Sprint(got.body, got.header), "ID")
			if first == "" {
				first = same
			}
			if same != first {
				t.Errorf("id %s tells itself apart:\n%s\n%s", id, same, first)
			}
		}
		if !f.works(ada.Value) {
			t.Error("somebody else revoked Ada's token")
		}
	})
}

func TestK9_ValueAndPrefix(t *testing.T) {
	f := newFixture(t, Config{TokenLimit: 1000})
	first := f.user("ada@example.com", RoleMember)
	form := regexp.MustCompile(`^kbn_pat_[0-9a-f]{8}[0-9A-Za-z]{38}$`)
	seen := map[string]bool{}
	for _, issued := range append([]Issued{first}, f.token("ada@example.com", "second"), f.token("ada@example.com", "third")) {
		if !form.MatchString(issued.Value) {
			t.Error("a value has another form")
		}
		if issued.Prefix != issued.Value[:len("kbn_pat_")+8] || seen[issued.Prefix] {
			t.Errorf("prefix %s", issued.Prefix)
		}
		seen[issued.Prefix] = true
	}
}
