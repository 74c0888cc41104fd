package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/cli"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
)

// authorityCommand runs a command line and returns what it printed.
func authorityCommand(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	t.Setenv(command.AllowAgentVariable, "1") // an agent may run the tests
	var out, errs bytes.Buffer
	root := cli.New()
	root.SetArgs(append([]string{"authority"}, args...))
	root.SetOut(&out)
	root.SetErr(&errs)
	code = cli.Run(t.Context(), root)
	return code, out.String(), errs.String()
}

func mustAuthorityCommand(t *testing.T, args ...string) string {
	t.Helper()
	code, stdout, stderr := authorityCommand(t, args...)
	if code != command.ExitDone {
		t.Fatalf("%v: exit code %d: %s", args, code, stderr)
	}
	return stdout
}

// serveAuthority runs authority serve on a free port until stop is called.
func serveAuthority(t *testing.T, args ...string) (baseURL string, stop func() (code int, stdout, stderr string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	reader, writer := io.Pipe()
	var out bytes.Buffer
	root := cli.New()
	root.SetArgs(append([]string{"authority", "serve", "--listen", "127.0.0.1:0"}, args...))
	root.SetOut(&out)
	root.SetErr(writer)
	ended := make(chan int, 1)
	go func() {
		code := cli.Run(ctx, root)
		_ = writer.Close() // a pipe's never fails
		ended <- code
	}()
	var log strings.Builder
	lines := bufio.NewScanner(reader)
	for baseURL == "" && lines.Scan() {
		log.WriteString(lines.Text() + "\n")
		baseURL, _ = strings.CutPrefix(lines.Text(), "listening on ")
		if !strings.HasPrefix(baseURL, "http://") {
			baseURL = ""
		}
	}
	if baseURL == "" {
		t.Fatalf("it does not listen, exit code %d: %s", <-ended, log.String())
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines.Scan() {
			log.WriteString(lines.Text() + "\n")
		}
	}()
	return baseURL, func() (int, string, string) {
		cancel()
		code := <-ended
		<-read
		return code, out.String(), log.String()
	}
}

func authorityMe(t *testing.T, baseURL, token string) (status int, role string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", baseURL+"/me", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	var me struct{ Role string }
	err = json.NewDecoder(response.Body).Decode(&me)
	if closing := response.Body.Close(); err != nil || closing != nil {
		t.Fatal(err, closing)
	}
	return response.StatusCode, me.Role
}

func TestAuthority_UsersOfARunningServer(t *testing.T) {
	t.Setenv("KENBUN_STORE", "sqlite:"+filepath.Join(t.TempDir(), "data", "kenbun.db"))
	mustAuthorityCommand(t, "user", "add", "ada@example.com", "--role", "admin", "--first-name", "Ada")
	baseURL, stop := serveAuthority(t)
	token := strings.TrimSuffix(mustAuthorityCommand(t, "session", "--stdout", "ada@example.com", "--ttl", "10m"), "\n")
	if strings.ContainsAny(token, " \n") {
		t.Error("session prints more than the token")
	}
	if status, role := authorityMe(t, baseURL, token); status != http.StatusOK || role != "admin" {
		t.Errorf("status %d, role %s", status, role)
	}
	mustAuthorityCommand(t, "user", "role", "ada@example.com", "viewer")
	if _, role := authorityMe(t, baseURL, token); role != "viewer" {
		t.Errorf("role %s after the change", role)
	}
	mustAuthorityCommand(t, "user", "suspend", "ada@example.com")
	if status, _ := authorityMe(t, baseURL, token); status != http.StatusUnauthorized {
		t.Errorf("status %d of a suspended user", status)
	}
	if list := mustAuthorityCommand(t, "user", "list"); !strings.Contains(list, "suspended") {
		t.Errorf("list %s", list)
	}
	mustAuthorityCommand(t, "user", "restore", "ada@example.com")
	if status, _ := authorityMe(t, baseURL, token); status != http.StatusOK {
		t.Errorf("status %d of a restored user", status)
	}
	code, stdout, log := stop()
	if code != command.ExitDone || stdout != "" {
		t.Errorf("exit code %d, standard output %q", code, stdout)
	}
	if strings.Contains(log, token[20:]) || !strings.Contains(log, token[:20]) {
		t.Error("the log should name the session by its prefix alone")
	}
}

func TestAuthority_JSON(t *testing.T) {
	t.Setenv("KENBUN_STORE", "sqlite:"+filepath.Join(t.TempDir(), "data", "kenbun.db"))
	var added, session map[string]any
	var list []map[string]any
	for _, c := range []struct {
		into any
		args []string
	}{
		{&added, []string{"user", "add", "ada@example.com", "--organization", "Analytical <Engines>", "--json"}},
		{&list, []string{"user", "list", "--json"}},
		{&session, []string{"session", "--stdout", "ada@example.com", "--ttl", "1h", "--json"}},
	} {
		if err := json.Unmarshal([]byte(mustAuthorityCommand(t, c.args...)), c.into); err != nil {
			t.Fatalf("%v: %v", c.args, err)
		}
	}
	if len(list) != 1 || list[0]["id"] != added["id"] || added["organization"] != "Analytical <Engines>" || added["role"] != "member" {
		t.Errorf("added %v, listed %v", added, list)
	}
	if session["lifetime_seconds"] != 3600.0 || !strings.HasPrefix(session["token"].(string), "kbn_session_") {
		t.Error("session prints something else")
	}
}

func TestAuthority_MemoryWithAFirstUser(t *testing.T) {
	baseURL, stop := serveAuthority(t, "--store", "memory", "--first-user", "ada@example.com", "--stdout")
	// What it prints before it listens is there now.
	health, err := http.NewRequestWithContext(t.Context(), "GET", baseURL+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultTransport.RoundTrip(health)
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("health: %d, %v", response.StatusCode, err)
	}
	code, stdout, _ := stop()
	if code != command.ExitDone || !strings.HasPrefix(stdout, "kbn_session_") || strings.Count(stdout, "\n") != 1 {
		t.Errorf("exit code %d, %d bytes on standard output", code, len(stdout))
	}
}

func TestAuthority_WrongUsageAndFailure(t *testing.T) {
	t.Setenv("KENBUN_STORE", "sqlite:"+filepath.Join(t.TempDir(), "data", "kenbun.db"))
	mustAuthorityCommand(t, "user", "add", "ada@example.com")
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"user add", command.ExitUsage, "arg"},
		{"user add ada", command.ExitUsage, "address such as"},
		{"user add ben@example.com --role root", command.ExitUsage, "owner, admin, member, viewer"},
		{"user add ada@example.com", command.ExitFailed, "already"},
		{"user role ada@example.com root", command.ExitUsage, "owner, admin, member, viewer"},
		{"user role nobody@example.com admin", command.ExitFailed, "no such user"},
		{"user suspend nobody@example.com", command.ExitFailed, "no such user"},
		{"user list --store memory", command.ExitUsage, "sqlite:PATH"},
		{"user list --store nonsense", command.ExitUsage, "sqlite:PATH"},
		{"session --stdout ada@example.com --ttl 0s", command.ExitUsage, "--ttl"},
		{"session --stdout ada@example.com --ttl 721h", command.ExitUsage, "720 hours"},
		{"session --stdout nobody@example.com", command.ExitFailed, "no such user"},
		{"serve --token-limit 0", command.ExitUsage, "--token-limit"},
		{"serve --api-max-token-lifetime 0d", command.ExitUsage, "--api-max-token-lifetime cannot be"},
		{"serve --keep-dead 0", command.ExitUsage, "or forever"},
		{"serve --keep-dead -5d", command.ExitUsage, "--keep-dead cannot be"},
		{"serve --api-rate-limit 60/w", command.ExitUsage, "--api-rate-limit"},
		{"serve --api-rate-limit-address 600/m,9/d", command.ExitUsage, "--api-rate-limit-address"},
		{"serve --trusted-proxy 0.0.0.0/0", command.ExitUsage, "--trusted-proxy"},
		{"serve --fault 503:101%", command.ExitUsage, "--fault"},
		{"serve --fault-seed 7", command.ExitUsage, "--fault-seed"},
		{"seed", command.ExitFailed, "--add"}, // ada is there
		{"seed --users 0", command.ExitUsage, "users"},
		{"seed --store memory", command.ExitUsage, "sqlite:PATH"},
		{"serve --listen nonsense", command.ExitUsage, "--listen"},
	} {
		code, stdout, stderr := authorityCommand(t, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(stderr, c.says) || stdout != "" {
			t.Errorf("%s: exit code %d, printed %q and %q", c.args, code, stdout, stderr)
		}
	}
}

