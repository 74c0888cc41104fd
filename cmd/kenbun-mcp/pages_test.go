//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// clicker is a browser for the program, with a person before it who clicks.
type clicker struct {
	t *testing.T
	// fields are what the person sends on each page, beside the page's own token.
	fields url.Values
	// before, if there is one, is called with each address before the person goes
	// there, and with the form before it is sent.
	before func(address string, form url.Values)
	// seen is what the pages showed after the click.
	seen chan string
}

// newClicker returns the clicker and the variables that have the program open
// its pages there.
func newClicker(t *testing.T, fields url.Values) (*clicker, []string) {
	t.Helper()
	folder := t.TempDir()
	addresses := filepath.Join(folder, "addresses")
	script := filepath.Join(folder, "browser")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nprintf '%s\\n' \"$1\" >> "+addresses+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	c := &clicker{t: t, fields: fields, seen: make(chan string, 10)}
	stop := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.watch(addresses, stop)
	}()
	t.Cleanup(func() { close(stop); <-ended })
	return c, []string{"BROWSER=" + script, "KENBUN_NO_BROWSER="}
}

func (c *clicker) watch(addresses string, stop <-chan struct{}) {
	opened := 0
	for {
		select {
		case <-stop:
			return
		case <-time.After(10 * time.Millisecond):
		}
		content, err := os.ReadFile(addresses)
		if err != nil {
			continue
		}
		lines := strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
		for ; opened < len(lines) && strings.HasSuffix(string(content), "\n"); opened++ {
			c.seen <- c.click(lines[opened])
		}
	}
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

var refresh = regexp.MustCompile(`<meta http-equiv="refresh" content="0; url=([^"]+)">`)

func (c *clicker) click(address string) string {
	if file, isFile := strings.CutPrefix(address, "file://"); isFile {
		content, err := os.ReadFile(file)
		arrival := refresh.FindSubmatch(content)
		if err != nil || arrival == nil {
			return "the file leads nowhere: " + string(content)
		}
		c.prepare(string(arrival[1]), nil)
		page, err := http.Get(string(arrival[1]))
		if err != nil {
			return err.Error()
		}
		shown, err := io.ReadAll(page.Body)
		_ = page.Body.Close()
		path := refresh.FindSubmatch(shown)
		if err != nil || path == nil {
			return "the address in the file leads nowhere: " + string(shown)
		}
		address = string(arrival[1][:bytes.LastIndexByte(arrival[1], '/')]) + string(path[1])
	}
	c.prepare(address, nil)
	page, err := http.Get(address)
	if err != nil {
		return err.Error()
	}
	shown, err := io.ReadAll(page.Body)
	_ = page.Body.Close()
	csrf := csrfField.FindSubmatch(shown)
	if err != nil || csrf == nil {
		return "no form: " + string(shown)
	}
	form := url.Values{"csrf": {string(csrf[1])}}
	for name, values := range c.fields {
		form[name] = values
	}
	c.prepare(address, form)
	answer, err := http.PostForm(address, form)
	if err != nil {
		return string(shown) + err.Error()
	}
	after, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil {
		return string(shown) + err.Error()
	}
	return string(shown) + string(after)
}

func (c *clicker) prepare(address string, form url.Values) {
	if c.before != nil {
		c.before(address, form)
	}
}

func TestDemoShowsThePageWhereABrowserIs(t *testing.T) {
	c, browser := newClicker(t, url.Values{"choice": {"show"}})
	got := runProgram(t, append(kenbuntest.Environment(t), browser...), "", "demo")
	if got.code != 0 || !strings.Contains(got.stdout, "Onto the page, once, for you alone.") {
		t.Fatalf("exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
	if shown := <-c.seen; !regexp.MustCompile(`kbn_pat_[0-9A-Za-z]{40,}`).MatchString(shown) {
		t.Error("the page did not show a token")
	}
	if regexp.MustCompile(`kbn_pat_[0-9A-Za-z]{24,}`).MatchString(got.stdout + got.stderr) {
		t.Error("the demonstration shows a token")
	}
}

func TestDemoGoesOnWhereNobodyWantsTheToken(t *testing.T) {
	_, browser := newClicker(t, url.Values{"choice": {"discard"}})
	got := runProgram(t, append(kenbuntest.Environment(t), browser...), "", "demo")
	if got.code != 0 || !strings.Contains(got.stdout, "no token was made") || !strings.Contains(got.stdout, "\n5. Ada: ") {
		t.Fatalf("exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
}

// Where the client cannot ask, the person is asked on a page.
func TestR37_ThePersonDecidesOnAPage(t *testing.T) {
	for choice, want := range map[string]string{"agree": `"outcome":"revoked"`, "leave": "declined: the user said no"} {
		t.Run(choice, func(t *testing.T) {
			api := kenbuntest.Start(t)
			pat := api.User(t, "ada@example.com", authority.RoleMember)
			target := api.Token(t, "ada@example.com", "target", nil)
			c, browser := newClicker(t, url.Values{"choice": {choice}})
			environment := append(kenbuntest.Environment(t, browser...), "KENBUN_API_URL="+api.URL, "KENBUN_PAT="+pat)
			got := converse(t, environment, initialize+toolCall(2, "revoke_token", `{"id":"`+target.ID+`"}`), "stdio")
			if !strings.Contains(got.stdout, want) {
				t.Errorf("the answer is %s%s", got.stdout, got.stderr)
			}
			page := <-c.seen
			for _, fact := range []string{"Revoke this kenbun token?", "target", target.Prefix, "cannot be undone"} {
				if !strings.Contains(page, fact) {
					t.Errorf("the page does not tell %q", fact)
				}
			}
			if _, err := api.As(t, target.Value).Me(t.Context()); (err == nil) != (choice == "leave") {
				t.Errorf("after %q the token answers with %v", choice, err)
			}
		})
	}
}

// Without a token the person gives one on a page, the call goes on, and the next
// process has it too.
func TestATokenIsTakenInOnAPage(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "ada@example.com", authority.RoleMember)
	_, browser := newClicker(t, url.Values{"token": {pat}})
	environment := append(kenbuntest.Environment(t, browser...), "KENBUN_API_URL="+api.URL)
	for range 2 {
		got := converse(t, environment, initialize+toolCall(2, "whoami", "{}"), "stdio")
		if !strings.Contains(got.stdout, "email: ada@example.com") {
			t.Fatalf("whoami answered %s%s", got.stdout, got.stderr)
		}
		expectNoSecret(t, "the server's output", got.stdout+got.stderr, pat)
	}
}

// A client that can send its user to a page is asked to, and no browser is
// opened past it.
func TestATokenIsTakenInThroughTheClient(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "ada@example.com", authority.RoleMember)
	program := startStdioProgram(t, kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL))
	send := func(line string) {
		if _, err := io.WriteString(program.in, line); err != nil {
			t.Fatal(err)
		}
	}
	send(handshake(`{"elicitation":{"url":{}}}`) + toolCall(2, "whoami", "{}"))
	lines := bufio.NewScanner(program.out)
	answered := false
	for lines.Scan() {
		expectNoSecret(t, "what the client sees", lines.Text(), pat)
		var m struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
			Params struct {
				Mode string `json:"mode"`
				URL  string `json:"url"`
			} `json:"params"`
		}
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			t.Fatal(err)
		}
		switch {
		case m.Method == "elicitation/create":
			if m.Params.Mode != "url" || !strings.HasPrefix(m.Params.URL, "http://127.0.0.1:") {
				t.Fatalf("the client is asked %s", lines.Text())
			}
			(&clicker{t: t, fields: url.Values{"token": {pat}}}).click(m.Params.URL)
			send(`{"jsonrpc":"2.0","id":` + string(m.ID) + `,"result":{"action":"accept"}}` + "\n")
		case string(m.ID) == "2":
			answered = strings.Contains(lines.Text(), "email: ada@example.com")
			if err := program.in.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := program.Wait(); err != nil || !answered {
		t.Errorf("whoami was answered %t; the server ended with %v", answered, err)
	}
}
