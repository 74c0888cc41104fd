package claims_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/human/claims"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/internal/state"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

// replicas are two servers' claims over one store, with the API behind them.
type replicas struct {
	api         *kenbuntest.API
	redis       *kenbuntest.Redis // nil in memory
	here, there *claims.Claims
	ada, ben    tools.Caller
	log         *lockedBuffer
	audit       auditBook

	mu     sync.Mutex
	clock  time.Time
	events []claims.Event
}

// lockedBuffer takes a log that several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// now is the time for the claims, which goes by in pass alone.
func (r *replicas) now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.clock.IsZero() {
		r.clock = time.Now()
	}
	return r.clock
}

// pass has time go by for the claims.
func (r *replicas) pass(d time.Duration) {
	then := r.now().Add(d)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clock = then
}

func (r *replicas) happened(event claims.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, event)
}

// expectEvents checks what happened since it was called last.
func (r *replicas) expectEvents(t *testing.T, what string, want ...claims.Event) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.events, want) {
		t.Errorf("%s: told of %q, want %q", what, r.events, want)
	}
	r.events = nil
}

// eachKind runs a test with claims in memory and in Redis.
func eachKind(t *testing.T, test func(t *testing.T, r *replicas)) {
	t.Run("memory", func(t *testing.T) { test(t, newReplicas(t, nil)) })
	t.Run("redis", func(t *testing.T) { test(t, newReplicas(t, kenbuntest.StartRedis(t))) })
}

func newReplicas(t *testing.T, redis *kenbuntest.Redis) *replicas {
	t.Helper()
	r := &replicas{api: kenbuntest.Start(t), redis: redis, log: &lockedBuffer{}}
	r.ada = r.caller(t, "ada@example.com", "ada's id")
	r.ben = r.caller(t, "ben@example.com", "ben's id")
	key := state.NewKey()
	address := state.InMemory
	if redis != nil {
		address = redis.URL()
	}
	store := openStore(t, address, key)
	r.here = r.claims(t, store, key.Derive("claims"))
	if redis != nil {
		store = openStore(t, address, key)
	}
	r.there = r.claims(t, store, key.Derive("claims"))
	return r
}

func (r *replicas) caller(t *testing.T, email, id string) tools.Caller {
	t.Helper()
	pat := r.api.User(t, email, authority.RoleMember)
	return tools.Caller{ID: id, API: r.api.As(t, pat)}
}

