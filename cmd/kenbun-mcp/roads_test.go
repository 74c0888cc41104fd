//go:build linux

package main

import (
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// The value reaches the person, works, and is in nothing else that left the
// program.
func TestR1_EveryRoadBringsTheValueToThePersonAlone(t *testing.T) {
	for _, name := range everyRoad {
		t.Run(name, func(t *testing.T) {
			c := newCountry(t)
			r := c.roadTo(t, name)
			said, address := c.create(t, r)
			if len(c.live(t)) != 1 {
				t.Fatalf("no token was made: %s", said)
			}
			value := r.fetch(t, said, address)
			if made := c.witness.values(); len(made) != 1 || value != made[0] {
				t.Fatalf("the person got another value than that of the %d tokens made", len(made))
			}
			if _, err := c.api.As(t, value).Me(t.Context()); err != nil {
				t.Errorf("the token does not work: %v", err)
			}
			if name != "inline" {
				expectNoSecret(t, "the program's output", said, value)
			}
			expectNoSecret(t, "the program's output", said, c.pat)
		})
	}
}

func TestA33_AClosedRoadIsFoundBeforeAnythingIsMade(t *testing.T) {
	for _, name := range everyRoad {
		c := newCountry(t)
		r := c.roadTo(t, name)
		if r.block == nil {
			continue // what stands in the answer can always be said
		}
		t.Run(name, func(t *testing.T) {
			r.block(t, &r)
			said, _ := c.create(t, r)
			if !strings.Contains(said, "cannot_deliver: ") || !strings.Contains(said, "no token was made") {
				t.Errorf("the answer is %s", said)
			}
			if n := len(c.witness.values()); n != 0 {
				t.Errorf("%d tokens were made", n)
			}
		})
	}
}

func TestA33_ARoadThatBreaksDownLeavesNothing(t *testing.T) {
	for _, name := range everyRoad {
		c := newCountry(t)
		r := c.roadTo(t, name)
		if r.destroy == nil {
			continue // what was found good cannot go bad
		}
		t.Run(name, func(t *testing.T) {
			// By then the method was found to work, and nothing is made yet.
			c.witness.whenAskedToMake(func() { r.destroy(t) })
			said, _ := c.create(t, r)
			if !strings.Contains(said, "revoked at once") {
				t.Errorf("the answer is %s", said)
			}
			if n := len(c.witness.values()); n != 1 || len(c.live(t)) != 0 {
				t.Errorf("%d tokens were made and %d live, want one and none", n, len(c.live(t)))
			}
		})
	}
}

func TestA33_AFullDiskIsFoundBeforeAnythingIsMade(t *testing.T) {
	for _, name := range everyRoad {
		c := newCountry(t)
		r := c.roadTo(t, name)
		if r.fill == nil {
			continue // it ends on no disk
		}
		t.Run(name, func(t *testing.T) {
			r.fill(t)
			said, _ := c.create(t, r)
			if !strings.Contains(said, "cannot_deliver: ") || len(c.witness.values()) != 0 {
				t.Errorf("%d tokens were made; the answer is %s", len(c.witness.values()), said)
			}
		})
	}
}

func TestA33_KilledBetweenMintAndDelivery(t *testing.T) {
	for _, name := range everyRoad {
		t.Run(name, func(t *testing.T) {
			c := newCountry(t)
			r := c.roadTo(t, name)
			environment := c.environment(t, r)
			if r.overHTTP {
				c.killHTTP(t, environment, r.header)
			} else {
				c.killStdio(t, environment)
			}
			if len(c.witness.values()) != 1 {
				t.Fatalf("%d tokens were made, want one", len(c.witness.values()))
			}
			if n := len(c.live(t)); n != 1 {
				t.Fatalf("%d tokens live after the kill, want the one that nobody holds: nothing was tried", n)
			}
			c.witness.whenMade(nil)

			var told string
			if r.overHTTP {
				told = postMCP(t, startHTTP(t, environment), c.pat, callTool("list_tokens", `{}`))
			} else {
				told = runProgram(t, environment, initialize+toolCall(2, "list_tokens", `{}`), "stdio").stdout
			}
			if live := c.live(t); len(live) != 0 {
				t.Errorf("the token lives and nobody holds it: %+v", live)
			}
			if !strings.Contains(told, "it was revoked now") {
				t.Errorf("the person is not told: %s", told)
			}
			expectNoSecret(t, "what came after", told, c.witness.values()[0])
		})
	}
}

func (c *country) killStdio(t *testing.T, environment []string) {
	t.Helper()
	command := exec.Command(kenbuntest.Binary(t), "stdio")
	command.Env = environment
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.witness.whenMade(func() {
		if err := command.Process.Kill(); err != nil {
			t.Error(err)
		}
	})
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, initialize+toolCall(2, "create_token", createImport)); err != nil {
		t.Fatal(err)
	}
	_ = command.Wait() // it was killed
}

func (c *country) killHTTP(t *testing.T, environment []string, header [2]string) {
	t.Helper()
	address, kill := startDoomed(t, environment)
	c.witness.whenMade(kill)
	request, err := http.NewRequest(http.MethodPost, "http://"+address+"/mcp", strings.NewReader(callTool("create_token", createImport)))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "Authorization": "Bearer " + c.pat,
		"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "create_token",
	} {
		request.Header.Set(name, value)
	}
	if header[0] != "" {
		request.Header.Set(header[0], header[1])
	}
	if response, err := http.DefaultClient.Do(request); err == nil {
		_ = response.Body.Close()
		t.Fatal("the server answered though it was killed")
	}
}

// A method of this machine serves all callers alike, and the operator is warned.
func TestHTTP_WarnsWhereTheTokensOfAllCallersReachOneUser(t *testing.T) {
	api := kenbuntest.Start(t)
	environment := kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL, "KENBUN_PAT="+api.User(t, "ada@example.com", authority.RoleMember))
	for _, c := range []struct {
		identity, method string
		warns            bool
	}{
		{"caller", "page", true}, {"caller", "keychain", true}, {"caller", "file", true},
		{"caller", "claim", false}, {"caller", "sealed", false}, {"server", "file", false},
	} {
		_, log := startHTTPLogged(t, environment, "--identity", c.identity, "--deliver", c.method)
		const says = "new tokens of all callers reach the user of this machine"
		if said := log(); strings.Contains(said, says) != c.warns || c.warns && !strings.Contains(said, "(--deliver "+c.method+")") {
			t.Errorf("--identity %s --deliver %s: %s", c.identity, c.method, said)
		}
	}
}

// Who calls on loopback need not be who sits before the machine: without a word
// of the operator's, a value waits for the user whose token came with the call.
func TestClaim_IsTheDefaultRoadForCallersOnLoopbackToo(t *testing.T) {
	api := kenbuntest.Start(t)
	ada := api.User(t, "ada@example.com", authority.RoleMember)
	environment := kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL)
	address := startHTTP(t, environment)
	answer := postMCP(t, address, ada, callTool("create_token", `{"name":"import","expires":"7d"}`))
	if !strings.Contains(answer, `"road":"claim"`) || !strings.Contains(answer, "http://"+address+"/claim/") {
		t.Errorf("the answer is %s", answer)
	}
}