func TestAuthority_PepperIsRotated(t *testing.T) {
	t.Setenv("KENBUN_STORE", "sqlite:"+filepath.Join(t.TempDir(), "data", "kenbun.db"))
	mustAuthorityCommand(t, "user", "add", "ada@example.com")
	baseURL, stop := serveAuthority(t)
	token := strings.TrimSuffix(mustAuthorityCommand(t, "session", "--stdout", "ada@example.com"), "\n")
	mustAuthorityCommand(t, "pepper", "rotate")
	later := strings.TrimSuffix(mustAuthorityCommand(t, "session", "--stdout", "ada@example.com"), "\n")
	for _, session := range []string{token, later} {
		if status, _ := authorityMe(t, baseURL, session); status != http.StatusOK {
			t.Errorf("status %d", status)
		}
	}
	var versions []struct {
		Version     int
		Credentials int
		Current     bool
	}
	if err := json.Unmarshal([]byte(mustAuthorityCommand(t, "pepper", "list", "--json")), &versions); err != nil {
		t.Fatal(err)
	}
	if len(versions) != 2 || versions[0].Credentials != 1 || versions[0].Current || versions[1].Credentials != 1 || !versions[1].Current {
		t.Errorf("peppers %+v", versions)
	}
	if table := mustAuthorityCommand(t, "pepper", "list"); strings.Count(table, "yes") != 2 {
		t.Errorf("table %s", table)
	}
	if code, _, stderr := stop(); code != command.ExitDone {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// A password is in no error, wherever it was given.
func TestAuthority_PasswordOfTheStoreIsNotShown(t *testing.T) {
	password := "pw" + rand.Text()
	for _, c := range []struct{ flag, environment, says string }{
		{"postgres://ada:" + password + "@127.0.0.1:1/kenbun", "", "KENBUN_STORE"},
		{"postgres://127.0.0.1:1/kenbun?password=" + password, "", "KENBUN_STORE"},
		{"", "postgres://ada:" + password + "@127.0.0.1:1/kenbun", "the PostgreSQL database cannot be used: no connection could be made"},
		{"", "postgres://ada:" + password + "@127.0.0.1:one/kenbun", "not a valid address"},
		{"", "postgres://ada:%" + password + "@127.0.0.1/kenbun", "not a valid address"},
		{"", "postgres://127.0.0.1:1/kenbun?sslmode=nonsense&password=" + password, "not a valid address"},
	} {
		t.Setenv("KENBUN_STORE", c.environment)
		args := []string{"user", "list", "--pepper-file", filepath.Join(t.TempDir(), "pepper")}
		if c.flag != "" {
			args = append(args, "--store", c.flag)
		}
		code, stdout, stderr := authorityCommand(t, args...)
		if code == command.ExitDone || !strings.Contains(stderr, c.says) {
			t.Errorf("exit code %d, want an error that says %q: %s", code, c.says, strings.ReplaceAll(stderr, password, "PASSWORD"))
		}
		if strings.Contains(stdout+stderr, password[:10]) {
			t.Errorf("the password is shown: %s", strings.ReplaceAll(stderr, password, "PASSWORD"))
		}
	}
}

func TestAuthority_PostgresNeedsAPepper(t *testing.T) {
	t.Setenv("KENBUN_STORE", "postgres://127.0.0.1:1/kenbun")
	code, _, stderr := authorityCommand(t, "user", "list")
	if code != command.ExitUsage || !strings.Contains(stderr, "all nodes need the same") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestAuthority_SeedTellsHowToSignIn(t *testing.T) {
	t.Setenv("KENBUN_STORE", "sqlite:"+filepath.Join(t.TempDir(), "data", "kenbun.db"))
	said := mustAuthorityCommand(t, "seed", "--users", "20", "--tokens", "100")
	_, command, found := strings.Cut(said, "kenbun-mcp authority ")
	if !found || !strings.HasPrefix(said, "made 20 users and 100 tokens in ") {
		t.Fatalf("seed says %q", said)
	}
	if got := mustAuthorityCommand(t, append(strings.Fields(command), "--stdout")...); !strings.HasPrefix(got, "kbn_session_") {
		t.Error("the command that seed tells prints no session")
	}
	var made struct{ Users, Tokens, Active, Expired, Revoked int }
	if err := json.Unmarshal([]byte(mustAuthorityCommand(t, "seed", "--users", "5", "--tokens", "50", "--add", "--json")), &made); err != nil {
		t.Fatal(err)
	}
	if made.Users != 5 || made.Tokens != 50 || made.Active+made.Expired+made.Revoked != 50 {
		t.Errorf("made %+v", made)
	}
}
