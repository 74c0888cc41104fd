package tokens_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/approval"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

func TestA1_ASpreeIsStoppedByTheClock(t *testing.T) {
	clock := &settableClock{now: time.Now()}
	f := newFixture(t, withPolicy(func(p *tools.Policy) { p.MaxChangesPerMinute = 5 }), withClock(clock))
	session := f.asksWith(`{}`, agreed)
	create := func(i int) *answer {
		return f.callIn(t.Context(), session, "create_token", createArguments(fmt.Sprintf("token %d", i), "2d"))
	}
	// What does not change anything does not count.
	for range 10 {
		f.call("list_tokens", "{}").ok(nil)
		f.call("create_token", createArguments("x", "30")).failed(tools.CodeInvalidArgument)
	}
	var made struct{ ID string }
	for i := range 4 {
		create(i).ok(&made)
	}
	f.callIn(t.Context(), session, "revoke_token", id(made.ID)).ok(nil)
	asked := len(session.asked())

	create(5).failed(tools.CodeRateLimited, "5 changes a minute", "\nWait: ")
	f.callIn(t.Context(), session, "revoke_token", id(made.ID)).ok(nil) // revoked before: nothing changes
	other := f.token("other")
	f.callIn(t.Context(), session, "revoke_token", id(other.ID)).failed(tools.CodeRateLimited)
	f.callIn(t.Context(), session, "rotate_token", `{"id":`+quoted(other.ID)+`,"expires":"2d"}`).failed(tools.CodeRateLimited)
	if len(session.asked()) != asked {
		t.Error("the person was asked about what could not be done")
	}
	f.mustBeLive(other.ID)

	clock.advance(61 * time.Second)
	create(6).ok(nil)
}

// changing is a toolbox that allows some changes a minute, at a clock that stands.
func changing(limit int) option {
	clock := &settableClock{now: time.Now()}
	return func(c *toolsets.Config) { c.Policy.MaxChangesPerMinute, c.Now = limit, clock.Now }
}

func sharing(store approval.Store) option { return func(c *toolsets.Config) { c.Shared = store } }

// creates makes a token, or fails with code if that is not empty.
func (f *fixture) creates(name string, code tools.Code, words ...string) {
	f.t.Helper()
	if answer := f.call("create_token", createArguments(name, "2d")); code == "" {
		answer.ok(nil)
	} else {
		answer.failed(code, words...)
	}
}

// Two users do not use up each other's changes.
func TestChangesAreCountedPerUser(t *testing.T) {
	f := newFixture(t, changing(1))
	f.creates("one", "")
	f.creates("two", tools.CodeRateLimited)
	f.callers.set(f.as(f.api.User(t, "ben@example.test", authority.RoleMember)))
	f.creates("three", "")
	f.creates("four", tools.CodeRateLimited)
}

func TestA1_TwoTokensOfAUserShareTheirChanges(t *testing.T) {
	f := newFixture(t, changing(2), func(c *toolsets.Config) { c.Policy.MaxTokensPerDay = 1 })
	second := f.token("second")
	f.creates("one", "")
	f.callers.set(f.as(second.Value))
	f.creates("two", tools.CodeRateLimited, "1 new tokens in 24 hours")
	session := f.asksWith(`{}`, agreed)
	f.callIn(t.Context(), session, "revoke_token", id(f.token("third").ID)).ok(nil)
	f.callIn(t.Context(), session, "revoke_token", id(f.token("fourth").ID)).failed(tools.CodeRateLimited, "2 changes a minute")
	f.callers.set(f.as(f.pat))
	f.callIn(t.Context(), session, "revoke_token", id(f.token("fifth").ID)).failed(tools.CodeRateLimited, "2 changes a minute")
}

func TestA1_ToolboxesOverOneStoreShareChanges(t *testing.T) {
	store := approval.NewMemory()
	here := newFixture(t, changing(3), sharing(store))
	there := newFixtureSharing(t, here, changing(3), sharing(store))
	here.creates("one", "")
	there.creates("two", "")
	here.creates("three", "")
	there.creates("four", tools.CodeRateLimited, "3 changes a minute")
	here.creates("five", tools.CodeRateLimited)

	// At the same time, each change counts once.
	store = approval.NewMemory()
	here = newFixture(t, changing(5), sharing(store))
	there = newFixtureSharing(t, here, changing(5), sharing(store))
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() { []*fixture{here, there}[i%2].call("create_token", createArguments(fmt.Sprint(i), "2d")) })
	}
	all.Wait()
	if n := len(here.listed()) - 1; n != 5 {
		t.Errorf("%d tokens were made at the same time", n)
	}
}

