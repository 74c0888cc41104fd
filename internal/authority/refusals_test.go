package authority

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
)

func TestP6_TheEmbeddedAPIExplainsWhatIsNoTokenAndNamesTheReason(t *testing.T) {
	f := newFixture(t, Config{})
	ada := f.user("ada@example.com", RoleMember).Value
	for _, c := range []struct{ header, reason, says string }{
		{"", "missing_token", "send a personal access token"},
		{"Authorization: " + ada, "missing_scheme", "Bearer is missing"},
		{"Authorization: Token " + ada, "wrong_scheme", "this scheme is not served"},
		{"Authorization: Basic eA==", "wrong_scheme", "service accounts"},
		{"Authorization: Bearer", "empty_token", "empty"},
		{"X-API-Key: ", "empty_token", "empty"},
		{"Authorization: Bearer ${KENBUN_PAT}", "unexpanded_variable", "variable"},
		{"Authorization: $KENBUN_AUTH", "unexpanded_variable", "variable"},
		{"X-API-Key: %KENBUN_PAT%", "unexpanded_variable", "variable"},
		{`Authorization: Bearer "` + ada + `"`, "quoted_token", "quotation mark"},
		{"X-API-Key: Bearer " + ada, "name_before_token", "Bearer before it"},
		{"Authorization: Bearer Bearer " + ada, "name_before_token", "Bearer before it"},
		{bearer(ada[:30]), "malformed_token", "not have been copied in full"},
		{bearer(domain.NewCredential(domain.PersonalAccessToken)), "unauthenticated", "not have been copied in full"},
	} {
		var headers []string
		if c.header != "" {
			headers = append(headers, c.header)
		}
		got := f.send("GET", "/me", "", headers...)
		wantProblem(t, got, http.StatusUnauthorized, "unauthenticated")
		if !strings.Contains(got.body, c.says) || strings.Contains(got.body, ada[16:]) {
			t.Errorf("%s: %s", c.reason, got.body)
		}
		id := got.header.Get("X-Request-Id")
		if line := f.lineWith(id); !strings.Contains(line, `"reason":"`+c.reason+`"`) || !strings.Contains(got.body, id) {
			t.Errorf("%s: the log has %q", c.reason, line)
		}
	}
	if strings.Contains(f.log.String(), ada[16:]) {
		t.Error("the log holds a token")
	}
	// Any number of blanks may stand behind the scheme.
	wantStatus(t, f.send("GET", "/me", "", "Authorization: Bearer   "+ada), http.StatusOK)
}

// lineWith waits for the log line of a request, which is written after the answer.
func (f *fixture) lineWith(id string) string {
	for until := time.Now().Add(5 * time.Second); time.Now().Before(until); time.Sleep(5 * time.Millisecond) {
		for line := range strings.Lines(f.log.String()) {
			if strings.Contains(line, id) && strings.Contains(line, `"msg":"request"`) {
				return line
			}
		}
	}
	return ""
}

func TestP5_TheEmbeddedAPITakesSlashesTooMany(t *testing.T) {
	f := newFixture(t, Config{})
	ada := f.user("ada@example.com", RoleMember)
	for _, path := range []string{"/me", "/me/", "//me", "//me//", "/settings/tokens/", "//settings/tokens", "/org-units/"} {
		if status := f.plainly("GET", path, ada.Value); status != http.StatusOK {
			t.Errorf("GET %s: status %d", path, status)
		}
	}
	wantStatus(t, f.send("GET", "/healthz/", ""), http.StatusOK)
	// A token is never taken for the list, nor the list for a token.
	wantStatus(t, f.send("DELETE", "/settings/tokens/", "", bearer(ada.Value)), http.StatusMethodNotAllowed)
	if status := f.plainly("DELETE", "//settings/tokens/"+ada.ID+"/", ada.Value); status != http.StatusNoContent {
		t.Errorf("DELETE: status %d", status)
	}
}

// plainly puts the address and a path together as clients do.
func (f *fixture) plainly(method, path, token string) int {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), method, f.url+path, http.NoBody)
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil {
		f.t.Fatal(err)
	}
	return response.StatusCode
}