func openStore(t *testing.T, address string, key *state.Key) state.Store {
	t.Helper()
	store, err := state.Open(t.Context(), state.Config{Address: address, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

func (r *replicas) claims(t *testing.T, store state.Store, key []byte) *claims.Claims {
	t.Helper()
	claims, err := claims.New(claims.Config{
		Store: store, Key: key, API: r.api.Client(t), Now: r.now, Auditor: &r.audit, Observe: r.happened,
		Logger: slog.New(slog.NewJSONHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := claims.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	claims.ReachedAt("https://mcp.example.com/")
	return claims
}

// deliver makes a token as a tool does, and returns the claim's id.
func (r *replicas) deliver(t *testing.T, by *claims.Claims, caller tools.Caller, name string) (*client.CreatedToken, string) {
	t.Helper()
	if err := by.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	expires := time.Now().Add(24 * time.Hour)
	created, err := caller.API.CreateToken(t.Context(), client.NewToken{Name: name, ExpiresAt: &expires})
	if err != nil {
		t.Fatal(err)
	}
	receipt, err := by.Deliver(t.Context(), caller, created)
	if err != nil {
		t.Fatal(err)
	}
	id, ok := strings.CutPrefix(receipt.Where, "https://mcp.example.com/claim/")
	if !ok || !claims.IsID(id) || receipt.Method != "claim" || receipt.Value != "" || !receipt.Pending ||
		!strings.Contains(receipt.Note, "by opening that page in their browser") {
		t.Fatalf("the receipt is %+v", receipt)
	}
	return created, id
}

// works reports whether the API accepts a token.
func (r *replicas) works(t *testing.T, value client.Secret) bool {
	t.Helper()
	_, err := r.api.As(t, value.Reveal()).Me(t.Context())
	if err != nil && !errors.Is(err, client.ErrUnauthenticated) {
		t.Fatal(err)
	}
	return err == nil
}

func wantGone(t *testing.T, err error, reason claims.GoneReason) {
	t.Helper()
	var gone *claims.GoneError
	if !errors.As(err, &gone) || gone.Reason != reason || !gone.Revoked {
		t.Errorf("error %v, want that it is gone (%s) and revoked", err, reason)
	}
}

func TestClaim_MadeOnOneReplicaIsFetchedOnAnother(t *testing.T) {
	eachKind(t, func(t *testing.T, r *replicas) {
		created, id := r.deliver(t, r.here, r.ada, "nightly")
		claimed, err := r.there.Fetch(t.Context(), id, r.ada)
		if err != nil {
			t.Fatal(err)
		}
		if !claimed.Value.Equal(created.Value) || claimed.Token.ID != created.ID || claimed.Token.Name != "nightly" || !claimed.Token.ExpiresAt.Equal(*created.ExpiresAt) {
			t.Errorf("claimed %+v, made %+v", claimed.Token, created.Token)
		}
		if !r.works(t, claimed.Value) {
			t.Error("the claimed token does not work")
		}
	})
}

func TestR39_A9_SecondTryRevokesAndTells(t *testing.T) {
	eachKind(t, func(t *testing.T, r *replicas) {
		created, id := r.deliver(t, r.here, r.ada, "x")
		if _, err := r.here.Fetch(t.Context(), id, r.ada); err != nil {
			t.Fatal(err)
		}
		r.pass(20 * time.Hour) // it is remembered for a day
		_, err := r.there.Fetch(t.Context(), id, r.ada)
		wantGone(t, err, claims.GoneFetched)
		if !strings.Contains(err.Error(), "this claim was fetched already") {
			t.Errorf("the person is told %q", err)
		}
		if r.works(t, created.Value) {
			t.Error("the token works after the second try")
		}
		if !strings.Contains(r.log.String(), `"level":"WARN","msg":"a claim was tried a second time; its token is to be revoked","claim":"`+id) {
			t.Errorf("the operator is not told: %s", r.log)
		}
		_, err = r.here.Fetch(t.Context(), id, r.ada)
		wantGone(t, err, claims.GoneFetched)
	})
}

func TestR39_A9_FiftyAtOnce(t *testing.T) {
	eachKind(t, func(t *testing.T, r *replicas) {
		created, id := r.deliver(t, r.here, r.ada, "x")
		var mu sync.Mutex
		var values []client.Secret
		lost := 0
		var all sync.WaitGroup
		start := make(chan struct{})
		for i := range 50 {
			replica := []*claims.Claims{r.here, r.there}[i%2]
			all.Go(func() {
				<-start
				claimed, err := replica.Fetch(t.Context(), id, r.ada)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					wantGone(t, err, claims.GoneFetched)
					lost++
					return
				}
				values = append(values, claimed.Value)
			})
		}
		close(start)
		all.Wait()
		if len(values) != 1 || !values[0].Equal(created.Value) || lost != 49 {
			t.Errorf("%d got it and %d are told who was first", len(values), lost)
		}
		if r.works(t, created.Value) {
			t.Error("49 others tried, and the token works")
		}
	})
}

func TestA8_AnotherUserLearnsAndChangesNothing(t *testing.T) {
	eachKind(t, func(t *testing.T, r *replicas) {
		created, id := r.deliver(t, r.here, r.ada, "x")
		unknown := id[:len(id)-1] + map[bool]string{true: "A", false: "B"}[id[len(id)-1] != 'A']
		for range 10 {
			_, err := r.there.Fetch(t.Context(), id, r.ben)
			_, other := r.there.Fetch(t.Context(), unknown, r.ben)
			if !errors.Is(err, claims.ErrNoClaim) || err.Error() != other.Error() {
				t.Errorf("another's claim: %v; no claim: %v", err, other)
			}
			if _, err := r.there.Fetch(t.Context(), id, tools.Caller{API: r.ben.API}); !errors.Is(err, claims.ErrNoClaim) {
				t.Errorf("nobody fetches it: %v", err)
			}
		}
		if !strings.Contains(r.log.String(), `"level":"WARN","msg":"somebody tried to fetch a claim that is not theirs","claim":"`+id+`","caller":"ben's id"`) {
			t.Errorf("the operator is not told: %s", r.log)
		}
		claimed, err := r.here.Fetch(t.Context(), id, r.ada)
		if err != nil || !claimed.Value.Equal(created.Value) || !r.works(t, created.Value) {
			t.Errorf("its owner gets %v, %v", claimed, err)
		}
		// Afterwards, too.
		if _, err := r.here.Fetch(t.Context(), id, r.ben); !errors.Is(err, claims.ErrNoClaim) || !r.works(t, created.Value) {
			t.Errorf("after the fetch another's try ends in %v", err)
		}
	})
}

func TestClaim_OfWhoseTokenNoLongerWorksStays(t *testing.T) {
	eachKind(t, func(t *testing.T, r *replicas) {
		created, id := r.deliver(t, r.here, r.ada, "x")
		dead := tools.Caller{ID: r.ada.ID, API: r.api.As(t, "kbn"+"_pat_"+strings.Repeat("a", 46))}
		if _, err := r.there.Fetch(t.Context(), id, dead); !errors.Is(err, client.ErrUnauthenticated) {
			t.Errorf("a token that the API refuses: %v", err)
		}
		gone, err := client.New(client.WithBaseURL("http://127.0.0.1:1"), client.WithRetry(0, 0, 0))
		if err != nil {
			t.Fatal(err)
		}
		unasked := tools.Caller{ID: r.ada.ID, API: gone.As(client.Credential{PAT: created.Value})}
		if _, err := r.there.Fetch(t.Context(), id, unasked); !errors.Is(err, client.ErrUnavailable) {
			t.Errorf("an API that does not answer: %v", err)
		}
		if claimed, err := r.there.Fetch(t.Context(), id, r.ada); err != nil || !claimed.Value.Equal(created.Value) {
			t.Errorf("then its owner gets %v, %v", claimed, err)
		}
	})
}

func TestClaim_OfTokenThatWasRevokedMeanwhileIsTold(t *testing.T) {
	eachKind(t, func(t *testing.T, r *replicas) {
		created, id := r.deliver(t, r.here, r.ada, "x")
		if err := r.ada.API.RevokeToken(t.Context(), created.ID); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			_, err := r.there.Fetch(t.Context(), id, r.ada)
			wantGone(t, err, claims.GoneRevoked)
		}
	})
}

func TestClaim_TakenBackIsRevoked(t *testing.T) {
	eachKind(t, func(t *testing.T, r *replicas) {
		created, id := r.deliver(t, r.here, r.ada, "x")
		claimed, err := r.here.Fetch(t.Context(), id, r.ada)
		if err != nil {
			t.Fatal(err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		r.here.TakeBack(ended, id, claimed, r.ada)
		if r.works(t, created.Value) {
			t.Error("a token that reached nobody works")
		}
	})
}

func TestWrongTriesAreCountedAmongReplicas(t *testing.T) {
	eachKind(t, func(t *testing.T, r *replicas) {
		for i := range 7 {
			claims := []*claims.Claims{r.here, r.there}[i%2]
			wait, err := claims.WrongTry(t.Context(), "claim_A", "192.0.2.1")
			if err != nil || (wait > 0) != (i >= 5) {
				t.Errorf("wrong try %d at a claim: wait %s, %v", i+1, wait, err)
			}
		}
		for i := range 15 {
			wait, err := r.there.WrongTry(t.Context(), "claim_B"+string(rune('a'+i)), "192.0.2.1")
			if err != nil || (wait > 0) != (7+i >= 20) {
				t.Errorf("wrong try %d from an address: wait %s, %v", 8+i, wait, err)
			}
		}
		if wait, err := r.here.WrongTry(t.Context(), "claim_C", "192.0.2.2"); err != nil || wait > 0 {
			t.Errorf("another address waits %s, %v", wait, err)
		}
	})
}

// countedKeys are the counters that reach a store.
type countedKeys struct {
	*state.Memory
	keys map[string]bool
}

func (c *countedKeys) Count(ctx context.Context, key string, window time.Duration) (int, error) {
	c.keys[key] = true
	return c.Memory.Count(ctx, key, window)
}

func TestA28_WrongTriesDoNotFillTheStore(t *testing.T) {
	store := &countedKeys{Memory: state.NewMemory(), keys: map[string]bool{}}
	key := state.NewKey()
	claims, err := claims.New(claims.Config{Store: store, Key: key.Derive("claims"), API: kenbuntest.Start(t).Client(t)})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 500 {
		wait, err := claims.WrongTry(t.Context(), fmt.Sprintf("claim_%d", i), "192.0.2.1")
		if err != nil || (wait > 0) != (i >= 20) {
			t.Fatalf("wrong try %d from an address: wait %s, %v", i+1, wait, err)
		}
	}
	if n := len(store.keys); n > 21 {
		t.Errorf("one address left %d counters, want at most 21", n)
	}
	for i := range 5000 {
		if _, err := claims.WrongTry(t.Context(), fmt.Sprintf("claim_%d", i), fmt.Sprintf("2001:db8:0:%x::/64", i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(store.keys); n > 2500 {
		t.Errorf("5,000 addresses left %d counters", n)
	}
}

func mustFind(t *testing.T, found []tokens.Recovered, want ...tokens.RecoveryOutcome) {
	t.Helper()
	if len(found) != len(want) {
		t.Fatalf("found %+v, want the outcomes %v", found, want)
	}
	for i := range found {
		if found[i].Outcome != want[i] {
			t.Errorf("found %+v, want the outcome %s", found[i], want[i])
		}
	}
}
