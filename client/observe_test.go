package client

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

type observedKey struct{}

// observations collects what an Observer is told.
type observations struct {
	mu   sync.Mutex
	open int
	all  []Observation
}

func (o *observations) observe(ctx context.Context, operation Operation) (context.Context, func(Observation)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open++
	return context.WithValue(ctx, observedKey{}, operation), func(seen Observation) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.open--
		o.all = append(o.all, seen)
	}
}

// told writes all observations as "operation code status attempts".
func (o *observations) told(t *testing.T) []string {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.open != 0 {
		t.Errorf("%d calls were begun and not ended", o.open)
	}
	var told []string
	for _, seen := range o.all {
		told = append(told, strings.Join(strings.Fields(fmt.Sprint(seen.Operation, " ", seen.Code, " ", seen.Status, " ", seen.Attempts)), " "))
		if seen.Duration <= 0 && seen.Attempts > 0 {
			t.Errorf("%s took %s", seen.Operation, seen.Duration)
		}
		if !slices.Contains(Operations(), seen.Operation) {
			t.Errorf("%q is not among the operations", seen.Operation)
		}
	}
	o.all = nil
	return told
}

func TestObserver_IsToldOfEachCall(t *testing.T) {
	api := newFakeAPI(t)
	var seen observations
	u := newTestCaller(t, api.URL, WithObserver(seen.observe))
	expect := func(what string, want ...string) {
		t.Helper()
		if got := seen.told(t); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	if _, err := u.Me(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := u.OrgUnits(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect("reading", "me 200 1", "org_units 200 1")

	created, err := u.CreateToken(t.Context(), NewToken{Name: "ci"})
	if err != nil {
		t.Fatal(err)
	}
	expect("a create looks at the list first", "list_tokens 200 1", "create_token 201 1")
	if err := u.RevokeToken(t.Context(), created.ID); err != nil {
		t.Fatal(err)
	}
	if err := u.RevokeToken(t.Context(), created.ID); err == nil {
		t.Fatal("revoked twice")
	}
	expect("revoking twice", "revoke_token 204 1", "list_tokens 200 1", "revoke_token not_found 404 1", "list_tokens 200 1")

	api.fault = func(n int, w http.ResponseWriter, _ *http.Request) bool {
		if n >= 8 {
			return false
		}
		writeJSON(w, http.StatusBadGateway, nil)
		return true
	}
	if _, err := u.Me(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect("an API that fails twice", "me 200 3")

	api.fault = func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		writeJSON(w, http.StatusServiceUnavailable, nil)
		return true
	}
	_, _ = u.ListTokens(t.Context())
	expect("a failing API", "list_tokens unavailable 503 4")

	api.fault = func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		writeJSON(w, http.StatusOK, "no user")
		return true
	}
	_, _ = u.Me(t.Context())
	expect("an answer that is none", "me unexpected_answer 200 1")

	ended, end := context.WithCancel(t.Context())
	end()
	_, _ = u.Me(ended)
	expect("a call that ended before it began", "me canceled 0 0")
	_, _ = u.client.As(Credential{}).Me(t.Context())
	expect("a call without a token", "me unauthenticated 0 0")
}

func TestTraceContext_IsSentWithEachTry(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	api := newFakeAPI(t)
	api.fault = func(n int, w http.ResponseWriter, _ *http.Request) bool {
		if n > 1 {
			return false
		}
		writeJSON(w, http.StatusBadGateway, nil)
		return true
	}
	var seen observations
	state := "vendor=1"
	u := newTestCaller(t, api.URL, WithObserver(seen.observe), WithTraceContext(func(ctx context.Context) (string, string) {
		if ctx.Value(observedKey{}) == nil {
			t.Error("the context is not the one that the observer returned")
		}
		return parent, state
	}))
	if _, err := u.Me(t.Context()); err != nil {
		t.Fatal(err)
	}
	state = "vendor=1\r\nAuthorization: x"
	if err := u.client.Reachable(t.Context()); err != nil {
		t.Fatal(err)
	}
	api.mu.Lock()
	defer api.mu.Unlock()
	var got []string
	for _, r := range api.requests {
		got = append(got, r.header.Get("Traceparent")+" "+r.header.Get("Tracestate"))
	}
	if want := []string{parent + " vendor=1", parent + " vendor=1", parent + " "}; !slices.Equal(got, want) {
		t.Errorf("the trace context of the requests is %q, want %q", got, want)
	}
}

func TestTraceContext_IsNotSentUnlessThereIsOne(t *testing.T) {
	api := newFakeAPI(t)
	u := newTestCaller(t, api.URL, WithTraceContext(func(context.Context) (string, string) { return "", "vendor=1" }))
	if _, err := u.Me(t.Context()); err != nil {
		t.Fatal(err)
	}
	if header := api.requests[0].header; header["Traceparent"] != nil || header["Tracestate"] != nil {
		t.Errorf("the request has a trace context: %q", header)
	}
}
