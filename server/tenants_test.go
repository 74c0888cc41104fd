package server_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/authority"
)

// Each answer must be the caller's own, whatever goes on beside it: other
// users with the same request ids, in both eras of the protocol, over shared
// connections.
func TestA27_TwoUsersNeverSeeEachOther(t *testing.T) {
	const workers, rounds = 16, 32 // of four calls
	h := serveHTTP(t)
	users := []string{"ada@example.com", "eve@example.com"}
	pats := []string{h.pat, h.api.User(t, users[1], authority.RoleMember)}
	var sessions []headers
	for i := range users {
		h.api.Token(t, users[i], "only of "+users[i], nil)
		sessions = append(sessions, h.session(t, bearer(pats[i]), noCapabilities))
	}
	var all sync.WaitGroup
	for worker := range workers {
		all.Go(func() {
			own := worker % 2
			ask := func(id int, tool string, arguments map[string]any) toolAnswer {
				if worker/2%2 == 0 {
					return h.post(t, sessions[own], call(t, id, tool, arguments)).message(t).tool(t)
				}
				return h.modern(t, bearer(pats[own]), id, "tools/call", map[string]any{"name": tool, "arguments": arguments}).message(t).tool(t)
			}
			for round := range rounds {
				if !checkOwn(t, users, own, worker, round, ask) {
					return
				}
			}
		})
	}
	all.Wait()
	checkDelivered(t, h.house, users, workers/2*rounds)
}

// checkOwn makes the calls of one round and reports whether to go on.
func checkOwn(t *testing.T, users []string, own, worker, round int, ask func(int, string, map[string]any) toolAnswer) bool {
	me, other := users[own], users[1-own]
	who := ask(1, "whoami", nil)
	if !strings.Contains(string(who.Structured), `"email":"`+me+`"`) || strings.Contains(who.text(), other) {
		t.Errorf("%s is told to be %s", me, who.text())
		return false
	}
	name := fmt.Sprintf("made by %s, %d.%d", me, worker, round)
	made := ask(2, "create_token", map[string]any{"name": name, "expires": "7d"})
	if made.IsError || !strings.Contains(string(made.Structured), `"name":"`+name+`"`) {
		t.Errorf("%s made %s", me, made.text())
		return false
	}
	list := ask(3, "list_tokens", map[string]any{"name": name})
	var rows struct {
		Tokens []struct{ Name string }
		Counts map[string]int
	}
	if err := json.Unmarshal(list.Structured, &rows); err != nil || len(rows.Tokens) != 1 || rows.Tokens[0].Name != name {
		t.Errorf("%s lists %s, %v", me, list.text(), err)
		return false
	}
	if mine := ask(4, "list_tokens", map[string]any{"name": "only of", "limit": 200}); strings.Contains(mine.text(), other) || !strings.Contains(mine.text(), me) {
		t.Errorf("%s lists %s", me, mine.text())
		return false
	}
	return true
}

// checkDelivered finds each new token in the hands of the one who made it.
func checkDelivered(t *testing.T, h *house, users []string, each int) {
	t.Helper()
	for _, user := range users {
		issued := h.api.Token(t, user, "looks", nil)
		tokens, err := h.api.As(t, issued.Value).ListTokens(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		made := 0
		for i := range tokens {
			if !strings.HasPrefix(tokens[i].Name, "made by ") {
				continue
			}
			made++
			if !strings.HasPrefix(tokens[i].Name, "made by "+user+",") {
				t.Fatalf("%s owns the token %q", user, tokens[i].Name)
			}
			value, err := os.ReadFile(filepath.Join(h.delivered, tokens[i].ID+".token"))
			if err != nil || !strings.HasPrefix(string(value), tokens[i].Prefix) {
				t.Fatalf("the token %q was not delivered: %v", tokens[i].Name, err)
			}
		}
		if made != each {
			t.Errorf("%s made %d tokens, want %d", user, made, each)
		}
	}
}
