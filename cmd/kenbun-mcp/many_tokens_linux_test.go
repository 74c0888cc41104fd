package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// manyTokens is an API whose user has n tokens, most of them dead, and the value
// of one more.
func manyTokens(t *testing.T, n int) (api *kenbuntest.API, pat string) {
	t.Helper()
	api = kenbuntest.Start(t)
	made, err := api.Authority.Seed(t.Context(), authority.SeedConfig{Users: 1, Tokens: n})
	if err != nil {
		t.Fatal(err)
	}
	if err := api.Authority.Restore(t.Context(), made.Emails[0]); err != nil {
		t.Fatal(err)
	}
	if err := api.Authority.SetRole(t.Context(), made.Emails[0], authority.RoleMember); err != nil {
		t.Fatal(err)
	}
	return api, api.Token(t, made.Emails[0], "first", nil).Value
}

// A long list of tokens ends nothing: tokens are listed, made, replaced and
// revoked, and the program stays small.
func TestManyDeadTokensEndNothing(t *testing.T) {
	for _, n := range []int{1_900, 20_000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			api, pat := manyTokens(t, n)
			environment := append(kenbuntest.Environment(t), "KENBUN_API_URL="+api.URL, "KENBUN_PAT="+pat,
				"KENBUN_APPROVAL=client", "KENBUN_DELIVER=file", "KENBUN_MAX_CHANGES_PER_MINUTE=0")
			c := startStdioProgram(t, environment)
			began := time.Now()
			c.ask(t, initialize)
			id := 1
			call := func(tool, arguments string) toolResult {
				t.Helper()
				id++
				var message struct{ Result json.RawMessage }
				if err := json.Unmarshal([]byte(c.ask(t, toolCall(id, tool, arguments))), &message); err != nil {
					t.Fatal(err)
				}
				result := resultOf(t, message.Result)
				if result.IsError {
					t.Fatalf("%s: %s", tool, result.text())
				}
				return result
			}
			if text := call("whoami", `{}`).text(); !strings.Contains(text, "token name: first") {
				t.Errorf("whoami: %s", text)
			}
			if text := call("list_tokens", `{"status":"all","limit":200}`).text(); !strings.Contains(text, fmt.Sprintf("%d of %d tokens", n+1, n+1)) || !strings.Contains(text, "More with cursor") {
				t.Errorf("list_tokens: %.200s", text)
			}
			made := call("create_token", `{"name":"import","expires":"30d"}`).Structured.ID
			made = call("rotate_token", fmt.Sprintf(`{"id":%q}`, made)).Structured.ID
			if text := call("revoke_token", fmt.Sprintf(`{"id":%q}`, made)).text(); !strings.Contains(text, "Token revoked") {
				t.Errorf("revoke_token: %s", text)
			}
			peak := c.peakMemory(t)
			t.Logf("%d tokens: %d MiB at most, %s", n, peak>>20, time.Since(began).Round(time.Millisecond))
			if peak >= 64<<20 {
				t.Errorf("the program took %d MiB", peak>>20)
			}
			if err := c.in.Close(); err != nil {
				t.Error(err)
			}
			if err := c.Wait(); err != nil {
				t.Errorf("the program ended with %v", err)
			}
			listed := runProgram(t, environment, "", "tokens", "list", "--status", "all", "--json")
			if rows := strings.Count(listed.stdout, `"prefix":`); listed.code != 0 || rows != n+3 {
				t.Errorf("tokens list: exit %d, %d rows: %s", listed.code, rows, listed.stderr)
			}
		})
	}
}
