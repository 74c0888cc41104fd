package identity

import (
	"context"
	"log/slog"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
)

// callsOfTheAPI are the methods of a caller that ask the API something: those with a
// context and an error. A new method is among them by itself.
func callsOfTheAPI() []reflect.Method {
	var calls []reflect.Method
	caller := reflect.TypeFor[*client.Caller]()
	for method := range caller.Methods() {
		if method.Type.NumIn() > 1 && method.Type.In(1) == reflect.TypeFor[context.Context]() && method.Type.NumOut() > 0 &&
			method.Type.Out(method.Type.NumOut()-1) == reflect.TypeFor[error]() {
			calls = append(calls, method)
		}
	}
	return calls
}

// arguments returns values that the client sends on: ids, and what a change needs.
func arguments(t *testing.T, method reflect.Method) []reflect.Value {
	t.Helper()
	name := "a name"
	expires := time.Now().Add(time.Hour)
	var values []reflect.Value
	for i := 2; i < method.Type.NumIn(); i++ {
		switch in := method.Type.In(i); {
		case in.Kind() == reflect.String:
			values = append(values, reflect.ValueOf("pat_abc123").Convert(in))
		case in == reflect.TypeFor[client.NewToken]():
			values = append(values, reflect.ValueOf(client.NewToken{Name: name, ExpiresAt: &expires}))
		case in == reflect.TypeFor[client.TokenChange]():
			values = append(values, reflect.ValueOf(client.TokenChange{Name: name}))
		case in == reflect.TypeFor[func() func(*client.Token)]():
			values = append(values, reflect.ValueOf(func() func(*client.Token) { return func(*client.Token) {} }))
		default:
			values = append(values, reflect.Zero(in))
		}
	}
	return values
}

// mayRefuseGoodTokens are the calls that an API may refuse to a token that is good
// for others. Such a token is checked, and counted if it does not work, at its next
// request.
var mayRefuseGoodTokens = map[string]bool{"Me": true, "OrgUnits": true, "GrantablePermissions": true}

func TestR23_RefusedTokensAreCountedWhateverIsAskedOfTheAPI(t *testing.T) {
	calls := callsOfTheAPI()
	if len(calls) < 8 {
		t.Fatalf("only %d calls of the API were found", len(calls))
	}
	for _, method := range calls {
		t.Run(method.Name, func(t *testing.T) {
			var status, asked atomic.Int32
			status.Store(401)
			v := NewVerifier(VerifierConfig{API: answering(t, &status, &asked), CountGuesses: true, Metrics: uncounted{}, Logger: slog.New(slog.DiscardHandler)})
			credential := client.Credential{PAT: client.NewSecret(randomToken())}
			id := v.Caller(credential).ID
			v.accepted.add(id)
			observed := reflect.ValueOf(v.observed(t.Context(), credential, id))
			in := append([]reflect.Value{observed, reflect.ValueOf(t.Context())}, arguments(t, method)...)
			out := method.Func.Call(in)
			if asked.Load() == 0 {
				t.Fatalf("the API was not asked: %v. Give arguments to this method", out[len(out)-1])
			}
			counted := guessLimit.Burst - v.guesses.refused.Look("invalid IP", guessLimit).Remaining
			if mayRefuseGoodTokens[method.Name] {
				if counted != 0 || !v.accepted.has(id) || v.AcceptedLately(id) {
					t.Errorf("counted %d times, accepted lately: %t", counted, v.AcceptedLately(id))
				}
				return
			}
			if counted != 1 || v.accepted.has(id) {
				t.Errorf("counted %d times, remembered as accepted: %t", counted, v.accepted.has(id))
			}
		})
	}
}

type uncounted struct{}

func (uncounted) Request(string, int) {}
func (uncounted) Refused(string)      {}
