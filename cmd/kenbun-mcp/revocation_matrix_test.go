//go:build unix

package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/bend"
)

// deletions are what a DELETE can be answered.
var deletions = map[string]bend.Rule{
	"200": {Status: 200}, "202": {Status: 202}, "204": {Status: 204},
	"302":     {Status: 302, Header: http.Header{"Location": {"https://login.example/"}}},
	"400":     bend.JSON("", "", 400, `{"message":"bad"}`),
	"404":     bend.JSON("", "", 404, `{"message":"none"}`),
	"410":     bend.JSON("", "", 410, `{"message":"gone"}`),
	"500":     {Status: 500},
	"HTML":    bend.HTML("", "", 200, "Sign in"),
	"silence": {Silent: true},
}

// said is what a user or an assistant was told of a token.
type said struct {
	revoked, unknown bool
	text             string
}

// agrees reports whether what was said is what the list shows, or that it is not
// certain. Where the API itself refused, the token has to be live.
func (s said) agrees(t *testing.T, listed bool) {
	t.Helper()
	switch {
	case s.revoked && s.unknown:
		t.Errorf("both is said: %s", s.text)
	case s.revoked && !listed:
		t.Errorf("it is said to be revoked, and the list shows it alive: %s", s.text)
	case !s.revoked && !s.unknown && listed:
		t.Errorf("it is said not to be revoked, and the list shows it as revoked: %s", s.text)
	}
}

// eachDeletion runs test for every answer, with and without acting on it.
func eachDeletion(t *testing.T, test func(t *testing.T, api *bend.API, id string)) {
	t.Helper()
	for name, rule := range deletions {
		for _, acts := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, acting %t", name, acts), func(t *testing.T) {
				t.Parallel()
				api := bend.Start(t)
				id := api.Add(bend.Row{"name": "old"})
				rule.Method, rule.Path, rule.Act = http.MethodDelete, "/settings/tokens/", acts
				api.Bend(rule)
				test(t, api, id)
			})
		}
	}
}

func TestP22_TokensRevokeSaysWhatTheListShows(t *testing.T) {
	t.Parallel() // it waits for what is silent
	eachDeletion(t, func(t *testing.T, api *bend.API, id string) {
		environment := kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL, "KENBUN_PAT="+api.PAT)
		shown, code := atTerminal(t, environment, 200, "y\n", "tokens", "revoke", id)
		got := said{text: shown, unknown: strings.Contains(shown, "not certain"), revoked: strings.Contains(shown, "Token revoked") || strings.Contains(shown, "was revoked before")}
		got.agrees(t, api.Revoked(id))
		if (code == command.ExitDone) != got.revoked || got.unknown && !strings.Contains(shown, id) {
			t.Errorf("exit %d: %s", code, shown)
		}
	})
}

func TestP22_RevokeTokenSaysWhatTheListShows(t *testing.T) {
	t.Parallel() // it waits for what is silent
	eachDeletion(t, func(t *testing.T, api *bend.API, id string) {
		environment := kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL, "KENBUN_PAT="+api.PAT, "KENBUN_APPROVAL=client")
		answer, _ := overStdio(t, environment, "revoke_token", fmt.Sprintf(`{"id":%q}`, id))
		text := answer.text()
		got := said{text: text, unknown: strings.HasPrefix(text, "outcome_unknown: "), revoked: !answer.IsError}
		got.agrees(t, api.Revoked(id))
		if got.unknown && (!strings.Contains(text, id) || !strings.Contains(text, "may be alive")) {
			t.Errorf("the token is not named as perhaps alive: %s", text)
		}
	})
}

func TestP22_RotateTokenSaysWhatTheListShows(t *testing.T) {
	t.Parallel() // it waits for what is silent
	eachDeletion(t, func(t *testing.T, api *bend.API, id string) {
		environment := kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL, "KENBUN_PAT="+api.PAT, "KENBUN_APPROVAL=client", "KENBUN_DELIVER=inline")
		answer, _ := overStdio(t, environment, "rotate_token", fmt.Sprintf(`{"id":%q}`, id))
		text := answer.text()
		got := said{text: text, revoked: strings.Contains(text, ", now revoked") || strings.Contains(text, "was revoked by somebody else")}
		// What is not certain may be about the new token alone.
		got.unknown = !got.revoked && (strings.Contains(text, "not certain") || strings.HasPrefix(text, "outcome_unknown: "))
		got.agrees(t, api.Revoked(id))
	})
}

// A token that waits to be claimed is revoked by the server itself, with itself.
func TestP22_AnExpiredClaimIsSettledOnlyByTheList(t *testing.T) {
	t.Parallel() // it waits for half a minute
	eachDeletion(t, func(t *testing.T, api *bend.API, _ string) {
		environment := kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL, "KENBUN_DELIVER=claim", "KENBUN_CLAIM_LIFETIME=1s", "KENBUN_LOG_LEVEL=info")
		address, log := startHTTPLogged(t, environment)
		answer := postMCP(t, address, api.PAT, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"create_token","arguments":{"name":"new","expires":"1d"},`+
			`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`)
		if !strings.Contains(answer, "claim_") {
			t.Fatal(answer)
		}
		live := len(api.Live())
		var said string
		for until := time.Now().Add(75 * time.Second); said == "" && time.Now().Before(until); time.Sleep(200 * time.Millisecond) {
			for line := range strings.Lines(log()) {
				if strings.Contains(line, "nobody fetched a claim") {
					said = line
				}
			}
		}
		isRevoked := len(api.Live()) < live || live == 2
		switch {
		case said == "":
			t.Error("nothing is said of the claim")
		case strings.Contains(said, "its token was revoked") && !isRevoked:
			t.Errorf("the token lives: %s", said)
		case strings.Contains(said, "could not be revoked") && isRevoked && !strings.Contains(said, "not certain"):
			t.Errorf("the token is revoked: %s", said)
		}
	})
}
