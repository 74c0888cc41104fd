package authority

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/names"
)

// nameBody is a request for a token of a name.
func nameBody(t *testing.T, name string) string {
	t.Helper()
	body, err := json.Marshal(map[string]string{"name": name})
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestP29_TheAPIAndItsPagesTakeNamesOfLivingScriptsAndShowThemAsTyped(t *testing.T) {
	f := newWebFixture(t, Config{TokenLimit: 10_000})
	pat := f.user("ada@example.com", RoleMember).Value
	visit := f.visit("ada@example.com")
	for _, name := range names.Packed() {
		got := f.send("POST", "/settings/tokens", nameBody(t, name), bearer(pat), "Content-Type: application/json")
		if wantStatus(t, got, http.StatusCreated); decode[row](t, got).Name != name {
			t.Errorf("%+q was made as %s", name, got.body)
		}
	}
	for label, name := range names.Living {
		visit.create(map[string][]string{"name": {name}, "expiry": {"30"}, "scope": {"all"}})
		page := visit.get("/web/tokens?q=" + url.QueryEscape(name)).body
		if !strings.Contains(page, `<bdi class="token">`+html.EscapeString(name)+`</bdi>`) {
			t.Errorf("%s is not found or not shown as it was typed", label)
		}
	}
	visit.create(map[string][]string{"name": {"Zoe\u0308"}, "expiry": {"30"}, "scope": {"all"}})
	if page := visit.get("/web/tokens?q=" + url.QueryEscape("ZO\u00cb")).body; !strings.Contains(page, "Zoe\u0308") {
		t.Error("a name is not found in another normal form")
	}
}

func TestP29_TheAPIItsPagesAndItsAdministrationRefuseWhatIsNotSeen(t *testing.T) {
	f := newWebFixture(t, Config{TokenLimit: 10_000})
	pat := f.user("ada@example.com", RoleMember).Value
	visit := f.visit("ada@example.com")
	for label, refused := range names.RefusedNames {
		place := fmt.Sprintf("%U at character %d", refused.Rune, refused.Position)
		got := f.send("POST", "/settings/tokens", nameBody(t, refused.Name), bearer(pat), "Content-Type: application/json")
		if got.status != http.StatusBadRequest || !strings.Contains(got.body, place) {
			t.Errorf("%s: status %d, %s", label, got.status, got.body)
		}
		got = visit.submit("/web/tokens/new", map[string][]string{"name": {refused.Name}, "expiry": {"30"}, "scope": {"all"}})
		if got.status != http.StatusUnprocessableEntity && got.status != http.StatusBadRequest || !strings.Contains(html.UnescapeString(got.body), place) {
			t.Errorf("%s: the page answers %d and does not say %q", label, got.status, place)
		}
		_, unit := f.AddUnit(t.Context(), DefaultOrganization, "unit "+refused.Name)
		_, user := f.AddUser(t.Context(), NewUser{Email: "eve@example.com", FirstName: refused.Name, Role: RoleMember})
		_, organization := f.AddUser(t.Context(), NewUser{Email: "eve@example.com", Role: RoleMember, Organization: "of " + refused.Name})
		for entrance, err := range map[string]error{"unit": unit, "user": user, "organization": organization} {
			var invalid *InvalidError
			if !errors.As(err, &invalid) || !strings.Contains(err.Error(), fmt.Sprintf("%U", refused.Rune)) {
				t.Errorf("%s as the name of a %s: %v", label, entrance, err)
			}
		}
	}
}

func TestP29_UnitsOfLivingScriptsAreToldApart(t *testing.T) {
	f := newFixture(t, Config{})
	f.user("ada@example.com", RoleMember)
	for _, name := range []string{"\u0915\u0930\u094D\u092E", "\u0915\u0930\u092E", "\u0915\u0940\u0930\u092E", "Zo\u00eb"} {
		if _, err := f.AddUnit(t.Context(), DefaultOrganization, name); err != nil {
			t.Errorf("%+q: %v", name, err)
		}
	}
	if _, err := f.AddUnit(t.Context(), DefaultOrganization, "zoe\u0308"); !errors.Is(err, domain.ErrUnitExists) {
		t.Errorf("another normal form of a name is another unit: %v", err)
	}
}
