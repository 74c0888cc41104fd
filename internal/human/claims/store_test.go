package claims_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/human/claims"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/internal/state"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

func TestA31_StoreHoldsNothingThatHelps(t *testing.T) {
	r := newReplicas(t, kenbuntest.StartRedis(t))
	waiting, _ := r.deliver(t, r.here, r.ada, "telling name")
	fetched, id := r.deliver(t, r.here, r.ada, "another name")
	if _, err := r.there.Fetch(t.Context(), id, r.ada); err != nil {
		t.Fatal(err)
	}
	if _, err := r.there.WrongTry(t.Context(), id, "192.0.2.1"); err != nil {
		t.Fatal(err)
	}
	dump := r.redis.Dump(t)
	if n := strings.Count(dump, "kenbun-mcp:value:claim:claim_"); n != 2 {
		t.Fatalf("there are %d claims in the store: %s", n, dump)
	}
	lengths := map[bool]int{}
	for line := range strings.Lines(dump) {
		if strings.HasPrefix(line, "kenbun-mcp:value:claim:") {
			lengths[strings.Contains(line, id)] = len(line)
		}
		if !strings.HasPrefix(line, "kenbun-mcp:") {
			t.Errorf("a key without our name before it: %s", line)
		}
		// A claim that was fetched is remembered for a day.
		if strings.Contains(line, id) && strings.Contains(line, ":value:claim:") && (!strings.Contains(line, ", 86") || len(line) > 2000) {
			t.Errorf("the fetched claim is kept otherwise: %s", line)
		}
	}
	if lengths[true] > lengths[false]-len(fetched.Value.Reveal()) {
		t.Errorf("%d bytes are kept of a claim that was fetched, %d of one that waits: the value is still there", lengths[true], lengths[false])
	}
	for _, part := range []string{"telling", "another name", waiting.ID, fetched.ID, waiting.Prefix, fetched.Prefix} {
		if strings.Contains(dump, part) {
			t.Errorf("the store holds %q in the clear", part)
		}
	}
	for _, value := range []string{waiting.Value.Reveal(), fetched.Value.Reveal()} {
		secret := value[16:]
		for _, form := range []string{secret, secret[:16], base64.RawStdEncoding.EncodeToString([]byte(secret)), hex.EncodeToString([]byte(secret))} {
			if strings.Contains(dump, form) {
				t.Error("the store holds a token")
			}
		}
		if strings.Contains(r.log.String(), secret) {
			t.Error("the log holds a token")
		}
	}
}

