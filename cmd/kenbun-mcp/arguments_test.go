package main

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// alike are calls that have to do the same: the first of each as a careful client
// writes it, the others as clients do that fill in everything.
var alike = []struct {
	tool      string
	arguments []string
}{
	{"whoami", []string{`{}`, `null`}},
	{"list_tokens", []string{
		`{}`, `null`, `{"status":null}`, `{"status":""}`, `{"limit":""}`, `{"limit":"50"}`,
		`{"status":null,"unused_days":null,"expires_within_days":"","name":"","limit":null,"cursor":""}`,
	}},
	{"list_tokens", []string{`{"status":"all","limit":1}`, `{"status":"all","limit":"1"}`, `{"limit":" 1.0 ","status":"all","name":null,"cursor":null}`}},
	{"list_tokens", []string{`{"expires_within_days":40}`, `{"expires_within_days":"40","unused_days":null}`}},
}

// changing is what may differ between two answers to the same call.
var changing = regexp.MustCompile(`"(next_cursor|last_used_at)":"[^"]*",?`)

// structured is the structured content of an answer, as far as it stays the same.
func structured(answer string) string {
	_, content, found := strings.Cut(answer, `"structuredContent":`)
	if !found || strings.Contains(answer, `"isError":true`) {
		return "no result: " + answer
	}
	return strings.TrimRight(changing.ReplaceAllString(content, ""), "}\r\n")
}

func TestP1_ClientsThatFillInEveryArgumentGetTheSameOverStdioAndHTTP(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "ada@example.com", authority.RoleMember)
	api.Token(t, "ada@example.com", "second", nil)
	environment := kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL)
	address := startHTTP(t, environment, "--identity", "caller")
	input, id := initialize, 2
	for _, calls := range alike {
		for _, arguments := range calls.arguments {
			input += toolCall(id, calls.tool, arguments)
			id++
		}
	}
	const bare = `{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"list_tokens"%s}}` + "\n"
	input += fmt.Sprintf(bare, id, "") + fmt.Sprintf(bare, id+1, `,"_meta":null`)
	got := runProgram(t, append(environment, "KENBUN_PAT="+pat), input, "stdio")
	byID := answers(t, got.stdout)
	if len(byID) != id+1 {
		t.Fatalf("%d answers to %d requests: %s%s", len(byID), id+1, got.stdout, got.stderr)
	}
	list := structured(string(byID["4"]))
	for _, bare := range []int{id, id + 1} {
		if answer := structured(string(byID[fmt.Sprint(bare)])); answer != list {
			t.Errorf("without arguments the list is %s, with {} %s", answer, list)
		}
	}
	session := openSession(t, address, pat)
	id = 2
	for _, calls := range alike {
		want := structured(string(byID[fmt.Sprint(id)]))
		for _, arguments := range calls.arguments {
			for transport, answer := range map[string]string{
				"stdio":               string(byID[fmt.Sprint(id)]),
				"HTTP":                postMCP(t, address, pat, callTool(calls.tool, arguments)),
				"HTTP with a session": session(toolCall(2, calls.tool, arguments)),
			} {
				// whoami names the source of the token, which is another over HTTP.
				if got := structured(answer); got != want && calls.tool != "whoami" || strings.HasPrefix(got, "no result") {
					t.Errorf("over %s %s of %s is answered with %s, of %s with %s", transport, calls.tool, arguments, got, calls.arguments[0], want)
				}
			}
			id++
		}
	}
}

// openSession begins a session of the protocol before 2026-07-28, and returns
// how to send messages in it.
func openSession(t *testing.T, address, pat string) func(message string) string {
	t.Helper()
	id := ""
	send := func(message string) string {
		t.Helper()
		request, err := http.NewRequest(http.MethodPost, "http://"+address+"/mcp", strings.NewReader(message))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{
			"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "Authorization": "Bearer " + pat,
			"MCP-Protocol-Version": "2025-11-25", "Mcp-Session-Id": id,
		} {
			if value != "" {
				request.Header.Set(name, value)
			}
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		if id == "" {
			if id = response.Header.Get("Mcp-Session-Id"); id == "" {
				t.Fatalf("no session: status %d, %s", response.StatusCode, text)
			}
		}
		return string(text)
	}
	send(initialize)
	return send
}

func TestP1_EmptyFlagsOfTheTerminalAreLeftOut(t *testing.T) {
	environment := kenbuntest.Environment(t)
	list := func(flags ...string) string {
		t.Helper()
		got := runProgram(t, environment, "", append([]string{"tokens", "list", "--embedded", "--json"}, flags...)...)
		if got.code != 0 {
			t.Fatalf("%v: exit %d: %s", flags, got.code, got.stderr)
		}
		return got.stdout
	}
	if whole, empty := list(), list("--name", "", "--status", ""); changing.ReplaceAllString(whole, "") != changing.ReplaceAllString(empty, "") {
		t.Errorf("with empty flags the list is %s, without %s", empty, whole)
	}
}
