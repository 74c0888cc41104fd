package authority

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// revocation is what was asked of one token: to be revoked, or whether it is
// accepted.
type revocation struct{ revoke bool }

// revocable is a token as porcupine models it: accepted until it is revoked.
var revocable = porcupine.Model{
	Init: func() any { return false },
	Step: func(state, input, output any) (bool, any) {
		revoked := state.(bool)
		if input.(revocation).revoke {
			return output.(bool), true
		}
		return output.(bool) == !revoked, revoked
	},
}

// On one node revoking and verifying look as if they happened one after the
// other: there is a moment at which a revocation takes effect, between its
// request and its answer, and no yes comes after a no. On PostgreSQL this holds
// for the memory of the node as well.
func TestR12_RevocationIsLinearizable(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store, Now: time.Now, TokenLimit: 1000})
		caller := f.user("ada@example.com", RoleMember)
		if strings.HasPrefix(store, "postgres") {
			waitUntilHearing(t, f.Authority)
		}
		member, err := f.Member(t.Context(), "ada@example.com", "")
		if err != nil {
			t.Fatal(err)
		}
		handler := f.Handler()
		for range 30 {
			victim := f.token("ada@example.com", "victim")
			var mu sync.Mutex
			var events []porcupine.Operation
			start := time.Now()
			note := func(client int, input revocation, do func() bool) bool {
				called := time.Since(start)
				output := do()
				mu.Lock()
				defer mu.Unlock()
				events = append(events, porcupine.Operation{ClientId: client, Input: input, Output: output, Call: int64(called), Return: int64(time.Since(start))})
				return output
			}
			var clients sync.WaitGroup
			for client := range 4 {
				clients.Go(func() {
					for no := 0; no < 3; {
						if !note(client, revocation{}, func() bool { return answeredYes(handler, victim.Value) }) {
							no++
						}
					}
				})
			}
			clients.Go(func() {
				time.Sleep(time.Millisecond) // so that some come before
				note(4, revocation{revoke: true}, func() bool { return f.Revoke(t.Context(), member.ID, victim.ID) == nil })
			})
			clients.Wait()
			if !porcupine.CheckOperations(revocable, events) {
				t.Fatalf("no order explains the answers: %+v", events)
			}
		}
		if !f.works(caller.Value) {
			t.Error("another token was revoked too")
		}
	})
}

// answeredYes tells whether a token is accepted. Whoever could not be verified in
// time on a slow machine has no answer yet, and asks again.
func answeredYes(handler http.Handler, value string) bool {
	for {
		if got := record(handler, "GET", "/me", bearer(value)); got.status != http.StatusServiceUnavailable {
			return got.status == http.StatusOK
		}
	}
}
