package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// What a client declares, and whether the person is asked through it. The table
// in docs/clients.md says the same.
var elicitationMatrix = []struct {
	declares string
	asked    bool
}{
	{`{}`, false},
	{`{"elicitation":{}}`, true},
	{`{"elicitation":{"form":{}}}`, true},
	{`{"elicitation":{"form":{},"url":{}}}`, true},
	{`{"elicitation":{"url":{}}}`, false},
}

func TestWhoIsAskedByWhatTheClientDeclares(t *testing.T) {
	api := kenbuntest.Start(t)
	environment := append(kenbuntest.Environment(t), "KENBUN_API_URL="+api.URL, "KENBUN_API_EXTENSIONS=true")
	address := startHTTP(t, environment)
	t.Run("revoke_token", func(t *testing.T) {
		expectAsked(t, api, address, environment, func(t *testing.T, user, _ string) asking {
			target := api.Token(t, user, "target", nil)
			return asking{
				"revoke_token", fmt.Sprintf(`{"id":%q}`, target.ID), "Revoke this kenbun token?", "kenbun-mcp tokens revoke " + target.ID,
				func() error { _, err := api.As(t, target.Value).Me(t.Context()); return err },
			}
		})
	})
	t.Run("update_token", func(t *testing.T) {
		expectAsked(t, api, address, environment, func(t *testing.T, _, pat string) asking {
			narrow := narrowedToken(t, api, pat)
			return asking{
				"update_token", fmt.Sprintf(`{"id":%q,"permissions":["all"]}`, narrow.ID), "more than it has",
				"kenbun-mcp tokens update " + narrow.ID + " --permissions all",
				func() error {
					if _, err := api.As(t, narrow.Value.Reveal()).OrgUnits(t.Context()); err == nil {
						return errors.New("the token was widened")
					}
					return nil
				},
			}
		})
	})
}

// asking is a call that asks, and what must hold without a yes.
type asking struct {
	tool, arguments, question, command string
	unchanged                          func() error
}

// narrowedToken makes a token for the user of pat that may read leads alone.
func narrowedToken(t *testing.T, api *kenbuntest.API, pat string) *client.CreatedToken {
	t.Helper()
	ends := time.Now().Add(30 * 24 * time.Hour)
	created, err := api.As(t, pat).CreateToken(t.Context(), client.NewToken{Name: "narrow", ExpiresAt: &ends, Permissions: []string{"read:leads"}})
	if err != nil {
		t.Fatal(err)
	}
	return created
}

// expectAsked has a user of their own ask in each way: a question that is open
// holds others back.
func expectAsked(t *testing.T, api *kenbuntest.API, address string, environment []string, about func(t *testing.T, user, pat string) asking) {
	t.Helper()
	for _, row := range elicitationMatrix {
		for way, ask := range map[string]func(t *testing.T, pat, tool, arguments string) string{
			"stdio, handshake": func(t *testing.T, pat, tool, arguments string) string {
				return runProgram(t, with(environment, "KENBUN_PAT="+pat), handshake(row.declares)+toolCall(2, tool, arguments), "stdio").stdout
			},
			"stdio, stateless": func(t *testing.T, pat, tool, arguments string) string {
				return runProgram(t, with(environment, "KENBUN_PAT="+pat), statelessCall(row.declares, tool, arguments)+"\n", "stdio").stdout
			},
			"HTTP, handshake": func(t *testing.T, pat, tool, arguments string) string {
				return askOverSession(t, address, pat, row.declares, tool, arguments)
			},
			"HTTP, stateless": func(t *testing.T, pat, tool, arguments string) string {
				return postMCP(t, address, pat, statelessCall(row.declares, tool, arguments))
			},
		} {
			t.Run(row.declares+" over "+way, func(t *testing.T) {
				user := strings.ToLower(rand.Text()) + "@example.com"
				pat := api.User(t, user, authority.RoleMember)
				a := about(t, user, pat)
				got := ask(t, pat, a.tool, a.arguments)
				asked := strings.Contains(got, "elicitation/create") && strings.Contains(got, a.question)
				refused := strings.Contains(got, "needs_person") && strings.Contains(got, a.command)
				if asked != row.asked || !row.asked && !refused {
					t.Errorf("asked %t, want %t; refused with the command %t: %s", asked, row.asked, refused, got)
				}
				if err := a.unchanged(); err != nil {
					t.Errorf("nobody said yes: %v", err)
				}
			})
		}
	}
}

func handshake(capabilities string) string {
	return strings.Replace(initialize, `"capabilities":{}`, `"capabilities":`+capabilities, 1)
}

func statelessCall(capabilities, tool, arguments string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":%q,"arguments":%s,`+
		`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":%s}}}`, tool, arguments, capabilities)
}

// askOverSession opens a session, calls, and returns the first message that
// comes back: the question or the answer.
func askOverSession(t *testing.T, address, pat, capabilities, tool, arguments string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	post := func(session, body string) *http.Response {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/mcp", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Accept", "application/json, text/event-stream")
		request.Header.Set("Authorization", "Bearer "+pat)
		if session != "" {
			request.Header.Set("Mcp-Session-Id", session)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		return response
	}
	opened := post("", strings.TrimSpace(handshake(capabilities)))
	session := opened.Header.Get("Mcp-Session-Id")
	_ = opened.Body.Close()
	response := post(session, strings.TrimSpace(toolCall(2, tool, arguments)))
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "jsonrpc") {
			return lines.Text()
		}
	}
	t.Fatalf("nothing came back: %v", lines.Err())
	return ""
}
