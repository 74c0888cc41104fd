package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// loginFiles are the files in which logins are kept.
func loginFiles(t *testing.T, environment []string) []string {
	t.Helper()
	for _, variable := range environment {
		if data, ok := strings.CutPrefix(variable, "XDG_DATA_HOME="); ok {
			files, err := filepath.Glob(filepath.Join(data, "kenbun-mcp", "login", "*"))
			if err != nil {
				t.Fatal(err)
			}
			return files
		}
	}
	t.Fatal("there is no data folder")
	return nil
}

func TestLoginFromAPipeServesAllOtherCommands(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "dev@example.com", authority.RoleMember)
	end := time.Now().Add(30*24*time.Hour + time.Hour)
	mine := api.Token(t, "dev@example.com", "laptop", &end).Value
	for name, bus := range map[string]string{"keychain": kenbuntest.SecretService(t, true), "file": "disabled:"} {
		t.Run(name, func(t *testing.T) {
			environment := kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL, "DBUS_SESSION_BUS_ADDRESS="+bus)
			if got := runProgram(t, environment, "", "whoami"); got.code != command.ExitUnauthenticated || !strings.Contains(got.stderr, "kenbun-mcp login") {
				t.Fatalf("before: exit %d: %s", got.code, got.stderr)
			}
			got := runProgram(t, environment, mine+"\n", "login")
			if got.code != 0 {
				t.Fatalf("exit %d: %s", got.code, got.stderr)
			}
			for _, want := range []string{"dev@example.com", "token name: laptop", "token expires: in 30d", "kept in: the " + name} {
				if !strings.Contains(got.stdout, want) {
					t.Errorf("login does not say %q:\n%s", want, got.stdout)
				}
			}
			expectNoSecret(t, "login", got.stdout+got.stderr, mine)
			files := loginFiles(t, environment)
			if (name == "file") != (len(files) == 1) {
				t.Errorf("there are the files %v", files)
			}
			for _, file := range files {
				if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
					t.Errorf("the file has mode %v, %v", info.Mode(), err)
				}
			}

			who := runProgram(t, environment, "", "whoami", "--json")
			if who.code != 0 || !strings.Contains(who.stdout, "laptop") {
				t.Errorf("whoami: exit %d: %s%s", who.code, who.stdout, who.stderr)
			}
			served := runProgram(t, environment, initialize+toolCall(2, "whoami", "{}"), "stdio")
			if result := resultOf(t, answers(t, served.stdout)["2"]); result.IsError || !strings.Contains(result.text(), "laptop") {
				t.Errorf("stdio: %s", result.text())
			}
			other := runProgram(t, append(environment, "KENBUN_PAT="+pat), "", "whoami", "--json")
			if other.code != 0 || !strings.Contains(other.stdout, `"name": "first"`) {
				t.Errorf("with KENBUN_PAT: %s%s", other.stdout, other.stderr)
			}

			out := runProgram(t, environment, "", "logout")
			if out.code != 0 || !strings.Contains(out.stdout, "Removed from the "+name) || !strings.Contains(out.stdout, "not revoked") {
				t.Errorf("logout: exit %d: %s%s", out.code, out.stdout, out.stderr)
			}
			if got := runProgram(t, environment, "", "whoami"); got.code != command.ExitUnauthenticated {
				t.Errorf("after logout: exit %d", got.code)
			}
			if _, err := api.As(t, mine).Me(t.Context()); err != nil {
				t.Errorf("logout revoked the token: %v", err)
			}
			again := runProgram(t, environment, "", "logout", "--json")
			if again.code != 0 || strings.Join(strings.Fields(again.stdout), "") != `{"removed_from":[],"revoked":false}` {
				t.Errorf("logout again: exit %d: %s", again.code, again.stdout)
			}
			if files := loginFiles(t, environment); len(files) != 0 {
				t.Errorf("left are %v", files)
			}
		})
	}
}

func TestLoginAsJSON(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "dev@example.com", authority.RoleMember)
	got := runProgram(t, kenbuntest.Environment(t), pat, "login", "--json", "--api-url", api.URL)
	var answer struct {
		KeptIn string `json:"kept_in"`
		User   struct{ Email string }
		Token  struct{ Name string }
	}
	if err := json.Unmarshal([]byte(got.stdout), &answer); err != nil {
		t.Fatalf("%v: %s%s", err, got.stdout, got.stderr)
	}
	if !strings.HasPrefix(answer.KeptIn, "the file ") || answer.User.Email != "dev@example.com" || answer.Token.Name != "first" {
		t.Errorf("it says %s", got.stdout)
	}
	expectNoSecret(t, "login", got.stdout+got.stderr, pat)
}

func TestLoginKeepsNothingThatDoesNotWork(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "dev@example.com", authority.RoleMember)
	revoked := api.Token(t, "dev@example.com", "revoked", nil)
	if err := api.As(t, pat).RevokeToken(t.Context(), revoked.ID); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		input, url, says string
		code             int
	}{
		"nothing":           {"", api.URL, "no token was entered", command.ExitUnauthenticated},
		"an empty line":     {"\n", api.URL, "no token was entered", command.ExitUnauthenticated},
		"another product's": {"ghp_" + strings.Repeat("a1", 18), api.URL, "GitHub", command.ExitUnauthenticated},
		"two in a line":     {pat + " " + pat, api.URL, "more than one token", command.ExitUnauthenticated},
		"revoked":           {revoked.Value, api.URL, "not accept", command.ExitUnauthenticated},
		"nobody answers":    {pat, "http://127.0.0.1:1", "was not kept", command.ExitAPIOutOfReach},
		"a bad address":     {pat, "http://example.com", "https", command.ExitUsage},
	} {
		environment := kenbuntest.Environment(t, "KENBUN_API_URL="+c.url)
		got := runProgram(t, environment, c.input, "login")
		if got.code != c.code || !strings.Contains(got.stderr, c.says) || got.stdout != "" {
			t.Errorf("%s: exit %d, want %d: %s%s", name, got.code, c.code, got.stdout, got.stderr)
		}
		expectNoSecret(t, name, got.stderr, pat)
		expectNoSecret(t, name, got.stderr, revoked.Value)
		if files := loginFiles(t, environment); len(files) != 0 {
			t.Errorf("%s: left are %v", name, files)
		}
	}
}
