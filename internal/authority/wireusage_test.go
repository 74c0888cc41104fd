package authority

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
)

// used stores that requests were made with a token, a second apart, the first
// one at the clock's time.
func (f *fixture) used(tokenID string, requests int) {
	f.t.Helper()
	var uses []domain.Use
	for i := range requests {
		uses = append(uses, domain.Use{
			TokenID: tokenID, At: f.clock.Now().Add(time.Duration(i) * time.Second), RequestID: fmt.Sprintf("req_%d", i), Method: "GET", Path: "/me", Status: 200,
		})
	}
	err := f.store.StoreUses(f.t.Context(), uses, nil, 0)
	if err != nil {
		f.t.Fatal(err)
	}
}

func TestS7_OwnerSeesWhatATokenWasUsedFor(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store})
		f.user("ada@example.com", RoleViewer)
		caller := f.session("ada@example.com")
		target := f.token("ada@example.com", "target")
		f.used(target.ID, 130)
		path := "/settings/tokens/" + target.ID + "/usage"

		got := f.send("GET", path, "", bearer(caller))
		wantStatus(t, got, http.StatusOK)
		first := decode[usageAnswer](t, got)
		if first.Total != 130 || first.Page != 1 || first.Limit != 25 || len(first.Uses) != 25 {
			t.Fatalf("total %d, page %d, limit %d, %d rows", first.Total, first.Page, first.Limit, len(first.Uses))
		}
		want := usageAnswerRow{At: "2026-03-28T10:02:09Z", Method: "GET", Path: "/me", Status: 200, RequestID: "req_129"}
		if first.Uses[0] != want {
			t.Errorf("the newest is %+v", first.Uses[0])
		}
		seen := map[string]bool{}
		for page := 1; page <= 3; page++ {
			got := decode[usageAnswer](t, f.send("GET", fmt.Sprintf("%s?page=%d&limit=60", path, page), "", bearer(caller)))
			for _, use := range got.Uses {
				seen[use.RequestID] = true
			}
		}
		if len(seen) != 130 {
			t.Errorf("three pages of 60 show %d requests", len(seen))
		}
		past := f.send("GET", path+"?page=1000000000&limit=100", "", bearer(caller))
		wantStatus(t, past, http.StatusOK)
		if !strings.Contains(past.body, `"uses":[]`) {
			t.Errorf("past the end: %s", past.shown())
		}
		// A revoked token is when it matters most.
		wantStatus(t, f.send("DELETE", "/settings/tokens/"+target.ID, "", bearer(caller)), http.StatusNoContent)
		if got := decode[usageAnswer](t, f.send("GET", path, "", bearer(caller))); got.Total != 130 {
			t.Errorf("once it is revoked %d are left", got.Total)
		}
	})
}

type usageAnswer struct {
	Uses  []usageAnswerRow `json:"uses"`
	Total int              `json:"total"`
	Page  int              `json:"page"`
	Limit int              `json:"limit"`
}

type usageAnswerRow struct {
	At        string `json:"at"`
	Method    string `json:"method"`
	Path      string `json:"path"`
	Status    int    `json:"status"`
	RequestID string `json:"request_id"`
}

func TestS7_PageAndLimitAreChecked(t *testing.T) {
	f := newFixture(t, Config{})
	caller := f.user("ada@example.com", RoleMember)
	path := "/settings/tokens/" + caller.ID + "/usage?"
	for _, query := range []string{
		"page=0", "page=-1", "page=", "page=x", "page=1.5", "page=1e3", "page=%2B1", "page=1000000001", "page=99999999999999999999",
		"limit=0", "limit=101", "limit=-5", "limit=", "limit=all", "limit=0x10", "limit=%00", "limit=1_0",
		"page=1&page=2", "limit=1&limit=1", "Page=1", "per_page=10", "page=%zz", "page=1;limit=2", "=1",
	} {
		wantProblem(t, f.send("GET", path+query, "", bearer(caller.Value)), http.StatusBadRequest, "invalid_request")
	}
	for _, query := range []string{"", "page=1", "limit=1", "limit=100&page=2"} {
		wantStatus(t, f.send("GET", path+query, "", bearer(caller.Value)), http.StatusOK)
	}
}
