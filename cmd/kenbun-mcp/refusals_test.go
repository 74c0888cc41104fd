package main

import (
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/bend"
)

// refusedOverHTTP sends a header without a scheme and returns the reason and what is
// said about it.
func refusedOverHTTP(t *testing.T, address, token string) (reason, says string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/mcp", strings.NewReader(strings.TrimSpace(initialize)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-API-Key", token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(response.Body)
	if closing := response.Body.Close(); err != nil || closing != nil {
		t.Fatal(err, closing)
	}
	var refusal struct {
		Reason      string `json:"reason"`
		Description string `json:"error_description"`
	}
	if err := json.Unmarshal(content, &refusal); err != nil || response.StatusCode != http.StatusUnauthorized {
		t.Fatalf("status %d, %s", response.StatusCode, content)
	}
	return refusal.Reason, refusal.Description
}

// A token that is given in a wrong way is explained in the same words wherever it
// is given.
func TestP6_WrongTokensGetTheSameExplanationEverywhere(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "ada@example.com", authority.RoleMember)
	folder := t.TempDir()
	environment := kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL)
	address := startHTTP(t, environment)
	for reason, token := range map[string]string{
		"unexpanded_variable": "${KENBUN_PAT}",
		"placeholder":         "<your-token>",
		"quoted_token":        `'` + pat + `'`,
		"name_before_token":   "Bearer " + pat,
		"wrong_scheme":        "Token " + pat,
		"two_tokens":          pat + "," + pat,
		"token_cut_short":     pat[:20],
		"token_too_long":      pat + strings.Repeat("a", 200),
		"illegal_character":   pat + ";",
		"other_kind":          "kbn_" + "session_" + pat[8:],
		"wrong_prefix":        "token-" + pat[8:],
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			got, says := refusedOverHTTP(t, address, token)
			if got != reason || says == "" {
				t.Errorf("over HTTP: %s, %q", got, says)
			}
			file := filepath.Join(folder, reason)
			writePrivate(t, file, []byte(token+"\n"))
			for place, setting := range map[string]string{
				"a variable": "KENBUN_PAT=" + token, "a file": "KENBUN_PAT_FILE=" + file, "a command": "KENBUN_PAT_COMMAND=cat " + file,
			} {
				answer, log := overStdio(t, with(environment, setting), "whoami", "{}")
				if text := answer.text(); !strings.HasPrefix(text, "unauthenticated: ") || !strings.Contains(text, says) {
					t.Errorf("in %s, over stdio: %q, want %q", place, text, says)
				}
				if !strings.Contains(log, "reason="+reason) || strings.Contains(log, pat[8:16]) {
					t.Errorf("in %s, the log of stdio has no reason %s, or a part of the token", place, reason)
				}
			}
			if shown := runProgram(t, environment, token+"\n", "login"); shown.code != command.ExitUnauthenticated || !strings.Contains(shown.stderr, says) {
				t.Errorf("at login: exit %d, %q, want %q", shown.code, shown.stderr, says)
			}
			if shown := runProgram(t, with(environment, "KENBUN_PAT_FILE="+file), "", "whoami"); shown.code != command.ExitUnauthenticated || !strings.Contains(shown.stderr, says) {
				t.Errorf("in a terminal: exit %d, %q, want %q", shown.code, shown.stderr, says)
			}
		})
	}
}

var requestID = regexp.MustCompile(`Request id, for the server's log: ([A-Z2-7]{16})`)

// What a tool could not do leads to the one line of the log that says why.
func TestP11_UnavailableOverStdioLeadsToItsReasonInTheLog(t *testing.T) {
	for name, test := range map[string]struct {
		setting func(t *testing.T) []string
		reason  string
		code    string
	}{
		"no token":       {func(*testing.T) []string { return []string{"KENBUN_PAT="} }, "missing_token", "unauthenticated"},
		"nobody listens": {func(*testing.T) []string { return []string{"KENBUN_API_URL=http://127.0.0.1:9"} }, "connection_refused", "unavailable"},
		"a page in between": {func(t *testing.T) []string {
			return []string{"KENBUN_API_URL=" + bend.Start(t, bend.HTML("", "", 403, "Blocked")).URL}
		}, "intermediary", "unavailable"},
		"a token too short": {func(*testing.T) []string { return []string{"KENBUN_PAT=kbn_" + "pat_abc"} }, "token_cut_short", "unauthenticated"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := bend.Start(t)
			environment := append(kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL, "KENBUN_PAT="+api.PAT, "KENBUN_DELIVER=file"), test.setting(t)...)
			answer, log := overStdio(t, environment, "list_tokens", "{}")
			found := requestID.FindStringSubmatch(answer.text())
			if !strings.HasPrefix(answer.text(), test.code+": ") || found == nil {
				t.Fatalf("the tool answered %q", answer.text())
			}
			lines := 0
			for line := range strings.Lines(log) {
				if strings.Contains(line, "request_id="+found[1]) && strings.Contains(line, "level=INFO") && strings.Contains(line, "reason="+test.reason) {
					lines++
				}
			}
			if lines != 1 {
				t.Errorf("%d lines of the log have %s and the reason %s: %s", lines, found[1], test.reason, log)
			}
		})
	}
}
