package authority

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/store"
	"github.com/kenbun/kenbun-mcp/internal/privatefile"
)

func TestR21_LimitHoldsUnderConcurrency(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		const limit = 10
		f := newFixture(t, Config{Store: store, TokenLimit: limit})
		caller := f.user("ada@example.com", RoleMember)
		for range limit - 2 {
			f.token("ada@example.com", "filler")
		}
		var made, refused atomic.Int32
		var tries sync.WaitGroup
		for range 200 {
			tries.Go(func() {
				var got answer
				var err error
				// On a slow machine some of so many wait too long to be verified. They are
				// turned away before anything is done, and come back.
				for range 20 {
					if got, err = f.trySend(t.Context(), "POST", "/settings/tokens", `{"name": "one more"}`, bearer(caller.Value)); got.status != http.StatusServiceUnavailable {
						break
					}
				}
				switch {
				case err != nil:
					t.Error(err)
				case got.status == http.StatusCreated:
					made.Add(1)
				case got.status == http.StatusConflict && strings.Contains(got.body, `"token_limit_reached"`):
					refused.Add(1)
				default:
					t.Errorf("status %d: %s", got.status, got.shown())
				}
			})
		}
		tries.Wait()
		if made.Load() != 1 || refused.Load() != 199 {
			t.Errorf("%d made and %d refused, want 1 and 199", made.Load(), refused.Load())
		}
	})
}

func TestK1_LimitCountsActiveTokens(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store, TokenLimit: 3})
		caller := f.user("ada@example.com", RoleMember)
		revoked := f.token("ada@example.com", "to be revoked")
		end := f.clock.Now().Add(time.Hour)
		if _, err := f.IssueToken(t.Context(), "ada@example.com", "to expire", &end); err != nil {
			t.Fatal(err)
		}
		create := func() answer { return f.send("POST", "/settings/tokens", `{"name": "x"}`, bearer(caller.Value)) }
		wantProblem(t, create(), http.StatusConflict, "token_limit_reached")
		f.user("ben@example.com", RoleMember) // another's tokens do not count

		wantStatus(t, f.send("DELETE", "/settings/tokens/"+revoked.ID, "", bearer(caller.Value)), http.StatusNoContent)
		wantStatus(t, create(), http.StatusCreated)
		wantProblem(t, create(), http.StatusConflict, "token_limit_reached")
		f.clock.set(end)
		wantStatus(t, create(), http.StatusCreated)
		wantProblem(t, create(), http.StatusConflict, "token_limit_reached")
	})
}

// No request that starts after a revocation was answered is let in.
func TestR12_NoRequestAfterRevocation(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store})
		caller := f.user("ada@example.com", RoleMember)
		for range 10 {
			victim := f.token("ada@example.com", "victim")
			var revoked atomic.Bool
			var callers sync.WaitGroup
			for range 4 {
				callers.Go(func() {
					for range 1000 {
						startedAfter := revoked.Load()
						got, err := f.trySend(t.Context(), "GET", "/me", "", bearer(victim.Value))
						if err != nil {
							t.Error(err)
							return
						}
						if got.status == http.StatusUnauthorized {
							return
						}
						// Who cannot be verified in time is not let in either.
						if startedAfter && got.status != http.StatusServiceUnavailable {
							t.Errorf("let in after the revocation: %d", got.status)
							return
						}
					}
				})
			}
			wantStatus(t, f.send("DELETE", "/settings/tokens/"+victim.ID, "", bearer(caller.Value)), http.StatusNoContent)
			revoked.Store(true)
			callers.Wait()
		}
	})
}

