package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/cli/command"
)

// browse sends a request as a browser with cookies does, and returns the page
// that it ends at.
func browse(t *testing.T, client *http.Client, method, address string) (status int, page string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if closing := response.Body.Close(); err != nil || closing != nil {
		t.Fatal(err, closing)
	}
	return response.StatusCode, string(body)
}

// TestK6_SignInLinkOfARunningServer has one command sign in to the page that
// another serves.
func TestK6_SignInLinkOfARunningServer(t *testing.T) {
	t.Setenv("KENBUN_STORE", "sqlite:"+filepath.Join(t.TempDir(), "data", "kenbun.db"))
	mustAuthorityCommand(t, "user", "add", "ada@example.com", "--role", "admin")
	baseURL, stop := serveAuthority(t)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}}
	// Without EMAIL: there is one user.
	link := strings.TrimSuffix(mustAuthorityCommand(t, "session", "--stdout", "--link", "--web-url", baseURL), "\n")
	if !strings.HasPrefix(link, baseURL+"/web/sign-in/kbn_link_") || strings.ContainsAny(link, " \n") {
		t.Fatal("session --link prints more than the link")
	}
	if status, page := browse(t, client, "GET", link); status != http.StatusOK || !strings.Contains(page, "ada@example.com") {
		t.Errorf("the link's page: status %d", status)
	}
	if status, page := browse(t, client, "POST", link); status != http.StatusOK || !strings.Contains(page, "Personal access tokens") {
		t.Errorf("signed in: status %d", status)
	}
	if status, _ := browse(t, client, "POST", link); status != http.StatusGone {
		t.Errorf("the link a second time: status %d", status)
	}
	mustAuthorityCommand(t, "user", "suspend", "ada@example.com")
	if status, _ := browse(t, client, "GET", baseURL+"/web/tokens"); status != http.StatusUnauthorized {
		t.Errorf("status %d of a suspended user", status)
	}
	_, _, log := stop()
	secret := link[strings.LastIndex(link, "_")+1:]
	cookies := jar.Cookies(mustParseURL(t, baseURL+"/web"))
	if len(cookies) != 1 {
		t.Fatalf("%d cookies", len(cookies))
	}
	if strings.Contains(log, secret[8:]) || strings.Contains(log, cookies[0].Value[20:]) {
		t.Error("the log holds a secret")
	}
}

func mustParseURL(t *testing.T, address string) *url.URL {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestK6_WebPageCanBeLeftOut(t *testing.T) {
	baseURL, stop := serveAuthority(t, "--store", "memory", "--web=false")
	status, _ := browse(t, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, "GET", baseURL+"/web/tokens")
	if code, _, _ := stop(); code != command.ExitDone || status != http.StatusNotFound {
		t.Errorf("exit code %d, status %d", code, status)
	}
}

func TestAuthority_SessionOfWhom(t *testing.T) {
	t.Setenv("KENBUN_STORE", "sqlite:"+filepath.Join(t.TempDir(), "data", "kenbun.db"))
	fails := func(says string, args ...string) {
		t.Helper()
		code, stdout, stderr := authorityCommand(t, args...)
		if code != command.ExitUsage || stdout != "" || !strings.Contains(stderr, says) {
			t.Errorf("%v: exit code %d, %q", args, code, stderr)
		}
	}
	fails("no users yet", "session", "--stdout", "--link")
	mustAuthorityCommand(t, "user", "add", "ada@example.com")
	if !strings.HasPrefix(mustAuthorityCommand(t, "session", "--stdout"), "kbn_session_") {
		t.Error("session without EMAIL prints something else")
	}
	var link map[string]any
	if err := json.Unmarshal([]byte(mustAuthorityCommand(t, "session", "--stdout", "--link", "--json")), &link); err != nil {
		t.Fatal(err)
	}
	if link["email"] != "ada@example.com" || link["lifetime_seconds"] != 600.0 || !strings.HasPrefix(link["url"].(string), "http://127.0.0.1:8780/web/sign-in/") {
		t.Error("session --link --json prints something else")
	}
	mustAuthorityCommand(t, "user", "add", "ben@example.com")
	fails("several users", "session", "--stdout")
	fails("--ttl", "session", "--stdout", "ada@example.com", "--link", "--ttl", "1h")
	for _, address := range []string{"tokens.example.com", "ftp://tokens.example.com", "https://", "https://ada:pw@tokens.example.com", "https://tokens.example.com/path", "https://tokens.example.com/?x", "http://[::1", "https://:443", "http://:8780"} {
		fails("web URL", "session", "--stdout", "ada@example.com", "--link", "--web-url", address)
		fails("web URL", "serve", "--listen", "127.0.0.1:0", "--web-url", address)
	}
}
