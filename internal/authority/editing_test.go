package authority

import (
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
)

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
