//go:build unix

package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

func TestS5_UpdateAtATerminal(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "dev@example.com", authority.RoleMember)
	ends := time.Now().Add(30 * 24 * time.Hour)
	token := api.Token(t, "dev@example.com", "import", &ends)
	environment := append(kenbuntest.Environment(t), "KENBUN_PAT="+pat, "KENBUN_API_URL="+api.URL)
	now := func() client.Token {
		t.Helper()
		tokens, err := api.As(t, pat).ListTokens(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return tokens[slices.IndexFunc(tokens, func(listed client.Token) bool { return listed.ID == token.ID })]
	}

	less := []string{"tokens", "update", token.ID, "--name", "Nightly import", "--permissions", "read:leads,write:leads"}
	if got := runProgram(t, environment, "y\n", less...); got.code != command.ExitRefused || now().Name != "import" {
		t.Fatalf("without a terminal: exit %d: %s", got.code, got.stderr)
	}
	if shown, code := atTerminal(t, environment, 100, "y\n", less...); code != command.ExitDone || now().Name != "Nightly import" {
		t.Fatalf("exit %d:\n%s", code, shown)
	}
	if listed := runProgram(t, environment, "", "tokens", "list"); !strings.Contains(listed.stdout, "read:leads and 1 more") {
		t.Errorf("the list does not tell:\n%s", listed.stdout)
	}

	more := []string{"tokens", "update", token.ID, "--permissions", "all", "--expires", "60d"}
	if got := runProgram(t, environment, "y\n", more...); got.code != command.ExitRefused || !strings.Contains(got.stderr, "terminal") || now().Permissions == nil {
		t.Fatalf("without a terminal: exit %d: %s", got.code, got.stderr)
	}
	shown, code := atTerminal(t, environment, 100, "n\n", more...)
	if code != command.ExitRefused || now().Permissions == nil {
		t.Fatalf("after a no: exit %d:\n%s", code, shown)
	}
	for _, want := range []string{"more than it has", "was read:leads write:leads, becomes all", token.Prefix} {
		if !strings.Contains(shown, want) {
			t.Errorf("the question does not show %q:\n%s", want, shown)
		}
	}
	if shown, code := atTerminal(t, environment, 100, "y\n", more...); code != command.ExitDone || now().Permissions != nil {
		t.Errorf("after a yes: exit %d:\n%s", code, shown)
	}
}

func TestS1_S2_CreateANarrowedTokenAtATerminal(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "dev@example.com", authority.RoleMember)
	environment := append(kenbuntest.Environment(t), "KENBUN_PAT="+pat, "KENBUN_API_URL="+api.URL)
	got := runProgram(t, environment, "", "tokens", "create", "report", "--expires", "7d", "--permissions", "read:tokens", "--stdout")
	if got.code != command.ExitDone {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	made := api.As(t, strings.TrimSpace(got.stdout))
	if _, err := made.ListTokens(t.Context()); err != nil {
		t.Errorf("it may not do what it is for: %v", err)
	}
	if _, err := made.OrgUnits(t.Context()); err == nil {
		t.Error("it may do more than it is for")
	}
	later := runProgram(t, environment, "", "tokens", "create", "later", "--expires", "7d", "--valid-from", "2d", "--json", "--stdout")
	var token client.Token
	if err := json.Unmarshal([]byte(later.stdout), &token); err != nil || token.Status(time.Now()) != client.StatusNotYetValid {
		t.Errorf("exit %d, it begins at %v, %v", later.code, token.ValidFrom, err)
	}
}

// A token that never expires is the person's decision at a terminal as anywhere.
func TestA2_NeverExpiringIsAskedForAtTheTerminal(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "dev@example.com", authority.RoleMember)
	environment := append(kenbuntest.Environment(t), "KENBUN_PAT="+pat, "KENBUN_API_URL="+api.URL)
	shown, code := atTerminal(t, environment, 100, "n\n", "tokens", "create", "for good", "--expires", "never")
	if code != command.ExitRefused || strings.Contains(shown, "kbn_pat_") {
		t.Errorf("after a no: exit %d", code)
	}
	shown, code = atTerminal(t, environment, 100, "y\n", "tokens", "create", "for good", "--expires", "never")
	if value := wholeToken.FindString(shown); code != command.ExitDone || !works(t, api, value) {
		t.Errorf("after a yes: exit %d", code)
	}
}

// Less may be an outage, at a terminal as anywhere.
func TestR37_LessIsADecisionAtATerminal(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "dev@example.com", authority.RoleMember)
	environment := append(kenbuntest.Environment(t), "KENBUN_PAT="+pat, "KENBUN_API_URL="+api.URL)
	ends := time.Now().Add(30 * 24 * time.Hour)
	api.Shift(-60 * 24 * time.Hour)
	idle, used := api.Token(t, "dev@example.com", "idle", &ends), api.Token(t, "dev@example.com", "used", &ends)
	api.Shift(0)
	if _, err := api.As(t, used.Value).Me(t.Context()); err != nil {
		t.Fatal(err)
	}
	of := func(id string) client.Token {
		t.Helper()
		tokens, err := api.As(t, pat).ListTokens(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return tokens[slices.IndexFunc(tokens, func(listed client.Token) bool { return listed.ID == id })]
	}
	for _, arguments := range [][]string{
		{"tokens", "update", used.ID, "--name", "other"}, {"tokens", "update", used.ID, "--expires", "20d"},
		{"tokens", "update", used.ID, "--permissions", "read:leads"}, {"tokens", "update", idle.ID, "--expires", "6d"},
	} {
		before := of(arguments[2])
		shown, code := atTerminal(t, environment, 100, "n\n", arguments...)
		if code != command.ExitRefused || !strings.Contains(shown, "may stop working") || of(before.ID).Name != before.Name || !of(before.ID).ExpiresAt.Equal(*before.ExpiresAt) || of(before.ID).Permissions != nil {
			t.Errorf("%v: after a no: exit %d:\n%s", arguments, code, shown)
		}
		if shown, code = atTerminal(t, environment, 100, "y\n", arguments...); code != command.ExitDone {
			t.Errorf("%v: after a yes: exit %d:\n%s", arguments, code, shown)
		}
	}
	if got := of(used.ID); got.Name != "other" || got.Permissions == nil || of(idle.ID).ExpiresAt.After(time.Now().Add(7*24*time.Hour)) {
		t.Errorf("after a yes the token is %+v", got)
	}
}