// TestA31_StoreAndItsKeyOpenNoWaitingValue has whoever holds a dump of the store
// and its key look for the value, in a process that was not there when the claim
// was made.
func TestA31_StoreAndItsKeyOpenNoWaitingValue(t *testing.T) {
	r := &replicas{api: kenbuntest.Start(t), redis: kenbuntest.StartRedis(t), log: &lockedBuffer{}}
	r.ada, r.ben = r.caller(t, "ada@example.com", "ada's id"), r.caller(t, "ben@example.com", "ben's id")
	key := state.NewKey()
	store := storeOf(t, r, key)
	r.here = r.claims(t, store, key.Derive("claims"))
	created, id := r.deliver(t, r.here, r.ada, "x")

	attacker := r.claims(t, store, key.Derive("claims"))
	opened, err := attacker.OpenRecord(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	secret := created.Value.Reveal()[16:]
	if !strings.Contains(opened, created.ID) || strings.Contains(opened, secret) || strings.Contains(opened, base64.StdEncoding.EncodeToString([]byte(created.Value.Reveal()))) {
		t.Errorf("the record holds the value, or nothing was tried")
	}
	if value, err := attacker.OpenToRevoke(t.Context(), id); err == nil {
		t.Errorf("a process that was not there opens the copy for revoking: %d characters", len(value.Reveal()))
	}
	for name, pat := range map[string]tools.Caller{"another user's token": r.ben, "another token named as the owner's": {ID: r.ada.ID, API: r.ben.API}} {
		if claimed, err := attacker.Fetch(t.Context(), id, pat); !errors.Is(err, claims.ErrNoClaim) {
			t.Errorf("%s: %v, %v", name, claimed, err)
		}
	}
	if claimed, err := attacker.Fetch(t.Context(), id, r.ada); err != nil || !claimed.Value.Equal(created.Value) {
		t.Errorf("with the user's token: %v", err)
	}
}

// When no process lives any more that could revoke, the user's next call does.
func TestA33_EndedClaimIsRevokedAtItsUsersNextCall(t *testing.T) {
	r := &replicas{api: kenbuntest.Start(t), redis: kenbuntest.StartRedis(t), log: &lockedBuffer{}}
	r.ada, r.ben = r.caller(t, "ada@example.com", "ada's id"), r.caller(t, "ben@example.com", "ben's id")
	key := state.NewKey()
	store := storeOf(t, r, key)
	r.here = r.claims(t, store, key.Derive("claims"))
	created, _ := r.deliver(t, r.here, r.ada, "x")
	fetched, fetchedID := r.deliver(t, r.here, r.ada, "fetched")
	next := r.claims(t, store, key.Derive("claims"))
	if _, err := next.Fetch(t.Context(), fetchedID, r.ada); err != nil {
		t.Fatal(err)
	}
	recovered := func(caller tools.Caller) []tokens.Recovered {
		t.Helper()
		found, err := next.WithClaims(nil).Recover(t.Context(), caller)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	mustFind(t, recovered(r.ada)) // it waits
	r.pass(claims.MaxLifetime + time.Minute)
	if err := next.SweepDue(t.Context()); err != nil || !r.works(t, created.Value) {
		t.Fatalf("a process that was not there revokes it: %v", err)
	}
	mustFind(t, recovered(r.ben))
	mustFind(t, recovered(r.ada), tokens.RecoveredRevoked)
	if r.works(t, created.Value) || !r.works(t, fetched.Value) {
		t.Error("the wrong token was revoked")
	}
	mustFind(t, recovered(r.ada))
}

// storeOf opens a test's own way into the store.
func storeOf(t *testing.T, r *replicas, key *state.Key) state.Store {
	t.Helper()
	return openStore(t, r.redis.URL(), key)
}

func TestClaim_CannotBePassedOffAsAnother(t *testing.T) {
	r := &replicas{api: kenbuntest.Start(t), redis: kenbuntest.StartRedis(t), log: &lockedBuffer{}}
	r.ada, r.ben = r.caller(t, "ada@example.com", "ada's id"), r.caller(t, "ben@example.com", "ben's id")
	key := state.NewKey()
	store := storeOf(t, r, key)
	r.here = r.claims(t, store, key.Derive("claims"))
	_, id := r.deliver(t, r.here, r.ada, "x")
	_, benID := r.deliver(t, r.here, r.ben, "y")
	ctx := t.Context()
	get := func(id string) string {
		value, ok, err := store.Get(ctx, "claim:"+id)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		return string(value)
	}
	of, bens := get(id), get(benID)
	for name, forged := range map[string]string{
		"ben as the owner of ada's": strings.Replace(of, "ada's id", "ben's id", 1),
		"ada's under ben's id":      of,
		"garbage":                   "garbage",
		"another box":               strings.Replace(bens, `"box":"`, `"box":"AAAA`, 1),
	} {
		if swapped, err := store.Swap(ctx, "claim:"+benID, []byte(get(benID)), []byte(forged), time.Minute); err != nil || !swapped {
			t.Fatal(name, swapped, err)
		}
		for _, caller := range []tools.Caller{r.ada, r.ben} {
			if name == "ada's under ben's id" && caller.ID == r.ada.ID {
				// She is named as the owner, and still the box is of another claim.
				if _, err := r.here.Fetch(ctx, benID, caller); !errors.Is(err, claims.ErrNoClaim) {
					t.Errorf("%s: %v", name, err)
				}
				continue
			}
			if claimed, err := r.here.Fetch(ctx, benID, caller); !errors.Is(err, claims.ErrNoClaim) {
				t.Errorf("%s: %s gets %v, %v", name, caller.ID, claimed, err)
			}
		}
	}
	forOwner := strings.Replace(of, "ada's id", "ben's id", 1)
	if swapped, err := store.Swap(ctx, "claim:"+id, []byte(of), []byte(forOwner), time.Minute); err != nil || !swapped {
		t.Fatal(swapped, err)
	}
	if claimed, err := r.here.Fetch(ctx, id, r.ben); !errors.Is(err, claims.ErrNoClaim) {
		t.Errorf("whoever can write to the store gives ada's token to ben: %v, %v", claimed, err)
	}
	otherKey := r.claims(t, store, state.NewKey().Derive("claims"))
	if _, err := otherKey.Fetch(ctx, id, r.ada); !errors.Is(err, claims.ErrNoClaim) {
		t.Errorf("another key: %v", err)
	}
	if !strings.Contains(r.log.String(), "a claim could not be opened") {
		t.Errorf("the operator is not told: %s", r.log)
	}
}

func TestA33_StoreThatFailsRefusesBeforeAnythingIsMade(t *testing.T) {
	r := newReplicas(t, kenbuntest.StartRedis(t))
	created, id := r.deliver(t, r.here, r.ada, "x")
	r.redis.Stop()
	err := r.here.Check(t.Context())
	var tool *tools.Error
	if !errors.As(err, &tool) || tool.Code != tools.CodeCannotDeliver || tool.Next == "" || strings.Contains(tool.Text(), r.redis.Address) {
		t.Errorf("Check says %v", err)
	}
	if _, err := r.here.Deliver(t.Context(), r.ada, created); !errors.As(err, &tool) || tool.Code != tools.CodeCannotDeliver {
		t.Errorf("Deliver says %v", err)
	}
	if _, err := r.here.Fetch(t.Context(), id, r.ada); err == nil || errors.Is(err, claims.ErrNoClaim) {
		t.Errorf("Fetch says %v", err)
	}
	if _, err := r.here.WrongTry(t.Context(), id, "192.0.2.1"); err == nil {
		t.Error("wrong tries are not counted, and nobody says so")
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.there.Sweep(ctx)
	}()
	deadline := time.Now().Add(20 * time.Second)
	for !strings.Contains(r.log.String(), "cannot be looked for") && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond) // between looks at the log
	}
	cancel()
	<-ended
	if !strings.Contains(r.log.String(), "claims that nobody fetched cannot be looked for") {
		t.Error("the sweeper says nothing about it")
	}
}

func TestNewClaims_RefusesWhatMeansNothing(t *testing.T) {
	api := kenbuntest.Start(t).Client(t)
	store, key := state.NewMemory(), state.NewKey().Derive("claims")
	for name, config := range map[string]claims.Config{
		"no store":       {Key: key, API: api},
		"no API":         {Key: key, Store: store},
		"no key":         {API: api, Store: store},
		"short key":      {API: api, Store: store, Key: key[:16]},
		"too long":       {API: api, Store: store, Key: key, Lifetime: claims.MaxLifetime + 1},
		"negative times": {API: api, Store: store, Key: key, Lifetime: -1},
	} {
		if _, err := claims.New(config); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
}
