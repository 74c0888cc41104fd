//go:build unix

package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/server"
	"github.com/kenbun/kenbun-mcp/server/identity"
	"github.com/kenbun/kenbun-mcp/tools"
)

func TestP7_HelpSaysWhatThisServerNeeds(t *testing.T) {
	own := func(h *house, api *client.Client) tools.Callers { return identity.OwnCallers(api, ownToken(h.pat)) }
	const creating, key, file = "Create a personal access token", "YOUR_KEY", "shows the path of this file when it starts"
	for name, c := range map[string]struct {
		served        *httpHouse
		says, saysNot []string
		signIn        string
	}{
		"the callers' tokens": {
			served: serveHTTP(t), says: []string{creating, "Authorization: Bearer YOUR_TOKEN", "https://SERVER/mcp"}, saysNot: []string{key, "kms_"},
			signIn: "this server needs a kenbun token in the Authorization header, see /help",
		},
		"its own key": {
			served: identityServer(t, serverKey()), says: []string{"Authorization: Bearer " + key, "kms_", file, "http://SERVER/mcp"}, saysNot: []string{creating, "YOUR_TOKEN"},
			signIn: "this server needs its own key in the Authorization header, see /help",
		},
		"its own key in a header of its own": {
			served: identityServer(t, serverKey(), func(config *server.HTTPConfig) { config.TokenHeader = "X-API-Key" }),
			says:   []string{"X-Api-Key: " + key, file}, saysNot: []string{creating, "Bearer"},
			signIn: "this server needs its own key in the X-Api-Key header, see /help",
		},
		"a unix socket": {
			served: listenOnSocket(t, newHouse(t, own), server.HTTPConfig{Identity: server.IdentityServer}),
			says:   []string{"unix socket", "without a token or a key"}, saysNot: []string{creating, key, "kms_", "Bearer"},
			signIn: "this server needs no token and no key over its unix socket, see /help",
		},
	} {
		help := c.served.do(t, "GET", "/help", nil, "")
		if help.status != http.StatusOK || strings.ContainsAny(help.body, "{}") {
			t.Errorf("%s: status %d, %s", name, help.status, help.body)
		}
		for _, text := range c.says {
			if !strings.Contains(help.body, text) {
				t.Errorf("%s: %q is not in %s", name, text, help.body)
			}
		}
		for _, text := range c.saysNot {
			if strings.Contains(help.body, text) {
				t.Errorf("%s: %q is in %s", name, text, help.body)
			}
		}
		signIn := c.served.do(t, "POST", "/register", nil, "{}").refusal(t)
		if signIn.Description != c.signIn || len(signIn.Description) >= 85 {
			t.Errorf("%s: signing in: %+v", name, signIn)
		}
	}
}

func TestP11_RefusalsSayWhatToDo(t *testing.T) {
	h := serveHTTP(t)
	body := initialize(t, 1, noCapabilities)
	for _, origin := range []string{"null", "file://"} {
		got := h.post(t, bearer(h.pat).with("Origin", origin), body).refusal(t)
		if strings.Contains(got.Description, "--allowed-origin") || !strings.Contains(got.Description, "open the page from a web address") {
			t.Errorf("the origin %s: %s", origin, got.Description)
		}
	}
	if got := h.post(t, bearer(h.pat).with("Origin", "https://tools.example.com"), body).refusal(t); !strings.Contains(got.Description, "--allowed-origin") {
		t.Errorf("another origin: %s", got.Description)
	}

	key := serverKey()
	own := identityServer(t, key)
	for _, header := range []string{"Forwarded", "Via", "X-Forwarded-For", "X-Real-Ip"} {
		got := own.post(t, bearer(key).with(header, "192.0.2.1"), body).refusal(t)
		if got.Reason != "forwarded" || !strings.Contains(got.Description, header) || !strings.Contains(got.Description, "must not be behind a proxy") {
			t.Errorf("%s: %+v", header, got)
		}
	}

	session := h.session(t, bearer(h.pat), noCapabilities)
	old := headers{session[0], session[1], session[2], session[3], "Mcp-Protocol-Version", "1999-01-01"}
	unknown := bearer(h.pat).with("Mcp-Protocol-Version", "2099-01-01", "Mcp-Method", "tools/list")
	deep := `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}}`
	for name, c := range map[string]struct {
		answer httpAnswer
		says   []string
	}{
		"a version without sessions": {h.post(t, old, request(t, 1, "ping", nil)), []string{"2026-07-28", "2025-11-25", "2024-11-05"}},
		"a version of tomorrow": {
			h.post(t, unknown, strings.ReplaceAll(modern(t, 1, "tools/list", nil), modernVersion, "2099-01-01")), []string{"2026-07-28", "2025-11-25", "2024-11-05"},
		},
		"nested too deep": {h.post(t, bearer(h.pat), deep), []string{"at most 100 levels"}},
		"too many values": {
			h.post(t, bearer(h.pat), `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":[1`+strings.Repeat(",1", 20_000)+`]}}`), []string{"at most 10000"},
		},
	} {
		for _, text := range c.says {
			if description, _, _ := strings.Cut(c.answer.body, `"data"`); c.answer.status != http.StatusBadRequest || !strings.Contains(description, text) {
				t.Errorf("%s: %q is not in %s", name, text, c.answer.body)
			}
		}
	}
}
