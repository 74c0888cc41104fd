package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority"
)

// nuisances are what clients send that mean harm, or do not know better. Each is
// cut off somewhere now and then.
func nuisances(pat, stranger string) []string {
	post := func(header, body string) string {
		return fmt.Sprintf("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s", len(body), header, body)
	}
	const hello = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{}},"clientInfo":{"name":"x","version":"1"}}}`
	authorized := "Authorization: Bearer " + pat + "\r\n"
	modern := authorized + "Mcp-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: whoami\r\n"
	return []string{
		post(authorized, hello),
		post(authorized, hello) + post(authorized, hello) + post("", hello),
		post(authorized+"Authorization: Bearer "+stranger+"\r\n", hello),
		post("X-API-Key: "+stranger+"\r\n", hello),
		post(authorized+"Mcp-Session-Id: A\r\nMcp-Session-Id: B\r\n", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`),
		post(modern, callTool("whoami", "{}")),
		post(modern, callTool("revoke_token", `{"id":"pat_x"}`)),
		post(modern, callTool("whoami", "{}")[:80]),
		post(authorized, strings.Repeat("[", 100_000)),
		post(authorized, strings.Repeat("x", 1<<20+1)),
		post(authorized+"Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
		post(authorized+"Origin: https://evil.example\r\n", hello),
		"GET /mcp HTTP/1.1\r\nHost: localhost\r\n" + authorized + "Mcp-Session-Id: A\r\n\r\n",
		"DELETE /mcp HTTP/1.1\r\nHost: localhost\r\n" + authorized + "\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: evil.example\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\x00",
		"\r\n\r\n\r\n",
	}
}

// bother sends nuisances to a server until done is closed, and returns how many.
func bother(t *testing.T, address string, texts []string, done <-chan struct{}) (sent int) {
	t.Helper()
	for ; ; sent++ {
		select {
		case <-done:
			return sent
		default:
		}
		text := texts[sent%len(texts)]
		if sent%3 == 0 {
			cut, err := rand.Int(rand.Reader, big.NewInt(int64(len(text))))
			if err != nil {
				t.Error(err)
				return sent
			}
			text = text[:cut.Int64()]
		}
		connection, err := net.Dial("tcp", address)
		if err != nil {
			t.Error(err)
			return sent
		}
		_, _ = io.WriteString(connection, text) // the server may have had enough
		if sent%2 == 0 {
			// Some wait for the beginning of an answer.
			_ = connection.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			_, _ = connection.Read(make([]byte, 64))
		}
		_ = connection.Close()
	}
}

// Whatever others send meanwhile: each user is answered as that user, by either
// of two servers, and the audit log has each change under who made it.
func TestA27_AnswersAndAuditDoNotCrossAmongHostileClients(t *testing.T) {
	d := newDeployment(t)
	logs := []string{filepath.Join(t.TempDir(), "one.log"), filepath.Join(t.TempDir(), "other.log")}
	var addresses []string
	var serverLogs []func() string
	for _, log := range logs {
		address, said := startHTTPLogged(t, d.environment, "--audit-log", log, "--rate-limit", "0", "--rate-limit-address", "0")
		addresses, serverLogs = append(addresses, address), append(serverLogs, said)
	}
	mallory := d.api.User(t, "mallory@example.com", authority.RoleMember)
	texts := nuisances(mallory, d.ada[:len(d.ada)-4]+"AAAA")
	done := make(chan struct{})
	var hostile, users sync.WaitGroup
	var mu sync.Mutex
	sent := 0
	for i := range 4 {
		hostile.Go(func() {
			n := bother(t, addresses[i%2], texts, done)
			mu.Lock()
			defer mu.Unlock()
			sent += n
		})
	}
	people := map[string]string{"ada@example.com": d.ada, "ben@example.com": d.ben}
	for email, pat := range people {
		for worker := range 2 {
			users.Go(func() {
				for round := range 60 {
					answer := postMCP(t, addresses[(worker+round)%2], pat, callTool("whoami", "{}"))
					if !strings.Contains(answer, email) || strings.Count(answer, "@example.com") != strings.Count(answer, email) {
						t.Errorf("%s is answered with %s", email, answer)
						return
					}
					if round%30 == worker { // four changes each
						name := fmt.Sprintf("of %s %d %d", email[:3], worker, round)
						if made := postMCP(t, addresses[round%2], pat, callTool("create_token", `{"name":"`+name+`","expires":"7d"}`)); !strings.Contains(made, name) || !claimID.MatchString(made) {
							t.Errorf("%s made %s", email, made)
						}
					}
				}
			})
		}
	}
	users.Wait()
	close(done)
	hostile.Wait()
	t.Logf("%d connections of hostile clients", sent)
	if sent < len(texts) {
		t.Errorf("only %d connections bothered the servers", sent)
	}

	callers := map[string]string{}
	made := 0
	for i, path := range logs {
		text := readFile(t, path)
		for line := range strings.Lines(text) {
			var e struct {
				Caller      string `json:"caller"`
				TokenPrefix string `json:"token_prefix"`
				Name        string `json:"name"`
				Action      string `json:"action"`
				Outcome     string `json:"outcome"`
			}
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatalf("%v in %q", err, line)
			}
			if e.Name == "" {
				continue // mallory's tries
			}
			who := e.Name[3:6] + "@example.com"
			if !strings.HasPrefix(people[who], e.TokenPrefix) || e.TokenPrefix == "" || e.Outcome != "done" {
				t.Errorf("the audit log says %s", line)
			}
			if known, ok := callers[who]; ok && known != e.Caller {
				t.Errorf("%s is two callers", who)
			}
			callers[who] = e.Caller
			if e.Action == "create" {
				made++
			}
		}
		for _, pat := range []string{d.ada, d.ben, mallory} {
			expectNoSecret(t, "the audit log", text, pat)
			expectNoSecret(t, "the server's log", serverLogs[i](), pat)
		}
		if strings.Contains(serverLogs[i](), "panic") {
			t.Errorf("a server panicked: %s", serverLogs[i]())
		}
	}
	if made != 8 || callers["ada@example.com"] == callers["ben@example.com"] {
		t.Errorf("%d tokens were made, by %v", made, callers)
	}
	for email, pat := range people {
		tokens, err := d.api.As(t, pat).ListTokens(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for i := range tokens {
			names = append(names, tokens[i].Name)
		}
		if len(names) != 5 || slices.ContainsFunc(names, func(name string) bool { return name != "first" && !strings.HasPrefix(name, "of "+email[:3]) }) {
			t.Errorf("%s owns %q", email, names)
		}
	}
}