// Clients that go away in the middle must not take the store with them, which
// in memory is one connection.
func TestCancelledRequestsLeaveTheStoreIntact(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store, TokenLimit: 10000})
		caller := f.user("ada@example.com", RoleMember)
		var clients sync.WaitGroup
		var made atomic.Int32
		for worker := range 8 {
			clients.Go(func() {
				for i := range 25 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(worker*i)*20*time.Microsecond)
					got, err := f.trySend(ctx, "POST", "/settings/tokens", `{"name": "x"}`, bearer(caller.Value))
					if err == nil && got.status == http.StatusCreated {
						made.Add(1)
					}
					cancel()
				}
			})
		}
		clients.Wait()
		if listed := len(f.list(caller.Value)) - 1; listed < int(made.Load()) {
			t.Errorf("%d tokens were made and %d are listed", made.Load(), listed)
		}
		wantStatus(t, f.send("POST", "/settings/tokens", `{"name": "after"}`, bearer(caller.Value)), http.StatusCreated)
	})
}

func TestDurability_EverythingSurvivesARestart(t *testing.T) {
	store := "sqlite:" + filepath.Join(t.TempDir(), "a folder?with 100% odd#name", "kenbun.db")
	var kept, revoked Issued
	var list string
	t.Run("before", func(t *testing.T) {
		f := newFixture(t, Config{Store: store})
		kept = f.user("ada@example.com", RoleAdmin)
		revoked = f.token("ada@example.com", "revoked")
		wantStatus(t, f.send("DELETE", "/settings/tokens/"+revoked.ID, "", bearer(kept.Value)), http.StatusNoContent)
		list = f.send("GET", "/settings/tokens", "", bearer(kept.Value)).body
	})
	t.Run("after", func(t *testing.T) {
		f := newFixture(t, Config{Store: store})
		if got := f.send("GET", "/settings/tokens", "", bearer(kept.Value)).body; got != list {
			t.Errorf("the list was %s\nand is %s", list, got)
		}
		if f.works(revoked.Value) {
			t.Error("the revoked token works again")
		}
	})
}

