package tokens

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
)

// Pages taken one after the other are the whole list, sorted, whatever the order
// in which the API lists, and a page keeps no more than it has to.
func TestTokenPagesAreTheListSorted(t *testing.T) {
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	var tokens []*client.Token
	for i := range 1000 {
		token := &client.Token{ID: fmt.Sprintf("pat_%03d", i), Name: "import", CreatedAt: now.Add(-time.Duration(i/3) * time.Hour)}
		if i%5 == 0 {
			token.RevokedAt = &now
		}
		tokens = append(tokens, token)
	}
	rand.Shuffle(len(tokens), func(i, j int) { tokens[i], tokens[j] = tokens[j], tokens[i] })
	for _, limit := range []int{1, 7, 200, 5000} {
		var got []*client.Token
		var after *client.Token
		for {
			page := NewPage(Filter{Status: "active"}, now, limit)
			if after != nil {
				page.After = &after
			}
			take := page.Begin()
			for _, token := range tokens {
				take(token)
			}
			kept, left := page.Items()
			if page.Matching != 800 || page.Total() != 1000 || page.Counts["revoked"] != 200 {
				t.Fatalf("matching %d of %d, %v", page.Matching, page.Total(), page.Counts)
			}
			got = append(got, kept...)
			if left != 800-len(got) {
				t.Fatalf("%d tokens, %d left", len(got), left)
			}
			if left == 0 {
				break
			}
			after = kept[len(kept)-1]
		}
		if len(got) != 800 || !slices.IsSortedFunc(got, compareTokens) {
			t.Errorf("pages of %d: %d tokens, sorted: %t", limit, len(got), slices.IsSortedFunc(got, compareTokens))
		}
	}
	// A list that breaks off begins anew.
	page := NewPage(Filter{Status: "all"}, now, 10)
	page.Begin()(tokens[0])
	page.Begin()(tokens[1])
	if kept, _ := page.Items(); len(kept) != 1 || page.Total() != 1 {
		t.Errorf("%d tokens of %d", len(kept), page.Total())
	}
}
