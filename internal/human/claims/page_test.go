package claims_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/human/claims"
)

// Who fetches a narrowed token sees that it is one.
func TestS4_TheClaimPageTellsWhatANewTokenMayDo(t *testing.T) {
	r := newReplicas(t, nil)
	from, until := time.Now().Add(time.Minute), time.Now().Add(24*time.Hour)
	for _, c := range []struct {
		wanted client.NewToken
		rows   []string
		absent []string
	}{
		{
			client.NewToken{Name: "narrow", ExpiresAt: &until, ValidFrom: &from, Permissions: []string{"read:tokens", "read:leads"}},
			[]string{`Valid from</th><td><bdi>` + from.UTC().Format("2 January 2006, 15:04 UTC") + "<", `Permissions</th><td><bdi>read:leads read:tokens<`}, nil,
		},
		{client.NewToken{Name: "wide", ExpiresAt: &until}, nil, []string{"Valid from", "Permissions"}},
	} {
		created, err := r.ada.API.CreateToken(t.Context(), c.wanted)
		if err != nil {
			t.Fatal(err)
		}
		receipt, err := r.here.Deliver(t.Context(), r.ada, created)
		if err != nil {
			t.Fatal(err)
		}
		claimed, err := r.there.Fetch(t.Context(), receipt.Where[strings.LastIndex(receipt.Where, "/")+1:], r.ada)
		if err != nil {
			t.Fatal(err)
		}
		page := httptest.NewRecorder()
		if err := (claims.Page{Server: "mcp.example.com"}).Token(page, claimed); err != nil {
			t.Fatal(err)
		}
		for _, row := range c.rows {
			if !strings.Contains(page.Body.String(), row) {
				t.Errorf("%s: the page does not tell %q", c.wanted.Name, row)
			}
		}
		for _, word := range c.absent {
			if strings.Contains(page.Body.String(), word) {
				t.Errorf("%s: the page tells of %q", c.wanted.Name, word)
			}
		}
	}
}
