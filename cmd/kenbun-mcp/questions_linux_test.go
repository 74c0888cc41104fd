//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// Many calls cost a user few questions, in the browser that the program opens.
func TestR37_ManyCallsOpenOneTab(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "ada@example.com", authority.RoleMember)
	var targets []string
	for i := range 10 {
		targets = append(targets, api.Token(t, "ada@example.com", fmt.Sprint("target ", i), nil).ID)
	}
	folder := t.TempDir()
	script, tabs := filepath.Join(folder, "browser"), filepath.Join(folder, "tabs")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho tab >> "+tabs+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	program := startStdioProgram(t, kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL, "KENBUN_PAT="+pat, "BROWSER="+script, "KENBUN_NO_BROWSER="))
	in := program.in
	lines := bufio.NewScanner(program.out)
	lines.Buffer(nil, 1<<20)
	if _, err := in.Write([]byte(initialize)); err != nil {
		t.Fatal(err)
	}
	lines.Scan()
	const calls = 500
	written := make(chan error, 1)
	go func() {
		var failed error
		for i := range calls {
			if _, err := in.Write([]byte(toolCall(i+2, "revoke_token", fmt.Sprintf(`{"id":%q}`, targets[i%len(targets)])))); err != nil {
				failed = err
			}
		}
		written <- failed
	}()
	// All but the two that wait are answered at once.
	for range calls - 2 {
		if !lines.Scan() {
			t.Fatal("the program ended")
		}
		if text := lines.Text(); !strings.Contains(text, "rate_limited: ") || !strings.Contains(text, "open") {
			t.Fatalf("a call is answered with %s", text)
		}
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	shown, err := os.ReadFile(tabs)
	if n := strings.Count(string(shown), "tab"); err != nil || n != 1 {
		t.Errorf("%d tabs were opened, %v", n, err)
	}
}

// A no on a page is one no for all calls that follow.
func TestR37_ANoOnAPageIsNotAskedAboutAgain(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "ada@example.com", authority.RoleMember)
	target := api.Token(t, "ada@example.com", "target", nil)
	user, browser := newClicker(t, url.Values{"choice": {"leave"}})
	environment := kenbuntest.Environment(t, append(browser, "KENBUN_API_URL="+api.URL, "KENBUN_PAT="+pat)...)
	input := initialize
	for i := range 500 {
		input += toolCall(i+2, "revoke_token", fmt.Sprintf(`{"id":%q}`, target.ID))
	}
	got := converse(t, environment, input, "stdio")
	if n := strings.Count(got.stdout, `"isError":true`); n != 500 {
		t.Errorf("%d calls failed", n)
	}
	if n := len(user.seen); n != 1 {
		t.Errorf("the user was asked %d times", n)
	}
}

// Replicas share the budget, and without it nobody is asked.
func TestR37_ReplicasShareTheBudgetOfQuestions(t *testing.T) {
	d := newDeployment(t)
	replicas := []string{startHTTP(t, d.environment), startHTTP(t, d.environment)}
	var targets []string
	for i := range 20 {
		targets = append(targets, d.api.Token(t, "ada@example.com", fmt.Sprint("target ", i), nil).ID)
	}
	revoke := func(i int) string {
		return postMCP(t, replicas[i%2], d.ada, callTool("revoke_token", fmt.Sprintf(`{"id":%q}`, targets[i%len(targets)])))
	}
	// At the same time.
	var mu sync.Mutex
	asked, held := []string{}, 0
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			answer := revoke(i)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case strings.Contains(answer, "elicitation/create"):
				asked = append(asked, answer)
			case strings.Contains(answer, "rate_limited: "):
				held++
			default:
				t.Errorf("a call is answered with %s", answer)
			}
		})
	}
	all.Wait()
	if len(asked) != 2 || held != 58 {
		t.Errorf("%d questions were put, and %d held back", len(asked), held)
	}
	// A no at one replica counts at the other, for many calls.
	ben := d.api.Token(t, "ben@example.com", "target", nil)
	arguments := fmt.Sprintf(`{"id":%q}`, ben.ID)
	first := postMCP(t, replicas[0], d.ben, callTool("revoke_token", arguments))
	var question struct {
		Result struct {
			RequestState string `json:"requestState"`
		} `json:"result"`
	}
	_, body, _ := strings.Cut(first, "\r\n\r\n")
	if err := json.Unmarshal([]byte(body[strings.Index(body, "{"):strings.LastIndex(body, "}")+1]), &question); err != nil || question.Result.RequestState == "" {
		t.Fatalf("no question: %v %s", err, first)
	}
	answered := strings.Replace(callTool("revoke_token", arguments), `"_meta"`,
		fmt.Sprintf(`"requestState":%q,"inputResponses":{"decision":{"action":"decline"}},"_meta"`, question.Result.RequestState), 1)
	if answer := postMCP(t, replicas[1], d.ben, answered); !strings.Contains(answer, "declined: ") {
		t.Fatalf("a no is answered with %s", answer)
	}
	for i := range 90 { // a user may send 100 requests at once
		if answer := postMCP(t, replicas[i%2], d.ben, callTool("revoke_token", arguments)); !strings.Contains(answer, "declined: the user said no") {
			t.Fatalf("call %d after a no is answered with %s", i, answer)
		}
	}
	// Without the budget nobody is asked.
	d.redis.Stop()
	if answer := revoke(7); !strings.Contains(answer, "unavailable: ") || strings.Contains(answer, "elicitation/create") {
		t.Errorf("without Redis a call is answered with %s", answer)
	}
}

// Over a session, too, a user who said no is asked once.
func TestR37_ASessionAsksOnceAfterANo(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "ada@example.com", authority.RoleMember)
	target := api.Token(t, "ada@example.com", "target", nil)
	input := handshake(`{"elicitation":{}}`)
	for i := range 500 {
		input += toolCall(i+2, "revoke_token", fmt.Sprintf(`{"id":%q}`, target.ID))
	}
	got := runProgram(t, kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL, "KENBUN_PAT="+pat), input, "stdio")
	if n := strings.Count(got.stdout, "elicitation/create"); n != 1 {
		t.Errorf("%d questions were put for one target", n)
	}
}

// A token that the user throws away is a no to further ones.
func TestR37_AfterATokenWasThrownAwayNoPageOpens(t *testing.T) {
	user, browser := newClicker(t, url.Values{"choice": {"discard"}})
	environment := append(kenbuntest.Environment(t, browser...), "KENBUN_DELIVER=page")
	c := startStdioProgram(t, environment, "--embedded", "--embedded-store", "memory")
	c.ask(t, initialize)
	if answer := c.ask(t, toolCall(2, "create_token", `{"name":"first try","expires":"7d"}`)); !strings.Contains(answer, "does not want the token") {
		t.Errorf("a token that is thrown away is answered with %s", answer)
	}
	<-user.seen
	if answer := c.ask(t, toolCall(3, "create_token", `{"name":"second try","expires":"8d"}`)); !strings.Contains(answer, "declined: the user said no") {
		t.Errorf("another token is answered with %s", answer)
	}
	if n := len(user.seen); n != 0 {
		t.Errorf("%d pages more were opened", n)
	}
}
