package authority

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
)

func (f *fixture) uses(userID string, issued Issued) []domain.Use {
	f.t.Helper()
	uses, total, err := f.usesOf(f.t.Context(), userID, issued.ID, 1, 100_000)
	if err != nil {
		f.t.Fatal(err)
	}
	if total != len(uses) {
		f.t.Errorf("%d uses, and %d in all", len(uses), total)
	}
	return uses
}

// storedUses is how many uses of all tokens are stored.
func (f *fixture) storedUses() (n int) {
	f.t.Helper()
	if err := f.reads().QueryRowContext(f.t.Context(), `SELECT count(*) FROM token_uses`).Scan(&n); err != nil {
		f.t.Fatal(err)
	}
	return n
}

func TestS7_EachRequestWithATokenIsRecorded(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store})
		issued := f.user("ada@example.com", RoleViewer)
		member, err := f.Member(t.Context(), "ada@example.com", "")
		if err != nil {
			t.Fatal(err)
		}
		session, err := f.IssueSession(t.Context(), "ada@example.com", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, c := range []struct {
			method, path, body, route string
			status                    int
		}{
			{"GET", "/me", "", "/me", http.StatusOK},
			{"DELETE", "/settings/tokens/pat_of_nobody", "", "/settings/tokens/{id}", http.StatusNotFound},
			{"POST", "/settings/tokens", "{", "/settings/tokens", http.StatusBadRequest},
			{"POST", "/settings/tokens", `{"name": "made"}`, "/settings/tokens", http.StatusCreated},
		} {
			f.clock.advance(time.Second)
			got := f.send(c.method, c.path, c.body, bearer(issued.Value))
			wantStatus(t, got, c.status)
			want = append([]string{fmt.Sprint(f.clock.Now().UnixMicro(), c.method, c.route, c.status, got.header.Get("X-Request-Id"))}, want...)
		}
		// None of these is a request with that token.
		f.send("GET", "/me", "", bearer(session))
		f.send("GET", "/me", "")
		f.send("GET", "/healthz", "")
		f.send("GET", "/me", "", bearer(issued.Value[:len(issued.Value)-1]))
		var got []string
		for _, u := range f.uses(member.ID, issued) {
			got = append(got, fmt.Sprint(u.At.UnixMicro(), u.Method, u.Path, u.Status, u.RequestID))
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("recorded\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if _, _, err := f.usesOf(t.Context(), "user_of_nobody", issued.ID, 1, 10); err == nil {
			t.Error("another user sees them")
		}
	})
}

func TestS7_UsesArePruned(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store, UsagePerToken: 20, UsageRetention: 24 * time.Hour})
		issued := f.user("ada@example.com", RoleMember)
		other := f.token("ada@example.com", "other")
		member, err := f.Member(t.Context(), "ada@example.com", "")
		if err != nil {
			t.Fatal(err)
		}
		f.works(other.Value)
		for range 60 {
			f.works(issued.Value)
		}
		if n := len(f.uses(member.ID, issued)); n < 20 || n > 22 {
			t.Errorf("%d uses are kept, want 20 and at most a tenth more", n)
		}
		f.clock.advance(23 * time.Hour)
		f.works(issued.Value)
		f.uses(member.ID, issued)
		f.clock.advance(2 * time.Hour)
		f.Authority.uses.Prune()
		if mine, others := len(f.uses(member.ID, issued)), len(f.uses(member.ID, other)); mine != 1 || others != 0 {
			t.Errorf("%d and %d uses are left, want the one of the last day", mine, others)
		}
	})
}

// What cannot be stored costs no request anything, and is told.
func TestS7_OverloadLosesUsesAndNothingElse(t *testing.T) {
	f := newFixture(t, Config{Store: sqliteStore(t), UsagePerToken: 100_000})
	issued := f.user("ada@example.com", RoleMember)
	f.works(issued.Value)
	tx, err := f.writes().BeginTx(t.Context(), nil) // the writer waits for this
	if err != nil {
		t.Fatal(err)
	}
	handler := f.Handler()
	const requests = 2*8192 + 100 // twice as many as can wait to be stored
	slow := 0
	for answered := 0; answered < requests; {
		started := time.Now()
		got := record(handler, "GET", "/me", bearer(issued.Value))
		took := time.Since(started)
		switch {
		case got.status == http.StatusOK:
			answered++
		case got.status != http.StatusServiceUnavailable || took < domain.VerifyTimeout:
			t.Fatalf("status %d after %s", got.status, took)
		}
		// Half of them find no room for their use. One or the other is slow on a
		// machine that has more to do, without having waited for the store.
		if took > time.Second {
			if slow++; slow > requests/100 {
				t.Fatalf("%d requests took more than a second", slow)
			}
		}
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	total, lost := 0, 0
	for before := -1; total+lost != requests+1; before = total {
		waitUntil(t, "more of what was not lost is stored", func() bool {
			total, lost = f.storedUses(), 0
			for _, told := range regexp.MustCompile(`"lost":(\d+)`).FindAllStringSubmatch(f.log.String(), -1) {
				n, err := strconv.Atoi(told[1])
				if err != nil {
					t.Fatal(err)
				}
				lost += n
			}
			return total > before
		})
	}
	if lost == 0 {
		t.Error("nothing was lost, so that this shows nothing")
	}
}

// A token that is used more often between two batches than uses are kept costs
// no more than those that are kept.
func TestS7_TheNewestUsesAreKept(t *testing.T) {
	f := newFixture(t, Config{UsagePerToken: 20})
	issued := f.user("ada@example.com", RoleMember)
	member, err := f.Member(t.Context(), "ada@example.com", "")
	if err != nil {
		t.Fatal(err)
	}
	f.works(issued.Value)
	f.uses(member.ID, issued)
	started := f.clock.Now()
	for i := range 50 {
		f.Authority.uses.Record(domain.Use{TokenID: issued.ID, At: started.Add(time.Duration(i+1) * time.Second), RequestID: fmt.Sprint(i)})
	}
	uses := f.uses(member.ID, issued)
	if len(uses) > 22 || uses[0].RequestID != "49" || uses[19].RequestID != "30" {
		t.Errorf("%d uses, the first is %s and the twentieth %s", len(uses), uses[0].RequestID, uses[19].RequestID)
	}
}

// A database that is away for a while costs the uses nothing.
func TestS7_UsesWaitForTheDatabase(t *testing.T) {
	f := newFixture(t, Config{Store: sqliteStore(t)})
	issued := f.user("ada@example.com", RoleMember)
	member, err := f.Member(t.Context(), "ada@example.com", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.writes().ExecContext(t.Context(), `PRAGMA busy_timeout = 1`); err != nil {
		t.Fatal(err)
	}
	other := newFixture(t, Config{Store: "sqlite:" + f.path(t)})
	tx, err := other.writes().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		f.works(issued.Value)
	}
	waitUntil(t, "a batch has failed", func() bool { return strings.Contains(f.log.String(), "could not be recorded") })
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	// The uses and their number are read one after the other, and a batch may be
	// stored between the two.
	waitUntil(t, "all are stored", func() bool { return f.storedUses() == 5 })
	if n := len(f.uses(member.ID, issued)); n != 5 {
		t.Errorf("%d uses", n)
	}
}

// path is the file of a store in SQLite.
func (f *fixture) path(t *testing.T) (path string) {
	t.Helper()
	if err := f.reads().QueryRowContext(t.Context(), `SELECT file FROM pragma_database_list WHERE name = 'main'`).Scan(&path); err != nil {
		t.Fatal(err)
	}
	return path
}
