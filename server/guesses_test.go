package server_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/server"
	"github.com/kenbun/kenbun-mcp/server/edge"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

// refusingAPI refuses every token, and keeps those that it saw.
type refusingAPI struct {
	mu   sync.Mutex
	seen map[string]int
}

func (a *refusingAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.seen[r.Header.Get("Authorization")]++
	a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = w.Write([]byte(`{"error":"unauthorized"}`)) // the test fails by what is missing
}

// offeredTools are the names of all tools that the house has.
func offeredTools(t *testing.T, h *house) []string {
	t.Helper()
	var names []string
	for _, tool := range h.Toolbox().ServerTools() {
		names = append(names, tool.Tool.Name)
	}
	if len(names) < 6 {
		t.Fatalf("only %v are on offer", names)
	}
	return names
}

func TestR23_GuessesReachTheAPIWithinTheirBudgetWhateverToolIsCalled(t *testing.T) {
	const (
		guesses = 300
		// At once, beside each other before the first was refused, and what a slow
		// machine earns meanwhile.
		burst, atOnce = 30, 16
	)
	h := newHouseWith(t, func(c *toolsets.Config) { c.Extensions = true }, byRequest)
	for _, tool := range offeredTools(t, h) {
		t.Run(tool, func(t *testing.T) {
			refusing := &refusingAPI{seen: map[string]int{}}
			server401 := httptest.NewServer(refusing)
			defer server401.Close()
			api, err := client.New(client.WithBaseURL(server401.URL), client.WithRetry(0, 0, 0))
			if err != nil {
				t.Fatal(err)
			}
			defer api.CloseIdleConnections()
			handler, err := h.HTTPHandler(server.HTTPConfig{API: api, Limits: edge.Limits{PerAddress: 100_000}})
			if err != nil {
				t.Fatal(err)
			}
			served := listen(t, h, handler)
			began := time.Now()
			var all sync.WaitGroup
			places := make(chan struct{}, 32)
			for i := range guesses {
				all.Go(func() {
					places <- struct{}{}
					defer func() { <-places }()
					answer := served.modern(t, bearer(randomToken()), i, "tools/call", map[string]any{"name": tool, "arguments": map[string]any{}})
					if answer.status != http.StatusUnauthorized && answer.status != http.StatusTooManyRequests {
						t.Errorf("status %d, %s", answer.status, answer.body)
					}
				})
			}
			all.Wait()
			budget := burst + atOnce + int(time.Since(began)/(2*time.Second)) + 1
			if reached := len(refusing.seen); reached > budget || reached < burst {
				t.Errorf("%d tokens reached the API, want %d to %d", reached, burst, budget)
			}
		})
	}
}

// A token that the API accepted a moment ago is refused from then on that it was
// revoked, whatever tool is called with it: the API is asked once more, and then as
// about any token that is new.
func TestR23_TokenThatWasRevokedIsAGuessLikeAnyOther(t *testing.T) {
	h := newHouseWith(t, func(c *toolsets.Config) { c.Extensions = true }, byRequest)
	api, asked := countingAPI(t, h)
	handler, err := h.HTTPHandler(server.HTTPConfig{API: api, Limits: edge.Limits{PerAddress: 100_000}})
	if err != nil {
		t.Fatal(err)
	}
	served := listen(t, h, handler)
	for i, tool := range offeredTools(t, h) {
		token := h.api.Token(t, "ada@example.com", fmt.Sprintf("token %d", i), nil)
		call := func() httpAnswer {
			return served.modern(t, bearer(token.Value), 1, "tools/call", map[string]any{"name": tool, "arguments": sensibleArguments[tool]})
		}
		if answer := served.modern(t, bearer(token.Value), 1, "tools/list", nil); answer.status != http.StatusOK {
			t.Fatalf("%s: status %d, %s", tool, answer.status, answer.body)
		}
		if err := h.api.As(t, h.pat).RevokeToken(t.Context(), token.ID); err != nil {
			t.Fatal(err)
		}
		before := asked.Load()
		if answer := call(); answer.status != http.StatusOK {
			t.Errorf("%s, right after the token was revoked: status %d, %s", tool, answer.status, answer.body)
		}
		if asked.Load() == before {
			t.Errorf("%s did not ask the API", tool)
		}
		if answer := call(); answer.status != http.StatusUnauthorized {
			t.Errorf("%s, again: status %d, %s", tool, answer.status, answer.body)
		}
	}
}

// sensibleArguments are those with which a tool asks the API.
var sensibleArguments = map[string]map[string]any{
	"whoami":       {},
	"list_tokens":  {},
	"create_token": {"name": "a name", "expires": "30d"},
	"revoke_token": {"id": "pat_abc123"},
	"rotate_token": {"id": "pat_abc123"},
	"update_token": {"id": "pat_abc123", "name": "another name"},
}
