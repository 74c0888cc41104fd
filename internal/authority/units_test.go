package authority

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
)

func (f *fixture) unit(organization, name string) string {
	f.t.Helper()
	id, err := f.AddUnit(f.t.Context(), organization, name)
	if err != nil {
		f.t.Fatal(err)
	}
	return id
}

func (f *fixture) activeOf(credential string) string {
	f.t.Helper()
	active := decode[meAnswer](f.t, f.send("GET", "/me", "", bearer(credential))).ActiveUnit
	if active == nil {
		f.t.Fatal("no unit is active")
	}
	return *active
}

func TestN7_MemberChoosesHisUnit(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store})
		ada, ben := f.user("ada@example.com", RoleViewer), f.user("ben@example.com", RoleOwner)
		second := f.token("ada@example.com", "second")
		first := f.activeOf(ada.Value)
		emea := f.unit("default", "EMEA & Africa")
		units := decode[[]unitAnswer](t, f.send("GET", "/org-units", "", bearer(ada.Value)))
		if len(units) != 2 || units[0].UnitID != first || !units[0].IsDefault || units[1].UnitID != emea || units[1].IsDefault || units[1].Slug != "emea-africa" || units[1].Name != "EMEA & Africa" {
			t.Errorf("units %+v", units)
		}
		got := f.send("POST", "/org-units/active", `{"ouId": "`+emea+`"}`, bearer(ada.Value))
		wantStatus(t, got, http.StatusOK)
		if strings.TrimSpace(got.body) != `{"ouId":"`+emea+`"}` || got.header.Get("Set-Cookie") != "" {
			t.Errorf("answered by %s", got.body)
		}
		if f.activeOf(ada.Value) != emea || f.activeOf(second.Value) != emea || f.activeOf(ben.Value) != first {
			t.Error("the choice should count for all tokens of the member, and for nobody else")
		}
		wantStatus(t, f.send("POST", "/org-units/active", `{"ouId": "`+first+`"}`, bearer(ada.Value)), http.StatusOK)
		if f.activeOf(ada.Value) != first {
			t.Error("there is no way back")
		}
	})
}

func TestN7_TokenWorksInOneOrganization(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store})
		ctx := t.Context()
		ada := f.user("ada@example.com", RoleOwner)
		if err := f.AddMember(ctx, "ada@example.com", "Elsewhere", RoleOwner); err != nil {
			t.Fatal(err)
		}
		elsewhere := f.unit("Elsewhere", "Sales")
		before := f.activeOf(ada.Value)
		foreign := f.send("POST", "/org-units/active", `{"ouId": "`+elsewhere+`"}`, bearer(ada.Value))
		absent := f.send("POST", "/org-units/active", `{"ouId": "`+domain.NewID("unit_")+`"}`, bearer(ada.Value))
		wantProblem(t, foreign, http.StatusNotFound, "not_found")
		if sameProblem(foreign) != sameProblem(absent) {
			t.Errorf("another organization's unit tells itself apart:\n%s\n%s", foreign.body, absent.body)
		}
		if f.activeOf(ada.Value) != before {
			t.Error("the unit of another organization is active")
		}
		if units := decode[[]unitAnswer](t, f.send("GET", "/org-units", "", bearer(ada.Value))); len(units) != 1 || units[0].UnitID != before {
			t.Errorf("units %+v", units)
		}
		// Membership is checked at each request.
		if err := f.RemoveMember(ctx, "ada@example.com", DefaultOrganization); err != nil {
			t.Fatal(err)
		}
		wantProblem(t, f.send("GET", "/org-units", "", bearer(ada.Value)), http.StatusUnauthorized, "unauthenticated")
	})
}

func TestN7_BadChoicesOfAUnit(t *testing.T) {
	f := newFixture(t, Config{})
	caller := f.user("ada@example.com", RoleMember)
	for _, body := range []string{`{}`, `{"ouId": ""}`, `{"ouId": null}`, `{"ouId": 1}`, `{"ouId": ["x"]}`, `{"ouid": "x"}`, `{"unit_id": "x"}`, `{"ouId": "x", "ouId": "y"}`, `[]`, ``} {
		wantProblem(t, f.send("POST", "/org-units/active", body, bearer(caller.Value), "Content-Type: application/json"), http.StatusBadRequest, "invalid_request")
	}
	for _, id := range []string{"x", "%", `\u0000`, strings.Repeat("x", 60000), "' OR '1'='1"} {
		wantProblem(t, f.send("POST", "/org-units/active", `{"ouId": "`+id+`"}`, bearer(caller.Value)), http.StatusNotFound, "not_found")
	}
}

func TestAddUnit_BadNames(t *testing.T) {
	f := newFixture(t, Config{})
	f.user("ada@example.com", RoleMember)
	var invalid *InvalidError
	for _, name := range []string{"", " ", "&&&", "a\nb", strings.Repeat("x", 101)} {
		if _, err := f.AddUnit(t.Context(), DefaultOrganization, name); !errors.As(err, &invalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := f.AddUnit(t.Context(), DefaultOrganization, "DEFAULT!"); !errors.Is(err, domain.ErrUnitExists) {
		t.Errorf("the same name again: %v", err)
	}
	if _, err := f.AddUnit(t.Context(), "nowhere", "x"); !errors.Is(err, domain.ErrUnknownOrganization) {
		t.Errorf("in no organization: %v", err)
	}
}