// Two authorities stand for two processes: they share nothing but the file.
func TestTwoAuthoritiesOnOneFile(t *testing.T) {
	store := sqliteStore(t)
	one, two := newFixture(t, Config{Store: store}), newFixture(t, Config{Store: store})
	issued := one.user("ada@example.com", RoleMember)
	if !two.works(issued.Value) {
		t.Fatal("the other does not know the token")
	}
	victim := two.token("ada@example.com", "victim")
	if !one.works(victim.Value) {
		t.Fatal("the one does not know the token")
	}
	wantStatus(t, one.send("DELETE", "/settings/tokens/"+victim.ID, "", bearer(issued.Value)), http.StatusNoContent)
	if two.works(victim.Value) {
		t.Error("a token that the one revoked works at the other")
	}
	if err := two.Suspend(t.Context(), "ada@example.com"); err != nil {
		t.Fatal(err)
	}
	if one.works(issued.Value) {
		t.Error("a user whom the other suspended is let in by the one")
	}
	if err := one.Restore(t.Context(), "ada@example.com"); err != nil {
		t.Fatal(err)
	}
	var writers sync.WaitGroup
	for _, f := range []*fixture{one, two} {
		for range 4 {
			writers.Go(func() {
				for range 5 {
					if _, err := f.IssueToken(t.Context(), "ada@example.com", "both write", nil); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	writers.Wait()
	if n := len(one.list(issued.Value)); n != 42 {
		t.Errorf("%d tokens, want 42", n)
	}
}

func TestOpen_BadConfiguration(t *testing.T) {
	for _, cfg := range []Config{
		{Store: "postgres://somewhere/else"},
		{Store: "sqlite:"},
		{Store: "Memory"},
		{Store: "kenbun.db"},
		{TokenLimit: -1},
	} {
		if a, err := Open(t.Context(), cfg); err == nil {
			t.Errorf("%+v was opened: %v", cfg, a.Close())
		}
	}
}

func TestA58_NewerSchemaIsRefused(t *testing.T) {
	store := sqliteStore(t)
	a, err := Open(t.Context(), Config{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writesOf(a).ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)`); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Config{Store: store}); err == nil || !strings.Contains(err.Error(), "999") {
		t.Errorf("a newer database: %v", err)
	}
}

func TestOpen_WaitsForTheLockNoLongerThanAsked(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "private")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "kenbun.db")
	unlock, err := privatefile.Lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := Open(ctx, Config{Store: "sqlite:" + path}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while another opens it: %v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	a, err := Open(t.Context(), Config{Store: "sqlite:" + path})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

// A store that another process keeps locked is no reason to fail a request
// that only reads, nor one whose last use cannot be stored.
func TestN4_BusyStoreStillVerifies(t *testing.T) {
	store := sqliteStore(t)
	f := newFixture(t, Config{Store: store})
	f.lastUse.Patience = 50 * time.Millisecond // as in production
	issued := f.user("ada@example.com", RoleMember)
	other, err := Open(t.Context(), Config{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	tx, err := writesOf(other).BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	// Longer than a request waits for its last use to be stored.
	if _, err := f.writes().ExecContext(t.Context(), `PRAGMA busy_timeout = 200`); err != nil {
		t.Fatal(err)
	}
	if !f.works(issued.Value) {
		t.Error("a locked store refuses a token")
	}
	// What changes something is refused before it has begun, and says so.
	got := f.send("POST", "/settings/tokens", `{"name": "x"}`, bearer(issued.Value))
	wantProblem(t, got, http.StatusServiceUnavailable, "unavailable")
	if got.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if err := errors.Join(tx.Rollback(), other.Close()); err != nil {
		t.Fatal(err)
	}
	if n := len(f.list(issued.Value)); n != 1 {
		t.Errorf("the refused request made %d tokens", n-1)
	}
}

// A store that takes no changes answers as one that is away does, for those that
// change something, and goes on verifying.
func TestN4_AStoreThatTakesNoChanges(t *testing.T) {
	for name, statement := range map[string]string{"full": "PRAGMA max_page_count = 1", "read only": "PRAGMA query_only = 1"} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, Config{Store: "sqlite:" + filepath.Join(t.TempDir(), "private", "kenbun.db"), TokenLimit: 1000})
			caller := f.user("ada@example.com", RoleMember)
			if _, err := f.writes().ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
			var got answer
			made := 1
			for ; made < 1000; made++ { // what is free in the file is used up first
				if got = f.send("POST", "/settings/tokens", `{"name": "one more"}`, bearer(caller.Value)); got.status != http.StatusCreated {
					break
				}
			}
			wantProblem(t, got, http.StatusServiceUnavailable, "unavailable")
			if got.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			if listed := len(f.list(caller.Value)); listed != made {
				t.Errorf("%d tokens are listed, and %d were made", listed, made)
			}
			if _, err := f.IssueToken(t.Context(), "ada@example.com", "one more", nil); !errors.Is(err, store.ErrTakesNothing) {
				t.Errorf("an operator is told: %v", err)
			}
		})
	}
}

// Up to schema version 8, nodes stored their counts of requests. They referred to
// tokens, so that counts left behind would keep tokens from being removed.
func TestOpen_DropsTheRequestCountsOfOlderVersions(t *testing.T) {
	overLastingStores(t, func(t *testing.T, kind string) {
		var made Issued
		t.Run("an older version", func(t *testing.T) {
			f := newFixture(t, Config{Store: kind})
			made = f.user("ada@example.com", RoleMember)
			for _, statement := range []string{
				`CREATE TABLE request_counts (
					token_id TEXT NOT NULL REFERENCES tokens (id), period BIGINT NOT NULL, starts_at BIGINT NOT NULL, requests BIGINT NOT NULL,
					PRIMARY KEY (token_id, period))`,
				`INSERT INTO request_counts VALUES ('` + made.ID + `', 60000000, 0, 7)`,
				`DELETE FROM goose_db_version WHERE version_id = 9`,
				`UPDATE tokens SET revoked_at = 1`,
			} {
				if _, err := f.writes().ExecContext(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
		})
		f := newFixture(t, Config{Store: kind})
		if n := f.forgetNow(store.DefaultKeepDead); n != 1 {
			t.Errorf("%d tokens were removed, want the one of which requests were counted", n)
		}
	})
}
