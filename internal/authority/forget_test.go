package authority

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/limits"
	"github.com/kenbun/kenbun-mcp/internal/authority/store"
)

// forgetNow removes what is due, as the background work does.
func (f *fixture) forgetNow(keep time.Duration) int {
	f.t.Helper()
	n, err := f.store.RemoveDead(f.t.Context(), f.now().Add(-keep))
	if err != nil {
		f.t.Error(err)
	}
	return n
}

func TestDeadTokensAreForgotten(t *testing.T) {
	overStores(t, func(t *testing.T, kind string) {
		f := newFixture(t, Config{Store: kind, RateLimits: []limits.Rate{{Requests: 1000, Period: time.Minute}}})
		first := f.user("ada@example.com", RoleMember)
		soon := f.clock.Now().Add(time.Hour)
		dead := map[string]bool{}
		for i := range 2*200 + 7 {
			issued, err := f.IssueToken(t.Context(), "ada@example.com", fmt.Sprint(i), &soon)
			if err != nil {
				t.Fatal(err)
			}
			if i < 3 && !f.works(issued.Value) { // it leaves uses and counts behind
				t.Fatal("a new token does not work")
			}
			wantStatus(t, f.send("DELETE", "/settings/tokens/"+issued.ID, "", bearer(first.Value)), http.StatusNoContent)
			dead[issued.ID] = true
		}
		expired, err := f.IssueToken(t.Context(), "ada@example.com", "expired", &soon)
		if err != nil {
			t.Fatal(err)
		}
		parent := decode[row](t, f.asked(first.Value, `{"name":"parent"}`))
		child := decode[row](t, f.asked(parent.Token, `{"name":"child"}`))
		wantStatus(t, f.send("DELETE", "/settings/tokens/"+parent.ID, "", bearer(first.Value)), http.StatusNoContent)
		f.Authority.uses.Flush(t.Context())

		f.clock.advance(89 * 24 * time.Hour)
		if n := f.forgetNow(store.DefaultKeepDead); n != 0 {
			t.Errorf("%d tokens were forgotten too early", n)
		}
		recent := decode[row](t, f.asked(first.Value, `{"name":"recent"}`))
		wantStatus(t, f.send("DELETE", "/settings/tokens/"+recent.ID, "", bearer(first.Value)), http.StatusNoContent)
		f.clock.advance(2 * 24 * time.Hour)
		// Several nodes do it at once.
		total, nodes := 0, sync.WaitGroup{}
		var mu sync.Mutex
		for range 3 {
			nodes.Go(func() {
				n := f.forgetNow(store.DefaultKeepDead)
				mu.Lock()
				defer mu.Unlock()
				total += n
			})
		}
		nodes.Wait()
		if want := len(dead) + 1; total != want {
			t.Errorf("%d tokens were forgotten, want %d", total, want)
		}
		rows := f.list(first.Value)
		for id := range rows {
			if dead[id] || id == expired.ID {
				t.Errorf("%s is still listed", rows[id].Name)
			}
		}
		for _, kept := range []string{first.ID, parent.ID, child.ID, recent.ID} {
			if _, listed := rows[kept]; !listed {
				t.Errorf("a token that was to stay is gone")
			}
		}
		if f.works(expired.Value) || !f.works(child.Token) {
			t.Error("a forgotten token works, or a living one does not")
		}
		wantStatus(t, f.send("DELETE", "/settings/tokens/"+child.ID, "", bearer(first.Value)), http.StatusNoContent)
		f.clock.advance(91 * 24 * time.Hour)
		if n := f.forgetNow(store.DefaultKeepDead); n != 3 {
			t.Errorf("%d tokens were forgotten with the line of the parent, want 3", n)
		}
	})
}

// What is forgotten is removed in the background, and nothing by default.
func TestForgettingIsForTheServer(t *testing.T) {
	file := sqliteStore(t)
	f := newFixture(t, Config{Store: file})
	first := f.user("ada@example.com", RoleMember)
	made := decode[row](t, f.asked(first.Value, `{"name":"x"}`))
	wantStatus(t, f.send("DELETE", "/settings/tokens/"+made.ID, "", bearer(first.Value)), http.StatusNoContent)
	f.clock.advance(100 * 24 * time.Hour)
	if rows := f.list(first.Value); len(rows) != 2 {
		t.Fatalf("%d tokens, want 2", len(rows))
	}
	server := newFixture(t, Config{Store: file, KeepDead: store.DefaultKeepDead, Now: f.clock.Now})
	for end := time.Now().Add(patience); len(server.list(first.Value)) != 1; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the dead token is still there")
		}
	}
}