// An id that another API gives is not the same user.
func TestChangesAreCountedPerAPI(t *testing.T) {
	store := approval.NewMemory()
	here := newFixture(t, changing(1), sharing(store))
	elsewhere := newFixtureSharing(t, here, changing(1), sharing(store), func(c *toolsets.Config) { c.APIAddress = "https://other.example" })
	here.creates("one", "")
	elsewhere.creates("two", "")
	elsewhere.creates("three", tools.CodeRateLimited)
}

// Who the user is, is asked once for each token, before a change.
func TestTheUserIsAskedForOnceBeforeAChange(t *testing.T) {
	for _, status := range []int{http.StatusOK, http.StatusForbidden, http.StatusUnauthorized} {
		f := newFixture(t, changing(20))
		var asked atomic.Int32
		f.proxy.instead(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
			if r.URL.Path == "/me" {
				asked.Add(1)
				if status != http.StatusOK {
					refuse(w, status)
					return
				}
			}
			pass.ServeHTTP(w, r)
		})
		f.call("list_tokens", `{}`).ok(nil)
		if n := asked.Load(); n != 0 {
			t.Errorf("%d: the API was asked %d times without a change", status, n)
		}
		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() { f.call("create_token", createArguments(fmt.Sprint(i), "2d")).ok(nil) })
		}
		all.Wait()
		if n := asked.Load(); n != 1 {
			t.Errorf("%d: the API was asked %d times", status, n)
		}
	}
	f := newFixture(t)
	f.proxy.refuse("GET", "/me", http.StatusTeapot)
	f.creates("without a limit", "")
}

func TestChangesAreCountedPerTokenWithoutMe(t *testing.T) {
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusInternalServerError} {
		f := newFixture(t, changing(1))
		f.proxy.refuse("GET", "/me", status)
		f.creates("one", "")
		f.creates("two", tools.CodeRateLimited)
		f.callers.set(f.as(f.token("second").Value))
		f.creates("three", "")
		f.creates("four", tools.CodeRateLimited)
	}
}

// A token that the API does not accept leaves nothing in the store.
func TestRefusedTokensAreNotCounted(t *testing.T) {
	store := &countingStore{Memory: approval.NewMemory()}
	f := newFixture(t, changing(1), sharing(store))
	f.callers.set(f.as(f.pat[:len(f.pat)-8] + "AAAAAAAA"))
	for range 3 {
		f.creates("one", tools.CodeUnauthenticated)
	}
	if n := store.swaps.Load(); n != 0 {
		t.Errorf("%d values were stored", n)
	}
}

type countingStore struct {
	*approval.Memory
	swaps atomic.Int32
}

func (s *countingStore) Swap(ctx context.Context, key string, old, next []byte, keep time.Duration) (bool, error) {
	s.swaps.Add(1)
	return s.Memory.Swap(ctx, key, old, next, keep)
}

// fallibleStore fails from the n-th call on.
type fallibleStore struct {
	*approval.Memory
	left atomic.Int32
}

var errStoreAway = errors.New("the store is away")

func (s *fallibleStore) Get(ctx context.Context, key string) ([]byte, bool, error) {
	if s.left.Add(-1) < 0 {
		return nil, false, errStoreAway
	}
	return s.Memory.Get(ctx, key)
}

// Nothing is changed while changes cannot be counted.
func TestA1_WithoutTheStoreNothingIsChanged(t *testing.T) {
	for gets := range int32(3) {
		store := &fallibleStore{Memory: approval.NewMemory()}
		f := newFixture(t, changing(5), sharing(store), func(c *toolsets.Config) { c.Policy.Approval = tools.ApprovalClient })
		target := f.token("target")
		store.left.Store(gets)
		f.creates("one", tools.CodeUnavailable)
		store.left.Store(gets % 2)
		f.call("revoke_token", id(target.ID)).failed(tools.CodeUnavailable, "nothing was changed", "--state", "Personal Tokens")
		f.mustBeLive(target.ID)
		if n := len(f.listed()); n != 2 {
			t.Errorf("%d tokens after %d answers of the store", n, gets)
		}
	}
}
