package main

import (
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
)

// apiCall makes a request to an API that a test runs.
func apiCall(t *testing.T, method, url, token, body string) (status int, answer string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(response.Body)
	if closing := response.Body.Close(); err != nil || closing != nil {
		t.Fatal(err, closing)
	}
	return response.StatusCode, string(content)
}

func TestH1_MemberOfSeveralOrganizations(t *testing.T) {
	t.Setenv("KENBUN_STORE", "sqlite:"+filepath.Join(t.TempDir(), "data", "kenbun.db"))
	mustAuthorityCommand(t, "user", "add", "ada@example.com", "--role", "admin", "--organization", "Home")
	baseURL, _ := serveAuthority(t)
	home := strings.TrimSpace(mustAuthorityCommand(t, "session", "--stdout", "ada@example.com"))
	mustAuthorityCommand(t, "user", "join", "ada@example.com", "Elsewhere", "--role", "viewer")
	away := strings.TrimSpace(mustAuthorityCommand(t, "session", "--stdout", "ada@example.com", "--organization", "elsewhere"))
	roles := func() [2]string {
		_, atHome := authorityMe(t, baseURL, home)
		_, there := authorityMe(t, baseURL, away)
		return [2]string{atHome, there}
	}
	if got := roles(); got != [2]string{"admin", "viewer"} {
		t.Errorf("roles %v", got)
	}
	mustAuthorityCommand(t, "user", "role", "ada@example.com", "member", "--organization", "Home")
	if got := roles(); got != [2]string{"member", "viewer"} {
		t.Errorf("roles %v after the change of one", got)
	}
	for _, c := range []struct {
		args string
		says string
	}{
		{"user role ada@example.com viewer", "name one"},
		{"session --stdout ada@example.com", "name one"},
		{"user role ada@example.com viewer --organization Nowhere", "not a member"},
		{"user leave ada@example.com Nowhere", "not a member"},
		{"user leave nobody@example.com Home", "no such user"},
		{"user join nobody@example.com Home", "no such user"},
	} {
		if code, _, stderr := authorityCommand(t, strings.Fields(c.args)...); code != command.ExitFailed || !strings.Contains(stderr, c.says) {
			t.Errorf("%s: exit code %d, %s", c.args, code, stderr)
		}
	}
	for _, args := range [][]string{{"user", "join", "ada@example.com", "Home", "--role", "root"}, {"user", "join", "ada@example.com", " "}} {
		if code, _, stderr := authorityCommand(t, args...); code != command.ExitUsage {
			t.Errorf("%v: exit code %d, %s", args, code, stderr)
		}
	}
	mustAuthorityCommand(t, "user", "leave", "ada@example.com", "HOME")
	if status, _ := authorityMe(t, baseURL, home); status != http.StatusUnauthorized {
		t.Errorf("status %d in an organization that was left", status)
	}
	if status, _ := authorityMe(t, baseURL, away); status != http.StatusOK {
		t.Errorf("status %d in the other one", status)
	}
}

func TestN7_UnitsOfARunningServer(t *testing.T) {
	t.Setenv("KENBUN_STORE", "sqlite:"+filepath.Join(t.TempDir(), "data", "kenbun.db"))
	mustAuthorityCommand(t, "user", "add", "ada@example.com")
	baseURL, _ := serveAuthority(t)
	session := strings.TrimSpace(mustAuthorityCommand(t, "session", "--stdout", "ada@example.com"))
	unit := strings.TrimSpace(mustAuthorityCommand(t, "unit", "add", "EMEA"))
	if status, answer := apiCall(t, "POST", baseURL+"/org-units/active", session, `{"ouId": "`+unit+`"}`); status != http.StatusOK {
		t.Fatalf("%d %s", status, answer)
	}
	if _, answer := apiCall(t, "GET", baseURL+"/me", session, ""); !strings.Contains(answer, `"active_ou":"`+unit+`"`) {
		t.Errorf("me: %s", answer)
	}
	if code, _, stderr := authorityCommand(t, "unit", "add", "emea"); code != command.ExitFailed || !strings.Contains(stderr, "already") {
		t.Errorf("the same again: exit code %d, %s", code, stderr)
	}
	if code, _, stderr := authorityCommand(t, "unit", "add", "!"); code != command.ExitUsage {
		t.Errorf("without a name: exit code %d, %s", code, stderr)
	}
	if code, _, stderr := authorityCommand(t, "unit", "add", "x", "--organization", "Nowhere"); code != command.ExitFailed || !strings.Contains(stderr, "no such organization") {
		t.Errorf("of no organization: exit code %d, %s", code, stderr)
	}
}

func TestS1_RolesAreShownWithTheirPermissions(t *testing.T) {
	var rows []struct {
		Role        authority.Role
		Permissions []string
	}
	if err := json.Unmarshal([]byte(mustAuthorityCommand(t, "roles", "--json")), &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) != 4 || rows[0].Role != authority.RoleOwner || !slices.Contains(rows[0].Permissions, "write:scoring") || slices.Contains(rows[3].Permissions, "write:leads") {
		t.Errorf("roles %+v", rows)
	}
	table := mustAuthorityCommand(t, "roles")
	if !strings.HasPrefix(table, "PERMISSION ") || strings.Count(table, "\n") != 1+len(domain.Permissions()) || !strings.Contains(table, "write:tokens     yes    yes    yes     yes") {
		t.Errorf("table\n%s", table)
	}
}
